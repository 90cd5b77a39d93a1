"""Who may do what at a relayer: every route, every role, every kind of wrong token."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from dvtfast.services import wire
from dvtfast.services.relayer import api
from dvtfast.services.relayer.access.rights import RIGHTS
from dvtfast.services.relayer.access.token_text import new_token
from dvtfast.services.relayer.routes import Routes
from dvtfast.services.relayer.store.tokens import Role
from dvtfast.services.settings.parsing import VaultCluster

from ...access import EVERYTHING, READ_ONLY, For, basic, bearer, operator, sidecar, status_of, tokens_of
from ...conftest import START_INDEX, Cluster, Relayer, Start, make_cluster
from ...patience import PATIENCE_SECONDS
from ..test_register import ETH, OTHER_VAULT, VAULT, body_of, signature_shares


def routes_of_the_router() -> list[tuple[str, str]]:
    app = web.Application()
    Routes.__new__(Routes).add_to(app)  # to be listed, handlers need nothing
    routes = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    return sorted(routes | {(method, path) for path in LOOKED_AT for method in ("GET", "HEAD")})


# What is for people and programs that watch; the router of the process is compared with api.py elsewhere.
LOOKED_AT = {route.path for route in api.ROUTES if route.roles == {Role.READ_ONLY}}
OPEN_TO_ALL = {(route.method, route.path) for route in api.ROUTES if route.roles is None}
ROUTES = routes_of_the_router()
SHARE_INDEX = 2
A, B = "cluster-a", "cluster-b"
HOLDERS: dict[str, For] = {
    "read-only": READ_ONLY,
    "operator": operator(VAULT, clusters=(A,)),
    "another vault's operator": operator(OTHER_VAULT, clusters=(B,)),
    "operator without clusters": operator(VAULT),
    "operator of all": EVERYTHING,
    "sidecar": sidecar((A, SHARE_INDEX)),
    "sidecar of two nodes": sidecar((A, SHARE_INDEX), (B, SHARE_INDEX + 1)),
    "another share index's sidecar": sidecar((A, SHARE_INDEX + 1)),
    "another cluster's sidecar": sidecar((B, SHARE_INDEX)),
    "another cluster's, at that of its own": sidecar((B, SHARE_INDEX), (A, SHARE_INDEX + 1)),
    "of no cluster": sidecar(("unknown", SHARE_INDEX)),
}
"""Requests are for VAULT, cluster A and SHARE_INDEX."""

EVERYBODY = set(HOLDERS)
LOOKS = {name for name, (role, _) in HOLDERS.items() if role is not Role.OPERATOR}
SIGNS = {"sidecar", "sidecar of two nodes"}
OF_VAULT = {"operator", "operator without clusters", "operator of all"}
OF_CLUSTER = {"operator", "operator of all"}
WITHOUT_MANAGER = 422
WITHOUT_CLUSTER = 422  # nobody says which one

MAY: dict[tuple[str, str], tuple[int, set[str]]] = {
    ("GET", "/info"): (200, EVERYBODY),
    ("GET", "/exits"): (200, LOOKS),
    ("GET", "/validators"): (200, LOOKS),
    ("POST", "/validators"): (200, OF_CLUSTER),
    ("POST", "/exit-signature"): (200, SIGNS),
    ("POST", "/signatures"): (200, SIGNS),
    ("POST", "/register"): (200, OF_VAULT),
    ("POST", "/rotate"): (200, OF_VAULT),
    ("POST", "/fund"): (WITHOUT_MANAGER, OF_VAULT),
    ("POST", "/withdraw"): (WITHOUT_MANAGER, OF_VAULT),
    ("POST", "/consolidate"): (WITHOUT_MANAGER, OF_VAULT),
    **{("GET", path): (200, {"read-only"}) for path in LOOKED_AT},
    ("GET", "/status/validators"): (WITHOUT_CLUSTER, {"read-only"}),
}
"""What is answered to whom; 403 to all others who have a token."""


def may(method: str, path: str) -> tuple[int, set[str]]:
    return MAY["GET" if method == "HEAD" else method, path]


def body_for(path: str, cluster: Cluster) -> dict[str, Any]:
    """A request for VAULT, this cluster and SHARE_INDEX, as it should be."""
    keys = [key.to_wire() for key in cluster.keys]
    index = START_INDEX
    exits = [
        {"public_key": share.public_key.to_wire(), "exit_signature": share.exit_signature.to_wire()}
        for share in cluster.exit_shares(SHARE_INDEX, [index])
    ]
    wanted = {
        "public_key": keys[0],
        "vault": VAULT.to_wire(),
        "amount": 32 * ETH,
        "validator_index": index,
        "validator_type": "0x01",
    }
    vault = {"vault": VAULT.to_wire()}
    return {
        "/validators": {"public_keys": keys[1:]},
        "/exit-signature": {"share_index": SHARE_INDEX, "shares": exits},
        "/signatures": {
            "share_index": SHARE_INDEX,
            "shares": signature_shares(cluster, SHARE_INDEX, [wanted]),
        },
        "/register": body_of(amounts=[32 * ETH]),
        "/rotate": vault | {"validators": [{"public_key": keys[0], "validator_index": index}]},
        "/fund": vault | {"public_keys": keys[:1], "amounts": [ETH]},
        "/withdraw": vault | {"public_keys": keys[:1], "amounts": [0]},
        "/consolidate": vault | {"source_public_keys": keys[:1], "target_public_keys": keys[:1]},
    }[path]


async def send(
    relayer: Relayer, method: str, path: str, body: Any, headers: dict[str, str]
) -> tuple[int, Any, aiohttp.ClientResponse]:
    content = {"Content-Type": "application/json"} if body else {}
    data = json.dumps(body) if body else None
    sent = relayer.session.request(method, relayer.url + path, data=data, headers=headers | content)
    async with sent as answer:
        is_json = answer.content_type == "application/json"
        assert is_json or (answer.status == 200 and path in LOOKED_AT)
        assert "Access-Control-Allow-Origin" not in answer.headers
        text = await answer.read()
        return answer.status, json.loads(text) if text and is_json else None, answer


def test_every_route_has_its_rights_and_its_row() -> None:
    gets = {(("GET" if method == "HEAD" else method), path) for method, path in ROUTES}
    assert gets == set(MAY)
    assert gets | OPEN_TO_ALL == set(RIGHTS)


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_table_of_rights_is_that_of_this_file(method: str, path: str, holder: str) -> None:
    """A role that has a right nowhere in a row of this file has none in the table."""
    roles = RIGHTS["GET" if method == "HEAD" else method, path]
    assert roles is not None
    role = HOLDERS[holder][0]
    assert (role in roles) == any(HOLDERS[name][0] is role for name in may(method, path)[1])


@pytest.mark.parametrize("show", [bearer, basic])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_the_matrix(start: Start, database_url: str, method: str, path: str, show: Any) -> None:
    cluster, other = make_cluster(2, name=A), make_cluster(2, name=B)
    async with tokens_of(database_url) as tokens:
        held = {name: await tokens.make(kind) for name, kind in HOLDERS.items()}
        revoked = {name: await tokens.make(kind) for name, kind in HOLDERS.items()}
        for token in revoked.values():
            await tokens.revoke(token)
        bound = (VaultCluster(VAULT, A), VaultCluster(OTHER_VAULT, B))
        async with start(cluster, other, vaults=(VAULT, OTHER_VAULT), vault_clusters=bound) as relayer:
            registered = await send(relayer, "POST", "/register", body_for("/register", cluster),
                                    show(held["operator of all"]))  # fmt: skip
            assert registered[0] == 200
            body = body_for(path, cluster) if method == "POST" else None

            bad = {"missing": {}, "empty": {"Authorization": ""}, "wrong": show(new_token()[1])}
            bad |= {"no token": show("junk"), "another scheme": {"Authorization": "Digest x"}}
            bad |= {"cut": show(held["operator of all"][:-1]), "upper case": show(held["operator"].upper())}
            bad |= {f"revoked {name}": show(token) for name, token in revoked.items()}
            for name, headers in bad.items():
                status, answer, response = await send(relayer, method, path, body, headers)
                assert status == 401, name
                schemes = response.headers.getall("WWW-Authenticate")
                assert [scheme.split()[0] for scheme in schemes] == ["Basic", "Bearer"]
                assert method == "HEAD" or answer["field"] == "Authorization"

            expected, allowed = may(method, path)
            for name, token in held.items():
                status, answer, _ = await send(relayer, method, path, body, show(token))
                assert status == (expected if name in allowed else 403), (name, answer)
                if status == 403 and answer is not None:
                    assert answer["error"]
                    fields = ("Authorization", "vault", "share_index", "shares", "public_keys[0]")
                    assert answer["field"] in fields
                if path in ("/exit-signature", "/signatures") and status == 200:
                    assert answer == {"rejected": []}


async def test_what_is_no_route_is_told_to_nobody_without_a_token(start: Start, database_url: str) -> None:
    async with tokens_of(database_url) as tokens:
        token = await tokens.make(READ_ONLY)
        async with start(make_cluster(1)) as relayer:
            for method, path in (("GET", "/nothing"), ("DELETE", "/info"), ("OPTIONS", "/exits")):
                assert (await send(relayer, method, path, None, {}))[0] == 401
                status, _, _ = await send(relayer, method, path, None, bearer(token))
                assert status in (404, 405)


async def test_a_sidecar_sees_its_clusters_only(start: Start, database_url: str) -> None:
    clusters = [make_cluster(2, name=A), make_cluster(3, name=B)]
    mine = {
        sidecar((A, 1)): [2],
        sidecar((B, 1)): [3],
        sidecar((A, 1), (B, 2)): [2, 3],
        READ_ONLY: [2, 3],
    }
    async with tokens_of(database_url) as tokens:
        operators = await tokens.make(EVERYTHING)
        async with start(*clusters, vaults=(VAULT,)) as relayer:
            half = {"public_keys": [key.to_wire() for cluster in clusters for key in cluster.keys]}
            assert (await send(relayer, "POST", "/validators", half, bearer(operators)))[0] == 200
            for kind, counts in mine.items():
                headers = bearer(await tokens.make(kind))
                keys = {
                    key.to_wire()
                    for cluster in clusters
                    for key in cluster.keys
                    if len(cluster.keys) in counts
                }
                await until_known(relayer, headers)
                for path in ("/exits", "/exits?window=1"):
                    _, answer, _ = await send(relayer, "GET", path, None, headers)
                    assert {item["public_key"] for item in answer["exits"]} == keys
            both = bearer(await tokens.make(sidecar((A, 1), (B, 2))))
            await until_known(relayer, both)
            for index, cluster in ((1, clusters[0]), (2, clusters[1])):
                _, answer, _ = await send(relayer, "GET", f"/exits?share_index={index}", None, both)
                assert {item["public_key"] for item in answer["exits"]} == {k.to_wire() for k in cluster.keys}
            for path in (
                "/exits?share_index=3",
                "/validators?share_index=3",
                "/exits?share_index=3&window=1",
            ):
                status, answer, _ = await send(relayer, "GET", path, None, both)
                assert (status, answer["field"]) == (403, "share_index")


async def until_known(relayer: Relayer, headers: dict[str, str]) -> None:
    """A token that was made while the relayer runs counts soon."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await send(relayer, "GET", "/info", None, headers))[0] == 401:  # noqa: ASYNC110 - the relayer looks
            await asyncio.sleep(0.05)


async def test_shares_of_another_cluster_among_ones_own(start: Start, database_url: str) -> None:
    """Those are rejected one by one, the others are kept."""
    cluster, other = make_cluster(1, name=A), make_cluster(1, name=B)
    async with tokens_of(database_url) as tokens:
        everything = bearer(await tokens.make(EVERYTHING))
        mine = bearer(await tokens.make(sidecar((A, 1))))
        async with start(cluster, other) as relayer:
            keys = {"public_keys": [key.to_wire() for each in (cluster, other) for key in each.keys]}
            assert (await send(relayer, "POST", "/validators", keys, everything))[0] == 200
            shares = [cluster.exit_shares(1, [START_INDEX]), other.exit_shares(1, [START_INDEX + 1])]
            body = json.loads(
                wire.encode(
                    wire.ExitSignatureRequest(wire.ShareIndex(1), [s for some in shares for s in some])
                )
            )
            status, answer, _ = await send(relayer, "POST", "/exit-signature", body, mine)
            assert status == 200
            assert [item["public_key"] for item in answer["rejected"]] == [other.keys[0].to_wire()]
            assert "not for the cluster" in answer["rejected"][0]["reason"]
            _, answer, _ = await send(relayer, "GET", "/exits", None, mine)
            assert [item["share_indexes_ready"] for item in answer["exits"]] == [[1]]


async def test_a_cluster_by_its_lock_hash(start: Start, database_url: str) -> None:
    cluster = make_cluster(1, name=A)
    cluster = replace(cluster, shares=replace(cluster.shares, lock_hash=bytes(range(32))))
    name = wire.Root(bytes(range(32))).to_wire()
    async with tokens_of(database_url) as tokens:
        everything = bearer(await tokens.make(EVERYTHING))
        mine = bearer(await tokens.make(sidecar((name, 1))))
        strange = bearer(await tokens.make(sidecar(("0x" + "ab" * 32, 1))))
        async with start(cluster) as relayer:
            body = {"public_keys": [cluster.keys[0].to_wire()]}
            assert (await send(relayer, "POST", "/validators", body, everything))[0] == 200
            for headers, count in ((mine, 1), (strange, 0)):
                _, answer, _ = await send(relayer, "GET", "/exits", None, headers)
                assert len(answer["exits"]) == count


async def test_unnamed_validators_are_the_cluster_other(start: Start, database_url: str) -> None:
    named, unnamed = make_cluster(1, name=A), make_cluster(1)
    async with tokens_of(database_url) as tokens:
        everything = bearer(await tokens.make(EVERYTHING))
        mine = bearer(await tokens.make(sidecar((A, 1))))
        others = bearer(await tokens.make(sidecar(("other", 1))))
        async with start(named, signature_threshold=3) as relayer:
            keys = [named.keys[0].to_wire(), unnamed.keys[0].to_wire()]
            assert (await send(relayer, "POST", "/validators", {"public_keys": keys}, everything))[0] == 200
            for headers, key in zip((mine, others), keys, strict=True):
                _, answer, _ = await send(relayer, "GET", "/exits", None, headers)
                assert [item["public_key"] for item in answer["exits"]] == [key]


async def test_an_exit_is_rotated_for_its_own_vault(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster, vaults=(VAULT, OTHER_VAULT)) as relayer:
        await send(relayer, "POST", "/register", body_of(amounts=[32 * ETH]), {})
        item = {"public_key": cluster.keys[0].to_wire(), "validator_index": START_INDEX}
        body = {"vault": OTHER_VAULT.to_wire(), "validators": [item]}
        status, answer, _ = await send(relayer, "POST", "/rotate", body, {})
        assert (status, answer["field"]) == (422, "validators[0].public_key")
        assert (await send(relayer, "POST", "/rotate", body | {"vault": VAULT.to_wire()}, {}))[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://elsewhere.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://\N{ACCOUNT OF}.example", 403),
        ("SELF", 200),
        (None, 200),
    ],
)
async def test_pages_of_other_sites(start: Start, origin: str | None, status: int) -> None:
    async with start(make_cluster(1)) as relayer:
        headers = {} if origin is None else {"Origin": origin.replace("SELF", relayer.url)}
        assert (await send(relayer, "GET", "/info", None, headers))[0] == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(host, 200) for host in ("127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:80", "192.0.2.1")],
        *[(host, 403) for host in ("elsewhere.example", "localhost.example:80", "[", "")],
    ],
)
async def test_a_name_that_leads_here_from_elsewhere(
    start: Start, database_url: str, host: str, status: int
) -> None:
    """A page of elsewhere.example is of the same site, once that name leads to this machine."""
    headers = {"Host": host, "Origin": f"http://{host}"}
    if host == "[":
        headers.pop("Origin")
    async with start(make_cluster(1)) as relayer:
        assert await status_of(relayer.url + "/info", headers) == status
        assert await status_of(relayer.url + "/healthz", headers) == 200
    if status == 403:
        headers.pop("Origin", None)
        async with start(make_cluster(1), allow_anonymous=True) as relayer:
            assert await status_of(relayer.url + "/info", headers) == 200
        async with tokens_of(database_url) as tokens, start(make_cluster(1)) as relayer:
            token = bearer(await tokens.make(READ_ONLY))
            await until_known(relayer, token)
            assert await status_of(relayer.url + "/info", headers | token) == 200


@pytest.mark.parametrize(
    "content", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_bodies_of_forms_are_refused(start: Start, content: str) -> None:
    async with start(make_cluster(1)) as relayer:
        sent = relayer.session.post(
            relayer.url + "/validators", data=b"{}", headers={"Content-Type": content}
        )
        async with sent as answer:
            assert answer.status == 415
            assert content in (await answer.json())["error"]
