"""Approvals: what is asked, what counts, and what hostile oracles can do about it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposit_data_tree import DepositDataTree
from dvtfast.protocol_config import OracleConfig
from dvtfast.services.chain.contracts.manager_messages import ETH1_ADDRESS
from dvtfast.services.chain.encoding import read_address, write_address
from dvtfast.services.operator.oracles import client as oracles_module
from dvtfast.services.operator.oracles.agreement import TooFewOraclesError
from dvtfast.services.operator.oracles.approvals import (
    ApprovalRequest,
    approve,
    read_upload,
)
from dvtfast.services.operator.oracles.client import OracleClient
from tests.services.operator.oracles.approving import (
    DEADLINE,
    VAULT,
    approved,
    high_s,
    request_for,
    signers_of,
)
from tests.services.oracle_servers import (
    CHAIN_ID,
    CID,
    KEEPER,
    OTHER_CID,
    FakeOracle,
    answering,
    broken_off,
    endless,
    fake_oracles,
    honest,
    oracles_up,
    saying,
    signing,
    slow,
)
from tests.services.patience import PATIENCE_SECONDS
from tests.unit.test_deposit_data_tree import some_deposits


def assert_shape(value: Any, shape: Any) -> None:
    """A type; a pattern of hex by its width; a list of one shape; or one of several in a tuple."""
    match shape:
        case int():
            assert isinstance(value, str)
            assert value.startswith("0x")
            assert len(bytes.fromhex(value[2:])) == shape
        case [inner]:
            assert type(value) is list
            for item in value:
                assert_shape(item, inner)
        case _:
            assert type(value) is shape


COMMON = {
    "validator_index": int,
    "vault_address": 20,
    "validators_root": 32,
    "public_keys": [48],
    "deposit_signatures": [96],
    "public_key_shards": [[48]],
    "exit_signature_shards": [[193]],
    "validators_manager_signature": 65,
    "deadline": int,
}
NONE = type(None)


def v3_request(oracles: int, *, first: int = 2, count: int = 3) -> ApprovalRequest:
    deposits = some_deposits(7)
    some = slice(first, first + count)
    return request_for(
        oracles,
        validators=count,
        validator_type=ETH1_ADDRESS,
        public_keys=[row.tobytes() for row in deposits.public_keys[some]],
        deposit_signatures=[row.tobytes() for row in deposits.signatures[some]],
        amounts_gwei=[GWEI_PER_VALIDATOR] * count,
        manager_signature=b"",
        proof=DepositDataTree(deposits).prove(first, count),
    )


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        pytest.param(request_for(3), {**COMMON, "amounts": [int]}, id="v4"),
        pytest.param(
            request_for(3, amounts_gwei=[GWEI_PER_VALIDATOR] * 2, validator_type=1),
            {**COMMON, "amounts": NONE},
            id="v4-0x01",
        ),
        pytest.param(
            v3_request(3),
            {
                **COMMON,
                "validators_manager_signature": NONE,
                "proof": [32],
                "proof_flags": [bool],
                "proof_indexes": [int],
            },
            id="v3-proof",
        ),
    ],
)
async def test_the_fields_of_a_request(
    client: OracleClient, request_: ApprovalRequest, fields: dict[str, Any]
) -> None:
    """Exactly these, of these types: an oracle refuses a body with any other."""
    fakes = fake_oracles(3)
    await approved(fakes, client, threshold=3, request=request_)
    ((_, path, body),) = fakes[0].asked
    assert path == "/"
    assert body.keys() == fields.keys()
    for name, shape in fields.items():
        assert_shape(body[name], shape)
    assert body["vault_address"] == write_address(VAULT)
    assert (body["validator_index"], body["deadline"]) == (1_234_567, DEADLINE)
    assert [len(row) for row in body["public_key_shards"]] == [3] * len(request_.public_keys)
    assert body["public_key_shards"][1][2] == "0x" + bytes([1, 2] * 24).hex()
    assert body["exit_signature_shards"][1][2] == "0x" + (bytes([101, 2] * 96) + b"\0").hex()
    if body.get("amounts") is not None:
        assert body["amounts"] == list(request_.amounts_gwei)
    if request_.proof:
        assert sorted(body["proof_indexes"]) == [2, 3, 4]
        assert len(body["proof_flags"]) + 1 == 3 + len(body["proof"])
        places = [body["proof_indexes"][place] for place in request_.proof.indexes]
        assert places == [2, 3, 4]


async def test_signatures_are_sorted_and_no_more_than_needed(client: OracleClient) -> None:
    fakes = fake_oracles(11)
    approval = await approved(fakes, client, threshold=8)
    assert (approval.ipfs_hash, approval.deadline) == (CID, DEADLINE)
    bodies = [body for each in fakes for _, _, body in each.asked]
    body = bodies[0]
    assert len(bodies) >= 8
    assert all(other == body for other in bodies)
    signers = signers_of(fakes, approval.signatures, body)
    assert len(signers) == 8
    assert signers == sorted(signers)
    assert [each.address for each in fakes] != sorted(each.address for each in fakes)


async def test_all_of_all(client: OracleClient) -> None:
    fakes = fake_oracles(5)
    approval = await approved(fakes, client, threshold=5, request=v3_request(5))
    signers = signers_of(fakes, approval.signatures, fakes[0].asked[0][2])
    assert signers == sorted(each.address for each in fakes)


def anothers(signature: bytes) -> bytes:
    """A valid signature by the same key of something else."""
    return FakeOracle(bytes([9]) * 32).sign({"vault_address": write_address(VAULT), "deadline": 1})


HOSTILE = {
    "slow": (slow, "no answer in time"),
    "endless": (endless, "expected at most 65536 bytes"),
    "broken off": (broken_off, "no answer"),
    "redirect": (answering("", status=302, Location="/0/0"), "HTTP 302"),
    "words": (answering("the vault is not ours", status=400), "HTTP 400: the vault is not ours"),
    "error": (answering("", status=500), "HTTP 500"),
    "compressed": (answering(b"\x1f\x8b", **{"Content-Encoding": "gzip"}), "not compressed"),
    "no JSON": (answering("<html>"), "not JSON"),
    "deep JSON": (answering('{"more": ' + "[" * 30_000), "not JSON"),
    "no text": (answering(b"\xff\xfe"), "not JSON"),
    "another JSON": (answering("[]"), "cannot be used"),
    "nothing in it": (answering("{}"), "cannot be used"),
    "number for text": (answering('{"ipfs_hash": 1, "signature": "0x00", "deadline": 1}'), "ipfs_hash"),
    "short signature": (signing(lambda signature: signature[:64]), "signature: expected 65 bytes"),
    "long signature": (signing(lambda signature: signature + b"\0"), "signature: expected 65 bytes"),
    "wrong signature": (signing(lambda signature: bytes(31) + b"\1" + signature[32:]), "signature: "),
    "high s": (signing(high_s), "lower of two values"),
    "v of 0": (signing(lambda signature: signature[:64] + bytes([signature[64] - 27])), "v of 27 or 28"),
    "another's": (signing(anothers), "signature: expected one by"),
    "no CID": (saying(ipfs_hash="Qm/../.."), "ipfs_hash: expected a CID"),
    "long CID": (saying(ipfs_hash="b" * 10_000), "ipfs_hash: expected a CID"),
    "late deadline": (saying(deadline=DEADLINE + 1), "deadline: expected one to come, up to"),
    "past deadline": (saying(deadline=1), "by the clock of this machine it is"),
    "another CID": (saying(ipfs_hash=OTHER_CID), "signed something else"),
    "another deadline": (saying(deadline=DEADLINE - 1), "signed something else"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_oracles_do_not_count(client: OracleClient, name: str) -> None:
    """Two honest ones are enough, and are told from the hostile one; three of three are not to be had."""
    answer, complaint = HOSTILE[name]
    fakes = fake_oracles(3)
    fakes[1].answers = [answer]
    approval = await approved(fakes, client, threshold=2)
    signers = signers_of(fakes, approval.signatures, fakes[0].asked[0][2])
    assert signers == sorted([fakes[0].address, fakes[2].address])
    with pytest.raises(TooFewOraclesError, match="same answer of 3 of 3 oracles, got 2") as error:
        await approved(fakes, client, threshold=3)
    assert (error.value.needed, error.value.agreed) == (3, 2)
    assert error.value.said.keys() == {fakes[1].address}
    assert complaint in error.value.said[fakes[1].address]
    assert write_address(fakes[1].address) in str(error.value)
    assert len(str(error.value)) < 1_000


names = st.sampled_from(["ipfs_hash", "signature", "deadline", "more"])
json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("0x" + "11" * 65)


def lists_and_objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(names, inner)


OTHERS = [name for name, (_, complaint) in HOSTILE.items() if complaint != "signed something else"]


@pytest.mark.parametrize("name", OTHERS)
async def test_one_replica_may_fail(client: OracleClient, name: str) -> None:
    """Whatever is wrong with its answer, another is asked."""
    fakes = fake_oracles(2)
    fakes[0].answers = [HOSTILE[name][0], honest]
    approval = await approved(fakes, client, threshold=2)
    assert len(approval.signatures) == 2 * 65


async def test_replicas_are_asked_one_after_the_other_in_random_order(client: OracleClient) -> None:
    orders = set()
    for _ in range(20):
        fakes = fake_oracles(1)
        fakes[0].answers = [answering("", status=503)] * 3
        with pytest.raises(TooFewOraclesError):
            await approved(fakes, client, threshold=1)
        order = tuple(replica for replica, _, _ in fakes[0].asked)
        assert sorted(order) == [0, 1, 2]
        orders.add(order)
    assert len(orders) > 1


async def test_the_largest_group_is_taken(client: OracleClient) -> None:
    fakes = fake_oracles(7)
    for each in fakes[:3]:
        each.answers = [saying(ipfs_hash=OTHER_CID)]
    approval = await approved(fakes, client, threshold=4)
    assert approval.ipfs_hash == CID
    with pytest.raises(TooFewOraclesError, match="5 of 7 oracles, got 4") as error:
        await approved(fakes, client, threshold=5)
    assert error.value.said.keys() == {each.address for each in fakes[:3]}


async def test_nobody_answers(client: OracleClient) -> None:
    fakes = fake_oracles(2)
    for each in fakes:
        each.answers = [answering("no", status=400)]
    with pytest.raises(TooFewOraclesError, match="1 of 2 oracles, got 0; of the others: 0x"):
        await approved(fakes, client, threshold=1)


async def test_who_is_slow_is_not_waited_for() -> None:
    fakes = fake_oracles(4)
    fakes[0].answers = [slow]
    async with asyncio.timeout(PATIENCE_SECONDS), OracleClient(timeout_seconds=3600) as patient:
        await approved(fakes, patient, threshold=3)


async def test_what_they_object_to_is_logged_harmlessly(client: OracleClient) -> None:
    fakes = fake_oracles(2)
    words = "\x1b[2J\u202e" + "x" * 100_000
    fakes[0].answers = [answering(words.encode()[:60_000], status=400)]
    with capture_logs() as lines, pytest.raises(TooFewOraclesError):
        await approved(fakes, client, threshold=2)
    (line,) = [line for line in lines if line["event"] == "an oracle objects"]
    assert line["oracle"] == write_address(fakes[0].address)
    assert len(line["said"]) <= oracles_module.SAID_CHARACTERS
    assert line["said"].isprintable()
    logged = json.dumps(lines)
    body = fakes[1].asked[0][2]
    for secret in (body["exit_signature_shards"][0][0], body["validators_manager_signature"]):
        assert secret not in logged


async def test_a_config_that_cannot_be_asked(client: OracleClient) -> None:
    fakes = fake_oracles(3)
    async with oracles_up(fakes) as config:
        strange = (("ftp://127.0.0.1/x", "no address", "http://[", "http://a:b/"), (), config.endpoints[2])
        config = OracleConfig(config.public_keys, strange, 1)
        with pytest.raises(TooFewOraclesError, match="2 of 3 oracles, got 1"):
            await approve(
                request_for(3),
                config,
                client,
                keeper_address=read_address(KEEPER),
                chain_id=CHAIN_ID,
                threshold=2,
            )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"public_keys": [bytes(48)]}, "lists of one length"),
        ({"public_keys": [], "deposit_signatures": [], "amounts_gwei": [], "shares": []}, "one length"),
        ({"vault": bytes(19)}, "vault: expected 20 bytes, got 19"),
        ({"registry_root": bytes(33)}, "registry_root: expected 32 bytes, got 33"),
        ({"manager_signature": bytes(64)}, "manager_signature: expected 65 bytes, got 64"),
        ({"manager_signature": b""}, "a proof or a manager's signature"),
        ({"proof": DepositDataTree(some_deposits(2)).prove(0, 2)}, "a proof or a manager's signature"),
        ({"validator_type": ETH1_ADDRESS}, "amounts_gwei: expected 32000000000 for each of type 0x01"),
        (
            {"manager_signature": b"", "proof": DepositDataTree(some_deposits(2)).prove(0, 2)},
            "deposit data has type 0x01 only",
        ),
        (
            {
                "manager_signature": b"",
                "validator_type": ETH1_ADDRESS,
                "amounts_gwei": [GWEI_PER_VALIDATOR] * 2,
                "proof": DepositDataTree(some_deposits(2)).prove(0, 1),
            },
            "expected one for 2 validators, got 1",
        ),
    ],
)
def test_requests_that_do_not_fit_together(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        request_for(3, **changes)


def test_a_number_that_a_vault_cannot_read() -> None:
    with pytest.raises(ValueError, match="cannot read 22 of this type"):
        request_for(1, validators=22)


async def test_shares_for_other_oracles_are_not_sent(client: OracleClient) -> None:
    fakes = fake_oracles(3)
    with pytest.raises(ValueError, match=r"shares\[0\]: expected one for each of 3 oracles"):
        await approved(fakes, client, threshold=2, request=request_for(2))
    for threshold in (0, 4):
        with pytest.raises(ValueError, match=r"threshold: expected 1\.\.3"):
            await approved(fakes, client, threshold=threshold)
    assert not any(each.asked for each in fakes)


async def test_a_large_request() -> None:
    """200 validators and 11 oracles are a megabyte for each."""
    fakes = fake_oracles(11)
    async with OracleClient(timeout_seconds=30) as patient:
        approval = await approved(fakes, patient, threshold=6, request=request_for(11, validators=200))
    assert len(approval.signatures) == 6 * 65


@given(content=st.binary(max_size=200) | st.recursive(json_values, lists_and_objects).map(json.dumps))
def test_any_answer_is_an_upload_or_a_value_error(content: bytes | str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of many kinds, as each field has its own words
        read_upload(content.encode() if isinstance(content, str) else content, deadline=DEADLINE, now=0)
