"""The manager: what it signs, what it refuses, and that each outcome is on record before it is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from sqlalchemy import text

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.services import wire
from dvtfast.services.chain.contracts.manager_messages import (
    COMPOUNDING,
    ETH1_ADDRESS,
    ManagerMessage,
    consolidate_bytes,
    fund_bytes,
    nonce_bytes,
    register_bytes,
    withdraw_bytes,
)
from dvtfast.services.process.offload import UnavailableError, Workers
from dvtfast.services.relayer.manager.key import ManagerKey
from dvtfast.services.relayer.manager.manager_policy import (
    DEFAULT_LIMITS,
    DailyLimit,
    ManagerPolicy,
    ManagerRefusedError,
)
from dvtfast.services.relayer.manager.signer import (
    NOT_OURS,
    REFUSED_BYTES,
    Manager,
    NodeAwayError,
    RegisterItem,
)
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.manager_journal import DAY_SECONDS, ManagerAction, ManagerEntry, entries
from tests.services.relayer.manager.test_journal import journal_database
from tests.vector_files import load, unhex

SECRET = unhex(load("manager_eip712.json")["private_key"])
HOODI = 560048
VAULT, OTHER_VAULT = bytes(range(20)), bytes(20)
KEYS = [bytes([i, 7]) * 24 for i in range(60)]
FOREIGN = bytes([255]) * 48
NOON = 20_000 * DAY_SECONDS + DAY_SECONDS // 2
ETHER = 1_000_000_000
ALL = frozenset(ManagerAction)


@dataclass
class Chain:
    """An execution node that says something else each time, or nothing."""

    calls: int = 0
    error: Exception | None = None
    answer: Any = None
    hang: bool = False
    asked: list[bytes] = field(default_factory=list)

    async def registry_root(self) -> bytes:
        return await self._next(lambda: bytes([self.calls]) * 32)

    async def manager_nonce(self, vault: bytes) -> int:
        self.asked.append(vault)
        return await self._next(lambda: self.calls)

    async def _next(self, make: Any) -> Any:
        self.calls += 1
        if self.hang:
            await asyncio.sleep(60)
        if self.error is not None:
            raise self.error
        return make() if self.answer is None else self.answer


@dataclass
class Rig:
    """A manager, with everything around it in reach."""

    chain: Chain
    database: Database
    workers: Workers
    now: float = NOON

    def manager(self, allowed: Any = ALL, **limits: DailyLimit) -> Manager:
        policy = ManagerPolicy(
            vaults=[VAULT],
            allowed=allowed,
            limits={ManagerAction(name): limit for name, limit in limits.items()},
        )
        return Manager(
            ManagerKey(Account.from_key(SECRET)),
            policy,
            self.chain,
            chain_id=HOODI,
            is_ours=KEYS.__contains__,
            database=self.database,
            workers=self.workers,
            chain_seconds=0.05,
            now=lambda: self.now,
        )

    async def journal(self) -> list[ManagerEntry]:
        return await self.database.run(entries)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with journal_database(tmp_path) as database:
        workers = Workers("test", threads=1)
        yield Rig(Chain(), database, workers)
        await workers.close()


def items(count: int = 2, amount: int = GWEI_PER_VALIDATOR) -> list[RegisterItem]:
    return [RegisterItem(key, bytes([1]) * 96, amount) for key in KEYS[:count]]


def call(manager: Manager, action: ManagerAction, count: int = 2, vault: bytes = VAULT) -> Any:
    """An ordinary call of each action, not awaited yet."""
    keys = KEYS[:count]
    match action:
        case ManagerAction.REGISTER:
            return manager.register(vault, COMPOUNDING, items(count))
        case ManagerAction.FUND:
            return manager.fund(vault, keys, [ETHER] * count)
        case ManagerAction.WITHDRAW:
            return manager.withdraw(vault, keys, [ETHER] * count)
        case _:
            return manager.consolidate(vault, keys, KEYS[-1:] * count)


def expected(action: ManagerAction, count: int = 2) -> bytes:
    keys, signatures = KEYS[:count], [bytes([1]) * 96] * count
    match action:
        case ManagerAction.REGISTER:
            return register_bytes(VAULT, COMPOUNDING, keys, signatures, [GWEI_PER_VALIDATOR] * count)
        case ManagerAction.FUND:
            return fund_bytes(VAULT, keys, [ETHER] * count)
        case ManagerAction.WITHDRAW:
            return withdraw_bytes(keys, [ETHER] * count)
        case _:
            return consolidate_bytes(keys, KEYS[-1:] * count)


def recover(entry: ManagerEntry) -> str:
    """Who signed what is in the journal."""
    assert entry.root_or_nonce is not None
    message = ManagerMessage(HOODI, entry.vault, entry.root_or_nonce, entry.validators)
    assert message.digest == entry.digest
    address: str = Account._recover_hash(message.digest, signature=entry.signature)
    return address


@pytest.mark.parametrize("action", ManagerAction)
async def test_it_signs_and_keeps_record(rig: Rig, action: ManagerAction) -> None:
    manager = rig.manager()
    signature = await call(manager, action)
    (entry,) = await rig.journal()
    assert (entry.signature, entry.reason, entry.validators) == (signature, "", expected(action))
    assert (entry.at, entry.action, entry.vault, entry.count) == (NOON, action, VAULT, 2)
    amounts = {ManagerAction.REGISTER: 2 * GWEI_PER_VALIDATOR, ManagerAction.CONSOLIDATE: 0}
    assert (entry.amount_gwei, entry.exits) == (amounts.get(action, 2 * ETHER), 0)
    assert recover(entry) == manager.address.to_wire()


@pytest.mark.parametrize("action", ManagerAction)
async def test_the_chain_is_asked_each_time(rig: Rig, action: ManagerAction) -> None:
    manager = rig.manager()
    first, second = [await call(manager, action) for _ in range(2)]
    assert first != second
    expected_fields = [
        bytes([n]) * 32 if action == ManagerAction.REGISTER else nonce_bytes(n) for n in (1, 2)
    ]
    assert [entry.root_or_nonce for entry in await rig.journal()] == expected_fields
    assert rig.chain.asked == ([] if action == ManagerAction.REGISTER else [VAULT, VAULT])


async def test_a_registration_that_does_not_compound(rig: Rig) -> None:
    assert await rig.manager().register(VAULT, ETH1_ADDRESS, items())
    (entry,) = await rig.journal()
    assert len(entry.validators) == 2 * 176
    with pytest.raises(ManagerRefusedError, match="amounts: expected 32000000000 gwei"):
        await rig.manager().register(VAULT, ETH1_ADDRESS, items(amount=GWEI_PER_VALIDATOR + 1))


async def test_a_lost_answer_comes_again(rig: Rig) -> None:
    """The nonce did not move, so the same signature allows nothing new, and does not count."""
    rig.chain.answer = 7
    manager = rig.manager(withdraw=DailyLimit(items=2))
    first = await call(manager, ManagerAction.WITHDRAW)
    rig.now += DAY_SECONDS
    assert await call(manager, ManagerAction.WITHDRAW) == first
    rig.now -= DAY_SECONDS
    assert await call(manager, ManagerAction.WITHDRAW) == first
    assert len(await rig.journal()) == 1
    with pytest.raises(ManagerRefusedError, match="public_keys: the limit of withdraw is 2 items a day"):
        await call(manager, ManagerAction.WITHDRAW, count=1)


async def refused(rig: Rig, awaitable: Any, field: str, reason: str) -> ManagerEntry:
    """Await a refusal; the last entry, which has its reason and no signature."""
    with pytest.raises(ManagerRefusedError) as caught:
        await awaitable
    assert caught.value.field == field
    assert reason in caught.value.reason
    entry = (await rig.journal())[-1]
    assert (entry.signature, entry.reason) == (None, str(caught.value))
    return entry


@pytest.mark.parametrize("action", ManagerAction)
async def test_a_vault_that_is_not_named(rig: Rig, action: ManagerAction) -> None:
    entry = await refused(rig, call(rig.manager(), action, vault=OTHER_VAULT), "vault", "--vault")
    assert (entry.vault, entry.digest, entry.root_or_nonce) == (OTHER_VAULT, None, None)
    assert rig.chain.calls == 0


@pytest.mark.parametrize("action", sorted(ALL - {ManagerAction.REGISTER}))
async def test_an_action_is_off_until_it_is_named(rig: Rig, action: ManagerAction) -> None:
    for allowed in ([], ALL - {action}):
        entry = await refused(rig, call(rig.manager(allowed), action), "", f"--allow {action}")
        assert (entry.action, entry.validators) == (action, expected(action))
    assert ManagerPolicy([VAULT]).allowed == ()
    assert await call(rig.manager([]), ManagerAction.REGISTER)


async def test_keys_that_are_not_ours(rig: Rig) -> None:
    manager, mixed = rig.manager(), [KEYS[0], FOREIGN]
    register = manager.register(VAULT, COMPOUNDING, [RegisterItem(FOREIGN, bytes(96), ETHER)])
    await refused(rig, register, "public_keys[0]", NOT_OURS)
    await refused(rig, manager.fund(VAULT, mixed, [1, 1]), "public_keys[1]", NOT_OURS)
    await refused(rig, manager.withdraw(VAULT, mixed, [0, 0]), "public_keys[1]", NOT_OURS)
    await refused(rig, manager.consolidate(VAULT, mixed, KEYS[:2]), "source_public_keys[1]", NOT_OURS)
    await refused(rig, manager.consolidate(VAULT, KEYS[:2], mixed), "target_public_keys[1]", NOT_OURS)
    with pytest.raises(ManagerRefusedError) as caught:
        await manager.withdraw(VAULT, mixed, [0, 0])
    assert caught.value.rejected == [wire.Rejected(wire.PublicKey(FOREIGN).to_wire(), NOT_OURS)]


async def test_lengths_that_a_vault_cannot_read(rig: Rig) -> None:
    manager = rig.manager()
    for count in (22, 44):
        await refused(rig, call(manager, ManagerAction.REGISTER, count), "public_keys", "leave one off")
        await refused(rig, call(manager, ManagerAction.FUND, count), "public_keys", "leave one off")
    one_type = manager.register(VAULT, ETH1_ADDRESS, items(23))
    await refused(rig, one_type, "public_keys", "leave one off")
    assert await call(manager, ManagerAction.REGISTER, 21)
    assert await call(manager, ManagerAction.WITHDRAW, 22)


async def test_nothing_to_sign(rig: Rig) -> None:
    await refused(rig, call(rig.manager(), ManagerAction.FUND, 0), "public_keys", "at least one")
    await refused(
        rig, call(rig.manager(), ManagerAction.CONSOLIDATE, 0), "source_public_keys", "at least one"
    )


async def test_limits_begin_again_at_midnight(rig: Rig) -> None:
    manager = rig.manager(consolidate=DailyLimit(items=3))
    rig.now = NOON + DAY_SECONDS // 2 - 1
    await call(manager, ManagerAction.CONSOLIDATE)
    entry = await refused(
        rig, call(manager, ManagerAction.CONSOLIDATE), "source_public_keys", "2 are used, 2 more"
    )
    assert entry.digest is not None
    assert await call(manager, ManagerAction.CONSOLIDATE, 1)
    rig.now += 1
    assert await call(manager, ManagerAction.CONSOLIDATE)


@pytest.mark.parametrize("action", [ManagerAction.FUND, ManagerAction.WITHDRAW])
async def test_amounts_have_a_limit(rig: Rig, action: ManagerAction) -> None:
    manager = rig.manager(**{action: DailyLimit(amount_gwei=3 * ETHER)})
    await call(manager, action)
    await refused(rig, call(manager, action), "amounts", f"{action} is {3 * ETHER} gwei a day")
    assert await call(manager, action, 1)


async def test_full_exits_have_a_limit_of_their_own(rig: Rig) -> None:
    manager = rig.manager(withdraw=DailyLimit(items=5, exits=1))
    assert await manager.withdraw(VAULT, KEYS[:2], [0, 1])
    await refused(rig, manager.withdraw(VAULT, KEYS[2:3], [0]), "amounts", "1 full exits a day")
    assert await manager.withdraw(VAULT, KEYS[:3], [1, 1, 1])
    await refused(rig, manager.withdraw(VAULT, KEYS[:1], [1]), "public_keys", "5 items a day")
    assert [entry.exits for entry in await rig.journal()] == [1, 1, 0, 0]


async def test_a_huge_amount_is_counted_right(rig: Rig) -> None:
    await refused(rig, rig.manager().withdraw(VAULT, KEYS[:2], [2**64 - 1] * 2), "amounts", str(2**65 - 2))
    assert (await rig.journal())[0].amount_gwei == 2**65 - 2


async def test_limits_that_are_not_named_are_the_default(rig: Rig) -> None:
    manager = rig.manager(fund=DailyLimit())
    most = DEFAULT_LIMITS[ManagerAction.CONSOLIDATE].items
    assert most is not None
    assert await call(manager, ManagerAction.CONSOLIDATE, most)
    await refused(rig, call(manager, ManagerAction.CONSOLIDATE, 1), "source_public_keys", f"{most} are used")


async def test_many_at_once_share_one_limit(rig: Rig) -> None:
    manager = rig.manager(withdraw=DailyLimit(items=7))
    outcomes = await asyncio.gather(
        *(call(manager, ManagerAction.WITHDRAW) for _ in range(12)), return_exceptions=True
    )
    signed = [outcome for outcome in outcomes if isinstance(outcome, bytes)]
    assert len(signed) == 3
    assert all(isinstance(outcome, (bytes, ManagerRefusedError)) for outcome in outcomes)
    journal = await rig.journal()
    assert sorted(filter(None, (entry.signature for entry in journal))) == sorted(signed)
    assert len(journal) == 12


AWAY = {
    "unavailable": {"error": UnavailableError("no endpoint answers")},
    "refused": {"error": ConnectionRefusedError("connection refused")},
    "timeout": {"error": TimeoutError()},
    "hangs": {"hang": True},
    "reverts": {"error": LookupError("the call reverts")},
}


@pytest.mark.parametrize("name", AWAY)
@pytest.mark.parametrize("action", ManagerAction)
async def test_the_node_is_away(rig: Rig, action: ManagerAction, name: str) -> None:
    vars(rig.chain).update(AWAY[name])
    manager = rig.manager()
    if action == ManagerAction.REGISTER:
        assert await call(manager, action) is None
    else:
        with pytest.raises(NodeAwayError, match="execution node: "):
            await call(manager, action)
    (entry,) = await rig.journal()
    assert entry.reason in (
        "execution node: no endpoint answers",
        "execution node: connection refused",
        "execution node: TimeoutError",
        "execution node: the call reverts",
    )
    assert (entry.signature, entry.digest, entry.count) == (None, None, 2)
    vars(rig.chain).update(error=None, hang=False)
    assert await call(manager, action)


async def test_an_answer_of_the_node_that_is_none(rig: Rig) -> None:
    manager = rig.manager()
    rig.chain.answer = bytes(31)
    assert await call(manager, ManagerAction.REGISTER) is None
    for rig.chain.answer in (-1, 1 << 256):
        with pytest.raises(NodeAwayError, match="expected a nonce of 256 bits"):
            await call(manager, ManagerAction.FUND)
    assert len(await rig.journal()) == 3


async def test_no_journal_no_answer(rig: Rig) -> None:
    """Neither a signature nor a refusal leaves without its entry."""
    manager = rig.manager()
    await rig.database.run(lambda c: c.execute(text("ALTER TABLE manager_journal RENAME TO gone")) and None)
    for action in ManagerAction:
        with pytest.raises(UnavailableError, match="database: "):
            await call(manager, action)
    with pytest.raises(UnavailableError, match="database: "):
        await call(manager, ManagerAction.FUND, vault=OTHER_VAULT)


async def test_a_refused_request_does_not_fill_the_journal(rig: Rig) -> None:
    """Anybody can make one, and the journal keeps it for ever."""
    count = 2000
    request = rig.manager().consolidate(VAULT, [FOREIGN] * count, [FOREIGN] * count)
    entry = await refused(rig, request, "source_public_keys[0]", NOT_OURS)
    assert (entry.count, len(entry.validators)) == (count, REFUSED_BYTES)


async def test_a_refusal_is_answered_like_a_wrong_body(rig: Rig) -> None:
    with pytest.raises(wire.WireError, match="vault: "):
        await call(rig.manager(), ManagerAction.FUND, vault=OTHER_VAULT)
