"""Payloads in parts, each an exchange of its own: what one connection does not carry, the next one does.

A relay ends a circuit after so many bytes (charon's after 32 MiB), and a payload may be longer than that.

A part: the payload's identifier (8 bytes, random) and length (4), the part's place in it (4), then the part.
Its answer: how much of the payload is there (4). Numbers are big-endian.
"""

from __future__ import annotations

import secrets
import struct

from dvtfast.dkg.outputs import Joined

from ...p2p.errors import WireError

PART_BYTES = 2 * 1024 * 1024
IDENTIFIER_BYTES = 8
MOST_FAILURES = 5  # answers in a row that say that nothing more is there
_HEAD = struct.Struct(f">{IDENTIFIER_BYTES}sII")
_ANSWER = struct.Struct(">I")
MOST_MESSAGE_BYTES = _HEAD.size + PART_BYTES


def is_whole(part: bytes, payload: bytes) -> bool:
    """Whether a part is all of this payload."""
    return part[IDENTIFIER_BYTES:] == _HEAD.pack(b"", len(payload), 0)[IDENTIFIER_BYTES:] + payload


def answer_to(payload: bytes) -> bytes:
    """That all of it is there."""
    return _ANSWER.pack(len(payload))


class OutgoingPayload:
    """A payload on its way to one peer."""

    def __init__(self, payload: bytes | Joined) -> None:
        self._identifier = secrets.token_bytes(IDENTIFIER_BYTES)
        self._payload = payload
        self._there = self._most = self._failures = 0

    @property
    def is_there(self) -> bool:
        """Whether the peer has all of it."""
        return self._there == len(self._payload)

    def part(self) -> bytes:
        """What to send next."""
        head = _HEAD.pack(self._identifier, len(self._payload), self._there)
        return head + self._payload[self._there : self._there + PART_BYTES]

    def answered(self, answer: bytes) -> None:
        """Go on where the peer lacks something; one that was started again lacks all.

        Raises:
            WireError: it is no answer, or again and again nothing more is there.
        """
        if len(answer) != _ANSWER.size:
            raise WireError(f"answer to a part: expected {_ANSWER.size} bytes, got {len(answer)}")
        (there,) = _ANSWER.unpack(answer)
        if there not in (0, min(self._there + PART_BYTES, len(self._payload))):
            raise WireError(f"answer to a part: {there} bytes are not what was sent")
        self._there = there
        if there > self._most:
            self._most, self._failures = there, 0
            return
        self._failures += 1
        if self._failures == MOST_FAILURES:
            raise WireError("nothing of what was sent arrives")


class IncomingPayload:
    """The payload that comes from one peer; with another one it begins anew.

    Args:
        most_bytes: of a payload.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._of: tuple[bytes, int] | None = None  # its identifier and length
        self._content = bytearray()
        self._is_whole = False

    def take(self, message: bytes) -> tuple[bytes, bytes | None]:
        """The answer to a part; and the payload, once it is whole. A part may come twice.

        Raises:
            WireError: it is none, or of a payload that is too long.
        """
        if len(message) < _HEAD.size:
            raise WireError("part: cut short")
        identifier, size, place = _HEAD.unpack_from(message)
        if size > self._most or place + len(message) - _HEAD.size > size:
            raise WireError(f"part: of a payload of {size:,} bytes; {self._most:,} are the most")
        if self._of != (identifier, size):
            self._of, self._content, self._is_whole = (identifier, size), bytearray(), False
        if self._is_whole:
            return _ANSWER.pack(size), None
        if place == len(self._content):
            self._content += message[_HEAD.size :]
        if len(self._content) < size:
            return _ANSWER.pack(len(self._content)), None
        payload, self._content, self._is_whole = bytes(self._content), bytearray(), True
        return _ANSWER.pack(size), payload
