"""Key shares of a node in a remote signer: many requests at once, answers verified in one batch.

One key that fails costs that key. Keys that had no answer last time are hardly waited for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Final

import numpy as np
import tenacity
from numpy.typing import NDArray

from dvtfast import check_signatures
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.presets import MAINNET_PRESET, Preset

from ... import wire
from ...keys.remote_signer import Failure, NoAnswerError, RemoteSignerClient
from ...process import logs
from ...process.background import start_task
from ...process.offload import UnavailableError, Workers
from ..exchange import ClusterMembers
from ..partial_signatures import Bytes, Positions, hashed_once
from .keys import Made, ToSign
from .remote_requests import request_of

PARALLEL_REQUESTS: Final = 64
SHOWN_PROBLEMS: Final = 10
GRACE_SECONDS: Final = 0.2  # for keys that had no answer last time, once the others have theirs
NO_ANSWER: Final = Failure("it did not answer in time")
WRONG: Final = "its signature is wrong"
# Whoever is away may be back at once; whoever is silent costs time that a duty does not have.
RETRYING: Final = tenacity.AsyncRetrying(
    retry=tenacity.retry_if_exception_type(UnavailableError)
    & tenacity.retry_if_not_exception_type(NoAnswerError),
    wait=tenacity.wait_fixed(0.1),
    stop=tenacity.stop_after_attempt(2),
    reraise=True,
)

log = logs.get("remote-signer")


class KeySharesElsewhere:
    """Key shares in a remote signer.

    Args:
        keys: which public key shares it has, as `remote_keys` tells; others are ignored.
        workers: for the verification.
        timeout_seconds: of a request; a whole set has twice that.
        threads: for one set.
    """

    def __init__(
        self,
        address: str,
        keys: Sequence[bytes],
        cluster: ClusterMembers,
        workers: Workers,
        schedule: ForkSchedule,
        *,
        timeout_seconds: float,
        preset: Preset = MAINNET_PRESET,
        threads: int | None = None,
    ) -> None:
        self._own = cluster.keys.key_shares[:, cluster.position]
        self._names = [wire.PublicKey(row.tobytes()) for row in self._own.encoded]
        offered = set(map(bytes, keys))
        self.has: NDArray[np.bool_] = np.array([name in offered for name in self._names], np.bool_)
        self._workers, self._schedule, self._preset = workers, schedule, preset
        self._timeout, self._threads = timeout_seconds, threads
        self._client = RemoteSignerClient(
            address, timeout_seconds=timeout_seconds, connections=PARALLEL_REQUESTS
        )
        self._free = asyncio.Semaphore(PARALLEL_REQUESTS)
        self._silent: set[int] = set()  # positions of keys that had no answer last time
        self._told: set[str] = set()

    async def sign(self, what: ToSign) -> Made:
        """Sign what the signer signs in time."""
        bodies = await self._workers.run(self._bodies, what)
        answers = await self._answers(what.validators.tolist(), bodies)
        problems = [answer.reason if isinstance(answer, Failure) else "" for answer in answers]
        joined = b"".join(bytes(SIGNATURE_BYTES) if isinstance(a, Failure) else a for a in answers)
        signatures = np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_BYTES)
        rows = np.array([row for row, problem in enumerate(problems) if not problem], np.intp)
        good = await self._workers.run(
            self._check, what.validators[rows], what.signing_roots[rows], signatures[rows]
        )
        for row in rows[~good].tolist():
            problems[row] = WRONG
        self._tell(problems)
        return Made(signatures, [f"remote signer: {problem}" if problem else "" for problem in problems])

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    def _bodies(self, what: ToSign) -> list[bytes]:
        """A root says all of a message, so what has one root has one body."""
        bodies: dict[bytes, bytes] = {}
        roots = [row.tobytes() for row in what.signing_roots]
        for root, value in zip(roots, what.values, strict=True):
            if root not in bodies:
                bodies[root] = request_of(what.duty, value, root, self._schedule, self._preset)
        return [bodies[root] for root in roots]

    async def _answers(self, validators: Sequence[int], bodies: Sequence[bytes]) -> list[bytes | Failure]:
        """In order; keys that were silent last time come last, and while any of them answers."""
        end = monotonic() + 2 * self._timeout
        rows = sorted(range(len(bodies)), key=lambda row: validators[row] in self._silent)
        tasks = {row: start_task(self._answer(validators[row], bodies[row])) for row in rows}
        silent = {task for row, task in tasks.items() if validators[row] in self._silent}
        try:
            if others := set(tasks.values()) - silent:
                await asyncio.wait(others, timeout=2 * self._timeout)
            while silent and monotonic() < end:
                done, silent = await asyncio.wait(silent, timeout=GRACE_SECONDS)
                if others and not done:
                    break
            return [tasks[row].result() if tasks[row].done() else NO_ANSWER for row in range(len(bodies))]
        finally:
            for task in tasks.values():
                task.cancel()

    async def _answer(self, validator: int, body: bytes) -> bytes | Failure:
        async with self._free:
            try:
                answer: bytes | Failure = await RETRYING(self._client.sign, self._names[validator], body)
            except NoAnswerError:
                self._silent.add(validator)
                return NO_ANSWER
            except asyncio.CancelledError:
                self._silent.add(validator)
                raise
            except UnavailableError as error:
                answer = Failure(str(error))
        self._silent.discard(validator)
        return answer

    def _check(self, validators: Positions, roots: Bytes, signatures: Bytes) -> NDArray[np.bool_]:
        return check_signatures(
            self._own[validators],
            hashed_once(roots, threads=self._threads),
            signatures,
            threads=self._threads,
        )

    def _tell(self, problems: Sequence[str]) -> None:
        """Log each problem when it comes up, and again when it comes back."""
        counts = Counter(filter(None, problems))
        for problem, count in counts.most_common(SHOWN_PROBLEMS):
            if problem not in self._told:
                log.warning("the remote signer does not sign", count=count, reason=problem)
        self._told = set(counts)
