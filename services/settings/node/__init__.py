"""What a node of a cluster can be told, by charon's names, too."""

from .exits import (
    ExitBroadcastSettings,
    ExitCancelSettings,
    ExitChainSettings,
    ExitExportSettings,
    ExitImportSettings,
    ExitListSettings,
    ExitSettings,
    ExitSignSettings,
    SomeExitSettings,
)
from .protection import ImportSettings, ProtectionSettings
from .run import NodeSettings

__all__ = [
    "ExitBroadcastSettings",
    "ExitCancelSettings",
    "ExitChainSettings",
    "ExitExportSettings",
    "ExitImportSettings",
    "ExitListSettings",
    "ExitSettings",
    "ExitSignSettings",
    "ImportSettings",
    "NodeSettings",
    "ProtectionSettings",
    "SomeExitSettings",
]
