"""How the text of a setting is read: each function takes text and returns a value or raises ValueError."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dvtfast.errors import FileError, InputError
from dvtfast.files import read_text
from dvtfast.networks import NETWORKS, Network, network_named

from .. import wire
from ..chain.encoding import read_address
from ..files import paths
from . import postgres_url

Parse = Callable[[str], Any]
VAULTS_LIMIT_BYTES = 1024 * 1024
TOKEN_ROLES = ("operator", "sidecar", "read-only")
FEE_BLOCKS_LIMIT = 1024  # go-ethereum tells the fees of no more blocks at once
LONGEST_SECONDS = 1e9  # 31 years: sums with the time of day stay integers that databases keep
SHORTEST_SECONDS = 1e-3
LOWEST_RATE, HIGHEST_RATE = 0.1, 1e6  # with less a caller never gets its ten seconds' worth of one
MOST_INTEGER = (1 << 63) - 1  # what SQLite and PostgreSQL keep
MOST_THREADS = 1024
VALIDATORS_LIMIT = 1 << 40  # consensus-specs, VALIDATOR_REGISTRY_LIMIT
ABOVE_ERROR = ("critical", "fatal")  # levels of Python's, of which there are no lines
MOST_QUOTED = 40  # letters, of what was meant as a number
MANAGER_ACTIONS = ("fund", "withdraw", "consolidate")

_COMMENT = re.compile(r"#(?!\d+\s*=).*")  # relayers of one host are called host#1, host#2
_HOST = re.compile(r"[\w.:%~-]+")  # a name or an address, without brackets
_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_DATABASE_SCHEME = re.compile(r"(sqlite|postgres\w*(?:\+\w+)?):", re.ASCII)


@dataclasses.dataclass(frozen=True)
class NamedFile:
    """A file, and the name that the user gives to what is in it."""

    path: Path
    name: str | None = None


def text(value: str) -> str:
    """Any text."""
    return value


def parts(value: str) -> list[str]:
    """What is between the commas of a list; one too many, such as at its end, does not matter."""
    found = [part for each in value.split(",") if (part := each.strip())]
    if not found:
        raise ValueError(f"expected something between the commas, got {_quoted(value)}")
    return found


def switch(value: str) -> bool:
    """On or off."""
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"expected true or false, got {value!r}")


def integer(value: str) -> int:
    """An integer in 0..2^63-1."""
    return _integer(value, MOST_INTEGER, "2^63-1")


def validator_index(value: str) -> int:
    """A place among the validators of the beacon chain."""
    return _integer(value, VALIDATORS_LIMIT - 1, "2^40-1")


def integers(value: str) -> tuple[int, ...]:
    """Integers with commas between them, each once; none of them is none."""
    numbers = tuple(map(integer, parts(value))) if value else ()
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"expected each integer once, got {value!r}")
    return numbers


def count(value: str) -> int:
    """A positive integer."""
    number = integer(value)
    if number == 0:
        raise ValueError("expected at least 1, got 0")
    return number


def thread_count(value: str) -> int:
    """Threads of one process."""
    number = count(value)
    if number > MOST_THREADS:
        raise ValueError(f"expected at most {MOST_THREADS}, got {number}")
    return number


def port(value: str) -> int:
    """A TCP port; 0 takes any free one."""
    number = integer(value)
    if number > 65535:
        raise ValueError(f"expected a port in 0..65535, got {number}")
    return number


def seconds(value: str) -> float:
    """A duration, from a millisecond to 31 years."""
    return _number(value, "a number of seconds", SHORTEST_SECONDS, LONGEST_SECONDS)


def gwei(value: str) -> float:
    """A positive amount, in gwei: from one wei to one ether."""
    return _number(value, "a number of gwei", 1e-9, 1e9)


def percentile(value: str) -> float:
    """A number of percent."""
    return _number(value, "a number", 0, 100)


def fee_blocks(value: str) -> int:
    """How many blocks nodes tell the fees of."""
    number = count(value)
    if number > FEE_BLOCKS_LIMIT:
        raise ValueError(f"expected at most {FEE_BLOCKS_LIMIT}, got {value!r}")
    return number


def rate(value: str) -> float:
    """A number a second."""
    return _number(value, "a number", LOWEST_RATE, HIGHEST_RATE)


def address(value: str) -> bytes:
    """An account or contract on chain; mixed case must be its checksum."""
    return read_address(value)


@dataclasses.dataclass(frozen=True)
class AllowedVault:
    """A vault that deposits are signed for; for all relayers, or for the one of this name only."""

    address: bytes
    relayer: str | None = None


def allowed_vault(value: str) -> AllowedVault:
    """ADDRESS or RELAYER=ADDRESS; a relayer is called by its host, with its port, or by its whole address."""
    relayer, equals, vault = value.rpartition("=")
    name = relayer.strip()
    if equals and not name:
        raise ValueError(f"expected ADDRESS or RELAYER=ADDRESS, got {value!r}")
    return AllowedVault(address(vault.strip()), (host_of(name) if "://" in name else name) or None)


def allowed_vaults(value: str) -> tuple[AllowedVault, ...]:
    """A file of these, one a line; what follows a # is for people, unless it is in a relayer's name."""
    vaults = []
    try:
        lines = read_text(file(value), limit_bytes=VAULTS_LIMIT_BYTES).splitlines()
    except FileError as error:
        raise ValueError(str(error)) from None
    for number, line in enumerate(lines, 1):
        if text := _COMMENT.sub("", line).strip():
            try:
                vaults.append(allowed_vault(text))
            except ValueError as error:
                raise ValueError(f"{value}: line {number}: {error}") from None
    return tuple(vaults)


@dataclasses.dataclass(frozen=True)
class DailyLimitSetting:
    """How much of an action is allowed in a day; None is without limit."""

    action: str
    unit: str
    most: int | None


def manager_action(value: str) -> str:
    """What a validators manager may be allowed to sign."""
    return _one_of(value.lower(), MANAGER_ACTIONS)


def daily_limit(value: str) -> DailyLimitSetting:
    """ACTION.UNIT=N."""
    name, equals, most = value.partition("=")
    action, dot, unit = name.partition(".")
    if not (equals and dot):
        raise ValueError(f"expected ACTION.UNIT=N, got {value!r}")
    return DailyLimitSetting(
        _one_of(action.lower(), ("register", *MANAGER_ACTIONS)),
        _one_of(unit.lower(), ("items", "gwei", "exits")),
        None if most.lower() == "none" else integer(most),
    )


def network(value: str) -> Network:
    """The name of a network."""
    try:
        return network_named(value.lower())
    except InputError:
        raise ValueError(f"expected one of {', '.join(NETWORKS)}, got {value!r}") from None


def file(value: str) -> Path:
    """A file that is there and can be read."""
    found = path(value)
    if problem := paths.no_file(found):
        raise ValueError(problem)
    return found


def path(value: str) -> Path:
    """A path."""
    try:
        return Path(value).expanduser()
    except RuntimeError:  # the home of nobody
        raise ValueError(f"expected a path, got {value!r}: there is no such home directory") from None


def place(value: str) -> Path:
    """A file to write, perhaps, in a directory that is there; whether it may is told when it is opened."""
    where = path(value)
    if not paths.is_there(where.parent):
        raise ValueError(f"no such directory: {where.parent}")
    if not paths.no_directory(where):
        raise ValueError(f"expected a file, got a directory: {where}")
    return where


def directory(value: str) -> Path:
    """A directory that is there and can be read."""
    found = path(value)
    if problem := paths.no_directory(found):
        raise ValueError(problem)
    return found


def named_file(value: str) -> NamedFile:
    """FILE or NAME=FILE."""
    name, equals, rest = value.partition("=")
    if not equals or not paths.no_file(Path(value)):
        return NamedFile(file(value))
    if not name.strip():
        raise ValueError(f"expected FILE or NAME=FILE, got {value!r}")
    return NamedFile(file(rest), name.strip())


def url(value: str) -> str:
    """An http or https address; a path and user:password@ are kept, and never shown: they may be secrets."""
    scheme, separator, rest = value.partition("://")
    where = re.split("[/?#]", (rest if separator else value).rpartition("@")[2])[0]
    if not separator:
        raise ValueError(f"expected http:// or https:// in front of {where!r}")
    if scheme.lower() not in ("http", "https"):
        shown = f"{scheme}://" if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme) else "another"
        raise ValueError(f"expected http:// or https:// in front of {where!r}, got {shown}")
    if not value.isprintable() or " " in value:
        raise ValueError(f"expected an address without spaces, got one in {where!r}")
    try:
        host = urlsplit(value).hostname
    except ValueError:  # of brackets
        host = None
    if not host or not _HOST.fullmatch(host):
        raise ValueError(f"expected http://HOST or https://HOST, or with :PORT, got no host in {where!r}")
    try:
        has_port = urlsplit(value).port != 0
    except ValueError:
        has_port = False
    if not has_port:
        raise ValueError(f"expected http://HOST:PORT with a port in 1..65535, got another in {where!r}")
    return value


def has_password(url: str) -> bool:
    """Whether an address has user:password@, or a part of it."""
    return "@" in urlsplit(url).netloc


def host_of(url: str) -> str:
    """The host of an address, with its port if it names one."""
    return urlsplit(url).netloc.rpartition("@")[2]


def role(value: str) -> str:
    """What a token of a relayer is for."""
    return _one_of(value.lower(), TOKEN_ROLES)


def cluster(value: str) -> str:
    """A cluster's name, or its lock hash, of which case and prefix do not matter."""
    try:
        return wire.Root.from_wire(value).to_wire()
    except ValueError:
        return value


@dataclasses.dataclass(frozen=True)
class VaultCluster:
    """A cluster of a vault, by name or lock hash."""

    vault: bytes
    cluster: str


def vault_cluster(value: str) -> VaultCluster:
    """ADDRESS=CLUSTER."""
    vault, equals, name = value.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"expected ADDRESS=CLUSTER, got {value!r}")
    return VaultCluster(address(vault.strip()), cluster(name.strip()))


def credentials_type(value: str) -> int:
    """The first byte of withdrawal credentials."""
    forms = {
        form: type_ for type_ in (1, 2) for form in (f"0x0{type_}", f"v{type_}", f"0{type_}", f"{type_}")
    }
    if (found := forms.get(value.lower())) is None:
        raise ValueError(f"expected one of 0x01, 0x02, got {value!r}")
    return found


def database(value: str) -> str:
    """A database URL; a plain path is a SQLite file. It is not shown, since it can have a password."""
    scheme, separator, rest = value.partition("://")
    if not separator and (found := _DATABASE_SCHEME.match(value)):
        raise ValueError(f"expected {found.group(1)}://, got {found.group(1)}: without the slashes")
    if not separator:
        return f"sqlite:///{_database_file(value)}"
    if scheme == "sqlite":
        if not rest.startswith("/"):
            raise ValueError(f"expected three slashes, as sqlite:///{rest}, got {value!r}")
        return f"sqlite:///{_database_file(rest[1:])}"
    if scheme not in postgres_url.SCHEMES:
        shown = f"{scheme}://..." if scheme.isalnum() else "another"
        raise ValueError(
            f"expected sqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/NAME, got {shown}"
        )
    for package in ("asyncpg", "greenlet"):
        if find_spec(package) is None:
            raise ValueError(f"{package} is not installed: pip install 'dvtfast[postgres]'")
    try:
        postgres_url.read(value)
    except ValueError as error:
        raise ValueError(f"{scheme}://...: {error}") from None
    return f"postgresql+asyncpg://{rest}"


def _database_file(value: str) -> Path:
    """The file of a SQLite database, in a directory that exists."""
    path, question, options = value.partition("?")
    if not path or path == ":memory:":
        raise ValueError(f"expected sqlite:///FILE, got {value!r}")
    if question:
        raise ValueError(f"expected a file without options, got ?{options} behind {path!r}")
    return place(path)


def cluster_type(value: str) -> str:
    """Obol or SSV."""
    return _one_of(value.lower(), ("obol", "ssv"))


def kdf(value: str) -> str:
    """A key derivation of keystores."""
    return _one_of(value.lower(), ("pbkdf2", "scrypt"))


def log_format(value: str) -> str:
    """How log lines look."""
    return _one_of(value.lower(), ("plain", "json"))


def log_level(value: str) -> str:
    """The least severe log line that is shown."""
    level = value.lower()
    return _one_of("error" if level in ABOVE_ERROR else level, ("debug", "info", "warning", "error"))


def _one_of(value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"expected one of {', '.join(choices)}, got {value!r}")
    return value


def _integer(value: str, most: int, shown: str) -> int:
    digits = value.lstrip("0") or value[:1]
    if not (value.isascii() and value.isdigit()) or len(digits) > len(str(most)) or int(digits) > most:
        raise ValueError(f"expected an integer in 0..{shown}, got {_quoted(value)}")
    return int(digits)


def _number(value: str, what: str, least: float, most: float) -> float:
    """A number as people write it; Python takes 1_0, nan and digits of other alphabets, too."""
    number = float(value) if _NUMBER.fullmatch(value) else math.nan
    if not least <= number <= most:
        raise ValueError(f"expected {what} in {least:.10g}..{most:.10g}, got {_quoted(value)}")
    return number


def _quoted(value: str) -> str:
    return repr(value if len(value) <= MOST_QUOTED else f"{value[:MOST_QUOTED]}...")
