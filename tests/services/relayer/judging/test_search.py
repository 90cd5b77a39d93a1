"""Bad shares that only a search can find, since public key shares are unknown: how long it holds up whom."""

from __future__ import annotations

from ...conftest import START_INDEX, Start, make_cluster
from ..test_shares import wrong


async def test_a_long_search_holds_up_nobody(start: Start) -> None:
    hard, named = make_cluster(2), make_cluster(1, name="named")
    indices = range(START_INDEX, START_INDEX + 2)
    async with start(named, signature_threshold=3) as relayer:
        await relayer.ask(hard)
        await relayer.ask(named)
        for share_index in range(1, 33):
            await relayer.post(share_index, wrong(hard.exit_shares(1, indices)))
        await relayer.fill(named, [START_INDEX + 2], 1, 2, 3)
        exits = await relayer.until(lambda e: e[named.keys[0]].is_exit_signature_ready)
        assert any(exits[key].share_indexes_ready for key in hard.keys)  # the search goes on


async def test_a_hard_one_among_easy_ones_is_searched_alone(start: Start) -> None:
    cluster = make_cluster(4, share_indices=range(1, 8))
    indices = range(START_INDEX, START_INDEX + 4)
    hard, *easy = cluster.keys
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        for share_index in range(1, 6):  # 35 subsets, more than a batch tries for each
            shares = cluster.exit_shares(share_index, indices)
            bad = 4 if share_index == 1 else 1
            await relayer.post(share_index, wrong(shares[:bad]) + shares[bad:])
        await relayer.fill(cluster, indices, 6, 7)
        exits = await relayer.until(
            lambda e: all(e[key].is_exit_signature_ready for key in easy) and not e[hard].share_indexes_ready
        )
        assert exits[hard].share_indexes_rejected == []
        await relayer.fill(cluster, indices, 3)
        await relayer.until_ready(cluster)
        assert (await relayer.exits())[hard].share_indexes_rejected == [1, 2, 4, 5]
