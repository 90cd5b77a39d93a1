"""Files of another user: each command says which one, and whose it is; none ends with a traceback.

It is tried with files and directories of mode 0, as a thread or process that may not override it.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from dvtfast import generate_secret_keys, keystores
from dvtfast.keystores import Pbkdf2
from dvtfast.services import settings
from dvtfast.services.cli import main
from dvtfast.services.files import paths
from dvtfast.services.settings import Settings, parsing
from dvtfast.services.settings.sources import Source
from tests.house.sources import ROOT
from tests.other_user import as_another_user, closed
from tests.vector_files import VECTORS

NODE = VECTORS / "obol/synthetic/node0"
ORACLES = shlex.quote(str(VECTORS / "protocol_config_sample.json"))  # a path may have spaces
FILES = shlex.quote(str(NODE))
NOWHERE = "http://127.0.0.1:1"
DENIED = "Permission denied"


def sources() -> Iterator[tuple[str, Source]]:
    """Each setting of a file or directory that is read."""
    for name in settings.__all__:
        cls = getattr(settings, name)
        if isinstance(cls, type) and issubclass(cls, Settings):
            for source in cls.sources().values():
                if source.parse in (parsing.file, parsing.directory, parsing.named_file):
                    yield f"{name} {source.flag}", source


@pytest.mark.parametrize("source", [pytest.param(source, id=name) for name, source in sources()])
def test_each_setting(source: Source, tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    if source.parse is parsing.directory:
        (directory / "it").mkdir()
    else:
        (directory / "it").touch()
    for place in (directory, directory / "it"):
        with closed(place), pytest.raises(ValueError, match=DENIED) as caught:
            as_another_user(lambda: source.parse(str(directory / "it")))
        assert f"cannot read {directory}/it" in str(caught.value)
        assert f"{'it' if place.name == 'it' else directory} is of user" in str(caught.value)
    source.parse(str(directory / "it"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with something of everything; its directory `closed` is another user's."""
    keystores.write_keystores(tmp_path / "keys", generate_secret_keys(1), kdf=Pbkdf2(count=10))
    shutil.copytree(tmp_path / "keys", tmp_path / "closed/keys")
    for name in ("cluster-lock.json", "deposit-data.json"):
        shutil.copy(NODE / name, tmp_path / "closed" / name)
    for name in ("database", "journal", ".env"):
        (tmp_path / "closed" / name).touch()
    with closed(tmp_path / "closed"):
        yield tmp_path
    structlog.reset_defaults()


COMMANDS = {
    "storage key": "relayer storage-key {}/key",
    "backup of": "relayer backup --database {}/database {}/../copy",
    "backup to": "relayer backup --database {}/../database {}/copy",
    "forget": "relayer forget --database {}/database --all-expired",
    "token": "relayer token create --role read-only --database {}/database",
    "first token": "relayer token create --role read-only --database {}/new.db",
    "token to": "relayer token create --role read-only --database {}/../new.db --output {}/token",
    "tokens": "relayer token list --database {}/database",
    "revoke": "relayer token revoke --database {}/database 1",
    "status": "operator status --journal {}/journal",
    "collect": "operator collect --network hoodi --relayer http://127.0.0.1:1 --start-index 1"
    f" --deposit-data {FILES}/deposit-data.json --output {{}}/bundle.json",
    "env file": "operator status --env-file {}/.env",
    "deposits": "deposits status --network hoodi --deposits-database {}/database",
    "scan": f"deposits scan --network mainnet --execution-endpoint {NOWHERE} --deposits-database {{}}/new",
    "lock": "cluster verify {}/cluster-lock.json",
    "list": "keys list {}/keys",
    "list all": "keys list {}",
    "verify all": "keys verify {}",
    "import all": "keys import {}",
    "export all": "keys export {} {}/../copy",
    "export into": "keys export {}/../keys {}",
    "verify": "keys verify {}/keys",
    "import": "keys import {}/keys",
    "import to": "keys import {}/../keys --key-cache {}/cache",
    "export": "keys export {}/keys {}/../copy",
    "export to": "keys export {}/../keys {}/copy",
}


def words(command: str, place: Path) -> list[str]:
    """Of a command line; {} is the directory of the other user's."""
    return [
        word.replace("{}/..", str(place)).replace("{}", str(place / "closed"))
        for word in shlex.split(command)
    ]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_each_command(command: str, place: Path) -> None:
    arguments = words(command, place)
    if "{}/../database" in command:
        CliRunner().invoke(main, [*COMMANDS["token to"].split()[:6], f"{place}/database"])
    done = as_another_user(lambda: CliRunner().invoke(main, arguments))
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code != 0
    assert DENIED in done.output
    assert str(place / "closed") in done.output


SERVICES = {
    "database": f"relayer --network hoodi --oracles {ORACLES} --cluster-lock {FILES}/cluster-lock.json"
    " --port 0 --start-index 1 --database {}/new.db",
    "journal": f"sidecar --network hoodi --relayer {NOWHERE} --cluster-lock {FILES}/cluster-lock.json"
    f" --keystores {FILES}/validator_keys --no-key-cache --journal {{}}/journal",
    "plan": f"sidecar plan --network hoodi --relayer {NOWHERE} --cluster-lock {FILES}/cluster-lock.json"
    f" --keystores {FILES}/validator_keys --no-key-cache --journal {{}}/journal",
    "demo": "demo --validators 1 --workdir {}/demo",
}


@pytest.mark.parametrize("command", SERVICES.values(), ids=SERVICES)
def test_each_service(command: str, place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.other_user", *words(command, place)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode not in (0, -9)
    assert DENIED in done.stderr + done.stdout
    assert str(place / "closed") in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_paths_that_are_none(tmp_path: Path) -> None:
    """Whatever a path is, there is an answer in words."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for path in (
        tmp_path / "loop",
        tmp_path / "file/below",
        Path("a\0b"),
        Path("x" * 5000),
        tmp_path / "none",
    ):
        assert paths.no_file(path)
        assert paths.no_directory(path)
        paths.is_there(path)
    assert paths.no_file(tmp_path).endswith("which is something else")
    assert paths.no_place(tmp_path).endswith("is a directory")
    assert paths.no_place(tmp_path / "none" / "file").startswith("no such directory")
    assert not paths.no_place(tmp_path / "file")
    assert not paths.is_empty(tmp_path)
    assert not paths.is_empty(tmp_path / "file")
    assert paths.is_empty(tmp_path / "none")
