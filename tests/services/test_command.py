"""The command as a process: without its packages, and interrupted; one line each, never a traceback."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dvtfast import generate_secret_keys, keystores
from dvtfast.keystores import Pbkdf2
from dvtfast.services.command import Commands
from dvtfast.services.extras import EXTRA_OF
from tests.house.sources import ROOT, SERVICES, imports, python_files
from tests.vector_files import VECTORS

VAULT = "0x" + "11" * 20
NOWHERE = "http://127.0.0.1:1"
NODE = shlex.quote(str(VECTORS / "obol/synthetic/node0"))  # a path may have spaces
OPERATOR = (
    f"--network hoodi --vault {VAULT} --relayer {NOWHERE} --execution-endpoint {NOWHERE} --consensus-endpoint"
    f" {NOWHERE} --ipfs-gateway {NOWHERE} --wallet-keystore {{0}} --wallet-password-file {{0}}"
)
KEY = shlex.quote(str(VECTORS / "ssv/operator-17/private_key_base64.txt"))
SSV = f"--ssv-operator-id 17 --ssv-operator-key {KEY} --execution-endpoint {NOWHERE}"
WITHOUT = {
    "deposits scan": ("eth_abi", "chain", f"--network mainnet --execution-endpoint {NOWHERE}"),
    "deposits status": ("eth_abi", "chain", "--network mainnet"),
    "operator register": ("eth_abi", "operator", OPERATOR),
    "operator run": ("eth_abi", "operator", OPERATOR),
    "operator rotate": ("eth_abi", "operator", OPERATOR),
    "operator fund": ("eth_abi", "operator", f"{OPERATOR} --validator 0x{'8f' * 48}=32eth --yes"),
    "sidecar": ("eth_abi", "chain", f"--network mainnet --relayer {NOWHERE} {SSV}"),
    "sidecar plan": ("eth_abi", "chain", f"--network mainnet --relayer {NOWHERE} {SSV}"),
    "relayer token list": ("asyncpg", "postgres", "--database postgresql://u@127.0.0.1:1/x"),
    "keys list": ("rich", "services", f"{NODE}/validator_keys"),
    "keys verify": ("cryptography", "files", f"{NODE}/validator_keys"),
    "cluster verify": ("coincurve", "files", f"{NODE}/cluster-lock.json"),
    "--version": ("click", "services", ""),
    "relayer": ("msgspec", "services", "--help"),
    "demo": ("eth_account", "demo-chain", "--chain --validators 2"),
}
LACKING = """
import sys
from importlib.util import find_spec as found
import importlib.util
class Lacking:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in without:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
without = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Lacking())
importlib.util.find_spec = lambda name, *rest: None if name in without else found(name, *rest)
from dvtfast.services.__main__ import main
main()
"""


def words(command: str, file: Path) -> list[str]:
    """Of a command line, with a file in the place of {0}."""
    return [word.replace("{0}", str(file)) for word in shlex.split(command)]


def run(script: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.mark.parametrize("command", WITHOUT)
def test_a_package_that_is_missing(command: str, tmp_path: Path) -> None:
    package, extra, options = WITHOUT[command]
    file = tmp_path / "file"
    file.touch()
    arguments = words(f"{command} {options}", file)
    done = run(LACKING, package, *arguments, cwd=tmp_path)
    said = done.stderr + done.stdout
    assert done.returncode in (1, 2), said
    assert f"{package} is not installed" in said
    assert f"pip install 'dvtfast[{extra}]'" in said
    assert "Traceback" not in said


ORACLES = shlex.quote(str(VECTORS / "protocol_config_sample.json"))
RELAYER = f"--network hoodi --oracles {ORACLES} --signature-threshold 3 --start-index 1 --port 0"
MANAGER = (
    f"--execution-endpoint {NOWHERE} --manager-keystore {{0}} --manager-password-file {{0}} --vault {VAULT}"
)
BOTH = "eth_abi and eth_account are not installed: pip install 'dvtfast[{}]'"
ALL_THREE = "eth_abi, eth_account and vyper are not installed: pip install 'dvtfast[demo-chain]'"
ALL_AT_ONCE = {
    "operator run": (OPERATOR, BOTH.format("operator")),
    "operator withdraw": (f"{OPERATOR} --exit --validator 0x{'8f' * 48}", BOTH.format("operator")),
    "relayer": (f"{RELAYER} {MANAGER}", BOTH.format("chain,manager")),
    "demo": ("--chain --validators 2", ALL_THREE),
}


@pytest.mark.parametrize("command", ALL_AT_ONCE)
def test_all_that_is_missing_is_told_at_once(command: str, tmp_path: Path) -> None:
    """As after `pip install 'dvtfast[services]'`; one line brings all that the settings want."""
    options, expected = ALL_AT_ONCE[command]
    (tmp_path / "file").touch()
    arguments = words(f"{command} {options}", tmp_path / "file")
    done = run(LACKING, "eth_abi,eth_account,vyper", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"dvtfast: {expected}\n")


def test_a_signer_elsewhere_needs_no_package_for_keys(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = OPERATOR.partition(" --wallet-keystore")[0]
    signer = f"--signer-url {NOWHERE} --signer-address {VAULT}"
    arguments = words(f"operator register {options} {signer} --timeout-seconds 1", tmp_path)
    done = run(LACKING, "eth_account,vyper", *arguments, cwd=tmp_path)
    assert "not installed" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_each_package_has_an_extra() -> None:
    """What is imported anywhere below services, and is neither Python's nor ours, nor a need of all."""
    names = {each.name.partition(".")[0] for file in python_files(SERVICES) for each in imports(file)}
    ours = {"dvtfast", "numpy", "yarl", "multidict", "hexbytes"}  # which others need
    assert names - sys.stdlib_module_names - ours <= EXTRA_OF.keys()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRA_OF.values()) <= extras.keys()
    distributions = {
        "Crypto": "pycryptodome",
        "eth_keyfile": "eth-account",
        "greenlet": "sqlalchemy[asyncio]",
    }
    for package, extra in EXTRA_OF.items():
        distribution = distributions.get(package, package.replace("_", "-"))
        assert any(line.startswith(distribution) for line in _needs(extras, extra)), package


def _needs(extras: dict[str, list[str]], extra: str) -> list[str]:
    """All that an extra brings, what it takes from others too."""
    found = []
    for line in extras[extra]:
        if others := re.match(r"dvtfast\[(.*)\]", line):
            found += [each for name in others[1].split(",") for each in _needs(extras, name)]
        else:
            found.append(line)
    return found


INTERRUPTED = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupting())
sys.path.insert(0, sys.argv.pop(1))
from dvtfast_command import main
main()
"""


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("numpy", "--version"),
        ("dvtfast.services.__main__", "--version"),
        ("click", "--version"),
        ("dvtfast.services.cli", "--version"),
        ("dvtfast.services.relayer.database_commands", "relayer storage-key key"),
        ("sqlalchemy", "relayer token list"),
        ("rich", "keys list nowhere"),
    ],
)
def test_interrupted_while_it_is_imported(module: str, command: str, tmp_path: Path) -> None:
    done = run(INTERRUPTED, module, str(ROOT), *command.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "dvtfast: interrupted\n")
    assert not list(tmp_path.iterdir())


DECRYPTING = """
import os, signal, sys
from dvtfast.keystores import Pbkdf2
derive, begun = Pbkdf2.derive, []
def interrupting(*arguments):
    begun.append(None)
    if len(begun) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return derive(*arguments)
Pbkdf2.derive = interrupting
os._exit = lambda code, leave=os._exit: (print(len(begun), flush=True), leave(code))
from dvtfast.services.__main__ import main
try:
    main()
finally:
    print(len(begun))
"""
KEYS = 200


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("many")
    keystores.write_keystores(directory, generate_secret_keys(KEYS), kdf=Pbkdf2(count=10_000))
    return directory


@pytest.mark.parametrize("command", ["verify", "import", "export"])
def test_interrupted_while_keys_are_decrypted(command: str, many: Path, tmp_path: Path) -> None:
    more = {"import": ["--key-cache", "cache"], "export": ["out"]}.get(command, [])
    done = run(DECRYPTING, "keys", command, str(many), *more, "--log-level", "error", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "dvtfast: interrupted\n")
    assert int(done.stdout) < KEYS // 2
    assert not list(tmp_path.iterdir())


def test_the_sidecar_is_stopped_while_keys_are_decrypted(many: Path, tmp_path: Path) -> None:
    options = f"--network hoodi --relayer {NOWHERE} --cluster-lock {NODE}/cluster-lock.json --log-level error"
    done = run(DECRYPTING, "sidecar", *shlex.split(options), "--keystores", str(many), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < KEYS // 2


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 130)])
def test_interrupted_at_a_question(answer: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(*_: object) -> str:
        if not answer:
            raise KeyboardInterrupt
        return answer

    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def ask() -> None:
        monkeypatch.setattr("click.termui.visible_prompt_func", answered)
        click.confirm("?", abort=True)

    assert CliRunner().invoke(group, ["ask"]).exit_code == code
