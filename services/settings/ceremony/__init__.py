"""What the commands that make clusters can be told, by charon's names, too."""

from .clusters import (
    CharonSettings,
    CombineSettings,
    CreateClusterSettings,
    CreateDkgSettings,
    CreateEnrSettings,
    CreateKeysharesSettings,
    NewClusterSettings,
    charon,
)

__all__ = [
    "CharonSettings",
    "CombineSettings",
    "CreateClusterSettings",
    "CreateDkgSettings",
    "CreateEnrSettings",
    "CreateKeysharesSettings",
    "NewClusterSettings",
    "charon",
]
