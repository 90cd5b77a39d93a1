"""A scan of 100,000 deposits: 1 % bad signatures, repeated deposits, top-ups, good deposits after bad ones.

python -m benchmarks.deposit_scan make DIRECTORY [N]      # half a minute
python -m benchmarks.deposit_scan kernels DIRECTORY       # a minute; beside a naive loop over blst
python -m benchmarks.deposit_scan scan DIRECTORY          # a minute; from a node on loopback, each part timed
python -m benchmarks.deposit_scan milagro DIRECTORY I OF  # every verdict, part I of OF; 2 ms each
python -m benchmarks.deposit_scan py_ecc DIRECTORY [N]    # N verdicts, half of them bad; 0.5 s each
python -m benchmarks.deposit_scan compare DIRECTORY       # the count, by a plain list with milagro's verdicts

Everything is in DIRECTORY, so that the steps can be run one by one. Time is CPU time of one thread, but for
the second scan, which is wall-clock time on all cores.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from dvtfast import GNOSIS, HOODI, backend_info, deposit_signing_roots, generate_secret_keys
from dvtfast.deposits import check_deposit_signatures, sign_deposits
from dvtfast.services.chain.contracts.reads import DepositEvents
from dvtfast.services.chain.deposits import ledger, validity
from dvtfast.services.chain.deposits import scan as scanning
from dvtfast.services.chain.deposits.ledger import Ledger, LedgerSource
from dvtfast.services.chain.deposits.scan import DepositScan
from dvtfast.services.chain.deposits.validity import DepositJudge
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution.node import NodeClient

from .backends import has_ifma, using
from .deposit_node import CONTRACT, PER_BLOCK
from .measure import ratio

N = 100_000
BAD, REPEATED, TOP_UPS = 0.01, 0.02, 0.07  # parts of all
MENDED = 2  # one bad deposit in so many is followed by a good one
SPAN_BLOCKS = 2000  # in one batch, 10,000 deposits
COMPARED = 16_384  # with the naive loop
CHUNK = 2048  # of these at a time, in turn
BOUND = 0.65
ETH = 10**9
SEED = 6

NETWORK = replace(HOODI, deposit_contract=write_address(CONTRACT))
FIELDS = ("public_keys", "withdrawal_credentials", "amounts_gwei", "signatures")


def main() -> None:
    """Run one step."""
    step, directory, *arguments = sys.argv[1:]
    steps: tuple[Callable[..., None], ...] = make, kernels, scan, milagro, py_ecc, compare
    {each.__name__: each for each in steps}[step](Path(directory), *map(int, arguments))


def make(directory: Path, n: int = N) -> None:
    """Make and keep the deposits."""
    directory.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    n_bad, n_repeated, n_top_ups = (int(n * part) for part in (BAD, REPEATED, TOP_UPS))
    n_good = n - n_bad - n_repeated - n_top_ups
    only_bad = n_bad - n_bad // MENDED
    secret_keys = generate_secret_keys(n_good + only_bad)
    credentials = random.integers(0, 256, (len(secret_keys), 32), np.uint8)
    amounts = random.choice(np.array([ETH, 32 * ETH, 2048 * ETH], np.uint64), len(secret_keys))
    signed = sign_deposits(secret_keys, credentials, amounts, HOODI)
    good = {name: getattr(signed, name)[:n_good] for name in FIELDS}
    bad = _bad({name: getattr(signed, name)[-n_bad:] for name in FIELDS}, secret_keys[-n_bad:])
    again, topped = random.integers(0, n_good, n_repeated), random.integers(0, n_good, n_top_ups)
    repeated = {name: column[again] for name, column in good.items()}
    top_ups = {name: column[topped].copy() for name, column in good.items()}
    top_ups["signatures"][:] = 0
    # Where they stand; what is repeated or topped up comes after its first, a good deposit after its bad one.
    at = random.random(n_good)
    at_bad = random.random(n_bad)
    mended = n_bad - only_bad
    at_bad[:mended] = at[n_good - mended :] * random.random(mended)
    later = [at[which] + (1 - at[which]) * random.random(len(which)) for which in (again, topped)]
    order = np.argsort(np.concatenate([at, at_bad, *later]))
    columns = {
        name: np.concatenate([part[name] for part in (good, bad, repeated, top_ups)])[order]
        for name in FIELDS
    }
    np.savez(directory / "deposits.npz", **columns)
    print(f"{n} deposits: {n_good} of new keys, {n_bad} bad, {n_repeated} repeated, {n_top_ups} top-ups")


def _bad(columns: dict[str, Any], secret_keys: Any) -> dict[str, Any]:
    """What proves nothing, of several kinds; most of it is well-formed."""
    bad = {name: column.copy() for name, column in columns.items()}
    kinds = np.arange(len(secret_keys)) % 8
    foreign = sign_deposits(secret_keys, bad["withdrawal_credentials"], bad["amounts_gwei"], GNOSIS)
    signatures = bad["signatures"]
    signatures[kinds == 0] = np.roll(signatures, 1, axis=0)[kinds == 0]
    signatures[kinds == 1] = foreign.signatures[kinds == 1]
    bad["amounts_gwei"][(kinds == 2) | (kinds == 3)] += np.uint64(1)
    bad["withdrawal_credentials"][(kinds == 4) | (kinds == 5), 0] ^= 1
    signatures[kinds == 6] = 0
    signatures[kinds == 7, -1] ^= 1  # mostly no point, or one outside G2
    return bad


def load(directory: Path) -> DepositEvents:
    """The deposits that were made."""
    with np.load(directory / "deposits.npz") as file:
        columns = {name: file[name] for name in FIELDS}
    n = len(columns["amounts_gwei"])
    numbers = np.arange(n, dtype=np.uint64)
    return DepositEvents(**columns, indices=numbers, block_numbers=numbers // np.uint64(PER_BLOCK))


def verdicts(deposits: DepositEvents, threads: int | None = None) -> Any:
    """Ours, on each of them."""
    return check_deposit_signatures(
        deposits.public_keys,
        deposits.withdrawal_credentials,
        deposits.amounts_gwei,
        deposits.signatures,
        HOODI,
        threads=threads,
    )


def kernels(directory: Path) -> None:
    """The kernels beside what a careful engineer writes first: decompress and core_verify, one by one."""
    from dvtfast_baselines import naive

    deposits = load(directory)
    backends = ["blst", *(["auto"] if has_ifma() else [])]
    seconds: Counter[str] = Counter()
    bad = 0

    @contextmanager
    def clock(name: str) -> Iterator[None]:
        begin = time.thread_time()
        yield
        seconds[name] += time.thread_time() - begin

    for begin in np.linspace(0, len(deposits.public_keys) - CHUNK, COMPARED // CHUNK, dtype=int).tolist():
        chunk = deposits.at(slice(begin, begin + CHUNK))
        ok = np.zeros(CHUNK, np.uint8)
        with clock("naive"):
            naive.verify(chunk.public_keys, _roots(chunk), chunk.signatures, ok)
        for name in backends:
            with using(name), clock(name):
                found = verdicts(chunk, threads=1)
            assert np.array_equal(found, ok.astype(bool)), name
        bad += int((ok == 0).sum())
    print(
        f"# {COMPARED} deposits in chunks of {CHUNK} from the whole history; {bad} top-ups and bad signatures"
    )
    print(f"# every signature is checked; CPU time of one thread, auto is {backend_info().name}")
    for name, spent in seconds.items():
        print(f"# {name:5} {spent / COMPARED * 1e6:7.0f} us for each deposit")
    for name in backends:
        ratio(f"deposits_{name}/naive", seconds[name] / seconds["naive"], BOUND)


def scan(directory: Path) -> None:
    """Read all from a node in another process: on one thread with the time of each part, and on all cores."""
    command = [sys.executable, "-m", "benchmarks.deposit_node", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        try:
            assert node.stdout is not None
            url = node.stdout.readline().strip()
            _scan_timed(directory, url)
            database = _fresh(directory / "fast.db")
            begin = time.perf_counter()
            status = asyncio.run(_scan(database, url, None, lambda *_: None))
            print(f"# all cores: {time.perf_counter() - begin:.1f} s; {status}")
        finally:
            node.terminate()


def _scan_timed(directory: Path, url: str) -> None:
    seconds: Counter[str] = Counter()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            begin = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                seconds[name] += time.thread_time() - begin

        return run

    def tell(done: int, of: int) -> None:
        print(f"# {done:6} of {of} blocks, {_resident_mib():6.1f} MiB resident", flush=True)

    database, begin = _fresh(directory / "timed.db"), time.process_time()
    with (
        mock.patch.object(scanning, "decode_deposits", timed("decode", scanning.decode_deposits)),
        mock.patch.object(validity, "check_deposit_signatures", timed("kernels", check_deposit_signatures)),
        mock.patch.object(Ledger, "known", timed("database", Ledger.known)),
        mock.patch.object(Ledger, "learn", timed("database", Ledger.learn)),
        mock.patch.object(DepositJudge, "judge", timed("judge", DepositJudge.judge)),
    ):
        status = asyncio.run(_scan(database, url, 1, tell))
    total = time.process_time() - begin
    judge = seconds.pop("judge") - seconds["kernels"]
    parts = {
        "fetch (HTTP, JSON, hex)": total - sum(seconds.values()) - judge,
        "decode events": seconds["decode"],
        "kernels": seconds["kernels"],
        "sort and count": judge,
        "database": seconds["database"],
    }
    for name, spent in parts.items():
        print(f"# {name:24} {spent / status.deposits * 1e6:7.1f} us for each deposit")
    print(f"# {total:.1f} s of CPU time, database of {database.stat().st_size / 2**20:.1f} MiB; {status}")


async def _scan(database: Path, url: str, threads: int | None, progress: Any) -> Any:
    book = Ledger(database, LedgerSource.of(NETWORK))
    async with NodeClient([url], timeout_seconds=60, chain_id=HOODI.chain_id) as node:
        deposits = DepositScan(node, book, network=NETWORK, threads=threads, span_blocks=SPAN_BLOCKS)
        await deposits.look(progress)
        status = await deposits.status()
    book.close()
    return status


def _fresh(path: Path) -> Path:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def milagro(directory: Path, part: int, of: int) -> None:
    """Compare a part of all verdicts with milagro's, and keep these."""
    from milagro_bls_binding import Verify

    deposits = load(directory)
    n = len(deposits.public_keys)
    rows = slice(n * part // of, n * (part + 1) // of)
    deposits = deposits.at(rows)
    ours = verdicts(deposits)
    theirs = np.zeros(len(ours), np.bool_)
    roots = _roots(deposits)

    def verify(begin: int, end: int) -> None:
        for row in range(begin, end):
            columns = deposits.public_keys[row], roots[row], deposits.signatures[row]
            try:
                theirs[row] = Verify(*(column.tobytes() for column in columns))
            except ValueError:
                theirs[row] = False

    half = len(ours) // 2
    threads = [threading.Thread(target=verify, args=ends) for ends in ((0, half), (half, len(ours)))]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(ours, theirs), np.flatnonzero(ours != theirs) + rows.start
    np.save(directory / f"milagro-{part}-of-{of}.npy", theirs)
    print(
        f"{rows.start}..{rows.stop - 1}: {len(ours)} verdicts are milagro's, {int(ours.sum())} good;"
        f" {time.perf_counter() - begin:.0f} s"
    )


def py_ecc(directory: Path, n: int = 40) -> None:
    """Compare some verdicts with py_ecc's, half of them bad."""
    from py_ecc.bls import G2ProofOfPossession

    deposits = load(directory)
    ours = verdicts(deposits.at(slice(0, COMPARED)))
    rows = [*np.flatnonzero(~ours)[: n // 2].tolist(), *np.flatnonzero(ours)[: n - n // 2].tolist()]
    roots = _roots(deposits.at(slice(0, COMPARED)))
    for row in rows:
        key, root, signature = deposits.public_keys[row], roots[row], deposits.signatures[row]
        truth = G2ProofOfPossession.Verify(key.tobytes(), root.tobytes(), signature.tobytes())
        assert truth == ours[row], row
    print(f"{len(rows)} verdicts are py_ecc's, {int(ours[rows].sum())} good")


def compare(directory: Path) -> None:
    """The count by a plain list, with milagro's verdicts, beside that of the database."""
    deposits = load(directory)
    parts = sorted(directory.glob("milagro-*.npy"), key=lambda path: int(path.name.split("-")[1]))
    good = np.concatenate([np.load(path) for path in parts])
    assert len(good) == len(deposits.public_keys), "run all parts of milagro first"
    validators: dict[bytes, int] = {}
    bad_signatures = 0
    for row, key in zip(good.tolist(), map(bytes, deposits.public_keys), strict=True):
        if key not in validators and row:
            validators[key] = len(validators)
        elif key not in validators:
            bad_signatures += 1
    for name in ("timed.db", "fast.db"):
        book = ledger.Ledger(directory / name, LedgerSource.of(NETWORK))
        totals, known = book.totals(), book.known(list(validators))
        book.close()
        last = totals.deposits  # the others are pending
        assert {key: each.validator_index for key, each in known.items()} == {
            key: index for key, index in validators.items() if index < totals.validators
        }
        print(f"{name}: {totals.validators} validators after {last} final deposits, all at the same index")
    print(f"plain list: {len(validators)} validators, {bad_signatures} bad signatures after all of them")


def _roots(deposits: DepositEvents) -> Any:
    return deposit_signing_roots(
        deposits.public_keys, deposits.withdrawal_credentials, deposits.amounts_gwei, HOODI
    )


if __name__ == "__main__":
    main()
