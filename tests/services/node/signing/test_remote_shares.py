"""Key shares in a remote signer that finds each root itself, is slow, lies, hangs, or is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from dvtfast import check_signatures, sign
from dvtfast.duties import attestations, blocks, sync_committees, validator_messages
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.signed_sets import LoneNumber, LoneRoot, signed_set
from dvtfast.qbft.messages import Duty
from dvtfast.services.keys.remote_signer import remote_keys
from dvtfast.services.node.signing import remote
from dvtfast.services.node.signing.remote import KeySharesElsewhere
from dvtfast.services.node.signing.signer import DutySigner
from dvtfast.services.process.offload import Workers
from tests.services.patience import ANSWER_SECONDS
from tests.services.sidecar.test_remote_signer import NOWHERE, RemoteSigner, signing_root, unhex
from tests.ssz_reference import root
from tests.unit.duties.test_duty_sets import SCHEDULE, VALUES

from .signers import ALL, CLUSTER, OWN, OWN_PUBLIC_KEYS, SLOT, VALIDATORS, record_at, signer_of, vote

A = b"\1" * 32
ATTESTER = Duty(SLOT, DutyType.ATTESTER)
SHORT_SECONDS = 1.5
# By the type of a request: the domain's type, the member with the message, and what that is.
MESSAGES: dict[str, tuple[str, str, Any]] = {
    "ATTESTATION": ("01000000", "attestation", attestations.AttestationData),
    "BLOCK_V2": ("00000000", "beacon_block.block_header", blocks.BeaconBlockHeader),
    "RANDAO_REVEAL": ("02000000", "randao_reveal", LoneNumber),
    "AGGREGATION_SLOT": ("05000000", "aggregation_slot", LoneNumber),
    "AGGREGATE_AND_PROOF_V2": (
        "06000000",
        "aggregate_and_proof.data",
        attestations.AggregateAndProofElectra,
    ),
    "SYNC_COMMITTEE_MESSAGE": ("07000000", "sync_committee_message", LoneRoot),
    "SYNC_COMMITTEE_SELECTION_PROOF": (
        "08000000",
        "sync_aggregator_selection_data",
        sync_committees.SyncAggregatorSelectionData,
    ),
    "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF": (
        "09000000",
        "contribution_and_proof",
        sync_committees.ContributionAndProof,
    ),
    "VOLUNTARY_EXIT": ("04000000", "voluntary_exit", validator_messages.VoluntaryExit),
    "VALIDATOR_REGISTRATION": (
        "00000001",
        "validator_registration",
        validator_messages.ValidatorRegistration,
    ),
}


def root_of(body: dict[str, Any]) -> bytes:
    """The signing root of a request, as the signer itself finds it."""
    domain_type, member, cls = MESSAGES[body["type"]]
    fields: Any = body
    for name in member.split("."):
        fields = fields[name]
    epoch = int(fields.get("epoch", 3))
    if cls is LoneNumber:
        fields = {"number": next(iter(fields.values()))}
    elif cls is LoneRoot:
        assert fields.pop("slot") == str(SLOT)
        fields = {"root": fields["beacon_block_root"]}
    message = root(cls, codec(cls).from_json(fields), MAINNET_PRESET.sizes)
    if body["type"] == "VALIDATOR_REGISTRATION":
        assert "fork_info" not in body
        return signing_root(message, domain_type, SCHEDULE.genesis_version, bytes(32))
    fork = body["fork_info"]["fork"]
    is_before = epoch < int(fork["epoch"])
    version = unhex(fork["previous_version" if is_before else "current_version"])
    return signing_root(message, domain_type, version, unhex(body["fork_info"]["genesis_validators_root"]))


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers("test", threads=1)
    yield workers
    await workers.close()


def a_remote_signer() -> RemoteSigner:
    signer = RemoteSigner(OWN)
    signer.root_of = root_of
    return signer


def delayed(by: Callable[[int], float], remote_signer: RemoteSigner) -> None:
    """Answers of key number i take so many seconds more."""

    @web.middleware
    async def delay(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if key := request.match_info.get("key"):
            await asyncio.sleep(by(remote_signer.order.index(unhex(key))))
        return await handler(request)

    remote_signer.middlewares.append(delay)


@asynccontextmanager
async def signing(
    url: str, workers: Workers, *, timeout_seconds: float = ANSWER_SECONDS
) -> AsyncIterator[DutySigner]:
    offered = (
        await remote_keys(url, timeout_seconds=ANSWER_SECONDS)
        if url != NOWHERE
        else [row.tobytes() for row in OWN_PUBLIC_KEYS.encoded]
    )
    keys = KeySharesElsewhere(url, offered, CLUSTER, workers, SCHEDULE, timeout_seconds=timeout_seconds)
    signer = signer_of(workers, record_at(None), keys=keys)
    try:
        yield signer
    finally:
        await signer.close()


@pytest.mark.parametrize(("kind", "value"), VALUES.values(), ids=VALUES)
async def test_every_duty(kind: DutyType, value: Any, workers: Workers) -> None:
    """The signer is told enough to find the root by itself."""
    remote_signer = a_remote_signer()
    duty = Duty(194_048 * 32 if kind == DutyType.EXIT else SLOT, kind)
    async with remote_signer.running() as url, signing(url, workers) as signer:
        signed = await signer.sign(duty, ALL, [value] * VALIDATORS)
    assert not signed.refused
    of = signed_set(kind, signed.values, SCHEDULE)
    assert check_signatures(OWN_PUBLIC_KEYS, of.signing_roots, of.signatures).all()
    if kind in (DutyType.PROPOSER, DutyType.AGGREGATOR):
        member = remote_signer.requests[0][MESSAGES[remote_signer.requests[0]["type"]][1].split(".")[0]]
        assert member["version"] == "FULU"


HUGE = b'{"signature": "0x' + b"00" * 1_000_000 + b'"}'
ROOT_OF_A = signed_set(ATTESTER.type, [vote(A)], SCHEDULE).signing_roots[0]
OF_ANOTHER_ROOT, OF_ANOTHER_KEY = (
    b'"0x' + sign(key, of).tobytes().hex().encode() + b'"' for key, of in ((OWN[2], A), (OWN[0], ROOT_OF_A))
)
FAULTS: dict[str, tuple[int | bytes, str]] = {
    "refuses": (412, "HTTP 412: the signer says no"),
    "lost the key": (404, "it does not have the key (any more)"),
    "is in trouble": (500, "HTTP 500: the signer says no"),
    "says too much": (HUGE, "no answer of a remote signer"),
    "says no signature": (b"{}", "its answer is no signature"),
    "signs something else": (b'{"signature": ' + OF_ANOTHER_ROOT + b"}", "its signature is wrong"),
    "signs with another's key": (b'{"signature": ' + OF_ANOTHER_KEY + b"}", "its signature is wrong"),
    "sends no point": (b'{"signature": "0x' + b"ff" * 96 + b'"}', "its signature is wrong"),
}


@pytest.mark.parametrize(("fault", "why"), FAULTS.values(), ids=FAULTS)
async def test_a_key_that_fails_costs_that_key(fault: int | bytes, why: str, workers: Workers) -> None:
    remote_signer = a_remote_signer()
    remote_signer.faults[2] = fault
    async with remote_signer.running() as url, signing(url, workers) as signer:
        signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
        assert signed.validators.tolist() == [0, 1, 3]
        assert list(signed.refused) == [2]
        assert signed.refused[2].startswith(f"remote signer: {why}")
        # The same once more, when the signer is mended.
        del remote_signer.faults[2]
        assert not (await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)).refused


async def test_a_key_that_hangs_is_waited_for_once(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later it is hardly, until it answers again."""
    seconds = {2: 1000.0}
    remote_signer = a_remote_signer()
    delayed(lambda key: seconds.get(key, 0.0), remote_signer)
    async with (
        remote_signer.running() as url,
        signing(url, workers, timeout_seconds=SHORT_SECONDS) as signer,
    ):
        for _ in range(2):
            signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
            assert signed.validators.tolist() == [0, 1, 3]
            assert signed.refused == {2: "remote signer: it did not answer in time"}
        assert signer._keys._silent == {2}  # type: ignore[attr-defined]
        seconds.clear()
        monkeypatch.setattr(remote, "GRACE_SECONDS", ANSWER_SECONDS)  # machines may be slow
        await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
        assert not signer._keys._silent  # type: ignore[attr-defined]


async def test_more_keys_hang_than_requests_go_out(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the others come to their turn the next time."""
    remote_signer = a_remote_signer()
    delayed(lambda key: 1000.0 if key < 3 else 0.0, remote_signer)
    monkeypatch.setattr(remote, "PARALLEL_REQUESTS", 1)
    async with (
        remote_signer.running() as url,
        signing(url, workers, timeout_seconds=SHORT_SECONDS) as signer,
    ):
        there: list[int] = []
        for _ in range(3):
            there = (await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)).validators.tolist()
        assert there == [3]


async def test_a_signer_that_is_away(workers: Workers) -> None:
    """And comes back: what was not signed then is signed."""
    remote_signer = a_remote_signer()
    async with remote_signer.running() as url:
        port = int(url.rstrip("/").rpartition(":")[2])
    async with signing(NOWHERE, workers) as signer:
        signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
        assert not signed.values
        assert list(signed.refused) == ALL.tolist()
        assert all(why.startswith("remote signer: it is away") for why in signed.refused.values())
        signer._keys._client._address = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
        async with remote_signer.running(port):
            assert not (await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)).refused


async def test_keys_that_it_does_not_have_are_not_asked_for(workers: Workers) -> None:
    remote_signer = a_remote_signer()
    del remote_signer.order[3]
    remote_signer.more_keys = ["0x" + "ab" * 48]
    async with remote_signer.running() as url, signing(url, workers) as signer:
        signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
    assert signed.refused == {3: "this node has no key share of it"}
    assert len(remote_signer.requests) == VALIDATORS - 1


async def test_what_must_not_be_signed_is_not_asked_for(workers: Workers) -> None:
    remote_signer = a_remote_signer()
    async with remote_signer.running() as url, signing(url, workers) as signer:
        await signer.sign(ATTESTER, ALL[:2], [vote(A)] * 2)
        signed = await signer.sign(ATTESTER, ALL, [vote(b"\2" * 32)] * VALIDATORS)
        assert list(signed.refused) == [0, 1]
        assert np.array_equal(signed.validators, [2, 3])
        signed = await signer.sign(ATTESTER, ALL[:2], [vote(b"\2" * 32)] * 2)
        assert (list(signed.refused), list(signed.values)) == ([0, 1], [])
    assert len(remote_signer.requests) == VALIDATORS
