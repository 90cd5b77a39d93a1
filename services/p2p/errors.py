"""What can go wrong between two peers.

P2PError
  WireError                 bytes that are not what they should be
  HandshakeError            whoever is there is not who it should be, or cannot speak with us
  UnreachableError          no connection with a peer in time
  ConnectionEndedError      the connection ended under a stream
  StreamResetError          the other side gave the stream up        .code
  UnsupportedProtocolError  the other side does not speak it
  TooMuchError              a message or a peer beyond its limits
"""

from __future__ import annotations


class P2PError(Exception):
    """Whatever can go wrong between two peers."""


class WireError(P2PError, ValueError):
    """Bytes that are not what they should be; a fault of whoever sent them."""


class HandshakeError(P2PError):
    """Whoever is there is not who it should be, or cannot speak with us."""


class UnreachableError(P2PError):
    """No connection with a peer in time."""


class ConnectionEndedError(P2PError):
    """The connection ended under a stream."""


class StreamResetError(P2PError):
    """The other side gave the stream up.

    Attributes:
        code: why, as far as it said so; see `services/p2p/layers/yamux.py`.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the stream was reset (code {code:#x})" if code else "the stream was reset")
        self.code = code


class UnsupportedProtocolError(P2PError):
    """The other side does not speak the protocol."""


class TooMuchError(P2PError):
    """A message or a peer beyond its limits."""
