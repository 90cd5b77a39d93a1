"""A real EVM node on loopback, and what tests do to its chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from dvtfast.services.demo.world import chain
from dvtfast.services.demo.world.anvil import CHAIN_ID
from dvtfast.services.demo.world.chain import Contract

__all__ = ["CHAIN_ID", "Chain", "Contract"]


class Chain(chain.Chain):
    """The chain of a running anvil; whoever changes it reverts it."""

    def __init__(self, url: str, session: aiohttp.ClientSession, bytecodes: Mapping[str, bytes]) -> None:
        super().__init__(url, session)
        self._bytecodes = bytecodes

    async def deploy(self, code: bytes | str, *arguments: Any) -> Contract:
        """Also one of the tests' own contracts, by its name."""
        return await super().deploy(self._bytecodes[code] if isinstance(code, str) else code, *arguments)
