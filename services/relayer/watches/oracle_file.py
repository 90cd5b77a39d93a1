"""The oracle config from a file, which is read again when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dvtfast import DvtfastError
from dvtfast.protocol_config import read_oracle_config

from ...process import logs
from ...process.background import in_background, repeat
from ...web.tls import fingerprint
from ..judging.current_oracles import CurrentOracles
from ..judging.pipeline import Pipeline

LOOK_SECONDS = 10.0

log = logs.get("oracles")


class OracleFile:
    """Follows a file; one that cannot be used leaves the config before it in force."""

    def __init__(self, path: Path, oracles: CurrentOracles, pipeline: Pipeline) -> None:
        self._path = path
        self._oracles = oracles
        self._pipeline = pipeline
        self._seen = self._version()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look again and again inside the block."""
        async with in_background(repeat("oracle config", self.look, LOOK_SECONDS)):
            yield

    async def look(self) -> None:
        """Read the file if it changed."""
        seen = self._version()
        if seen == self._seen:
            return
        try:
            config = await asyncio.to_thread(read_oracle_config, self._path)
        except DvtfastError as error:
            log.warning("oracle config not usable, the one before stays", error=str(error))
            self._seen = seen
            return
        self._seen = seen
        if self._oracles.replace(config):
            log.info("oracle config changed", file=str(self._path))
            self._pipeline.wake()

    def _version(self) -> tuple[int, int, int] | None:
        return fingerprint(self._path)
