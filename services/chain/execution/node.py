"""An execution node over JSON-RPC, with fallbacks: blocks, calls, logs.

A node is believed about the chain, but about nothing else: what it sends is bounded, read strictly and
checked against what was asked.

Sources: execution-apis (methods), EIP-1474 (errors), EIP-1898 (a block named by its hash).
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from ...process.offload import UnavailableError
from ...web.error_text import with_words
from .. import clock
from ..encoding import ADDRESS_BYTES, HASH_BYTES, read_data, read_quantity, shown, write_data, write_quantity
from ..endpoints import (
    PAUSE_LONGEST_SECONDS,
    PAUSES,
    Endpoint,
    EndpointError,
    Endpoints,
    NoAnswerInTimeError,
    SessionClient,
    TooLongError,
    exchange,
)

ANSWER_LIMIT_BYTES = 4 * 1024**2  # a block lists its transactions' hashes, 70 bytes each
LOGS_ANSWER_LIMIT_BYTES = 16 * 1024**2  # 10,000 DepositEvents; as text they hold the GIL for 15 ms
LOGS_LIMIT = 20_000  # in one range
THREAD_BYTES = 128 * 1024  # a longer answer is read on a thread
TOPICS_LIMIT = 4  # of one log
REVERT_DATA_LIMIT_BYTES = 4 * 1024
ERROR_CHARACTERS = 2000  # of an error's message that are looked at; patterns are searched for in them
SHOWN_BYTES = 100  # of an answer that is no JSON
CALLS = ("eth_call", "eth_estimateGas")  # what runs a contract
REVERTED_CODE = 3  # as go-ethereum says that a call reverted
# Statuses that are about the endpoint, not about the request, whatever their body says.
UNAVAILABLE_STATUSES = frozenset({401, 402, 403, 429, 502, 503, 504})
TOO_LARGE_STATUS = 413
# As nodes, and what stands before them, answer to what is too much at once.
TOO_MUCH_STATUSES = frozenset({400, TOO_LARGE_STATUS, 500, 502, 504})
SLOW_RANGES = 3  # in one request for logs, before the next one begins with the smaller ranges
SLOW_FACTOR = 4  # a range that took too long is cut into so many
GROW_AFTER = 16  # ranges that were given, until more is asked for at once: one dense range is not the rule
LIMIT_EXCEEDED_CODE = -32005  # EIP-1474; of the rate, or of the range
RATE_LIMIT_CODES = frozenset({429, -32029, -32090})
RATE_WORDS = re.compile(
    r"rate.?limit|too many requests|requests? limit|per (second|minute|day)|throttl|quota|slow down|credits"
)
RANGE_WORDS = re.compile(r"range|block|result|response|size|logs|returned")
PRUNED_CODE = 4444  # execution-apis, "pruned history unavailable"
PRUNED_WORDS = re.compile(
    r"prune|histor(y|ical).*(not|un)\s?available|missing trie node|before the (first|earliest)"
)
PROBED_BLOCKS = 1000  # a range this long is old; what is new is never pruned
PRUNED = "it has pruned logs this old; name a node that keeps them (docs/deposits.md, Nodes)"

Tag: TypeAlias = Literal["latest", "safe", "finalized", "earliest"]
T = TypeVar("T")


class NodeError(EndpointError):
    """No node answers as it should; the message has the reason of each, without secrets."""


class PrunedError(EndpointError):
    """A node that no longer has what was asked for."""


class StaleNodeError(NodeError):
    """The nodes that answer are behind the chain, or the clock of this machine is wrong."""


class CallRevertedError(Exception):
    """A contract refuses a call; another node would say the same.

    Attributes:
        data: what the contract says, ABI-encoded; often empty.
    """

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class TooManyLogsError(UnavailableError):
    """A range of blocks has more logs than are kept in memory at once; a smaller one has fewer."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block, as far as anybody here wants to know it."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int  # seconds


@dataclass(frozen=True, slots=True)
class Log:
    """What a contract logged; `index` is its place in the block."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    index: int


class NodeClient(SessionClient):
    """An execution node, or several that stand in for each other; an async context manager.

    Each call asks the endpoints one after the other until one answers; see endpoints.py. An endpoint on
    another chain than the rest is left out for good.

    Args:
        endpoints: http(s) addresses in the order of preference. They may hold secrets: only scheme, host
            and port are ever logged.
        timeout_seconds: of one request to one endpoint.
        chain_id: the chain to be on; that of the first endpoint which answers when not given.
        logs_span_blocks: in how many blocks a node is asked for logs at once, at most; when not given, in as
            many as it gives.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        timeout_seconds: float,
        chain_id: int | None = None,
        logs_span_blocks: int | None = None,
    ) -> None:
        self._endpoints = Endpoints(endpoints, timeout_seconds=timeout_seconds, check=self._check_chain)
        super().__init__(timeout_seconds)
        self._chain_id = chain_id
        self._largest_span = logs_span_blocks
        self._spans: dict[Endpoint, _Span] = {}
        self._keeps_from: dict[Endpoint, int] = {}  # the first block whose logs it is known to have
        self._ids = itertools.count(1)

    @property
    def names(self) -> str:
        """What may be said of the endpoints."""
        return self._endpoints.names

    async def chain_id(self) -> int:
        """The id of the chain that the node is on."""

        async def ask(endpoint: Endpoint) -> int:
            return await self._request(endpoint, "eth_chainId", [], _read_quantity)

        return await self._first_able(ask)

    async def block(self, which: int | Tag) -> Block:
        """The block of that number or name; NodeError with `refused` when the nodes do not know it."""
        return await self._first_able(lambda endpoint: self._block(endpoint, which))

    async def require_block(self, number: int, block_hash: bytes) -> Block:
        """A final block; nodes that have another one there are passed over, and asked last from then on.

        Raises:
            NodeError: no node has it.
        """
        return await self._first_able(lambda endpoint: self._final_block(endpoint, number, block_hash))

    async def blocks(self, which: int | Tag) -> dict[str, Block]:
        """That block as each server on the chain has it, by name, for what one alone is not believed.

        Those that rest are asked, too; those that do not answer, or do not know it, are left out.
        """

        async def work(endpoint: Endpoint) -> tuple[str, Block]:
            return endpoint.name, await self._block(endpoint, which)

        async def one(alone: Endpoints) -> tuple[str, Block] | None:
            try:
                return await alone.first_able(work)
            except EndpointError:
                return None

        answers = await asyncio.gather(*map(one, self._endpoints.each_alone()))
        return dict(answer for answer in answers if answer is not None)

    async def require_fresh(self, max_age_seconds: float) -> Block:
        """The latest block of the first node whose latest block is no older than that.

        Raises:
            StaleNodeError: each node that answers is behind, so nothing it says of now can be relied on.
        """
        stale = []

        async def ask(endpoint: Endpoint) -> Block:
            block = await self._block(endpoint, "latest")
            age_seconds = round(clock.now_seconds()) - block.timestamp
            if abs(age_seconds) > max_age_seconds:
                error = endpoint.error(
                    f"expected a latest block of the last {max_age_seconds} s, got {block.number},"
                    f" {clock.age_in_words(age_seconds)}"
                )
                stale.append(error)
                raise error
            return block

        try:
            return await self._first_able(ask)
        except NodeError as error:
            raise StaleNodeError(str(error)) if stale else error from None

    async def call(
        self,
        to: bytes,
        data: bytes,
        *,
        block: Block | int | Tag,
        sender: bytes | None = None,
        value_wei: int = 0,
    ) -> bytes:
        """What a contract returns to a call that changes nothing.

        Args:
            block: the state to look at. A `Block` means that very block, on whichever node.
            sender: who calls; nobody in particular when not given.

        Raises:
            CallRevertedError: the contract refuses.
            NodeError: no node answers, or none has the state of that block.
        """
        call = {"to": write_data(to), "data": write_data(data)}
        if sender is not None:
            call |= {"from": write_data(sender), "value": write_quantity(value_wei)}
        return await self.ask("eth_call", [call, block_parameter(block)], _read_data)

    async def storage(self, contract: bytes, slot: int, *, block: Block) -> int:
        """The number that a contract has at a place of its storage.

        Raises:
            NodeError: no node answers, or none has the state of that block.
        """
        params = [write_data(contract), write_quantity(slot), block_parameter(block)]
        return int.from_bytes(await self.ask("eth_getStorageAt", params, _read_slot))

    async def ask(self, method: str, params: list[Any], read: Callable[[msgspec.Raw], T]) -> T:
        """What the first able endpoint answers to any method, as `read` reads it (ValueError is a refusal).

        Raises:
            CallRevertedError: a contract refuses.
            NodeError: no node answers.
        """
        return await self._first_able(lambda endpoint: self._request(endpoint, method, params, read))

    async def ask_each(
        self, method: str, params: list[Any], read: Callable[[msgspec.Raw], T]
    ) -> list[T | EndpointError]:
        """What each endpoint on the chain answers, or why it does not; for what one alone is not believed.

        Raises:
            CallRevertedError: a contract refuses.
        """

        return await self._endpoints.each(lambda endpoint: self._request(endpoint, method, params, read))

    async def each(
        self, work: Callable[[NodeClient], Awaitable[T]]
    ) -> tuple[list[tuple[str, T]], list[EndpointError]]:
        """Do something with each endpoint alone that does not rest; policies.py says whom to believe then.

        Args:
            work: given a client that asks this endpoint and no other.

        Returns:
            What came of it, with the endpoint's name; and why the others do not answer.

        Raises:
            CallRevertedError: a contract refuses.
            NodeError: all endpoints are left out.
        """

        async def one(name: str, endpoints: Endpoints) -> tuple[str, T] | EndpointError:
            alone = copy.copy(self)
            alone._endpoints = endpoints
            try:
                return name, await work(alone)
            except EndpointError as error:
                return error

        try:
            alone = self._endpoints.awake_alone()
        except EndpointError as error:
            raise NodeError(str(error)) from None
        found = await asyncio.gather(*(one(*each) for each in alone))
        answers = [each for each in found if not isinstance(each, EndpointError)]
        return answers, [each for each in found if isinstance(each, EndpointError)]

    async def logs(
        self,
        address: bytes,
        topics: Sequence[bytes] = (),
        *,
        first: int,
        last: Block,
        known: tuple[int, bytes] | None = None,
    ) -> list[Log]:
        """All logs of a contract in the blocks `first` to `last`, in the order of the chain.

        They come from one node, which has `last` in its chain before and after it is asked for them. When
        it refuses so many blocks at once it is asked for fewer. One that has pruned the logs of `first`, and
        does not say so, is passed over.

        Args:
            topics: the first topics wanted; all when empty.
            known: number and hash of a final block, which that node must have in its chain, too.

        Raises:
            TooManyLogsError: there are more than `LOGS_LIMIT`.
            NodeError: no node answers, or none has these blocks in its chain.
        """

        async def ask(endpoint: Endpoint) -> list[Log]:
            if known is not None:
                await self._final_block(endpoint, *known)
            await self._check_has(endpoint, last)
            if last.number - first >= PROBED_BLOCKS:
                await self._require_kept(endpoint, first)
            found = await self._all_logs(endpoint, address, topics, first, last.number)
            await self._check_has(endpoint, last)
            return found

        return await self._first_able(ask, takes_long=True) if first <= last.number else []

    async def _first_able(self, work: Callable[[Endpoint], Awaitable[T]], *, takes_long: bool = False) -> T:
        try:
            return await self._endpoints.first_able(work, takes_long=takes_long)
        except EndpointError as error:
            raise NodeError(
                str(error), refused=error.refused, status=error.status, pause_seconds=error.pause_seconds
            ) from None

    async def _check_chain(self, endpoint: Endpoint) -> None:
        chain_id = await self._request(endpoint, "eth_chainId", [], _read_quantity)
        if self._chain_id is None:
            self._chain_id = chain_id
        if chain_id != self._chain_id:
            raise endpoint.leave_out(f"expected chain {self._chain_id}, got {chain_id}")

    async def _block(self, endpoint: Endpoint, which: int | Tag) -> Block:
        params = [block_parameter(which), False]
        block = await self._request(endpoint, "eth_getBlockByNumber", params, _read_block)
        if block is None:
            raise endpoint.error(f"no block {which}", refused=True)
        if isinstance(which, int) and block.number != which:
            raise endpoint.error(f"expected block {which}, got {block.number}")
        return block

    async def _final_block(self, endpoint: Endpoint, number: int, block_hash: bytes) -> Block:
        block = await self._block(endpoint, number)
        if block.hash != block_hash:
            raise endpoint.error(f"expected block {number} as it was when it was final, got another")
        return block

    async def _check_has(self, endpoint: Endpoint, block: Block) -> None:
        if (await self._block(endpoint, block.number)).hash != block.hash:
            raise endpoint.error(f"block {block.number} is another one now", refused=True)

    async def _all_logs(
        self, endpoint: Endpoint, address: bytes, topics: Sequence[bytes], first: int, last: int
    ) -> list[Log]:
        found: list[Log] = []
        span = self._spans.setdefault(endpoint, _Span(self._largest_span))
        begin, slow, pauses = first, 0, 0
        while begin <= last:
            end = min(begin + span.blocks - 1, last) if span.blocks else last
            try:
                found += await self._logs(endpoint, address, topics, begin, end)
            except EndpointError as error:
                if error.pause_seconds is not None and pauses < PAUSES:
                    await asyncio.sleep(min(error.pause_seconds or 2.0**pauses, PAUSE_LONGEST_SECONDS))
                    pauses += 1
                    continue
                if not _is_too_much(error):
                    raise
                is_slow = isinstance(error, NoAnswerInTimeError)
                slow += is_slow
                span.refused(end - begin + 1, SLOW_FACTOR if is_slow else 2)
                if begin == end or slow >= SLOW_RANGES:
                    raise
                continue
            if len(found) > LOGS_LIMIT:
                raise TooManyLogsError(f"blocks {first} to {last}: expected at most {LOGS_LIMIT} logs")
            span.given(end - begin + 1)
            begin, pauses = end + 1, 0
        return found

    async def _require_kept(self, endpoint: Endpoint, number: int) -> None:
        """Refuse a node that tells of no logs in a block that has some by its header."""
        if self._keeps_from.get(endpoint, number + 1) <= number:
            return
        block, params = write_quantity(number), [write_quantity(number), False]
        bloom = await self._request(endpoint, "eth_getBlockByNumber", params, _read_logs_bloom)
        if not any(bloom):
            return
        try:
            wanted = [{"fromBlock": block, "toBlock": block}]
            limit = LOGS_ANSWER_LIMIT_BYTES
            count = await self._request(endpoint, "eth_getLogs", wanted, _count, limit_bytes=limit)
        except PrunedError:
            raise
        except EndpointError:
            return  # it does not like the question; that is no sign of anything
        if not count:
            raise endpoint.error(f"{PRUNED}: block {number} has some", refused=True, kind=PrunedError)
        self._keeps_from[endpoint] = number

    async def _logs(
        self, endpoint: Endpoint, address: bytes, topics: Sequence[bytes], first: int, last: int
    ) -> list[Log]:
        wanted: dict[str, Any] = {
            "address": write_data(address),
            "fromBlock": write_quantity(first),
            "toBlock": write_quantity(last),
        }
        if topics:
            wanted["topics"] = [[write_data(topic) for topic in topics]]

        def read(result: msgspec.Raw) -> list[Log]:
            return _read_logs(result, address, topics, range(first, last + 1))

        return await self._request(
            endpoint, "eth_getLogs", [wanted], read, limit_bytes=LOGS_ANSWER_LIMIT_BYTES
        )

    async def _request(
        self,
        endpoint: Endpoint,
        method: str,
        params: list[Any],
        read: Callable[[msgspec.Raw], T],
        *,
        limit_bytes: int = ANSWER_LIMIT_BYTES,
    ) -> T:
        number = next(self._ids)
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        got = await exchange(
            self._session, endpoint, "POST", endpoint.url, body=body, limit_bytes=limit_bytes
        )
        status, content = got.status, got.content

        def decode() -> T:
            answer = decode_result(content, _Answer)
            if answer.error is not None:
                raise _RpcAnswerError(answer.error)
            if answer.id != number:
                raise ValueError(f"expected the answer to request {number}, got another")
            return read(answer.result)

        if status in UNAVAILABLE_STATUSES:
            raise endpoint.error(with_words(f"{method}: HTTP {status}", content), status=status)
        try:
            value = await asyncio.to_thread(decode) if len(content) > THREAD_BYTES else decode()
        except _RpcAnswerError as error:
            if method in CALLS and error.is_revert:
                raise CallRevertedError(f"call reverted: {shown(error.message)}", error.data) from None
            what = f"{method}: {error.message} ({error.code})"
            if error.is_rate_limit:
                raise endpoint.error(what, pause_seconds=0.0) from None
            if method == "eth_getLogs" and error.is_pruned:
                what = f"{PRUNED}: {what}"
                raise endpoint.error(what, refused=True, kind=PrunedError) from None
            raise endpoint.error(what, refused=True) from None
        except ValueError as error:
            if status != 200:
                what = with_words(f"{method}: HTTP {status}", content)
                raise endpoint.error(what, refused=status == TOO_LARGE_STATUS, status=status) from None
            raise endpoint.error(f"{method}: {error}") from None
        return value


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


class _Block(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str


class _Bloom(msgspec.Struct, rename="camel"):
    logs_bloom: str = "0x"


class LogAnswer(msgspec.Struct, rename="camel"):
    """A log as nodes write it."""

    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    log_index: str
    removed: bool = False


class _RpcAnswerError(Exception):
    def __init__(self, error: _Error) -> None:
        self.code, self.message = error.code, error.message[:ERROR_CHARACTERS]
        self.data = b""
        if isinstance(error.data, str) and len(error.data) <= 2 * REVERT_DATA_LIMIT_BYTES:
            with suppress(ValueError):  # some nodes put words here
                self.data = read_data(error.data)

    @property
    def is_revert(self) -> bool:
        return self.code == REVERTED_CODE or "revert" in self.message.lower()

    @property
    def is_rate_limit(self) -> bool:
        """Whether it was asked too often, not for too much."""
        words = self.message.lower()
        if self.code in RATE_LIMIT_CODES or RATE_WORDS.search(words):
            return True
        return self.code == LIMIT_EXCEEDED_CODE and not RANGE_WORDS.search(words)

    @property
    def is_pruned(self) -> bool:
        return self.code == PRUNED_CODE or PRUNED_WORDS.search(self.message.lower()) is not None


class _Span:
    """How many blocks an endpoint is asked for logs in at once, as it was found out."""

    def __init__(self, largest: int | None) -> None:
        self._largest = largest
        self._given = 0  # in a row
        self.blocks = largest  # None: all that are wanted

    def refused(self, blocks: int, factor: int) -> None:
        """So many are too much."""
        self.blocks, self._given = max(blocks // factor, 1), 0

    def given(self, blocks: int) -> None:
        """So many are not."""
        if self.blocks is None or blocks < self.blocks:
            return
        self._given += 1
        if self._given >= GROW_AFTER:
            self.blocks, self._given = 2 * self.blocks, 0
            if self._largest is not None:
                self.blocks = min(self.blocks, self._largest)


def _is_too_much(error: EndpointError) -> bool:
    """Whether a smaller range may be given where this one was not."""
    if isinstance(error, PrunedError) or error.pause_seconds is not None:
        return False
    is_too_much = error.refused or error.status in TOO_MUCH_STATUSES
    return is_too_much or isinstance(error, TooLongError | NoAnswerInTimeError)


def block_parameter(block: Block | int | Tag) -> Any:
    """How a request names a block."""
    if isinstance(block, Block):
        return {"blockHash": write_data(block.hash), "requireCanonical": True}
    return write_quantity(block) if isinstance(block, int) else block


def decode_result(content: bytes | msgspec.Raw, kind: Any) -> Any:
    """Read JSON as msgspec does, with ValueError for all that can be wrong."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"not the JSON wanted: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ValueError(f"not JSON: {shown(bytes(content)[:SHOWN_BYTES].decode('latin-1'))}") from None


def _read_logs_bloom(result: msgspec.Raw) -> bytes:
    block = decode_result(result, _Bloom | None)
    return b"" if block is None else read_data(block.logs_bloom)


def _count(result: msgspec.Raw) -> int:
    return len(decode_result(result, list[msgspec.Raw]))


def _read_quantity(result: msgspec.Raw) -> int:
    return read_quantity(decode_result(result, str))


def _read_data(result: msgspec.Raw) -> bytes:
    return read_data(decode_result(result, str))


def _read_slot(result: msgspec.Raw) -> bytes:
    return read_data(decode_result(result, str), width=HASH_BYTES)


def _read_block(result: msgspec.Raw) -> Block | None:
    block = decode_result(result, _Block | None)
    if block is None:
        return None
    return Block(
        number=read_quantity(block.number),
        hash=read_data(block.hash, width=HASH_BYTES),
        parent_hash=read_data(block.parent_hash, width=HASH_BYTES),
        timestamp=read_quantity(block.timestamp),
    )


def _read_logs(result: msgspec.Raw, address: bytes, topics: Sequence[bytes], blocks: range) -> list[Log]:
    logs = [read_log(each) for each in decode_result(result, list[LogAnswer])]
    wanted = {(topic,) for topic in topics}
    for each in logs:
        if each.address != address or each.block_number not in blocks:
            raise ValueError("expected logs of the contract and blocks asked for, got others")
        if topics and each.topics[:1] not in wanted:
            raise ValueError("expected logs with the topics asked for, got others")
    logs.sort(key=lambda each: (each.block_number, each.index))
    if any((a.block_number, a.index) == (b.block_number, b.index) for a, b in itertools.pairwise(logs)):
        raise ValueError("expected each log once, got one twice")
    return logs


def read_log(each: LogAnswer) -> Log:
    """A log, read strictly; ValueError when it is none."""
    if len(each.topics) > TOPICS_LIMIT or each.removed:
        raise ValueError(f"expected logs of the chain with up to {TOPICS_LIMIT} topics")
    return Log(
        address=read_data(each.address, width=ADDRESS_BYTES),
        topics=tuple(read_data(topic, width=HASH_BYTES) for topic in each.topics),
        data=read_data(each.data),
        block_number=read_quantity(each.block_number),
        block_hash=read_data(each.block_hash, width=HASH_BYTES),
        index=read_quantity(each.log_index),
    )
