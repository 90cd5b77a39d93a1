"""What beacon nodes know of validators and of deposits that wait.

Source: beacon API v3: `POST /eth/v1/beacon/states/{state_id}/validators`,
`GET /eth/v1/beacon/states/{state_id}/pending_deposits`, likewise `pending_partial_withdrawals` and
`pending_consolidations`; `GET /eth/v1/beacon/blinded_blocks/head`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, WITHDRAWAL_CREDENTIALS_BYTES

from ..outgoing import joined
from ..saying import with_words
from .encoding import HASH_BYTES, read_data, write_data
from .endpoints import Endpoint, EndpointError, Endpoints, exchange, session

KEYS_AT_ONCE = 100  # some nodes take long, or refuse, above a few hundred
VALIDATOR_LIMIT_BYTES = 2048  # of the answer, for each key; some 500 are usual
BLOCK_LIMIT_BYTES = 8 * 1024**2
PENDING_LIMIT_BYTES = 256 * 1024**2  # half a million pending deposits
INDEX_BITS = 31  # of the highest index that is asked for; some nodes take no more
INDICES_AT_ONCE = 64
UINT64_LIMIT = 1 << 64
FAR_FUTURE_EPOCH = UINT64_LIMIT - 1  # consensus-specs, phase0/beacon-chain.md
UINT64_DIGITS = 20

T = TypeVar("T")

# Source: beacon API, ValidatorStatus.
EXITED_STATUSES = frozenset({"exited_unslashed", "exited_slashed", "withdrawal_possible", "withdrawal_done"})
ACTIVE_STATUS = "active_ongoing"  # neither exiting nor slashed
WAITING_STATUSES = frozenset({"pending_initialized", "pending_queued"})
STATUSES = EXITED_STATUSES | WAITING_STATUSES | {ACTIVE_STATUS, "active_exiting", "active_slashed"}


class BeaconError(EndpointError):
    """No beacon node tells."""


@dataclass(frozen=True)
class BeaconValidator:
    """A validator in the state of the head."""

    index: int
    has_exited: bool


@dataclass(frozen=True)
class ValidatorDetails:
    """A validator in a state, with all that decides what may be done with it.

    Attributes:
        status: one of `STATUSES`.
        activation_epoch, exit_epoch: `FAR_FUTURE_EPOCH` while there is none.
    """

    index: int
    status: str
    balance_gwei: int
    withdrawal_credentials: bytes
    is_slashed: bool
    activation_epoch: int
    exit_epoch: int


@dataclass(frozen=True)
class PendingWithdrawal:
    """A part of a validator's balance that is to be paid out."""

    validator_index: int
    amount_gwei: int


@dataclass(frozen=True)
class PendingConsolidation:
    """A validator whose stake is to move to another one."""

    source_index: int
    target_index: int


@dataclass(frozen=True)
class BeaconHead:
    """The latest block of the beacon chain, and of the execution chain in it."""

    slot: int
    state_root: bytes
    block_number: int
    block_hash: bytes


@dataclass(frozen=True)
class PendingDeposit:
    """A deposit that the beacon chain knows of and has not applied."""

    public_key: bytes
    withdrawal_credentials: bytes
    amount_gwei: int
    signature: bytes


class _Details(msgspec.Struct):
    pubkey: str


class _Validator(msgspec.Struct):
    index: str
    status: str
    validator: _Details


class _Validators(msgspec.Struct):
    data: list[_Validator]


class _AllDetails(msgspec.Struct):
    pubkey: str
    withdrawal_credentials: str
    slashed: bool
    activation_epoch: str
    exit_epoch: str


class _DetailedValidator(msgspec.Struct):
    index: str
    balance: str
    status: str
    validator: _AllDetails


class _DetailedValidators(msgspec.Struct):
    data: list[_DetailedValidator]
    execution_optimistic: bool = False


class _Withdrawal(msgspec.Struct):
    validator_index: str
    amount: str


class _Withdrawals(msgspec.Struct):
    data: list[_Withdrawal]
    execution_optimistic: bool = False


class _Consolidation(msgspec.Struct):
    source_index: str
    target_index: str


class _Consolidations(msgspec.Struct):
    data: list[_Consolidation]
    execution_optimistic: bool = False


class _Deposit(msgspec.Struct):
    pubkey: str
    withdrawal_credentials: str
    amount: str
    signature: str


class _Deposits(msgspec.Struct):
    data: list[_Deposit]
    execution_optimistic: bool = False


class _Payload(msgspec.Struct):
    block_number: str
    block_hash: str


class _Body(msgspec.Struct):
    execution_payload_header: _Payload


class _Message(msgspec.Struct):
    slot: str
    state_root: str
    body: _Body


class _Signed(msgspec.Struct):
    message: _Message


class _Block(msgspec.Struct):
    data: _Signed
    execution_optimistic: bool = False


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

    async def validators(
        self, public_keys: Sequence[bytes], *, state: str = "head"
    ) -> dict[bytes, BeaconValidator]:
        """Those of these validators that are on the beacon chain, by public key.

        Args:
            state: "head", or the root of a recent state.

        Raises:
            BeaconError: no node answers, or not as it should.
        """
        found: dict[bytes, BeaconValidator] = {}
        for begin in range(0, len(public_keys), KEYS_AT_ONCE):
            some = public_keys[begin : begin + KEYS_AT_ONCE]
            wanted = frozenset(some)

            def read(content: bytes, wanted: frozenset[bytes] = wanted) -> dict[bytes, BeaconValidator]:
                validators = _read_validators(content)
                if not validators.keys() <= wanted:
                    raise ValueError("tells of validators that it was not asked for")
                return validators

            found |= await self._validators(state, [write_data(key) for key in some], read)
        return found

    async def details(self, public_keys: Sequence[bytes], *, state: str) -> dict[bytes, ValidatorDetails]:
        """The same with all that decides what may be done with a validator.

        Raises:
            BeaconError: no node answers, or not as it should, or its execution node is behind.
        """
        found: dict[bytes, ValidatorDetails] = {}
        for begin in range(0, len(public_keys), KEYS_AT_ONCE):
            some = public_keys[begin : begin + KEYS_AT_ONCE]
            wanted = frozenset(some)

            def read(content: bytes, wanted: frozenset[bytes] = wanted) -> dict[bytes, ValidatorDetails]:
                validators = _read_details(content)
                if not validators.keys() <= wanted:
                    raise ValueError("tells of validators that it was not asked for")
                return validators

            found |= await self._validators(state, [write_data(key) for key in some], read)
        return found

    async def public_keys(self, indices: Sequence[int], *, state: str = "head") -> dict[int, bytes]:
        """The keys of those of these validators that are on the beacon chain, by index.

        Raises:
            BeaconError: no node answers, or not as it should.
        """
        found: dict[int, bytes] = {}
        for begin in range(0, len(indices), KEYS_AT_ONCE):
            some = indices[begin : begin + KEYS_AT_ONCE]
            wanted = frozenset(some)

            def read(content: bytes, wanted: frozenset[int] = wanted) -> dict[int, bytes]:
                keys = {each.index: key for key, each in _read_validators(content).items()}
                if not keys.keys() <= wanted:
                    raise ValueError("tells of validators that it was not asked for")
                return keys

            found |= await self._validators(state, [str(index) for index in some], read)
        return found

    async def validator_count(self, state: str) -> int:
        """How many validators there are in a state, whatever became of them; their indices have no gaps.

        Cost: six requests, none of which lists more than 64 validators.

        Raises:
            BeaconError: no node answers, or not as it should.
        """
        low, high = 0, 1 << INDEX_BITS  # there are at least `low`, and fewer than `high`
        indices = [(1 << bits) - 1 for bits in range(INDEX_BITS + 1)]
        while True:
            there = await self._indices(state, indices)
            missing = [index for index in indices if index not in there]
            low = max([low, *(index + 1 for index in there)])
            high = min([high, *missing])
            if low >= high:
                break
            step = -(-(high - low) // INDICES_AT_ONCE)
            indices = list(range(low, high, step))
        if low > high:
            raise BeaconError(f"beacon: expected validators without gaps, got {low - 1} but not {high}")
        return low

    async def pending_deposits(self, state: str) -> list[PendingDeposit]:
        """The deposits that a state has not applied yet, in their order.

        Raises:
            BeaconError: no node answers, or not as it should; an old node knows none.
        """
        path = f"eth/v1/beacon/states/{state}/pending_deposits"
        return await self._ask("GET", path, _read_deposits, limit_bytes=PENDING_LIMIT_BYTES)

    async def pending_withdrawals(self, state: str) -> list[PendingWithdrawal]:
        """The partial withdrawals that wait in a state, in their order; raises as `pending_deposits`."""
        path = f"eth/v1/beacon/states/{state}/pending_partial_withdrawals"
        return await self._ask("GET", path, _read_withdrawals, limit_bytes=PENDING_LIMIT_BYTES)

    async def pending_consolidations(self, state: str) -> list[PendingConsolidation]:
        """The consolidations that wait in a state, in their order; raises as `pending_deposits`."""
        path = f"eth/v1/beacon/states/{state}/pending_consolidations"
        return await self._ask("GET", path, _read_consolidations, limit_bytes=PENDING_LIMIT_BYTES)

    async def head(self, *, first_slot: int = 0) -> BeaconHead:
        """The latest block of the first node that has one since a slot.

        Raises:
            BeaconError: no node answers, or not as it should, or each is behind, or its execution node is.
        """

        def read(content: bytes) -> BeaconHead:
            head = _read_head(content)
            if head.slot < first_slot:
                raise ValueError(
                    f"expected a head of now, from slot {first_slot} on, got slot {head.slot}: the node is"
                    " behind, or the clock of this machine is ahead"
                )
            return head

        return await self._ask(
            "GET", "eth/v1/beacon/blinded_blocks/head", read, limit_bytes=BLOCK_LIMIT_BYTES
        )

    async def _indices(self, state: str, indices: Sequence[int]) -> set[int]:
        """Which of these validator indices there are."""

        def read(content: bytes) -> set[int]:
            found = {validator.index for validator in _read_validators(content).values()}
            if not found <= set(indices):
                raise ValueError("tells of validators that it was not asked for")
            return found

        return await self._validators(state, [str(index) for index in indices], read)

    async def _validators(self, state: str, ids: Sequence[str], read: Callable[[bytes], T]) -> T:
        body = msgspec.json.encode({"ids": ids})
        limit = VALIDATOR_LIMIT_BYTES * (len(ids) + 1)
        path = f"eth/v1/beacon/states/{state}/validators"
        return await self._ask("POST", path, read, body=body, limit_bytes=limit)

    async def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], T],
        *,
        limit_bytes: int,
        body: bytes | None = None,
    ) -> T:
        async def ask(endpoint: Endpoint) -> T:
            url = joined(endpoint.url, path)
            status, content = await exchange(
                self._session, endpoint, method, url, body=body, limit_bytes=limit_bytes
            )
            if status != 200:
                raise endpoint.error(with_words(f"{path}: HTTP {status}", content), status=status)
            try:
                return await asyncio.to_thread(read, content)
            except ValueError as error:
                raise endpoint.error(f"{path}: {error}") from None

        try:
            return await self._endpoints.first_able(ask)
        except EndpointError as error:
            raise BeaconError(f"beacon: {error}", refused=error.refused) from None


def _decode(content: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read_validators(content: bytes) -> dict[bytes, BeaconValidator]:
    found = {}
    for item in _decode(content, _Validators).data:
        key = read_data(item.validator.pubkey, width=PUBLIC_KEY_BYTES)
        found[key] = BeaconValidator(_uint64("index", item.index), item.status in EXITED_STATUSES)
    return found


def _read_details(content: bytes) -> dict[bytes, ValidatorDetails]:
    answer = _decode(content, _DetailedValidators)
    _require_judged(answer.execution_optimistic)
    return {
        read_data(item.validator.pubkey, width=PUBLIC_KEY_BYTES): ValidatorDetails(
            index=_uint64("index", item.index),
            status=_status(item.status),
            balance_gwei=_uint64("balance", item.balance),
            withdrawal_credentials=read_data(
                item.validator.withdrawal_credentials, width=WITHDRAWAL_CREDENTIALS_BYTES
            ),
            is_slashed=item.validator.slashed,
            activation_epoch=_uint64("activation_epoch", item.validator.activation_epoch),
            exit_epoch=_uint64("exit_epoch", item.validator.exit_epoch),
        )
        for item in answer.data
    }


def _read_withdrawals(content: bytes) -> list[PendingWithdrawal]:
    answer = _decode(content, _Withdrawals)
    _require_judged(answer.execution_optimistic)
    return [
        PendingWithdrawal(_uint64("validator_index", item.validator_index), _uint64("amount", item.amount))
        for item in answer.data
    ]


def _read_consolidations(content: bytes) -> list[PendingConsolidation]:
    answer = _decode(content, _Consolidations)
    _require_judged(answer.execution_optimistic)
    return [
        PendingConsolidation(
            _uint64("source_index", item.source_index), _uint64("target_index", item.target_index)
        )
        for item in answer.data
    ]


def _read_deposits(content: bytes) -> list[PendingDeposit]:
    answer = _decode(content, _Deposits)
    _require_judged(answer.execution_optimistic)
    return [
        PendingDeposit(
            public_key=read_data(item.pubkey, width=PUBLIC_KEY_BYTES),
            withdrawal_credentials=read_data(item.withdrawal_credentials, width=WITHDRAWAL_CREDENTIALS_BYTES),
            amount_gwei=_uint64("amount", item.amount),
            signature=read_data(item.signature, width=SIGNATURE_BYTES),
        )
        for item in answer.data
    ]


def _read_head(content: bytes) -> BeaconHead:
    answer = _decode(content, _Block)
    _require_judged(answer.execution_optimistic)
    message, payload = answer.data.message, answer.data.message.body.execution_payload_header
    return BeaconHead(
        slot=_uint64("slot", message.slot),
        state_root=read_data(message.state_root, width=HASH_BYTES),
        block_number=_uint64("block_number", payload.block_number),
        block_hash=read_data(payload.block_hash, width=HASH_BYTES),
    )


def _require_judged(is_optimistic: bool) -> None:
    if is_optimistic:
        raise ValueError("the node's execution node is behind")


def _status(value: str) -> str:
    if value not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(sorted(STATUSES))}")
    return value


def _uint64(name: str, value: str) -> int:
    is_integer = value.isascii() and value.isdigit() and len(value) <= UINT64_DIGITS
    if not is_integer or int(value) >= UINT64_LIMIT:
        raise ValueError(f"{name}: expected an integer in 0..2^64-1")
    return int(value)
