"""EIP-2335 keystores: the vectors, passwords of all makers, and whole directories."""

import os
import shutil

import numpy as np
import pytest

from dvtfast import KeystoreError, derive_public_keys, generate_secret_keys, keystores
from dvtfast.keystores import PBKDF2_INSECURE, Pbkdf2, Scrypt
from tests.vector_files import VECTORS, cases, load, unhex

VECTOR_FILE = load("eip2335.json")
CASES = cases(
    VECTOR_FILE["official"] + VECTOR_FILE["synthetic"],
    lambda case: f"{case['keystore']['crypto']['kdf']['function']}-{case['password']!a}",
)
CHEAP = cases(VECTOR_FILE["synthetic"], lambda case: f"{case['password']!a}")
CHARON = VECTORS / "obol/synthetic"


@pytest.mark.parametrize("case", CASES)
def test_vector(case):
    keystore = keystores.parse_keystore(case["keystore"])
    secret = keystores.decrypt(keystore, case["password"])
    assert secret == unhex(case["secret"])
    assert derive_public_keys(secret).tobytes() == keystore.public_key
    assert keystores.password_forms(case["password"])[0] == unhex(case["encoded_password"])


@pytest.mark.parametrize("case", CASES)
def test_to_json_gives_the_vector_back(case):
    assert keystores.parse_keystore(case["keystore"]).to_json() == case["keystore"]


@pytest.mark.parametrize("case", CHEAP)
def test_wrong_password(case):
    keystore = keystores.parse_keystore(case["keystore"])
    with pytest.raises(KeystoreError, match="wrong password"):
        keystores.decrypt(keystore, case["password"] + "x")


@pytest.mark.parametrize("kdf", [PBKDF2_INSECURE, Pbkdf2(count=1000), Scrypt(n=16), Scrypt(n=4, r=2, p=3)])
@pytest.mark.parametrize("size", [1, 32, 1700])
def test_what_is_encrypted_decrypts(tmp_path, kdf, size):
    secret = os.urandom(size)
    keystore = keystores.encrypt(secret, "пароль 🔑", kdf=kdf, path="m/1", description="a test")
    keystores.write_keystore(tmp_path / "keystore.json", keystore)
    again = keystores.read_keystore(tmp_path / "keystore.json")
    assert keystores.decrypt(again, "пароль 🔑") == secret
    assert (again.path, again.description, again.uuid) == ("m/1", "a test", keystore.uuid)
    assert again.crypto == keystore.crypto


def test_salt_and_iv_are_fresh():
    first, second = (keystores.encrypt(bytes(32), "p", kdf=PBKDF2_INSECURE).crypto for _ in range(2))
    assert first.salt != second.salt
    assert first.iv != second.iv


@pytest.mark.parametrize(
    ("written_with", "typed"),
    [
        pytest.param(b"secret", "secret\n", id="newline-at-the-end"),
        pytest.param(b"secret", "  secret \r\n", id="white-space-around"),
        pytest.param(b" secret ", " secret ", id="white-space-that-counts"),
        pytest.param(b"tab\tkept", "tab\tkept", id="controls-left-in"),
        pytest.param("c1\x85kept".encode(), "c1\x85kept", id="charon-keeps-c1"),
        pytest.param("é".encode(), "e\u0301", id="nfkc"),
        pytest.param(b"passworde", "pa\u0308sswörde\u0301", id="keystorev4-drops-combining-marks"),
        pytest.param("𝔱e".encode(), "𝔱é", id="and-leaves-the-other-letters"),
        pytest.param("ｆé".encode(), "ｆé", id="as-it-is"),
        pytest.param(b" secret", " secret \n", id="white-space-at-the-end-only"),
        pytest.param("\ufeffsecret\n".encode(), "\ufeffsecret\n".encode(), id="the-bytes-of-the-file"),
    ],
)
def test_passwords_of_other_makers(written_with, typed):
    assert written_with in keystores.password_forms(typed)


def test_a_plain_password_costs_one_derivation():
    assert keystores.password_forms("0123456789abcdef0123456789abcdef") == [
        b"0123456789abcdef0123456789abcdef"
    ]


def test_repr_shows_no_secret():
    keystore = keystores.encrypt(b"\xab" * 32, "a password", kdf=PBKDF2_INSECURE)
    for text in (repr(keystore), repr(keystore.crypto)):
        assert "abab" not in text
        assert keystore.crypto.salt.hex() not in text
        assert "a password" not in text


@pytest.mark.parametrize("node", range(4))
def test_directory_of_charon(node):
    expected = load("obol/synthetic/expected.json")["validators"]
    partials = [validator["partials"][str(node + 1)] for validator in expected]
    loaded = keystores.load_keystores(CHARON / f"node{node}" / "validator_keys")
    assert loaded.problems == ()
    assert [path.name for path in loaded.sources] == [f"keystore-{i}.json" for i in range(3)]
    found = {(p.tobytes(), s.tobytes()) for p, s in zip(loaded.public_keys, loaded.secret_keys, strict=True)}
    assert found == {(unhex(p["public_key_share"]), unhex(p["secret_share"])) for p in partials}


@pytest.fixture
def directory(tmp_path):
    """Twelve low-cost keystores, and their secrets."""
    secret_keys = generate_secret_keys(12)
    keystores.write_keystores(tmp_path / "keys", secret_keys, kdf=Pbkdf2(count=10))
    return tmp_path / "keys", secret_keys


def test_one_derivation_opens_a_directory(tmp_path, monkeypatch):
    """Keystores of one salt and password; each has an IV of its own, and each opens by itself."""
    secret_keys = generate_secret_keys(5)
    kdf, derived = Pbkdf2(count=10), []
    derive = Pbkdf2.derive
    monkeypatch.setattr(Pbkdf2, "derive", lambda *given: derived.append(1) or derive(*given))
    keystores.write_keystores(tmp_path, secret_keys, kdf=kdf, one_derivation=True)
    assert len(derived) == 1
    np.testing.assert_array_equal(keystores.load_keystores(tmp_path).secret_keys, secret_keys)
    assert len(derived) == 2
    read = [keystores.read_keystore(tmp_path / f"keystore-{i}.json") for i in range(5)]
    assert len({each.crypto.iv for each in read}) == 5
    assert len({each.crypto.salt for each in read}) == 1
    password = (tmp_path / "keystore-3.txt").read_text()
    assert keystores.decrypt(read[4], password) == secret_keys[4].tobytes()
    keystores.write_keystores(tmp_path / "typed", secret_keys, kdf=kdf, one_derivation=True, password="p")
    assert not list((tmp_path / "typed").glob("*.txt"))
    assert keystores.decrypt(keystores.read_keystore(tmp_path / "typed/keystore-0.json"), "p")


def test_written_directory_loads_in_order(directory):
    path, secret_keys = directory
    progress = []
    loaded = keystores.load_keystores(path, progress=lambda done, total: progress.append((done, total)))
    np.testing.assert_array_equal(loaded.secret_keys, secret_keys)
    np.testing.assert_array_equal(loaded.public_keys, derive_public_keys(secret_keys))
    assert [source.name for source in loaded.sources] == [f"keystore-{i}.json" for i in range(12)]
    assert sorted(progress) == [(i + 1, 12) for i in range(12)]


def test_written_files_are_private(directory):
    path, _ = directory
    assert (path / "keystore-3.txt").stat().st_mode & 0o777 == 0o400
    assert (path / "keystore-3.json").stat().st_mode & 0o222 == 0
    assert sorted(file.suffix for file in path.iterdir()) == [".json"] * 12 + [".txt"] * 12


def test_insecure_keystores_are_called_so(tmp_path):
    keystores.write_keystores(tmp_path, generate_secret_keys(1), kdf=PBKDF2_INSECURE)
    assert {file.name for file in tmp_path.iterdir()} == {
        "keystore-insecure-0.json",
        "keystore-insecure-0.txt",
    }
    assert len(keystores.load_keystores(tmp_path).secret_keys) == 1


def test_same_salt_and_password_are_derived_once(tmp_path, monkeypatch):
    secret_keys = generate_secret_keys(6)
    monkeypatch.setattr(os, "urandom", lambda size: bytes(size))
    calls = []
    derive = Pbkdf2.derive
    monkeypatch.setattr(
        Pbkdf2, "derive", lambda kdf, password, salt: calls.append(salt) or derive(kdf, password, salt)
    )
    for i, secret in enumerate(secret_keys):
        keystore = keystores.encrypt(secret.tobytes(), "one", kdf=PBKDF2_INSECURE)
        keystores.write_keystore(tmp_path / f"keystore-{i}.json", keystore)
        (tmp_path / f"keystore-{i}.txt").write_text("one\n")
    calls.clear()
    loaded = keystores.load_keystores(tmp_path, threads=1)
    np.testing.assert_array_equal(loaded.secret_keys, secret_keys)
    assert len(calls) == 1


def test_bad_files_do_not_stop_the_others(directory):
    path, secret_keys = directory
    (path / "keystore-0.txt").unlink()
    replace(path / "keystore-1.txt", "not the password")
    replace(path / "keystore-2.json", "{")
    replace(path / "keystore-3.json", (path / "keystore-4.json").read_text())
    replace(path / "keystore-3.txt", (path / "keystore-4.txt").read_text())
    other = keystores.encrypt(generate_secret_keys(1).tobytes(), "p", kdf=PBKDF2_INSECURE)
    wrong_key = keystores.Keystore(other.crypto, public_key=bytes(48))
    replace_keystore(path / "keystore-5.json", wrong_key, "p")
    replace_keystore(path / "keystore-6.json", keystores.encrypt(b"\xff" * 32, "p", kdf=PBKDF2_INSECURE), "p")
    shutil.copy(path / "keystore-7.json", path / "deposit-7.json")

    loaded = keystores.load_keystores(path)

    problems = {problem.path.name: str(problem) for problem in loaded.problems}
    assert "no such file" in problems["keystore-0.txt"]
    assert "wrong password" in problems["keystore-1.json"]
    assert "not JSON" in problems["keystore-2.json"]
    assert "the same key as in keystore-3.json" in problems["keystore-4.json"]
    assert "not the public key of the secret" in problems["keystore-5.json"]
    assert "does not contain a BLS secret key" in problems["keystore-6.json"]
    assert len(problems) == 6
    good = [4, 7, 8, 9, 10, 11]  # keystore-3 is a copy of 4
    np.testing.assert_array_equal(loaded.secret_keys, secret_keys[good])
    assert "not the password" not in str(loaded.problems)


def test_empty_and_missing_directories(tmp_path):
    for path, complaint in [
        (tmp_path, r"no keystore-\*\.json here"),
        (tmp_path / "missing", "no such directory"),
    ]:
        with pytest.raises(KeystoreError, match=complaint) as caught:
            keystores.load_keystores(path)
        assert caught.value.path == path


def replace(path, text):
    path.unlink(missing_ok=True)
    path.write_text(text)


def replace_keystore(path, keystore, password):
    keystores.write_keystore(path, keystore)
    replace(path.with_suffix(".txt"), password)
