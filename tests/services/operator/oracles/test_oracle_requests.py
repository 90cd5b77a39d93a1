"""What is sent to oracles is what StakeWise's operator sends, to the letter; and where to."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin

import pytest

from dvtfast.deposit_data_tree import MultiProof
from dvtfast.services import wire
from dvtfast.services.chain.encoding import read_address
from dvtfast.services.demo.oracle.bodies import read_approval, read_consolidation, read_rotation
from dvtfast.services.operator.oracles import client as oracles_module
from dvtfast.services.operator.oracles.approvals import (
    ApprovalRequest,
)
from dvtfast.services.operator.oracles.client import OracleClient
from dvtfast.services.operator.oracles.consolidations import ROUTE, approve_switch
from dvtfast.services.operator.rotation.rotation_info import (
    RotationRequest,
)
from tests.services.operator.oracles.approving import (
    ETHER,
    signers_of,
)
from tests.services.oracle_servers import (
    CHAIN_ID,
    CHECKER,
    NONCE,
    fake_oracles,
    oracles_up,
)
from tests.vector_files import load, unhex

REQUESTS = load("oracle_requests.json")


async def test_a_switch(client: OracleClient) -> None:
    wanted = REQUESTS["switch to 0x02"]["body"]
    (key,) = map(unhex, wanted["public_keys"])
    fakes = fake_oracles(3)
    for each in fakes:
        each.consolidated = key + key
    fakes[2].consolidated = b"something else"
    async with oracles_up(fakes) as config:
        signatures = await approve_switch(
            unhex(wanted["vault_address"]),
            key,
            config,
            client,
            checker_address=read_address(CHECKER),
            chain_id=CHAIN_ID,
            threshold=2,
        )
    ((_, path, body),) = fakes[0].asked
    assert (path, body) == ("/consolidate-validators/", wanted)
    assert signers_of(fakes, signatures, body) == sorted(each.address for each in fakes[:2])


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://oracle.example",
        "https://oracle.example/",
        "http://oracle.example/v1",
        "http://oracle.example/v1/",
        "http://user:word@oracle.example:8000/a/b",
    ],
)
def test_where_a_switch_is_asked_for(endpoint: str) -> None:
    """Source: v3-operator `9c163d65` joins the route by the standard library's `urljoin`."""
    assert oracles_module._url(endpoint, ROUTE) == urljoin(endpoint, "consolidate-validators/")


def test_a_key_in_an_address_stays() -> None:
    """As endpoints behind somebody's gateway have it."""
    endpoint = "https://oracle.example/v1/?key=word"
    assert oracles_module._url(endpoint, "") == endpoint
    assert (
        oracles_module._url(endpoint, ROUTE) == "https://oracle.example/v1/consolidate-validators/?key=word"
    )
    assert oracles_module._url(endpoint, "/signatures") == "https://oracle.example/v1/signatures?key=word"


def test_approvals_are_what_stakewises_operator_sends() -> None:
    """To the letter."""
    for name in ("approval 0x01", "approval 0x02", "approval of deposit data"):
        wanted = REQUESTS[name]["body"]
        proof = None
        if "proof" in wanted:
            nodes, flags, positions = (wanted[f"proof{each}"] for each in ("", "_flags", "_indexes"))
            proof = MultiProof(tuple(positions), (), tuple(map(unhex, nodes)), tuple(flags))
        request = ApprovalRequest(
            vault=unhex(wanted["vault_address"]),
            validator_type=2 if name == "approval 0x02" else 1,
            validator_index=wanted["validator_index"],
            registry_root=unhex(wanted["validators_root"]),
            public_keys=[unhex(key) for key in wanted["public_keys"]],
            deposit_signatures=[unhex(signature) for signature in wanted["deposit_signatures"]],
            amounts_gwei=wanted.get("amounts") or [32 * ETHER] * 2,
            shares=shares_of(wanted),
            deadline=wanted["deadline"],
            manager_signature=unhex(wanted["validators_manager_signature"] or ""),
            proof=proof,
        )
        assert json.loads(wire.encode(request.body())) == wanted, name


def test_a_rotation_is_what_stakewises_operator_sends() -> None:
    wanted = REQUESTS["rotation"]["body"]
    keys = [unhex(key) for key in wanted["public_keys"]]
    vault, deadline = unhex(wanted["vault_address"]), wanted["deadline"]
    request = RotationRequest(
        vault=vault, public_keys=keys, shares=shares_of(wanted), nonce=NONCE, deadline=deadline
    )
    assert json.loads(wire.encode(request.body())) == wanted


def shares_of(body: dict[str, Any]) -> list[wire.OraclesExitSignatureShares]:
    pairs = zip(body["public_key_shards"], body["exit_signature_shards"], strict=True)
    return [
        wire.OraclesExitSignatureShares(
            [wire.PublicKey.from_wire(key) for key in keys],
            [wire.EncryptedSignature.from_wire(shard) for shard in encrypted],
        )
        for keys, encrypted in pairs
    ]


def test_the_demos_oracle_reads_the_same_bodies() -> None:
    for name, each in REQUESTS.items():
        read = {"": read_approval, "signatures": read_rotation, ROUTE: read_consolidation}[each["path"]]
        assert read(json.dumps(each["body"]).encode()) is not None, name
