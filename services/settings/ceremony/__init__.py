"""What the commands that make clusters can be told, by charon's names, too."""

from .clusters import (
    INSECURE_NETWORKS,
    CombineSettings,
    CreateClusterSettings,
    CreateDkgSettings,
    CreateEnrSettings,
    CreateKeysharesSettings,
    NewClusterSettings,
)
from .dkg import RELAYS, DkgSettings, RecoverSettings, VerifyBlameSettings

__all__ = [
    "INSECURE_NETWORKS",
    "RELAYS",
    "CombineSettings",
    "CreateClusterSettings",
    "CreateDkgSettings",
    "CreateEnrSettings",
    "CreateKeysharesSettings",
    "DkgSettings",
    "NewClusterSettings",
    "RecoverSettings",
    "VerifyBlameSettings",
]
