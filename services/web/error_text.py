"""What a server says when it refuses, in one line: JSON, HTML or text."""

from __future__ import annotations

import re
from typing import Any

import msgspec

READ_BYTES = 2048
SAID_CHARACTERS = 200
TAGS = re.compile(r"<[^<>]*>")
SAYING = ("message", "error", "detail", "reason", "title")  # members in which APIs put words


def said(content: bytes) -> str:
    """The words of a refusal's body, bounded and printable; "" when it has none."""
    if len(content) <= READ_BYTES:
        try:
            if words := _words(msgspec.json.decode(content)):
                return _line(words)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    text = content[:READ_BYTES].decode(errors="replace")
    return _line(TAGS.sub(" ", text)) or _line(text)


def with_words(what: str, content: bytes) -> str:
    """What is wrong, and what the body says of it."""
    return f"{what}: {words}" if (words := said(content)) else what


def kind_of(content: bytes) -> str:
    """What a body is that should have been another program's: so that a wrong address shows."""
    start = content[:READ_BYTES].lstrip()
    if not start:
        return "an empty answer"
    if start.startswith(b"<"):
        return "a web page"
    if len(content) > READ_BYTES:  # which would be far more memory as objects
        return "other JSON" if start[:1] in b"{[" else "text"
    try:
        answer = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "text"
    if isinstance(answer, dict) and "jsonrpc" in answer:
        return "the answer of an execution node"
    return "other JSON"


def _words(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, dict):
        for name in SAYING:
            if words := _words(answer.get(name)):
                return words
    return ""


def _line(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:SAID_CHARACTERS]
