"""Exits that a validator client sends: its operator's wish, as `dvtfast exit sign` is."""

from __future__ import annotations

from aiohttp import web

from dvtfast.duties.codecs import codec
from dvtfast.duties.validator_messages import SignedVoluntaryExit

from ...process.offload import Workers
from ..exits.exits import Exits
from ..exits.store import ExitStoreError
from ..parts import Signer
from .errors import RequestError
from .requests import one


class Leaving:
    """The route of exits.

    Args:
        exits: of the node, where they are kept.
        record: puts on record what the client signed.
        workers: for reading it.
    """

    def __init__(self, exits: Exits | None, record: Signer, workers: Workers) -> None:
        self._exits, self._record, self._workers = exits, record, workers

    async def exit(self, request: web.Request) -> web.Response:
        """An exit with a partial signature; it is sent when the cluster has signed it."""
        if self._exits is None:
            raise RequestError(400, "exits are not taken from validator clients")
        signed = await one(request, codec(SignedVoluntaryExit), self._workers)
        try:
            why = await self._exits.submit(signed, self._record)
        except ExitStoreError as error:
            raise RequestError(503, str(error)) from None
        if why:
            raise RequestError(400, f"validator {signed.message.validator_index}: {why}")
        return web.Response()
