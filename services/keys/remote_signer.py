"""Key shares that stay in a remote signer: web3signer, or what speaks its Eth2 API.

Source: web3signer, OpenAPI of its Eth2 signing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from .. import wire
from ..process.offload import UnavailableError
from ..web.bounded import AnswerError
from ..web.error_text import with_words
from ..web.outgoing import OutgoingError, Session, SlowError, joined

KEYS_PATH: Final = "/api/v1/eth2/publicKeys"
SIGN_PATH: Final = "/api/v1/eth2/sign/"
KEYS_LIMIT_BYTES: Final = 32 * 1024 * 1024
ANSWER_LIMIT_BYTES: Final = 16 * 1024
NO_SUCH_KEY: Final = 404  # the HTTP status
RATE_LIMITED: Final = 429


class Fork(msgspec.Struct):
    """Part of a request; of a domain, the signer chooses one of the versions by the epoch."""

    previous_version: wire.ForkVersion
    current_version: wire.ForkVersion
    epoch: str


class ForkInfo(msgspec.Struct):
    """Part of a request."""

    fork: Fork
    genesis_validators_root: wire.Root


class SignAnswer(msgspec.Struct):
    """Answer to a request."""

    signature: wire.Signature


class NoAnswerError(UnavailableError):
    """The signer did not answer in time."""


@dataclass(frozen=True)
class Failure:
    """Why there is no signature."""

    reason: str


async def remote_keys(address: str, *, timeout_seconds: float) -> list[wire.PublicKey]:
    """The public keys that a remote signer can sign for.

    Raises:
        UnavailableError: it does not say.
    """
    async with Session(timeout_seconds) as session:
        try:
            answer = await session.ask("GET", joined(address, KEYS_PATH), limit_bytes=KEYS_LIMIT_BYTES)
        except (OutgoingError, AnswerError) as error:
            raise UnavailableError(f"remote signer: {error}") from None
    if answer.status != 200:
        what = with_words(f"HTTP {answer.status}", answer.content)
        raise UnavailableError(f"remote signer: GET {KEYS_PATH}: {what}")
    try:
        keys = msgspec.json.decode(answer.content, type=list[str])
        return [wire.PublicKey.from_wire(key) for key in keys]
    except (msgspec.DecodeError, ValueError) as error:
        raise UnavailableError(f"remote signer: GET {KEYS_PATH}: expected public keys: {error}") from None


class RemoteSignerClient:
    """Requests for signatures; what comes back is not verified here.

    Args:
        address: of the signer.
        timeout_seconds: of a request.
        connections: at most.
    """

    def __init__(self, address: str, *, timeout_seconds: float, connections: int) -> None:
        self._address = address
        self._session = Session(timeout_seconds, connections=connections)

    async def sign(self, key: wire.PublicKey, body: bytes) -> wire.Signature | Failure:
        """The signature of a key.

        Raises:
            NoAnswerError, UnavailableError: the signer is away, or has too much to do; the same may succeed
                later.
        """
        url = joined(self._address, SIGN_PATH + key.to_wire())
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            answer = await self._session.ask(
                "POST", url, body=body, headers=headers, limit_bytes=ANSWER_LIMIT_BYTES
            )
        except AnswerError as error:
            return Failure(f"no answer of a remote signer: {error}")
        except SlowError as error:
            raise NoAnswerError(f"it is away: {error}") from None
        except OutgoingError as error:
            raise UnavailableError(f"it is away: {error}") from None
        status, content = answer.status, answer.content
        if status >= 500 or status == RATE_LIMITED:
            raise UnavailableError(with_words(f"HTTP {status}", content))
        if status == NO_SUCH_KEY:
            return Failure("it does not have the key (any more)")
        if status != 200:
            return Failure(with_words(f"HTTP {status}", content))
        try:
            if content[:1] == b"{":
                return wire.decode(content, SignAnswer).signature
            return wire.Signature.from_wire(content.decode(errors="replace").strip())
        except ValueError:
            return Failure("its answer is no signature")

    async def close(self) -> None:
        """Disconnect."""
        await self._session.close()
