"""Key derivation next to hashlib's, each key once, and within the memory there is."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.keystores import Pbkdf2, Scrypt, memory
from dvtfast.keystores.kdf import Derivations
from dvtfast.keystores.memory import MemoryBudget, available_bytes

# RFC 7914, section 11 (one block of 64 bytes there; the first 32 are the key).
RFC_7914 = [
    (b"passwd", b"salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
    (b"Password", b"NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
]


@pytest.mark.parametrize(("password", "salt", "count", "expected"), RFC_7914)
def test_pbkdf2_vectors(password, salt, count, expected):
    assert Pbkdf2(count).derive(password, salt).hex() == expected


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(1, 50))
def test_pbkdf2_is_hashlib_s(password, salt, count):
    expected = hashlib.pbkdf2_hmac("sha256", password, salt, count, 32)
    assert Pbkdf2(count).derive(password, salt) == expected


@pytest.mark.parametrize("size", [0, 63, 64, 65, 128])
def test_pbkdf2_at_the_size_of_a_block(size):
    password = bytes(range(size))
    expected = hashlib.pbkdf2_hmac("sha256", password, b"salt", 3, 32)
    assert Pbkdf2(3).derive(password, b"salt") == expected


def test_who_wants_the_same_key_waits_for_it(monkeypatch):
    calls, begun = [], threading.Event()

    def derive(kdf, password, salt):
        calls.append(password)
        begun.wait(0.2)
        return password

    monkeypatch.setattr(Pbkdf2, "derive", derive)
    derivations = Derivations()
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda i: derivations.key(Pbkdf2(1), b"%d" % (i % 2), b""), range(8)))
    assert keys == [b"0", b"1"] * 4
    assert sorted(calls) == [b"0", b"1"]


def test_a_failure_is_everybody_s(monkeypatch):
    def derive(kdf, password, salt):
        raise ValueError("refused")

    monkeypatch.setattr(Scrypt, "derive", derive)
    derivations = Derivations()
    for _ in range(2):
        with pytest.raises(ValueError, match="refused"):
            derivations.key(Scrypt(n=2), b"", b"")


@pytest.mark.parametrize(("limit", "expected"), [(100, 1), (250, 2), (0, 1), (1000, 4)])
def test_memory_budget(limit, expected):
    budget, at_work, most = MemoryBudget(limit), 0, 0
    lock = threading.Lock()

    def work(_):
        nonlocal at_work, most
        with budget.taking(100):
            with lock:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.02)
            with lock:
                at_work -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))
    assert most == expected


def test_memory_is_given_back_after_a_failure():
    budget = MemoryBudget(100)
    for _ in range(2):
        with pytest.raises(KeyError), budget.taking(100):
            raise KeyError


def test_available_memory(monkeypatch, tmp_path):
    info, limit, used = (tmp_path / name for name in ("meminfo", "max", "current"))
    for name, path in (("MEMORY_INFO", info), ("CGROUP_LIMIT", limit), ("CGROUP_USED", used)):
        monkeypatch.setattr(memory, name, path)
    assert available_bytes() == memory.UNKNOWN_BYTES
    info.write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert available_bytes() == 2 * 1024**2
    limit.write_text("max\n")
    used.write_text("500\n")
    assert available_bytes() == 2 * 1024**2
    limit.write_text("1500\n")
    assert available_bytes() == 1000
    limit.write_text("100\n")
    assert available_bytes() == 0


def test_what_they_take():
    assert Scrypt(n=2**18).memory_bytes == 256 * 1024**2
    assert Pbkdf2(count=2**18).memory_bytes == 0
