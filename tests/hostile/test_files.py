"""Files that are truncated, forged, enormous or something else: always a FileError that names the file."""

import copy
import json
import os

import numpy as np
import pytest

from dvtfast import FileError, KeystoreError, keystores, obol
from dvtfast.clusters import read_cluster_lock, read_ssv_keyshares
from dvtfast.deposits import check_deposit_data, read_deposit_data
from dvtfast.keystores import PBKDF2_INSECURE, read_keystore
from dvtfast.protocol_config import read_oracle_config
from tests.vector_files import VECTORS

LOCK = VECTORS / "obol/synthetic/node0/cluster-lock.json"
READERS = {
    "lock": (read_cluster_lock, LOCK),
    "keyshares": (read_ssv_keyshares, VECTORS / "ssv/keyshares.json"),
    "keystore": (read_keystore, VECTORS / "obol/synthetic/node0/validator_keys/keystore-0.json"),
    "deposits": (read_deposit_data, VECTORS / "obol/synthetic/node0/deposit-data.json"),
    "oracles": (read_oracle_config, VECTORS / "protocol_config_sample.json"),
}
every_reader = pytest.mark.parametrize(("read", "good"), READERS.values(), ids=READERS.keys())

MEGABYTE = 1024**2
JUNK = {
    "empty": b"",
    "zeros": bytes(20 * MEGABYTE),
    "random": os.urandom(MEGABYTE) * 20,
    "spaces": b" " * (20 * MEGABYTE),
    "one-long-text": b'"' + b"a" * (20 * MEGABYTE) + b'"',
    "open-brackets": b"[" * (20 * MEGABYTE),
    "nested-lists": b"[" * 100_000 + b"]" * 100_000,
    "nested-objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many-numbers": b"[" + b"1," * (4 * MEGABYTE) + b"1]",
    "huge-number": b"1" * 100_000,
    "not-utf-8": b'{"name": "\xff\xfe"}',
    "utf-16": '{"version": 4}'.encode("utf-16"),
    "not-a-number": b'{"version": NaN}',
    "infinity": b"[Infinity]",
    "field-twice": b'{"version": 4, "version": 4}',
    "two-documents": b"{} {}",
    "text": b"this is not JSON",
    "null": b"null",
    "number": b"7",
    "list": b"[[]]",
    "object": b"{}",
}
# What stands in for each value of a document in turn.
WRONG_VALUES = [None, True, -1, 2**64, 1.5, "", "0x", "zz", "\ud800", "a" * 3000, [], {}, [None], {"a": {}}]


@every_reader
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_junk(tmp_path, read, good, junk):
    path = tmp_path / "junk.json"
    path.write_bytes(junk)
    with pytest.raises(FileError) as caught:
        read(path)
    assert caught.value.path == path
    assert len(str(caught.value)) < 500


@every_reader
def test_truncated(tmp_path, read, good):
    content = good.read_bytes().rstrip()
    path = tmp_path / "short.json"
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(FileError, match="not JSON"):
            read(path)


@every_reader
def test_no_file(tmp_path, read, good):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, complaint in [
        (tmp_path / "missing.json", "no such file"),
        (tmp_path, "not a file"),
        (tmp_path / "pipe", "not a file"),
        (tmp_path / "loop", "cannot be read: Too many levels of symbolic links"),
        (good / "below-a-file", "no such file"),
    ]:
        with pytest.raises(FileError, match=complaint) as caught:
            read(path)
        assert caught.value.path == path


@every_reader
def test_any_value_may_be_wrong(tmp_path, read, good):
    """Every value in turn is replaced by every wrong one: refused, or read; nothing else happens."""
    document = json.loads(good.read_text())
    path = tmp_path / "wrong.json"
    refused = 0
    for place in places(document):
        for wrong in WRONG_VALUES:
            path.write_text(json.dumps(replaced(document, place, wrong)))
            error = refusal(read, path)
            refused += error is not None
            assert error is None or len(str(error)) < 500
    assert refused > 100


@every_reader
def test_any_field_may_be_missing(tmp_path, read, good):
    document = json.loads(good.read_text())
    path = tmp_path / "missing.json"
    for *parents, name in places(document):
        if isinstance(name, str):
            changed = copy.deepcopy(document)
            del at(changed, parents)[name]
            path.write_text(json.dumps(changed))
            refusal(read, path)


def test_lock_with_one_byte_changed(tmp_path):
    """It is refused, or means the same: white space, case of hex, or the last byte of a node signature."""
    content = LOCK.read_bytes()
    good = obol.read_cluster_lock(LOCK)
    path = tmp_path / "lock.json"
    refused = 0
    for position in range(3, len(content), 29):
        for flip in (0x01, 0x20):
            changed = bytearray(content)
            changed[position] ^= flip
            path.write_bytes(changed)
            if refusal(read_cluster_lock, path):
                refused += 1
            else:
                assert obol.lock_hash(obol.read_cluster_lock(path)) == good.lock_hash
    assert refused > 300


def test_deposit_data_with_one_digit_changed(tmp_path):
    """Whatever a changed digit hits, its record is called bad, and the others good."""
    document = json.loads(READERS["deposits"][1].read_text())
    path = tmp_path / "deposit_data.json"
    named = ("pubkey", "withdrawal_credentials", "signature", "deposit_message_root", "deposit_data_root")
    for name in named:
        for position in range(3, len(document[1][name]), 13):
            changed = copy.deepcopy(document)
            text = changed[1][name]
            digit = f"{int(text[position], 16) ^ 1:x}"
            changed[1][name] = text[:position] + digit + text[position + 1 :]
            path.write_text(json.dumps(changed))
            problems = check_deposit_data(read_deposit_data(path))
            assert [bool(problem) for problem in problems] == [False, True, False]


def test_keyshares_with_swapped_shares(tmp_path):
    document = json.loads(READERS["keyshares"][1].read_text())
    payload = document["shares"][2]["payload"]
    blob = bytearray.fromhex(payload["sharesData"][2:])
    blob[96:144], blob[144:192] = blob[144:192], blob[96:144]
    payload["sharesData"] = "0x" + blob.hex()
    path = tmp_path / "keyshares.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FileError, match="do not give its public key with threshold 3"):
        read_ssv_keyshares(path)


@pytest.mark.parametrize("password", [b"", b"wrong", b"\xff\xfe", b"x" * 5000, None])
def test_password_file(tmp_path, password):
    keystore = keystores.encrypt(b"\x01" * 32, "right", kdf=PBKDF2_INSECURE)
    keystores.write_keystore(tmp_path / "keystore-0.json", keystore)
    if password is None:
        (tmp_path / "keystore-0.txt").mkdir()
    else:
        (tmp_path / "keystore-0.txt").write_bytes(password)
    loaded = keystores.load_keystores(tmp_path)
    assert loaded.secret_keys.shape == (0, 32)
    (problem,) = loaded.problems
    assert isinstance(problem, KeystoreError)
    assert problem.path.stem == "keystore-0"
    assert "wrong" not in str(problem).removeprefix(str(problem.path)).removeprefix(": wrong password")


@pytest.mark.parametrize(
    ("function", "params"),
    [
        ("scrypt", {"n": 2**40}),
        ("scrypt", {"n": 3}),
        ("scrypt", {"n": 2**18, "p": 2**10}),
        ("scrypt", {"n": 2**16, "r": 1}),  # beyond what RFC 7914 allows for r = 1
        ("scrypt", {"n": 0}),
        ("pbkdf2", {"c": 2**40}),
        ("pbkdf2", {"c": 0}),
        ("pbkdf2", {"prf": "hmac-sha512"}),
        ("pbkdf2", {"dklen": 16}),
        ("argon2", {}),
    ],
)
def test_costs_that_a_keystore_may_not_ask_for(function, params):
    document = keystores.encrypt(b"\x01" * 32, "p", kdf=PBKDF2_INSECURE).to_json()
    defaults = {"dklen": 32, "salt": "00" * 32, "n": 16, "r": 8, "p": 1, "c": 16, "prf": "hmac-sha256"}
    document["crypto"]["kdf"] = {"function": function, "params": {**defaults, **params}, "message": ""}
    with pytest.raises(KeystoreError, match=r"crypto\.kdf"):
        keystores.decrypt(keystores.parse_keystore(document), "p")


def test_keystore_errors_are_keystore_errors(tmp_path):
    (tmp_path / "keystore-0.json").write_text("[")
    with pytest.raises(KeystoreError):
        read_keystore(tmp_path / "keystore-0.json")


def refusal(read, path):
    """The error that reading raises, None when the file is read."""
    try:
        read(path)
    except FileError as error:
        return error if error.path == path else pytest.fail(f"{error} does not name {path}")
    return None


def places(document, before=()):
    """The path of every value, the whole document left out; of a list only the first and last item."""
    if isinstance(document, dict):
        children = list(document.items())
    elif isinstance(document, list):
        children = list({0: document[0], len(document) - 1: document[-1]}.items()) if document else []
    else:
        children = []
    for key, value in children:
        yield (*before, key)
        yield from places(value, (*before, key))


def at(document, place):
    for key in place:
        document = document[key]
    return document


def replaced(document, place, value):
    changed = copy.deepcopy(document)
    *parents, last = place
    at(changed, parents)[last] = value
    return changed
