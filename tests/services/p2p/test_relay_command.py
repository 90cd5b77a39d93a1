"""`dvtfast p2p-relay`: its key, its flags, and what it says over HTTP."""

from __future__ import annotations

import stat
from contextlib import asynccontextmanager

import aiohttp
import pytest
from click.testing import CliRunner

from dvtfast.obol import read_enr, read_node_key
from dvtfast.services.cli import main
from dvtfast.services.p2p.circuit import lookup
from dvtfast.services.p2p.host import IdentityKey
from dvtfast.services.p2p.relay.app import look_up, relay_of, secret_of
from dvtfast.services.p2p.relay.metrics import Metrics
from dvtfast.services.p2p.relay.relaying import relaying
from dvtfast.services.p2p.wire.peers import peer_text
from dvtfast.services.settings import P2PRelaySettings
from dvtfast.services.settings.p2p import texts
from dvtfast.services.web import http

from .hosts import ECHO, HERE, PATIENT, cluster, identities


@asynccontextmanager
async def running(**more):
    """A relay with its HTTP side."""
    secret = IdentityKey.generate()._key.secret
    async with (
        relaying(IdentityKey(secret), listen=[HERE], **{"shows_private": True} | more) as relay,
        http.listening(look_up(relay, secret), "127.0.0.1", 0) as port,
    ):
        yield relay, f"http://127.0.0.1:{port}"


async def test_nodes_that_look_it_up():
    async with running() as (relay, url):
        for address in (f"{url}/", f"{url}/enr"):
            assert await lookup.look_up(address, {}) == lookup.RelayPlace(
                relay.swarm.identity.public_key, (("127.0.0.1", relay.bound[0][1]),)
            )
        async with cluster(identities(2), relays=[url], listens=False) as (alice, bob):
            assert await alice.request(bob.public_key, ECHO, b"x", terms=PATIENT) == b"x"
            async with (
                http.listening(Metrics(relay).application(), "127.0.0.1", 0) as port,
                aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
            ):
                for _ in range(2):
                    async with session.get("/metrics") as answer:
                        text = await answer.text()
                    assert "dvtfast_p2p_relay_circuits 1.0" in text
                    assert 'dvtfast_p2p_relay_answers_total{request="connect",status="ok"} 1.0' in text
                async with session.get("/healthz") as answer:
                    assert await answer.json() == {"ok": True, "peers": 2, "circuits": 1}


async def test_what_is_told():
    async with running(shows_private=False) as (relay, url):
        assert relay.addresses() == []
        async with aiohttp.ClientSession() as session, session.get(f"{url}/enr") as answer:
            record = read_enr(await answer.text())
        assert (record.public_key, record.ip) == (relay.swarm.identity.public_key, "")
    async with running(shows_private=False, external=["192.0.2.1", "relay.example"]) as (relay, url):
        name, port = peer_text(relay.swarm.identity.public_key), relay.bound[0][1]
        assert relay.addresses() == [
            f"/ip4/192.0.2.1/tcp/{port}/p2p/{name}",
            f"/dns/relay.example/tcp/{port}/p2p/{name}",
        ]
        place = await lookup.look_up(f"{url}/enr", {})
        assert place.endpoints == (("192.0.2.1", port),)


async def test_all_addresses_of_the_machine():
    async with relaying(IdentityKey.generate(), listen=[("0.0.0.0", 0)], shows_private=True) as relay:
        assert any(text.startswith("/ip4/127.0.0.1/") for text in relay.addresses())
        assert not any("0.0.0.0" in text for text in relay.addresses())


def test_the_key_is_made_once(tmp_path):
    secret = secret_of(tmp_path / "relay")
    assert secret_of(tmp_path / "relay") == secret
    file = tmp_path / "relay" / "charon-enr-private-key"
    assert read_node_key(file) == secret
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_flags_and_variables_of_charon():
    settings = P2PRelaySettings.load(
        {"p2p_tcp_address": ["0.0.0.0:1,[::1]:2"]},
        {"CHARON_HTTP_ADDRESS": "0.0.0.0:9", "CHARON_P2P_MAX_RESERVATIONS": "7"},
    )
    assert settings.p2p_tcp_address == (("0.0.0.0", 1), ("::1", 2))
    assert settings.http_address == ("0.0.0.0", 9)
    assert settings.p2p_max_reservations == 7


async def test_who_lets_more_of_one_address_in_lets_them_do_more():
    flags = {"p2p_tcp_address": ["127.0.0.1:0"], "p2p_max_reservations": "600"}
    settings = P2PRelaySettings.load(flags, {})
    async with relay_of(settings, bytes(31) + b"\1") as relay:
        limits = relay.service._limits
        assert (limits.address_reservations, limits.peer_circuits, limits.address_circuits) == (
            600,
            600,
            2400,
        )
        assert relay.swarm.limits.address_connections == 1200


@pytest.mark.parametrize(
    "text", ["", "1", "127.0.0.1", "relay:1", "::1:1", "[::1]", "127.0.0.1:70000", "[1.2.3.4]:5"]
)
def test_endpoints_that_are_none(text):
    with pytest.raises(ValueError, match="expected"):
        texts.endpoint(text)


def test_the_command_is_there():
    result = CliRunner().invoke(main, ["p2p-relay", "--help"])
    assert result.exit_code == 0
    assert "--p2p-external-ip" in result.output
