"""From files to keys: cold beside the bare derivations, and warm from the key cache.

python -m benchmarks.keystores make DIRECTORY [COUNT]     COUNT keystores of charon's cost, 1000 if not said
python -m benchmarks.keystores cold DIRECTORY [PARTS]     loaded in parts, in turn with the bare derivations
python -m benchmarks.keystores warm COUNT...              a sidecar from "loading keys" to "keys loaded"

`make` and `cold` take a minute or more. For `warm` the keystores cost nothing, but the cache costs what it
always does, and the lock has four nodes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from time import perf_counter

from dvtfast import generate_secret_keys
from dvtfast.keystores import (
    KeystoreFiles,
    Pbkdf2,
    open_keystores,
    parse_keystore_file,
    read_keystore_files,
    write_keystores,
)
from dvtfast.services.demo.cluster import make_cluster
from dvtfast.services.settings import DemoSettings

COUNT = 1000
PARTS = 10
STARTS = 5  # of a warm sidecar
NOBODY = "http://127.0.0.1:1"  # the relayer; keys are loaded before it is asked


def main() -> None:
    """Run one of the commands."""
    match sys.argv[1:]:
        case ["make", directory, *count]:
            write_keystores(Path(directory), generate_secret_keys(int(count[0]) if count else COUNT))
        case ["cold", directory, *parts]:
            cold(Path(directory), int(parts[0]) if parts else PARTS)
        case ["warm", *counts] if counts:
            for count in counts:
                warm(int(count))
        case _:
            sys.exit(__doc__)


def cold(directory: Path, parts: int) -> None:
    """Print seconds of both, and their ratio; to read the files counts as ours."""
    threads = len(os.sched_getaffinity(0))
    begin = perf_counter()
    files = read_keystore_files(directory)
    ours, bare, n = perf_counter() - begin, 0.0, len(files.files)
    for part in range(parts):
        some = KeystoreFiles(directory, files.files[n * part // parts : n * (part + 1) // parts])
        ways = [lambda some=some: load(some, threads), lambda some=some: derive(some, threads)]
        seconds = [0.0, 0.0]
        for way in (0, 1) if part % 2 else (1, 0):
            seconds[way] = ways[way]()
        ours, bare = ours + seconds[0], bare + seconds[1]
    print(f"{n} keystores, {threads} threads: {ours:.2f} s,", end=" ")
    print(f"bare derivations {bare:.2f} s, ratio {ours / bare:.3f}")


def load(files: KeystoreFiles, threads: int) -> float:
    """Seconds to decrypt and check all keys."""
    begin = perf_counter()
    loaded = open_keystores(files, threads=threads)
    assert not loaded.problems
    return perf_counter() - begin


def derive(files: KeystoreFiles, threads: int) -> float:
    """Seconds of hashlib's PBKDF2 for the same passwords and salts."""
    jobs = []
    for file in files.files:
        assert isinstance(file.content, bytes)
        crypto = parse_keystore_file(file.content, file.path).crypto
        assert isinstance(crypto.kdf, Pbkdf2)
        jobs.append((file.password, crypto.salt, crypto.kdf.count))
    begin = perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(hashlib.pbkdf2_hmac, "sha256", *job) for job in jobs]:
            done.result()
    return perf_counter() - begin


def warm(count: int) -> None:
    """Print the seconds of some starts of a sidecar with a key cache, and of the one that made it."""
    with tempfile.TemporaryDirectory() as name:
        settings = DemoSettings.load({"validators": str(count)}, {})
        cluster = make_cluster(settings, Path(name))
        command = [
            sys.executable, "-m", "dvtfast.services", "sidecar", "--network", "hoodi", "--relayer", NOBODY,
            "--cluster-lock", str(cluster.lock), "--keystores", str(cluster.node_keystores[0]),
            "--log-format", "json",
        ]  # fmt: skip
        first, *others = (start(command, name) for _ in range(1 + STARTS))
    shown = ", ".join(f"{seconds:.2f}" for seconds in others)
    print(f"{count} keys: first start {first:.2f} s (keystores of no cost), then {shown} s", flush=True)


def start(command: Sequence[str], directory: str) -> float:
    """Seconds between two log lines of a sidecar, which is then stopped."""
    times = {}
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=directory) as process:
        assert process.stderr is not None
        for line in map(json.loads, process.stderr):
            times[line["event"]] = datetime.fromisoformat(line["timestamp"])
            if line["event"] == "keys loaded":
                break
        process.terminate()
        process.stderr.read()
    return (times["keys loaded"] - times["loading keys"]).total_seconds()


if __name__ == "__main__":
    main()
