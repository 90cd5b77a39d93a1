"""What is wrong with a request, and the HTTP status that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .messages import Rejected


class WireError(ValueError):
    """A request that is not what its route takes; other kinds of it have another HTTP status.

    Attributes:
        status: of the answer.
        field: the path of the field that is wrong, such as `shares[3].public_key`; "" is the whole body.
        reason: what was wanted and what came.
        rejected: the items that are the reason, if it is some of a list.
    """

    status: ClassVar[int] = 422
    of: ClassVar[str] = "body"  # what is wrong when no field is

    def __init__(self, field: str, reason: str, rejected: Sequence[Rejected] = ()) -> None:
        super().__init__(f"{field or self.of}: {reason}")
        self.field = field
        self.reason = reason
        self.rejected = list(rejected)


class NotJsonError(WireError):
    """A body that is no JSON at all."""

    status = 400


class UnauthorizedError(WireError):
    """A request without a token, or with one that is worth nothing."""

    status = 401
    of = "request"


class ForbiddenError(WireError):
    """A request of somebody who may not do this."""

    status = 403
    of = "request"


class TooManyError(WireError):
    """More than somebody may have or send.

    Attributes:
        retry_after_seconds: when the same may be all right.
    """

    status = 429
    of = "request"

    def __init__(self, field: str, reason: str, *, retry_after_seconds: float = 1) -> None:
        super().__init__(field, reason)
        self.retry_after_seconds = retry_after_seconds
