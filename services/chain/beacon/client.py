"""What beacon nodes know of validators and of deposits that wait.

Source: beacon API v3: `POST /eth/v1/beacon/states/{state_id}/validators`,
`GET /eth/v1/beacon/states/{state_id}/pending_deposits`, likewise `pending_partial_withdrawals` and
`pending_consolidations`; `GET /eth/v1/beacon/blinded_blocks/head`; `GET /eth/v1/beacon/genesis` and
`GET /eth/v1/config/deposit_contract`. A node without the former is asked `GET` for validators, and
`GET /eth/v2/beacon/blocks/head`.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import msgspec

from dvtfast import Network
from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, WITHDRAWAL_CREDENTIALS_BYTES
from dvtfast.networks import NETWORKS

from ...web.error_text import with_words
from ...web.outgoing import joined
from ..encoding import ADDRESS_BYTES, HASH_BYTES, read_address, read_data, write_address, write_data
from ..endpoints import Endpoint, EndpointError, Endpoints, SessionClient, exchange
from .answers import FORK_VERSION_BYTES, UINT64_LIMIT, decoded, uint64

KEYS_AT_ONCE = 100  # some nodes take long, or refuse, above a few hundred
VALIDATOR_LIMIT_BYTES = 2048  # of the answer, for each key; some 500 are usual
KEYS_IN_ADDRESS = 30  # of a GET; some servers take no more than 4 kB of an address
BLOCK_LIMIT_BYTES = 8 * 1024**2  # without the transactions
FULL_BLOCK_LIMIT_BYTES = 64 * 1024**2
CONFIG_LIMIT_BYTES = 1024**2
NO_ROUTE_STATUSES = frozenset({400, 404, 405, 415, 501})  # as nodes and gateways say that they lack one
PENDING_LIMIT_BYTES = 256 * 1024**2  # half a million pending deposits
INDEX_BITS = 31  # of the highest index that is asked for; some nodes take no more
INDICES_AT_ONCE = 64
FAR_FUTURE_EPOCH = UINT64_LIMIT - 1  # consensus-specs, phase0/beacon-chain.md

T = TypeVar("T")
K = TypeVar("K", bytes, int)

# Source: beacon API, ValidatorStatus.
WITHDRAWABLE_STATUSES = frozenset({"withdrawal_possible", "withdrawal_done"})
EXITED_STATUSES = WITHDRAWABLE_STATUSES | {"exited_unslashed", "exited_slashed"}
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
        effective_balance_gwei: what the balance was when it last changed by so much that it counts.
        activation_epoch, exit_epoch: `FAR_FUTURE_EPOCH` while there is none.
    """

    index: int
    status: str
    balance_gwei: int = field(compare=False)  # another one with each block
    effective_balance_gwei: int
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
    effective_balance: str
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


class _FullBody(msgspec.Struct):
    execution_payload: _Payload


class _FullMessage(msgspec.Struct):
    slot: str
    state_root: str
    body: _FullBody


class _FullSigned(msgspec.Struct):
    message: _FullMessage


class _FullBlock(msgspec.Struct):
    data: _FullSigned
    execution_optimistic: bool = False


class _GenesisData(msgspec.Struct):
    genesis_validators_root: str
    genesis_fork_version: str


class _Genesis(msgspec.Struct):
    data: _GenesisData


class _ContractData(msgspec.Struct):
    chain_id: str
    address: str


class _Contract(msgspec.Struct):
    data: _ContractData


class _SpecData(msgspec.Struct):
    chain_id: str = msgspec.field(name="DEPOSIT_CHAIN_ID")
    address: str = msgspec.field(name="DEPOSIT_CONTRACT_ADDRESS")


class _Spec(msgspec.Struct):
    data: _SpecData


class BeaconClient(SessionClient):
    """Beacon nodes that stand in for each other; an async context manager.

    Args:
        endpoints: in the order of preference. They may hold secrets: only scheme, host and port are logged.
        network: the one that they must be on; a node of another one is left out for good.
    """

    keys_at_once = KEYS_AT_ONCE

    def __init__(self, endpoints: Sequence[str], *, timeout_seconds: float, network: Network | None) -> None:
        self._endpoints = Endpoints(endpoints, timeout_seconds=timeout_seconds, check=self._check_chain)
        super().__init__(timeout_seconds)
        self._network = network
        self._without_post: set[Endpoint] = set()
        self._without_blinded: set[Endpoint] = set()

    @property
    def names(self) -> str:
        """What may be said of the nodes."""
        return self._endpoints.names

    def each_alone(self) -> list[BeaconClient]:
        """Each node, as if there were no other; inside the context of this client."""
        return [self._with(endpoints) for endpoints in self._endpoints.each_alone()]

    def awake(self) -> set[str]:
        """The names of those that answered a moment ago, or of all when none did.

        Raises:
            BeaconError: all are left out.
        """
        try:
            return {name for name, _ in self._endpoints.awake_alone()}
        except EndpointError as error:
            raise BeaconError(f"beacon: {error}") from None

    async def validators(
        self, public_keys: Sequence[bytes], *, state: str = "head"
    ) -> dict[bytes, BeaconValidator]:
        """Those of these validators that are on the beacon chain, by public key.

        Args:
            state: "head", or the root of a recent state.

        Raises:
            BeaconError: no node answers, or not as it should.
        """
        return await self._asked_for(public_keys, write_data, _read_validators, state)

    async def details(self, public_keys: Sequence[bytes], *, state: str) -> dict[bytes, ValidatorDetails]:
        """The same with all that decides what may be done with a validator.

        Raises:
            BeaconError: no node answers, or not as it should, or its execution node is behind.
        """
        return await self._asked_for(public_keys, write_data, _read_details, state)

    async def details_by_index(self, indices: Sequence[int], *, state: str) -> dict[int, ValidatorDetails]:
        """The same of validators of which only the index is known; all of them, by index.

        Raises:
            BeaconError: as `details`; or there is no such validator.
        """

        def read(content: bytes) -> dict[int, ValidatorDetails]:
            return {each.index: each for each in _read_details(content).values()}

        found = await self._asked_for(indices, str, read, state)
        if missing := set(indices) - found.keys():
            raise BeaconError(f"beacon: expected a validator {min(missing)}, which others wait for")
        return found

    async def public_keys(self, indices: Sequence[int], *, state: str = "head") -> dict[int, bytes]:
        """The keys of those of these validators that are on the beacon chain, by index.

        Raises:
            BeaconError: no node answers, or not as it should.
        """

        def read(content: bytes) -> dict[int, bytes]:
            return {each.index: key for key, each in _read_validators(content).items()}

        return await self._asked_for(indices, str, read, state)

    async def validator_count(self, state: str) -> int:
        """How many validators there are in a state, whatever became of them; their indices have no gaps.

        Cost: six requests, none of which lists more than 64 validators.

        Raises:
            BeaconError: no node answers, or not as it should.
        """
        low, high = 0, 1 << INDEX_BITS  # there are at least `low`, and fewer than `high`
        indices = [(1 << bits) - 1 for bits in range(INDEX_BITS + 1)]
        while True:
            there = await self.public_keys(indices, state=state)
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
        return await self._pending("pending_deposits", state, _read_deposits)

    async def pending_withdrawals(self, state: str) -> list[PendingWithdrawal]:
        """The partial withdrawals that wait in a state, in their order; raises as `pending_deposits`."""
        return await self._pending("pending_partial_withdrawals", state, _read_withdrawals)

    async def pending_consolidations(self, state: str) -> list[PendingConsolidation]:
        """The consolidations that wait in a state, in their order; raises as `pending_deposits`."""
        return await self._pending("pending_consolidations", state, _read_consolidations)

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

        async def blinded(endpoint: Endpoint) -> BeaconHead:
            path = "eth/v1/beacon/blinded_blocks/head"
            return await self._once(endpoint, "GET", path, read, limit_bytes=BLOCK_LIMIT_BYTES)

        async def full(endpoint: Endpoint) -> BeaconHead:
            path = "eth/v2/beacon/blocks/head"
            return await self._once(endpoint, "GET", path, read, limit_bytes=FULL_BLOCK_LIMIT_BYTES)

        return await self._first_able(lambda endpoint: _or(blinded, full, endpoint, self._without_blinded))

    async def _asked_for(
        self, wanted: Sequence[K], text: Callable[[K], str], read: Callable[[bytes], dict[K, T]], state: str
    ) -> dict[K, T]:
        """What `read` makes of those that are there, of so many at once; of others nothing is believed."""
        found: dict[K, T] = {}
        for begin in range(0, len(wanted), self.keys_at_once):
            some = wanted[begin : begin + self.keys_at_once]
            ids = [text(each) for each in some]
            for part in await self._validators(state, ids, partial(_only, read, frozenset(some))):
                found |= part
        return found

    async def _validators(self, state: str, ids: Sequence[str], read: Callable[[bytes], T]) -> list[T]:
        """What `read` makes of the answer, or of its parts."""
        path = f"eth/v1/beacon/states/{state}/validators"

        async def post(endpoint: Endpoint) -> list[T]:
            body = msgspec.json.encode({"ids": ids})
            limit = VALIDATOR_LIMIT_BYTES * (len(ids) + 1)
            return [await self._once(endpoint, "POST", path, read, body=body, limit_bytes=limit)]

        async def get(endpoint: Endpoint) -> list[T]:
            found = []
            for begin in range(0, len(ids), KEYS_IN_ADDRESS):
                some = ids[begin : begin + KEYS_IN_ADDRESS]
                limit, query = VALIDATOR_LIMIT_BYTES * (len(some) + 1), "id=" + ",".join(some)
                found.append(await self._once(endpoint, "GET", path, read, query=query, limit_bytes=limit))
            return found

        return await self._agreed_or_first(lambda endpoint: _or(post, get, endpoint, self._without_post))

    async def _pending(self, what: str, state: str, read: Callable[[bytes], T]) -> T:
        path = f"eth/v1/beacon/states/{state}/{what}"

        async def ask(endpoint: Endpoint) -> T:
            try:
                return await self._once(endpoint, "GET", path, read, limit_bytes=PENDING_LIMIT_BYTES)
            except EndpointError as error:
                if error.status not in NO_ROUTE_STATUSES:
                    raise
                why = f"it lacks that state, or knows no {what}, as nodes do since Electra"
                raise EndpointError(
                    f"{error}: {why}; update it, or name another one", status=error.status
                ) from None

        return await self._first_able(ask)

    async def _check_chain(self, endpoint: Endpoint) -> None:
        """That it is on the network: the genesis, and the contract whose deposits it counts."""
        network = self._network
        assert network is not None  # who knows none checks in another way
        root, version = await self._once(
            endpoint, "GET", "eth/v1/beacon/genesis", _read_genesis, limit_bytes=CONFIG_LIMIT_BYTES
        )
        if (root, version) != (network.genesis_validators_root, network.genesis_fork_version):
            names = {each.genesis_validators_root: each.name for each in NETWORKS.values()}
            got = names.get(root, f"genesis validators root {write_data(root)}")
            raise endpoint.leave_out(f"expected a beacon node of {network.name}, got one of {got}")
        contract = await self._contract(endpoint)
        wanted = network.chain_id, read_address(network.deposit_contract)
        if contract is not None and contract != wanted:
            raise endpoint.leave_out(
                f"expected the deposit contract {network.deposit_contract} of chain {network.chain_id}, got"
                f" {write_address(contract[1])} of chain {contract[0]}"
            )

    async def _contract(self, endpoint: Endpoint) -> tuple[int, bytes] | None:
        """Chain and address of the deposit contract; None where a node has no route that tells."""
        for path, read in (
            ("eth/v1/config/deposit_contract", _read_contract),
            ("eth/v1/config/spec", _read_spec),
        ):
            try:
                return await self._once(endpoint, "GET", path, read, limit_bytes=CONFIG_LIMIT_BYTES)
            except EndpointError as error:
                if error.status not in NO_ROUTE_STATUSES:
                    raise
        return None

    async def _once(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        read: Callable[[bytes], T],
        *,
        limit_bytes: int,
        body: bytes | None = None,
        query: str = "",
    ) -> T:
        url = joined(endpoint.url, path, query)
        answer = await exchange(self._session, endpoint, method, url, body=body, limit_bytes=limit_bytes)
        if answer.status != 200:
            words = with_words(f"{path}: HTTP {answer.status}", answer.content)
            raise endpoint.error(words, status=answer.status)
        try:
            return await asyncio.to_thread(read, answer.content)
        except ValueError as error:
            raise endpoint.error(f"{path}: {error}") from None

    async def _first_able(self, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        try:
            return await self._endpoints.first_able(work)
        except EndpointError as error:
            raise BeaconError(
                f"beacon: {error}",
                refused=error.refused,
                status=error.status,
                pause_seconds=error.pause_seconds,
            ) from None

    async def _agreed_or_first(self, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Where several are asked at once, what two say alike; here it is one after the other."""
        return await self._first_able(work)

    def _with(self, endpoints: Endpoints) -> BeaconClient:
        one = copy.copy(self)
        one._endpoints = endpoints
        return one


async def _or(
    usual: Callable[[Endpoint], Awaitable[T]],
    other: Callable[[Endpoint], Awaitable[T]],
    endpoint: Endpoint,
    without: set[Endpoint],
) -> T:
    """The other way where an endpoint has no route for the usual one, as those that are in `without`."""
    if endpoint in without:
        return await other(endpoint)
    try:
        return await usual(endpoint)
    except EndpointError as error:
        if error.status not in NO_ROUTE_STATUSES:
            raise
        try:
            found = await other(endpoint)
        except EndpointError:
            raise error from None
        without.add(endpoint)
        return found


def _only(read: Callable[[bytes], dict[K, T]], allowed: frozenset[K], content: bytes) -> dict[K, T]:
    told = read(content)
    if not told.keys() <= allowed:
        raise ValueError("tells of validators that it was not asked for")
    return told


def _read_validators(content: bytes) -> dict[bytes, BeaconValidator]:
    found = {}
    for item in decoded(content, _Validators).data:
        key = read_data(item.validator.pubkey, width=PUBLIC_KEY_BYTES)
        found[key] = BeaconValidator(uint64("index", item.index), item.status in EXITED_STATUSES)
    return found


def _read_details(content: bytes) -> dict[bytes, ValidatorDetails]:
    answer = decoded(content, _DetailedValidators)
    _require_judged(answer.execution_optimistic)
    return {
        read_data(item.validator.pubkey, width=PUBLIC_KEY_BYTES): ValidatorDetails(
            index=uint64("index", item.index),
            status=_status(item.status),
            balance_gwei=uint64("balance", item.balance),
            effective_balance_gwei=uint64("effective_balance", item.validator.effective_balance),
            withdrawal_credentials=read_data(
                item.validator.withdrawal_credentials, width=WITHDRAWAL_CREDENTIALS_BYTES
            ),
            is_slashed=item.validator.slashed,
            activation_epoch=uint64("activation_epoch", item.validator.activation_epoch),
            exit_epoch=uint64("exit_epoch", item.validator.exit_epoch),
        )
        for item in answer.data
    }


def _read_withdrawals(content: bytes) -> list[PendingWithdrawal]:
    answer = decoded(content, _Withdrawals)
    _require_judged(answer.execution_optimistic)
    return [
        PendingWithdrawal(uint64("validator_index", item.validator_index), uint64("amount", item.amount))
        for item in answer.data
    ]


def _read_consolidations(content: bytes) -> list[PendingConsolidation]:
    answer = decoded(content, _Consolidations)
    _require_judged(answer.execution_optimistic)
    return [
        PendingConsolidation(
            uint64("source_index", item.source_index), uint64("target_index", item.target_index)
        )
        for item in answer.data
    ]


def _read_deposits(content: bytes) -> list[PendingDeposit]:
    answer = decoded(content, _Deposits)
    _require_judged(answer.execution_optimistic)
    return [
        PendingDeposit(
            public_key=read_data(item.pubkey, width=PUBLIC_KEY_BYTES),
            withdrawal_credentials=read_data(item.withdrawal_credentials, width=WITHDRAWAL_CREDENTIALS_BYTES),
            amount_gwei=uint64("amount", item.amount),
            signature=read_data(item.signature, width=SIGNATURE_BYTES),
        )
        for item in answer.data
    ]


def _read_head(content: bytes) -> BeaconHead:
    """Of a block with its transactions, or without them."""
    try:
        answer = decoded(content, _Block)
        payload = answer.data.message.body.execution_payload_header
    except msgspec.ValidationError as error:
        try:
            answer = decoded(content, _FullBlock)
        except msgspec.ValidationError:
            raise error from None
        payload = answer.data.message.body.execution_payload
    _require_judged(answer.execution_optimistic)
    message = answer.data.message
    return BeaconHead(
        slot=uint64("slot", message.slot),
        state_root=read_data(message.state_root, width=HASH_BYTES),
        block_number=uint64("block_number", payload.block_number),
        block_hash=read_data(payload.block_hash, width=HASH_BYTES),
    )


def _read_genesis(content: bytes) -> tuple[bytes, bytes]:
    genesis = decoded(content, _Genesis).data
    return (
        read_data(genesis.genesis_validators_root, width=HASH_BYTES),
        read_data(genesis.genesis_fork_version, width=FORK_VERSION_BYTES),
    )


def _read_contract(content: bytes) -> tuple[int, bytes]:
    contract = decoded(content, _Contract).data
    return uint64("chain_id", contract.chain_id), read_data(contract.address, width=ADDRESS_BYTES)


def _read_spec(content: bytes) -> tuple[int, bytes]:
    spec = decoded(content, _Spec).data
    return uint64("DEPOSIT_CHAIN_ID", spec.chain_id), read_data(spec.address, width=ADDRESS_BYTES)


def _require_judged(is_optimistic: bool) -> None:
    if is_optimistic:
        raise ValueError("the node's execution node is behind")


def _status(value: str) -> str:
    if value not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(sorted(STATUSES))}")
    return value
