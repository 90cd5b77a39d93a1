"""`dvtfast demo`: where it works, how it is stopped, and what it says in the end."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console

from dvtfast import DvtfastError

from .. import wire
from ..files import paths
from ..settings import DemoSettings
from ..web.outgoing import without_proxies
from .processes import ProcessDiedError
from .proof import ProofError
from .steps import DemoError, Steps
from .summary import Shown

STOPPED_BY_SIGNAL = 130
FAILURES = (
    DemoError, ProcessDiedError, ProofError, DvtfastError, wire.WireError, TimeoutError, OSError,
)  # fmt: skip


class DemoStoppedError(Exception):
    """Somebody wants the demo to end."""


def run(settings: DemoSettings) -> int:
    """Run the demo; 0 when its result is proven."""
    console = Console(stderr=settings.json, highlight=False)
    try:
        # All of it is on this machine, whose proxies are for what is elsewhere.
        with _directory(settings.workdir) as directory, _stopped_by_signals(), without_proxies():
            summary = _run(settings, directory, Steps(console))
    except DemoStoppedError:
        console.print("stopped")
        return STOPPED_BY_SIGNAL
    except FAILURES as error:
        console.print(f"the demo failed: {paths.told(error)}", style="red", markup=False, soft_wrap=True)
        return 1
    if settings.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(summary.to_json())).decode() + "\n")
    else:
        summary.show(console)
    return 0


def _run(settings: DemoSettings, directory: Path, steps: Steps) -> Shown:
    """One form of the demo; those with a chain have extras of their own."""
    if settings.duties:
        from .on_duty import demo

        return demo.run(replace(settings, dkg=True), directory, steps)
    if settings.chain:
        from . import on_chain

        return on_chain.run(settings, directory, steps)
    from .app import Demo

    return Demo(settings, directory, steps).run()


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory(prefix="dvtfast-demo-") as temporary:
            yield Path(temporary)
        return
    try:
        directory = given.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        is_empty = paths.is_empty(directory)
    except FileExistsError:
        raise DemoError(f"--workdir: {paths.no_directory(given)}") from None
    except RuntimeError:  # before Python 3.13
        raise DemoError(f"--workdir: {given}: its symbolic links lead nowhere") from None
    except OSError as error:
        raise DemoError(f"--workdir: {paths.told(error)}") from None
    if not is_empty:
        raise DemoError(f"--workdir: {directory} is not empty")
    yield directory


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # the services are being stopped, which ends soon
        raise DemoStoppedError

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
