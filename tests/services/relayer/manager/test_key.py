"""The manager's key: keystores that open, those that do not, and where the key never shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_keyfile import keyfile
from structlog.testing import capture_logs

from dvtfast.services.chain.contracts.manager_messages import ManagerMessage
from dvtfast.services.keys.account_key import AccountKeyError
from dvtfast.services.relayer.manager.key import ManagerKey
from tests.vector_files import load, unhex

VECTORS = load("manager_eip712.json")
SECRET = unhex(VECTORS["private_key"])
PASSWORD = "pass word ü"
# The example of the Web3 Secret Storage Definition, whose key and password are public.
GETH = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}

Write = Callable[..., tuple[Path, Path]]


def keystore(kdf: Any = "pbkdf2", **changes: Any) -> dict[str, Any]:
    return {**Account.encrypt(SECRET, PASSWORD, kdf=kdf, iterations=2), **changes}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(document: Any, password: str | bytes = PASSWORD, mode: int = 0o600) -> tuple[Path, Path]:
        paths = tmp_path / "manager.json", tmp_path / "manager.txt"
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        for path, content in zip(
            paths, (text, password if isinstance(password, bytes) else password.encode()), strict=True
        ):
            path.write_bytes(content)
            path.chmod(mode)
        return paths

    return written


@pytest.mark.parametrize("kdf", ["pbkdf2", "scrypt"])
def test_it_opens(write: Write, kdf: str) -> None:
    with capture_logs() as logs:
        key = ManagerKey.load(*write(keystore(kdf)))
    assert key.address.to_wire() == VECTORS["address"]
    assert logs == []


def test_the_example_of_the_standard(write: Write) -> None:
    """It states no address."""
    key = ManagerKey.load(*write(GETH, "testpassword"))
    assert key.address.to_wire() == "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_the_end_of_the_line_is_no_part_of_the_password(write: Write, end: str) -> None:
    ManagerKey.load(*write(keystore(), PASSWORD + end))


@pytest.mark.parametrize("form", [lambda a: a, str.lower, lambda a: a[2:], lambda a: a[2:].lower()])
def test_an_address_in_any_form(write: Write, form: Callable[[str], str]) -> None:
    ManagerKey.load(*write(keystore(address=form(VECTORS["address"]))))


OTHER = "0x" + "11" * 20
BROKEN: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "not JSON: expected an Ethereum keystore of version 3"),
    "no text": (b"\xff", "line 1: not UTF-8"),
    "deep": (b"[" * 60_000, "not JSON"),
    "long": (b" " * 70_000, "at most 65536 bytes"),
    "a list": ([], "expected an Ethereum keystore of version 3"),
    "no version": ({}, "expected an Ethereum keystore of version 3"),
    "a BLS keystore": (keystore(version=4), "a validator's BLS keystore"),
    "no crypto": ({"version": 3}, r"damaged, or of another kind \(KeyError\)"),
    "crypto of another type": (keystore(crypto=1), "damaged"),
    "another kdf": (keystore(crypto={**keystore()["crypto"], "kdf": "argon2"}), "damaged"),
    "a bad mac": (keystore(crypto={**keystore()["crypto"], "mac": "00" * 32}), "does not open it"),
    "a mac that is no hex": (keystore(crypto={**keystore()["crypto"], "mac": "?"}), "damaged"),
    "another address": (keystore(address=OTHER), f"key of {OTHER}, got that of {VECTORS['address']}"),
    "an address that is none": (keystore(address="0x00"), "address: expected 20 bytes of hex"),
    "an address of another type": (keystore(address=5), "address: expected 20 bytes of hex"),
    "a key that is none": (Account.encrypt(SECRET, PASSWORD, kdf="pbkdf2", iterations=2), "damaged"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_keystore(write: Write, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document, match = BROKEN[name]
    paths = write(document)
    if name == "a key that is none":
        monkeypatch.setattr(keyfile, "decode_keyfile_json", lambda *_: SECRET + SECRET)
    with pytest.raises(AccountKeyError, match=match) as caught:
        ManagerKey.load(*paths)
    assert caught.value.path == paths[0]
    assert str(caught.value).startswith(str(paths[0]))
    assert_hidden(str(caught.value))


def test_a_wrong_password_names_both_files(write: Write) -> None:
    paths = write(keystore(), "wrong")
    with pytest.raises(AccountKeyError, match=f"{paths[0]}: the password in {paths[1]} does not open it"):
        ManagerKey.load(*paths)


@pytest.mark.parametrize(
    ("password", "match"),
    [(b"", "empty file"), (b"\n", "empty file"), (b"\xff", "UTF-8"), (b"x" * 70_000, "most")],
)
def test_a_broken_password_file(write: Write, password: bytes, match: str) -> None:
    paths = write(keystore(), password)
    with pytest.raises(AccountKeyError, match=match) as caught:
        ManagerKey.load(*paths)
    assert caught.value.path == paths[1]


def test_files_that_are_not_there(write: Write, tmp_path: Path) -> None:
    keystore_path, password = write(keystore())
    missing = tmp_path / "missing"
    for paths in ((missing, password), (keystore_path, missing), (tmp_path, password)):
        with pytest.raises(AccountKeyError, match="cannot read"):
            ManagerKey.load(*paths)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_files_that_others_can_read_are_pointed_out(write: Write, mode: int) -> None:
    paths = write(keystore(), mode=mode)
    with capture_logs() as logs:
        ManagerKey.load(*paths)
    assert [line["file"] for line in logs] == [str(path) for path in paths]
    assert {line["mode"] for line in logs} == {f"{mode:o}"}
    assert all(line["log_level"] == "warning" for line in logs)


def test_the_key_does_not_show() -> None:
    key = ManagerKey(Account.from_key(SECRET))
    key.sign(ManagerMessage(1, bytes(20), bytes(32), b""))
    for text in (repr(key), str(key), f"{key}", f"{[key]}", f"{key.__slots__}"):
        assert_hidden(text)
    assert repr(key) == f"ManagerKey({VECTORS['address']})"
    assert not hasattr(key, "__dict__")


def assert_hidden(text: str) -> None:
    assert SECRET.hex()[:8] not in text.lower()
    assert repr(SECRET)[2:12] not in text
    assert str(int.from_bytes(SECRET, "big")) not in text
    assert PASSWORD not in text
