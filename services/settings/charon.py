"""Settings that charon has, too: by its flags and variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from . import parsing
from .sources import Settings, setting

PREFIX = "CHARON_"


def charon(flag: str, parse: parsing.Parse, help: str, **options: Any) -> Any:
    """A setting that charon has too, under the same flag."""
    variable = PREFIX + flag.removeprefix("--").replace("-", "_").upper()
    return setting(flag, parse, help, also=[variable], **options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CharonSettings(Settings):
    """Settings whose lists can be one flag with commas, as charon's."""

    @classmethod
    def load(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """Read all sources."""
        parted = dict(flags)
        for field, source in cls.sources().items():
            if source.many and (given := flags.get(field)):
                parted[field] = [part.strip() for text in given for part in text.split(",")]
        return super().load(parted, environment)
