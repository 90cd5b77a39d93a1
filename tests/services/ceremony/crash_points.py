"""One node's ceremony, in processes that end before each of their changes to the disk, or that it refuses.

The other nodes are what they have said: a host that hands it on at once, and takes whatever it is given. So
what happens in a process depends on nothing but the folder that it finds, and on who of the others is there.

Run as a program with a directory to work in, and `pairs` to end the second process everywhere, too. Whenever
a process has ended, what staging.py says must hold is looked for on the disk; it prints how much was seen.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from dvtfast import FileError
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from dvtfast.keystores import load_keystores
from dvtfast.obol import KEY_FILE, read_cluster_lock, write_cluster_definition, write_node_key
from dvtfast.services.ceremony.definition import ClusterAgreement, read_agreement
from dvtfast.services.ceremony.errors import CeremonyError, CeremonyFailedError, UnpublishedError
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.ceremony.protocol import AUTO, FROST, NATIVE, make_keys
from dvtfast.services.ceremony.running import driver, running
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.ceremony.running.mailbox import PROTOCOL
from dvtfast.services.ceremony.running.parts import IncomingPayload, OutgoingPayload
from dvtfast.services.ceremony.running.records_file import FOLDER, RecordsFile, kept_receipts
from dvtfast.services.ceremony.running.running import Participant, plan_of, terms_of
from dvtfast.services.ceremony.staging import ASIDE, CONFIRMED, MOVING, WRITTEN, Staging
from dvtfast.services.ceremony.storing import NodeStore
from tests.ceremonies import Node, secret_of

from .dealt import CHEAP, definition_of

NODE, COUNT = 3, 4
PLACES = (WRITTEN, CONFIRMED, MOVING)
DONE, REFUSED, DISK, FAILED, IN_DOUBT, UNPUBLISHED, STRANGE = 0, 1, 2, 4, 5, 6, 99
CHANGES = ("rename", "replace", "mkdir", "unlink", "remove", "rmdir", "ftruncate", "fsync", "sync")
WRITES = ("write", "pwrite")
Said = tuple[int, bytes]


class Template:
    """A definition, and what its nodes say of it; this one has said its LOCKSIG."""

    def __init__(self, work: Path, validators: int) -> None:
        keys = tuple(secret_of(position) for position in range(COUNT))
        file = work / f"definition-{validators}.json"
        write_cluster_definition(file, definition_of(keys, validators))
        self.agreement: ClusterAgreement = asyncio.run(read_agreement(str(file), verify=True))
        terms, plan = terms_of(self.agreement, 0), plan_of(self.agreement)
        nodes = [Node(terms, position, plan=plan) for position in range(COUNT)]
        nodes[NODE].stores = False
        self.said: list[Said] = []
        self._pass_on(nodes)
        self.records = list(nodes[NODE].disk)
        assert nodes[NODE].files is not None
        self.key_shares = np.array(nodes[NODE].files.keys.secret_shares)
        self.lock_hash = nodes[NODE].files.lock_hash
        nodes[NODE].tell("stored", sha256(b"files").digest())
        self._pass_on(nodes)
        assert all(node.finished for node in nodes)
        anew = Node(replace(terms, attempt=1), 0, plan=plan)
        self.anew = next((0, send.payload) for send in anew.inbox if send.to == NODE)

    @property
    def hash(self) -> bytes:
        return self.agreement.definition.definition_hash

    def _pass_on(self, nodes: Sequence[Node]) -> None:
        while any(node.inbox for node in nodes):
            for node in nodes:
                sends, node.inbox = node.inbox, []
                for send in sends:
                    if send.to == NODE:
                        self.said.append((node.position, send.payload))
                    nodes[send.to].tell("receive", node.position, send.payload)

    def without(self, *kinds: Kind) -> list[Said]:
        return [each for each in self.said if each[1][0] not in kinds]


class CannedHost:
    """Its peers say what is given, and have all that they are told."""

    def __init__(self, agreement: ClusterAgreement, said: Sequence[Said], told: Path) -> None:
        self._keys, self._said, self._told = agreement.node_keys, said, told
        seconds = math.inf if said else 0.0
        self.patience = Patience(seconds, seconds)
        self.public_key = agreement.node_keys[NODE]
        self._coming = {key: IncomingPayload(2**30) for key in self._keys}
        self._speaking: list[asyncio.Task[None]] = []

    def handle(self, protocol: str, function: Callable[[bytes, bytes], Any], *, terms: object) -> None:
        assert protocol == PROTOCOL
        self._speaking.append(asyncio.create_task(self._speak(function)))

    def forget(self, protocol: str) -> None:
        self._speaking.pop().cancel()

    async def _speak(self, function: Callable[[bytes, bytes], Any]) -> None:
        for sender, payload in self._said:
            outgoing = OutgoingPayload(payload)
            while not outgoing.is_there:
                outgoing.answered(await function(self._keys[sender], outgoing.part()))
        # All of it was worked on: who is missing now does not come any more.
        self.patience.join_seconds = self.patience.silence_seconds = 0.0

    async def request(self, peer: bytes, protocol: str, part: bytes, *, terms: object) -> bytes:
        answer, payload = self._coming[peer].take(part)
        if payload is not None and payload[:2] == bytes([Kind.DONE, NODE]):
            self._told.touch()
        return answer

    def states(self) -> list[object]:
        return []

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[asyncio.Event]:
        yield asyncio.Event()


class World:
    """A folder, and what was once seen of it."""

    def __init__(self, work: Path, template: Template, other: Template) -> None:
        self.template, self.other = template, other
        self.work = work
        self.folder = work / "node"

    def make(self) -> None:
        self.folder.mkdir(parents=True)
        write_node_key(self.folder / KEY_FILE, secret_of(NODE))
        for each in (self.template, self.other):
            records = RecordsFile.open(self.folder, each.hash)
            for record in each.records:
                records.append(record)
            records.close()

    def copy(self, work: Path) -> World:
        shutil.copytree(self.work, work)
        return World(work, self.template, self.other)

    def run(
        self,
        template: Template,
        said: Sequence[Said],
        *,
        protocol: str = NATIVE,
        at: int = 0,
        refuses: bool = False,
    ) -> tuple[int, bool]:
        """Its exit code, and whether it came to the place where it is killed, or the disk refuses."""
        child = os.fork()
        if not child:
            reached = _end_at(at, refuses=refuses) if at else [False]
            code = self._child(template, said, protocol)
            os._exit(code if not reached[0] else code + 100)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return -1, True
        code = os.waitstatus_to_exitcode(status)
        assert code % 100 != STRANGE, (self.work, at)
        return code % 100, code >= 100

    def _child(self, template: Template, said: Sequence[Said], protocol: str) -> int:
        canned = CannedHost(template.agreement, said, self.told(template))
        host: Any = canned  # what a ceremony uses of a `p2p.Host`
        ceremony = make_keys(
            template.agreement,
            Participant(self.folder, secret_of(NODE)),
            host,
            protocol=protocol,
            store=NodeStore(self.folder, CHEAP),
            patience=canned.patience,
            show=lambda phase: None,
        )
        try:
            asyncio.run(ceremony)
        except UnpublishedError:
            return UNPUBLISHED
        except CeremonyError:
            return REFUSED
        except CeremonyFailedError as error:
            return IN_DOUBT if error.is_unconfirmed else FAILED
        except (OSError, FileError):
            return DISK
        except BaseException:
            import traceback

            traceback.print_exc()
            return STRANGE
        return DONE

    def shape(self) -> str:
        """What tells this folder from others, but for what is random."""
        rows = sorted(
            f"{path.relative_to(self.folder)} {path.stat().st_size if path.is_file() else ''}"
            for path in self.folder.rglob("*")
        )
        return "\n".join([*rows, *(str(self.told(each).exists()) for each in (self.template, self.other))])

    def told(self, template: Template) -> Path:
        """Is there when others know that this node has all on its disk."""
        return self.work / f"told-{template.hash.hex()}"

    def asides(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if path.name.startswith(ASIDE)]

    def check(self, what: object) -> None:
        """What must hold of the disk, whatever has ended the process."""
        for each in (self.template, self.other):
            # What was whole once is so for ever, and may not be said before.
            was_whole = self.work / f"whole-{each.hash.hex()}"
            if was_whole.exists() or self.told(each).exists():
                assert self.has_key_shares(each), (what, self.shape())
            if self.has_key_shares(each):
                was_whole.touch()
            if self.told(each).exists() and not self.has_records(each) and not self.asides():
                assert len(kept_receipts(self.folder, each.hash)) == COUNT, (what, self.shape())

    def has_key_shares(self, template: Template) -> bool:
        """Whether they can be read where they are complete, with the lock beside them, or on its way."""
        for place in (".", *PLACES, *self.asides()):
            directory = self.folder / place
            locks = [
                path for path in (directory / LOCK_FILE, self.folder / MOVING / LOCK_FILE) if path.exists()
            ]
            if (directory / KEYSTORES).is_dir() and any(
                read_cluster_lock(path).lock_hash == template.lock_hash for path in locks
            ):
                loaded = load_keystores(directory / KEYSTORES, threads=1)
                if not loaded.problems and np.array_equal(loaded.secret_keys, template.key_shares):
                    return True
        return False

    def has_records(self, template: Template) -> bool:
        """Whether something of its first attempt is there."""
        files = (self.folder / FOLDER).glob(f"{template.hash.hex()[:16]}-0*")
        return any(path.stat().st_size for path in files)


def _end_at(step: int, *, refuses: bool) -> list[bool]:
    """Be killed before the n-th change to the disk, or in the middle of it; or the disk does not take it."""
    count, reached = 0, [False]

    def is_it() -> bool:
        nonlocal count
        count += 1
        reached[0] = reached[0] or count == step
        return count == step

    def wrapped(name: str) -> Callable[..., Any]:
        function = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if is_it():
                if refuses:
                    raise OSError(errno.ENOSPC if name in WRITES else errno.EIO, "as the test wants it")
                if name in WRITES:
                    function(arguments[0], arguments[1][: len(arguments[1]) // 2], *arguments[2:])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        flags = arguments[2] if event == "open" else 0
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and is_it():
            if refuses:
                raise OSError(errno.ENOSPC, "as the test wants it")
            os.kill(os.getpid(), signal.SIGKILL)

    for name in (*CHANGES, *WRITES):
        setattr(os, name, wrapped(name))
    sys.addaudithook(hear)
    return reached


def restarts(world: World) -> dict[str, tuple[Template, list[Said], str, Collection[int]]]:
    """What may be started next; and how it may end."""
    mine, other = world.template, world.other
    dones = (Kind.DONE, Kind.CLOSE)
    over = [mine.anew, *mine.without(*dones)]
    return {
        "with all": (mine, mine.said, NATIVE, {DONE, FAILED, REFUSED}),
        "in doubt": (mine, mine.without(*dones), NATIVE, {DONE, IN_DOUBT, FAILED, REFUSED}),
        "alone": (mine, [], NATIVE, {DONE, IN_DOUBT, FAILED, REFUSED}),
        "others anew": (mine, over, AUTO, {DONE, IN_DOUBT, FAILED, REFUSED}),
        "another": (other, other.said, NATIVE, {DONE, FAILED, REFUSED}),
        "by hand": (mine, [], FROST, {DONE, FAILED, REFUSED}),
    }


def main(work: Path, *, pairs: bool) -> None:
    """Every end of a first process, then every start after each of them, then one with all."""
    os.sync = os.fsync = lambda *file: None  # a process that is killed loses nothing that it has written
    driver.CLOSE_SECONDS = running.CLOSE_SECONDS = 0.05
    driver.FIRST_REMINDER_SECONDS = driver.LONGEST_REMINDER_SECONDS = driver.LEAST_REMINDER_SECONDS = 0.005
    driver.FLUSH_SECONDS = driver.JOIN_FLUSH_SECONDS = 0.5
    template, other = Template(work, 1), Template(work, 2)
    begin = World(work / "begin", template, other)
    begin.make()
    seen: dict[str, World] = {}
    ends: Counter[tuple[str, int]] = Counter()
    for refuses in (False, True):
        _ends_of(begin, template, template.said, NATIVE, seen, refuses=refuses)
    firsts = list(seen.values())
    for first in firsts:
        for name, (which, said, protocol, may) in restarts(first).items():
            second = first.copy(work / f"{first.work.name}-{name}")
            code, _ = second.run(which, said, protocol=protocol)
            assert code in may, (first.work, name, code)
            ends[name, code] += 1
            second.check((first.work, name))
            if pairs:
                _ends_of(first, which, said, protocol, seen, name=name)
            _must_end_well(second, (first.work, name))
    for world in list(seen.values())[len(firsts) :]:
        _must_end_well(world, world.work)
    print("end", len(firsts), len(seen))
    for (name, code), count in sorted(ends.items()):
        print("end", name.replace(" ", "-"), code, count)


def _ends_of(
    begin: World,
    template: Template,
    said: list[Said],
    protocol: str,
    seen: dict[str, World],
    *,
    refuses: bool = False,
    name: str = "first",
) -> None:
    """Each folder that a process can leave that ends at one of its steps, once."""
    for step in range(1, 1000):
        world = begin.copy(begin.work.with_name(f"{begin.work.name}-{name}-{step}-{refuses}"))
        _, was_reached = world.run(template, said, protocol=protocol, at=step, refuses=refuses)
        world.check(world.work)
        if seen.setdefault(world.shape(), world) is not world:
            shutil.rmtree(world.work)
        if not was_reached:
            return
    raise AssertionError("it never ends")


def _must_end_well(world: World, what: object) -> None:
    """With all there it comes to its end, unless it was over, or has another's result in its place."""
    mine = world.template
    codes = [world.run(mine, mine.said)[0] for _ in range(2)]
    world.check(what)
    lock = world.folder / LOCK_FILE
    is_over = bool(world.asides()) or (world.folder / FOLDER / f"{mine.hash.hex()[:16]}-1").exists()
    if DONE not in codes and not is_over:
        assert lock.exists(), (what, codes, world.shape())
    Staging(world.folder).settle()


if __name__ == "__main__":
    main(Path(sys.argv[1]), pairs=sys.argv[2:] == ["pairs"])
