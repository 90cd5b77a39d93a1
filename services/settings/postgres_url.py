"""PostgreSQL addresses as hosters give them, with libpq's options, for the driver that has other names.

Source: PostgreSQL's documentation, section 32.1.2 (parameter key words).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ..files import paths
from ..web.addresses import is_loopback

SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SSL_ALIASES: Final = {
    "true": "require",
    "1": "require",
    "false": "disable",
    "0": "disable",
    "no-verify": "require",
}
CHANNEL_BINDINGS: Final = ("disable", "prefer", "require")
SYSTEM: Final = "system"  # the certificates that the machine trusts, as `sslrootcert`

# What the driver understands under the same name.
PASSED: Final = frozenset(
    {
        *("host", "port", "dbname", "database", "user", "password", "passfile", "service"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("target_session_attrs", "krbsrvname", "gsslib"),
    }
)
NUMBERS: Final = frozenset(
    {"prepared_statement_cache_size", "statement_cache_size"}
)  # SQLAlchemy's, asyncpg's
# What changes nothing that is kept, or is set by the relayer itself.
DROPPED: Final = frozenset(
    {
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        *(
            "client_encoding",
            "fallback_application_name",
            "load_balance_hosts",
            "sslcertmode",
            "sslcompression",
        ),
        *("sslsni",),
    }
)
OF_SESSIONS: Final = ("application_name", "options")
FILES: Final = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl")
POOLER: Final = "pgbouncer"  # Prisma's way to say that a pooler is in between


@dataclass(frozen=True)
class PostgresAddress:
    """Where a database is, and how to connect.

    Attributes:
        arguments: of asyncpg's `connect`, as the address says them.
        connect_seconds: how long that may take; None where the address does not say.
        server_settings: for each session.
    """

    arguments: Mapping[str, Any] = field(repr=False)  # with the password
    connect_seconds: float | None
    server_settings: Mapping[str, str]


def read(url: str) -> PostgresAddress:
    """The parts of an address.

    Raises:
        ValueError: an option that is none, or has no value that it can have; no password is shown.
    """
    parts = urlsplit(url)
    auth, at, hosts = parts.netloc.rpartition("@")
    if parts.fragment or (not at and "@" in parts.path + parts.query.partition("=")[0]):
        raise ValueError("expected USER:PASSWORD@HOST, with a / ? or # in the password as %2F %3F or %23")
    _require_ports(hosts)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    options = {name: value for name, value in options.items() if value}
    if "ssl" in options:
        options.setdefault("sslmode", SSL_ALIASES.get(ssl_mode := options.pop("ssl"), ssl_mode))
    if "sslmode" in options:
        options["sslmode"] = SSL_ALIASES.get(options["sslmode"], options["sslmode"])
        _require_one_of("sslmode", options["sslmode"], SSL_MODES)
    names = [host.rpartition(":")[0] or host for host in (hosts or options.get("host", "")).split(",")]
    if _must_bind(options) and not all(is_loopback(name.strip("[]")) or "/" in name for name in names):
        # The driver cannot bind the password to the connection; a proven certificate does the same service.
        options |= {"sslmode": "verify-full", "sslrootcert": options.get("sslrootcert", SYSTEM)}
    for name in FILES:
        file = options.get(name, "")
        is_system = (name, file) == ("sslrootcert", SYSTEM)
        if file and not is_system and (problem := paths.no_file(Path(file))):
            raise ValueError(f"{name}: {problem}")
    settings: dict[str, str] = {name: options.pop(name) for name in OF_SESSIONS if name in options}
    seconds = _seconds(options.pop("connect_timeout", "0"))
    arguments: dict[str, Any] = {name: _number(name, options.pop(name)) for name in NUMBERS & options.keys()}
    if options.get("sslrootcert") == SYSTEM:
        arguments["ssl"] = _trusting_the_system(options)
    for name in DROPPED & options.keys():
        del options[name]
    if unknown := sorted(options.keys() - PASSED):
        raise ValueError(_what_of(unknown[0]))
    user, colon, password = auth.partition(":")
    user, password = (quote(unquote(part), safe="") for part in (user, password))
    query = f"?{urlencode(options)}" if options else ""
    arguments["dsn"] = f"postgresql://{user}{colon}{password}{at}{hosts}{parts.path}{query}"
    return PostgresAddress(arguments, seconds, settings)


def _require_ports(hosts: str) -> None:
    for host in hosts.split(","):
        _, colon, port = host.rpartition("]")[2].rpartition(":")
        if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            shown = f", got {port}" if port.isdigit() else ""
            raise ValueError(
                f"expected a port in 1..65535{shown}; a / ? or # in the password is written %2F %3F or %23"
            )


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def _must_bind(options: dict[str, str]) -> bool:
    """Whether the password must be bound to the connection, so that nobody in between can use it."""
    binding = options.pop("channel_binding", "prefer")
    _require_one_of("channel_binding", binding, CHANNEL_BINDINGS)
    encrypting = options.pop("gssencmode", "prefer")
    _require_one_of("gssencmode", encrypting, ("disable", "prefer"))
    return binding == "require"


def _seconds(text: str) -> float | None:
    """0 and below is for ever, so not what the address decides."""
    seconds = _number("connect_timeout", text.removeprefix("-"))
    return None if text.startswith("-") or seconds == 0 else float(seconds)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name}: expected an integer, got {text!r}")
    return int(text)


def _trusting_the_system(options: dict[str, str]) -> ssl.SSLContext:
    """The certificate is proven, and is the host's: libpq takes no less with the system's certificates."""
    _require_one_of("sslmode", options.pop("sslmode", "verify-full"), ("verify-full",))
    del options["sslrootcert"]
    context = ssl.create_default_context()
    certificate, key = options.pop("sslcert", None), options.pop("sslkey", None)
    if certificate:
        password = options.pop("sslpassword", "")
        try:
            context.load_cert_chain(certificate, key, password=lambda: password)
        except (OSError, ValueError):
            raise ValueError(f"sslcert: {certificate} and its sslkey cannot be used together") from None
    return context


def _what_of(name: str) -> str:
    if name == POOLER:
        return f"{name}: expected the address of PostgreSQL itself, or of a pooler in session mode"
    return (
        f"no option {name!r} is known in a PostgreSQL address; what a session is to have set goes to options="
    )
