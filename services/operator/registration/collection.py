"""Ask a relayer for the oracle shares of validators until it has them all.

A relayer of others may give other shares each time: theirs splits an exit anew whenever one more node has
signed it. Each answer is a set of its own, so the newest one counts, and nothing is put together from two.
Nor does it know of start indices: whether it signs for those that are wanted, it only tells in `GET /exits`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from ... import wire
from ...relayer_client.client import (
    RelayerClient,
    RelayerRefusedError,
    RelayerUnavailableError,
    WrongNetworkError,
)

LISTING_ATTEMPTS = 3


class OtherIndicesError(Exception):
    """The relayer has exits signed for other validator indices than those that are wanted."""


@dataclass(frozen=True)
class Chunk:
    """Validators of one request, in the order of the deposit data; `start_index` is the first one's."""

    public_keys: tuple[wire.PublicKey, ...]
    start_index: int | None

    @property
    def indices(self) -> Iterator[tuple[wire.PublicKey, int | None]]:
        """The validators, each with the index that it is to have."""
        for i, key in enumerate(self.public_keys):
            yield key, None if self.start_index is None else self.start_index + i


@dataclass
class CollectedShares:
    """What the relayer answered so far.

    Attributes:
        shares: of the validators that are ready, as they were given last.
        refused: why the relayer does not serve a validator.
        indices_told: whether the relayer says that the exits are for the wanted indices. It is the
            relayer's word: only oracles can read what was signed.
    """

    shares: dict[bytes, wire.OraclesExitSignatureShares] = field(default_factory=dict)
    refused: dict[bytes, str] = field(default_factory=dict)
    indices_told: bool = False


def chunks_of(public_keys: Sequence[bytes], *, size: int, start_index: int | None) -> list[Chunk]:
    """Requests of at most `size` validators; with a start index, the i-th validator gets start + i."""
    keys = [wire.PublicKey(key) for key in public_keys]
    return [
        Chunk(tuple(keys[i : i + size]), None if start_index is None else start_index + i)
        for i in range(0, len(keys), size)
    ]


async def collect_shares(
    client: RelayerClient,
    chunks: Sequence[Chunk],
    *,
    network: str,
    poll_seconds: float,
    wait_seconds: float,
    progress: Callable[[int], None],
) -> CollectedShares:
    """Ask until every validator that the relayer serves is ready.

    Everything is asked for once before anything is waited for, so that all nodes sign at the same time.

    Args:
        wait_seconds: how long a relayer that can wait may hold back an answer until it is complete.
        progress: called with the number of validators that are ready.

    Raises:
        WrongNetworkError: the relayer serves another network.
        OtherIndicesError: the relayer says that it has exits signed for other indices.
        RelayerRefusedError: the relayer refuses for a reason that concerns no single validator.
    """
    served = (await client.info()).network
    if served != network:
        raise WrongNetworkError(f"the relayer serves {served}, the deposit data is for {network}")
    collected = CollectedShares()
    while True:
        goes_by_start = await _until_whole(
            client,
            chunks,
            collected,
            poll_seconds=poll_seconds,
            wait_seconds=wait_seconds,
            progress=progress,
        )
        if goes_by_start:
            collected.indices_told = True
            return collected
        # What is listed before and after all is given once more, that was signed.
        if not _is_listed(await _listing(client), chunks, collected):
            return collected
        if all([(await _ask(client, chunk, collected, 0)).is_whole for chunk in chunks]):
            collected.indices_told = _is_listed(await _listing(client), chunks, collected)
            return collected


async def _until_whole(
    client: RelayerClient,
    chunks: Sequence[Chunk],
    collected: CollectedShares,
    *,
    poll_seconds: float,
    wait_seconds: float,
    progress: Callable[[int], None],
) -> bool:
    """Ask until each request had all its shares in one answer; whether the relayer goes by start indices."""
    waiting: list[Chunk] = []
    goes_by_start = True
    for chunk in chunks:
        asked = await _ask(client, chunk, collected, 0)
        goes_by_start = goes_by_start and asked.goes_by_start
        if not asked.is_whole:
            waiting.append(chunk)
        progress(len(collected.shares))
    while waiting:
        still, seconds = [], wait_seconds  # for the first; when it is ready or does not become so, others are
        begin = monotonic()
        for chunk in waiting:
            asked = await _ask(client, chunk, collected, seconds)
            goes_by_start = goes_by_start and asked.goes_by_start
            if asked.is_whole:
                progress(len(collected.shares))
            else:
                still.append(chunk)
                seconds = 0
        waiting = still
        if waiting:
            await asyncio.sleep(max(0.0, poll_seconds - (monotonic() - begin)))
    return goes_by_start


@dataclass(frozen=True)
class _Asked:
    """What came of a chunk: whether all of it is ready, and for the indices that were asked for."""

    is_whole: bool
    goes_by_start: bool


async def _ask(
    client: RelayerClient, chunk: Chunk, collected: CollectedShares, wait_seconds: float
) -> _Asked:
    """Take what the relayer has of a chunk now; leave out what it refuses by name."""
    waiting = [(i, key) for i, key in enumerate(chunk.public_keys) if key not in collected.refused]
    is_whole = goes_by_start = True
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
            collected.refused |= refused
            for key in refused:
                collected.shares.pop(key, None)
            waiting = [(i, key) for i, key in waiting if key not in refused]
        else:
            is_whole = _take(answer, keys, collected) and is_whole
            goes_by_start = goes_by_start and start is not None and answer.validators_start_index == start
            waiting = waiting[len(keys) :]
    return _Asked(is_whole, goes_by_start)


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


def _take(answer: wire.ValidatorsAnswer, asked: Sequence[wire.PublicKey], collected: CollectedShares) -> bool:
    """Keep the shares of validators that were asked for in place of older ones; whether all have some."""
    given = {validator.public_key: validator.oracles_exit_signature_shares for validator in answer.validators}
    for key in asked:
        if shares := given.get(key):
            collected.shares[key] = shares
        else:
            collected.shares.pop(key, None)
    return all(key in collected.shares for key in asked)


async def _listing(client: RelayerClient) -> Mapping[bytes, int] | None:
    """For which index the relayer has each exit signed; None where it does not say."""
    try:
        exits = (await client.exits(attempts=LISTING_ATTEMPTS)).exits
    except (RelayerRefusedError, RelayerUnavailableError):
        return None
    return {exit_.public_key: exit_.validator_index for exit_ in exits}


def _is_listed(
    listing: Mapping[bytes, int] | None, chunks: Sequence[Chunk], collected: CollectedShares
) -> bool:
    """Whether the relayer says of all validators for which indices it has their exits signed.

    Raises:
        OtherIndicesError: it says others, or the same one of two.
    """
    if listing is None:
        return False
    keys: dict[int, wire.PublicKey] = {}
    for key, wanted in (each for chunk in chunks for each in chunk.indices if each[0] in collected.shares):
        index = listing.get(key)
        if index is None:
            return False
        if wanted is not None and index != wanted:
            raise OtherIndicesError(
                f"the relayer has the exit of {key.to_wire()} signed for validator index {index}, not"
                f" {wanted}: it chooses the indices itself. Wait until its next one is that of the first"
                f" validator, or let it choose{_all_at_once(chunks)}"
            )
        if (other := keys.setdefault(index, key)) != key:
            raise OtherIndicesError(
                f"the relayer has the exits of {other.to_wire()} and {key.to_wire()} signed for the same"
                f" validator index {index}{_all_at_once(chunks)}"
            )
    return True


def _all_at_once(chunks: Sequence[Chunk]) -> str:
    """A relayer that counts from its next index on does so in each request."""
    count = sum(len(chunk.public_keys) for chunk in chunks)
    return f"; it counts anew in each request, so ask for all in one of {count}" if len(chunks) > 1 else ""
