"""Pages for people: nothing in them comes from elsewhere, and nothing elsewhere may show them."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b
from pathlib import Path
from string import Template
from types import MappingProxyType

from aiohttp import web

from .openapi import HTML

HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
        " connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",  # ask whether it changed
    }
)
ETAG_BYTES = 18
COMMON = Path(__file__).parent / "static"
COMMON_TYPES = MappingProxyType({"css": "text/css", "js": "text/javascript"})


class Page:
    """A file that is the same for everybody."""

    def __init__(self, text: str, content_type: str) -> None:
        self._body = text.encode()
        self._content_type = content_type
        self._etag = urlsafe_b64encode(blake2b(self._body, digest_size=ETAG_BYTES).digest()).decode()

    async def get(self, request: web.Request) -> web.Response:
        """The answer to a request for it."""
        if any(tag.value in (self._etag, "*") for tag in request.if_none_match or ()):
            response = web.Response(status=304)
        else:
            response = web.Response(body=self._body, content_type=self._content_type, charset="utf-8")
        response.headers.update(HEADERS)
        response.headers["ETag"] = f'"{self._etag}"'
        return response


def add_status_page(app: web.Application, directory: Path, name: str) -> None:
    """Serve status.html as /, its style and its script, which begin with what all status pages share.

    Args:
        name: of the service, as the page says it.
    """
    head = Template((COMMON / "head.html").read_text()).substitute(name=name)
    app.router.add_get("/", Page(head + (directory / "status.html").read_text(), HTML).get)
    for kind, content_type in COMMON_TYPES.items():
        files = (COMMON / f"page.{kind}", directory / f"status.{kind}")
        text = "\n".join(file.read_text() for file in files)
        app.router.add_get(f"/status.{kind}", Page(text, content_type).get)
