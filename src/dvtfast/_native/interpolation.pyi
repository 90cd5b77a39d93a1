from typing import Self, final

@final
class Rule:
    def __new__(
        cls, shares: int, multiples: int, terms: list[tuple[int, int, bytes]], scale: Rule | None
    ) -> Self: ...
