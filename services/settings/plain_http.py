"""Secrets go over plain http to this machine only, unless that is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ..web.addresses import is_loopback
from . import parsing
from .sources import Settings

ALLOWED = "--allow-plain-http"


def in_the_clear(settings: Settings, *, with_tokens: str = "") -> list[str]:
    """A line for each address that would get a secret in the clear, over a network.

    Args:
        with_tokens: the field whose addresses get tokens of files.
    """
    if getattr(settings, "allow_plain_http", False):
        return []
    return [
        f"{name}: a {secret} would go to {parsing.host_of(url)} in the clear; use https, or {ALLOWED}"
        for name, url, secret in _secrets(settings, with_tokens)
        if urlsplit(url).scheme == "http" and not is_loopback(urlsplit(url).hostname or "")
    ]


def _secrets(settings: Settings, with_tokens: str) -> Iterator[tuple[str, str, str]]:
    """Each setting's name, with an address that gets a secret, and what that is."""
    for field, source in settings.sources().items():
        if source.parse is parsing.url and (value := getattr(settings, field)):
            for url in [value] if isinstance(value, str) else value:
                if parsing.has_password(url):
                    yield source.name, url, "password"
                elif field == with_tokens:
                    yield source.name, url, "token"
