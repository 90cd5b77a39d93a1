"""Every bad file in a directory of keystores: the message names it, and the others are loaded."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dvtfast import KeystoreError, derive_public_keys, generate_secret_keys, keystores
from dvtfast.keystores import PBKDF2_INSECURE, Pbkdf2
from tests.unit.keystores.test_keystores import replace

PASSWORD = "0123456789abcdef"


def document(**changes):
    """A keystore as JSON; `crypto__kdf__function="x"` changes that field."""
    secret = generate_secret_keys(1)[0].tobytes()
    value = keystores.encrypt(secret, PASSWORD, kdf=PBKDF2_INSECURE, public_key=None).to_json()
    for place, change in changes.items():
        *parents, name = place.split("__")
        at = value
        for parent in parents:
            at = at[parent]
        at[name] = change
    return value


def text(**changes):
    return json.dumps(document(**changes))


KEYSTORES = {
    "empty": ("", "not JSON: the file is empty"),
    "truncated": (text()[:-30], "not JSON: a text without an end at line 1, column 546"),
    "latin-1": (b'{\n"name": "\xe9"}', "line 2: not UTF-8; save it as UTF-8"),
    "list": ("[]", "expected an object, got a list"),
    "no-crypto": ('{"version": 4}', "crypto: missing"),
    "no-version": ("{}", "version: missing"),
    "version": (text(version=3), "version: expected 4"),
    "kdf": (text(crypto__kdf__function="argon2"), "crypto.kdf.function: expected scrypt"),
    "cipher": (
        text(crypto__cipher__function="aes-256-gcm"),
        "crypto.cipher.function: expected aes-128-ctr",
    ),
    "checksum": (text(crypto__checksum__function="md5"), "crypto.checksum.function: expected sha256"),
    "checksum-changed": (text(crypto__checksum__message="00" * 32), "wrong password"),
    "checksum-short": (
        text(crypto__checksum__message="00" * 31),
        "crypto.checksum.message: expected 32 bytes of hex, got 31",
    ),
    "ciphertext-changed": (text(crypto__cipher__message="00" * 32), "wrong password"),
    "ciphertext-short": (text(crypto__cipher__message="00" * 31), "does not contain a BLS secret key"),
    "iv": (text(crypto__cipher__params={}), "crypto.cipher.params.iv: missing"),
    "salt": (text(crypto__kdf__params__salt="zz"), "crypto.kdf.params.salt: expected hex"),
    "cost": (
        text(crypto__kdf__params__c=2**30),
        "crypto.kdf.params.c: expected an integer of 1..16777216",
    ),
    "pubkey": (text(pubkey="00" * 47), "pubkey: expected 48 bytes of hex, got 47"),
    "pubkey-of-another": (text(pubkey="00" * 48), "pubkey: not the public key of the secret in it"),
    "huge": (" " * 70_000, "expected at most 65536 bytes"),
    "field-twice": ('{"version": 4, "version": 4}', "not usable JSON: an object names a field twice"),
}


@pytest.fixture
def directory(tmp_path):
    """Two good keystores, 0 and 1."""
    keystores.write_keystores(tmp_path, generate_secret_keys(2), kdf=Pbkdf2(count=10))
    return tmp_path


def only_problem(directory):
    """The message about the only bad file, the good ones being loaded."""
    loaded = keystores.load_keystores(directory)
    assert [path.name for path in loaded.sources] == ["keystore-0.json", "keystore-1.json"]
    (problem,) = loaded.problems
    assert isinstance(problem, KeystoreError)
    assert PASSWORD not in str(problem)
    return problem.path.name, str(problem).removeprefix(f"{problem.path}: ")


@pytest.mark.parametrize(("content", "message"), KEYSTORES.values(), ids=KEYSTORES)
def test_keystore(directory, content, message):
    (directory / "keystore-7.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    (directory / "keystore-7.txt").write_text(PASSWORD)
    assert only_problem(directory) == ("keystore-7.json", message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "not a file"),
        (lambda path: os.mkfifo(path), "not a file"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "no such file{}"),
    ],
    ids=["directory", "pipe", "symlink-loop", "broken-symlink"],
)
@pytest.mark.parametrize("suffix", [".json", ".txt"])
def test_no_regular_file(directory, suffix, make, message):
    (directory / "keystore-7.json").write_text(text())
    (directory / "keystore-7.txt").write_text(PASSWORD)
    (directory / f"keystore-7{suffix}").unlink()
    make(directory / f"keystore-7{suffix}")
    wanted = "" if suffix == ".json" else "; the keystore's password is expected in it"
    assert only_problem(directory) == (f"keystore-7{suffix}", message.format(wanted))


@pytest.mark.parametrize(
    ("password", "message"),
    [
        (None, "keystore-7.txt: no such file; the keystore's password is expected in it"),
        (b"", "keystore-7.json: wrong password: it is empty"),
        (b"another", "keystore-7.json: wrong password"),
        (b"\xff", "keystore-7.txt: line 1: not UTF-8; save it as UTF-8"),
        (b"x" * 5000, "keystore-7.txt: expected at most 4096 bytes"),
    ],
    ids=["missing", "empty", "wrong", "not-utf-8", "huge"],
)
def test_password_file(directory, password, message):
    (directory / "keystore-7.json").write_text(text())
    if password is not None:
        (directory / "keystore-7.txt").write_bytes(password)
    assert ": ".join(only_problem(directory)) == message


@pytest.mark.parametrize("typed", ["{}", "{}\n", "{}\r\n", " {} \n", "{}\t"], ids=ascii)
@pytest.mark.parametrize("password", [PASSWORD, "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑", "e\u0301", "é"], ids=ascii)
def test_passwords_as_people_save_them(tmp_path, typed, password):
    keystore = keystores.encrypt(generate_secret_keys(1)[0].tobytes(), password, kdf=PBKDF2_INSECURE)
    keystores.write_keystore(tmp_path / "keystore-0.json", keystore)
    (tmp_path / "keystore-0.txt").write_bytes(typed.format(password).encode())
    loaded = keystores.load_keystores(tmp_path)
    assert loaded.problems == ()
    assert len(loaded.secret_keys) == 1


def test_duplicate(directory):
    for suffix in (".json", ".txt"):
        (directory / f"keystore-7{suffix}").write_bytes((directory / f"keystore-1{suffix}").read_bytes())
    assert only_problem(directory) == ("keystore-7.json", "the same key as in keystore-1.json")


def test_a_keystore_that_states_no_pubkey(directory):
    (directory / "keystore-7.json").write_text(text(pubkey=""))
    (directory / "keystore-7.txt").write_text(PASSWORD)
    loaded = keystores.load_keystores(directory)
    assert loaded.problems == ()
    assert (loaded.public_keys == derive_public_keys(loaded.secret_keys)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such directory"),
        (lambda path: path.mkdir(), "no keystore-*.json here; the directory is empty"),
        (lambda path: path.write_text("{}"), "cannot be read: Not a directory"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
    ],
    ids=["missing", "empty", "file", "symlink-loop"],
)
def test_directory(tmp_path, make, message):
    path = tmp_path / "validator_keys"
    make(path)
    with pytest.raises(KeystoreError) as caught:
        keystores.load_keystores(path)
    assert str(caught.value) == f"{path}: {message}"


AS_NOBODY = """
import os, sys
from dvtfast import KeystoreError, keystores
keystores.encrypt(bytes(32), "p", kdf=keystores.PBKDF2_INSECURE)  # imports what nobody may not
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    print(*keystores.load_keystores(sys.argv[1]).problems, sep="\\n")
except KeystoreError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("closed", "message"),
    [
        ("keystore-1.json", "{}/keystore-1.json: cannot be read: Permission denied ({})"),
        ("keystore-1.txt", "{}/keystore-1.txt: cannot be read: Permission denied ({})"),
        (".", "{}: cannot be read: Permission denied ({})"),
    ],
)
def test_permission_denied(closed, message):
    with tempfile.TemporaryDirectory() as name:  # below pytest's, which are their owner's only, all is denied
        directory = Path(name)
        directory.chmod(0o755)
        keystores.write_keystores(directory, generate_secret_keys(2), password=PASSWORD, kdf=Pbkdf2(count=10))
        for i in range(2):
            (directory / f"keystore-{i}.txt").write_text(PASSWORD)
            (directory / f"keystore-{i}.txt").chmod(0o444)
        (directory / closed).chmod(0)
        command = [sys.executable, "-c", AS_NOBODY, name]
        run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=directory.anchor)
        directory.chmod(0o755)
    us, them = os.getuid(), os.getuid() or 65534
    whose = f"it is of user {us}, mode 000; this process is user {them}"
    assert run.stdout.strip() == message.format(name, whose)


def test_no_memory_for_scrypt(directory, monkeypatch):
    def derive(self, password, salt):
        raise MemoryError

    keystore = keystores.encrypt(
        generate_secret_keys(1)[0].tobytes(), PASSWORD, kdf=keystores.Scrypt(n=2**14)
    )
    keystores.write_keystore(directory / "keystore-7.json", keystore)
    replace(directory / "keystore-7.txt", PASSWORD)
    monkeypatch.setattr(keystores.Scrypt, "derive", derive)
    message = "its scrypt takes 16 MiB, which are not there"
    assert only_problem(directory) == ("keystore-7.json", message)
