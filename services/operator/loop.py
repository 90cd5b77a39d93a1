"""Ask a relayer for the oracle shares of validators until it has them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from .. import logs, wire
from ..client import RelayerClient, RelayerRefusedError

log = logs.get("operator")


class WrongNetworkError(Exception):
    """The relayer serves another network."""


class ChangedAnswerError(Exception):
    """The relayer gave other shares than before for the same validator."""


@dataclass(frozen=True)
class Chunk:
    """Validators of one request, in the order of the deposit data; `start_index` is the first one's."""

    public_keys: tuple[wire.PublicKey, ...]
    start_index: int | None


@dataclass
class Registration:
    """What the relayer answered so far.

    Attributes:
        shares: of the validators that are ready.
        refused: why the relayer does not serve a validator.
    """

    shares: dict[bytes, wire.OraclesExitSignatureShares] = field(default_factory=dict)
    refused: dict[bytes, str] = field(default_factory=dict)


def chunks_of(public_keys: Sequence[bytes], *, size: int, start_index: int | None) -> list[Chunk]:
    """Requests of at most `size` validators; with a start index, the i-th validator gets start + i."""
    keys = [wire.PublicKey(key) for key in public_keys]
    return [
        Chunk(tuple(keys[i : i + size]), None if start_index is None else start_index + i)
        for i in range(0, len(keys), size)
    ]


async def register(
    client: RelayerClient,
    chunks: Sequence[Chunk],
    *,
    network: str,
    poll_seconds: float,
    wait_seconds: float,
    progress: Callable[[int], None],
) -> Registration:
    """Ask until every validator that the relayer serves is ready.

    Everything is asked for once before anything is waited for, so that all nodes sign at the same time.

    Args:
        wait_seconds: how long a relayer that can wait may hold back an answer until it is complete.
        progress: called with the number of validators that are ready.

    Raises:
        WrongNetworkError: the relayer serves another network.
        ChangedAnswerError: the relayer took back what it had answered.
        RelayerRefusedError: the relayer refuses for a reason that concerns no single validator.
    """
    served = (await client.info()).network
    if served != network:
        raise WrongNetworkError(f"the relayer serves {served}, the deposit data is for {network}")
    registration = Registration()
    waiting = []
    for chunk in chunks:
        if not await _ask(client, chunk, registration, 0):
            waiting.append(chunk)
        progress(len(registration.shares))
    while waiting:
        still, seconds = [], wait_seconds  # for the first; when it is ready or does not become so, others are
        begin = monotonic()
        for chunk in waiting:
            if await _ask(client, chunk, registration, seconds):
                progress(len(registration.shares))
            else:
                still.append(chunk)
                seconds = 0
        waiting = still
        if waiting:
            await asyncio.sleep(max(0.0, poll_seconds - (monotonic() - begin)))
    return registration


async def _ask(client: RelayerClient, chunk: Chunk, registration: Registration, wait_seconds: float) -> bool:
    """Whether all of a chunk is ready; leaves out what the relayer refuses by name."""
    waiting = [(i, key) for i, key in enumerate(chunk.public_keys) if key not in registration.refused]
    ready = True
    while waiting:
        offset, keys = _first_run(waiting, with_indices=chunk.start_index is not None)
        start = None if chunk.start_index is None else wire.UInt64(chunk.start_index + offset)
        try:
            answer = await client.post_validators(
                wire.ValidatorsRequest(keys, start), wait_seconds=wait_seconds
            )
        except RelayerRefusedError as error:
            refused = _refused(error, keys)
            if not refused:
                raise
            registration.refused |= refused
            waiting = [(i, key) for i, key in waiting if key not in refused]
        else:
            _take(answer, keys, registration)
            ready = ready and all(key in registration.shares for key in keys)
            waiting = waiting[len(keys) :]
    return ready


def _first_run(
    waiting: Sequence[tuple[int, wire.PublicKey]], *, with_indices: bool
) -> tuple[int, list[wire.PublicKey]]:
    """Keys to ask for together and the first one's position: with indices, up to the first gap."""
    first = waiting[0][0]
    run = [key for n, (i, key) in enumerate(waiting) if not with_indices or i == first + n]
    return first, run


def _refused(error: RelayerRefusedError, keys: Sequence[wire.PublicKey]) -> Mapping[bytes, str]:
    """The validators of a request that the refusal names."""
    reasons = {item.public_key.lower(): item.reason for item in error.rejected}
    return {key: reasons[key.to_wire()] for key in keys if key.to_wire() in reasons}


def _take(
    answer: wire.ValidatorsAnswer, asked: Collection[wire.PublicKey], registration: Registration
) -> None:
    """Keep the shares of validators that were asked for."""
    wanted = set(asked)
    for validator in answer.validators:
        shares = validator.oracles_exit_signature_shares
        if shares is None or validator.public_key not in wanted:
            continue
        before = registration.shares.setdefault(validator.public_key, shares)
        if before != shares:
            key = validator.public_key.to_wire()
            raise ChangedAnswerError(f"the relayer's shares of {key} are not those it gave before")
