"""The kernels keep the rules of the house: stubs, noexcept, no None, no wrong width, no GIL, no leak."""

import importlib
import re
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import dvtfast
from dvtfast._native import signatures
from dvtfast.dkg import polynomials
from tests.house.sources import LIBRARY, NATIVE
from tests.samples import make_cluster

KERNELS = sorted(file.stem for file in NATIVE.glob("*.pyx"))
MEMORYVIEW = re.compile(r"(const )?(uint8_t|uint32_t|uint64_t|int8_t)\[([:, 1]+)\] (\w+)( not None)?$")
# The only array that may be missing: without signatures the root is that of a deposit message.
OPTIONAL = ("roots", "deposit_roots", "signatures")
DTYPES = {"uint8_t": np.uint8, "int8_t": np.int8, "uint32_t": np.uint32, "uint64_t": np.uint64}


def functions(source):
    """(name, parameters) of every def of a .pyx outside classes."""
    for name, parameters in re.findall(r"^def (\w+)\((.*?)\):$", source, re.MULTILINE | re.DOTALL):
        yield (
            name,
            [p.strip() for p in re.split(r",\s*(?![^\[]*\])", parameters.replace("\n", " ")) if p.strip()],
        )


DEFS = [
    pytest.param(kernel, name, parameters, id=f"{kernel}.{name}")
    for kernel in KERNELS
    for name, parameters in functions((NATIVE / f"{kernel}.pyx").read_text())
]


def arguments(parameters, rows, width):
    """Arrays of the right number of axes, each as wide as `width`; True and None for the rest."""
    for parameter in parameters:
        if view := MEMORYVIEW.match(parameter):
            axes = view[3].count(":")
            shape = (rows,) if axes == 1 else (rows,) + (1,) * (axes - 2) + (width,)
            yield np.zeros(shape, DTYPES[view[2]])
        else:
            yield True if parameter.startswith(("bint", "size_t", "uint")) else None


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_has_a_stub(kernel):
    assert (LIBRARY / "_native" / f"{kernel}.pyi").is_file()


def test_stubs_fit_the_built_modules():
    allowed = Path(__file__).with_name("stubtest_allowlist.txt")
    options = ["--allowlist", str(allowed), "--ignore-unused-allowlist"]
    modules = [f"dvtfast._native.{kernel}" for kernel in KERNELS]
    command = [sys.executable, "-m", "mypy.stubtest", *options, *modules]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("file", sorted(NATIVE.glob("*.p[yx][xd]")), ids=lambda file: file.name)
def test_functions_without_the_gil_are_noexcept(file):
    """Otherwise a void or enum function takes the GIL back after every call."""
    if file.name == "blst.pxd":  # C functions never raise
        return
    heads = re.findall(r"^ *(cdef [^\n=:]*\([^:]*?\)[^:\n(]*)(?::|$)", file.read_text(), re.MULTILINE)
    assert not [head for head in heads if "nogil" in head and "noexcept" not in head]


@pytest.mark.parametrize(("kernel", "name", "parameters"), DEFS)
def test_memoryviews_refuse_none(kernel, name, parameters):
    function = getattr(importlib.import_module(f"dvtfast._native.{kernel}"), name)
    for position, parameter in enumerate(parameters):
        if view := MEMORYVIEW.match(parameter):
            if (kernel, name, view[4]) == OPTIONAL:
                continue
            assert view[5], f"{parameter}: say not None"
            given = [*arguments(parameters, 2, 96)]
            given[position] = None
            with pytest.raises((TypeError, ValueError)):
                function(*given)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("width", [0, 1, 31, 33, 1000])
@pytest.mark.parametrize(("kernel", "name", "parameters"), DEFS)
def test_kernels_check_widths_themselves(kernel, name, parameters, rows, width):
    function = getattr(importlib.import_module(f"dvtfast._native.{kernel}"), name)
    if any("," in (view[3] if (view := MEMORYVIEW.match(p)) else "") for p in parameters):
        with pytest.raises((TypeError, ValueError)):
            function(*arguments(parameters, rows, width))


# Work that takes a while, straight on the kernels.

CLUSTER = make_cluster(90, threshold=3, share_indices=(1, 2, 3, 4))


def test_kernels_release_the_gil():
    """Another thread counts while a kernel runs; the interpreter itself never switches threads here."""
    public_keys, status = np.zeros((90, 48), np.uint8), np.zeros(90, np.uint8)
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    counter = threading.Thread(target=count)
    sys.setswitchinterval(1000)
    try:
        counter.start()
        for _ in range(100):
            before = counted[0]
            signatures.derive_public_keys(CLUSTER.secret_keys, public_keys, status)
            if counted[0] > before:
                break
        else:
            pytest.fail("no other thread ran during a hundred kernel calls")
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        counter.join()


def test_many_callers_at_once():
    """Nothing is shared between calls: threads that use the same decoded keys get their own answers."""
    keys = dvtfast.PublicKeys(CLUSTER.public_keys)

    def work(seed):
        order = np.random.default_rng(seed).permutation(90)
        sent = CLUSTER.signatures[order].copy()
        sent[seed] = sent[seed - 1]
        roots, shares = CLUSTER.signing_roots[order], CLUSTER.partial_signatures[order]
        checked = dvtfast.check_signatures(keys[order], roots, sent)
        recovered = dvtfast.recover_and_check(keys[order], roots, shares, CLUSTER.share_indices, threshold=3)
        exits = CLUSTER.signatures[order]
        split = dvtfast.split_exit_signatures(exits, keys[order], roots, total=4, threshold=2)
        assert np.flatnonzero(~checked).tolist() == [seed]
        assert np.array_equal(recovered.signatures, exits)
        back = dvtfast.recover_signatures(split.signature_shares[:, :2], [1, 2], threshold=2)
        assert np.array_equal(back, exits)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))


def test_nothing_leaks():
    """Memory stops growing after a warm-up, also when rows are bad and when kernels raise."""
    shares = CLUSTER.partial_signatures.copy()
    shares[::3, 1] = 0

    def work():
        dvtfast.check_signatures(CLUSTER.public_keys, CLUSTER.signing_roots, CLUSTER.signatures[::-1])
        dvtfast.recover_and_check(
            CLUSTER.public_keys, CLUSTER.signing_roots, shares, CLUSTER.share_indices, threshold=3
        )
        dvtfast.split_exit_signatures(
            CLUSTER.signatures, CLUSTER.public_keys, CLUSTER.signing_roots, total=11, threshold=8
        )
        with pytest.raises(dvtfast.EncodingError):
            dvtfast.recover_signatures(shares, CLUSTER.share_indices, threshold=3)
        dealer = polynomials.Coefficients.derive(bytes(32), 200, 3)
        part = polynomials.commit(dealer)
        sums = polynomials.sum_commitments([part, part.encoded, part])
        polynomials.public_shares(sums, [1, 2, 3])
        assert polynomials.find_bad_shares(polynomials.evaluate(dealer, 1), sums, 1).size == 200

    peaks = []
    for _ in range(4):
        for _ in range(5):
            work()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    # The allocator takes what it likes at some time or other; a leak takes it every time.
    growth = min(after - before for before, after in pairwise(peaks))
    assert growth < 1024, f"peak memory in KiB after each five rounds: {peaks}"
