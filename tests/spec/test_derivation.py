"""Keys from seeds (EIP-2333, EIP-2334): the cases of the standard, py_ecc's KeyGen, and what is no input."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dvtfast
from dvtfast import EncodingError, InputError, derivation, keystores
from tests import reference
from tests.vector_files import cases, load

VECTOR = load("eip2333.json")
WORDS, PASSPHRASE = VECTOR["mnemonic"]["words"], VECTOR["mnemonic"]["passphrase"]
SEED = bytes.fromhex(VECTOR["cases"][0]["seed"])
CASES = cases(VECTOR["cases"], lambda case: case["child_index"])


def number(row):
    return int.from_bytes(row.tobytes())


@pytest.mark.parametrize("case", CASES)
def test_the_cases_of_the_standard(case):
    seed, index = bytes.fromhex(case["seed"]), int(case["child_index"])
    assert number(derivation.derive_master_key(seed)) == int(case["master_SK"])
    assert number(derivation.derive_secret_key(seed, f"m/{index}")) == int(case["child_SK"])


@given(seed=st.binary(min_size=32, max_size=100), index=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_tree_is_that_of_the_reference(seed, index):
    master = derivation.derive_master_key(seed)
    assert number(master) == reference.master_key(seed)
    child = reference.child_key(reference.master_key(seed), index)
    assert number(derivation.derive_child_keys(master, index)) == child


def test_paths_of_validators():
    """By the reference alone, from the seed to the leaves."""
    root = reference.child_key(reference.child_key(reference.master_key(SEED), 12381), 3600)
    accounts = [0, 7, 2**32 - 1]
    withdrawal = [reference.child_key(reference.child_key(root, account), 0) for account in accounts]
    signing = [reference.child_key(key, 0) for key in withdrawal]
    assert [number(row) for row in derivation.derive_withdrawal_keys(SEED, accounts)] == withdrawal
    assert [number(row) for row in derivation.derive_signing_keys(SEED, accounts)] == signing
    assert number(derivation.derive_signing_keys(SEED, 7)) == signing[1]
    assert number(derivation.derive_secret_key(SEED, "m/12381/3600/7/0/0")) == signing[1]
    assert derivation.signing_path(2**32 - 1) == "m/12381/3600/4294967295/0/0"


def test_shapes():
    parents = derivation.derive_signing_keys(SEED, range(3))
    children = derivation.derive_child_keys(parents, [5, 6, 5])
    assert children.shape == (3, 32)
    assert (children[1] == derivation.derive_child_keys(parents[1], 6)).all()
    assert (children[2] == derivation.derive_child_keys(parents, 5)[2]).all()
    assert (derivation.derive_child_keys(parents[0].tobytes(), [5, 6])[0] == children[0]).all()
    assert derivation.derive_child_keys(parents[0], [5]).shape == (1, 32)
    assert derivation.derive_child_keys(parents[0], 5).shape == (32,)
    assert derivation.derive_signing_keys(SEED, []).shape == (0, 32)
    assert derivation.derive_child_keys(np.zeros((0, 32), np.uint8), 5).shape == (0, 32)


def test_seeds_are_taken_as_they_come_and_left_alone():
    expected = derivation.derive_master_key(SEED)
    seed = np.frombuffer(SEED, np.uint8)
    strided = memoryview(np.repeat(seed, 2))[::2]
    for same in (bytearray(SEED), memoryview(SEED), strided, seed, np.repeat(seed, 2)[::2]):
        assert (derivation.derive_master_key(same) == expected).all()
        assert bytes(same) == SEED
    assert not np.array_equal(derivation.derive_master_key(SEED + b"\0"), expected)


def test_parents_are_left_alone():
    parents = derivation.derive_signing_keys(SEED, range(2))
    before = parents.copy()
    derivation.derive_child_keys(parents, 1)
    derivation.derive_child_keys(parents[0], [1, 2])
    assert np.array_equal(parents, before)


def test_nothing_is_left_of_what_came_in_between(monkeypatch):
    """All that was hashed, or hashed into, is zero in the end; a scalar is the key asked for, or zero."""
    hashed, scalars = [], []
    kernel = derivation._kernel

    def hash_secret(secret, digest):
        hashed.extend((secret, digest))
        kernel.hash_secret(secret, digest)

    def expand_scalars(key, infos, out):
        hashed.append(key)
        scalars.append(out)
        kernel.expand_scalars(key, infos, out)

    watched = SimpleNamespace(hash_secret=hash_secret, expand_scalars=expand_scalars)
    monkeypatch.setattr(derivation, "_kernel", watched)
    key = derivation.derive_signing_keys(SEED, 3)
    assert len(scalars) == 6
    assert len(hashed) > 5 * 1500
    assert not any(array.any() for array in hashed)
    assert np.array_equal(scalars[-1][0], key)
    assert not any(array.any() for array in scalars[:-1])


@pytest.mark.parametrize(
    "seed", [b"", SEED[:31], SEED.hex(), None, 5, np.zeros(64), np.zeros((2, 64), np.uint8)]
)
def test_what_is_no_seed(seed):
    with pytest.raises(InputError, match="seed: expected at least 32 bytes"):
        derivation.derive_master_key(seed)
    with pytest.raises(InputError):
        derivation.derive_signing_keys(seed, 0)


NO_PATHS = [
    "",
    "M",
    "/m",
    "m/",
    "m//0",
    "m/0'",
    "m/00",
    "m/01",
    "m/-1",
    "m/+1",
    "m/ 1",
    "m/1_0",
    "m/0x0",
    "0/1",
]


@pytest.mark.parametrize(
    "path", [*NO_PATHS, "m/٣", "m/0\n", "m/0/a", "m/99999999999", "m" + "/0" * 256, b"m/0", None]
)
def test_what_is_no_path(path):
    with pytest.raises(InputError, match="path: expected"):
        derivation.derive_secret_key(SEED, path)


def test_indices_out_of_range():
    assert (derivation.derive_secret_key(SEED, "m") == derivation.derive_master_key(SEED)).all()
    master = derivation.derive_master_key(SEED)
    for index in (2**32, 2**64 - 1, -1, 2**70, True, 1.0, "0", None, [[1]], [1, 2**32]):
        with pytest.raises(InputError):
            derivation.derive_child_keys(master, index)
        with pytest.raises(InputError):
            derivation.derive_signing_keys(SEED, index)
        with pytest.raises((InputError, ValueError)):
            derivation.signing_path(index)
    with pytest.raises(InputError):
        derivation.derive_secret_key(SEED, f"m/{2**32}")
    with pytest.raises(InputError, match="as many as secret_keys, 2, got 3"):
        derivation.derive_child_keys(np.stack([master, master]), [1, 2, 3])
    with pytest.raises(InputError, match="as many as secret_keys, 2, got 1"):
        derivation.derive_child_keys(np.stack([master, master]), [1])


def test_parents_that_are_no_keys():
    master = derivation.derive_master_key(SEED)
    zero, order = bytes(32), reference.CURVE_ORDER.to_bytes(32)
    with pytest.raises(EncodingError) as caught:
        derivation.derive_child_keys([master.tobytes(), zero, master.tobytes(), order], 0)
    assert caught.value.indices == (1, 3)
    for lone in (zero, order, b"\xff" * 32):
        with pytest.raises(EncodingError) as caught:
            derivation.derive_child_keys(lone, [1, 2])
        assert caught.value.indices == (0,)


# Mnemonics. Each language is that of other words, so of another seed.
JAPANESE = "あいこくしん　" * 11 + "あおぞら"


def test_the_words_of_the_standard():
    assert derivation.mnemonic_to_seed(WORDS, passphrase=PASSPHRASE).tobytes() == SEED
    assert (
        derivation.mnemonic_to_seed(f"\n {WORDS.replace(' ', '  ')}\t", passphrase=PASSPHRASE).tobytes()
        == SEED
    )
    assert derivation.mnemonic_to_seed(WORDS).tobytes() != SEED


def test_words_of_other_languages():
    """BIP-39's own case for Japanese: words are apart by an ideographic space, and normalised."""
    seed = derivation.mnemonic_to_seed(JAPANESE, passphrase="㍍ガバヴァぱばぐゞちぢ十人十色")
    assert seed.tobytes().hex() == (
        "a262d6fb6122ecf45be09c50492b31f92e9beb7d9a845987a02cefda57a15f9c"
        "467a17872029a9e92299b5cbdf306e3a0ee620245cbd508959b6cb7ca637bd55"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "got 0"),
        (WORDS.rpartition(" ")[0], "expected 12, 15, 18, 21 or 24 words, got 11"),
        (WORDS.replace("about", "abandon"), "checksum is wrong"),
        (WORDS.replace("about", "abuot"), "see word 12$"),
        (WORDS.replace("abandon", "abandonn", 2), "see word 1, 2$"),
        (WORDS.upper(), "see word 1, 2, 3"),
        (f"{WORDS} {WORDS}", "checksum is wrong"),
        (WORDS.encode(), "expected texts"),
        (None, "expected texts"),
    ],
)
def test_words_that_are_none(words, message):
    with pytest.raises(InputError, match=message) as caught:
        derivation.mnemonic_to_seed(words)
    assert not re.search("abandon|about|abuot", str(caught.value), re.IGNORECASE)


def test_a_passphrase_that_is_no_text():
    with pytest.raises(InputError, match="passphrase") as caught:
        derivation.mnemonic_to_seed(WORDS, passphrase="secret\udc80")
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)


def test_keystores_of_a_mnemonic(tmp_path):
    """From words to files: each opens to its account's key, and says where in the tree it is."""
    keys = derivation.derive_signing_keys(derivation.mnemonic_to_seed(WORDS, passphrase=PASSPHRASE), range(2))
    paths = [derivation.signing_path(account) for account in range(2)]
    keystores.write_keystores(tmp_path, keys, paths=paths, kdf=keystores.PBKDF2_INSECURE)
    loaded = keystores.load_keystores(tmp_path)
    assert np.array_equal(loaded.secret_keys, keys)
    assert [keystores.read_keystore(source).path for source in loaded.sources] == paths
    # The public key of account 0, by the reference alone.
    root = reference.child_key(reference.child_key(reference.master_key(SEED), 12381), 3600)
    key = reference.child_key(reference.child_key(reference.child_key(root, 0), 0), 0)
    assert keystores.read_keystore(loaded.sources[0]).public_key == reference.public_key(key)
    with pytest.raises(InputError, match="paths"):
        keystores.write_keystores(tmp_path / "more", keys, paths=paths[:1], kdf=keystores.PBKDF2_INSECURE)


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mnemonic", None)
    with pytest.raises(dvtfast.MissingExtraError, match=r"dvtfast\[mnemonic\]"):
        derivation.mnemonic_to_seed(WORDS)
