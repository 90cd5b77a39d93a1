"""The key cache: what it opens with, what it is bound to, and that nothing else opens it."""

import dataclasses
import json
import os

import numpy as np
import pytest

from dvtfast import KeystoreError, generate_secret_keys, keystores
from dvtfast.clusters import read_cluster_lock
from dvtfast.key_cache import CachedKeys, KeyCacheError, fits_key_cache, read_key_cache, write_key_cache
from dvtfast.keys import points_of
from dvtfast.keystores import PBKDF2_DEFAULT, SCRYPT_DEFAULT, Pbkdf2, Scrypt
from tests.unit.keystores.test_keystores import replace
from tests.vector_files import VECTORS

LOCK = VECTORS / "obol/synthetic/node0/cluster-lock.json"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Full costs are for the tests that are about them."""
    monkeypatch.setattr("dvtfast.key_cache.PBKDF2_DEFAULT", Pbkdf2(count=20))


@pytest.fixture
def directory(tmp_path):
    """Three keystores that open, one that does not, and a cache of them."""
    path = tmp_path / "validator_keys"
    keystores.write_keystores(path, generate_secret_keys(4), kdf=Pbkdf2(count=10))
    replace(path / "keystore-3.txt", "wrong")
    files = keystores.read_keystore_files(path)
    loaded = keystores.open_keystores(files)
    cached = CachedKeys(loaded, read_cluster_lock(LOCK), bytes(range(32)))
    write_key_cache(path / "cache", files, cached)
    return path


def read(directory):
    return read_key_cache(directory / "cache", keystores.read_keystore_files(directory))


def test_what_was_written_is_read(directory):
    cached, loaded, cluster = read(directory), keystores.load_keystores(directory), read_cluster_lock(LOCK)
    np.testing.assert_array_equal(cached.keystores.secret_keys, loaded.secret_keys)
    np.testing.assert_array_equal(cached.keystores.public_keys, loaded.public_keys)
    assert cached.keystores.sources == loaded.sources
    assert [str(problem) for problem in cached.keystores.problems] == [
        f"{directory}/keystore-3.json: wrong password"
    ]
    assert cached.keystores.problems[0].path == directory / "keystore-3.json"
    assert cached.lock_digest == bytes(range(32))
    assert (cached.cluster.name, cached.cluster.network) == (cluster.name, cluster.network)
    assert cached.cluster.threshold == cluster.threshold
    assert cached.cluster.lock_hash == cluster.lock_hash is not None
    np.testing.assert_array_equal(cached.cluster.share_indices, cluster.share_indices)
    for name in ("public_keys", "public_key_shares"):
        ours, theirs = getattr(cached.cluster, name), getattr(cluster, name)
        np.testing.assert_array_equal(ours.encoded, theirs.encoded)
        np.testing.assert_array_equal(points_of(ours), points_of(theirs))


def test_without_a_cluster(directory):
    files = keystores.read_keystore_files(directory)
    write_key_cache(directory / "cache", files, CachedKeys(keystores.open_keystores(files)))
    assert read(directory).cluster is None
    assert len(read(directory).keystores.secret_keys) == 3


def test_only_the_owner_may_read_it(directory):
    assert (directory / "cache").stat().st_mode & 0o777 == 0o600


def test_no_secret_is_in_it_as_it_is(directory):
    content = (directory / "cache").read_bytes()
    for row in keystores.load_keystores(directory).secret_keys:
        assert row.tobytes() not in content
        assert row.tobytes()[:8] not in content
    for path in directory.glob("*.txt"):
        assert path.read_bytes() not in content


def test_each_is_sealed_under_another_key(directory):
    files = keystores.read_keystore_files(directory)
    first = (directory / "cache").read_bytes()
    write_key_cache(directory / "cache", files, read(directory))
    second = (directory / "cache").read_bytes()
    assert len(first) == len(second)
    same = sum(a == b for a, b in zip(first[-1000:], second[-1000:], strict=True))
    assert same < 50  # four are expected


def remove(path):
    path.unlink()


def copy_password(path):
    replace(path.parent / "keystore-0.txt", (path.parent / "keystore-1.txt").read_text())


CHANGES = {
    "keystore-added": (
        lambda path: (path / "keystore-4.json").write_text("{}"),
        "made of other keystores",
    ),
    "keystore-removed": (lambda path: remove(path / "keystore-1.json"), "made of other keystores"),
    "bad-keystore-removed": (lambda path: remove(path / "keystore-3.json"), "made of other keystores"),
    "keystore-changed": (
        lambda path: replace(path / "keystore-1.json", (path / "keystore-1.json").read_text() + " "),
        "made of other keystores",
    ),
    "keystore-renamed": (
        lambda path: (path / "keystore-1.json").rename(path / "keystore-9.json"),
        "made of other keystores",
    ),
    "keystores-swapped": (
        lambda path: swap(path / "keystore-0", path / "keystore-1"),
        "made of other keystores",
    ),
    "password-changed": (
        lambda path: replace(path / "keystore-1.txt", "another"),
        "made with other passwords, or damaged",
    ),
    "password-with-newline": (
        lambda path: replace(path / "keystore-1.txt", (path / "keystore-1.txt").read_text() + "\n"),
        "made with other passwords, or damaged",
    ),
    "password-of-the-bad-one-right": (
        lambda path: replace(path / "keystore-3.txt", "right"),
        "made with other passwords, or damaged",
    ),
    "password-removed": (
        lambda path: remove(path / "keystore-1.txt"),
        "made with other passwords, or damaged",
    ),
}


def swap(first, second):
    contents = [
        file.with_suffix(suffix).read_text() for file in (first, second) for suffix in (".json", ".txt")
    ]
    for file, values in ((second, contents[:2]), (first, contents[2:])):
        for suffix, value in zip((".json", ".txt"), values, strict=True):
            replace(file.with_suffix(suffix), value)


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_it_opens_for_just_these_files(directory, change, message):
    change(directory)
    with pytest.raises(KeyCacheError) as caught:
        read(directory)
    assert str(caught.value) == f"{directory}/cache: {message}"


def with_header(content, **changes):
    header, rest = content.split(b"\n", 1)
    return json.dumps({**json.loads(header), **changes}).encode() + b"\n" + rest


DAMAGE = {
    "empty": (lambda content: b"", "no key cache: its first line is missing"),
    "header-only": (lambda content: content.split(b"\n")[0], "no key cache: its first line is missing"),
    "no-tag": (lambda content: content.split(b"\n")[0] + b"\n", "made with other passwords, or damaged"),
    "truncated": (lambda content: content[:-1], "made with other passwords, or damaged"),
    "longer": (lambda content: content + b"\0", "made with other passwords, or damaged"),
    "random": (lambda content: b"\xff" * len(content), "no key cache: its first line is missing"),
    "other-format": (lambda content: with_header(content, format="x"), "format: expected dvtfast key cache"),
    "later-version": (
        lambda content: with_header(content, version="3 little"),
        "expected version 2 little, got '3 little': written by another version of dvtfast, or on another kind"
        " of machine",
    ),
    "white-space": (
        lambda content: content.replace(b'", "', b'",  "', 1),
        "made with other passwords, or damaged",
    ),
    "enormous-cost": (
        lambda content: with_header(
            content,
            kdf={"function": "pbkdf2", "params": {"dklen": 32, "c": 2**40, "prf": "hmac-sha256"}},
        ),
        "kdf.params.c: expected an integer of 1..16777216",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage(directory, damage, message):
    cache = directory / "cache"
    cache.write_bytes(damage(cache.read_bytes()))
    with pytest.raises(KeyCacheError) as caught:
        read(directory)
    assert str(caught.value) == f"{cache}: {message}"


def test_any_bit_matters(directory):
    cache = directory / "cache"
    content = cache.read_bytes()
    for position in range(0, len(content), 97):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        cache.write_bytes(changed)
        with pytest.raises(KeyCacheError):
            read(directory)


@pytest.mark.parametrize("make", [lambda path: None, os.mkfifo, lambda path: path.mkdir()])
def test_no_file(directory, make):
    (directory / "cache").unlink()
    make(directory / "cache")
    with pytest.raises(KeyCacheError, match=r"no such file|not a file"):
        read(directory)
    assert not fits_key_cache(directory / "cache", keystores.read_keystore_files(directory))


def test_fits(directory):
    assert fits_key_cache(directory / "cache", keystores.read_keystore_files(directory))
    (directory / "keystore-1.json").unlink()
    assert not fits_key_cache(directory / "cache", keystores.read_keystore_files(directory))


def test_wiping_one_leaves_the_other(directory):
    first, second = read(directory), read(directory)
    first.keystores.wipe()
    assert not first.keystores.secret_keys.any()
    assert second.keystores.secret_keys.any(axis=1).all()


@pytest.mark.parametrize(
    ("kdfs", "expected"),
    [
        ([Pbkdf2(10)], PBKDF2_DEFAULT),
        ([Scrypt(n=16)], SCRYPT_DEFAULT),
        ([Pbkdf2(2**19), PBKDF2_DEFAULT], Pbkdf2(2**19)),
        ([PBKDF2_DEFAULT, SCRYPT_DEFAULT], SCRYPT_DEFAULT),
        ([Pbkdf2(2**24), SCRYPT_DEFAULT], SCRYPT_DEFAULT),
        ([SCRYPT_DEFAULT, Scrypt(n=2**19)], Scrypt(n=2**19)),
    ],
)
def test_it_costs_no_less_than_any_keystore(directory, monkeypatch, kdfs, expected):
    monkeypatch.setattr("dvtfast.key_cache.PBKDF2_DEFAULT", PBKDF2_DEFAULT)
    monkeypatch.setattr(Scrypt, "derive", lambda kdf, password, salt: bytes(32))
    monkeypatch.setattr(Pbkdf2, "derive", lambda kdf, password, salt: bytes(32))
    cached = read_with_any_key(directory, kdfs)
    header = json.loads((directory / "cache").read_bytes().split(b"\n")[0])
    assert header["kdf"]["function"] == expected.function
    assert {**header["kdf"]["params"], "salt": None} == {**expected.params(), "salt": None}
    assert len(cached.keystores.secret_keys) == 0


def test_one_made_of_another_costs_no_less(directory):
    files = keystores.read_keystore_files(directory)
    loaded = dataclasses.replace(keystores.open_keystores(files), kdfs=frozenset([Pbkdf2(1000)]))
    for cached in (CachedKeys(loaded), read):
        write_key_cache(directory / "cache", files, cached(directory) if cached is read else cached)
        header = json.loads((directory / "cache").read_bytes().split(b"\n")[0])
        assert header["kdf"]["params"]["c"] == 1000


def test_no_memory_for_the_derivation(directory, monkeypatch):
    files = keystores.read_keystore_files(directory)
    cached = read(directory)

    def derive(kdf, password, salt):
        raise MemoryError

    monkeypatch.setattr(Pbkdf2, "derive", derive)
    for use in (lambda: read(directory), lambda: write_key_cache(directory / "cache", files, cached)):
        with pytest.raises(KeyCacheError, match="MiB, which are not there"):
            use()


def test_one_that_is_too_large_is_not_read(directory):
    """A sparse file costs who puts it there nothing."""
    os.truncate(directory / "cache", 2**40)
    with pytest.raises(KeyCacheError, match="expected at most 1245184 bytes"):
        read(directory)
    with pytest.raises(KeyCacheError, match="expected at most 1245384 bytes"):
        read_key_cache(directory / "cache", keystores.read_keystore_files(directory), lock_bytes=100)
    assert fits_key_cache(directory / "cache", keystores.read_keystore_files(directory))


def test_what_a_killed_process_left_is_removed(directory):
    files, cached = keystores.read_keystore_files(directory), read(directory)
    left, in_use = (directory / f".cache.{digit * 16}" for digit in "0f")
    others = [directory / name for name in (f".cache.{'0' * 15}", f".cache.{'0' * 17}", f"cache.{'0' * 16}")]
    for path in (left, in_use, *others):
        path.write_text("")
        os.utime(path, (0, 0))
    os.utime(in_use)
    write_key_cache(directory / "cache", files, cached)
    assert [path.exists() for path in (left, in_use, *others)] == [False, True, True, True, True]


def read_with_any_key(directory, kdfs):
    """A cache without keys, of keystores with these derivations."""
    files = keystores.read_keystore_files(directory)
    none = keystores.LoadedKeystores(
        np.zeros((0, 32), np.uint8), np.zeros((0, 48), np.uint8), (), (), frozenset(kdfs)
    )
    write_key_cache(directory / "cache", files, CachedKeys(none))
    return read(directory)


def test_the_standard_s_cost_is_paid(directory, monkeypatch):
    """For real, once: 2^18 rounds."""
    monkeypatch.setattr("dvtfast.key_cache.PBKDF2_DEFAULT", PBKDF2_DEFAULT)
    files = keystores.read_keystore_files(directory)
    loaded = keystores.open_keystores(files)
    write_key_cache(directory / "cache", files, CachedKeys(loaded))
    header = json.loads((directory / "cache").read_bytes().split(b"\n")[0])
    assert header["kdf"]["params"]["c"] == 262144
    np.testing.assert_array_equal(read(directory).keystores.secret_keys, loaded.secret_keys)


def test_repr_shows_no_secret(directory):
    cached = read(directory)
    with np.printoptions(threshold=10**6):
        text = f"{cached!r} {keystores.read_keystore_files(directory)!r}"
    for row in cached.keystores.secret_keys:
        assert row.tobytes().hex() not in text
        assert ", ".join(map(str, row[:4])) not in text
    for path in directory.glob("*.txt"):
        assert path.read_text() not in text


def test_unreadable_files_count_by_their_message(directory):
    files = keystores.read_keystore_files(directory)
    digests = {files.digest}
    for content in (KeystoreError("no such file"), KeystoreError("not a file"), b"no such file"):
        first = dataclasses.replace(files.files[0], content=content)
        digests.add(keystores.KeystoreFiles(directory, (first, *files.files[1:])).digest)
    assert len(digests) == 4
