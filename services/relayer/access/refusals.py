"""The audit lines of refused requests: who, what, why; some at once, the others as a number."""

from __future__ import annotations

from time import monotonic

from ...process import logs

LINES = 10  # at most, in each period
PERIOD_SECONDS = 10.0
SHOWN_CHARACTERS = 200

log = logs.get("access")


class Refusals:
    """Logs refusals; however many there are, a few lines of them."""

    def __init__(self) -> None:
        self._since = 0.0
        self._lines = 0
        self._left_out = 0

    def tell(self, *, status: int, method: str, path: str, who: str, address: str, why: str) -> None:
        """A request was refused."""
        now = monotonic()
        if now - self._since >= PERIOD_SECONDS:
            self.tell_rest()
            self._since, self._lines = now, 0
        if self._lines >= LINES:
            self._left_out += 1
            return
        self._lines += 1
        log.warning(
            "request refused",
            status=status,
            method=method,
            path=path[:SHOWN_CHARACTERS],
            who=who,
            address=address,
            why=why[:SHOWN_CHARACTERS],
        )

    def tell_rest(self) -> None:
        """Say how many had no line of their own."""
        if self._left_out:
            log.warning("more requests refused", count=self._left_out)
            self._left_out = 0
