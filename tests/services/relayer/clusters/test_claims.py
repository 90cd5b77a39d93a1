"""Public key shares as nodes claim them, of validators of no named cluster: who is believed, and what for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from sqlalchemy import Connection, func, select
from structlog.testing import capture_logs

from dvtfast import PublicKeys, check_public_key_shares, derive_public_keys
from dvtfast.services import wire
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.nodes.announced_shares import keep_claims
from dvtfast.services.relayer.store.operators.removal import forget
from dvtfast.services.relayer.store.tables import key_share_claims

from ...conftest import READY_SECONDS, START_INDEX, Cluster, Relayer, Start, make_cluster
from ...postgres import Server
from ..judging.test_suspects import closer_looks
from ..test_shares import wrong
from ..test_signatures import culprits_in

INDICES = range(START_INDEX, START_INDEX + 3)
NODES = (1, 2, 3, 4)
Claim = Mapping[int, bytes]


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


def true_claims(cluster: Cluster) -> list[Claim]:
    """What honest nodes say about each validator."""
    indices = cluster.shares.share_indices.tolist()
    rows = cluster.shares.public_key_shares.encoded
    return [{i: share.tobytes() for i, share in zip(indices, row, strict=True)} for row in rows]


def forged_claims(cluster: Cluster) -> list[Claim]:
    """Other key shares that interpolate to the same public keys; their forgers know those of 1 and 2."""
    forged = []
    for row, key in enumerate(cluster.shares.public_keys.encoded):
        claim = forged_claim(key, cluster.key_shares[row])
        keys = PublicKeys(np.array([[np.frombuffer(claim[i], np.uint8) for i in NODES]]))
        assert check_public_key_shares(PublicKeys([key.tobytes()]), keys, NODES, threshold=3).all()
        forged.append(claim)
    return forged


def forged_claim(public_key: np.ndarray, key_shares: np.ndarray) -> Claim:
    """A polynomial with the same value at 0 and others elsewhere: q(x) = p(x) + x."""
    order = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
    moved = [
        (int.from_bytes(share.tobytes(), "big") + x) % order
        for x, share in zip(NODES, key_shares, strict=True)
    ]
    rows = derive_public_keys([scalar.to_bytes(32, "big") for scalar in moved])
    return {x: row.tobytes() for x, row in zip(NODES, rows, strict=True)}


def claiming(shares: Sequence[wire.ExitShare], claims: Sequence[Claim | None]) -> list[wire.ExitShare]:
    """The same shares, with claims."""
    return [
        wire.ExitShare(
            share.public_key,
            share.exit_signature,
            share.validator_index,
            None
            if claim is None
            else [
                wire.PublicKeyShare(wire.ShareIndex(index), wire.PublicKey(key))
                for index, key in reversed(claim.items())  # in no order
            ],
        )
        for share, claim in zip(shares, claims, strict=True)
    ]


async def post(
    relayer: Relayer, cluster: Cluster, claims: Sequence[Claim | None], *share_indices: int, bad: bool = False
) -> None:
    """What these nodes hand in, with what they claim."""
    for share_index in share_indices:
        shares = cluster.exit_shares(share_index, INDICES)
        shares = claiming(wrong(shares) if bad else shares, claims)
        assert await relayer.post(share_index, shares) == []


async def until_rejected(relayer: Relayer, *share_indices: int) -> dict[bytes, wire.ExitWanted]:
    return await relayer.until(
        lambda e: all(x.share_indexes_rejected == list(share_indices) for x in e.values())
    )


async def until_undecided(relayer: Relayer) -> None:
    """Nobody can tell who is bad, so everybody is asked again."""
    exits = await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
    assert all(exit_.share_indexes_rejected == [] for exit_ in exits.values())


def count_of_claims(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(key_share_claims)) or 0


async def read(url: str, query: Callable[[Connection], int]) -> int:
    database = await Database.open(url)
    try:
        return await database.read(query)
    finally:
        await database.close()


async def test_the_culprit_is_named_with_no_share_to_spare(start: Start) -> None:
    cluster = make_cluster()
    claims = true_claims(cluster)
    with capture_logs() as lines:
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster)
            await post(relayer, cluster, claims, 2, bad=True)
            await post(relayer, cluster, claims, 1, 3)
            exits = await until_rejected(relayer, 2)
            assert all(exit_.share_indexes_ready == [1, 3] for exit_ in exits.values())
            await post(relayer, cluster, claims, 2)  # mended
            await relayer.until_ready(cluster)
    (line,) = culprits_in(lines)
    assert (line["cluster"], line["share_index"], line["count"]) == ("other", 2, 3)


async def test_a_late_bad_share_is_named(start: Start) -> None:
    cluster = make_cluster()
    claims = true_claims(cluster)
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await post(relayer, cluster, claims, 1, 2, 3)
        await relayer.until_ready(cluster)
        await relayer.post(4, wrong(cluster.exit_shares(4, INDICES)))  # that claims nothing itself
        exits = await until_rejected(relayer, 4)
        assert all(exit_.share_indexes_ready == [1, 2, 3] for exit_ in exits.values())


async def test_a_suspect_costs_no_search(start: Start) -> None:
    cluster = make_cluster()
    claims = true_claims(cluster)
    later = range(START_INDEX + 10, START_INDEX + 13)
    at_first = 2 * len(INDICES)  # at each exit without key shares, then with those claimed
    with capture_logs() as lines:
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster)
            await post(relayer, cluster, claims, 2, bad=True)
            await post(relayer, cluster, claims, 1, 3)
            await until_rejected(relayer, 2)
            async with asyncio.timeout(READY_SECONDS):
                while closer_looks(lines) < at_first:  # noqa: ASYNC110 - log lines
                    await asyncio.sleep(0.02)
            await relayer.ask(cluster, later[0])
            await relayer.post(2, wrong(cluster.exit_shares(2, later, named=True)))
            await relayer.post(1, cluster.exit_shares(1, later, named=True))
            await relayer.post(3, cluster.exit_shares(3, later, named=True))
            await until_rejected(relayer, 2)
            await relayer.post(4, cluster.exit_shares(4, later, named=True))
            await relayer.until_ready(cluster)
    assert closer_looks(lines) == at_first


async def test_fewer_than_the_threshold_are_not_believed(start: Start) -> None:
    """Two of three that are needed say what is right; two others forge. Nobody is framed."""
    cluster = make_cluster()
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await post(relayer, cluster, forged_claims(cluster), 1, bad=True)
        await post(relayer, cluster, true_claims(cluster), 2, 3)
        await until_undecided(relayer)
        await post(relayer, cluster, forged_claims(cluster), 4)  # its share is right
        await relayer.until(lambda e: all(x.share_indexes_rejected in ([], [1]) for x in e.values()))
        await post(relayer, cluster, true_claims(cluster), 2, 3)
        await relayer.until_ready(cluster)
        exits = await relayer.exits()
        assert all(exit_.share_indexes_rejected == [1] for exit_ in exits.values())


async def test_what_agrees_but_does_not_interpolate_is_not_believed(start: Start) -> None:
    cluster = make_cluster()
    claims = [{**claim, 4: claim[1]} for claim in true_claims(cluster)]
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await post(relayer, cluster, claims, 1, 2)
        await post(relayer, cluster, claims, 3, bad=True)
        await until_undecided(relayer)


async def test_each_validator_stands_for_itself(start: Start) -> None:
    """Of one the claims agree, of one they do not interpolate, of one there are none."""
    cluster = make_cluster()
    true = true_claims(cluster)
    claims = [true[0], {**true[1], 4: true[0][4]}, None]
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await post(relayer, cluster, claims, 1, 2)
        await post(relayer, cluster, claims, 3, bad=True)
        first, *others = cluster.keys
        exits = await relayer.until(
            lambda e: (
                e[first].share_indexes_rejected == [3]
                and all(e[key].share_indexes_ready == [] for key in others)
            )
        )
        assert exits[first].share_indexes_ready == [1, 2]
        assert all(exits[key].share_indexes_rejected == [] for key in others)


async def test_two_camps_are_both_not_believed(start: Start) -> None:
    cluster = make_cluster(threshold=2)
    async with start(signature_threshold=2) as relayer:
        await relayer.ask(cluster)
        other = [dict(list(claim.items())[:3]) for claim in true_claims(cluster)]  # right, but not all
        for share_index in (1, 2):
            await relayer.post(share_index, wrong(cluster.exit_shares(share_index, INDICES)))
        await until_undecided(relayer)
        await post(relayer, cluster, true_claims(cluster), 3, 4)
        await relayer.until_ready(cluster)
        await post(relayer, cluster, other, 1, 2)


async def test_a_claim_that_is_withdrawn_frames_nobody_for_long(start: Start) -> None:
    """Somebody claims in the name of three nodes, and one of them sets it right."""
    cluster = make_cluster()
    forged, true = forged_claims(cluster), true_claims(cluster)
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await post(relayer, cluster, forged, 2, 3)
        await post(relayer, cluster, forged, 1, bad=True)
        await until_rejected(relayer, 1, 2, 3)
        await post(relayer, cluster, true, 3)  # the very share that was found bad
        await until_undecided(relayer)
        await post(relayer, cluster, true, 2)
        await post(relayer, cluster, true, 4)
        await relayer.until_ready(cluster)
        await until_rejected(relayer, 1)


async def test_an_index_that_no_node_has(start: Start) -> None:
    """A copy of a good share under another index: no key share of that index is known, nor needed."""
    cluster = make_cluster()
    claims = true_claims(cluster)
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await relayer.post(2**64 - 1, cluster.exit_shares(1, INDICES))
        await post(relayer, cluster, claims, 1, 2)
        await until_undecided(relayer)
        await post(relayer, cluster, claims, 1, 2, 3)
        await relayer.until_ready(cluster)
        await until_rejected(relayer, 2**64 - 1)


async def test_claims_survive_a_restart(start: Start, database_url: str) -> None:
    cluster = make_cluster()
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await post(relayer, cluster, true_claims(cluster), 1, 2, 3)
        await relayer.until_ready(cluster)
    later = range(START_INDEX + 10, START_INDEX + 13)
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster, later[0])
        await relayer.fill(cluster, later, 1, 2)
        await relayer.post(4, wrong(cluster.exit_shares(4, later, named=True)))
        await until_rejected(relayer, 4)
    assert await read(database_url, count_of_claims) == 9


async def test_what_is_kept(start: Start, database_url: str) -> None:
    """Nothing of validators that nobody asked for, of named clusters, or of no use."""
    named, other, stranger = make_cluster(1, name="named"), make_cluster(), make_cluster(1)
    true, key = true_claims(other)[0], other.keys[0]
    shares = other.exit_shares(1, INDICES)
    async with start(named, signature_threshold=3) as relayer:
        await relayer.ask(other)
        await relayer.ask(named)
        await relayer.post(1, claiming(named.exit_shares(1, [INDICES[-1] + 1]), true_claims(named)))
        strange = claiming(stranger.exit_shares(1, INDICES[:1]), true_claims(stranger))
        assert len(await relayer.post(1, strange)) == 1
        without_sender = {index: share for index, share in true.items() if index != 1}
        assert await relayer.post(1, claiming(shares, [None, {}, without_sender])) == []
        items = [wire.PublicKeyShare(wire.ShareIndex(1), wire.PublicKey(true[1]))] * 2
        twice = wire.ExitShare(key, shares[0].exit_signature, None, items)
        assert await relayer.post(1, [twice]) == []
        assert await read(database_url, count_of_claims) == 0
        await relayer.post(1, claiming(shares, true_claims(other)))
        await relayer.post(1, claiming(shares, true_claims(other)))
        assert await read(database_url, count_of_claims) == 3
        database = await Database.open(database_url)
        await database.run(forget, [key])
        assert await database.read(count_of_claims) == 2
        await database.close()


async def test_nodes_are_bounded(start: Start, database_url: str) -> None:
    """Who floods with made-up nodes takes no room from those that have shares."""
    cluster = make_cluster(1)
    key, true = cluster.keys[0], true_claims(cluster)[0]
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await relayer.post(1, claiming(cluster.exit_shares(1, INDICES[:1]), [true]))
        database = await Database.open(database_url)

        def flood(connection: Connection) -> None:
            for index in range(100, 200):
                keep_claims(connection, index, {key: bytes(56)}, limit=32, threshold_of=lambda _: 3)

        await database.run(flood)
        assert await database.read(count_of_claims) <= 32
        await database.close()
        await relayer.post(2, claiming(cluster.exit_shares(2, INDICES[:1]), [true]))
        await relayer.post(3, claiming(wrong(cluster.exit_shares(3, INDICES[:1])), [true]))
        await until_rejected(relayer, 3)


@pytest.mark.parametrize("point", ["infinity", "no point", "other subgroup"])
async def test_points_that_are_none(start: Start, point: str) -> None:
    cluster = make_cluster()
    other = {
        "infinity": b"\xc0" + bytes(47),
        "no point": b"\xab" * 48,
        "other subgroup": b"\x80" + bytes(46) + b"\x04",
    }[point]
    claims = [{**claim, 4: other} for claim in true_claims(cluster)]
    claims[0] = true_claims(cluster)[0]
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await post(relayer, cluster, claims, 1, 2)
        await post(relayer, cluster, claims, 3, bad=True)
        exits = await relayer.until(lambda e: e[cluster.keys[0]].share_indexes_rejected == [3])
        assert not any(exits[key].share_indexes_rejected for key in cluster.keys[1:])
        await relayer.fill(cluster, INDICES, 1, 2, 4)
        await relayer.until_ready(cluster)


async def test_as_the_first_makers_sidecars_send_them(start: Start) -> None:
    cluster = make_cluster()
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        for share_index in (1, 2, 3):
            shares = cluster.exit_shares(share_index, INDICES)
            shares = claiming(wrong(shares) if share_index == 2 else shares, true_claims(cluster))
            both = [
                wire.SignatureShares(
                    share.public_key,
                    share.exit_signature,
                    share.exit_signature,
                    None,
                    share.public_key_shares,
                )
                for share in shares
            ]
            body = wire.encode(wire.SignaturesRequest(wire.ShareIndex(share_index), both))
            status, answer = await relayer.raw("POST", "/signatures", body)
            assert status == 200
            reasons = {item["reason"] for item in answer["rejected"]}
            assert reasons == {"nobody asked for a deposit of this validator"}
        await until_rejected(relayer, 2)


async def test_sidecars_of_two_relayers(start: Start, postgres: Server) -> None:
    cluster = make_cluster()
    claims = true_claims(cluster)
    database = await postgres.database()
    async with (
        start(signature_threshold=3, database=database) as first,
        start(signature_threshold=3, database=database) as second,
    ):
        await first.ask(cluster)
        await post(first, cluster, claims, 1)
        await post(second, cluster, claims, 2)
        await post(second, cluster, claims, 3, bad=True)
        await until_rejected(first, 3)
        await post(first, cluster, claims, 4)
        await second.until_ready(cluster)
