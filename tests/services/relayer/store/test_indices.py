"""Validator indices: who gets which, moves, and the end of the range."""

from __future__ import annotations

import pytest

from dvtfast.services import wire

from ...conftest import START_INDEX, Relayer, Start, make_cluster


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


async def ask(relayer: Relayer, keys: list[wire.PublicKey], start_index: int | None = None) -> list[int]:
    index = None if start_index is None else wire.UInt64(start_index)
    await relayer.client.post_validators(wire.ValidatorsRequest(keys, index))
    exits = await relayer.exits()
    return [exits[key].validator_index for key in keys]


async def refusal(relayer: Relayer, keys: list[wire.PublicKey], start_index: int | None = None) -> str:
    index = None if start_index is None else wire.UInt64(start_index)
    body = wire.encode(wire.ValidatorsRequest(keys, index))
    status, answer = await relayer.raw("POST", "/validators", body)
    assert (status, answer["field"]) == (422, "validators_start_index")
    return str(answer["error"])


async def test_new_keys_get_the_next_free_and_known_keys_keep_theirs(start: Start) -> None:
    cluster = make_cluster(6)
    keys = cluster.keys
    async with start(cluster) as relayer:
        assert await ask(relayer, keys[:2]) == [1000, 1001]
        assert await ask(relayer, [keys[3], keys[0], keys[2]]) == [1002, 1000, 1003]
        assert await ask(relayer, keys[:2]) == [1000, 1001]


async def test_the_request_is_obeyed_whoever_holds_the_index(start: Start) -> None:
    cluster = make_cluster(4)
    keys = cluster.keys
    async with start(cluster) as relayer:
        assert await ask(relayer, keys[:2]) == [1000, 1001]
        assert await ask(relayer, keys[2:], 1000) == [1000, 1001]
        assert await ask(relayer, keys[:2]) == [1000, 1001]


async def test_own_indices_avoid_all_that_were_ever_asked_for(start: Start) -> None:
    cluster = make_cluster(6)
    keys = cluster.keys
    async with start(cluster) as relayer:
        assert await ask(relayer, keys[:1], START_INDEX + 1) == [1001]
        assert await ask(relayer, keys[1:3]) == [1000, 1002]
        assert await ask(relayer, keys[1:3], 5) == [5, 6]  # they move away
        assert await ask(relayer, keys[3:5]) == [1003, 1004]


async def test_a_key_twice_in_one_request_is_refused(start: Start) -> None:
    """Nobody could say which of two indices it is to have, and those behind it would be off by one."""
    cluster = make_cluster(2)
    a, b = (key.hex() for key in cluster.keys)
    async with start(cluster) as relayer:
        body = f'{{"public_keys": ["{a}", "0x{a.upper()}", "0X{b}"], "validators_start_index": 7}}'
        status, answer = await relayer.raw("POST", "/validators", body)
        assert (status, answer["error"]) == (422, "public_keys[1]: the same as public_keys[0]")
        assert await relayer.exits() == {}


async def test_a_move_and_back_finds_everything_again(start: Start) -> None:
    cluster = make_cluster(3)
    first, second = range(1000, 1003), range(2000, 2003)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, first, 1, 2, 3)
        at_first = await relayer.until_ready(cluster)
        assert not (await relayer.ask(cluster, 2000)).ready
        exits = await relayer.exits()
        assert all(e.share_indexes_ready == [] and not e.is_exit_signature_ready for e in exits.values())
        await relayer.fill(cluster, second, 2, 3, 4)
        at_second = await relayer.until_ready(cluster)
        assert at_second.validators != at_first.validators
        assert (await relayer.ask(cluster, 1000)).validators == at_first.validators
        assert await relayer.ask(cluster) == at_first  # known keys keep their index
        assert (await relayer.ask(cluster, 2000)).validators == at_second.validators


async def test_a_move_by_one_keeps_what_overlaps(start: Start) -> None:
    """A foreign deposit shifts all indices by one; a shift back costs nothing."""
    cluster = make_cluster(3)
    async with start(cluster) as relayer:
        await relayer.ask(cluster, 50)
        await relayer.fill(cluster, range(50, 53), 1, 2)
        await relayer.ask(cluster, 51)
        assert all(e.share_indexes_ready == [] for e in (await relayer.exits()).values())
        await relayer.ask(cluster, 50)
        assert all(e.share_indexes_ready == [1, 2] for e in (await relayer.exits()).values())
        await relayer.fill(cluster, range(50, 53), 3)
        await relayer.until_ready(cluster)


async def test_an_exit_that_filled_up_in_between_is_ready_after_the_move_back(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster, 50)
        await relayer.ask(cluster, 60)
        for share_index in (1, 2, 3):
            assert await relayer.post(share_index, cluster.exit_shares(share_index, [50], named=True)) == []
        assert not (await relayer.ask(cluster)).ready
        await relayer.ask(cluster, 50)
        await relayer.until_ready(cluster)


@pytest.mark.parametrize("index", [0, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
async def test_every_index_of_64_bits(start: Start, index: int) -> None:
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        assert await ask(relayer, cluster.keys, index) == [index]
        await relayer.fill(cluster, [index], 1, 2, 3)
        await relayer.until_ready(cluster)


async def test_the_end_of_the_range(start: Start) -> None:
    cluster = make_cluster(4)
    keys = cluster.keys
    async with start(cluster, start_index=2**64 - 3) as relayer:
        assert "exceeds 2^64" in await refusal(relayer, keys[:2], 2**64 - 1)
        assert await relayer.exits() == {}
        assert await ask(relayer, keys[:1], 2**64 - 2) == [2**64 - 2]
        assert "free indices" in await refusal(relayer, keys[1:4])
        assert await ask(relayer, keys[1:3]) == [2**64 - 3, 2**64 - 1]
        assert "free indices" in await refusal(relayer, keys[3:])


async def test_without_a_start_index_new_keys_need_one_in_the_request(start: Start) -> None:
    cluster = make_cluster(3)
    async with start(cluster, start_index=None) as relayer:
        assert "no --start-index" in await refusal(relayer, cluster.keys)
        assert await ask(relayer, cluster.keys, 9) == [9, 10, 11]
        assert await ask(relayer, cluster.keys) == [9, 10, 11]
