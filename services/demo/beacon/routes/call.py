"""A request to a node, read, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ....chain.encoding import read_data
from ..encoding import from_json, from_ssz
from ..judging.ledger import Origin
from ..specification import FORK

JSON: Final = "application/json"
SSZ: Final = "application/octet-stream"
VERSION_HEADER: Final = "Eth-Consensus-Version"
DIGITS: Final = 20  # of 2^64


class ApiError(Exception):
    """What a node answers instead; `failures` are by their places in a list that was sent."""

    def __init__(self, status: int, message: str, failures: Sequence[tuple[int, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.failures = failures


@dataclass(frozen=True)
class ApiReply:
    """An answer: what its JSON is made from, or SSZ."""

    content: Any = None
    ssz: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ApiCall:
    """A request."""

    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    body: bytes
    headers: Mapping[str, str]
    sender: Origin

    @property
    def wants_ssz(self) -> bool:
        """Whether that is what it would rather have."""
        accept = self.headers.get("Accept", "")
        return SSZ in accept and (JSON not in accept or accept.index(SSZ) < accept.index(JSON))

    def number(self, name: str) -> int:
        """An integer of the path or the query.

        Raises:
            ApiError: there is none.
        """
        return whole(self.path.get(name) or self.text(name), name)

    def text(self, name: str) -> str:
        """A value of the query.

        Raises:
            ApiError: there is none.
        """
        if not (values := self.query.get(name)):
            raise ApiError(400, f"{name}: expected one, got none")
        return values[0]

    def data(self, name: str, width: int) -> bytes:
        """Bytes of the query.

        Raises:
            ApiError: there are none.
        """
        try:
            return read_data(self.text(name), width=width)
        except ValueError as error:
            raise ApiError(400, f"{name}: {error}") from None

    def json(self) -> Any:
        """The body.

        Raises:
            ApiError: it is none.
        """
        if not self.headers.get("Content-Type", JSON).startswith(JSON):
            raise ApiError(415, f"Content-Type: expected {JSON}")
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ApiError(400, f"body: {error}") from None

    def indices(self) -> list[int]:
        """The validators in the body, a list.

        Raises:
            ApiError: it is none.
        """
        body = self.json()
        if not isinstance(body, list):
            raise ApiError(400, "body: expected a list")
        return [whole(str(each), "body") for each in body]

    def objects(self, kind: Any) -> list[Any]:
        """The objects of a type of the specification in the body, a list.

        Raises:
            ApiError: naming those that are none.
        """
        body, found, failures = self.json(), [], []
        if not isinstance(body, list):
            raise ApiError(400, "body: expected a list")
        for place, each in enumerate(body):
            try:
                found.append(from_json(kind, each))
            except ValueError as error:
                failures.append((place, str(error)))
        if failures:
            raise ApiError(400, "some could not be read", failures)
        return found

    def object(self, kind: Any) -> Any:
        """The object of a type of the specification in the body, JSON or SSZ.

        Raises:
            ApiError: it is none.
        """
        try:
            if self.headers.get("Content-Type", JSON).startswith(SSZ):
                return from_ssz(kind, self.body)
            return from_json(kind, self.json())
        except ValueError as error:
            raise ApiError(400, str(error)) from None

    def require_version(self) -> None:
        """That what is sent is of the fork of this chain.

        Raises:
            ApiError: it is not.
        """
        if self.headers.get(VERSION_HEADER, "").lower() != FORK:
            raise ApiError(400, f"{VERSION_HEADER}: expected {FORK}")


def whole(text: str, name: str) -> int:
    """A decimal integer.

    Raises:
        ApiError: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise ApiError(400, f"{name}: expected a whole number")
    return int(text)
