"""What beacon nodes know of validators, asked for by public key.

Source: beacon API v2/v3, `POST /eth/v1/beacon/states/{state_id}/validators`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec
from yarl import URL

from dvtfast.constants import PUBLIC_KEY_BYTES

from .encoding import read_data, write_data
from .endpoints import Endpoint, EndpointError, Endpoints, exchange, session

KEYS_AT_ONCE = 100  # some nodes take long, or refuse, above a few hundred
VALIDATOR_LIMIT_BYTES = 2048  # of the answer, for each key; some 500 are usual
UINT64_LIMIT = 1 << 64
INDEX_DIGITS = 20

# Source: beacon API, ValidatorStatus.
EXITED_STATUSES = frozenset({"exited_unslashed", "exited_slashed", "withdrawal_possible", "withdrawal_done"})


class BeaconError(EndpointError):
    """No beacon node tells."""


@dataclass(frozen=True)
class BeaconValidator:
    """A validator in the state of the head."""

    index: int
    has_exited: bool


class _Details(msgspec.Struct):
    pubkey: str


class _Validator(msgspec.Struct):
    index: str
    status: str
    validator: _Details


class _Answer(msgspec.Struct):
    data: list[_Validator]


class BeaconClient:
    """Beacon nodes that stand in for each other; an async context manager.

    Args:
        endpoints: in the order of preference. They may hold secrets: only scheme, host and port are logged.
    """

    def __init__(self, endpoints: Sequence[str], *, timeout_seconds: float) -> None:
        self._endpoints = Endpoints(endpoints)
        self._timeout_seconds = timeout_seconds

    async def __aenter__(self) -> Self:
        self._session = session(self._timeout_seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def validators(self, public_keys: Sequence[bytes]) -> dict[bytes, BeaconValidator]:
        """Those of these validators that are on the beacon chain, by public key.

        Raises:
            BeaconError: no node answers, or not as it should.
        """
        found: dict[bytes, BeaconValidator] = {}
        for begin in range(0, len(public_keys), KEYS_AT_ONCE):
            found |= await self._some(public_keys[begin : begin + KEYS_AT_ONCE])
        return found

    async def _some(self, public_keys: Sequence[bytes]) -> dict[bytes, BeaconValidator]:
        body = msgspec.json.encode({"ids": [write_data(key) for key in public_keys]})
        wanted = frozenset(public_keys)

        async def ask(endpoint: Endpoint) -> dict[bytes, BeaconValidator]:
            base = URL(endpoint.url)
            url = (base / "eth/v1/beacon/states/head/validators").with_query(base.query)
            limit = VALIDATOR_LIMIT_BYTES * (len(public_keys) + 1)
            status, content = await exchange(
                self._session, endpoint, "POST", url, body=body, limit_bytes=limit
            )
            if status != 200:
                raise endpoint.error(f"HTTP {status}")
            try:
                found = await asyncio.to_thread(_read, content)
            except ValueError as error:
                raise endpoint.error(f"expected validators: {error}") from None
            if not found.keys() <= wanted:
                raise endpoint.error("tells of validators that it was not asked for")
            return found

        try:
            return await self._endpoints.first_able(ask)
        except EndpointError as error:
            raise BeaconError(f"beacon: {error}", refused=error.refused) from None


def _read(content: bytes) -> dict[bytes, BeaconValidator]:
    found = {}
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    for item in answer.data:
        is_integer = item.index.isascii() and item.index.isdigit() and len(item.index) <= INDEX_DIGITS
        if not is_integer or int(item.index) >= UINT64_LIMIT:
            raise ValueError("index: expected an integer in 0..2^64-1")
        key = read_data(item.validator.pubkey, width=PUBLIC_KEY_BYTES)
        found[key] = BeaconValidator(int(item.index), item.status in EXITED_STATUSES)
    return found
