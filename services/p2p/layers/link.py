"""A connection from its first byte: security agreed on, peers proven, muxer agreed on, then streams.

multistream "/noise" -> handshake -> multistream "/yamux/1.0.0" (unless the handshake agreed on it) -> yamux
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dvtfast.secp256k1 import IdentityKey

from ..errors import HandshakeError, UnsupportedProtocolError
from ..wire import peers
from . import multistream, secure, yamux


class Link:
    """One end of a connection; whoever has it moves its bytes.

    Attributes:
        session: the streams, once there may be any.
        messages: how many came on the secure channel, empty ones, too.
    """

    def __init__(
        self,
        identity: IdentityKey,
        *,
        dialer: bool,
        is_welcome: Callable[[bytes], bool],
        most_inbound: int,
        expected: bytes | None = None,
        offers_muxer: bool = True,
        static: X25519PrivateKey | None = None,
        ephemeral: X25519PrivateKey | None = None,
    ) -> None:
        """`is_welcome` says of a proven key whether it may be here."""
        self._dialer = dialer
        self._is_welcome = is_welcome
        self._most_inbound = most_inbound
        self._offers_muxer = offers_muxer
        self._channel = secure.SecureChannel(
            identity,
            dialer=dialer,
            expected=expected,
            muxers=(yamux.PROTOCOL,) if offers_muxer else (),
            static=static,
            ephemeral=ephemeral,
        )
        self._security = _Selection(secure.PROTOCOL, dialer=dialer)
        self._muxer = _Selection(yamux.PROTOCOL, dialer=dialer)
        self._out = bytearray()  # ready to be sent as it is
        self.session: yamux.Session | None = None
        self.messages = 0
        if dialer:
            self._out += self._security.start() + self._channel.start()

    @property
    def peer(self) -> bytes:
        """The other side's key, proven; empty before that."""
        return self._channel.peer

    def receive(self, data: bytes) -> yamux.Events:
        """Take what came, and return what it means; there is something to send afterwards, or not.

        Raises:
            P2PError: the connection must end.
        """
        events: yamux.Events = []
        if not self._security.is_done:
            self._out += self._security.receive(data)
            if not self._security.is_done:
                return events
            data = self._security.rest
        plaintexts, answer = self._channel.receive(data)
        self._out += answer
        self.messages += len(plaintexts)
        if self._channel.is_complete:
            if self.session is None:
                plaintexts = self._choose_muxer(plaintexts)
            if self.session is not None:
                for plaintext in plaintexts:
                    self.session.receive(plaintext, events)
        return events

    def take(self) -> bytes:
        """What is to be sent; each byte is given out once."""
        if self.session is not None and self.session.pending:
            self._out += self._channel.encrypt(self.session.take())
        if not self._out:
            return b""
        out, self._out = bytes(self._out), bytearray()
        return out

    @property
    def pending(self) -> int:
        """About how many bytes `take` would return."""
        return len(self._out) + (self.session.pending if self.session is not None else 0)

    def _choose_muxer(self, plaintexts: list[bytes]) -> list[bytes]:
        """Begin with the muxer as soon as it is agreed on; returns what is for it."""
        if not self._is_welcome(self.peer):
            raise HandshakeError(f"{peers.shown(self.peer)} is no peer of ours")
        if self._offers_muxer and yamux.PROTOCOL in self._channel.muxers:
            self.session = yamux.Session(dialer=self._dialer, most_inbound=self._most_inbound)
            return plaintexts
        answer = self._muxer.start()
        for number, plaintext in enumerate(plaintexts, 1):
            if not plaintext:
                raise HandshakeError("noise: an empty message where a muxer is to be agreed on")
            answer += self._muxer.receive(plaintext)
            if self._muxer.is_done:
                plaintexts = [self._muxer.rest, *plaintexts[number:]]
                break
        if answer:
            self._out += self._channel.encrypt(answer)
        if not self._muxer.is_done:
            return []
        self.session = yamux.Session(dialer=self._dialer, most_inbound=self._most_inbound)
        return plaintexts


class _Selection:
    """Agreement on the one protocol that is spoken here."""

    def __init__(self, protocol: str, *, dialer: bool) -> None:
        self._protocol = protocol
        self._side = multistream.Dialer(protocol) if dialer else multistream.Listener((protocol,))
        self._is_started = False

    def start(self) -> bytes:
        """What a dialer sends first, once."""
        if self._is_started or isinstance(self._side, multistream.Listener):
            return b""
        self._is_started = True
        return multistream.proposal(self._protocol)

    def receive(self, data: bytes) -> bytes:
        """Take what came, and return what to send."""
        if isinstance(self._side, multistream.Listener):
            return self._side.receive(data)
        try:
            self._side.receive(data)
        except UnsupportedProtocolError:
            raise HandshakeError(f"{self._protocol} is not spoken there") from None
        return b""

    @property
    def is_done(self) -> bool:
        """Whether both sides agree."""
        side = self._side
        return side.protocol is not None if isinstance(side, multistream.Listener) else side.accepted

    @property
    def rest(self) -> bytes:
        """What came behind; given out once."""
        rest, self._side.rest = self._side.rest, b""
        return rest
