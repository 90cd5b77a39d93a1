"""GET /validators and POST /signatures: exits and deposits, signed together."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from ..conftest import START_INDEX, Relayer, Start, make_cluster
from .test_register import (
    COMPOUNDING,
    ETH,
    READY_SECONDS,
    VAULTS,
    post,
    register,
    sign_all,
    signature_shares,
    until_judged,
    until_registered,
    wanted_of,
)

QUIET_SECONDS = 2.5  # longer than the relayer waits for more before it names anybody


def mixed(good: list[dict[str, Any]], other: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """The good shares with one field of the others."""
    return [{**item, field: bad[field]} for item, bad in zip(good, other, strict=True)]


async def until_listed(relayer: Relayer, ready: list[int], rejected: list[int]) -> None:
    """Wait until all validators of the first vault show these share indices."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            items = await wanted_of(relayer)
            shown = [(item["share_indexes_ready"], item["share_indexes_rejected"]) for item in items]
            if all(item == (ready, rejected) for item in shown):
                return
            await asyncio.sleep(0.02)


def culprits_in(lines: Sequence[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """The lines of a log that name who handed in bad shares."""
    return [line for line in lines if line["event"] == "bad shares"]


async def until_named(
    lines: Sequence[MutableMapping[str, Any]], count: int = 1
) -> list[MutableMapping[str, Any]]:
    """Those lines, as soon as there are so many."""
    async with asyncio.timeout(READY_SECONDS):
        while len(culprits_in(lines)) < count:  # noqa: ASYNC110 - log lines
            await asyncio.sleep(0.02)
    return culprits_in(lines)


async def test_a_node_is_listed_when_both_shares_are_in(start: Start) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        await relayer.fill(cluster, range(START_INDEX, START_INDEX + 3), 1)  # of exits only
        await sign_all(relayer, cluster, 2)
        await until_listed(relayer, [2], [])
        exits = (await relayer.exits()).values()
        assert all(exit_.share_indexes_ready == [1, 2] for exit_ in exits)
        await sign_all(relayer, cluster, 1)
        await until_listed(relayer, [1, 2], [])
        await sign_all(relayer, cluster, 3)
        await until_registered(relayer)
        await until_listed(relayer, [1, 2, 3], [])
        await sign_all(relayer, cluster, 4)  # late, and right: it counts as handed in
        await until_listed(relayer, [1, 2, 3, 4], [])


@pytest.mark.parametrize(("field", "kind"), [("exit_signature", "exit"), ("deposit_signature", "deposit")])
async def test_one_bad_of_the_two_is_named(start: Start, field: str, kind: str) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        items = await wanted_of(relayer)
        good = signature_shares(cluster, 2, items)
        bad = mixed(good, signature_shares(cluster, 2, items, signer=4), field)
        with capture_logs() as lines:
            assert await post(relayer, 2, bad) == []
            await sign_all(relayer, cluster, 1, 3)
            assert all(item["share_indexes_rejected"] == [2] for item in await until_judged(relayer))
            await until_listed(relayer, [1, 3], [2])
            for _ in range(3):  # block after block, poll after poll
                rejected = await post(relayer, 2, bad)
                assert [item["public_key"] for item in rejected] == [item["public_key"] for item in items]
                assert await register(relayer) == []
            (line,) = await until_named(lines)
        assert (line["share_index"], line["kind"], line["count"]) == (2, kind, 3)
        assert sorted(line["validators"]) == sorted(item["public_key"] for item in items)
        assert await post(relayer, 2, good) == []
        await until_registered(relayer)
        await until_listed(relayer, [1, 2, 3], [])


async def test_a_bad_exit_and_a_bad_deposit_are_both_named(start: Start) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        items = await wanted_of(relayer)
        bad_exits = signature_shares(cluster, 1, items, signer=4)
        bad_deposits = signature_shares(cluster, 2, items, signer=4)
        with capture_logs() as lines:
            await post(relayer, 1, mixed(signature_shares(cluster, 1, items), bad_exits, "exit_signature"))
            good = signature_shares(cluster, 2, items)
            await post(relayer, 2, mixed(good, bad_deposits, "deposit_signature"))
            await sign_all(relayer, cluster, 3, 4)
            await until_registered(relayer)
            # With four nodes of three both get ready; who was bad is named when nothing else is due.
            await until_listed(relayer, [1, 2, 3, 4], [1, 2])
            named = {(line["kind"], line["share_index"]) for line in await until_named(lines, 2)}
        assert named == {("exit", 1), ("deposit", 2)}


async def test_a_node_with_ever_other_bad_shares_is_logged_once(start: Start) -> None:
    cluster = make_cluster(1, threshold=2, share_indices=[1, 2, 3])
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer, amounts=[32 * ETH])
        items = await wanted_of(relayer)
        good = signature_shares(cluster, 1, items)
        await sign_all(relayer, cluster, 2)
        other = make_cluster(1)
        with capture_logs() as lines:
            for index in range(4):
                lie = [{**items[0], "validator_index": index, "public_key": other.keys[0].to_wire()}]
                bad = signature_shares(other, 1, lie)
                assert await post(relayer, 1, mixed(good, bad, "exit_signature")) == []
                await until_listed(relayer, [2], [1])
            await until_named(lines)
            await asyncio.sleep(QUIET_SECONDS)
        assert len(culprits_in(lines)) == 1


async def test_an_amount_that_comes_back_finds_its_shares(start: Start) -> None:
    cluster = make_cluster(2)
    first, second = [32 * ETH] * 2, [64 * ETH] * 2
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer, amounts=first, kind=COMPOUNDING)
        await sign_all(relayer, cluster, 1, 2)
        await register(relayer, amounts=second, kind=COMPOUNDING)
        await until_listed(relayer, [], [])
        await sign_all(relayer, cluster, 3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer, amounts=first, kind=COMPOUNDING)
        await until_listed(relayer, [1, 2], [])
        await sign_all(relayer, cluster, 4)
        await until_registered(relayer, amounts=first, kind=COMPOUNDING)


async def test_a_deposit_share_that_comes_late_is_not_bad(start: Start) -> None:
    """In flight when the amount changed: it belongs to the earlier deposit."""
    cluster = make_cluster(2)
    first, second = [32 * ETH] * 2, [64 * ETH] * 2
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer, amounts=first, kind=COMPOUNDING)
        late = signature_shares(cluster, 2, await wanted_of(relayer))
        await sign_all(relayer, cluster, 1)
        await register(relayer, amounts=second, kind=COMPOUNDING)
        assert await post(relayer, 2, late) == []
        await sign_all(relayer, cluster, 1, 3)
        await until_listed(relayer, [1, 3], [])  # set right, and nobody is called bad
        await sign_all(relayer, cluster, 2)
        await until_registered(relayer, amounts=second, kind=COMPOUNDING)
        await register(relayer, amounts=first, kind=COMPOUNDING)
        # Exits are ready, so only deposits count: of these 1 was in time, 2 late, 3 never made.
        await until_listed(relayer, [1, 2], [])


@pytest.mark.parametrize("share_index", [5, 2**64 - 1])
async def test_a_share_index_outside_the_cluster(start: Start, share_index: int) -> None:
    cluster = make_cluster(2)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer, amounts=[32 * ETH] * 2)
        shares = signature_shares(cluster, 1, await wanted_of(relayer))
        rejected = await post(relayer, share_index, shares)
        assert len(rejected) == 2
        assert all("is not one of the cluster" in item["reason"] for item in rejected)
        await until_listed(relayer, [], [])


async def test_one_malformed_item_leaves_the_others(start: Start) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        shares = signature_shares(cluster, 1, await wanted_of(relayer))
        shares[1] = {**shares[1], "deposit_signature": "0x" + "c0" + "00" * 95}
        (rejected,) = await post(relayer, 1, shares)
        assert rejected["reason"].startswith("shares[1].deposit_signature")
        ready = [item["share_indexes_ready"] for item in await wanted_of(relayer)]
        assert ready == [[1], [], [1]]


async def test_deposits_that_nobody_asked_for(start: Start) -> None:
    """An operator of era A asked for the exit; there is no deposit to sign."""
    cluster = make_cluster(1)
    async with start(cluster, vaults=VAULTS) as relayer:
        await relayer.ask(cluster)
        item = {
            "public_key": cluster.keys[0].to_wire(),
            "validator_index": START_INDEX,
            "vault": VAULTS[0].to_wire(),
            "validator_type": "0x01",
            "amount": 32 * ETH,
        }
        (rejected,) = await post(relayer, 1, signature_shares(cluster, 1, [item]))
        assert rejected["reason"] == "nobody asked for a deposit of this validator"
        (exit_,) = (await relayer.exits()).values()
        assert exit_.share_indexes_ready == [1]
