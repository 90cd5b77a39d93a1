"""Ceremonies of dvtfast-dkg/1 in memory: nodes with a disk, and a network that can lose things."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import sha256

import numpy as np

from dvtfast.dkg.dvtfast_dkg.identity import Identity
from dvtfast.dkg.dvtfast_dkg.machine import Machine
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.dvtfast_dkg.work import ToStore
from dvtfast.dkg.outputs import Aborted, Finished, Phase, Record, Send

# The first goes to who is silent alone, and what is asked of others for others takes its time.
REMINDERS_BEFORE_THE_END = 8

# Of what a tamperer gives back: payloads to send instead.
Tamper = Callable[[int, str, bytes], list[bytes]]


def secret_of(position: int) -> bytes:
    return sha256(b"operator %d" % position).digest()


@cache
def operators_of(count: int) -> tuple[bytes, ...]:
    return tuple(Identity(secret_of(position)).public_key for position in range(count))


def make_terms(count=4, threshold=3, validators=2, kinds=1, attempt=0) -> Terms:
    definition = sha256(b"a definition").digest()
    return Terms(definition, operators_of(count), threshold, validators, kinds, b"options", attempt)


class SamplePlan:
    """What is signed is a hash of key and place."""

    def __init__(self, kinds=1, lock=b"lock"):
        self.kinds, self.lock = kinds, lock

    def signing_roots(self, public_keys, validators):
        digests = [
            sha256(b"%d %d " % (kind, validator) + key.tobytes()).digest()
            for kind in range(self.kinds)
            for validator, key in zip(validators, public_keys, strict=True)
        ]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(self.kinds, len(public_keys), 32)

    def lock_hash(self, public_keys, public_shares, signatures):
        parts = (self.lock, public_keys.tobytes(), public_shares.tobytes(), signatures.tobytes())
        return sha256(b"".join(parts)).digest()


class Node:
    """One operator: a machine, its disk, and what it was told."""

    def __init__(self, terms, position, *, plan=None, cheat=None, trouble=""):
        self.terms, self.position, self.cheat = terms, position, cheat
        self.plan = plan or SamplePlan(terms.kinds)
        self.disk: list[bytes] = []
        self.files: ToStore | None = None
        self.stores = True
        self.finished = False
        self.aborts: list[Aborted] = []
        self.phase = Phase("")
        self.inbox: list[Send] = []
        self.sent: dict[tuple[int, str], set[bytes]] = {}
        self.machine = self._machine(trouble)
        self._do(self.machine.start())

    def _machine(self, trouble=""):
        machine = Machine(
            self.terms,
            secret_of(self.position),
            self.plan,
            trouble=trouble,
            seal=getattr(self.plan, "seal", None),
            records=tuple(self.disk),
        )
        if self.cheat is not None:
            self.cheat(machine)
        return machine

    def restart(self):
        """What was in memory is gone, and what was not sent yet."""
        self.inbox.clear()
        self.machine = self._machine()
        self._do(self.machine.start())

    def tell(self, event, *arguments):
        self._do(getattr(self.machine, event)(*arguments))

    def _do(self, outputs):
        for output in outputs:
            match output:
                case Record():
                    self.disk.append(output.content)
                case Send():
                    output = replace(output, payload=bytes(output.payload))
                    self.inbox.append(output)
                    self.sent.setdefault((output.to, output.kind), set()).add(output.payload)
                case Phase():
                    self.phase = output
                case Aborted():
                    self.aborts.append(output)
                case Finished():
                    self.finished = True
                case ToStore():
                    self.files = output
        if self.phase.name == "store" and self.stores and not self.aborts:
            self.phase = Phase("")
            self.tell("stored", sha256(b"files").digest())

    @property
    def is_lost(self):
        """Whether nothing can come of it any more."""
        return any(not each.unconfirmed for each in self.aborts)

    @property
    def culprits(self):
        return {each.culprit for each in self.aborts}


class Network:
    """Nodes, and what is on the way between them."""

    def __init__(self, terms, *, cheats=None, plans=None, troubles=None, tampers=None):
        self.terms = terms
        self.tampers: dict[int, Tamper] = tampers or {}
        self.cheaters = {*(cheats or {}), *self.tampers}
        self.nodes = [
            Node(
                terms,
                position,
                plan=(plans or {}).get(position),
                cheat=(cheats or {}).get(position),
                trouble=(troubles or {}).get(position, ""),
            )
            for position in range(terms.count)
        ]
        self.way: deque[tuple[int, int, bytes]] = deque()

    @property
    def honest(self):
        return [node for node in self.nodes if node.position not in self.cheaters]

    def collect(self):
        """Put what the nodes send on its way."""
        for node in self.nodes:
            for send in node.inbox:
                payloads = [send.payload]
                if node.position in self.tampers:
                    payloads = self.tampers[node.position](send.to, send.kind, send.payload)
                self.way.extend((node.position, send.to, payload) for payload in payloads)
            node.inbox.clear()

    def deliver(self, place=0):
        """The message at this place of those on the way arrives."""
        self.way.rotate(-place)
        sender, to, payload = self.way.popleft()
        self.way.rotate(place)
        self.nodes[to].tell("receive", sender, payload)
        self.collect()

    def run(self):
        """Until nothing is on the way any more."""
        self.collect()
        while self.way:
            self.deliver()

    def run_to_the_end(self):
        """With reminders where nothing goes on, and with giving up where these do not help."""
        self.run()
        in_vain = 0
        while in_vain < REMINDERS_BEFORE_THE_END:
            waiting = [node for node in self.honest if node.phase.name != "closed" and not node.is_lost]
            if not waiting:
                break
            before = [node.phase for node in self.nodes]
            for node in waiting:
                node.tell("remind")
            self.run()
            in_vain = in_vain + 1 if before == [node.phase for node in self.nodes] else 0
        for node in self.honest:
            if not node.finished and not node.aborts:
                node.tell("give_up")
        self.run()
