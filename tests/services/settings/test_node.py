"""What a node is told: in the words of charon where they mean the same; no others of it in silence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dvtfast.services.cli import main
from dvtfast.services.settings import EXIT_CODE, NodeSettings, SettingsError
from dvtfast.services.settings.node.charon_flags import (
    CHARON_FLAGS,
    as_markdown,
    refused_variables,
    sifted,
    variable_of,
)
from tests.house.sources import ROOT

BEACON = {"DVTFAST_BEACON_NODE": "http://beacon:5052"}
TESTNET = {
    "CHARON_TESTNET_NAME": "devnet",
    "CHARON_TESTNET_CHAIN_ID": "1337",
    "CHARON_TESTNET_FORK_VERSION": "0x10000038",
    "CHARON_TESTNET_GENESIS_TIMESTAMP": "1700000000",
}


def load(environment: dict[str, str] | None = None, **flags: Any) -> NodeSettings:
    return NodeSettings.load(flags, {**BEACON, **(environment or {})})


def problems_of(environment: dict[str, str] | None = None, **flags: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environment, **flags)
    return caught.value.problems


def test_charons_environment_is_understood() -> None:
    settings = NodeSettings.load(
        {},
        {
            "CHARON_BEACON_NODE_ENDPOINTS": "http://one:5052,http://two:5052",
            "CHARON_FALLBACK_BEACON_NODE_ENDPOINTS": "http://three:5052",
            "CHARON_BEACON_NODE_TIMEOUT": "1m0.5s",
            "CHARON_BEACON_NODE_SUBMIT_TIMEOUT": "500ms",
            "CHARON_P2P_RELAYS": "https://relay.example,/ip4/192.0.2.1/tcp/3610/p2p/16Uiu2HA",
            "CHARON_P2P_TCP_ADDRESS": "0.0.0.0:3610,[::]:3610",
            "CHARON_MONITORING_ADDRESS": "0.0.0.0:3620",
            "CHARON_BUILDER_API": "true",
            "CHARON_NICKNAME": "north",
            "CHARON_GRAFFITI": "hello",
            "CHARON_LOG_FORMAT": "console",
            "CHARON_LOG_LEVEL": "debug",
            **TESTNET,
        },
    )
    assert settings.beacon_nodes == ("http://one:5052", "http://two:5052")
    assert settings.fallback_beacon_nodes == ("http://three:5052",)
    assert (settings.beacon_node_timeout, settings.beacon_node_submit_timeout) == (60.5, 0.5)
    assert len(settings.relays) == 2
    assert settings.p2p_tcp_address == (("0.0.0.0", 3610), ("::", 3610))
    assert settings.monitoring_address == ("0.0.0.0", 3620)
    assert settings.builder_api
    assert settings.nickname == "north"
    assert settings.graffiti == b"hello".ljust(32, b"\0")
    assert (settings.log_format, settings.log_level) == ("plain", "debug")
    assert settings.testnet_fork_version == bytes.fromhex("10000038")
    assert settings.testnet_chain_id == 1337


def test_what_is_not_set_is_as_charon_has_it() -> None:
    settings = load()
    assert str(settings.lock_path) == ".charon/cluster-lock.json"
    assert str(settings.key_path) == ".charon/charon-enr-private-key"
    assert str(settings.keystores_path) == ".charon/validator_keys"
    assert settings.monitoring_address == ("127.0.0.1", 3620)
    assert len(settings.relays) == 3
    assert settings.p2p_tcp_address == ()
    assert settings.graffiti.startswith(b"dvtfast/")


def test_peers_are_named_by_record_or_id() -> None:
    peers = "16Uiu2HAm=node2.example:3610,enr:-abc==[2001:db8::1]:3611"
    settings = load(peers=(peers,))
    assert settings.peers == (
        ("16Uiu2HAm", "node2.example", 3610),
        ("enr:-abc=", "2001:db8::1", 3611),
    )
    assert settings.relays == ()  # nobody else is asked where they are
    (problem,) = problems_of(peers=("node2.example:3610",))
    assert problem.startswith("--peer (DVTFAST_PEER): expected ENR=HOST:PORT or ID=HOST:PORT")


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2), ("1m30s", 90), ("250ms", 0.25), ("1h", 3600), ("2.5", 2.5), ("7", 7)]
)
def test_times_as_go_writes_them(text: str, seconds: float) -> None:
    assert load(beacon_node_timeout=text).beacon_node_timeout == seconds


@pytest.mark.parametrize("text", ["0s", "-1s", "2 s", "s", "1d", "", "1e9h"])
def test_times_that_are_none(text: str) -> None:
    (problem,) = problems_of(beacon_node_timeout=text)
    assert problem.startswith("--beacon-node-timeout (")


def test_a_network_of_ones_own_is_told_whole() -> None:
    for missing in TESTNET:
        (problem,) = problems_of({name: value for name, value in TESTNET.items() if name != missing})
        flag = "--" + missing.removeprefix("CHARON_").replace("_", "-").lower()
        assert f"needs {flag}, too" in problem
    (problem,) = problems_of({"CHARON_TESTNET_CAPELLA_HARD_FORK": "0x40000038"})
    assert problem.endswith("expected the other --testnet flags, too")
    assert load({**TESTNET, "CHARON_TESTNET_CAPELLA_HARD_FORK": "0x40000038"}).testnet_capella_hard_fork


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        NodeSettings.load({}, {"CHARON_DEBUG_ADDRESS": "0.0.0.0:3600", "CHARON_NICKNAME": "n" * 33})
    problems = caught.value.problems
    assert len(problems) == 3
    assert problems[0].startswith("--nickname (")
    assert problems[1].startswith(
        "--beacon-node (DVTFAST_BEACON_NODE or CHARON_BEACON_NODE_ENDPOINTS): not set"
    )
    assert problems[2].startswith("CHARON_DEBUG_ADDRESS: there is no such port")


REFUSED = [flag for flag, decision in CHARON_FLAGS.items() if decision.refuses]


@pytest.mark.parametrize("flag", REFUSED)
def test_what_is_not_done_is_refused_by_name(flag: str) -> None:
    """Whichever way it is said, in one line that says what to do instead."""
    for arguments in ([f"{flag}=something"], [flag, "something"]):
        if CHARON_FLAGS[flag].harmless and len(arguments) == 2:
            continue
        left, (problem,) = sifted(arguments, [])
        assert left == []
        assert re.fullmatch(rf"{flag}: \w.{{20,}}", problem)
    name = variable_of(flag)
    (line,) = refused_variables({name: "something"})
    assert line.startswith(f"{name}: ")
    assert "something" not in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--private-key-file-lock"],
        ["--private-key-file-lock=true"],
        ["--synthetic-block-proposals=false"],
        ["--feature-set", "stable"],
        ["--consensus-protocol=qbft"],
        ["--graffiti-disable-client-append"],
        ["--builder-api=false"],
    ],
)
def test_what_asks_for_nothing_more_is_passed_over(arguments: list[str]) -> None:
    assert sifted([*arguments, "--nickname", "n"], ["--builder-api"]) == (["--nickname", "n"], [])


def test_switches_as_charon_takes_them() -> None:
    assert sifted(["--builder-api=true"], ["--builder-api"]) == (["--builder-api"], [])
    assert sifted(["--builder-api"], ["--builder-api"]) == (["--builder-api"], [])
    _, (problem,) = sifted(["--builder-api=maybe"], ["--builder-api"])
    assert problem == "--builder-api: expected true or false, got 'maybe'"
    _, (problem,) = sifted(["--synthetic-block-proposals"], [])
    assert problem.startswith("--synthetic-block-proposals: ")


def test_the_command_says_so() -> None:
    result = CliRunner().invoke(main, ["node", "--debug-address=0.0.0.0:3600", "--loki-service", "x"])
    assert result.exit_code == EXIT_CODE
    assert [line.partition(": ")[2].partition(":")[0] for line in result.stderr.splitlines()] == [
        "--debug-address",
        "--loki-service",
    ]
    assert result.stdout == ""


def test_every_flag_that_is_read_is_one_of_ours() -> None:
    ours = {flag for s in NodeSettings.sources().values() for flag in (s.flag, *s.other_flags)}
    variables = {variable for s in NodeSettings.sources().values() for variable in s.variables}
    for flag, decision in CHARON_FLAGS.items():
        assert (flag in ours) == bool(decision.flag), flag
        assert (variable_of(flag) in variables) == bool(decision.flag), flag


def test_the_docs_have_the_table() -> None:
    assert as_markdown() in (ROOT / "docs" / "node.md").read_text()


def test_a_validator_client_signs_or_the_node(tmp_path: Path) -> None:
    assert load().validator_api_address is None
    environment = {"CHARON_VALIDATOR_API_ADDRESS": "127.0.0.1:3600"}
    assert load(environment).validator_api_address == ("127.0.0.1", 3600)
    file = tmp_path / "file"
    file.touch()
    [problem] = problems_of({**environment, "DVTFAST_REMOTE_SIGNER": "http://signer:9000"})
    assert problem.endswith("expected one of them, as one alone signs")
    [problem] = problems_of({"DVTFAST_VALIDATOR_API_TOKEN_FILE": str(file)})
    assert problem.startswith("--validator-api-token-file (")
    assert ": expected --validator-api-address (" in problem
    [problem] = problems_of({**environment, "CHARON_VC_TLS_CERT_FILE": str(file)})
    assert problem.endswith("expected both, or none")
