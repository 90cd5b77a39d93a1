"""Noise_XX_25519_ChaChaPoly_SHA256: who is there, and keys that nobody else has.

    -> e
    <- e, ee, s, es
    -> s, se

Names are those of the specification: h is the hash of all that was said, ck the chaining key.

Source: The Noise Protocol Framework, revision 34, sections 4, 5, 7.
"""

from __future__ import annotations

import hmac
import struct
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ..errors import HandshakeError

PROTOCOL_NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"  # 32 bytes, so that it is h as it stands
KEY_BYTES = 32
TAG_BYTES = 16
MOST_MESSAGE_BYTES = 65_535
_NONCE = struct.Struct("<4xQ")
_LAST_NONCE = 2**64 - 2  # 2^64 - 1 is reserved


class CipherState:
    """One direction of a channel: each message has the next number, and cannot be left out or come twice."""

    __slots__ = ("_aead", "_nonce")

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._nonce = 0

    def encrypt(self, plaintext: bytes | bytearray | memoryview, associated: bytes | None = None) -> bytes:
        """The ciphertext with its tag.

        Raises:
            HandshakeError: the numbers are used up.
        """
        return self._aead.encrypt(self._next(), plaintext, associated)

    def decrypt(self, ciphertext: bytes | memoryview, associated: bytes | None = None) -> bytes:
        """The plaintext.

        Raises:
            HandshakeError: it is not what was sent, or not what was sent next.
        """
        try:
            return self._aead.decrypt(self._next(), ciphertext, associated)
        except InvalidTag:
            raise HandshakeError("noise: a message that does not verify") from None

    def _next(self) -> bytes:
        if self._nonce > _LAST_NONCE:
            raise HandshakeError("noise: no number is left for another message")
        nonce = _NONCE.pack(self._nonce)
        self._nonce += 1
        return nonce


class Handshake:
    """The three messages. Each side writes and reads in turn; after the third both have `split`.

    Attributes:
        remote_static: the other side's static key, once it has come; whose it is the payload must tell.
        hash: h, the same on both sides and for no other handshake.
    """

    def __init__(
        self,
        *,
        initiator: bool,
        static: X25519PrivateKey | None = None,
        ephemeral: X25519PrivateKey | None = None,
        prologue: bytes = b"",
    ) -> None:
        """Keys are made here, from the operating system; tests bring their own."""
        self._initiator = initiator
        self._static = static or X25519PrivateKey.generate()
        self._ephemeral = ephemeral or X25519PrivateKey.generate()
        self._remote_ephemeral = b""
        self._turn = 0  # messages written and read
        self._cipher: CipherState | None = None
        self._ck = PROTOCOL_NAME
        self.hash = sha256(PROTOCOL_NAME + prologue).digest()
        self.remote_static = b""

    @property
    def static_public(self) -> bytes:
        """Our static key, which the payload must tie to our identity."""
        return self._static.public_key().public_bytes_raw()

    @property
    def is_complete(self) -> bool:
        """Whether all three messages were exchanged."""
        return self._turn == 3

    def write(self, payload: bytes = b"") -> bytes:
        """The next message of ours."""
        self._take_turn(writes=True)
        out = bytearray()
        if self._turn < 3:
            public = self._ephemeral.public_key().public_bytes_raw()
            self._mix_hash(public)
            out += public
        if self._turn == 2:
            self._mix_key(self._ephemeral, self._remote_ephemeral)
            out += self._seal(self.static_public)
            self._mix_key(self._static, self._remote_ephemeral)
        elif self._turn == 3:
            out += self._seal(self.static_public)
            self._mix_key(self._static, self._remote_ephemeral)
        return bytes(out + self._seal(payload))

    def read(self, message: bytes) -> bytes:
        """The payload of the other side's next message.

        Raises:
            HandshakeError: it is none; the handshake is over.
        """
        self._take_turn(writes=False)
        at = 0
        if self._turn < 3:
            if len(message) < KEY_BYTES:
                raise HandshakeError("noise: a message that is too short")
            self._remote_ephemeral, at = message[:KEY_BYTES], KEY_BYTES
            self._mix_hash(self._remote_ephemeral)
        if self._turn > 1:
            if self._turn == 2:
                self._mix_key(self._ephemeral, self._remote_ephemeral)
            end = at + KEY_BYTES + TAG_BYTES
            if len(message) < end:
                raise HandshakeError("noise: a message that is too short")
            self.remote_static, at = self._open(message[at:end]), end
            self._mix_key(self._ephemeral, self.remote_static)
        return self._open(message[at:])

    def split(self) -> tuple[CipherState, CipherState]:
        """What we encrypt with, and what we decrypt with."""
        assert self.is_complete
        first, second = _hkdf(self._ck, b"")
        pair = CipherState(first), CipherState(second)
        return pair if self._initiator else pair[::-1]

    def _take_turn(self, *, writes: bool) -> None:
        """The initiator writes first and last."""
        assert self._turn < 3
        assert writes == ((self._turn % 2 == 0) == self._initiator)
        self._turn += 1

    def _mix_hash(self, data: bytes) -> None:
        self.hash = sha256(self.hash + data).digest()

    def _mix_key(self, ours: X25519PrivateKey, theirs: bytes) -> None:
        try:
            shared = ours.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError:  # a point of small order, with which everybody has the same secret
            raise HandshakeError("noise: a key that is no key") from None
        self._ck, key = _hkdf(self._ck, shared)
        self._cipher = CipherState(key)

    def _seal(self, plaintext: bytes) -> bytes:
        sealed = self._cipher.encrypt(plaintext, self.hash) if self._cipher else plaintext
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        plaintext = self._cipher.decrypt(sealed, self.hash) if self._cipher else sealed
        self._mix_hash(sealed)
        return plaintext


def _hkdf(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """Two outputs of HKDF, as section 4.3 of the specification has it."""
    secret = hmac.digest(chaining_key, material, "sha256")
    first = hmac.digest(secret, b"\x01", "sha256")
    return first, hmac.digest(secret, first + b"\x02", "sha256")
