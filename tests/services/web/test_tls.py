"""HTTPS between our programs: whom each trusts, and certificates that are renewed meanwhile."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from dvtfast.services.relayer import app
from dvtfast.services.relayer_client.access import Access
from dvtfast.services.relayer_client.client import RelayerClient, RelayerUnavailableError
from dvtfast.services.settings import SettingsError, SidecarSettings
from dvtfast.services.web import http
from dvtfast.services.web.tls import Certificate, CertificateError, Renewal, client_context, server_context
from tests.services.patience import ANSWER_SECONDS

from ..access import READ_ONLY, tokens_of
from ..certificates import Authority
from ..conftest import Start, make_cluster
from ..patience import PATIENCE_SECONDS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def asking(url: str, access: Access) -> AsyncIterator[RelayerClient]:
    async with RelayerClient(url, timeout_seconds=ANSWER_SECONDS, attempts=1, access=access) as client:
        yield client


async def serial_of(port: int, ca: Path) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = client_context(ca, None)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("peercert")
    writer.close()
    return int(shown["serialNumber"], 16)


async def test_https_with_a_token(
    start: Start, authority: Authority, tmp_path: Path, database_url: str
) -> None:
    chain, key = authority.issue("relayer")
    async with tokens_of(database_url) as tokens:
        token = tmp_path / "token"
        token.write_text(await tokens.make(READ_ONLY))
        async with start(make_cluster(1), tls_certificate=chain, tls_key=key) as relayer:
            url = relayer.url.replace("http:", "https:")
            async with asking(url, Access(token, authority.file)) as client:
                assert (await client.info()).network == "hoodi"
            for address, ca in ((url, None), (url, Authority(tmp_path, "other").file), (relayer.url, None)):
                async with asking(address, Access(token, ca)) as client:
                    with pytest.raises(RelayerUnavailableError) as failed:
                        await client.info()
                    assert token.read_text() not in str(failed.value)


async def test_client_certificates(start: Start, authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("relayer")
    nodes = Authority(tmp_path, "nodes")
    mine, strange = nodes.issue("node"), authority.issue("stranger")
    tls = {"tls_certificate": chain, "tls_key": key, "tls_client_ca": nodes.file}
    async with start(make_cluster(1), **tls) as relayer:
        url = relayer.url.replace("http:", "https:")
        async with asking(url, Access(None, authority.file, Certificate(*mine))) as client:
            assert (await client.info()).network == "hoodi"
        for certificate in (None, Certificate(*strange)):
            async with asking(url, Access(None, authority.file, certificate)) as client:
                with pytest.raises(RelayerUnavailableError):
                    await client.info()


async def test_a_certificate_is_renewed_under_a_connection(
    start: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    chain, key = authority.issue("relayer")
    async with start(make_cluster(1), tls_certificate=chain, tls_key=key) as relayer:
        port = int(relayer.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(authority.file, None)
        )
        before = await serial_of(port, authority.file)
        authority.issue("relayer")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await serial_of(port, authority.file) == before:  # noqa: ASYNC110 - the relayer looks
                await asyncio.sleep(0.02)
        writer.write(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readuntil(b"}")).endswith(b'{"network":"hoodi"}')
        writer.close()


async def test_a_certificate_without_its_key_yet(authority: Authority) -> None:
    chain, key = authority.issue("relayer")
    certificate = Certificate(chain, key)
    context = server_context(certificate, None)
    renewal = Renewal(certificate, context)
    old = key.read_bytes()
    authority.issue("relayer")
    new = key.read_bytes()
    key.write_bytes(old)
    async with http.listening(http.application(), "127.0.0.1", 0, tls=context) as port:
        before = await serial_of(port, authority.file)
        with structlog.testing.capture_logs() as lines:
            renewal.refresh()
            renewal.refresh()
        assert [line["event"] for line in lines] == ["renewed certificate not used, the old one goes on"]
        assert await serial_of(port, authority.file) == before
        key.write_bytes(new)
        renewal.refresh()
        assert await serial_of(port, authority.file) != before


async def test_a_client_certificate_is_renewed(authority: Authority, tmp_path: Path) -> None:
    """The client looks before each request."""
    mine = authority.issue("node")
    shown: list[str] = []
    context = server_context(Certificate(*authority.issue("relayer")), authority.file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("peercert")["serialNumber"])
        await reader.readuntil(b"\r\n\r\n")
        answer = b'{"network":"hoodi"}'
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    access = Access(None, authority.file, Certificate(*mine))
    async with server, asking(f"https://127.0.0.1:{port}", access) as client:
        await client.info()
        authority.issue("node")
        await client.info()
    assert len(set(shown)) == 2


def test_files_that_are_no_certificates(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("one")
    junk = tmp_path / "junk"
    junk.write_text("junk")
    for certificate in (
        Certificate(junk, key),
        Certificate(chain, junk),
        Certificate(chain, authority.issue("two")[1]),
        Certificate(tmp_path / "missing", key),
    ):
        with pytest.raises(CertificateError, match="certificate"):
            server_context(certificate, None)
    for ca in (junk, tmp_path / "missing"):
        with pytest.raises(CertificateError, match="CA"):
            server_context(Certificate(chain, key), ca)
        with pytest.raises(CertificateError, match="CA"):
            client_context(ca, None)
    assert server_context(Certificate(chain, key), None).minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_relayer_without_a_usable_certificate(start: Start, authority: Authority) -> None:
    chain, _ = authority.issue("one")
    with pytest.raises(CertificateError):
        async with start(make_cluster(1), tls_certificate=chain, tls_key=authority.issue("two")[1]):
            pytest.fail("it listens")


def sidecar_settings(tmp_path: Path, **flags: object) -> SidecarSettings:
    lock = tmp_path / "lock.json"
    lock.touch()
    common = {"network": "hoodi", "cluster_lock": str(lock), "keystores": str(tmp_path)}
    return SidecarSettings.load(common | flags, {})


RELAYERS = ("https://one", "https://two", "https://three")


def test_access_of_several_relayers(tmp_path: Path, authority: Authority) -> None:
    tokens = [tmp_path / f"token{i}" for i in range(3)]
    for file in tokens:
        file.write_text("abc")
    cas = [authority.file, Authority(tmp_path, "a").file, Authority(tmp_path, "b").file]
    pairs = [authority.issue(f"node{i}") for i in range(3)]
    none = Access()
    settings = sidecar_settings(tmp_path, relayers=RELAYERS)
    assert settings.accesses() == [none] * 3
    texts = [str(ca) for ca in cas]
    settings = sidecar_settings(tmp_path, relayers=RELAYERS, token_files=[str(tokens[0])], relayer_cas=texts)
    assert settings.accesses() == [replace(none, token_file=tokens[0], ca=ca) for ca in cas]
    chains, keys = ([str(pair[place]) for pair in pairs] for place in (0, 1))
    settings = sidecar_settings(tmp_path, relayers=RELAYERS, client_certificates=chains, client_keys=keys)
    assert [access.certificate for access in settings.accesses()] == [Certificate(*pair) for pair in pairs]


def test_files_that_are_of_no_use_are_told_at_the_start(tmp_path: Path, authority: Authority) -> None:
    junk = tmp_path / "junk"
    junk.write_text("no token")
    chain, _ = authority.issue("node")
    for flags, wrong in (
        ({"token_files": [str(junk)]}, f"token file {junk}: expected one token"),
        ({"relayer_cas": [str(junk)]}, f"CA {junk}"),
        ({"client_certificates": [str(chain)], "client_keys": [str(junk)]}, f"certificate {chain} with key"),
    ):
        with pytest.raises(SettingsError) as error:
            sidecar_settings(tmp_path, relayers=RELAYERS, **flags)
        (line,) = error.value.problems
        assert line.startswith(wrong)


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        ({"token_files": 2}, "--relayer-token-file"),
        ({"relayer_cas": 2}, "--relayer-ca"),
        ({"client_certificates": 1}, "--relayer-client-key"),
        ({"client_keys": 1}, "--relayer-client-cert"),
        ({"client_certificates": 3, "client_keys": 1}, "--relayer-client-cert"),
        ({"token_files": 1, "relayers": ("https://u:token@one",)}, "--relayer-token-file"),
    ],
)
def test_what_does_not_fit_the_relayers(tmp_path: Path, flags: dict[str, object], wrong: str) -> None:
    files = {name: [__file__] * count for name, count in flags.items() if isinstance(count, int)}
    with pytest.raises(SettingsError) as error:
        sidecar_settings(tmp_path, **({"relayers": RELAYERS} | flags | files))
    assert any(line.startswith(wrong) or wrong in line for line in error.value.problems)
    assert "token@" not in str(error.value)
