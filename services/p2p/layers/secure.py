"""/noise: a handshake that ties both keys of Noise to the peers' identities, then a channel of messages.

Each message goes behind its length, two bytes, big-endian. The payloads of the handshake's second and third
message are NoiseHandshakePayload: identity_key 1, identity_sig 2, extensions 4 {stream_muxers 2}.

Source: libp2p/specs noise.
"""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dvtfast.protobuf import BYTES, bytes_field, message_field
from dvtfast.secp256k1 import IdentityKey, is_message_signed_by

from ..errors import HandshakeError, WireError
from ..wire import peers, received
from .noise import MOST_MESSAGE_BYTES, TAG_BYTES, CipherState, Handshake

PROTOCOL = "/noise"
MOST_PLAINTEXT_BYTES = MOST_MESSAGE_BYTES - TAG_BYTES
_MOST_HANDSHAKE_BYTES = 4096  # of one message; go's have about 250
_SIGNED_PREFIX = b"noise-libp2p-static-key:"
_LENGTH = struct.Struct(">H")


class SecureChannel:
    """One side of a channel, from its first byte.

    A dialer does not learn here whether it was let in: its last message is the third, and who refuses closes
    the connection afterwards.

    Attributes:
        peer: the other side's key, proven; empty before the handshake is complete.
        muxers: those that the other side offers, most wanted first; none when it did not say.
    """

    def __init__(
        self,
        identity: IdentityKey,
        *,
        dialer: bool,
        expected: bytes | None = None,
        muxers: tuple[str, ...] = (),
        static: X25519PrivateKey | None = None,
        ephemeral: X25519PrivateKey | None = None,
    ) -> None:
        """`expected` is the key that must be there; None for any. The keys of Noise are made unless given."""
        self._identity = identity
        self._dialer = dialer
        self._expected = expected
        self._offered = muxers
        self._handshake: Handshake | None = Handshake(initiator=dialer, static=static, ephemeral=ephemeral)
        self._sending: CipherState | None = None
        self._receiving: CipherState | None = None
        self._rest = b""
        self.peer = b""
        self.muxers: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the channel is open."""
        return self._sending is not None

    def start(self) -> bytes:
        """What a dialer sends first."""
        assert self._handshake
        return _framed(self._handshake.write()) if self._dialer else b""

    def receive(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take what came; return the plaintexts in it, and what the handshake has to send.

        Raises:
            HandshakeError: whoever sent it is not who it should be, or it was changed on its way.
        """
        if self._rest:
            data = self._rest + data
        plaintexts: list[bytes] = []
        answer = b""
        view, at, size = memoryview(data), 0, len(data)
        while size - at >= 2:
            end = at + 2 + (data[at] << 8 | data[at + 1])
            if self._receiving is not None:
                if end > size:
                    break
                plaintexts.append(self._receiving.decrypt(view[at + 2 : end]))
            else:
                if end - at > _MOST_HANDSHAKE_BYTES:
                    raise HandshakeError("noise: a message of the handshake that is too long")
                if end > size:
                    break
                answer += self._take(bytes(view[at + 2 : end]))
            at = end
        self._rest = data[at:]
        return plaintexts, answer

    def encrypt(self, plaintext: bytes | bytearray) -> bytes:
        """What to send for it: one message, or several when it is long."""
        assert self._sending is not None
        encrypt = self._sending.encrypt
        if len(plaintext) <= MOST_PLAINTEXT_BYTES:
            return _framed(encrypt(plaintext))
        view = memoryview(plaintext)
        return b"".join(
            _framed(encrypt(view[begin : begin + MOST_PLAINTEXT_BYTES]))
            for begin in range(0, len(plaintext), MOST_PLAINTEXT_BYTES)
        )

    def _take(self, message: bytes) -> bytes:
        handshake = self._handshake
        assert handshake
        payload = handshake.read(message)
        answer = b""
        if handshake.remote_static:
            self._identify(payload, handshake.remote_static)
        if not handshake.is_complete:
            answer = _framed(handshake.write(self._payload(handshake.static_public)))
        if handshake.is_complete:
            self._sending, self._receiving = handshake.split()
            self._handshake = None
        return answer

    def _payload(self, static: bytes) -> bytes:
        key = message_field(1, peers.encode_key(self._identity.public_key))
        signature = bytes_field(2, self._identity.sign_message(_SIGNED_PREFIX + static))
        muxers = b"".join(message_field(2, name.encode()) for name in self._offered)
        return key + signature + bytes_field(4, muxers)

    def _identify(self, payload: bytes, static: bytes) -> None:
        """Read who is there.

        Raises:
            HandshakeError: it cannot be told, or it is another peer.
        """
        try:
            fields = received.fields(payload, {1: BYTES, 2: BYTES, 4: BYTES})
            peer = peers.decode_key(fields.last(1))
            extensions = received.fields(fields.last(4), {2: BYTES})
            muxers = tuple(name.decode(errors="replace") for name in extensions.every(2))
        except WireError as error:
            raise HandshakeError(f"noise: {error}") from None
        if not is_message_signed_by(peer, _SIGNED_PREFIX + static, fields.last(2)):
            raise HandshakeError("noise: the identity's signature does not verify")
        if self._expected not in (None, peer):
            raise HandshakeError(f"noise: another peer is there, {peers.shown(peer)}")
        if peer == self._identity.public_key:
            raise HandshakeError("noise: that is this peer itself")
        self.peer, self.muxers = peer, muxers


def _framed(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message
