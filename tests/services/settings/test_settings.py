"""Settings: where they come from, which source wins, and that all problems are told at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from dvtfast import HOODI, MAINNET
from dvtfast.services import settings
from dvtfast.services.cli import main
from dvtfast.services.settings import (
    CollectSettings,
    CombineSettings,
    CreateClusterSettings,
    CreateDkgSettings,
    CreateEnrSettings,
    CreateKeysharesSettings,
    DemoSettings,
    PlanSettings,
    RegisterSettings,
    RelayerSettings,
    ReleaseSettings,
    RunSettings,
    Settings,
    SettingsError,
    SidecarSettings,
    StatusSettings,
    parsing,
    read_env_file,
)
from dvtfast.services.settings.parsing import NamedFile

COMMANDS = {
    "relayer": RelayerSettings,
    "sidecar": SidecarSettings,
    "sidecar plan": PlanSettings,
    "sidecar release": ReleaseSettings,
    "operator collect": CollectSettings,
    "operator register": RegisterSettings,
    "operator run": RunSettings,
    "operator status": StatusSettings,
    "create enr": CreateEnrSettings,
    "create dkg": CreateDkgSettings,
    "create cluster": CreateClusterSettings,
    "create keyshares": CreateKeysharesSettings,
    "combine": CombineSettings,
    "demo": DemoSettings,
}
ALL = list(COMMANDS.values())


@pytest.fixture
def flags(tmp_path: Path) -> dict[str, object]:
    """The least that a relayer needs."""
    (tmp_path / "oracles.json").touch()
    return {"network": "hoodi", "oracles": str(tmp_path / "oracles.json"), "signature_threshold": "3"}


def test_defaults(flags: dict[str, object]) -> None:
    settings = RelayerSettings.load(flags, {})
    assert settings.network is HOODI
    assert (settings.host, settings.port, settings.database) == ("127.0.0.1", 8000, "sqlite:///relayer.db")
    assert (settings.start_index, settings.threads, settings.cluster_locks) == (None, None, ())


def test_a_flag_goes_before_the_environment(flags: dict[str, object]) -> None:
    environment = {"RELAYER_PORT": "1", "NETWORK": "mainnet", "LOG_FORMAT": "JSON"}
    settings = RelayerSettings.load({**flags, "port": "2"}, environment)
    assert (settings.port, settings.network, settings.log_format) == (2, HOODI, "json")


def test_our_variable_goes_before_the_first_makers(flags: dict[str, object]) -> None:
    environment = {"RELAYER_PORT": "1", "DVTFAST_PORT": "2"}
    assert RelayerSettings.load(flags, environment).port == 2


def test_the_names_of_the_first_makers(tmp_path: Path) -> None:
    (tmp_path / "oracles.json").touch()
    relayer = RelayerSettings.load(
        {"oracles": str(tmp_path / "oracles.json")},
        {
            "NETWORK": "mainnet",
            "RELAYER_HOST": "0.0.0.0",
            "RELAYER_PORT": "8001",
            "SIGNATURE_THRESHOLD": "3",
            "DATABASE": "some.db",
            "EXECUTION_ENDPOINT": "http://unused",
        },
    )
    assert (relayer.network, relayer.host, relayer.port) == (MAINNET, "0.0.0.0", 8001)
    assert (relayer.signature_threshold, relayer.database) == (3, "sqlite:///some.db")
    (tmp_path / "lock.json").touch()
    sidecar = SidecarSettings.load(
        {},
        {
            "NETWORK": "hoodi",
            "RELAYER_ENDPOINT": "https://u:token@relayer:8000/path",
            "RELAYER_TIMEOUT": "5",
            "POLL_INTERVAL": "2.5",
            "OBOL_CLUSTER_LOCK_FILE": str(tmp_path / "lock.json"),
            "OBOL_KEYSTORES_DIR": str(tmp_path),
            "OBOL_NODE_INDEX": "0",
        },
    )
    assert sidecar.relayers == ("https://u:token@relayer:8000/path",)
    assert (sidecar.relayer_timeout, sidecar.poll_interval, sidecar.node_indices) == (5.0, 2.5, (0,))


def test_all_problems_are_told_each_with_flag_and_variable() -> None:
    flags = {"port": "65536", "start_index": "-1", "cluster_locks": ("nowhere.json",)}
    with pytest.raises(SettingsError) as caught:
        RelayerSettings.load(flags, {"NETWORK": "goerli", "LOG_LEVEL": "loud"})
    *single, together = caught.value.problems
    assert together.startswith("no oracle config; set --oracles (DVTFAST_ORACLES), or --execution-endpoint")
    problems = dict(problem.split(": ", 1) for problem in single)
    log_level = problems.pop("--log-level (DVTFAST_LOG_LEVEL or LOG_LEVEL)")
    assert log_level.startswith("expected one of debug, info")
    assert problems == {
        "--network (DVTFAST_NETWORK or NETWORK)": "expected one of mainnet, hoodi, gnosis, got 'goerli'",
        "--cluster-lock (DVTFAST_CLUSTER_LOCK)": "no such file: nowhere.json",
        "--start-index (DVTFAST_START_INDEX)": "expected an integer in 0..2^40-1, got '-1'",
        "--port (DVTFAST_PORT or RELAYER_PORT)": "expected a port in 0..65535, got 65536",
    }


def test_there_must_be_something_to_serve(flags: dict[str, object]) -> None:
    del flags["signature_threshold"]
    with pytest.raises(SettingsError, match="nothing to serve"):
        RelayerSettings.load(flags, {})
    with pytest.raises(SettingsError, match="expected at most 32, got 33"):
        RelayerSettings.load({**flags, "signature_threshold": "33"}, {})
    with pytest.raises(SettingsError, match="expected at least 1, got 0"):
        RelayerSettings.load({**flags, "signature_threshold": "0"}, {})


def test_repeated_flags_and_lists_in_variables(flags: dict[str, object], tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b=c.json"
    a.touch()
    b.touch()
    expected = (NamedFile(a, "mine"), NamedFile(b))
    texts = (f"mine={a}", str(b))
    assert RelayerSettings.load({**flags, "cluster_locks": texts}, {}).cluster_locks == expected
    environment = {"DVTFAST_CLUSTER_LOCK": " , ".join(texts)}
    assert RelayerSettings.load(flags, environment).cluster_locks == expected


@pytest.mark.parametrize(
    "flag", ["--storage-key-file", "--tls-certificate", "--registered-keys", "--cluster-lock"]
)
def test_an_empty_flag_is_not_one_that_is_not_there(flag: str, flags: dict[str, object]) -> None:
    """As of a shell's variable that is not set: nothing is kept readable or served in the clear."""
    ((field, source),) = [item for item in RelayerSettings.sources().items() if item[1].flag == flag]
    given: object = ("",) if source.many else ""
    with pytest.raises(SettingsError, match=f"{flag} .*: expected something, got nothing"):
        RelayerSettings.load({**flags, field: given}, {})
    assert RelayerSettings.load(flags, {source.variables[0]: ""}) == RelayerSettings.load(flags, {})


def test_env_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# a comment\n\nexport NETWORK=hoodi\nRELAYER_PORT = 7 # the port\n"
        "NAME='a # b'\nEMPTY=\nQUOTED=\"x\"\n"
    )
    assert read_env_file(path) == {
        "NETWORK": "hoodi",
        "RELAYER_PORT": "7",
        "NAME": "a # b",
        "EMPTY": "",
        "QUOTED": "x",
    }
    path.write_text("NETWORK=hoodi\nnonsense\n1A=2\n")
    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    assert len(caught.value.problems) == 2
    with pytest.raises(SettingsError, match="no such file"):
        read_env_file(tmp_path / "nowhere")


def test_the_environment_goes_before_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".env"
    path.write_text("NETWORK=goerli\nRELAYER_PORT=x\n")
    monkeypatch.setenv("NETWORK", "hoodi")
    result = CliRunner().invoke(main, ["relayer", "--env-file", str(path)])
    assert result.exit_code == 2
    assert "--port" in result.output
    assert "--network" not in result.output


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parsing.integer, "1e3"),
        (parsing.integer, "٣"),
        (parsing.integer, str(2**64)),
        (parsing.integer, "9" * 10_000),
        (parsing.count, "0"),
        (parsing.seconds, "0"),
        (parsing.seconds, "nan"),
        (parsing.seconds, "inf"),
        (parsing.url, "relayer:8000"),
        (parsing.url, "ftp://relayer"),
        (parsing.url, "http://"),
        (parsing.url, "http://relayer:port"),
        (parsing.url, "http://relayer:65536"),
        (parsing.url, "http://relayer:0"),
        (parsing.url, "http://[::1"),
        (parsing.switch, "maybe"),
        (parsing.database, "mysql://x"),
        (parsing.database, "sqlite://"),
        (parsing.database, "sqlite:///:memory:"),
        (parsing.directory, "/nowhere"),
        (parsing.named_file, "=x"),
    ],
)
def test_texts_that_are_refused(parse: parsing.Parse, text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no such"):
        parse(text)


def numbers() -> Iterator[tuple[str, parsing.Parse]]:
    """Each setting of any command that is a number."""
    for name in settings.__all__:
        cls = getattr(settings, name)
        if isinstance(cls, type) and issubclass(cls, Settings):
            for source in cls.sources().values():
                try:
                    read = source.parse("10")
                except ValueError:
                    continue
                if isinstance(read, int | float | tuple) and not isinstance(read, bool):
                    yield f"{name} {source.flag}", source.parse


NUMBERS = [pytest.param(parse, id=name) for name, parse in numbers()]


@pytest.mark.parametrize("parse", NUMBERS)
def test_no_number_is_without_bounds(parse: parsing.Parse) -> None:
    """Whatever is added to it, or kept in a database; and none is read as Python reads it."""
    huge = ["1e300", "1e10", str(2**63), str(10**30), "9" * 5000]
    none = ["-1", "-0", "1_0", "\u0663", "0x10", "inf", "nan"]
    texts = huge + none
    for text in texts:
        with pytest.raises(ValueError, match="expected") as caught:
            parse(text)
        assert len(str(caught.value)) < 200
    if isinstance(parse("10"), float) and parse is not parsing.percentile:
        with pytest.raises(ValueError, match="expected"):
            parse("1e-300")
        assert (parse("10.5"), parse("1e1"), parse("+.5")) == (10.5, 10, 0.5)


def test_indices_are_those_of_the_beacon_chain() -> None:
    """No sum of one with a count is more than 64 bits have."""
    for cls in (RelayerSettings, RegisterSettings, CollectSettings):
        parse = cls.sources()["start_index"].parse
        assert parse(str(2**40 - 1)) == 2**40 - 1
        with pytest.raises(ValueError, match=r"an integer in 0\.\.2\^40-1"):
            parse(str(2**40))


@pytest.mark.parametrize(
    "text",
    [
        "mainnet.infura.io/v3/SECRET",
        "htp://user:SECRET@node.example/SECRET",
        "htps://node.example?key=SECRET",
        "https://:SECRET@node.example:1e3/#SECRET",
        "http:///v3/SECRET",
    ],
)
def test_what_is_secret_in_an_address_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="expected http") as caught:
        parsing.url(text)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "ws://node.example:8546/SECRET",
            "expected http:// or https:// in front of 'node.example:8546', got ws://",
        ),
        ("node.example:8545/SECRET", "expected http:// or https:// in front of 'node.example:8545'"),
        ("localhost:8545", "expected http:// or https:// in front of 'localhost:8545'"),
        ("http:/node.example/SECRET", "expected http:// or https:// in front of 'http:'"),
        (
            "http://u:SECRET@node.example:70000/SECRET",
            "a port in 1..65535, got another in 'node.example:70000'",
        ),
        ("http://node.example:85 45", "without spaces, got one in 'node.example:85 45'"),
        ("http://node.example:0", "a port in 1..65535, got another in 'node.example:0'"),
        ("http:///SECRET", "got no host in ''"),
        ("http://[::1:8545/SECRET", "got no host in '[::1:8545'"),
        ("http://u:SEC/RET@node.example", "a port in 1..65535, got another in 'node.example'"),
    ],
)
def test_the_wrong_part_of_an_address_is_told(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parsing.url(text)
    assert says in str(caught.value)
    assert "SEC" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["https://node.example/v3/key?a=b@c#d", "HTTP://[::1]:8545", "http://u:p@10.0.0.7", "http://a_b.example"],
)
def test_addresses(text: str) -> None:
    assert parsing.url(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("missing/relayer.db", "no such directory: missing"),
        ("sqlite:///missing/relayer.db", "no such directory: missing"),
        ("sqlite:////nowhere/relayer.db", "no such directory: /nowhere"),
        ("sqlite://relayer.db", "expected three slashes, as sqlite:///relayer.db, got 'sqlite://relayer.db'"),
        ("sqlite:relayer.db", "expected sqlite://, got sqlite: without the slashes"),
        ("relayer.db?mode=ro", "expected a file without options, got ?mode=ro behind 'relayer.db'"),
        ("sqlite:///relayer.db?timeout=5", "expected a file without options, got ?timeout=5"),
        ("~nobody-at-all/relayer.db", "there is no such home directory"),
        ("sqlite:///.", "expected a file, got a directory: ."),
        ("sqlite:///", "expected sqlite:///FILE"),
    ],
)
def test_the_wrong_part_of_a_databases_path_is_told(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(says)):
        parsing.database(text)


def test_paths_of_ones_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell reads them, which does not read an env file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "keys").mkdir()
    assert parsing.database("~/relayer.db") == f"sqlite:///{tmp_path}/relayer.db"
    assert parsing.database("sqlite:///~/relayer.db") == f"sqlite:///{tmp_path}/relayer.db"
    assert parsing.directory("~/keys") == tmp_path / "keys"
    assert parsing.place("~/keys/journal.db") == tmp_path / "keys" / "journal.db"


@pytest.mark.parametrize(
    ("cls", "field"),
    [
        (RegisterSettings, "journal"),
        (RegisterSettings, "deposits_database"),
        (SidecarSettings, "journal"),
        (SidecarSettings, "ssv_database"),
        (SidecarSettings, "key_cache"),
        (RelayerSettings, "database"),
        (RelayerSettings, "timings_file"),
    ],
)
def test_files_to_write_are_in_directories_that_exist(cls: type[Settings], field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        cls.load({field: "missing/file"}, {})
    name = cls.sources()[field].name
    assert f"{name}: no such directory: missing" in caught.value.problems


def test_databases() -> None:
    assert parsing.database("relayer.db") == "sqlite:///relayer.db"
    assert parsing.database("sqlite:////tmp/relayer.db") == "sqlite:////tmp/relayer.db"
    for scheme in ("postgres", "postgresql", "postgresql+asyncpg"):
        assert parsing.database(f"{scheme}://me:word@host/db") == "postgresql+asyncpg://me:word@host/db"
    with pytest.raises(ValueError, match="expected sqlite") as caught:
        parsing.database("mysql://me:word@host/db")
    assert "word" not in str(caught.value).replace("PASSWORD", "")


def test_a_database_whose_driver_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"asyncpg is not installed: pip install 'dvtfast\[postgres\]'"):
        parsing.database("postgresql://host/db")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_every_setting_and_its_variables(command: str) -> None:
    cls = COMMANDS[command]
    result = CliRunner().invoke(main, [*command.split(), "--help"], terminal_width=200)
    assert result.exit_code == 0
    for source in cls.sources().values():
        assert source.flag in result.output
        assert all(variable in result.output for variable in source.variables)


def test_every_service_has_the_common_settings() -> None:
    assert all(Settings.sources().items() <= cls.sources().items() for cls in ALL)


def test_what_is_wrong_together_is_told_with_the_rest(flags: dict[str, object]) -> None:
    wrong = {"oracles": flags["oracles"], "port": "x", "index_window": "1000", "allow": ["fund"]}
    with pytest.raises(SettingsError) as raised:
        RelayerSettings.load(wrong, {})
    told = [problem.split(" (")[0] for problem in raised.value.problems]
    assert told == [
        "--network",
        "--port",
        "--index-window",
        "--allow",
        "nothing to serve; set at least one of --cluster-lock",
    ]


def test_what_could_not_be_read_is_told_once(flags: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as raised:
        RelayerSettings.load({**flags, "oracles": "missing.json", "signature_threshold": "x"}, {})
    told = [problem.split(" (")[0] for problem in raised.value.problems]
    assert told == ["--oracles", "--signature-threshold"]


def test_contracts_of_a_chain_for_tests(flags: dict[str, object]) -> None:
    deposit_contract, keeper = "0x" + "12" * 20, "0x" + "34" * 20
    told = {"deposit_contract": deposit_contract, "keeper": keeper}
    node = {"execution_endpoints": ["http://127.0.0.1:8545"]}
    network = RelayerSettings.load({**flags, **node, **told}, {}).network
    assert (network.deposit_contract, network.deposit_contract_block) == (deposit_contract, 0)
    assert (network.keeper, network.keeper_genesis_block) == (keeper, 0)
    assert network.exit_domain == HOODI.exit_domain
    network = RelayerSettings.load({**flags, **node, "keeper": keeper}, {}).network
    assert network.deposit_contract == HOODI.deposit_contract
    with pytest.raises(SettingsError) as raised:
        RelayerSettings.load({**flags, **told}, {})
    assert [problem.split(" (")[0] for problem in raised.value.problems] == ["--deposit-contract", "--keeper"]


def test_what_the_operator_lacks_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        RegisterSettings.load({"network": "hoodi", "max_fee_gwei": "-1", "signer": "http://signer"}, {})
    told = [problem.split(" (")[0] for problem in raised.value.problems]
    assert sorted(told) == [
        "--execution-endpoint",
        "--max-fee-gwei",
        "--relayer",
        "--signer-url",
        "--vault",
        "no next validator index; set at least one of --start-index",
        "no oracle config; set --oracles",
    ]


@pytest.mark.parametrize("given", [{}, {"signer": "http://signer", "wallet_keystore": __file__}])
def test_one_account_sends(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as raised:
        RegisterSettings.load(given, {})
    (line,) = [problem for problem in raised.value.problems if "expected one, got" in problem]
    assert line.endswith("got both" if given else "got neither")


def test_an_index_that_is_given_is_right_once() -> None:
    with pytest.raises(SettingsError) as raised:
        RunSettings.load({"start_index": "5", "dry_run": "true"}, {})
    assert any("it changes with each deposit" in problem for problem in raised.value.problems)
    assert any(problem.startswith("--dry-run") for problem in raised.value.problems)
