"""Processes of the demo's oracle: what they sign goes through on chain, what is wrong they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import numpy as np
import pytest
from eth_account import Account

from dvtfast import HOODI, exit_signing_roots, recover_signatures, verify_signatures
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import sign_deposits
from dvtfast.ecies import decrypt_batch
from dvtfast.protocol_config import read_oracle_config
from dvtfast.services import wire
from dvtfast.services.chain.encoding import read_data, write_address, write_data
from dvtfast.services.chain.ipfs.unixfs import Cid
from dvtfast.services.demo.oracle import typed_data
from dvtfast.services.demo.oracle.typed_data import Domain, signer_of
from dvtfast.services.demo.world.deployed_contracts import ETH, World
from dvtfast.services.demo.world.oracles import OracleSet, RunningOracle
from dvtfast.services.operator.oracles.approvals import ApprovalRequest, approve
from dvtfast.services.operator.oracles.client import OracleClient
from tests.services.chain.anvil import CHAIN_ID
from tests.services.demo.world.registrations import (
    APPROVAL,
    MANAGER_ADDRESS,
    Tree,
    Validators,
    manager_signature,
    new_validators,
    request_v4,
    shards,
)

pytestmark = pytest.mark.usefixtures("running_oracles")

Body = dict[str, Any]


class Oracles:
    """Asks all of them the same."""

    def __init__(self, oracles: OracleSet) -> None:
        self.set = oracles

    async def ask(self, path: str, body: Body | str | None, *, only: int | None = None) -> list[Any]:
        answers = []
        async with aiohttp.ClientSession() as session:
            for position, port in enumerate(self.set.ports):
                if only is not None and position != only:
                    continue
                url = f"http://127.0.0.1:{port}{path}"
                data = json.dumps(body) if isinstance(body, dict) else body
                method = "GET" if body is None else "POST"
                async with session.request(method, url, data=data) as answer:
                    answers.append((answer.status, await answer.json()))
        return answers

    async def granted(self, path: str, body: Body | None) -> list[Any]:
        answers = await self.ask(path, body)
        assert {status for status, _ in answers} == {200}, answers
        return [answer for _, answer in answers]

    async def refused(self, path: str, body: Body | str, reason: str) -> None:
        ((status, answer),) = await self.ask(path, body, only=0)
        assert status == 400, answer
        assert reason in answer["error"]

    def joined(self, answers: list[Any]) -> bytes:
        """Signatures in the order that the Keeper wants."""
        signed = [read_data(answer["signature"]) for answer in answers]
        return b"".join(s for _, s in sorted(zip(self.set.addresses, signed, strict=True)))


@pytest.fixture
def oracles(oracle_set: OracleSet) -> Oracles:
    return Oracles(oracle_set)


@pytest.fixture
async def ready(world: World) -> World:
    """A vault with ETH and a manager."""
    await world.set_manager(MANAGER_ADDRESS)
    await world.stake(1000 * ETH)
    return world


async def register(world: World, oracles: Oracles, validators: Validators, index: int) -> list[Any]:
    body = await request_v4(world, validators, oracles.set, index)
    answers = await oracles.granted("/", body)
    (cid,) = {answer["ipfs_hash"] for answer in answers}
    Cid.parse(cid)
    assert {answer["deadline"] for answer in answers} == {body["deadline"]}
    joined = b"".join(validators.items)
    root = read_data(body["validators_root"])
    params = root, body["deadline"], joined, oracles.joined(answers), cid
    manager = read_data(body["validators_manager_signature"])
    await world.vault.send(f"registerValidators({APPROVAL},bytes)", params, manager)
    return answers


@pytest.mark.parametrize("kind", [1, 2])
async def test_a_registration_that_the_manager_signed(ready: World, oracles: Oracles, kind: int) -> None:
    await register(ready, oracles, new_validators(ready.vault.address, 2, kind), 0)
    await ready.foreign_deposits(2)
    await ready.foreign_deposits(3, is_signed=False)  # they make no validators
    await register(ready, oracles, new_validators(ready.vault.address, 2, kind), 4)


async def test_a_registration_from_deposit_data(ready: World, oracles: Oracles) -> None:
    validators = new_validators(ready.vault.address, 5)
    tree = Tree(validators.items)
    await ready.use_registry(tree.root)
    for places in ([0], [1, 2, 3]):
        order, flags, proof = tree.multiproof(places)
        some = take(validators, places)
        body = await request_v3(ready, some, oracles.set, places[0], order, flags, proof)
        answers = await oracles.granted("/", body)
        params = (
            read_data(body["validators_root"]),
            body["deadline"],
            b"".join(some.items),
            oracles.joined(answers),
            answers[0]["ipfs_hash"],
        )
        await ready.registry.send(
            f"registerValidators(address,{APPROVAL},uint256[],bool[],bytes32[])",
            ready.vault.address,
            params,
            [order.index(place) for place in places],
            flags,
            proof,
        )


def take(validators: Validators, places: list[int]) -> Validators:
    credentials = validators.deposits.withdrawal_credentials[places]
    amounts = validators.deposits.amounts_gwei[places]
    secrets = validators.secret_keys[places]
    return Validators(secrets, sign_deposits(secrets, credentials, amounts, HOODI), validators.kind)


async def request_v3(
    world: World,
    validators: Validators,
    oracles: OracleSet,
    index: int,
    order: list[int],
    flags: list[bool],
    proof: list[bytes],
) -> Body:
    body = await request_v4(world, validators, oracles, index, validators_manager_signature=None)
    del body["amounts"]
    proof_fields = {"proof": [write_data(node) for node in proof], "proof_flags": flags}
    return body | proof_fields | {"proof_indexes": order}


STRANGER = Account.from_key("0x" + "22" * 32)
Wrong = Callable[[Body], Body]

WRONG: dict[str, tuple[Wrong, str]] = {
    "another root": (
        lambda b: b | {"validators_root": write_data(bytes(32))},
        "validators_root: expected 0x",
    ),
    "an index too high": (lambda b: b | {"validator_index": 1}, "validator_index: expected 0, got 1"),
    "a deadline in the past": (lambda b: b | {"deadline": 1}, "deadline: expected "),
    "a deadline too late": (lambda b: b | {"deadline": 2**40}, "deadline: expected "),
    "an unknown vault": (
        lambda b: b | {"vault_address": "0x" + "ab" * 20},
        "vault_address: the Keeper does not know 0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB",
    ),
    "too few deposit signatures": (
        lambda b: b | {"deposit_signatures": b["deposit_signatures"][:1]},
        "deposit_signatures: expected 2, as many as public_keys, got 1",
    ),
    "deposit signatures of each other": (
        lambda b: b | {"deposit_signatures": b["deposit_signatures"][::-1]},
        "deposit_signatures[0]: does not verify for this vault and amount",
    ),
    "a key twice": (
        lambda b: b | {"public_keys": [b["public_keys"][0]] * 2},
        "public_keys: expected different ones",
    ),
    "no public key": (
        lambda b: b | {"public_keys": [b["public_keys"][0], "0x" + "00" * 48]},
        "public_keys[1]: not a valid public key",
    ),
    "shards for fewer oracles": (
        lambda b: b | {"public_key_shards": [each[:-1] for each in b["public_key_shards"]]},
        "public_key_shards[0]: expected 3, one for each oracle, got 2",
    ),
    "shards of fewer validators": (
        lambda b: b | {"exit_signature_shards": b["exit_signature_shards"][:1]},
        "exit_signature_shards: expected 2, as many as public_keys, got 1",
    ),
    "public key shards of another validator": (
        lambda b: b | {"public_key_shards": b["public_key_shards"][::-1]},
        "public_key_shards[0]: they do not make the validator's public key",
    ),
    "a public key shard that is none": (
        lambda b: b | {"public_key_shards": [b["public_key_shards"][0], ["0x" + "00" * 48] * 3]},
        "public_key_shards[1]: not valid public keys",
    ),
    "shards encrypted to others": (
        lambda b: b | {"exit_signature_shards": [each[::-1] for each in b["exit_signature_shards"]]},
        "exit_signature_shards[0][0]: not encrypted to this oracle",
    ),
    "exits of each other": (
        lambda b: b | {"exit_signature_shards": b["exit_signature_shards"][::-1]},
        "exit_signature_shards[0][0]: does not verify under its public key",
    ),
    "an amount that is not the signed one": (
        lambda b: b | {"amounts": [33 * 10**9] * 2},
        "deposit_signatures[0]: does not verify for this vault and amount",
    ),
    "an amount too low": (lambda b: b | {"amounts": [1, 1]}, "amounts[0]: expected 32000000000.."),
    "no signature of the manager": (
        lambda b: b | {"validators_manager_signature": None},
        "validators_manager_signature: expected one",
    ),
    "a manager's signature that is none": (
        lambda b: b | {"validators_manager_signature": "0x" + "ff" * 65},
        "validators_manager_signature: not by the validators manager of the vault",
    ),
    "fields of both generations": (lambda b: b | {"proof": None}, "unknown field `proof`"),
    "no amounts": (
        lambda b: {k: v for k, v in b.items() if k != "amounts"},
        "missing required field `proof`",
    ),
}


async def test_what_is_wrong_is_refused(ready: World, oracles: Oracles) -> None:
    body = await request_v4(ready, new_validators(ready.vault.address, 2), oracles.set, 0)
    for name, (change, reason) in WRONG.items():
        try:
            await oracles.refused("/", change(body), reason)
        except AssertionError as error:
            raise AssertionError(name) from error
    await oracles.granted("/", body)


async def test_signatures_by_somebody_else(ready: World, oracles: Oracles) -> None:
    validators = new_validators(ready.vault.address, 1)
    body = await request_v4(ready, validators, oracles.set, 0)
    root, joined = read_data(body["validators_root"]), b"".join(validators.items)
    foreign = write_data(manager_signature(ready, root, joined, STRANGER))
    await oracles.refused(
        "/",
        body | {"validators_manager_signature": foreign},
        "not by the validators manager of the vault",
    )


async def test_exits_for_another_index(ready: World, oracles: Oracles) -> None:
    validators = new_validators(ready.vault.address, 2)
    body = await request_v4(ready, validators, oracles.set, 0)
    await oracles.refused(
        "/", body | shards(validators, oracles.set, 1), "exit_signature_shards[0][0]: does not verify"
    )


async def test_amounts_are_for_one_type_only(ready: World, oracles: Oracles) -> None:
    """Source: v3-operator `9c163d65`: a list for type 0x02, null for 0x01."""
    ordinary = new_validators(ready.vault.address, 2)
    body = await request_v4(ready, ordinary, oracles.set, 0)
    assert body["amounts"] is None
    listed = body | {"amounts": [GWEI_PER_VALIDATOR] * 2}
    await oracles.refused("/", listed, "amounts: expected null for validators of type 0x01")
    await oracles.granted("/", body)
    body = await request_v4(ready, new_validators(ready.vault.address, 2, 2), oracles.set, 0)
    reason = "amounts: expected a list for validators of type 0x02"
    await oracles.refused("/", body | {"amounts": None}, reason)
    await oracles.granted("/", body)


async def test_a_key_that_is_deposited(ready: World, oracles: Oracles) -> None:
    validators = new_validators(ready.vault.address, 1)
    await register(ready, oracles, validators, 0)
    body = await request_v4(ready, validators, oracles.set, 1)
    await oracles.refused("/", body, "public_keys[0]: there is a validator with this key")


async def test_a_stale_root(ready: World, oracles: Oracles) -> None:
    body = await request_v4(ready, new_validators(ready.vault.address, 1), oracles.set, 0)
    await ready.foreign_deposits()
    await oracles.refused("/", body, "validators_root: expected 0x")
    await ready.chain.reorg(1)
    await oracles.granted("/", body)


async def test_proofs_that_lead_nowhere(ready: World, oracles: Oracles) -> None:
    validators = new_validators(ready.vault.address, 6)
    tree = Tree(validators.items)
    await ready.use_registry(tree.root)
    order, flags, proof = tree.multiproof([0, 1, 2])
    body = await request_v3(ready, take(validators, [0, 1, 2]), oracles.set, 0, order, flags, proof)
    lost = "proof: does not lead to the deposit data root of the vault"
    await oracles.refused("/", body | {"proof": body["proof"][::-1] + body["proof"]}, lost)
    await oracles.refused("/", body | {"proof_flags": []}, lost)
    await oracles.refused("/", body | {"proof_indexes": [*order[1:], order[0]]}, lost)
    await oracles.refused("/", body | {"proof_indexes": [0, 1, 3]}, "proof_indexes: expected 0..2, each once")
    await oracles.refused("/", body | {"proof_flags": None}, "proof_flags: Expected `array`, got `null`")
    await oracles.granted("/", body)


async def test_more_than_the_limit(ready: World, oracles: Oracles) -> None:
    body = await request_v4(ready, new_validators(ready.vault.address, 1), oracles.set, 0)
    keys = [write_data(bytes([0xC0, n]) + bytes(46)) for n in range(51)]
    await oracles.refused("/", body | {"public_keys": keys}, "public_keys: expected at most 50, got 51")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", "{"),
        ("/", "[" * 100_000),
        ("/", "[]"),
        ("/", "null"),
        ("/", '{"amounts": []}'),
        ("/", "\x00\xff"),
        ("/signatures", "{}"),
        ("/signatures", '{"vault_address": 7}'),
        ("/consolidate-validators/", '{"public_keys": []}'),
        ("/consolidate-validators/", '{"public_keys": "0x", "vault_address": []}'),
    ],
)
async def test_bodies_that_are_none(world: World, oracles: Oracles, path: str, body: str) -> None:
    await oracles.refused(path, body, "")


async def test_each_field_of_the_wrong_kind(ready: World, oracles: Oracles) -> None:
    body = await request_v4(ready, new_validators(ready.vault.address, 1), oracles.set, 0)
    for name in body:
        for value in (7.5, -1, "0x12", [[]], {}, [None], True):
            await oracles.refused("/", body | {name: value}, "")


async def test_rotation(ready: World, oracles: Oracles) -> None:
    vault = write_address(ready.vault.address)
    validators = new_validators(ready.vault.address, 3)
    await ready.foreign_deposits(2)
    await register(ready, oracles, validators, 2)
    info = f"/signatures/{vault}"
    nothing = {"exit_signature_block_number": None, "validators": []}
    assert await oracles.granted(info, None) == [nothing] * 3
    await ready.announce(oracles.set.config.read_bytes())
    outdated = nothing | {"validators": [{"index": index} for index in (2, 3, 4)]}
    assert await oracles.granted(info, None) == [outdated] * 3
    body = {
        "vault_address": vault,
        "public_keys": [write_data(key) for key in validators.public_keys],
        **shards(validators, oracles.set, 2),
        "deadline": await ready.chain.timestamp() + 600,
    }
    await oracles.refused(
        "/signatures",
        body | shards(validators, oracles.set, 3),
        "exit_signature_shards[0][0]: does not verify",
    )
    stranger = new_validators(ready.vault.address, 1)
    foreign = [*body["public_keys"][:2], write_data(stranger.public_keys[0])]
    await oracles.refused(
        "/signatures", body | {"public_keys": foreign}, "public_keys[2]: not a validator of this vault"
    )
    some = {
        name: value[:2] if isinstance(value, list) else value for name, value in body.items()
    }  # two of three
    answers = await oracles.granted("/signatures", some)
    block = await ready.keeper.send(
        "updateExitSignatures(address,uint256,string,bytes)",
        ready.vault.address,
        body["deadline"],
        answers[0]["ipfs_hash"],
        oracles.joined(answers),
    )
    left = {"exit_signature_block_number": block, "validators": [{"index": 4}]}
    assert await oracles.granted(info, None) == [left] * 3


async def test_rotation_info_of_no_vault(world: World, oracles: Oracles) -> None:
    for path in ("/signatures/0x12", "/signatures/0x" + "ab" * 20, "/signatures/%00"):
        ((status, _),) = await oracles.ask(path, None, only=0)
        assert status == 400


async def test_a_switch(ready: World, oracles: Oracles) -> None:
    """One key, once, at the route that StakeWise's operator joins; the chain has it twice."""
    vault = write_address(ready.vault.address)
    validators = new_validators(ready.vault.address, 2)
    await register(ready, oracles, validators, 0)
    key, other = validators.public_keys
    body = {"vault_address": vault, "public_keys": [write_data(key)]}
    urls = [url for endpoints in read_oracle_config(oracles.set.config).endpoints for url in endpoints]
    routes = {urlsplit(urljoin(url, "consolidate-validators/")).path for url in urls}
    assert routes == {"/consolidate-validators/"}
    answers = await oracles.granted("/consolidate-validators/", body)
    for path in ("/consolidate-validators", "//consolidate-validators/"):
        assert answers == await oracles.granted(path, body)
    message = Domain("ConsolidationsChecker", ready.keeper.address, CHAIN_ID).message(
        "ConsolidationsChecker", typed_data.CONSOLIDATION, ready.vault.address, key + key
    )
    signed = [signer_of(message, read_data(answer["signature"])) for answer in answers]
    assert signed == oracles.set.addresses
    signature = manager_signature(ready, (1).to_bytes(32, "big"), key + key)
    call = "consolidateValidators(bytes,bytes,bytes)"
    await ready.vault.send(call, key + key, signature, oracles.joined(answers), value=1)
    for wrong in ([key, key], [key, other]):
        await oracles.refused(
            "/consolidate-validators/",
            body | {"public_keys": [write_data(each) for each in wrong]},
            "public_keys: expected the one that switches, got 2",
        )
    foreign = [write_data(new_validators(ready.vault.address, 1).public_keys[0])]
    await oracles.refused(
        "/consolidate-validators/",
        body | {"public_keys": foreign},
        "public_keys[0]: not a validator of this vault",
    )


async def test_an_oracle_that_was_away(
    ready: World, oracles: Oracles, running_oracles: list[RunningOracle]
) -> None:
    body = await request_v4(ready, new_validators(ready.vault.address, 1), oracles.set, 0)
    before = await oracles.granted("/", body)
    running_oracles[1].stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await oracles.ask("/", body)
    running_oracles[1].start()
    running_oracles[1].wait()
    assert await oracles.granted("/", body) == before


async def test_the_shards_of_all_make_an_exit(ready: World, oracles: Oracles) -> None:
    """Without this the requests above could be wrong in the same way as the oracle."""
    validators = new_validators(ready.vault.address, 2)
    found = shards(validators, oracles.set, 7)["exit_signature_shards"]
    decrypted = [
        decrypt_batch([read_data(row[place]) for row in found], oracles.set.secrets[place])
        for place in (0, 2)
    ]
    recovered = recover_signatures(np.stack(decrypted, axis=1), [1, 3], threshold=2)
    verify_signatures(validators.deposits.public_keys, exit_signing_roots([7, 8], HOODI), recovered)


async def test_the_operators_client(ready: World, oracles: Oracles) -> None:
    """It finds in the oracles' signatures what it encodes itself."""
    validators = new_validators(ready.vault.address, 2, 2, 64 * 10**9)
    body = await request_v4(ready, validators, oracles.set, 0)
    config = read_oracle_config(oracles.set.config)
    split = zip(body["public_key_shards"], body["exit_signature_shards"], strict=True)
    request = ApprovalRequest(
        vault=ready.vault.address,
        validator_type=2,
        validator_index=0,
        registry_root=read_data(body["validators_root"]),
        public_keys=validators.public_keys,
        deposit_signatures=[signature.tobytes() for signature in validators.deposits.signatures],
        amounts_gwei=validators.amounts,
        shares=[
            wire.OraclesExitSignatureShares(
                [wire.PublicKey.from_wire(key) for key in keys],
                [wire.EncryptedSignature.from_wire(shard) for shard in encrypted],
            )
            for keys, encrypted in split
        ],
        deadline=body["deadline"],
        manager_signature=read_data(body["validators_manager_signature"]),
    )
    keeper = ready.keeper.address
    async with OracleClient() as client:
        approval = await approve(
            request, config, client, keeper_address=keeper, chain_id=CHAIN_ID, threshold=2
        )
    params = (
        request.registry_root,
        approval.deadline,
        request.validators,
        approval.signatures,
        approval.ipfs_hash,
    )
    await ready.vault.send(f"registerValidators({APPROVAL},bytes)", params, request.manager_signature)
