"""A definition from a file or an address, and the node that this one is in it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from dvtfast import HOODI
from dvtfast.obol import (
    Creator,
    Version,
    cluster_definition_to_json,
    config_hash,
    sign_definition,
    with_hashes,
)
from dvtfast.services.ceremony import definition
from dvtfast.services.ceremony.dealing import new_node_keys
from dvtfast.services.ceremony.definition import ClusterAgreement, read_agreement
from dvtfast.services.ceremony.errors import CeremonyError

from .dealt import definition_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NODES = new_node_keys(4)
PROPOSED = definition_of(NODES)
DOCUMENT = cluster_definition_to_json(PROPOSED)


def read(where: Path | str, *, verify: bool = True) -> ClusterAgreement:
    return asyncio.run(read_agreement(str(where), verify=verify))


def written(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "cluster-definition.json"
    path.write_text(json.dumps({**DOCUMENT, **changes}))
    return path


def test_a_file(tmp_path: Path) -> None:
    agreement = read(written(tmp_path))
    assert agreement.network is HOODI
    assert agreement.amounts_gwei == (10**9, 32 * 10**9)
    assert agreement.definition.definition_hash == PROPOSED.definition_hash
    for i, secret in enumerate(NODES):
        assert agreement.node_index_of(PrivateKey(secret).public_key.format()) == i
    with pytest.raises(CeremonyError, match="not that of any operator"):
        agreement.node_index_of(PrivateKey(b"\x01" * 32).public_key.format())


def test_a_definition_hash_is_computed(tmp_path: Path) -> None:
    agreement = read(written(tmp_path, definition_hash=""))
    assert agreement.definition.definition_hash == PROPOSED.definition_hash


def test_what_is_not_proven_is_refused_or_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, name="other")
    with pytest.raises(CeremonyError, match=r"json: config_hash: does not fit .*--no-verify"):
        read(path)
    agreement = read(path, verify=False)
    assert agreement.definition.name == "other"
    assert agreement.definition.config_hash != PROPOSED.config_hash
    assert "definition is not verified, and used all the same" in capsys.readouterr().out


def test_rules_hold_in_any_case(tmp_path: Path) -> None:
    path = written(tmp_path, threshold=1, fork_version="0x01020304")
    for verify in (True, False):
        with pytest.raises(CeremonyError, match=r"json: fork_version: expected one of .*json: threshold: "):
            read(path, verify=verify)


def test_a_signed_one(tmp_path: Path) -> None:
    keys = new_node_keys(5)
    signed = sign_definition(PROPOSED, HOODI, creator=keys[0], operators=keys[1:])
    path = tmp_path / "signed.json"
    path.write_text(json.dumps(cluster_definition_to_json(signed)))
    assert read(path).definition.definition_hash == signed.definition_hash
    document = cluster_definition_to_json(signed)
    document["operators"][2]["enr_signature"] = ""
    path.write_text(json.dumps(document))
    with pytest.raises(CeremonyError, match=r"operators\[2\]\.enr_signature: missing; all accounts sign"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"<html>", b"\xff\xfe\x00", b"{}"])
def test_no_definition(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "definition.json"
    path.write_bytes(content)
    with pytest.raises(CeremonyError, match=r"definition\.json: "):
        read(path)
    with pytest.raises(CeremonyError, match="no such file"):
        read(tmp_path / "none.json")


# --- accounts that are contracts ---


def a_node(answers: dict[str, object]) -> Handler:
    """An execution node that answers each address so; an exception is a revert."""

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        if body["method"] == "eth_chainId":
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": hex(HOODI.chain_id)})
        assert body["method"] == "eth_call", body
        call = body["params"][0]
        assert call["data"].startswith("0x1626ba7e")
        found = answers.get(call["to"], "0x")
        if isinstance(found, Exception):
            error = {"code": 3, "message": "execution reverted", "data": "0x"}
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": error})
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": found})

    return answer


SAFE = "0x" + "5a" * 20
YES = "0x1626ba7e" + "00" * 28


def signature_of(key: bytes, type_: str, field: str, value: str) -> bytes:
    message = encode_typed_data(
        {"name": "Obol", "version": "1", "chainId": HOODI.chain_id},
        {type_: [{"name": field, "type": "string"}]},
        {field: value},
    )
    return bytes(Account.sign_message(message, key).signature)


@pytest.fixture
def with_a_safe(tmp_path: Path) -> Path:
    """Operator 1 is a contract with two owners; the others sign for the config that has its address."""
    keys = new_node_keys(5)
    two = (b"\x11" * 64 + b"\x1b") * 2
    addresses = [Account.from_key(key).address for key in keys]
    addresses[1] = SAFE
    operators = tuple(
        dataclasses.replace(operator, address=address)
        for operator, address in zip(PROPOSED.operators, addresses, strict=False)
    )
    proposed = dataclasses.replace(
        PROPOSED, version=Version.V1_11, operators=operators, creator=Creator(addresses[4])
    )
    text = "0x" + config_hash(proposed).hex()
    operators = tuple(
        dataclasses.replace(
            operator,
            config_signature=signature_of(key, "OperatorConfigHash", "operator_config_hash", text),
            enr_signature=signature_of(key, "ENR", "enr", operator.enr),
        )
        if operator.address != SAFE
        else dataclasses.replace(operator, config_signature=two, enr_signature=two)
        for key, operator in zip(keys, operators, strict=False)
    )
    creator = Creator(addresses[4], signature_of(keys[4], "CreatorConfigHash", "creator_config_hash", text))
    signed = with_hashes(dataclasses.replace(proposed, operators=operators, creator=creator))
    path = tmp_path / "safe.json"
    path.write_text(json.dumps(cluster_definition_to_json(signed)))
    return path


def with_node(path: Path, answers: dict[str, object]) -> ClusterAgreement:
    async def run() -> ClusterAgreement:
        app = web.Application()
        app.router.add_post("/", a_node(answers))
        async with TestServer(app) as server:
            return await read_agreement(
                str(path), verify=True, execution_endpoints=[str(server.make_url("/"))]
            )

    return asyncio.run(run())


def test_a_contract_says_that_it_has_signed(with_a_safe: Path) -> None:
    agreement = with_node(with_a_safe, {SAFE: YES})
    assert agreement.definition.operators[1].address == SAFE


@pytest.mark.parametrize("answer", ["0x", "0x" + "00" * 32, "0x" + "ff" * 32, "0x1626ba", RuntimeError()])
def test_a_contract_that_has_not(with_a_safe: Path, answer: object) -> None:
    with pytest.raises(CeremonyError) as caught:
        with_node(with_a_safe, {SAFE: answer})
    assert "operators[1].config_signature: not by the key of" in str(caught.value)
    assert "operators[1].enr_signature: not by the key of" in str(caught.value)
    assert "operators[0]" not in str(caught.value)
    assert "creator" not in str(caught.value)


def test_nobody_who_knows_contracts(with_a_safe: Path) -> None:
    with pytest.raises(CeremonyError, match=r"operators\[1\]\.config_signature: not by the key of"):
        read(with_a_safe)

    async def down() -> None:
        await read_agreement(str(with_a_safe), verify=True, execution_endpoints=["http://127.0.0.1:1"])

    with pytest.raises(CeremonyError, match="whether contracts have signed the definition: "):
        asyncio.run(down())


# --- from an address ---


def fetch(handler: Handler, path: str = "/v1/definition/0x12") -> ClusterAgreement:
    async def run() -> ClusterAgreement:
        app = web.Application()
        app.router.add_get("/{rest:.*}", handler)
        async with TestServer(app) as server:
            return await read_agreement(str(server.make_url(path)), verify=True)

    return asyncio.run(run())


def test_from_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.method == "GET"
        return web.json_response(DOCUMENT)

    assert fetch(answer).definition.definition_hash == PROPOSED.definition_hash
    assert "whoever is on the way can change a definition" in capsys.readouterr().out


@pytest.mark.parametrize("status", [301, 404, 500])
def test_another_status(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(DOCUMENT, status=status, headers={"Location": "/elsewhere"})

    with pytest.raises(CeremonyError, match=rf"/v1/definition/0x12: HTTP {status}$"):
        fetch(answer)


def test_more_than_16_mib() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b" " * (16 * 1024**2 + 1))

    with pytest.raises(CeremonyError, match="/v1/definition/0x12: "):
        fetch(answer)


def test_just_16_mib() -> None:
    async def answer(_: web.Request) -> web.Response:
        content = json.dumps(DOCUMENT).encode()
        return web.Response(body=content + b" " * (16 * 1024**2 - len(content)))

    assert fetch(answer).definition.definition_hash == PROPOSED.definition_hash


def test_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definition, "TIMEOUT_SECONDS", 0.1)

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(1)
        return web.json_response(DOCUMENT)

    with pytest.raises(CeremonyError, match="no answer in time"):
        fetch(answer)


def test_what_may_be_a_password_is_not_shown() -> None:
    with pytest.raises(CeremonyError) as caught:
        read("https://user:secret@127.0.0.1:1/definition?token=secret#secret")
    assert str(caught.value).startswith("https://127.0.0.1:1/definition: cannot connect")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("where", ["ftp://host/definition", "file://host/etc/passwd"])
def test_other_addresses(where: str) -> None:
    with pytest.raises(CeremonyError, match="expected a file, or an address with http"):
        read(where)
