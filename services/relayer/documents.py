"""The relayer's description of itself: `/openapi.json`, and `/docs` for people."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web

from ..web import http
from ..web.api_page import page
from ..web.openapi import HTML
from ..web.pages import Page
from .api import openapi

PAGES = Path(__file__).parent / "pages"
STYLE = "docs.css"


def add_documents(app: web.Application) -> None:
    """Serve both."""
    document = openapi()
    encoded = msgspec.json.encode(document)

    async def get_openapi(_: web.Request) -> web.Response:
        return http.json_answer(encoded)

    app.router.add_get("/openapi.json", get_openapi)
    app.router.add_get("/docs", Page(page(document, STYLE), HTML).get)
    app.router.add_get(f"/{STYLE}", Page((PAGES / STYLE).read_text(), "text/css").get)
