"""A headless Chromium: the one that the machine has, or else what `make test` brings from npm."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright, expect

from .patience import PATIENCE_SECONDS

MADE = Path(__file__).parents[2] / "build" / "browser"
NAMES = ("chromium", "chromium-browser", "google-chrome")

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


def axe() -> str:
    """The script of axe-core, which looks at accessibility."""
    script = MADE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip(f"no axe-core in {MADE}; `make test` brings it")
    return script.read_text()


def _chromium() -> tuple[str, dict[str, Any]]:
    """Its path, and what it needs around it."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found, {}
    brought = MADE / "chromium"
    if not (brought / "chromium").exists():
        pytest.skip(f"no chromium on the PATH nor in {brought}; `make test` brings it")
    around = {"LD_LIBRARY_PATH": str(brought / "lib"), "FONTCONFIG_PATH": str(brought)}
    return str(brought / "chromium"), dict(os.environ) | around


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A browser for the block."""
    path, environment = _chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            env=environment or None,
            chromium_sandbox=False,  # which needs rights that a container may lack; it only sees our page
            args=["--headless=new"] if not environment else [],
        )
        try:
            yield browser
        finally:
            await browser.close()
