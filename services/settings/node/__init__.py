"""What a node of a cluster can be told, by charon's names, too."""

from .protection import ImportSettings, ProtectionSettings
from .run import NodeSettings

__all__ = ["ImportSettings", "NodeSettings", "ProtectionSettings"]
