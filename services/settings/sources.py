"""One setting: where its value comes from, how its text is read, and what in the environment is none."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Final, Self

from . import parsing
from .stakewise_variables import ignored, refused

PREFIX: Final = "DVTFAST_"
ELSEWHERE: Final = frozenset(
    PREFIX + name
    for name in (
        "BACKEND",  # of the library
        # Of the test suite, whose programs inherit them.
        "CHARON",
        "FUZZ_CASES",
        "FUZZ_OPERANDS",
        "FUZZ_SCHEDULES",
        "FUZZ_SLOTS",
        "FUZZ_SEED",
        "KILLS",
        "KILL_VALIDATORS",
        "SCHEMATHESIS_EXAMPLES",
        "SCREENSHOT",
        "SPEC_EPOCHS",
        "SPEC_PRESET",
        "SSV_VALIDATORS",
        "TEST_VALIDATORS",
        "VECTORS",
    )
)
"""Variables with our prefix that are no settings of a service."""

# For a service `relayer` Kubernetes sets RELAYER_PORT=tcp://10.0.0.1:8000 in every pod beside it, and more.
LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://\S+", re.ASCII | re.IGNORECASE)
LINK_NAME: Final = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)


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
    `many` settings are tuples; their flag is repeatable, their variable a list with commas. `other_flags` are
    those of another program for the same.
    """

    flag: str
    variables: tuple[str, ...]
    parse: parsing.Parse
    help: str
    metavar: str
    default: str | None
    optional: bool
    many: bool
    other_flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How a message calls the setting."""
        return f"{self.flag} ({' or '.join(self.variables)})"

    @property
    def is_required(self) -> bool:
        """Whether nothing can be done without it."""
        return self.default is None and not self.optional and not self.many

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

    def text(self, given: Any, environment: Mapping[str, str]) -> str:
        """What `read` reads of a setting that is one text; raises as it does."""
        return next(iter(self._texts(given, environment)), "")

    def unset(self) -> Any:
        """The value when nobody says anything."""
        if self.default is None:
            return () if self.many else None
        return self.read(None, {})

    @property
    def described(self) -> str:
        """What it is for, and where else it comes from."""
        notes = [f"env {', '.join(self.variables)}"]
        if self.default not in (None, "", "false"):
            notes.append(f"default {self.default}")
        elif self.is_required:
            notes.append("required")
        return f"{self.help} [{'; '.join(notes)}]"

    def _texts(self, given: Any, environment: Mapping[str, str]) -> Sequence[str]:
        texts = [given] if isinstance(given, str) else given or ()
        if "" in texts and self.default != "":  # as of a shell's variable that is not set
            raise ValueError("expected something, got nothing; give it, or leave the flag out")
        if texts:
            return list(texts)
        ours = self.variables[0]
        found = {name: text for name in self.variables if (text := environment.get(name, "").strip())}
        if len(found) > 1 and ours not in found and len(set(map(_meant, found.values()))) > 1:
            names = " and ".join(found)
            raise ValueError(f"{names} are set, and say different things; keep one of them, or set {ours}")
        for text in found.values():
            return parsing.parts(text) if self.many else [text]
        return [self.default] if self.default is not None else []


def _meant(text: str) -> tuple[str, ...]:
    return tuple(parsing.parts(text))


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
    other_flags: Sequence[str] = (),
) -> Any:
    """A dataclass field that is a setting; `also` are the first makers' variables for it.

    Another prefix tells its variable from that of the same flag of another program; `other_flags` are what
    another program calls it.
    """
    variables = (prefix + flag.removeprefix("--").replace("-", "_").upper(), *also)
    metavar = metavar or parse.__name__.upper()
    source = Source(flag, variables, parse, help, metavar, default, optional, many, tuple(other_flags))
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

    command: ClassVar[str] = ""
    """Whose settings these are, such as `operator run`, for what StakeWise's variables mean to it."""
    also_read: ClassVar[frozenset[str]] = frozenset({"VERBOSE"})
    """Variables of StakeWise's that `translated` reads."""

    def problems(self) -> list[str]:
        """What is wrong with the settings taken together, each line with the names of those that it is about.

        One that could not be read is as if it were not set: None where it is required.
        """
        return []

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras of dvtfast that bring what the command needs, given the settings, beside `services`."""
        return ()

    def of_no_account(self) -> Collection[str]:
        """The fields that say nothing, given the others; what is wrong with them does not matter."""
        return ()

    @classmethod
    def translated(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
        """The environment with what StakeWise's programs say in another way said in ours.

        Raises:
            ValueError: a variable has no value that it can have.
        """
        translated = dict(environment)
        if text := translated.get("VERBOSE", "").strip():
            try:
                is_verbose = parsing.switch(text)
            except ValueError as error:
                raise ValueError(f"VERBOSE: {error}") from None
            if is_verbose:
                translated["LOG_LEVEL"] = "debug"
        return translated

    def not_read(self, flags: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
        """The variables of StakeWise's programs that are set, and say nothing here."""
        environment = without_service_links(environment)
        read = {variable for source in self.sources().values() for variable in source.variables}
        names = ignored(self.command, environment, read | self.also_read)
        names |= environment.keys() - self.translated(flags, environment).keys()
        for field in self.of_no_account():
            _, *theirs = self.sources()[field].variables
            names |= {name for name in theirs if environment.get(name, "").strip()}
        return sorted(names)

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
        unread: dict[str, str] = {}
        environment = without_service_links(environment)
        problems = unknown(environment, known_variables()) + refused(cls.command, environment)
        try:
            environment = cls.translated(flags, environment)
        except ValueError as error:
            problems.append(str(error))
        for field, source in cls.sources().items():
            try:
                values[field] = source.read(flags.get(field), environment)
            except ValueError as error:
                values[field] = source.unset()
                unread[field] = f"{source.name}: {error}"
        settings = cls(**values)
        of_no_account = settings.of_no_account()
        problems += [line for field, line in unread.items() if field not in of_no_account]
        names = [cls.sources()[field].name for field in unread]
        problems += [line for line in settings.problems() if not any(name in line for name in names)]
        if problems:
            raise SettingsError(problems)
        return settings


def known_variables() -> set[str]:
    """Those of all commands: one environment may be for several."""
    classes = [Settings]
    for cls in classes:
        classes += cls.__subclasses__()
    return {variable for cls in classes for source in cls.sources().values() for variable in source.variables}


def without_service_links(environment: Mapping[str, str]) -> dict[str, str]:
    """What is left when Kubernetes' links to services are taken away, which nobody meant as settings."""
    return {
        name: value
        for name, value in environment.items()
        if not (LINK_NAME.fullmatch(name) or (name.endswith("_PORT") and LINK_VALUE.fullmatch(value.strip())))
    }


def unknown(environment: Mapping[str, str], known: Collection[str]) -> list[str]:
    """A line for each variable that begins as ours and is none."""
    lines = []
    choices = {each.removeprefix(PREFIX) for each in known if each.startswith(PREFIX)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and name not in ELSEWHERE:
            near = get_close_matches(name.removeprefix(PREFIX), sorted(choices), n=1)
            lines.append(f"{name}: no such setting" + (f"; is {PREFIX}{near[0]} meant?" if near else ""))
    return lines
