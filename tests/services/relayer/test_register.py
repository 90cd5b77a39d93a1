"""POST /register as an operator of v4 repeats it: which keys are reserved for whom, and what it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from py_ecc.bls import G2ProofOfPossession as py_ecc
from sqlalchemy import Connection, event

from dvtfast import (
    HOODI,
    PublicKeys,
    deposit_signing_roots,
    exit_signing_roots,
    sign,
    verify_signatures,
)
from dvtfast.services import wire
from dvtfast.services.relayer.store.chain_state import known_places, learn_final, learn_pending, rewind
from dvtfast.services.relayer.store.engine.database import Database, latest_revision
from dvtfast.services.relayer.store.operators.index_assignment import IndexRefusedError
from dvtfast.services.relayer.store.operators.reservations import WantedRegistration, mark_registered, reserve
from dvtfast.services.relayer.store.subjects import withdrawal_credentials

from ..conftest import (
    READY_SECONDS,
    START_INDEX,
    Cluster,
    Oracles,
    Relayer,
    Start,
    make_cluster,
)

ETH = 10**9
VAULT = wire.Address(bytes(range(20)))
OTHER_VAULT = wire.Address(bytes(range(100, 120)))
VAULTS = (VAULT, OTHER_VAULT)
COMPOUNDING, EXECUTION = "0x02", "0x01"


def body_of(
    index: int = START_INDEX,
    amounts: Sequence[int] = (32 * ETH,) * 3,
    *,
    vault: wire.Address = VAULT,
    kind: str = EXECUTION,
) -> dict[str, Any]:
    return {
        "vault": vault.to_wire(),
        "validators_start_index": index,
        "amounts": list(amounts),
        "validator_type": kind,
    }


async def register(relayer: Relayer, **wanted: Any) -> list[dict[str, Any]]:
    status, answer = await relayer.raw("POST", "/register", json.dumps(body_of(**wanted)))
    assert status == 200, answer
    assert set(answer) == {"validators", "validators_manager_signature"}
    assert answer["validators_manager_signature"] is None
    return list(answer["validators"])


async def wanted_of(relayer: Relayer, vault: wire.Address = VAULT) -> list[dict[str, Any]]:
    """What GET /validators shows of a vault, by validator index."""
    status, answer = await relayer.raw("GET", "/validators")
    assert status == 200
    mine = [item for item in answer["validators"] if item["vault"] == vault.to_wire()]
    return sorted(mine, key=lambda item: int(item["validator_index"]))


def deposit_roots(cluster: Cluster, items: Sequence[dict[str, Any]]) -> np.ndarray:
    """The signing roots of deposits as GET /validators names them."""
    return deposit_signing_roots(
        [bytes.fromhex(item["public_key"][2:]) for item in items],
        [
            withdrawal_credentials(int(item["validator_type"], 16), bytes.fromhex(item["vault"][2:]))
            for item in items
        ],
        [item["amount"] for item in items],
        HOODI,
    )


def signature_shares(
    cluster: Cluster, share_index: int, items: Sequence[dict[str, Any]], *, signer: int | None = None
) -> list[dict[str, Any]]:
    """What a node of v4 posts for validators that GET /validators shows."""
    place = cluster.shares.share_indices.tolist().index(signer or share_index)
    rows = [cluster.keys.index(wire.PublicKey.from_wire(item["public_key"])) for item in items]
    keys = cluster.key_shares[rows, place]
    exits = sign(keys, exit_signing_roots([item["validator_index"] for item in items], HOODI))
    deposits = sign(keys, deposit_roots(cluster, items))
    return [
        {
            "public_key": item["public_key"],
            "exit_signature": "0x" + exit_.tobytes().hex(),
            "deposit_signature": "0x" + deposit.tobytes().hex(),
        }
        for item, exit_, deposit in zip(items, exits, deposits, strict=True)
    ]


async def post(relayer: Relayer, share_index: int, shares: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    request = json.dumps({"share_index": share_index, "shares": list(shares)})
    status, answer = await relayer.raw("POST", "/signatures", request)
    assert status == 200, answer
    return list(answer.get("rejected", []))


async def sign_all(
    relayer: Relayer, cluster: Cluster, *share_indices: int, vault: wire.Address = VAULT
) -> None:
    """What nodes do once: look, sign what lacks their share, post."""
    for share_index in share_indices:
        ours = {key.to_wire() for key in cluster.keys}
        items = [
            item
            for item in await wanted_of(relayer, vault)
            if item["public_key"] in ours and share_index not in item["share_indexes_ready"]
        ]
        if items:
            assert await post(relayer, share_index, signature_shares(cluster, share_index, items)) == []


async def until_registered(relayer: Relayer, **wanted: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            if validators := await register(relayer, **wanted):
                return validators
            await asyncio.sleep(0.02)


async def until_ready(relayer: Relayer, count: int) -> None:
    """Wait until this many validators are signed."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            if sum(item["is_signatures_ready"] for item in await wanted_of(relayer)) == count:
                return
            await asyncio.sleep(0.02)


async def until_judged(relayer: Relayer, *, vault: wire.Address = VAULT) -> list[dict[str, Any]]:
    """What GET /validators shows as soon as all its validators have a bad share."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            items = await wanted_of(relayer, vault)
            if all(item["share_indexes_rejected"] for item in items):
                return items
            await asyncio.sleep(0.02)


def keys_of(validators: Iterable[dict[str, Any]]) -> list[str]:
    return [validator["public_key"] for validator in validators]


def verify(
    validators: Sequence[dict[str, Any]],
    cluster: Cluster,
    oracles: Oracles,
    wanted: dict[str, Any],
    *,
    thoroughly: bool = False,
) -> None:
    """An answer to /register is right: deposits, amounts, and exits that oracles can put together."""
    assert [validator["amount"] for validator in validators] == wanted["amounts"][: len(validators)]
    items = [
        {**validator, "vault": wanted["vault"], "validator_type": wanted["validator_type"]}
        for validator in validators
    ]
    roots = deposit_roots(cluster, items)
    keys = [bytes.fromhex(validator["public_key"][2:]) for validator in validators]
    deposits = [bytes.fromhex(validator["deposit_signature"][2:]) for validator in validators]
    verify_signatures(PublicKeys(keys), roots, deposits)
    if thoroughly:
        for key, root, deposit in zip(keys, roots, deposits, strict=True):
            assert py_ecc.Verify(key, root.tobytes(), deposit)
    indices = range(wanted["validators_start_index"], wanted["validators_start_index"] + len(validators))
    exit_roots = exit_signing_roots(list(indices), HOODI)
    for row, validator in enumerate(validators):
        assert validator["exit_signature"] is None
        secret_key = cluster.secret_keys[cluster.keys.index(wire.PublicKey(keys[row]))]
        oracles.require_exit(validator["oracles_exit_signature_shares"], exit_roots[row], secret_key)


class TestLoop:
    """One operator, block after block."""

    async def test_nothing_until_exits_and_deposits_are_signed(self, start: Start, oracles: Oracles) -> None:
        cluster = make_cluster(5)
        async with start(cluster, vaults=VAULTS) as relayer:
            assert await register(relayer) == []
            wanted = await wanted_of(relayer)
            assert keys_of(wanted) == [key.to_wire() for key in cluster.keys[:3]]
            await sign_all(relayer, cluster, 1, 2)
            assert await register(relayer) == []
            await sign_all(relayer, cluster, 4)
            validators = await until_registered(relayer)
            assert keys_of(validators) == keys_of(wanted)
            verify(validators, cluster, oracles, body_of(), thoroughly=True)
            assert await register(relayer) == validators
            assert all(item["is_signatures_ready"] for item in await wanted_of(relayer))

    async def test_exits_alone_are_not_enough(self, start: Start) -> None:
        cluster = make_cluster(3)
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer)
            await relayer.fill(cluster, range(START_INDEX, START_INDEX + 3), 1, 2, 3)
            await relayer.until(lambda e: all(x.is_exit_signature_ready for x in e.values()))
            assert await register(relayer) == []
            assert all(item["share_indexes_ready"] == [] for item in await wanted_of(relayer))
            await sign_all(relayer, cluster, 1, 2, 3)
            await until_registered(relayer)

    async def test_a_new_index_keeps_keys_and_deposits(self, start: Start, oracles: Oracles) -> None:
        cluster = make_cluster(4)
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer)
            await sign_all(relayer, cluster, 1, 2, 3)
            before = await until_registered(relayer)
            for index in (START_INDEX + 1, 2**40):
                assert await register(relayer, index=index) == []
                assert all(item["share_indexes_ready"] == [] for item in await wanted_of(relayer))
                await sign_all(relayer, cluster, 2, 3, 4)
                after = await until_registered(relayer, index=index)
                verify(after, cluster, oracles, body_of(index))
                assert keys_of(after) == keys_of(before)
                assert [v["deposit_signature"] for v in after] == [v["deposit_signature"] for v in before]
            assert await register(relayer) == before

    async def test_other_amounts_keep_keys_and_exits(self, start: Start, oracles: Oracles) -> None:
        cluster = make_cluster(3)
        first, second = [32 * ETH, 33 * ETH, 2048 * ETH], [40 * ETH, 33 * ETH, 32 * ETH]
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer, amounts=first, kind=COMPOUNDING)
            await sign_all(relayer, cluster, 1, 2, 3)
            before = await until_registered(relayer, amounts=first, kind=COMPOUNDING)
            verify(before, cluster, oracles, body_of(amounts=first, kind=COMPOUNDING))
            assert await register(relayer, amounts=second, kind=COMPOUNDING) == []
            ready = [item["is_signatures_ready"] for item in await wanted_of(relayer)]
            assert ready == [False, True, False]
            await sign_all(relayer, cluster, 1, 2, 3)
            after = await until_registered(relayer, amounts=second, kind=COMPOUNDING)
            verify(after, cluster, oracles, body_of(amounts=second, kind=COMPOUNDING))
            shares = "oracles_exit_signature_shares"
            assert [v[shares] for v in after] == [v[shares] for v in before]
            assert await register(relayer, amounts=first, kind=COMPOUNDING) == before

    async def test_the_other_type_wants_other_deposits(self, start: Start, oracles: Oracles) -> None:
        cluster = make_cluster(3)
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer)
            await sign_all(relayer, cluster, 1, 2, 3)
            before = await until_registered(relayer)
            assert await register(relayer, kind=COMPOUNDING) == []
            await sign_all(relayer, cluster, 1, 2, 3)
            after = await until_registered(relayer, kind=COMPOUNDING)
            verify(after, cluster, oracles, body_of(kind=COMPOUNDING))
            assert keys_of(after) == keys_of(before)
            assert await register(relayer) == before

    async def test_fewer_drop_at_the_end_and_more_come_at_the_end(self, start: Start) -> None:
        cluster = make_cluster(6)
        keys = [key.to_wire() for key in cluster.keys]
        async with start(cluster, vaults=VAULTS) as relayer:
            for count in (4, 2, 5, 1, 6, 3):
                assert await register(relayer, amounts=[32 * ETH] * count) == []
                assert keys_of(await wanted_of(relayer)) == keys[:count]
                assert sorted(key.to_wire() for key in await relayer.exits()) == sorted(keys[:count])
            await sign_all(relayer, cluster, 1, 2, 3)
            three = await until_registered(relayer)
            assert keys_of(three) == keys[:3]
            assert await register(relayer, amounts=[32 * ETH] * 2) == three[:2]
            assert await register(relayer) == three  # handed out: it stayed reserved

    async def test_a_cluster_with_fewer_validators_than_amounts(self, start: Start, oracles: Oracles) -> None:
        cluster = make_cluster(2)
        amounts = [32 * ETH] * 7
        async with start(cluster, vaults=VAULTS) as relayer:
            assert await register(relayer, amounts=amounts) == []
            assert await register(relayer, amounts=amounts, vault=OTHER_VAULT) == []
            assert await wanted_of(relayer, OTHER_VAULT) == []
            await sign_all(relayer, cluster, 1, 2, 3)
            validators = await until_registered(relayer, amounts=amounts)
            assert keys_of(validators) == [key.to_wire() for key in cluster.keys]
            verify(validators, cluster, oracles, body_of(amounts=amounts))
            assert await register(relayer, amounts=amounts, vault=OTHER_VAULT) == []

    async def test_several_clusters_in_the_order_of_their_files(self, start: Start) -> None:
        first, second = make_cluster(2), make_cluster(3, name="second", threshold=2, share_indices=[7, 9, 11])
        async with start(first, second, vaults=VAULTS) as relayer:
            await register(relayer, amounts=[32 * ETH] * 4)
            await sign_all(relayer, first, 1, 2, 3)
            await sign_all(relayer, second, 7, 11)
            validators = await until_registered(relayer, amounts=[32 * ETH] * 4)
            assert keys_of(validators) == [key.to_wire() for key in [*first.keys, *second.keys[:2]]]

    async def test_the_end_of_the_range(self, start: Start, oracles: Oracles) -> None:
        cluster = make_cluster(2)
        last = 2**64 - 2
        async with start(cluster, vaults=VAULTS, index_window=4) as relayer:
            await register(relayer, index=last, amounts=[32 * ETH] * 2)
            await sign_all(relayer, cluster, 1, 2, 3)
            validators = await until_registered(relayer, index=last, amounts=[32 * ETH] * 2)
            verify(validators, cluster, oracles, body_of(last, [32 * ETH] * 2))

    async def test_whole_exits_only_where_it_was_turned_on(self, start: Start) -> None:
        cluster = make_cluster(1)
        async with start(cluster, vaults=VAULTS, show_exit_signatures=True) as relayer:
            await register(relayer, amounts=[32 * ETH])
            await sign_all(relayer, cluster, 1, 2, 3)
            (validator,) = await until_registered(relayer, amounts=[32 * ETH])
            whole = sign(cluster.secret_keys, exit_signing_roots([START_INDEX], HOODI))[0]
            assert validator["exit_signature"] == "0x" + whole.tobytes().hex()


class TestReservations:
    """Which keys are taken, and by whom."""

    async def test_two_vaults_never_share_a_key(self, start: Start) -> None:
        cluster = make_cluster(6)
        keys = [key.to_wire() for key in cluster.keys]
        async with start(cluster, vaults=VAULTS) as relayer:
            await asyncio.gather(*(register(relayer, vault=vault) for vault in VAULTS for _ in range(3)))
            taken = [keys_of(await wanted_of(relayer, vault)) for vault in VAULTS]
            assert sorted(taken) == [keys[:3], keys[3:]] or sorted(taken[0] + taken[1]) == sorted(keys)
            for vault in VAULTS:
                await sign_all(relayer, cluster, 1, 2, 3, vault=vault)
            answers = [await until_registered(relayer, vault=vault) for vault in VAULTS]
            assert [keys_of(answer) for answer in answers] == taken

    async def test_a_key_that_another_operator_asked_for(self, start: Start) -> None:
        cluster = make_cluster(4)
        async with start(cluster, vaults=VAULTS) as relayer:
            await relayer.client.post_validators(wire.ValidatorsRequest(cluster.keys[:1]))
            await register(relayer)
            assert keys_of(await wanted_of(relayer)) == [key.to_wire() for key in cluster.keys[1:]]

    async def test_a_reserved_key_is_not_for_operators_without_a_vault(
        self, start: Start, database_url: str
    ) -> None:
        """Its deposit would be made twice."""
        cluster = make_cluster(4)
        request = wire.ValidatorsRequest(cluster.keys, wire.UInt64(7))
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer, amounts=[32 * ETH] * 2)
            status, answer = await relayer.raw("POST", "/validators", wire.encode(request))
            assert (status, answer["field"]) == (422, "public_keys[0]")
            assert [item["public_key"] for item in answer["rejected"]] == [
                k.to_wire() for k in cluster.keys[:2]
            ]
            assert [item["validator_index"] for item in await wanted_of(relayer)] == [1000, 1001]
            await relayer.client.post_validators(wire.ValidatorsRequest(cluster.keys[2:]))
            database = await Database.open(database_url)
            await database.run(mark_registered, cluster.keys[:2], block_number=7)
            await database.close()
            await relayer.client.post_validators(request)  # say, to split their exits for other oracles

    async def test_registered_keys_are_given_no_longer(self, start: Start, database_url: str) -> None:
        cluster = make_cluster(6)
        keys = [key.to_wire() for key in cluster.keys]
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer)
            await sign_all(relayer, cluster, 1, 2, 3)
            assert keys_of(await until_registered(relayer)) == keys[:3]
            database = await Database.open(database_url)
            await database.run(mark_registered, [cluster.keys[1], cluster.keys[3]], block_number=7)
            await database.close()
            assert await register(relayer) == []
            assert keys_of(await wanted_of(relayer)) == [keys[0], keys[2], keys[4]]
            await sign_all(relayer, cluster, 1, 2, 3)
            assert keys_of(await until_registered(relayer)) == [keys[0], keys[2], keys[4]]

    async def test_released_keys_are_reserved_again(self, start: Start) -> None:
        cluster = make_cluster(3)
        keys = [key.to_wire() for key in cluster.keys]
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer)
            await sign_all(relayer, cluster, 1, 2)
            assert await register(relayer, amounts=[32 * ETH]) == []
            await register(relayer, vault=OTHER_VAULT, amounts=[32 * ETH] * 2)
            assert keys_of(await wanted_of(relayer, OTHER_VAULT)) == keys[1:]
            assert all(item["share_indexes_ready"] == [] for item in await wanted_of(relayer, OTHER_VAULT))
            assert await register(relayer, amounts=[]) == []
            assert await register(relayer, vault=OTHER_VAULT, amounts=[]) == []
            assert await wanted_of(relayer) == await wanted_of(relayer, OTHER_VAULT) == []
            assert await relayer.exits() == {}
            await register(relayer)
            assert [item["share_indexes_ready"] for item in await wanted_of(relayer)] == [[1, 2]] * 3

    async def test_handed_out_keys_stay_reserved_over_a_restart(self, start: Start) -> None:
        cluster = make_cluster(5)
        keys = [key.to_wire() for key in cluster.keys]
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer, amounts=[32 * ETH] * 2)
            await sign_all(relayer, cluster, 1, 2, 3)
            handed_out = await until_registered(relayer, amounts=[32 * ETH] * 2)
            await register(relayer, amounts=[32 * ETH] * 4)
        async with start(cluster, vaults=VAULTS) as relayer:
            assert await register(relayer, amounts=[]) == []
            await register(relayer, vault=OTHER_VAULT)
            assert keys_of(await wanted_of(relayer, OTHER_VAULT)) == keys[2:]
            assert await register(relayer, amounts=[32 * ETH] * 2) == handed_out
            assert keys_of(await wanted_of(relayer)) == keys[:2]

    async def test_what_is_answered_with_nothing_is_not_handed_out(self, start: Start) -> None:
        """One of two is ready: the answer is empty, so both may be released."""
        cluster = make_cluster(2)
        two = [32 * ETH] * 2
        async with start(cluster, vaults=VAULTS) as relayer:
            await register(relayer, amounts=two)
            first = (await wanted_of(relayer))[:1]
            for share_index in (1, 2, 3):
                await post(relayer, share_index, signature_shares(cluster, share_index, first))
            await until_ready(relayer, 1)
            assert await register(relayer, amounts=two) == []
            await register(relayer, amounts=[])
            await register(relayer, vault=OTHER_VAULT, amounts=two)
            assert len(await wanted_of(relayer, OTHER_VAULT)) == 2


async def _reserved(database: Database, vault: bytes, keys: Sequence[bytes], count: int = 2) -> list[bytes]:
    wanted = WantedRegistration(vault, 5, [32 * ETH] * count, 1)
    return await database.run(reserve, wanted, keys, window=0, now=1)


class TestUsedKeys:
    """What the chain says of deposits, and takes back."""

    KEYS = tuple(bytes([row]) * 48 for row in range(6))
    PLACE = bytes(32)

    async def test_an_undone_deposit_leaves_the_key_with_its_vault(self, database_url: str) -> None:
        database = await Database.open(database_url)
        assert await _reserved(database, VAULT, self.KEYS) == [*self.KEYS[:2]]
        await database.run(learn_pending, {self.KEYS[0]: 9}, 8, 10)
        assert await _reserved(database, VAULT, self.KEYS) == [*self.KEYS[1:3]]
        await database.run(learn_pending, {}, 8, 10)
        assert await _reserved(database, OTHER_VAULT, self.KEYS) == [*self.KEYS[3:5]]
        assert await _reserved(database, VAULT, self.KEYS) == [*self.KEYS[:2]]
        await database.close()

    async def test_what_is_read_again_stays_used_until_it_is(self, database_url: str) -> None:
        database = await Database.open(database_url)
        await database.run(learn_final, {self.KEYS[0]: 3, self.KEYS[1]: 7}, 0, (10, self.PLACE))
        await database.run(rewind, None)
        assert await database.run(known_places) == []
        assert await _reserved(database, VAULT, self.KEYS) == [*self.KEYS[2:4]]
        await database.run(learn_final, {self.KEYS[0]: 4}, 0, (10, self.PLACE))  # the other chain
        assert await _reserved(database, OTHER_VAULT, self.KEYS) == [self.KEYS[1], self.KEYS[4]]
        await database.close()

    async def test_a_deposit_that_moved_to_a_later_block(self, database_url: str) -> None:
        database = await Database.open(database_url)
        await database.run(learn_pending, {self.KEYS[0]: 5}, 4, 6)
        await database.run(learn_pending, {self.KEYS[0]: 8}, 4, 9)
        await database.run(learn_final, {}, 4, (6, self.PLACE))
        assert (await _reserved(database, VAULT, self.KEYS))[0] == self.KEYS[1]
        await database.run(learn_pending, {}, 7, 9)
        assert (await _reserved(database, OTHER_VAULT, self.KEYS))[0] == self.KEYS[0]
        await database.close()

    async def test_a_relayer_whose_node_is_behind_takes_nothing_back(self, database_url: str) -> None:
        database = await Database.open(database_url)
        await database.run(learn_pending, {self.KEYS[0]: 9}, 4, 9)
        await database.run(learn_pending, {}, 4, 8)
        assert await _reserved(database, VAULT, self.KEYS) == [*self.KEYS[1:3]]
        await database.close()

    async def test_what_a_file_or_a_beacon_node_says_outlives_the_block(self, database_url: str) -> None:
        database = await Database.open(database_url)
        await database.run(learn_pending, {self.KEYS[0]: 9}, 4, 9)
        assert await database.run(mark_registered, self.KEYS[:1], block_number=None) == 0
        await database.run(learn_pending, {}, 4, 9)
        assert await _reserved(database, VAULT, self.KEYS) == [*self.KEYS[1:3]]
        await database.close()

    async def test_keys_of_a_cluster_that_is_served_no_more_block_nothing(self, start: Start) -> None:
        old, new = make_cluster(2, name="old"), make_cluster(2, name="new")
        async with start(old, vaults=VAULTS) as relayer:
            await register(relayer, amounts=[32 * ETH] * 2)
            await sign_all(relayer, old, 1, 2, 3)
            before = await until_registered(relayer, amounts=[32 * ETH] * 2)
        async with start(new, vaults=VAULTS) as relayer:
            await register(relayer, index=7, amounts=[32 * ETH] * 2)
            await sign_all(relayer, new, 1, 2, 3)
            answer = await until_registered(relayer, index=7, amounts=[32 * ETH] * 2)
            assert keys_of(answer) == [key.to_wire() for key in new.keys]
        async with start(old, vaults=VAULTS) as relayer:
            assert await register(relayer, amounts=[32 * ETH] * 2) == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strategies.lists(
        strategies.tuples(
            strategies.integers(0, 2), strategies.integers(0, 6), strategies.sampled_from(["register", "use"])
        ),
        max_size=25,
    )
)
def test_any_interleaving_of_three_vaults(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[int, int, str]]
) -> None:
    """Against a model: each vault holds a list, which grows and shrinks at its end only."""
    keys = [bytes([row]) * 48 for row in range(9)]
    vaults = [bytes([number]) * 20 for number in range(3)]
    path = tmp_path_factory.mktemp("reserving")

    async def compare() -> None:
        held: dict[bytes, list[bytes]] = {vault: [] for vault in vaults}
        used: set[bytes] = set()
        opened = await Database.open(f"sqlite:///{path}/relayer.db")
        try:
            for number, count, action in requests:
                vault = vaults[number]
                if action == "use":  # some validator of the vault gets its deposit
                    if gone := held[vault][count : count + 1]:
                        used.update(gone)
                        held[vault].remove(gone[0])
                        await opened.run(mark_registered, gone, block_number=1)
                    continue
                mine = held[vault][:count]
                others = {key for other in vaults if other != vault for key in held[other]}
                free = (key for key in keys if key not in used | others | {*mine})
                mine += [key for key, _ in zip(free, range(count - len(mine)), strict=False)]
                held[vault] = mine
                wanted = WantedRegistration(vault, 5, [32 * ETH] * count, 1)
                assert await opened.run(reserve, wanted, keys, window=0, now=1) == mine
        finally:
            await opened.close()

    asyncio.run(compare())


class TestRefusals:
    """Bad requests name their field."""

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"amounts": [32 * ETH, 31 * ETH]}, "amounts[1]"),
            ({"amounts": [33 * ETH]}, "amounts[0]"),
            ({"amounts": [32 * ETH - 1], "validator_type": "0x02"}, "amounts[0]"),
            ({"amounts": [2048 * ETH + 1], "validator_type": "0x02"}, "amounts[0]"),
            ({"amounts": [0]}, "amounts[0]"),
            ({"amounts": [2**64]}, "amounts[0]"),
            ({"amounts": [-1]}, "amounts[0]"),
            ({"amounts": ["32000000000"]}, "amounts[0]"),
            ({"amounts": [32e9]}, "amounts[0]"),
            ({"amounts": None}, "amounts"),
            ({"amounts": [32 * ETH] * 50_001}, "amounts"),
            ({"validator_type": "0x03"}, "validator_type"),
            ({"validator_type": 2}, "validator_type"),
            ({"validators_start_index": -1}, "validators_start_index"),
            ({"validators_start_index": 2**64}, "validators_start_index"),
            ({"validators_start_index": 2**64 - 1, "amounts": [32 * ETH] * 2}, "validators_start_index"),
            ({"validators_start_index": "5"}, "validators_start_index"),
            ({"validators_start_index": None}, "validators_start_index"),
            ({"vault": "0x" + "11" * 20}, "vault"),
            ({"vault": "0x11"}, "vault"),
            ({"vault": VAULT.to_wire().replace("a", "A", 1)}, "vault"),
            ({"vault": 5}, "vault"),
        ],
    )
    async def test_the_field_is_named(self, start: Start, change: dict[str, Any], field: str) -> None:
        async with start(make_cluster(2), vaults=VAULTS) as relayer:
            body = json.dumps({**body_of(amounts=[32 * ETH]), **change})
            status, answer = await relayer.raw("POST", "/register", body)
            assert (status, answer["field"]) == (422, field), answer
            assert await wanted_of(relayer) == []

    async def test_without_a_vault_nobody_can_register(self, start: Start) -> None:
        async with start(make_cluster(1)) as relayer:
            status, answer = await relayer.raw("POST", "/register", json.dumps(body_of()))
            assert (status, answer["field"]) == (422, "vault")
            assert "--vault" in answer["error"]


async def test_thousands_of_amounts_take_no_statement_each(database_url: str) -> None:
    """The operator asks every block and waits ten seconds."""
    keys = [number.to_bytes(48, "big") for number in range(2100)]
    amounts = [32 * ETH] * 2000
    database = await Database.open(database_url)

    def counted(connection: Connection, index: int, window: int) -> tuple[list[bytes], int]:
        statements = []
        listener = partial(_note_statement, statements)
        event.listen(connection, "before_cursor_execute", listener)
        try:
            found = reserve(
                connection, WantedRegistration(VAULT, index, amounts, 1), keys, window=window, now=1000
            )
        finally:
            event.remove(connection, "before_cursor_execute", listener)
        return found, len(statements)

    for index, window in [(10, 0), (11, 0), (10, 0), (10, 0), (12, 8), (13, 8)]:
        found, count = await database.run(counted, index, window)
        assert found == keys[:2000]
        assert count < 100
    await database.close()


def _note_statement(statements: list[str], _: Any, __: Any, statement: str, *___: Any) -> None:
    statements.append(statement)


async def test_an_unchanged_request_writes_nothing(database_url: str) -> None:
    keys = [bytes([row]) * 48 for row in range(5)]
    database = await Database.open(database_url)
    wanted = WantedRegistration(VAULT, 3, [32 * ETH] * 4, 1)
    first = await database.run(_revision_after, wanted, keys, 1000)
    assert await database.run(_revision_after, wanted, keys, 1030) == first
    assert (
        await database.run(_revision_after, WantedRegistration(VAULT, 4, [32 * ETH] * 4, 1), keys, 1030)
        > first
    )
    with pytest.raises(IndexRefusedError):
        await database.run(
            reserve, WantedRegistration(VAULT, 2**64 - 3, [32 * ETH] * 4, 1), keys, window=0, now=1030
        )
    await database.close()


def _revision_after(connection: Any, wanted: WantedRegistration, keys: list[bytes], now: int) -> int:
    reserve(connection, wanted, keys, window=2, now=now)
    return latest_revision(connection)
