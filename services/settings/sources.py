"""One setting: where its value comes from, and how its text is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import click

from .. import parsing


class SettingsError(Exception):
    """Settings that a service cannot start with.

    Attributes:
        problems: one line each, with the flag and the variables that mend it.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the value of one setting comes from, and how its text is read.

    `default` is a text too; without one the setting is required, unless it is `optional` (then None).
    `many` settings are tuples; their flag is repeatable, their variable a list with commas.
    """

    flag: str
    variables: tuple[str, ...]
    parse: parsing.Parse
    help: str
    metavar: str
    default: str | None
    optional: bool
    many: bool

    @property
    def name(self) -> str:
        """How a message calls the setting."""
        return f"{self.flag} ({' or '.join(self.variables)})"

    def read(self, given: Any, environment: Mapping[str, str]) -> Any:
        """The value, from what click was given or the strongest other source; raises ValueError."""
        texts = self._texts(given, environment)
        if self.many:
            return tuple(self.parse(text) for text in texts)
        if texts:
            return self.parse(texts[0])
        if self.optional:
            return None
        raise ValueError(f"not set. {self.help}")

    def unset(self) -> Any:
        """The value when nobody says anything."""
        if self.default is None:
            return () if self.many else None
        return self.read(None, {})

    def option(self, field: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """The click option; it takes plain text, so that `load` can report every problem."""
        notes = [f"env {', '.join(self.variables)}"]
        if self.default:
            notes.append(f"default {self.default}")
        elif self.default is None and not self.optional and not self.many:
            notes.append("required")
        text = f"{self.help} [{'; '.join(notes)}]"
        if self.parse is parsing.switch:
            return click.option(self.flag, field, flag_value="true", help=text)
        return click.option(self.flag, field, multiple=self.many, metavar=self.metavar, help=text)

    def _texts(self, given: Any, environment: Mapping[str, str]) -> Sequence[str]:
        if given:
            return [given] if isinstance(given, str) else given
        for variable in self.variables:
            if text := environment.get(variable, "").strip():
                return [part.strip() for part in text.split(",")] if self.many else [text]
        return [self.default] if self.default is not None else []


def setting(
    flag: str,
    parse: parsing.Parse,
    help: str,
    *,
    metavar: str = "",
    default: str | None = None,
    also: Sequence[str] = (),
    optional: bool = False,
    many: bool = False,
    prefix: str = "DVTFAST_",
) -> Any:
    """A dataclass field that is a setting; `also` are the first makers' variables for it.

    Another prefix tells its variable from that of the same flag of another program.
    """
    variables = (prefix + flag.removeprefix("--").replace("-", "_").upper(), *also)
    metavar = metavar or parse.__name__.upper()
    source = Source(flag, variables, parse, help, metavar, default, optional, many)
    return dataclasses.field(metadata={"source": source})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every service can be told."""

    log_format: str = setting(
        "--log-format",
        parsing.log_format,
        "Log lines for people or for machines.",
        default="plain",
        also=["LOG_FORMAT"],
        metavar="plain|json",
    )
    log_level: str = setting(
        "--log-level",
        parsing.log_level,
        "The least severe line to log.",
        default="info",
        also=["LOG_LEVEL"],
        metavar="debug|info|warning|error",
    )

    unsupported: ClassVar[Mapping[str, str]] = {}
    """Variables of the first makers that must not be set, and what to do instead."""

    def problems(self) -> list[str]:
        """What is wrong with the settings taken together, each line with the names of those that it is about.

        One that could not be read is as if it were not set: None where it is required.
        """
        return []

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Where each field comes from; those of all services last."""
        common = {field.name for field in dataclasses.fields(Settings)}
        fields = sorted(dataclasses.fields(cls), key=lambda field: field.name in common)
        return {field.name: field.metadata["source"] for field in fields}

    @classmethod
    def load(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """Read all sources.

        Raises:
            SettingsError: with every problem there is, not only the first.
        """
        values: dict[str, Any] = {}
        unread: list[str] = []
        problems = [f"{name}: {why}" for name, why in cls.unsupported.items() if environment.get(name)]
        for field, source in cls.sources().items():
            try:
                values[field] = source.read(flags.get(field), environment)
            except ValueError as error:
                values[field] = source.unset()
                unread.append(source.name)
                problems.append(f"{source.name}: {error}")
        settings = cls(**values)
        together = settings.problems()
        problems += [line for line in together if not any(name in line for name in unread)]
        if problems:
            raise SettingsError(problems)
        return settings
