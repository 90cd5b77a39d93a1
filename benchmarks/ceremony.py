"""What a ceremony costs in full: each node a process of its own on loopback, directly and through our relay.

By part of it, for the node that it costs most: wall, CPU and bytes sent.

    start       Python, the definition, connections
    keys        from the node's polynomials to the public key shares that all agree on, transport included
    signatures  partial ones of deposits and registrations, those of others combined and verified
    lock        hashed and signed
    files       keystores (one key derivation for all), lock, deposits; written, synced, read again, verified
    end         until all have heard that all have stored

CPU of `keys` stands beside the floor of what is computed there (key_generation.py), measured right before by
as many processes at once, as they share the machine like the nodes do; and beside a naive loop over blst.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from coincurve import PrivateKey

import dvtfast
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from dvtfast.dkg.dvtfast_dkg.messages.sizes import payload_sizes
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.services.ceremony.dealing import new_node_keys
from dvtfast.services.demo.cluster import ADDRESS_BYTES
from dvtfast.services.demo.generated_cluster import agree, start_relay
from dvtfast.services.demo.processes import Services
from dvtfast.services.demo.world.ports import free_ports
from dvtfast.services.settings import DemoSettings

from . import key_generation
from .ceremony_node import EVENT
from .measure import Way, alternate, ratio

ROOT = Path(__file__).parent.parent
# Nodes, threshold, validators.
CASES = ((4, 3, 5000), (10, 7, 500))
WAYS = ("direct", "relay")
KINDS = 2  # one deposit and one registration of each validator
# Transport, hashes and records are in it; kernels of lanes are so fast that these show. To connect with a
# peer and hear it out costs 10 ms, however few validators there are.
OF_FLOOR, OF_NAIVE = {"blst": 1.30, "ifma": 1.70}, 0.25
PEER_SECONDS = 0.010
OF_PAYLOADS = 2.0  # on a busy machine a message is asked for again that is on its way; framing adds 1 %
NAIVE, ROUNDS = 24, 5
START_SECONDS, END_SECONDS = 120.0, 1800.0


def main() -> None:
    """All cases, or the one that is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceremony", description=__doc__)
    parser.add_argument("--case", help="NODES,THRESHOLD,VALIDATORS")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = [tuple(map(int, arguments.case.split(",")))] if arguments.case else CASES
    for nodes, threshold, validators in cases:
        if arguments.floor:
            print(json.dumps(costs(nodes, threshold, validators)))
            continue
        for way in [arguments.way] if arguments.way else WAYS:
            with tempfile.TemporaryDirectory(prefix="dvtfast-ceremony-") as directory:
                measure(Path(directory), nodes, threshold, validators, way)


def measure(directory: Path, nodes: int, threshold: int, validators: int, way: str) -> None:
    """One ceremony; prints its figures."""
    name = f"dkg_ceremony_{threshold}_of_{nodes}_x{validators}_{way}"
    load = os.getloadavg()[0]
    floor, naive = costs_at_once(nodes, threshold, validators)
    wall, figures = run(directory, nodes, threshold, validators, way)
    print(f"# {name}: {wall:.1f} s from the first start to the last end; load before was {load:.1f}")
    print("# part: seconds, CPU seconds, bytes sent, each of the node where it is most")
    for part in figures[0]:
        most = {key: max(each[part][key] for each in figures) for key in figures[0][part]}
        print(f"{name}_{part}: {most['seconds']:.2f} {most['cpu_seconds']:.3f} {most['bytes']:,}")
    cpu = statistics.median(each["keys"]["cpu_seconds"] for each in figures)
    bound = OF_FLOOR[dvtfast.backend_info().name] + PEER_SECONDS * (nodes - 1) / floor
    ratio(f"{name}_keys/floor", cpu / floor, bound)
    ratio(f"{name}_keys/naive", cpu / naive, OF_NAIVE)
    sent = max(sum(part["bytes"] for part in each.values()) for each in figures)
    bound = OF_PAYLOADS * payload_bytes(nodes, threshold, validators)
    print(f"BOUND {name}_bytes_sent {sent} {bound:.0f} {'ok' if sent <= bound else 'MISS'}", flush=True)


def costs(nodes: int, threshold: int, validators: int) -> tuple[float, float]:
    """CPU seconds of the floor, and of the naive loop, for all validators."""
    few = key_generation.generation(nodes, threshold, NAIVE)
    floor = Way(key_generation.floor(key_generation.generation(nodes, threshold, validators)), validators)
    naive = Way(key_generation.naively(few), NAIVE)
    alternate({"floor": floor, "naive": naive}, ROUNDS)
    return statistics.median(floor.seconds), statistics.median(naive.seconds) / NAIVE * validators


def costs_at_once(nodes: int, threshold: int, validators: int) -> tuple[float, float]:
    """The same as each of as many processes as there are nodes has it, in the middle."""
    command = [sys.executable, "-m", "benchmarks.ceremony", "--floor"]
    case = ["--case", f"{nodes},{threshold},{validators}"]
    processes = [
        subprocess.Popen([*command, *case], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(nodes)
    ]
    found = [json.loads(process.communicate()[0]) for process in processes]
    floor, naive = (statistics.median(each) for each in zip(*found, strict=True))
    return floor, naive


def payload_bytes(nodes: int, threshold: int, validators: int) -> int:
    """Of one node's own messages to all others, each once."""
    keys = new_node_keys(nodes)
    operators = tuple(PrivateKey(key).public_key.format() for key in keys)
    sizes = payload_sizes(Terms(bytes(32), operators, threshold, validators, KINDS))
    return (nodes - 1) * sum(size[-1] for kind, size in sizes.items() if kind <= Kind.CLOSE)


def run(
    directory: Path, nodes: int, threshold: int, validators: int, way: str
) -> tuple[float, list[dict[str, dict[str, float]]]]:
    """Wall seconds, and what each node measured, by part."""
    folders = [directory / f"node{i}" for i in range(nodes)]
    counts = {"nodes": nodes, "threshold": threshold, "validators": validators}
    settings = DemoSettings.load({name: str(count) for name, count in counts.items()}, {})
    with Services(directory, timeout_seconds=START_SECONDS + END_SECONDS) as services, ExitStack() as stack:
        definition = agree(services, settings, folders, bytes([1]) * ADDRESS_BYTES)
        if way == "relay":
            relay = start_relay(services, directory)
            find = [["--p2p-relays", relay]] * nodes
        else:
            find = addresses(nodes)
        begin = time.perf_counter()
        processes = [
            stack.enter_context(started(folder, definition, options))
            for folder, options in zip(folders, find, strict=True)
        ]
        printed = [process.communicate(timeout=END_SECONDS)[0] for process in processes]
        wall = time.perf_counter() - begin
    if any(process.returncode for process in processes):
        raise SystemExit(f"a node ended with an error: {printed}")
    lines = [json.loads(each.splitlines()[-1]) for each in printed]
    return wall, [line["parts"] for line in lines if line["event"] == EVENT]


def addresses(nodes: int) -> list[list[str]]:
    """What each node is told to listen on, and of the others."""
    places = [f"127.0.0.1:{port}" for port in free_ports(nodes)]
    return [
        ["--p2p-tcp-address", places[i]]
        + [word for j in range(nodes) if j != i for word in ("--peer-address", f"{j}={places[j]}")]
        for i in range(nodes)
    ]


@contextmanager
def started(folder: Path, definition: Path, find: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A node's process, which does not outlive the block."""
    command = [
        *(sys.executable, "-m", "benchmarks.ceremony_node", "--data-dir", str(folder), "--one-derivation"),
        *("--definition-file", str(definition), "--threads", "1", "--json", "--log-level", "warning", *find),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    main()
