"""PostgreSQL addresses as hosters give them: understood, with a real server, or refused by name."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.sealing.rewrite import sqlite_file
from dvtfast.services.settings import parsing, postgres_url

from .. import postgres
from ..certificates import Authority


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.server() as running:
        yield running


QUERIES = [
    "sslmode=disable&channel_binding=require",
    "sslmode=prefer&channel_binding=prefer&connect_timeout=10&application_name=my%20relayer",
    "connect_timeout=0&keepalives=1&keepalives_idle=30&tcp_user_timeout=1000&target_session_attrs=read-write",
    "options=-c%20work_mem%3D5MB&client_encoding=utf8&gssencmode=disable&sslsni=1&application_name=",
    "ssl=false&prepared_statement_cache_size=0&statement_cache_size=0",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_hosters_address(query: str, server: postgres.Server) -> None:
    plain = await server.database()
    url = parsing.database(f"{plain.replace('postgresql+asyncpg', 'postgres')}&{query}")
    database = await Database.open(url)
    try:
        rows = await database.run(
            lambda connection: connection.exec_driver_sql(
                "SELECT current_setting('application_name'), current_setting('work_mem')"
            ).one()
        )
    finally:
        await database.close()
    assert rows[0] == ("my relayer" if "relayer" in query else "dvtfast")
    assert rows[1] == ("5MB" if "work_mem" in query else "4MB")
    assert sqlite_file(url) is None


@pytest.mark.parametrize(
    "where",
    [
        "{user}@/{name}?host=127.0.0.1&port={port}&password={password}",
        "{user}:{password}@127.0.0.1:1,127.0.0.1:{port}/{name}",
    ],
)
async def test_hosts_as_options_and_several(where: str, server: postgres.Server) -> None:
    name = postgres.name_of(await server.database())
    told = {"user": postgres.USER, "password": postgres.PASSWORD, "port": server.port, "name": name}
    database = await Database.open(parsing.database("postgresql://" + where.format(**told)))
    await database.close()


HERE = "postgresql://me:word@127.0.0.1/db"
AWAY = "postgresql://me:word@db.example:5432/db"


def arguments(url: str) -> dict[str, object]:
    return dict(postgres_url.read(parsing.database(url)).arguments)


def test_what_the_driver_is_told() -> None:
    assert arguments(HERE) == {"dsn": HERE}
    assert arguments(f"{AWAY}?ssl=true")["dsn"] == f"{AWAY}?sslmode=require"
    assert arguments(f"{AWAY}?sslmode=no-verify")["dsn"] == f"{AWAY}?sslmode=require"
    assert postgres_url.read(f"{AWAY}?connect_timeout=7").connect_seconds == 7
    assert postgres_url.read(f"{AWAY}?connect_timeout=-1").connect_seconds is None
    assert arguments("postgres://me%40ours:p%2Fw%23@db.example/db")["dsn"] == (
        "postgresql://me%40ours:p%2Fw%23@db.example/db"
    )
    assert "word" not in repr(postgres_url.read(HERE))


def test_the_certificates_of_the_machine() -> None:
    """As libpq has it, the host is proven, too."""
    told = arguments(f"{AWAY}?sslmode=verify-full&sslrootcert=system")
    context = told["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert told["dsn"] == AWAY
    with pytest.raises(ValueError, match="sslmode: expected one of verify-full, got 'require'"):
        parsing.database(f"{AWAY}?sslmode=require&sslrootcert=system")


def test_a_password_that_must_be_bound_is_sent_to_a_proven_server_only(tmp_path: Path) -> None:
    """The driver cannot bind it; nobody can be in between on this machine."""
    told = arguments(f"{AWAY}?sslmode=require&channel_binding=require")
    assert isinstance(told["ssl"], ssl.SSLContext)
    own = Authority(tmp_path).file
    told = arguments(f"{AWAY}?sslmode=require&channel_binding=require&sslrootcert={own}")
    assert "sslmode=verify-full" in str(told["dsn"])
    assert arguments(f"{HERE}?channel_binding=require") == {"dsn": HERE}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sslmode=on", "sslmode: expected one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("channel_binding=yes", "channel_binding: expected one of disable, prefer, require"),
        ("gssencmode=require", "gssencmode: expected one of disable, prefer"),
        ("connect_timeout=soon", "connect_timeout: expected an integer, got 'soon'"),
        ("sslrootcert=/nowhere/ca.pem", "sslrootcert: no such"),
        ("sslcert=nowhere.pem", "sslcert: no such file: nowhere.pem"),
        ("pgbouncer=true", "pgbouncer: expected the address of PostgreSQL itself"),
        ("schema=public", "no option 'schema' is known"),
    ],
)
def test_options_that_are_refused_by_name(query: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"postgresql://\.\.\.: ") as caught:
        parsing.database(f"{HERE}?{query}")
    assert says in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:se/cret@host/db", "%2F"),
        ("postgresql://me:se#cret@host/db", "%2F"),
        ("postgresql://me:12?cret@host/db", "%2F"),
        ("postgresql://me:word@host:70000/db", "expected a port in 1..65535, got 70000"),
        ("postgresql://me:word@host:secret/db", "expected a port in 1..65535"),
        ("postgresql:me:secret@host/db", "expected postgresql://, got postgresql: without the slashes"),
        ("mysql://me:secret@host/db", "expected sqlite:///FILE or postgresql"),
        ("me:secret@host://db", "expected sqlite:///FILE or postgresql"),
    ],
)
def test_addresses_that_are_none(url: str, says: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parsing.database(url)
    assert says in str(caught.value)
    assert "cret" not in str(caught.value)
