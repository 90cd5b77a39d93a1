"""What nodes send each other of a duty, to the byte: charon's own figures where they are given, and ours."""

import json
import lzma

import pytest

from dvtfast.duties.aggregators import are_aggregators, are_sync_aggregators
from dvtfast.duties.attestations import AttestationData, AttestationElectra, Checkpoint
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import ELECTRA
from dvtfast.duties.signed_sets import signature_of
from dvtfast.duties.ssz import SszError
from dvtfast.duties.sync_committees import ContributionAndProof
from dvtfast.duties.validator_messages import SignedRandao
from dvtfast.duties.wrappers import Versioned, decode_agreed, decode_signed, encode_agreed, encode_signed
from tests.vector_files import given

AGREED = {
    "AttestationData": DutyType.ATTESTER,
    "VersionedAggregatedAttestation": DutyType.AGGREGATOR,
    "VersionedProposal_fulu": DutyType.PROPOSER,
    "SyncContribution": DutyType.SYNC_CONTRIBUTION,
}
SIGNED = {
    "VersionedAttestation": DutyType.ATTESTER,
    "VersionedSignedAggregateAndProof": DutyType.AGGREGATOR,
    "VersionedSignedProposal_fulu": DutyType.PROPOSER,
    "VersionedSignedProposal_deneb_blinded": DutyType.PROPOSER,
    "SignedSyncMessage": DutyType.SYNC_MESSAGE,
    "SignedSyncContributionAndProof": DutyType.SYNC_CONTRIBUTION,
}
AS_JSON = {
    "SignedRandao": DutyType.RANDAO,
    "BeaconCommitteeSelection": DutyType.PREPARE_AGGREGATOR,
    "SyncCommitteeSelection": DutyType.PREPARE_SYNC_CONTRIBUTION,
    "SignedVoluntaryExit": DutyType.EXIT,
}
NO_JSON = "VersionedProposal_fulu"  # it was too large to keep


def ssz_of(name):
    return given(f"charon/core_ssz/{name}.ssz").read_bytes()


def json_of(name):
    if name == "VersionedSignedProposal_fulu":
        return lzma.decompress(given(f"charon/core_json/{name}.json.xz").read_bytes())
    return given(f"charon/core_json/{name}.json").read_bytes()


@pytest.mark.parametrize("name", AGREED)
def test_values_that_charon_agrees_on(name):
    duty, encoded = AGREED[name], ssz_of(name)
    value = decode_agreed(duty, encoded)
    assert encode_agreed(duty, value) == encoded
    if name != NO_JSON:
        assert decode_agreed(duty, json_of(name)) == value


@pytest.mark.parametrize("name", SIGNED)
def test_what_charon_signs(name):
    duty, encoded = SIGNED[name], ssz_of(name)
    value = decode_signed(duty, encoded)
    assert encode_signed(duty, value) == encoded
    assert decode_signed(duty, json_of(name)) == value


@pytest.mark.parametrize("name", AS_JSON)
def test_what_charon_signs_and_writes_as_json(name):
    duty, text = AS_JSON[name], json_of(name)
    value = decode_signed(duty, text)
    assert encode_signed(duty, value) == json.dumps(json.loads(text), separators=(",", ":")).encode()


def test_an_exit_is_read_as_ssz_too():
    encoded = ssz_of("SignedVoluntaryExit")
    assert decode_signed(DutyType.EXIT, encoded) == decode_signed(
        DutyType.EXIT, json_of("SignedVoluntaryExit")
    )


def test_a_contribution_and_its_proof():
    contributions = codec(ContributionAndProof)
    encoded = ssz_of("SyncContributionAndProof")
    value = contributions.decode(encoded)
    assert contributions.encode(value) == encoded
    assert contributions.to_json(value) == json.loads(json_of("SyncContributionAndProof"))


def constants(name):
    return json.loads(given("charon/misc/constants.json").read_text())[name]


def test_who_aggregates():
    figures = constants("att_aggregator")
    proof = bytes.fromhex(figures["selection_proof"])
    selected = are_aggregators([proof, proof], [3, 64])
    assert selected.tolist() == [figures["committee_length_3"], figures["committee_length_64"]]
    cases = constants("sync_aggregator")["cases"]
    proofs = [bytes.fromhex(case["proof"]) for case in cases]
    assert are_sync_aggregators(proofs).tolist() == [case["is_aggregator"] for case in cases]


def test_what_charon_refuses():
    for text in constants("malformed_ssz")["must_fail_not_crash"]:
        for decode, duties in ((decode_agreed, AGREED), (decode_signed, SIGNED)):
            for duty in duties.values():
                with pytest.raises(SszError):
                    decode(duty, bytes.fromhex(text))


def test_an_attestation_of_our_own():
    """Written by other code, after charon's layout."""
    encoded = (
        bytes.fromhex("0500000000000000e90300000000000014000000ec0000003930000000000000" + "00" * 8)
        + b"\xaa" * 32
        + bytes.fromhex("8001000000000000")
        + b"\xbb" * 32
        + bytes.fromhex("8101000000000000")
        + b"\xcc" * 32
        + b"\xa0"
        + b"\x33" * 95
        + bytes.fromhex("2000000000000000" + "01")
    )
    source, target = Checkpoint(384, b"\xbb" * 32), Checkpoint(385, b"\xcc" * 32)
    data = AttestationData(12345, 0, b"\xaa" * 32, source, target)
    attestation = AttestationElectra(b"\x01", data, b"\xa0" + b"\x33" * 95, bytes([0x20, *[0] * 7]))
    value = Versioned(ELECTRA, attestation, validator_index=1001)
    assert encode_signed(DutyType.ATTESTER, value) == encoded
    assert decode_signed(DutyType.ATTESTER, encoded) == value
    assert signature_of(value) == attestation.signature


def test_a_randao_of_our_own():
    value = SignedRandao(385, b"\xa0" + b"\x33" * 95)
    encoded = b'{"epoch":"385","signature":"0xa0' + b"33" * 95 + b'"}'
    assert encode_signed(DutyType.RANDAO, value) == encoded
    assert decode_signed(DutyType.RANDAO, encoded) == value
