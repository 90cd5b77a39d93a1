"""The file of validators that deposits have made, and the dump that it may begin with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from dvtfast import HOODI, MAINNET, Network
from dvtfast.services.chain.deposits.contract_tree import DepositsSoFar
from dvtfast.services.chain.deposits.dump import DumpError, read_dump
from dvtfast.services.chain.deposits.ledger import (
    KEPT_CHECKPOINTS,
    Known,
    Ledger,
    LedgerError,
    LedgerSource,
    Seed,
    Totals,
)
from dvtfast.services.chain.execution.scanner import Checkpoint
from dvtfast.services.settings.shared import on_test_chain

SOURCE = LedgerSource(HOODI.chain_id, bytes(20), 10)
NETWORK = replace(HOODI, deposit_contract_block=5, genesis_validators_last_block=100)


def key(number: int) -> bytes:
    """What looks like a public key; they are in no order."""
    return b"\x80" + Random(number).randbytes(39) + number.to_bytes(8, "little")


def place(number: int) -> Checkpoint:
    return Checkpoint(number, number.to_bytes(32, "big"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deposits.db"


def make_version_1(path: Path) -> None:
    """What the version before wrote; nothing has the file open."""
    with closing(sqlite3.connect(path)) as old:
        old.execute("ALTER TABLE seed DROP COLUMN next_deposit")
        old.execute("ALTER TABLE checkpoints DROP COLUMN tree")
        old.execute("PRAGMA user_version = 1")


def fill(ledger: Ledger, blocks: int) -> None:
    """A new validator, and a bad signature, in each block from the first one on."""
    for number in range(10, 10 + blocks):
        before = ledger.totals()
        so_far = DepositsSoFar(2 * (number - 9))
        totals = Totals(before.validators + 1, before.deposits + 2, before.bad_signatures + 1, so_far)
        ledger.learn(number, place(number), [(key(number), number)], totals)


def test_what_is_learned_is_known_after_a_restart(path: Path) -> None:
    ledger = Ledger(path, SOURCE)
    assert ledger.is_empty()
    assert (ledger.first_block, ledger.seed) == (10, None)
    assert (ledger.checkpoints(), ledger.totals()) == ([], Totals(0, so_far=DepositsSoFar.none()))
    many = [(key(n), 15) for n in range(2500)]
    so_far = DepositsSoFar(3000, tuple(bytes([n]) * 32 for n in range(7)))
    ledger.learn(10, place(20), many, Totals(2500, 3000, 7, so_far))
    ledger.close()
    ledger = Ledger(path, SOURCE)
    assert not ledger.is_empty()
    assert (ledger.checkpoints(), ledger.totals()) == ([place(20)], Totals(2500, 3000, 7, so_far))
    asked = [key(n) for n in range(3000)]
    assert ledger.known(asked) == {key(n): Known(n, 15) for n in range(2500)}
    assert ledger.known([]) == {}


def test_a_rewind(path: Path) -> None:
    ledger = Ledger(path, SOURCE)
    fill(ledger, 5)
    keys = [key(number) for number in range(10, 15)]
    ledger.rewind(12)
    assert ledger.checkpoints()[-1] == place(12)
    assert ledger.totals() == Totals(3, 6, 3, DepositsSoFar(6))
    assert ledger.known(keys) == {key(n): Known(n - 10, n) for n in range(10, 13)}
    with pytest.raises(LedgerError, match=r"deposits\.db: expected deposits from block 13, got 14"):
        ledger.learn(14, place(14), [], Totals(3))
    ledger.rewind(None)
    assert ledger.is_empty()
    assert ledger.known(keys) == {}
    assert ledger.totals() == Totals(0, so_far=DepositsSoFar.none())


def test_few_checkpoints_are_kept(path: Path) -> None:
    ledger = Ledger(path, SOURCE)
    fill(ledger, KEPT_CHECKPOINTS + 5)
    assert ledger.checkpoints() == [place(number) for number in range(15, 15 + KEPT_CHECKPOINTS)]
    assert ledger.totals().validators == KEPT_CHECKPOINTS + 5


def test_a_batch_is_kept_as_a_whole(path: Path) -> None:
    ledger = Ledger(path, SOURCE)
    fill(ledger, 1)
    with pytest.raises(LedgerError, match="UNIQUE"):
        ledger.learn(11, place(11), [(key(11), 11), (key(10), 11)], Totals(3))
    assert ledger.known([key(11)]) == {}
    assert ledger.checkpoints() == [place(10)]


def test_another_process_was_quicker(path: Path) -> None:
    one, other = Ledger(path, SOURCE), Ledger(path, SOURCE)
    fill(one, 1)
    with pytest.raises(LedgerError, match="another process"):
        fill(other, 1)


def test_files_that_are_something_else(path: Path, tmp_path: Path) -> None:
    Ledger(path, SOURCE).close()
    for other in (replace(SOURCE, chain_id=1), replace(SOURCE, contract=bytes([1] * 20))):
        with pytest.raises(LedgerError, match="deposits of another contract"):
            Ledger(path, other)
    noise = tmp_path / "noise"
    noise.write_bytes(b"noise" * 1000)
    with pytest.raises(LedgerError, match="noise: no deposits can be kept in it: file is not a database"):
        Ledger(noise, SOURCE)
    with sqlite3.connect(tmp_path / "foreign") as connection:
        connection.execute("CREATE TABLE anything (x)")
    with pytest.raises(LedgerError, match="tables of another program: anything"):
        Ledger(tmp_path / "foreign", SOURCE)
    with pytest.raises(LedgerError, match="unable to open"):
        Ledger(tmp_path / "nowhere" / "file", SOURCE)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="expected version 2, got 99"):
        Ledger(path, SOURCE)


def test_the_source_of_a_network() -> None:
    source = LedgerSource.of(MAINNET)
    assert (source.chain_id, source.first_block) == (1, MAINNET.deposit_contract_block)
    test_chain = on_test_chain(HOODI, deposit_contract=bytes(20), keeper=None)
    assert LedgerSource.of(test_chain) == LedgerSource(HOODI.chain_id, bytes(20), 0)
    assert not test_chain.has_validators_without_deposit


# --- the dump ---


def record(block: int, public_key: bytes) -> bytes:
    return block.to_bytes(4, "big") + public_key


def written(tmp_path: Path, content: bytes) -> Path:
    file = tmp_path / "dump"
    file.write_bytes(content)
    return file


def read(tmp_path: Path, content: bytes, network: Network = NETWORK) -> list[tuple[int, int, bytes]]:
    """Index, block and key of each validator, in the order of the indices."""
    dump = read_dump(written(tmp_path, content), network)
    rows = zip(dump.indices.tolist(), dump.blocks.tolist(), dump.public_keys, strict=True)
    return sorted((index, block, row.tobytes()) for index, block, row in rows)


def test_a_dump(tmp_path: Path, path: Path) -> None:
    validators = [(n, 5 + n // 10, key(n)) for n in range(200)]
    content = b"".join(record(block, public_key) for _, block, public_key in validators)
    assert read(tmp_path, content) == validators
    ledger = Ledger(path, SOURCE)
    ledger.begin_with(read_dump(tmp_path / "dump", NETWORK), 100)
    assert (ledger.seed, ledger.first_block, ledger.totals()) == (Seed(200, 100, None), 101, Totals(200))
    found = ledger.known([public_key for *_, public_key in validators])
    assert found == {public_key: Known(index, block) for index, block, public_key in validators}
    with pytest.raises(LedgerError, match="expected an empty file"):
        ledger.begin_with(read_dump(tmp_path / "dump", NETWORK), 100)
    ledger.learn(101, place(110), [(key(500), 105)], Totals(201, 1, 0, DepositsSoFar(77)))
    assert ledger.known([key(500)]) == {key(500): Known(200, 105)}
    ledger.rewind(None)  # the dump stays
    assert ledger.totals() == Totals(200)
    assert ledger.known([key(0), key(500)]) == {key(0): Known(0, 5)}
    ledger.close()
    assert Ledger(path, SOURCE).first_block == 101


def test_what_follows_a_dump(tmp_path: Path, path: Path) -> None:
    """The number of the first deposit after it, once that is proven."""
    written(tmp_path, record(5, key(1)))
    ledger = Ledger(path, SOURCE)
    ledger.begin_with(read_dump(tmp_path / "dump", NETWORK), 100)
    ledger.go_on_from(77)
    assert ledger.totals() == Totals(1, so_far=DepositsSoFar(77))
    ledger.learn(101, place(110), [(key(500), 105)], Totals(2, 1, 0, DepositsSoFar(78)))
    ledger.rewind(None)
    assert ledger.totals() == Totals(1, so_far=DepositsSoFar(77))


@pytest.mark.parametrize("with_dump", [True, False])
def test_a_file_of_version_1_forgets_what_brought_nothing(
    tmp_path: Path, path: Path, with_dump: bool
) -> None:
    """The node may have lacked logs there, which that version did not notice: it is read again."""
    ledger, first, count = Ledger(path, SOURCE), 10, 0
    if with_dump:
        written(tmp_path, record(5, key(1)))
        ledger.begin_with(read_dump(tmp_path / "dump", NETWORK), 100)
        first, count = 101, 1
    nothing_yet = Totals(count, so_far=None if with_dump else DepositsSoFar(0))
    some = Totals(count + 1, 1, 0, DepositsSoFar(78))
    ends = [first + 9, first + 19, first + 29, first + 39]
    for last, made, totals in zip(
        ends, [[], [(key(500), first + 15)], [], []], [nothing_yet, some, some, some], strict=True
    ):
        ledger.learn(last - 9, place(last), made, totals)
    ledger.close()
    make_version_1(path)
    ledger = Ledger(path, SOURCE)
    assert ledger.checkpoints() == [place(ends[1])]
    assert ledger.totals(before=ends[1] + 1) == some
    assert ledger.known([key(500)]) == {key(500): Known(count, first + 15)}


@pytest.mark.parametrize(("begins_with", "is_whole"), [(77, True), (79, False)])
def test_a_file_of_version_1_that_began_with_a_dump(
    tmp_path: Path, path: Path, begins_with: int, is_whole: bool
) -> None:
    """What was read into it may lack the deposits right after the dump."""
    written(tmp_path, record(5, key(1)))
    ledger = Ledger(path, SOURCE)
    ledger.begin_with(read_dump(tmp_path / "dump", NETWORK), 100)
    ledger.learn(101, place(110), [(key(500), 105)], Totals(2, 1, 0, DepositsSoFar(begins_with + 1)))
    ledger.close()
    make_version_1(path)
    ledger = Ledger(path, SOURCE)
    assert ledger.seed == Seed(1, 100, None)
    if is_whole:
        ledger.go_on_from(77)
        assert ledger.seed == Seed(1, 100, 77)
        return
    with pytest.raises(LedgerError, match="right after the dump are missing in it: their first one is 77"):
        ledger.go_on_from(77)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected records of 52 bytes, got 0 bytes in all"),
        (record(5, key(1)) + b"\x00", "expected records of 52 bytes, got 53 bytes in all"),
        (record(9, key(1)) + record(8, key(2)) + record(8, key(3)), "record 1 has a block before that of"),
        (record(9, key(1)) + record(101, key(2)), r"record 1 has a block outside 5\.\.100"),
        (record(4, key(1)), r"record 0 has a block outside 5\.\.100"),
        (record(5, key(1)) + record(6, bytes(48)), r"record 1 has no public key \(1 such records\)"),
        (record(5, b"\xc0" + bytes(47)), "record 0 has no public key"),
        (
            b"".join(record(5, key(n)) for n in (3, 1, 2, 1, 3)),
            r"record 3 has a public key that was there before \(2 such records\)",
        ),
        ((record(5, key(1)) + record(6, key(2)))[2:] + b"\x00\x00", "record"),
    ],
)
def test_a_damaged_dump(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(DumpError, match=f"dump: {problem}"):
        read(tmp_path, content)


def test_no_dump(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="cannot read it: No such file"):
        read_dump(tmp_path / "nothing", NETWORK)
