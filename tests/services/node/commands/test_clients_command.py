"""`dvtfast node` that serves a validator client: over HTTPS, whom a token lets in, and without key shares."""

from __future__ import annotations

import json
import re
import shutil
import ssl
from pathlib import Path

import aiohttp

from dvtfast.obol import read_cluster_lock

from ...certificates import Authority
from .processes import CHAIN_ID, before_a_chain, kill, run, stop, told

TOKEN = "0123456789abcdef-token"


async def test_over_https_with_a_token_and_without_key_shares(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain, key = authority.issue("node")
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with before_a_chain(tmp_path, validators=8, start_seconds=3600.0) as (nodes, genesis):
        shutil.rmtree(nodes.folders[0] / "validator_keys")
        process = nodes.process(0)
        process.start(
            *("--validator-api-address", "127.0.0.1:0", "--validator-api-token-file", str(token)),
            *("--vc-tls-cert-file", str(chain), "--vc-tls-key-file", str(key)),
        )
        try:
            process.wait_for("validator clients are served")
            [line] = [json.loads(each) for each in process.lines if "validator clients" in each]
            url = f"https://127.0.0.1:{line['port']}"
            trusted = ssl.create_default_context(cafile=str(authority.file))
            shown = {"Authorization": f"Bearer {TOKEN}"}
            lock = read_cluster_lock(nodes.folders[0] / "cluster-lock.json")
            shares = ["0x" + each.tobytes().hex() for each in lock.public_key_shares[:, 0]]
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:
                async with session.get(url + "/eth/v1/node/version") as answer:
                    assert answer.status == 401
                async with session.get(url + "/eth/v1/beacon/genesis", headers=shown) as answer:
                    assert (await answer.json())["data"]["genesis_time"] == str(int(genesis))
                async with session.get(url + "/eth/v1/config/spec", headers=shown) as answer:
                    assert (await answer.json())["data"]["DEPOSIT_CHAIN_ID"] == str(CHAIN_ID)
                path = "/eth/v1/beacon/states/head/validators"
                async with session.post(url + path, json={"ids": shares}, headers=shown) as answer:
                    found = (await answer.json())["data"]
            _, metrics = await nodes.get(0, "/metrics")
            [refused] = re.findall(r"core_validatorapi_request_error_total{(.*)} (.*)", metrics)
            assert 'endpoint="node_version"' in refused[0]
            assert 'status_code="401"' in refused[0]
            served = set(re.findall(r'core_validatorapi_request_latency.*endpoint="(\w+)"', metrics))
            assert served == {"node_version", "passed_on", "beacon_states_validators"}
            assert sorted(each["validator"]["pubkey"] for each in found) == sorted(shares)
            assert stop(process) == 0
            assert "Traceback" not in process.said
            assert TOKEN not in process.said
        finally:
            kill(process)
        token.write_text("short")
        where = ("--validator-api-address", "127.0.0.1:0", "--validator-api-token-file", str(token))
        done = run("node", *nodes.arguments(0), *where)
        assert done.returncode == 2
        assert told(done).startswith("--validator-api-token-file: expected one token of at least 16 letters")
