"""dvtfast keys and dvtfast cluster verify, and how the sidecar starts from the key cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from click.testing import CliRunner, Result

from dvtfast import HOODI, MAINNET, FileError, generate_secret_keys, keystores
from dvtfast.keystores import PBKDF2_INSECURE, Pbkdf2
from dvtfast.services.cli import main
from dvtfast.services.keys import key_share_files, keystore_directory
from dvtfast.services.keys.key_share_files import LoadedKeyShares, LockFile, default_cache, load_key_shares
from dvtfast.services.process import logs, progress
from tests.unit.keystores.test_keystores import replace
from tests.vector_files import VECTORS, load

SYNTHETIC = VECTORS / "obol/synthetic"
SHARES = [
    validator["partials"]["1"]["public_key_share"]
    for validator in load("obol/synthetic/expected.json")["validators"]
]
VALIDATORS = [validator["public_key"] for validator in load("obol/synthetic/expected.json")["validators"]]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A key cache of little cost; what logs to the streams of one test ends with it."""
    monkeypatch.setattr("dvtfast.key_cache.PBKDF2_DEFAULT", Pbkdf2(count=20))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def cheap_node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vectors' first node, its keystores written anew at little cost."""
    node = tmp_path_factory.mktemp("cluster") / "node0"
    node.mkdir()
    shutil.copy(SYNTHETIC / "node0/cluster-lock.json", node)
    loaded = keystores.load_keystores(SYNTHETIC / "node0/validator_keys")
    keystores.write_keystores(node / "validator_keys", loaded.secret_keys, kdf=Pbkdf2(count=10))
    return node


@pytest.fixture
def node(cheap_node: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(cheap_node, tmp_path / "node0"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def load_node(node: Path, **options: object) -> LoadedKeyShares:
    directory = node / "validator_keys"
    options = {"lock": LockFile(node / "cluster-lock.json"), "cache": default_cache(directory), **options}
    return load_key_shares(directory, **options)  # type: ignore[arg-type]


def nothing_is_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_share_files, "open_keystores", lambda *_, **__: pytest.fail("decrypts"))


def nothing_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_share_files, "read_lock", lambda *_, **__: pytest.fail("verifies"))


# --- loading ---


def test_the_second_load_neither_decrypts_nor_verifies(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cold = load_node(node)
    nothing_is_decrypted(monkeypatch)
    nothing_is_verified(monkeypatch)
    warm = load_node(node)
    assert (cold.from_cache, warm.from_cache) == (False, True)
    np.testing.assert_array_equal(warm.keystores.secret_keys, cold.keystores.secret_keys)
    assert warm.keystores.sources == cold.keystores.sources
    assert warm.cluster is not None
    assert cold.cluster is not None
    np.testing.assert_array_equal(
        warm.cluster.public_key_shares.encoded, cold.cluster.public_key_shares.encoded
    )


def test_another_lock_is_verified_and_kept(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_node(node)
    lock = node / "cluster-lock.json"
    replace(lock, lock.read_text() + "\n")
    nothing_is_decrypted(monkeypatch)
    assert load_node(node).from_cache
    nothing_is_verified(monkeypatch)
    load_node(node)


def test_a_cache_that_cannot_even_be_looked_for_stops_nothing(node: Path, capsys: Any) -> None:
    logs.configure("json", "info")
    cache = node / ("x" * 300)
    assert len(load_node(node, cache=cache).keystores.secret_keys) == len(SHARES)
    assert "key cache not written" in capsys.readouterr().err
    assert run("keys", "list", node / "validator_keys", "--key-cache", cache).exit_code == 0


def test_names_that_are_no_text(node: Path) -> None:
    directory = node / "validator_keys"
    for name in (b"keystore-\xff.json", b"keystore-\x1b[2J\n.json"):
        (directory / os.fsdecode(name)).write_text("{}")
    for flags in ([], ["--json"]):
        for command in ("list", "verify"):
            result = run("keys", command, directory, *flags)
            assert result.exit_code == 1
            assert "\x1b" not in result.stdout
            assert "keystore-\ufffd[2J\ufffd." in result.stdout


def test_a_wrong_lock_is_refused_whatever_is_cached(node: Path) -> None:
    load_node(node)
    lock = node / "cluster-lock.json"
    document = json.loads(lock.read_text())
    document["cluster_definition"]["name"] = "other"
    replace(lock, json.dumps(document))
    for _ in range(2):
        with pytest.raises(FileError, match="config_hash: does not fit the content"):
            load_node(node)


def test_a_lock_of_another_network_is_refused(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_node(node)
    nothing_is_decrypted(monkeypatch)
    lock = LockFile(node / "cluster-lock.json", network=MAINNET)
    with pytest.raises(FileError, match="its network is hoodi, not mainnet"):
        load_node(node, lock=lock)
    load_node(node, lock=LockFile(node / "cluster-lock.json", network=HOODI))


def test_one_lock_is_verified_once_for_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = LockFile(SYNTHETIC / "node0/cluster-lock.json")
    first = lock.cluster()
    nothing_is_verified(monkeypatch)
    assert lock.cluster() is first


@pytest.mark.parametrize("suffix", [".json", ".txt"])
def test_a_change_makes_the_cache_anew(node: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("plain", "info")
    load_node(node)
    for file in sorted((node / "validator_keys").glob(f"*{suffix}")):
        replace(file, file.read_text() + "\n")
    assert not load_node(node).from_cache
    assert load_node(node).from_cache
    lines = capfd.readouterr().err.splitlines()
    assert sum("key cache is made anew" in line for line in lines) == 1
    assert sum("key cache written" in line for line in lines) == 2


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, b"{}\n", None], ids=["empty", "junk", "json", "directory"]
)
def test_whatever_is_in_its_place_is_no_failure(
    node: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("plain", "info")
    cache = default_cache(node / "validator_keys")
    if content is None:
        cache.mkdir()
    else:
        cache.write_bytes(content)
    loaded = load_node(node)
    assert len(loaded.keystores.secret_keys) == 3
    assert not loaded.from_cache
    assert ("key cache not written" in capfd.readouterr().err) == (content is None)


@pytest.mark.parametrize(
    "name", ["cluster-lock.json", "validator_keys/keystore-0.json", "validator_keys/keystore-0.txt"]
)
def test_another_file_is_never_taken_for_a_cache(
    node: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("plain", "info")
    before = (node / name).read_bytes()
    assert len(load_node(node, cache=node / name).keystores.secret_keys) == 3
    assert (node / name).read_bytes() == before
    assert "key cache not written" in capfd.readouterr().err
    assert run("keys", "import", node / "validator_keys", "--key-cache", node / name).exit_code == 1
    assert (node / name).read_bytes() == before


def test_a_cache_elsewhere_that_is_damaged_is_made_anew(node: Path) -> None:
    cache = node / "cache"
    for content in (b"", b'{"form', b'{"format": "dvtfast key cache", "version": "0"}\n'):
        cache.write_bytes(content)
        assert not load_node(node, cache=cache).from_cache
        assert load_node(node, cache=cache).from_cache


def test_a_place_that_cannot_be_written_is_one_line(node: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("plain", "info")
    loaded = load_node(node, cache=Path("/proc/key-cache"))  # takes no files, not even root's
    assert len(loaded.keystores.secret_keys) == 3
    lines = [line for line in capfd.readouterr().err.splitlines() if "key cache" in line]
    assert len(lines) == 1
    assert "key cache not written" in lines[0]


def test_no_cache(node: Path) -> None:
    load_node(node, cache=None)
    assert not load_node(node, cache=None).from_cache
    assert not default_cache(node / "validator_keys").exists()


def test_problems_are_remembered(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(node / "validator_keys/keystore-1.txt", "wrong")
    cold = load_node(node)
    nothing_is_decrypted(monkeypatch)
    warm = load_node(node)
    expected = [f"{node}/validator_keys/keystore-1.json: wrong password"]
    assert [str(problem) for problem in cold.keystores.problems] == expected
    assert [str(problem) for problem in warm.keystores.problems] == expected


def test_a_lack_of_memory_is_not_remembered(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def derive(*_: object) -> bytes:
        raise MemoryError

    keystore = keystores.encrypt(generate_secret_keys(1)[0].tobytes(), "p", kdf=keystores.Scrypt(n=2**10))
    keystores.write_keystore(node / "validator_keys/keystore-9.json", keystore)
    replace(node / "validator_keys/keystore-9.txt", "p")
    with monkeypatch.context() as patch:
        patch.setattr(keystores.Scrypt, "derive", derive)
        assert len(load_node(node).keystores.problems) == 1
    assert not default_cache(node / "validator_keys").exists()
    assert load_node(node).keystores.problems == ()


def test_nothing_secret_is_logged(node: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "debug")
    secrets = [row.tobytes().hex() for row in load_node(node).keystores.secret_keys]
    load_node(node)
    output = "".join(capfd.readouterr())
    assert "loading keys" in output
    for secret in [*secrets, *(path.read_text() for path in (node / "validator_keys").glob("*.txt"))]:
        assert secret not in output


KILLED = """
import os, signal, sys
from pathlib import Path
from dvtfast import _files
from dvtfast.services.keys.key_share_files import load_key_shares
replace = Path.replace
def die(self, target):
    if sys.argv[2] == "after":
        replace(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = die
directory = Path(sys.argv[1])
load_key_shares(directory, cache=directory / ".dvtfast-key-cache")
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_writing(node: Path, when: str) -> None:
    """The cache is there whole, or not at all."""
    directory = node / "validator_keys"
    run = subprocess.run([sys.executable, "-c", KILLED, directory, when], check=False, capture_output=True)
    assert run.returncode == -9, run.stderr
    assert load_node(node).from_cache == (when == "after")
    assert load_node(node).from_cache


# --- progress ---


def test_progress_as_lines(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    now = iter([100.0, 101.0, 110.0, 111.0, 125.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(now))
    with progress.showing_progress("decrypting") as tell:
        for done in (1, 4, 5, 10):
            tell(done, 40)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["event"], line["done"], line["of"], line["seconds_left"]) for line in lines] == [
        ("decrypting", 4, 40, 90),
        ("decrypting", 10, 40, 75),
    ]


def test_progress_on_a_terminal(node: Path) -> None:
    """A real one: the bar is drawn, and gone in the end."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", COLUMNS="100")
        arguments = ["-m", "dvtfast.services", "keys", "import", str(node / "validator_keys")]
        os.execv(sys.executable, [sys.executable, *arguments])
    output = b""
    try:
        while part := os.read(terminal, 4096):
            output += part
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    assert b"decrypting keystores" in output
    assert b"3/3" in output
    assert b"3 of 3 keystores are in" in output


# --- commands ---


def test_import(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = node / "validator_keys"
    done = run("keys", "import", directory, "--cluster-lock", node / "cluster-lock.json")
    assert done.exit_code == 0
    assert done.stdout == f"3 of 3 keystores are in {directory}/.dvtfast-key-cache\n"
    nothing_is_decrypted(monkeypatch)
    nothing_is_verified(monkeypatch)
    assert load_node(node).from_cache


def test_import_with_a_bad_keystore(node: Path) -> None:
    directory = node / "validator_keys"
    replace(directory / "keystore-1.txt", "wrong")
    done = run("keys", "import", directory, "--key-cache", node / "cache")
    assert done.exit_code == 1
    assert done.stdout == f"2 of 3 keystores are in {node}/cache\n"
    assert f"error: {directory}/keystore-1.json: wrong password\n" in done.stderr
    assert (node / "cache").is_file()


def test_import_to_where_nothing_can_be_written(node: Path) -> None:
    done = run("keys", "import", node / "validator_keys", "--key-cache", "/proc/key-cache")
    assert done.exit_code == 1
    assert "error: /proc/key-cache: no key cache was written" in done.stderr


def rows(done: Result) -> list[dict[str, str]]:
    result: list[dict[str, str]] = json.loads(done.stdout)
    return result


def test_list(node: Path) -> None:
    directory = node / "validator_keys"
    (directory / "keystore-7.json").write_text("{")
    other = keystores.encrypt(bytes(31) + b"\1", "p", kdf=PBKDF2_INSECURE, public_key=bytes(48))
    keystores.write_keystore(directory / "keystore-8.json", other)
    replace(directory / "keystore-8.txt", "p")
    (directory / "keystore-2.txt").unlink()
    lock = ("--cluster-lock", node / "cluster-lock.json")
    done = run("keys", "list", directory, *lock, "--json")
    assert done.exit_code == 1
    by_file = {row["file"]: row for row in rows(done)}
    statuses = {file: row["status"] for file, row in by_file.items()}
    assert statuses == {
        "keystore-0.json": "ok",
        "keystore-1.json": "ok",
        "keystore-2.txt": "no such file; the keystore's password is expected in it",
        "keystore-7.json": "not JSON: the name of a field is missing at line 1, column 2",
        "keystore-8.json": "no key share of the cluster",
    }
    assert by_file["keystore-1.json"]["public key share"] == SHARES[1]
    assert by_file["keystore-1.json"]["validator"] == VALIDATORS[1]
    assert by_file["keystore-1.json"]["node"] == "0"
    text = run("keys", "list", directory, *lock).stdout
    assert f"no keystore for 1 validators, such as {VALIDATORS[2]}\n" in text
    assert text.endswith("key cache: none\n")


def test_list_decrypts_nothing_and_tells_of_the_cache(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = node / "validator_keys"
    run("keys", "import", directory)
    monkeypatch.setattr(Pbkdf2, "derive", lambda *_: pytest.fail("derives"))
    done = run("keys", "list", directory)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == f"key cache: {directory}/.dvtfast-key-cache fits these keystores"
    (directory / "keystore-0.json").unlink()
    assert run("keys", "list", directory).stdout.endswith("does not fit these keystores\n")


def test_verify(node: Path) -> None:
    done = run("keys", "verify", node / "validator_keys", "--cluster-lock", node / "cluster-lock.json")
    assert done.exit_code == 0
    assert done.stdout == "3 of 3 keystores open and hold the key that they state\n"


def test_verify_does_not_believe_the_cache(node: Path) -> None:
    load_node(node)
    replace(node / "validator_keys/keystore-1.txt", "wrong")
    done = run("keys", "verify", node / "validator_keys", "--json")
    assert done.exit_code == 1
    assert [(row["file"], row["status"]) for row in rows(done)] == [("keystore-1.json", "wrong password")]


def test_verify_finds_what_is_missing_and_foreign(node: Path, tmp_path: Path) -> None:
    directory = node / "validator_keys"
    other = keystores.load_keystores(SYNTHETIC / "node1/validator_keys")
    keystores.write_keystores(tmp_path / "other", other.secret_keys[1:2], kdf=Pbkdf2(count=10))
    for suffix in (".json", ".txt"):
        (directory / f"keystore-1{suffix}").unlink()
        shutil.copy(tmp_path / f"other/keystore-0{suffix}", directory / f"keystore-5{suffix}")
        (directory / f"keystore-2{suffix}").unlink()
    done = run("keys", "verify", directory, "--cluster-lock", node / "cluster-lock.json")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "2 of 2 keystores open and hold the key that they state",
        f"no keystore for 1 validators, such as {VALIDATORS[2]}",
        "they are key shares of several nodes: 0, 1",
    ]


@pytest.mark.parametrize("command", ["import", "list", "verify"])
def test_a_directory_that_is_not_there(tmp_path: Path, command: str) -> None:
    done = run("keys", command, tmp_path / "missing")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path}/missing: no such directory"


def test_export(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore_directory.ExportSettings, "kdf", lambda _: Pbkdf2(count=10))
    done = run("keys", "export", node / "validator_keys", node / "backup")
    assert done.exit_code == 0
    assert (node / "backup").stat().st_mode & 0o777 == 0o700
    loaded, again = load_node(node).keystores, keystores.load_keystores(node / "backup")
    np.testing.assert_array_equal(loaded.secret_keys, again.secret_keys)
    passwords = {path.read_text() for path in (node / "backup").glob("*.txt")}
    assert len(passwords) == 3
    assert all(len(password) == 32 for password in passwords)
    assert not any(word in done.stdout + done.stderr for word in passwords)


def test_export_refuses_to_overwrite(node: Path) -> None:
    before = {path: path.read_bytes() for path in (node / "validator_keys").iterdir()}
    for output in (node / "validator_keys", node / "cluster-lock.json"):
        done = run("keys", "export", node / "validator_keys", output)
        assert done.exit_code == 2
        message = f"error: {output}: is there already; expected a new or an empty directory\n"
        assert done.stderr.endswith(message)
    assert before == {path: path.read_bytes() for path in (node / "validator_keys").iterdir()}


@pytest.mark.parametrize(
    ("content", "password"), [("long enough\n", "long enough"), ("🔑 and more\r\n", "🔑 and more")]
)
def test_export_under_a_password_of_ones_own(
    node: Path, monkeypatch: pytest.MonkeyPatch, content: str, password: str
) -> None:
    monkeypatch.setattr(keystore_directory.ExportSettings, "kdf", lambda _: keystores.Scrypt(n=16))
    (node / "password").write_bytes(content.encode())
    done = run(
        "keys", "export", node / "validator_keys", node / "backup", "--password-file", node / "password"
    )
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in (node / "backup").iterdir()) == [
        f"keystore-{i}.json" for i in range(3)
    ]
    keystore = keystores.read_keystore(node / "backup/keystore-1.json")
    assert keystores.decrypt(keystore, password) == load_node(node).keystores.secret_keys[1].tobytes()
    assert password not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cost", "262143"), "expected at least 262144, got 262143"),
        (("--cost", "262145", "--kdf", "scrypt"), "expected a power of two of at most 524288, got 262145"),
        (("--cost", "16777217"), "expected at most 16777216, got 16777217"),
        (("--kdf", "argon2"), "expected one of pbkdf2, scrypt, got 'argon2'"),
        (("--password-file", "nowhere"), "no such file: nowhere"),
    ],
)
def test_export_with_wrong_options(node: Path, options: tuple[str, ...], message: str) -> None:
    done = run("keys", "export", node / "validator_keys", node / "backup", *options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (node / "backup").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected at least 8 characters"),
        (b"short\n", "expected at least 8 characters"),
        (b"\xff" * 20, "line 1: not UTF-8"),
        (b"correct horse \n", "expected a password in one line, without tabs or white space around it"),
        (b"correct\nhorse\n", "expected a password in one line"),
        (b"correct\thorse", "expected a password in one line"),
        ("correct\x85horse".encode(), "expected a password in one line"),
    ],
)
def test_export_under_no_password(node: Path, content: bytes, says: str) -> None:
    (node / "password").write_bytes(content)
    done = run(
        "keys", "export", node / "validator_keys", node / "backup", "--password-file", node / "password"
    )
    assert done.exit_code == 2
    assert done.stderr.startswith("error: --password-file (DVTFAST_PASSWORD_FILE): ")
    assert says in done.stderr
    assert not (node / "backup").exists()


# --- dvtfast cluster verify ---


@pytest.mark.parametrize("version", ["v1.7.0", "v1.8.0", "v1.9.0", "v1.10.0", "v1.11.0"])
def test_cluster_verify(version: str) -> None:
    lock = SYNTHETIC / f"locks/cluster-lock-{version}.json"
    done = run("cluster", "verify", lock)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    expected = f"format ok {version} 'dvtfast synthetic': 3 validators, 3 of 4 nodes"
    assert lines[0].split() == expected.split()
    assert lines[-1] == f"{lock}: no fault"
    assert len(lines) == 12


def test_cluster_verify_tells_all_faults(tmp_path: Path) -> None:
    document = load("obol/synthetic/node0/cluster-lock.json")
    document["signature_aggregate"] = ""
    document["node_signatures"].reverse()
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(document))
    done = run("cluster", "verify", lock)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == f"{lock}: 2 faults"
    told = {row["check"]: row["verdict"] for row in rows(run("cluster", "verify", lock, "--json"))}
    assert [name for name, verdict in told.items() if verdict == "fault"] == [
        "aggregate signature",
        "node signatures",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("", "not JSON: the file is empty"),
        ("[]", "expected an object, got a list"),
        ("{}", "cluster_definition: missing"),
    ],
)
def test_cluster_verify_of_no_lock(tmp_path: Path, content: str | None, message: str) -> None:
    lock = tmp_path / "lock.json"
    if content is not None:
        lock.write_text(content)
    done = run("cluster", "verify", lock, "--json")
    assert done.exit_code == 1
    assert rows(done) == [{"check": "format", "verdict": "fault", "detail": message}]
