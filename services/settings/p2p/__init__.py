"""What programs that speak libp2p can be told."""

from .relay import P2PRelaySettings

__all__ = ["P2PRelaySettings"]
