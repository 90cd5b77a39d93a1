"""A beacon chain beside anvil, as far as vaults ask it for something: it does what the specification says.

Source: consensus-specs, electra/beacon-chain.md, which fulu changes nothing of: `process_withdrawal_request`,
`process_consolidation_request`, `process_deposit_request`, `process_pending_consolidations`; EIP-7002 and
EIP-7251 for the queues before; beacon API for what a node answers. A request that is not valid is passed over
in silence, as there. Only what limits churn is left out: nothing waits for others.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from aiohttp import web

from dvtfast import HOODI
from dvtfast.services.chain.contracts.reads import DEPOSIT_EVENT, decode_deposits
from dvtfast.services.chain.encoding import read_data, write_address
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.demo.world.deployed_contracts import CONSOLIDATIONS, WITHDRAWALS, World
from tests.services.chain.beacon.beacon_nodes import identity
from tests.services.chain.servers import serving
from tests.services.patience import ANSWER_SECONDS

FAR_FUTURE_EPOCH = 2**64 - 1
SHARD_COMMITTEE_PERIOD = 256
MIN_VALIDATOR_WITHDRAWABILITY_DELAY = 256
MIN_ACTIVATION_BALANCE = 32 * 10**9
MAX_EFFECTIVE_BALANCE_ELECTRA = 2048 * 10**9
EFFECTIVE_BALANCE_INCREMENT = 10**9
PENDING_PARTIAL_WITHDRAWALS_LIMIT = 2**27
PENDING_CONSOLIDATIONS_LIMIT = 2**18
MAX_REQUESTS_PER_PAYLOAD = {WITHDRAWALS: 16, CONSOLIDATIONS: 2}
BEACON = "/eth/v1/beacon/"


@dataclass
class Validator:
    """One of the state's validators, with its balance.

    Attributes:
        effective: where the balance was another one when it was last looked at.
    """

    public_key: bytes
    withdrawal_credentials: bytes
    balance: int
    slashed: bool = False
    activation_epoch: int = 0
    exit_epoch: int = FAR_FUTURE_EPOCH
    effective: int | None = None

    @property
    def kind(self) -> int:
        return self.withdrawal_credentials[0]

    @property
    def max_effective_balance(self) -> int:
        return MAX_EFFECTIVE_BALANCE_ELECTRA if self.kind == 2 else MIN_ACTIVATION_BALANCE

    @property
    def effective_balance(self) -> int:
        if self.effective is not None:
            return self.effective
        return min(self.balance - self.balance % EFFECTIVE_BALANCE_INCREMENT, self.max_effective_balance)

    @property
    def withdrawable_epoch(self) -> int:
        if self.exit_epoch == FAR_FUTURE_EPOCH:
            return FAR_FUTURE_EPOCH
        return self.exit_epoch + MIN_VALIDATOR_WITHDRAWABILITY_DELAY

    def is_active(self, epoch: int) -> bool:
        return self.activation_epoch <= epoch < self.exit_epoch

    def status(self, epoch: int) -> str:
        if self.activation_epoch > epoch:
            return "pending_queued"
        if self.exit_epoch == FAR_FUTURE_EPOCH:
            return "active_ongoing"
        if self.exit_epoch > epoch:
            return "active_slashed" if self.slashed else "active_exiting"
        if self.withdrawable_epoch > epoch:
            return "exited_slashed" if self.slashed else "exited_unslashed"
        return "withdrawal_possible" if self.balance else "withdrawal_done"


@dataclass
class BeaconChain:
    """The state of the head.

    Attributes:
        passes_over: it does nothing, whatever the requests are.
        behind: how many blocks of the execution chain it has not seen.
        stopped_at: the slot of the head, where it is not that of now.
        waiting: what contracts were asked for and a block had no room for, by contract.
    """

    world: World
    validators: list[Validator] = field(default_factory=list)
    pending_deposits: list[dict[str, str]] = field(default_factory=list)
    pending_withdrawals: list[tuple[int, int]] = field(default_factory=list)
    pending_consolidations: list[tuple[int, int]] = field(default_factory=list)
    passes_over: bool = False
    behind: int = 0
    stopped_at: int | None = None
    waiting: dict[str, list[bytes]] = field(default_factory=lambda: {WITHDRAWALS: [], CONSOLIDATIONS: []})
    is_optimistic: bool = False
    seen_to: int = -1
    requests: list[str] = field(default_factory=list)

    @property
    def slot(self) -> int:
        if self.stopped_at is not None:
            return self.stopped_at
        return int(time.time() - HOODI.genesis_time) // HOODI.seconds_per_slot + 32  # never behind

    @property
    def epoch(self) -> int:
        return self.slot // HOODI.slots_per_epoch

    def __getitem__(self, key: str) -> Validator:
        """A validator by its key in hex."""
        (found,) = (each for each in self.validators if each.public_key == read_data(key))
        return found

    def index(self, key: str) -> int:
        return self.validators.index(self[key])

    async def follow(self) -> None:
        """Take in the blocks of the execution chain, one after the other."""
        contract = self.world.deposit_contract.address
        async with NodeClient([self.world.chain.url], timeout_seconds=ANSWER_SECONDS) as node:
            latest = await self.world.chain.height() - self.behind
            for number in range(self.seen_to + 1, latest + 1):
                block = await node.block(number)
                for log in await node.logs(contract, [DEPOSIT_EVENT], first=number, last=block):
                    deposits = decode_deposits([log])
                    key, credentials = deposits.public_keys[0], deposits.withdrawal_credentials[0]
                    self.deposit(key.tobytes(), credentials.tobytes(), int(deposits.amounts_gwei[0]))
                span = {"fromBlock": hex(number), "toBlock": hex(number)}
                for address in (WITHDRAWALS, CONSOLIDATIONS):
                    logs = await self.world.chain.rpc("eth_getLogs", {"address": address, **span})
                    await self._take_requests(address, [read_data(each["data"]) for each in logs])
                self.seen_to = number

    async def _take_requests(self, address: str, made: list[bytes]) -> None:
        """At the end of a block: as many as one has room for, the earliest first."""
        queue, room = self.waiting[address], MAX_REQUESTS_PER_PAYLOAD[address]
        before = len(queue)
        queue += made
        for data in queue[:room]:
            self.request(address, data)
        del queue[:room]
        if len(queue) != before:  # the contract's storage: where the queue begins, and where it ends
            for slot, place in ((2, 1_000 * bool(queue)), (3, 1_000 * bool(queue) + len(queue))):
                await self.world.chain.rpc("anvil_setStorageAt", address, _word(slot), _word(place))

    def deposit(self, key: bytes, credentials: bytes, amount: int) -> None:
        """A new validator is active at once; what is added to one waits."""
        if all(each.public_key != key for each in self.validators):
            self.validators.append(Validator(key, credentials, amount))
            return
        self._wait_to_be_deposited(key, credentials, amount, self.slot)

    def request(self, address: str, data: bytes) -> None:
        """What a contract logged: who asks, and for what."""
        source, rest = data[:20], data[20:]
        if self.passes_over:
            return
        if address == WITHDRAWALS:
            self.process_withdrawal_request(source, rest[:48], int.from_bytes(rest[48:], "big"))
        else:
            self.process_consolidation_request(source, rest[:48], rest[48:])

    def process_withdrawal_request(self, source_address: bytes, key: bytes, amount: int) -> None:
        if amount and len(self.pending_withdrawals) == PENDING_PARTIAL_WITHDRAWALS_LIMIT:
            return
        validator = self._asked(source_address, key)
        if validator is None or not self._is_staying(validator) or not self._is_old_enough(validator):
            return
        index = self.validators.index(validator)
        pending = self._pending_balance_to_withdraw(index)
        if amount == 0:
            if pending == 0:
                validator.exit_epoch = self.epoch + 5
            return
        if validator.effective_balance < MIN_ACTIVATION_BALANCE:
            return
        if validator.kind == 2 and validator.balance > MIN_ACTIVATION_BALANCE + pending:
            excess = validator.balance - MIN_ACTIVATION_BALANCE - pending
            self.pending_withdrawals.append((index, min(excess, amount)))

    def process_consolidation_request(self, source_address: bytes, source: bytes, target: bytes) -> None:
        validator = self._asked(source_address, source)
        if validator is None or not self._is_staying(validator):
            return
        if source == target:
            if validator.kind == 1:
                self._switch_to_compounding_validator(validator)
            return
        if len(self.pending_consolidations) == PENDING_CONSOLIDATIONS_LIMIT:
            return
        index = self.validators.index(validator)
        gets = next((each for each in self.validators if each.public_key == target), None)
        if gets is None or gets.kind != 2 or not self._is_staying(gets):
            return
        if not self._is_old_enough(validator) or self._pending_balance_to_withdraw(index):
            return
        validator.exit_epoch = self.epoch + 5
        self.pending_consolidations.append((index, self.validators.index(gets)))

    def process_effective_balance_updates(self) -> None:
        """At the end of an epoch, after all else: what is less than so far off stays."""
        quarter = EFFECTIVE_BALANCE_INCREMENT // 4
        for each in self.validators:
            was, each.effective = each.effective_balance, None
            if was - quarter <= each.balance <= was + 5 * quarter:
                each.effective = was

    def process_pending_consolidations(self, next_epoch: int) -> None:
        """At the end of the epoch before that one."""
        while self.pending_consolidations:
            source, target = (self.validators[each] for each in self.pending_consolidations[0])
            if not source.slashed:
                if source.withdrawable_epoch > next_epoch:
                    return
                moved = min(source.balance, source.effective_balance)
                effective = source.effective_balance, target.effective_balance
                source.balance, target.balance = source.balance - moved, target.balance + moved
                source.effective, target.effective = effective
            del self.pending_consolidations[0]

    def _switch_to_compounding_validator(self, validator: Validator) -> None:
        """What it has above 32 ETH waits as a deposit does."""
        effective = validator.effective_balance
        validator.withdrawal_credentials = b"\x02" + validator.withdrawal_credentials[1:]
        excess = validator.balance - MIN_ACTIVATION_BALANCE
        if excess > 0:
            validator.balance, validator.effective = MIN_ACTIVATION_BALANCE, effective
            self._wait_to_be_deposited(validator.public_key, validator.withdrawal_credentials, excess, slot=0)

    def _wait_to_be_deposited(self, key: bytes, credentials: bytes, amount: int, slot: int) -> None:
        self.pending_deposits.append(
            {
                "pubkey": "0x" + key.hex(),
                "withdrawal_credentials": "0x" + credentials.hex(),
                "amount": str(amount),
                "signature": "0x" + bytes(96).hex(),
                "slot": str(slot),
            }
        )

    def _asked(self, source_address: bytes, key: bytes) -> Validator | None:
        for each in self.validators:
            if each.public_key == key and each.kind in (1, 2):
                return each if each.withdrawal_credentials[12:] == source_address else None
        return None

    def _is_staying(self, validator: Validator) -> bool:
        return validator.is_active(self.epoch) and validator.exit_epoch == FAR_FUTURE_EPOCH

    def _is_old_enough(self, validator: Validator) -> bool:
        return self.epoch >= validator.activation_epoch + SHARD_COMMITTEE_PERIOD

    def _pending_balance_to_withdraw(self, index: int) -> int:
        return sum(amount for each, amount in self.pending_withdrawals if each == index)

    async def handle(self, request: web.Request) -> web.Response:
        """As a beacon node answers."""
        contract = write_address(self.world.deposit_contract.address)
        network = replace(HOODI, deposit_contract=contract)
        data: Any
        if (data := identity(request.path, network)) is not None:
            return web.json_response({"data": data})
        self.requests.append(request.path)
        path = request.path.removeprefix(BEACON)
        match request.method, path.split("/")[-1]:
            case "GET", "head":
                await self.follow()
                data = await self._head()
            case "GET", "pending_deposits":
                data = self.pending_deposits
            case "GET", "pending_partial_withdrawals":
                data = [
                    {"validator_index": str(index), "amount": str(amount), "withdrawable_epoch": "999999"}
                    for index, amount in self.pending_withdrawals
                ]
            case "GET", "pending_consolidations":
                data = [
                    {"source_index": str(source), "target_index": str(target)}
                    for source, target in self.pending_consolidations
                ]
            case "POST", "validators":
                wanted = set((await request.json())["ids"])
                data = [
                    self._validator(index, each)
                    for index, each in enumerate(self.validators)
                    if wanted & {"0x" + each.public_key.hex(), str(index)}
                ]
            case _:
                return web.json_response({"code": 404, "message": "NOT_FOUND"}, status=404)
        answer = {"execution_optimistic": self.is_optimistic, "finalized": False, "data": data}
        return web.json_response(answer)

    async def _head(self) -> dict[str, Any]:
        block = await self.world.chain.rpc("eth_getBlockByNumber", hex(max(self.seen_to, 0)), False)
        payload = {"block_number": str(self.seen_to), "block_hash": block["hash"]}
        root = sha256(repr((self.validators, self.pending_withdrawals, self.seen_to)).encode()).hexdigest()
        body = {"execution_payload_header": payload}
        message = {"slot": str(self.slot), "state_root": "0x" + root, "body": body}
        return {"message": message, "signature": "0x"}

    def _validator(self, index: int, validator: Validator) -> dict[str, Any]:
        return {
            "index": str(index),
            "balance": str(validator.balance),
            "status": validator.status(self.epoch),
            "validator": {
                "pubkey": "0x" + validator.public_key.hex(),
                "withdrawal_credentials": "0x" + validator.withdrawal_credentials.hex(),
                "effective_balance": str(validator.effective_balance),
                "slashed": validator.slashed,
                "activation_eligibility_epoch": "0",
                "activation_epoch": str(validator.activation_epoch),
                "exit_epoch": str(validator.exit_epoch),
                "withdrawable_epoch": str(validator.withdrawable_epoch),
            },
        }


def _word(number: int) -> str:
    return "0x" + number.to_bytes(32, "big").hex()


@asynccontextmanager
async def beacon_beside(world: World) -> AsyncIterator[tuple[BeaconChain, str]]:
    """A beacon node of the world's chain, and its address."""
    chain = BeaconChain(world)
    async with serving(chain.handle) as url:
        yield chain, url
