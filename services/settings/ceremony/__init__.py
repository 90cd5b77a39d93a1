"""What the commands that make clusters can be told, by charon's names, too."""

from .clusters import (
    INSECURE_NETWORKS,
    CharonSettings,
    CombineSettings,
    CreateClusterSettings,
    CreateDkgSettings,
    CreateEnrSettings,
    CreateKeysharesSettings,
    NewClusterSettings,
    charon,
)
from .dkg import RELAYS, DkgSettings, RecoverSettings, VerifyBlameSettings

__all__ = [
    "INSECURE_NETWORKS",
    "RELAYS",
    "CharonSettings",
    "CombineSettings",
    "CreateClusterSettings",
    "CreateDkgSettings",
    "CreateEnrSettings",
    "CreateKeysharesSettings",
    "DkgSettings",
    "NewClusterSettings",
    "RecoverSettings",
    "VerifyBlameSettings",
    "charon",
]
