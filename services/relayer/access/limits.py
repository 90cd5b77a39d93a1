"""How much one caller may send, and how often: what it has under way, and a bucket that fills again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from ... import wire
from ...web.http import BODY_LIMIT_BYTES

BYTES_UNDER_WAY = 2 * BODY_LIMIT_BYTES  # of bodies of one caller
BYTES_PER_UNIT = 64 * 1024  # of a body; a request is one unit, and one for each of these
FULL_SECONDS = 10  # of its rate, a caller may have at once
CALLERS_KEPT = 10_000  # of each kind; who sends least is forgotten first, and begins anew


@dataclass(slots=True)
class _Bucket:
    left: float
    filled_at: float


class Rates:
    """Units a second for each caller, with ten seconds' worth at once.

    Args:
        per_second: None is without limit.
        at_once: where that is another number.
    """

    def __init__(self, per_second: float | None, *, at_once: float | None = None) -> None:
        self._per_second = per_second
        self._most = (per_second or 0) * FULL_SECONDS if at_once is None else at_once
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def seconds_until(self, name: str) -> float:
        """How long the caller has to wait until it may take anything; 0 when it may now."""
        if self._per_second is None:
            return 0
        bucket = self._filled(name)
        return max(0.0, (1 - bucket.left) / self._per_second)

    def take(self, name: str, units: float = 1) -> None:
        """Count what the caller does; it may go below nothing, which it then has to wait for."""
        if self._per_second is not None:
            self._filled(name).left -= units

    def _filled(self, name: str) -> _Bucket:
        assert self._per_second is not None
        now = monotonic()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(self._most, now)
            if len(self._buckets) > CALLERS_KEPT:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
            bucket.left = min(self._most, bucket.left + (now - bucket.filled_at) * self._per_second)
            bucket.filled_at = now
        return bucket


@dataclass(slots=True)
class _UnderWay:
    requests: int = 0
    bytes: int = 0


@dataclass
class UnderWay:
    """What each caller has under way.

    Attributes:
        most_requests: of one caller.
    """

    most_requests: int
    _of: dict[str, _UnderWay] = field(default_factory=dict)

    @contextmanager
    def counted(self, name: str, body_bytes: int) -> Iterator[None]:
        """Count a request inside the block.

        Raises:
            wire.TooManyError: the caller has too many.
        """
        mine = self._of.setdefault(name, _UnderWay())
        if mine.requests >= self.most_requests:
            raise wire.TooManyError("", f"at most {self.most_requests} of yours at the same time")
        if mine.requests and mine.bytes + body_bytes > BYTES_UNDER_WAY:
            raise wire.TooManyError("", f"at most {BYTES_UNDER_WAY} bytes of yours at the same time")
        mine.requests += 1
        mine.bytes += body_bytes
        try:
            yield
        finally:
            mine.requests -= 1
            mine.bytes -= body_bytes
            if not mine.requests:
                del self._of[name]


def units_of(body_bytes: int) -> int:
    """What a request with such a body counts for."""
    return 1 + body_bytes // BYTES_PER_UNIT
