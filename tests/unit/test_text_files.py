"""Text as people's tools save it: the same in whatever way, or refused by line; never something else."""

import codecs
import json

import numpy as np
import pytest

from dvtfast import FileError, KeystoreError, generate_secret_keys, keystores
from dvtfast.clusters import read_cluster_lock, read_ssv_keyshares
from dvtfast.deposits import read_deposit_data
from dvtfast.files import decode_text, read_text
from dvtfast.keystores import PBKDF2_INSECURE, read_keystore
from dvtfast.protocol_config import read_oracle_config
from dvtfast.ssv import read_operator_key
from tests.texts import SAVED
from tests.vector_files import VECTORS

every_way = pytest.mark.parametrize("save", SAVED.values(), ids=SAVED)
DOCUMENTS = {
    "lock": (read_cluster_lock, VECTORS / "obol/synthetic/node0/cluster-lock.json"),
    "keyshares": (read_ssv_keyshares, VECTORS / "ssv/keyshares.json"),
    "keystore": (read_keystore, VECTORS / "obol/synthetic/node0/validator_keys/keystore-0.json"),
    "deposits": (read_deposit_data, VECTORS / "obol/synthetic/node0/deposit-data.json"),
    "oracles": (read_oracle_config, VECTORS / "protocol_config_sample.json"),
}
PASSWORDS = {"plain": "correct horse", "accents": "pässwörd", "emoji": "𝔱𝔢𝔰𝔱🔑"}


@every_way
@pytest.mark.parametrize(("read", "good"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_documents(tmp_path, read, good, save):
    path = tmp_path / good.name
    path.write_bytes(save(good.read_text()))
    read(path)


@every_way
@pytest.mark.parametrize("operator", [17, 242])
def test_keys_of_operators_and_their_passwords(tmp_path, operator, save):
    directory = VECTORS / f"ssv/operator-{operator}"
    key, password = tmp_path / "key", tmp_path / "password"
    expected = read_operator_key(directory / "encrypted_private_key.json", directory / "password")
    password.write_bytes(save((directory / "password").read_text()))
    key.write_bytes(save((directory / "encrypted_private_key.json").read_text()))
    assert read_operator_key(key, password).public_key == expected.public_key
    key.write_bytes(save(expected.pem()))
    assert read_operator_key(key).public_key == expected.public_key


@every_way
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_passwords(tmp_path, password, save):
    secret = generate_secret_keys(1)
    keystore = keystores.encrypt(secret[0].tobytes(), password, kdf=PBKDF2_INSECURE)
    keystores.write_keystore(tmp_path / "keystore-0.json", keystore)
    (tmp_path / "keystore-0.txt").write_bytes(save(password))
    loaded = keystores.load_keystores(tmp_path)
    assert loaded.problems == ()
    np.testing.assert_array_equal(loaded.secret_keys, secret)


@every_way
def test_a_keystore_of_a_tool_that_took_the_bytes_of_the_password_file_as_they_are(save):
    content = save("pässwörd")
    assert keystores.password_forms(content)[-1] == content or content in keystores.password_forms(content)


def test_marks_where_files_were_joined():
    joined = b"".join(codecs.BOM_UTF8 + line for line in (b"first\r\n", b"second\n"))
    assert decode_text(joined) == "first\r\nsecond\n"
    assert decode_text("a\ufeffb".encode()) == "a\ufeffb"  # inside a line it is a letter


UNREADABLE = {
    "latin-1": ("one\ntwo\npässwörd".encode("latin-1"), "line 3: not UTF-8; save it as UTF-8"),
    "cut-utf-16": (
        codecs.BOM_UTF16_LE + "one\ntwo".encode("utf-16-le")[:-1],
        "line 2: not UTF-16-LE; save it as UTF-8",
    ),
    "half-a-pair": (codecs.BOM_UTF16_BE + b"\xd8\x00", "line 1: not UTF-16-BE; save it as UTF-8"),
    "no-mark": (
        "one\ntwo".encode("utf-16-le"),
        "line 1: a zero byte: UTF-16 without its mark, or no text; save it as UTF-8",
    ),
    "binary": (
        b"one\ntwo\n\0\1\2",
        "line 3: a zero byte: UTF-16 without its mark, or no text; save it as UTF-8",
    ),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_not_understood_is_refused_by_line(tmp_path, content, message):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_text(path, limit_bytes=1000)
    assert str(caught.value) == f"{path}: {message}"
    with pytest.raises(KeystoreError, match="save it as UTF-8"):
        keystores.password_forms(content)
    for read, good in DOCUMENTS.values():
        path.write_bytes(good.read_bytes() + content)
        with pytest.raises(FileError, match="save it as UTF-8"):
            read(path)


NO_JSON = {
    "empty": ("", "the file is empty"),
    "blank": (" \n\n", "the file is empty"),
    "web-page": ("\n<!DOCTYPE html><html></html>", "it is a web page"),
    "no-value": ('{\n  "a": }', "a value is missing at line 2, column 8"),
    "trailing-comma": ('{\n "a": 1,\n}', "the name of a field is missing at line 3, column 1"),
    "no-comma": ('{"a": 1\n "b": 2}', "a comma is missing, or the end at line 2, column 2"),
    "no-colon": ('{"a" 1}', "a colon is missing at line 1, column 6"),
    "no-end": ('["secret', "a text without an end at line 1, column 2"),
    "line-end-in-a-text": (
        '["a\nb"]',
        "a text with a line end or a control character in it at line 1, column 4",
    ),
    "backslash": ('["C:\\keys"]', "a text with a backslash that means nothing at line 1, column 5"),
    "two-documents": ("{}\n{}", "more after the end at line 2, column 1"),
    "long-number": ("1" * 5000, "not usable JSON: a number with too many digits"),
}


@pytest.mark.parametrize(("content", "words"), NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_said_in_words_of_ours(tmp_path, content, words):
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(FileError) as caught:
        read_deposit_data(path)
    assert caught.value.reason in (words, f"not JSON: {words}")


def test_a_document_after_a_mark_has_its_first_line(tmp_path):
    """So that an editor goes to the line that is named."""
    path = tmp_path / "file.json"
    path.write_bytes(codecs.BOM_UTF8 + json.dumps({"a": 1}, indent=1).encode()[:-2])
    with pytest.raises(FileError, match="at line 2, column 8"):
        read_deposit_data(path)
