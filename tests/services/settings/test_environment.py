"""An `.env` of StakeWise's programs, and an environment as it is: nothing passes in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dvtfast.services.cli import main
from dvtfast.services.settings import (
    CollectSettings,
    FundSettings,
    RegisterSettings,
    RelayerSettings,
    RotateExitsSettings,
    RunSettings,
    Settings,
    SettingsError,
    SidecarSettings,
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that settings name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("oracles.json", "lock.json", "wallet.json", "password.txt", "operator.pem"):
        (tmp_path / name).write_text("x")
    for name in ("keys", "keys-0", "keys-1"):
        (tmp_path / name).mkdir()
    return tmp_path


LEAST: dict[str, dict[str, str]] = {
    "relayer": {"NETWORK": "hoodi", "SIGNATURE_THRESHOLD": "3", "DVTFAST_ORACLES": "oracles.json"},
    "sidecar": {
        "NETWORK": "hoodi",
        "OBOL_CLUSTER_LOCK_FILE": "lock.json",
        "OBOL_KEYSTORES_DIR": "keys",
    },
    "operator": {
        "NETWORK": "hoodi",
        "RELAYER_ENDPOINT": "http://127.0.0.1:8000",
        "VAULT": "0x" + "11" * 20,
        "EXECUTION_ENDPOINTS": "http://geth:8545,http://nethermind:8545",
        "CONSENSUS_ENDPOINTS": "http://beacon:5052",
        "WALLET_FILE": "wallet.json",
        "WALLET_PASSWORD_FILE": "password.txt",
        "IPFS_FETCH_ENDPOINTS": "https://ipfs.example",
    },
}


def load(cls: type[Settings], environment: dict[str, str], **flags: Any) -> Any:
    program = cls.command.partition(" ")[0]
    return cls.load(flags, {**LEAST[program], **environment})


def problems_of(cls: type[Settings], environment: dict[str, str], **flags: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(cls, environment, **flags)
    return caught.value.problems


REFUSED = [
    (RelayerSettings, {"PUBLIC_KEYS_FILE": "keys.csv"}, "--cluster-lock or --ssv-keyshares"),
    (RegisterSettings, {"EXECUTION_JWT_SECRET": "hidden"}, "--execution-endpoint"),
    (RegisterSettings, {"WALLET_PRIVATE_KEY": "hidden"}, "--wallet-keystore"),
    (RunSettings, {"HARVEST_VAULT": "true"}, "unset it"),
    (RunSettings, {"CLAIM_FEE_SPLITTER": "1"}, "unset it"),
    (RunSettings, {"WITHDRAWALS_INTERVAL": "60"}, "dvtfast operator withdraw"),
    (RunSettings, {"DISABLE_WITHDRAWALS": "false"}, "dvtfast operator withdraw"),
    (RunSettings, {"DISABLE_FULL_WITHDRAWALS": "no"}, "--exit"),
    (RunSettings, {"DISABLE_VALIDATORS_FUNDING": "0"}, "dvtfast operator fund"),
    (RunSettings, {"DISABLE_VALIDATORS_REGISTRATION": "true"}, "do not start it"),
    (RegisterSettings, {"DISABLE_VALIDATORS_REGISTRATION": "true"}, "do not start it"),
    (RegisterSettings, {"RUN_NODES": "true"}, "--execution-endpoint"),
]


@pytest.mark.parametrize(("cls", "environment", "says"), REFUSED)
def test_what_asks_for_what_is_not_done_is_refused_by_name(
    cls: type[Settings], environment: dict[str, str], says: str, files: Path
) -> None:
    (problem,) = problems_of(cls, environment)
    (name,) = environment
    assert problem.startswith(f"{name}: ")
    assert says in problem
    assert "hidden" not in problem


@pytest.mark.parametrize(
    ("cls", "environment"),
    [
        (RunSettings, {"HARVEST_VAULT": "false", "CLAIM_FEE_SPLITTER": "0", "RUN_NODES": "False"}),
        (RunSettings, {"DISABLE_WITHDRAWALS": "True", "DISABLE_FULL_WITHDRAWALS": "on"}),
        (RunSettings, {"DISABLE_VALIDATORS_REGISTRATION": "false", "DISABLE_VALIDATORS_FUNDING": "1"}),
        (RegisterSettings, {"HARVEST_VAULT": "true", "WITHDRAWALS_INTERVAL": "60"}),
        (RunSettings, {"PUBLIC_KEYS_FILE": "for another program", "WALLET_PRIVATE_KEY": " "}),
    ],
)
def test_what_asks_for_nothing_more_is_not_refused(
    cls: type[Settings], environment: dict[str, str], files: Path
) -> None:
    load(cls, environment)


def test_the_start_tells_what_is_not_read(files: Path) -> None:
    """One line, with all names."""
    (files / ".env").write_text("\n".join(f"{name}={value}" for name, value in LEAST["sidecar"].items()))
    environment = {
        "SENTRY_DSN": "https://SECRET@sentry.example",
        "DATABASE": "sidecar.db",
        "SSV_OPERATOR_ID": "7",
        "REMOTE_SIGNER_URL": "",
        "LOG_FORMAT": "json",
    }
    result = CliRunner().invoke(main, ["sidecar", "plan", "--env-file", ".env"], env=environment)
    (line,) = [line for line in result.stderr.splitlines() if "not read" in line]
    assert '"names": "DATABASE, SENTRY_DSN, SSV_OPERATOR_ID"' in line
    assert '"see": "docs/sidecar.md"' in line
    assert "SECRET" not in line


@pytest.mark.parametrize("cls", [CollectSettings, RegisterSettings, FundSettings, RotateExitsSettings])
def test_what_another_command_reads_is_told_too(cls: type[Settings], files: Path) -> None:
    """Metrics are served by `run` only."""
    metrics = {"ENABLE_METRICS": "true", "METRICS_HOST": "0.0.0.0", "METRICS_PORT": "9", "VERBOSE": "1"}
    environment = {**LEAST["operator"], **metrics}
    flags: dict[str, Any] = {"deposit_data": "oracles.json"} if cls is CollectSettings else {}
    if cls is FundSettings:
        flags = {"validators": (f"0x{'8f' * 48}=1eth",)}
    told = cls.load(flags, environment).not_read(flags, environment)
    assert [name for name in told if name in metrics] == ["ENABLE_METRICS", "METRICS_HOST", "METRICS_PORT"]
    run = RunSettings.load({}, environment).not_read({}, environment)
    assert not metrics.keys() & set(run)
    disabled = {**environment, "ENABLE_METRICS": "false"}
    assert RunSettings.load({}, disabled).not_read({}, disabled) == ["METRICS_PORT"]


def test_run_rotates_with_the_timeout_for_exits(files: Path) -> None:
    assert load(RunSettings, {"ORACLES_EXITS_TIMEOUT": "7"}).oracle_timeout == 7
    both = {"ORACLES_VALIDATORS_TIMEOUT": "5", "ORACLES_EXITS_TIMEOUT": "7"}
    (problem,) = problems_of(RunSettings, both)
    assert "ORACLES_VALIDATORS_TIMEOUT and ORACLES_EXITS_TIMEOUT are set, and say different things" in problem
    assert problem.endswith("keep one of them, or set DVTFAST_ORACLE_TIMEOUT")
    assert load(RunSettings, {**both, "DVTFAST_ORACLE_TIMEOUT": "6"}).oracle_timeout == 6


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (
            ("OBOL_NODE_INDEX", "OBOL_NODE_INDEXES"),
            {"OBOL_KEYSTORES_DIR_TEMPLATE": "keys-{node_index}", "CLUSTER_TYPE": ""},
        ),
        (("SSV_OPERATOR_ID", "SSV_OPERATOR_IDS"), {"OBOL_CLUSTER_LOCK_FILE": "", "OBOL_KEYSTORES_DIR": ""}),
    ],
)
def test_what_differs_is_told_once_and_nothing_that_follows_from_it(
    names: tuple[str, str], more: dict[str, str], files: Path
) -> None:
    one, many = names
    (problem,) = problems_of(SidecarSettings, {**more, one: "1", many: "2,3"})
    assert f"{one} and {many} are set, and say different things" in problem


def test_a_comma_too_much_in_a_list(files: Path) -> None:
    told = {"EXECUTION_ENDPOINTS": "http://a, http://b,", "CONSENSUS_ENDPOINTS": ",http://c,,"}
    settings = load(RegisterSettings, told)
    assert settings.execution_endpoints == ("http://a", "http://b")
    assert settings.consensus_endpoints == ("http://c",)
    several = {"OBOL_NODE_INDEXES": "0,1,", "OBOL_KEYSTORES_DIR_TEMPLATE": "keys-{node_index}"}
    assert load(SidecarSettings, several).node_indices == (0, 1)
    for name in ("EXECUTION_ENDPOINTS", "RELAYER_ENDPOINT", "OBOL_NODE_INDEXES"):
        cls: type[Settings] = RegisterSettings if name.startswith("EXEC") else SidecarSettings
        (problem, *_) = problems_of(cls, {name: " , ,"})
        assert "expected something between the commas" in problem


def test_an_env_file_of_stakewises_operator(files: Path) -> None:
    settings = load(
        RunSettings,
        {
            "VALIDATOR_TYPE": "0x01",
            "MAX_VALIDATOR_BALANCE_GWEI": "64000000000",
            "VAULT_MIN_BALANCE_GWEI": "1000000000",
            "MAX_FEE_PER_GAS_GWEI": "5",
            "IPFS_TIMEOUT": "7",
            "ORACLES_VALIDATORS_TIMEOUT": "8",
            "VERBOSE": "true",
            "LOG_LEVEL": "ERROR",
            "ENABLE_METRICS": "true",
            "METRICS_HOST": "0.0.0.0",
        },
    )
    assert settings.vault == b"\x11" * 20
    assert settings.execution_endpoints == ("http://geth:8545", "http://nethermind:8545")
    assert settings.consensus_endpoints == ("http://beacon:5052",)
    assert (settings.wallet_keystore, settings.wallet_password) == (Path("wallet.json"), Path("password.txt"))
    assert (settings.credentials_type, settings.max_validator_balance_gwei) == (1, 64 * 10**9)
    assert (settings.vault_min_balance_gwei, settings.max_fee_gwei) == (10**9, 5)
    assert (settings.ipfs_timeout, settings.oracle_timeout, settings.log_level) == (7, 8, "debug")
    assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", 9100)


def test_collect_is_for_the_vault_of_stakewises_env_file(files: Path) -> None:
    settings = load(CollectSettings, {"DVTFAST_DEPOSIT_DATA": "lock.json"})
    assert settings.vault == b"\x11" * 20


def test_metrics_are_served_when_they_are_enabled(files: Path) -> None:
    assert load(RunSettings, {"METRICS_PORT": "9"}).metrics_port is None
    assert load(RunSettings, {"METRICS_PORT": "9", "ENABLE_METRICS": "1"}).metrics_port == 9
    assert load(RunSettings, {"DVTFAST_METRICS_PORT": "8", "METRICS_PORT": "9"}).metrics_port == 8
    (problem,) = problems_of(RunSettings, {"ENABLE_METRICS": "maybe"})
    assert problem.startswith("ENABLE_METRICS: expected true or false")
    (problem,) = problems_of(RunSettings, {"VERBOSE": "maybe"})
    assert problem.startswith("VERBOSE: expected true or false")


@pytest.mark.parametrize(
    ("text", "expected"), [("0x01", 1), ("0x02", 2), ("0X02", 2), ("v1", 1), ("V2", 2), ("1", 1), ("02", 2)]
)
def test_the_validator_type_in_all_its_forms(text: str, expected: int, files: Path) -> None:
    assert load(RegisterSettings, {"VALIDATOR_TYPE": text}).credentials_type == expected


def test_validators_compound_unless_deposit_data_says_otherwise(files: Path) -> None:
    assert load(RegisterSettings, {}).credentials_type == 2
    data = {"DVTFAST_DEPOSIT_DATA": "oracles.json"}
    assert load(RegisterSettings, data).credentials_type == 1
    (problem,) = problems_of(RegisterSettings, {**data, "VALIDATOR_TYPE": "0x02"})
    assert "expected 0x01 with --deposit-data" in problem
    (problem,) = problems_of(RegisterSettings, {"VALIDATOR_TYPE": "0x03"})
    assert "expected one of 0x01, 0x02, got '0x03'" in problem


@pytest.mark.parametrize("level", ["FATAL", "CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"])
def test_log_levels_of_python(level: str, files: Path) -> None:
    expected = "error" if level in ("FATAL", "CRITICAL") else level.lower()
    assert load(RelayerSettings, {"LOG_LEVEL": level}).log_level == expected


BOTH = {
    "EXECUTION_ENDPOINT": ("http://a", "EXECUTION_ENDPOINTS", "http://b,http://c"),
    "CONSENSUS_ENDPOINT": ("http://a", "CONSENSUS_ENDPOINTS", "http://b"),
    "WALLET_FILE": ("wallet.json", "HOT_WALLET_FILE", "oracles.json"),
    "OBOL_NODE_INDEX": ("0", "OBOL_NODE_INDEXES", "1"),
    "SSV_OPERATOR_ID": ("1", "SSV_OPERATOR_IDS", "1,2"),
    "SSV_OPERATOR_KEY_FILE": ("operator.pem", "SSV_OPERATOR_KEY_FILE_TEMPLATE", "{operator_id}.pem"),
}


@pytest.mark.parametrize("name", BOTH)
def test_two_names_of_one_setting(name: str, files: Path) -> None:
    """Both may be set to the same; what differs is told, and never the first one taken in silence."""
    text, other, another = BOTH[name]
    cls: type[Settings] = RegisterSettings if name[0] in "CWE" else SidecarSettings
    more = {"CLUSTER_TYPE": "ssv", "EXECUTION_ENDPOINT": "http://geth"} if name.startswith("SSV") else {}
    problems = problems_of(cls, {**more, name: text, other: another})
    assert any(f"{name} and {other} are set, and say different things" in problem for problem in problems)
    found = [source for source in cls.sources().values() if name in source.variables]
    assert found[0].read(None, {name: text, other: f" {text} "}) == found[0].read(None, {name: text})
    assert found[0].read(None, {name: another, other: text, found[0].variables[0]: text}) == found[0].read(
        None, {name: text}
    )


def test_a_variable_of_ours_that_is_none_is_refused_by_name(files: Path) -> None:
    """With the name that may be meant; those of other commands, and empty ones, do not matter."""
    told = {"DVTFAST_CLUSTER_LOCKS": "lock.json", "DVTFAST_QQQ": "", "DVTFAST_VAULTS": "x"}
    assert problems_of(SidecarSettings, told) == (
        "DVTFAST_CLUSTER_LOCKS: no such setting; is DVTFAST_CLUSTER_LOCK meant?",
        "DVTFAST_QQQ: no such setting",
        "DVTFAST_VAULTS: no such setting; is DVTFAST_VAULT meant?",
    )
    load(SidecarSettings, {"DVTFAST_MAX_FEE_GWEI": "nonsense", "DVTFAST_BACKEND": "lanes"})


LINKS = {
    "RELAYER_PORT": "tcp://10.0.0.7:8000",
    "RELAYER_SERVICE_HOST": "10.0.0.7",
    "RELAYER_SERVICE_PORT": "8000",
    "RELAYER_SERVICE_PORT_HTTP": "8000",
    "RELAYER_PORT_8000_TCP": "tcp://10.0.0.7:8000",
    "RELAYER_PORT_8000_TCP_PROTO": "tcp",
    "RELAYER_PORT_8000_TCP_PORT": "8000",
    "RELAYER_PORT_8000_TCP_ADDR": "10.0.0.7",
}


@pytest.mark.parametrize("prefix", ["RELAYER", "DVTFAST", "DVTFAST_RELAYER", "DVTFAST_METRICS", "METRICS"])
def test_what_kubernetes_says_of_services_is_not_ours(prefix: str, files: Path) -> None:
    links = {name.replace("RELAYER", prefix, 1): value for name, value in LINKS.items()}
    assert load(RelayerSettings, links).port == 8000
    assert load(RunSettings, {**links, "ENABLE_METRICS": "true"}).metrics_port == 9100
    assert load(SidecarSettings, links).metrics_port is None
    (problem,) = problems_of(RelayerSettings, {"RELAYER_PORT": "tcp://"})
    assert "got 'tcp://'" in problem


def test_options_of_the_other_kind_of_cluster_do_not_count(files: Path) -> None:
    """Also when the files that they name are missing, or what they say is nonsense."""
    obol = {"OBOL_CLUSTER_LOCK_FILE": "missing.json", "OBOL_KEYSTORES_DIR": "missing", "OBOL_NODE_INDEX": "x"}
    ssv = {
        "SSV_OPERATOR_ID": "7",
        "SSV_OPERATOR_KEY_FILE": "operator.pem",
        "EXECUTION_ENDPOINT": "http://geth",
    }
    settings = load(SidecarSettings, {**obol, **ssv, "CLUSTER_TYPE": "SSV", "REMOTE_SIGNER_URL": "nonsense"})
    assert (settings.serves_ssv, settings.serves_obol) == (True, False)
    broken = {"SSV_OPERATOR_ID": "x", "SSV_OPERATOR_KEY_FILE": "missing", "DVTFAST_SSV_KEYSHARES": "missing"}
    settings = load(SidecarSettings, {**broken, "CLUSTER_TYPE": "obol"})
    assert (settings.serves_ssv, settings.serves_obol) == (False, True)
    assert len(problems_of(SidecarSettings, {**obol, **broken})) == 3  # no more than Obol's


def test_the_first_makers_kind_of_cluster_is_obol(files: Path) -> None:
    """Where both are there by their names; by ours, both are served."""
    settings = load(SidecarSettings, {"SSV_OPERATOR_ID": "7", "SSV_OPERATOR_KEY_FILE": "missing"})
    assert (settings.serves_ssv, settings.serves_obol) == (False, True)
    told = {"SSV_OPERATOR_KEY_FILE": "operator.pem", "EXECUTION_ENDPOINT": "http://geth"}
    settings = load(SidecarSettings, told, ssv_operator_ids="7")
    assert (settings.serves_ssv, settings.serves_obol) == (True, True)
    only = {"OBOL_CLUSTER_LOCK_FILE": "", "OBOL_KEYSTORES_DIR": "", "SSV_OPERATOR_ID": "7", **told}
    settings = load(SidecarSettings, only)
    assert (settings.serves_ssv, settings.serves_obol) == (True, False)


def test_a_sidecar_without_a_relayer_asks_the_one_beside_it(files: Path) -> None:
    assert load(SidecarSettings, {}).relayers == ("http://127.0.0.1:8000",)


def test_a_remote_signer_beside_keystores(files: Path) -> None:
    """By StakeWise's names the signer counts, as with its sidecar; by ours one of them is wrong."""
    signer = {"REMOTE_SIGNER_URL": "http://127.0.0.1:9000"}
    settings = load(SidecarSettings, {**signer, "OBOL_KEYSTORES_DIR": "missing"})
    assert (settings.remote_signer, settings.keystores) == ("http://127.0.0.1:9000", None)
    settings = load(SidecarSettings, signer, keystores="keys")
    assert (settings.remote_signer, settings.keystores) == (None, Path("keys"))
    settings = load(SidecarSettings, {}, remote_signer="http://127.0.0.1:9000")
    assert settings.keystores is None
    (problem,) = problems_of(SidecarSettings, {}, keystores="keys", remote_signer="http://127.0.0.1:9000")
    assert "not together with" in problem


def test_a_directory_of_keystores_beside_its_template(files: Path) -> None:
    template = {"OBOL_KEYSTORES_DIR_TEMPLATE": "keys-{node_index}"}
    several = load(SidecarSettings, {**template, "OBOL_NODE_INDEXES": "0,1"})
    assert [path for _, path in several.keystores_directories] == [Path("keys-0"), Path("keys-1")]
    one = load(SidecarSettings, {**template, "OBOL_NODE_INDEX": "1"})
    assert one.keystores_directories == [(1, Path("keys"))]
    (problem,) = problems_of(SidecarSettings, {}, keystores="keys", keystores_template="keys-{node_index}")
    assert "not together with" in problem


TOKEN = {"DVTFAST_RELAYER_TOKEN_FILE": "password.txt"}


@pytest.mark.parametrize(
    ("environment", "secret"),
    [
        ({**TOKEN, "RELAYER_ENDPOINT": "http://relayer:8000"}, "token"),
        ({"RELAYER_ENDPOINT": "http://u:SECRET@relayer:8000"}, "password"),
        ({**TOKEN, "RELAYER_ENDPOINT": "http://10.0.0.7:8000/path"}, "token"),
        ({"REMOTE_SIGNER_URL": "http://u:SECRET@signer"}, "password"),
    ],
)
def test_secrets_go_over_plain_http_only_when_allowed(
    environment: dict[str, str], secret: str, files: Path
) -> None:
    (problem,) = problems_of(SidecarSettings, environment)
    assert f"a {secret} would go to" in problem
    assert problem.endswith("in the clear; use https, or --allow-plain-http")
    assert "SECRET" not in problem
    load(SidecarSettings, environment, allow_plain_http="true")
    load(SidecarSettings, {name: text.replace("http:", "https:") for name, text in environment.items()})


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_secrets_go_over_plain_http_to_this_machine(host: str, files: Path) -> None:
    load(SidecarSettings, {**TOKEN, "RELAYER_ENDPOINT": f"http://{host}"})
    load(SidecarSettings, {"RELAYER_ENDPOINT": f"http://u:SECRET@{host}"})


def test_secrets_of_other_addresses(files: Path) -> None:
    node = {"EXECUTION_ENDPOINT": "http://u:SECRET@geth"}
    (problem,) = problems_of(RelayerSettings, node)
    assert "--execution-endpoint" in problem
    load(RelayerSettings, node, allow_plain_http="true")
    (problem,) = problems_of(RegisterSettings, {"CONSENSUS_ENDPOINTS": "http://u:SECRET@beacon"})
    assert "--consensus-endpoint" in problem
