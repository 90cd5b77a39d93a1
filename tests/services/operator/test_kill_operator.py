"""kill -9 of the operator at any moment: in the end each validator is registered, once.

`DVTFAST_KILLS=20` makes it the longer one that issue 6 asks for.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from dvtfast.services.demo.on_chain import ChainDemo
from dvtfast.services.demo.processes import Service
from dvtfast.services.demo.world.deployed_contracts import ETH

from .. import rounds

KILLS = int(os.environ.get("DVTFAST_KILLS", "5"))
EACH_LIFE = 2  # validators that the vault gets the ETH for
SILENT_SECONDS = 10.0  # after which one is killed that has not even begun
LONGEST_LIFE_SECONDS = 5.0  # from the operator's first words; a batch takes about as long
SECONDS = rounds.ROUND_SECONDS + 20 * KILLS

pytestmark = [pytest.mark.timeout(SECONDS + 60), pytest.mark.thorough]


class Lives:
    """The operator's lives, each with ETH for more validators."""

    def __init__(self, demo: ChainDemo) -> None:
        self.demo = demo
        self.killed_after: Counter[str] = Counter()
        self._random = Random()
        self._paid = 0
        self._life = 0

    def spend(self, kills: int, options: list[str]) -> None:
        """Kill so many, then let one live until all is registered."""
        for _ in range(kills):
            self._pay()
            self._kill(options)
        last = self._start(options)
        while self.registered() < self._paid:
            self.demo.services.pause()
        self.demo.stop_operator(last)

    def registered(self) -> int:
        return sum(len(entry.action.public_keys) for entry in self.demo.registered())

    def _pay(self) -> None:
        self.demo.loop.run(self.demo.world.stake(EACH_LIFE * 32 * ETH))
        self._paid += EACH_LIFE

    def _start(self, options: list[str]) -> Service:
        self._life += 1
        return self.demo.start_operator(f"operator{self._life}", options)

    def _kill(self, options: list[str]) -> None:
        operator = self._start(options)
        self._wait(SILENT_SECONDS, until_it_speaks=operator)
        self._wait(LONGEST_LIFE_SECONDS * self._random.random() ** 2)  # most is done at the beginning
        assert operator.exit_code() is None, operator.last_lines()
        self.demo.services.forget(operator)
        operator.kill()
        said = [str(line.get("event")) for line in operator.lines()]
        self.killed_after[said[-1] if said else "nothing"] += 1

    def _wait(self, seconds: float, *, until_it_speaks: Service | None = None) -> None:
        end = monotonic() + seconds
        while monotonic() < end and not (until_it_speaks and until_it_speaks.lines()):
            self.demo.services.pause()


def test_each_is_registered_once(tmp_path: Path) -> None:
    """By deposit data, then by the manager; the proof counts the deposits of each validator."""
    settings = rounds.settings_of(
        KILLS * EACH_LIFE // 2,  # each way, so that none is left
        chain="true", nodes="3", threshold="2", oracles="3", oracle_threshold="2",
        timeout_seconds=str(SECONDS),
    )  # fmt: skip
    with ChainDemo(settings, tmp_path, rounds.silent_steps()) as demo:
        demo.start()
        lives = Lives(demo)
        lives.spend(KILLS - KILLS // 2, demo.use_deposit_data())
        lives.spend(KILLS // 2, demo.use_manager())
        deposits, proof = demo.prove()
        entries = demo.actions()
        sent = demo.loop.run(demo.transactions_sent())
    validators = KILLS * EACH_LIFE
    assert deposits == validators + 4  # other people's
    assert proof.shares == validators * 3
    assert all(entry.conclusion is not None for entry in entries)
    assert sent == sum(bool(entry.transactions) for entry in entries)
    print(
        f"{KILLS} kills, {validators} validators, {len(entries)} actions; killed after {lives.killed_after}"
    )
