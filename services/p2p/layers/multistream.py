"""multistream-select: both sides agree on the protocol of a stream, one token at a time.

A token is its length as a varint, which counts the newline, the text, and a newline. Either side may send
header, protocol and what comes next in one piece, and most do.

Source: multiformats/multistream-select; go-multistream's lazy selection.
"""

from __future__ import annotations

from collections.abc import Container

from dvtfast.protobuf import varint

from ..errors import UnsupportedProtocolError, WireError
from ..wire import received

VERSION = "/multistream/1.0.0"
REFUSAL = "na"
MOST_TOKEN_BYTES = 1024
MOST_PROPOSALS = 16  # that a listener hears before it gives up; dialers have a few


def token(text: str) -> bytes:
    """A token as it is sent."""
    line = text.encode() + b"\n"
    return varint(len(line)) + line


HEADER = token(VERSION)
REFUSED = token(REFUSAL)


def proposal(protocol: str) -> bytes:
    """What a dialer sends before its data."""
    return HEADER + token(protocol)


class Dialer:
    """Reads whether a listener takes the protocol that was proposed.

    Attributes:
        accepted: whether it did.
        rest: what came behind.
    """

    def __init__(self, protocol: str) -> None:
        self._wanted = [HEADER, token(protocol)]
        self.accepted = False
        self.rest = b""

    def receive(self, data: bytes) -> None:
        """Take what came.

        Raises:
            UnsupportedProtocolError: the listener does not speak it.
            WireError: the listener does not speak multistream-select.
        """
        self.rest += data
        while self._wanted:
            wanted = self._wanted[0]
            if self.rest.startswith(wanted):  # nearly always, and the quickest to see
                self.rest = self.rest[len(wanted) :]
            elif (found := _read(self.rest)) is None:
                return
            elif len(self._wanted) == 1 and found[0] == REFUSAL:
                raise UnsupportedProtocolError("the protocol is not spoken there")
            else:
                raise WireError("multistream: another token than expected")
            self._wanted.pop(0)
        self.accepted = True


class Listener:
    """Answers proposals until one of them is spoken here.

    Attributes:
        protocol: what was agreed on; None before.
        rest: what came behind.
    """

    def __init__(self, protocols: Container[str]) -> None:
        self._protocols = protocols
        self._greeted = False
        self._heard = 0
        self.protocol: str | None = None
        self.rest = b""

    def receive(self, data: bytes) -> bytes:
        """Take what came, and return what to send.

        Raises:
            WireError: no multistream-select, or too many proposals.
        """
        self.rest += data
        answer = bytearray()
        while self.protocol is None and (found := _read(self.rest)) is not None:
            text, end = found
            self.rest = self.rest[end:]
            if not self._greeted:
                if text != VERSION:
                    raise WireError("multistream: expected its header")
                self._greeted = True
                answer += HEADER
            elif text in self._protocols:
                self.protocol = text
                answer += token(text)
            else:
                self._heard += 1
                if self._heard == MOST_PROPOSALS:
                    raise WireError(f"multistream: {MOST_PROPOSALS} protocols that are not spoken here")
                answer += REFUSED
        return bytes(answer)


def _read(data: bytes) -> tuple[str, int] | None:
    """The first token, and where it ends; None when it has not come whole."""
    if (found := received.number(data[:2])) is None:
        if len(data) >= 2:
            raise WireError("multistream: a token that is too long")
        return None
    size, begin = found
    if not 1 <= size <= MOST_TOKEN_BYTES:
        raise WireError(f"multistream: expected a token of at most {MOST_TOKEN_BYTES} bytes")
    end = begin + size
    if len(data) < end:
        return None
    if data[end - 1] != 0x0A:
        raise WireError("multistream: expected a newline at the end of a token")
    return data[begin : end - 1].decode(errors="replace"), end
