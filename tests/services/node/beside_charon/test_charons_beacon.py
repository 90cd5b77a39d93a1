"""The beacon node that our nodes have beside charons: what a real one would refuse, it does, too."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from itertools import count

import aiohttp
import pytest

from dvtfast import networks
from dvtfast.duties import forks
from dvtfast.services.chain.beacon.chain_constants import ExpectedChain
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duties import DutiesClient
from dvtfast.services.demo.beacon.encoding import to_json
from tests.samples import public_key, sign
from tests.services.patience import PATIENCE_SECONDS

from .capella import CAPELLA
from .charons_beacon import CharonsBeacon
from .charons_chain import HOODI, CharonsChain, capella, spec

EPOCH = 8 * 400_000  # with duties of the sync committee
SLOT = 16 * EPOCH + 4
INDEX = 1  # who attests and proposes in it
HEAD = bytes(range(32))
SELECTION = spec.SyncAggregatorSelectionData(slot=SLOT, subcommittee_index=0)


def proofs(key):
    """For an aggregate, and for a contribution."""
    of = [
        (spec.Slot(SLOT), spec.DOMAIN_SELECTION_PROOF),
        (SELECTION, spec.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF),
    ]
    return [sign(key, HOODI.signing_root(what, domain, EPOCH)) for what, domain in of]


def chosen(key):
    """For which of both; a share of all keys is."""
    return [
        int.from_bytes(sha256(proof).digest()[:8], "little") % modulo == 0
        for proof, modulo in zip(proofs(key), (6, 8), strict=True)
    ]


LUCKY = next(number for number in count(100) if all(chosen(number)))
UNLUCKY = next(number for number in count(100) if not any(chosen(number)))
SECRETS = [1, LUCKY, 3, 4, 5]


class Chain(CharonsChain):
    """In that slot for ever."""

    slot = SLOT + 1


class Beacon(CharonsBeacon):
    """Whose head is known."""

    async def head(self):
        return HEAD


@pytest.fixture
async def beacon():
    found = Beacon(Chain([public_key(secret) for secret in SECRETS], 1))
    async with found.serving():
        yield found


def signed(what, domain_type, *, by=INDEX, epoch=EPOCH):
    return sign(SECRETS[by], HOODI.signing_root(what, domain_type, epoch))


def attestation(
    *, by=INDEX, index=INDEX, committee=INDEX, slot=SLOT, domain=spec.DOMAIN_BEACON_ATTESTER, **change
):
    data = Chain([], 1).attestation_data(slot)
    for name, value in change.items():
        setattr(data, name, value)
    signature = signed(data, domain, by=by)
    return spec.SingleAttestation(
        committee_index=committee, attester_index=index, data=data, signature=signature
    )


async def post(beacon, path, body, version=""):
    headers = {"Eth-Consensus-Version": version} if version else {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(beacon.url + path, data=json.dumps(body), headers=headers) as answer,
    ):
        return answer.status


ATTESTATIONS = "/eth/v2/beacon/pool/attestations"


async def test_votes(beacon):
    assert await post(beacon, ATTESTATIONS, [to_json(attestation())], "fulu") == 200
    assert (beacon.accepted, beacon.refused) == ({"attester": {SLOT: 1}}, [])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"by": 2}, "not signed by validator 1"),
        ({"domain": spec.DOMAIN_RANDAO}, "not signed by validator 1"),
        ({"index": 2, "by": 2}, "not in this committee"),
        ({"committee": 2}, "not in this committee"),
        ({"index": 9}, "no validator 9"),
        ({"beacon_block_root": HEAD}, "not what is attested to"),
        ({"slot": SLOT + 2}, "is over, or to come"),
        ({"slot": SLOT - 16}, "is over, or to come"),
    ],
)
async def test_votes_that_are_wrong(beacon, wrong, why):
    assert await post(beacon, ATTESTATIONS, [to_json(attestation(**wrong))], "fulu") == 400
    assert beacon.accepted == {}
    assert why in beacon.refused[0][1]


async def test_votes_of_another_version(beacon):
    assert await post(beacon, ATTESTATIONS, [to_json(attestation())], "deneb") == 400
    assert beacon.refused == [("attester", "another version")]


@pytest.mark.parametrize(
    ("by", "root", "why"), [(INDEX, HEAD, ""), (2, HEAD, "not signed"), (INDEX, bytes(32), "not of the head")]
)
async def test_sync_messages(beacon, by, root, why):
    message = spec.SyncCommitteeMessage(
        slot=SLOT, beacon_block_root=root, validator_index=INDEX,
        signature=signed(spec.Root(root), spec.DOMAIN_SYNC_COMMITTEE, by=by),
    )  # fmt: skip
    status = await post(beacon, "/eth/v1/beacon/pool/sync_committees", [to_json(message)])
    assert status == (400 if why else 200)
    assert [why in each for _, each in beacon.refused] == ([True] if why else [])


def aggregate(key, by):
    message = spec.AggregateAndProof(
        aggregator_index=INDEX, aggregate=Chain([], 1).aggregate(SLOT), selection_proof=proofs(key)[0]
    )
    signature = signed(message, spec.DOMAIN_AGGREGATE_AND_PROOF, by=by)
    return spec.SignedAggregateAndProof(message=message, signature=signature)


def contribution(key, by):
    message = spec.ContributionAndProof(
        aggregator_index=INDEX,
        contribution=Chain([], 1).contribution(SLOT, 0, HEAD),
        selection_proof=proofs(key)[1],
    )
    signature = signed(message, spec.DOMAIN_CONTRIBUTION_AND_PROOF, by=by)
    return spec.SignedContributionAndProof(message=message, signature=signature)


@pytest.mark.parametrize(
    ("make", "path", "version"),
    [
        (aggregate, "/eth/v2/validator/aggregate_and_proofs", "fulu"),
        (contribution, "/eth/v1/validator/contribution_and_proofs", ""),
    ],
)
@pytest.mark.parametrize(
    ("key", "by", "why"),
    [
        (LUCKY, INDEX, ""),
        (SECRETS[2], INDEX, "selection proof: not signed by validator 1"),
        (LUCKY, 2, "not signed by validator 1"),
        (UNLUCKY, INDEX, "not chosen to aggregate"),
    ],
)
async def test_what_only_some_make(beacon, make, path, version, key, by, why):
    if key is UNLUCKY:
        beacon.chain.public_keys[INDEX] = public_key(UNLUCKY)
    assert await post(beacon, path, [to_json(make(key, by))], version) == (400 if why else 200)
    assert [why in each for _, each in beacon.refused] == ([True] if why else [])


async def test_blocks_and_what_comes_before_them(beacon, monkeypatch):
    """As our client asks for them, and publishes them."""
    monkeypatch.setattr(forks, "FORKS", (CAPELLA, *forks.FORKS))
    randao = signed(spec.Epoch(EPOCH), spec.DOMAIN_RANDAO)
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        DutiesClient([beacon.url], expected=ExpectedChain.of(networks.HOODI), timeout_seconds=60) as client,
    ):
        chain = await client.learn()
        assert chain.schedule.at(EPOCH).fork is forks.FULU
        assert [duty.slot for duty in (await client.attester_duties(EPOCH, [0, INDEX])).duties] == [
            SLOT - 4,
            SLOT,
        ]
        assert len((await client.proposer_duties(EPOCH)).duties) == 4
        assert [duty.seats for duty in await client.sync_duties(EPOCH, [3])] == [(3,)]
        assert await client.sync_duties(EPOCH + 2, [3]) == ()
        assert (await client.attestation_data(SLOT)).target.epoch == EPOCH
        assert await client.head_root() == HEAD
        with pytest.raises(BeaconError, match="randao"):
            await client.block(SLOT, signed(spec.Epoch(EPOCH), spec.DOMAIN_RANDAO, by=2), graffiti=bytes(32))
        block = await client.block(SLOT, randao, graffiti=HEAD)
        unsigned = capella.BeaconBlock.decode_bytes(block.ssz)
        assert unsigned.body.graffiti == HEAD
        for by in (2, INDEX):
            signature = signed(unsigned, spec.DOMAIN_BEACON_PROPOSER, by=by)
            whole = capella.SignedBeaconBlock(message=unsigned, signature=signature).encode_bytes()
            if by == INDEX:
                await client.publish_block(CAPELLA, whole)
            else:
                with pytest.raises(BeaconError, match="block: not signed by validator 1"):
                    await client.publish_block(CAPELLA, whole)
    assert beacon.accepted == {"proposer": {SLOT: 1}}
