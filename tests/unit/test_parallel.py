"""Slices over threads: what ends a batch early leaves nothing to wait for."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from dvtfast._parallel import for_slices
from tests.services.patience import PATIENCE_SECONDS

ROWS = 64


@pytest.mark.parametrize("failing", [0, 1])
def test_no_slice_begins_after_one_that_failed(failing):
    """Nor is the first failure waited for in order: the second slice's comes while the first one runs."""
    failed = threading.Event()
    begun = []

    def kernel(rows):
        begun.append(rows.start)
        if rows.start == failing:
            failed.set()
            raise ValueError(f"row {failing}")
        failed.wait()  # so the failure comes first, whichever thread is faster

    with pytest.raises(ValueError, match=f"row {failing}"):
        for_slices(ROWS, kernel, threads=2, chunk_rows=1, rows_per_thread=1)
    assert len(begun) < ROWS


PROGRAM = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a shell said
from dvtfast._parallel import for_slices
begun = []
def kernel(rows):
    begun.append(rows.start)
    if len(begun) == 2:
        print("running", flush=True)
    time.sleep(1)  # one slice of the batch, in a kernel
try:
    for_slices(64, kernel, threads=2, chunk_rows=1, rows_per_thread=1)
except KeyboardInterrupt:
    print("interrupted", len(begun), flush=True)
"""


def test_ctrl_c_ends_a_batch_on_two_threads():
    """It waits for the slices that run, which are short, and for none of the others."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "running\n"
        os.kill(process.pid, signal.SIGINT)
        word, begun = process.communicate()[0].split()
    assert word == "interrupted"
    assert int(begun) < ROWS  # all of them before: a second for each two


MANY_INTERRUPTS = """
import signal
from random import Random
from dvtfast._parallel import for_slices

random, interrupted = Random(1), 0
signal.signal(signal.SIGALRM, signal.default_int_handler)  # an interrupt as Ctrl-C is one
busy = []
def kernel(rows):
    busy.append(rows.start)
    sum(range(50))
    busy.remove(rows.start)
for _ in range(500):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.random() * 1e-3 + 1e-6)
        for _ in range(20):
            for_slices(64, kernel, threads=4, chunk_rows=1, rows_per_thread=1)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
        assert not busy, busy
print(interrupted)
"""


def test_interrupts_at_any_moment():
    """None leaves a thread waiting for ever, or one at work behind the caller's back."""
    command = [sys.executable, "-c", MANY_INTERRUPTS]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE_SECONDS)
    assert int(done.stdout) > 100
