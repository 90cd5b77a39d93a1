"""Services as processes of their own, with their log lines; none of them outlives the demo."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

import msgspec

PROGRAM = (sys.executable, "-m", "dvtfast.services")
LOOK_SECONDS = 0.02
STOP_SECONDS = 10.0
SHOWN_LINES = 15  # of the log of a process that died


class ProcessDiedError(Exception):
    """A process ended that should not have."""


class Service:
    """One process and the JSON lines that it logs.

    Attributes:
        name: of the service, and of its log file.
        log: the file.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], directory: Path, program: Sequence[str] = PROGRAM
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._before = self.log.stat().st_size if self.log.exists() else 0  # of one of the same name
        command = [*program, *arguments, "--log-format", "json"]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the demo alone, which then stops the others.
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                cwd=directory,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def process_id(self) -> int:
        """As the machine knows it."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once, as a power failure would."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.exit_code() is None:
            self._process.terminate()

    def wait_or_kill(self, seconds: float) -> None:
        """Wait for its end, and end it at once if that takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines logged so far with this event."""
        return [line for line in self.lines() if line.get("event") == name]

    def lines(self) -> list[dict[str, Any]]:
        """All lines logged so far."""
        return list(self._lines())

    def last_lines(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.log.read_bytes()[self._before :].splitlines():
            try:
                decoded = msgspec.json.decode(line)
            except msgspec.DecodeError:  # a traceback, or a line half written
                continue
            if isinstance(decoded, dict):
                yield decoded


class Services(AbstractContextManager["Services"]):
    """The processes of one demo; leaving the block stops all of them.

    Args:
        directory: where they run and log.
        timeout_seconds: for all waiting together.
    """

    def __init__(self, directory: Path, *, timeout_seconds: float) -> None:
        self._directory = directory
        self._deadline = monotonic() + timeout_seconds
        self._services: list[Service] = []

    def start(self, name: str, *arguments: str, program: Sequence[str] = PROGRAM) -> Service:
        """Run `dvtfast`, or what is in its place, with these arguments."""
        with _signals_held():  # what is started will be stopped
            service = Service(name, arguments, self._directory, program)
            self._services.append(service)
        return service

    def wait_for(self, service: Service, event: str) -> dict[str, Any]:
        """The first line of that event.

        Raises:
            ProcessDiedError: a service ended.
            TimeoutError: the time of the demo is over.
        """
        while not (found := service.events(event)):
            self.pause()
        return found[0]

    def wait_for_end(self, *services: Service) -> None:
        """Until all of them have ended well; nobody looks after them then.

        Raises:
            ProcessDiedError: a service ended that should not have, or one of them with an error.
            TimeoutError: the time of the demo is over.
        """
        while any(service.exit_code() is None for service in services):
            self.pause(may_end=[service for service in services if not service.exit_code()])
        self.pause(may_end=[service for service in services if not service.exit_code()])
        for service in services:
            self.forget(service)

    def pause(self, *, may_end: Sequence[Service] = ()) -> None:
        """Sleep a little, and look after the services.

        Raises:
            ProcessDiedError: a service ended that is not in `may_end`.
            TimeoutError: the time of the demo is over.
        """
        sleep(LOOK_SECONDS)
        for service in self._services:
            if service not in may_end and (code := service.exit_code()) is not None:
                raise ProcessDiedError(f"{service.name} ended with {code}:\n{service.last_lines()}")
        if monotonic() > self._deadline:
            raise TimeoutError("the demo took too long; see --timeout-seconds, and the logs in --workdir")

    def forget(self, service: Service) -> None:
        """Stop looking after a service, such as one that was killed."""
        self._services.remove(service)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self._services:
            service.terminate()
        for service in self._services:
            service.wait_or_kill(STOP_SECONDS)

    def __enter__(self) -> Self:
        return self


@contextmanager
def _signals_held() -> Iterator[None]:
    """A signal to stop that comes inside the block is handled at its end."""
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
