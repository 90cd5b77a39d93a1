"""The life of a token: made, shown once, used, revoked; what a relayer does while nobody has one."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
import structlog
from click.testing import CliRunner, Result

from dvtfast.services.cli import main
from dvtfast.services.relayer.access.known_tokens import NoTokensError
from dvtfast.services.relayer.access.refusals import LINES
from dvtfast.services.relayer.access.token_text import TOKEN, digest_of, id_of, new_token
from dvtfast.services.relayer_client.access import Access
from dvtfast.services.relayer_client.client import RelayerClient, RelayerRefusedError, RelayerUnavailableError
from dvtfast.services.web.authorization import token_in
from tests.services.patience import ANSWER_SECONDS

from ...access import EVERYTHING, READ_ONLY, basic, bearer, secret_of, sidecar, status_of, tokens_of
from ...conftest import START_INDEX, Start, each_database, make_cluster
from ...patience import PATIENCE_SECONDS
from ...postgres import Server
from ..test_register import ETH, VAULT, body_of, signature_shares
from .test_access import send

__all__ = ["each_database"]


def command(*arguments: str, database: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["relayer", "token", *arguments, "--database", database])
    assert result.exit_code == code, result.output
    return result


async def until_status(url: str, headers: dict[str, str], status: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await status_of(url, headers) != status:  # noqa: ASYNC110 - the relayer looks
            await asyncio.sleep(0.02)


def test_a_token_and_what_is_kept_of_it() -> None:
    token_id, token = new_token()
    assert TOKEN.fullmatch(token)
    assert id_of(token) == token_id
    assert len(digest_of(token)) == 32
    assert len({new_token()[1] for _ in range(100)}) == 100
    for text in ("", "dvtfast_", token + "x", token[:-1], f"{token}\n", token.replace("dvtfast", "other")):
        assert id_of(text) is None


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        (basic("abc")["Authorization"], "abc"),
        (basic("a:b:c", user="")["Authorization"], "a:b:c"),
        ("Basic !", ""),
        ("Basic /w==", ""),
        ("Basic", ""),
        ("Digest abc", ""),
        ("abc", ""),
        ("", ""),
    ],
)
def test_where_a_token_stands(header: str, token: str) -> None:
    assert token_in(header) == token


async def test_made_and_revoked_by_command(
    start: Start, database_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The relayer runs, and neither it nor the file of its database ever has the secret."""
    async with start(make_cluster(1, name="mine")) as relayer:
        url = relayer.url + "/info"
        assert await status_of(url, {}) == 200
        node = ("--cluster", "mine", "--share-index", "2")
        made = await asyncio.to_thread(command, "create", "--role", "sidecar", *node, database=database_url)
        token = made.stdout.strip()
        assert TOKEN.fullmatch(token)
        await until_status(url, {}, 401)  # from the first token on everybody needs one
        await until_status(url, bearer(token), 200)
        file = tmp_path / "token"
        options = ("--role", "read-only", "--note", "status page", "--output", str(file))
        made = await asyncio.to_thread(command, "create", *options, database=database_url)
        assert "dvtfast_" not in made.stdout
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        await until_status(url, basic(file.read_text().strip()), 200)
        again = await asyncio.to_thread(command, "create", *options, database=database_url, code=1)
        assert "File exists" in again.output

        shown = await asyncio.to_thread(command, "list", "--json", database=database_url)
        listed = {item["role"]: item for item in json.loads(shown.stdout)}
        assert listed.keys() == {"sidecar", "read-only"}
        mine, other = listed["sidecar"], listed["read-only"]
        assert (mine["scope"], other["note"]) == ("mine share index 2", "status page")
        assert mine["revoked_at"] is other["revoked_at"] is None

        await asyncio.to_thread(command, "revoke", mine["id"], database=database_url)
        await until_status(url, bearer(token), 401)
        assert await status_of(url, bearer(file.read_text().strip())) == 200
        await asyncio.to_thread(command, "revoke", other["id"], database=database_url)
        await until_status(url, bearer(file.read_text().strip()), 401)
        assert await status_of(url, {}) == 401  # without any token left, too
        await asyncio.to_thread(command, "revoke", "00000000", database=database_url, code=1)
    secret = secret_of(token)
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as database:
        kept = "".join(database.iterdump())
    assert mine["id"] in kept
    assert secret not in kept
    told = capfd.readouterr()
    assert secret not in told.out + told.err
    table = await asyncio.to_thread(command, "list", database=database_url)
    assert "0 tokens, and 2 revoked ones" in table.output


async def test_revoked_while_a_poll_waits(start: Start, database_url: str) -> None:
    async with tokens_of(database_url) as tokens, start(cluster := make_cluster(1)) as relayer:
        _, _, answer = await send(relayer, "GET", "/exits", None, {})
        url, known = relayer.url + "/exits?wait=20", {"If-None-Match": answer.headers["ETag"]}
        nobodys = asyncio.create_task(status_of(url, known))  # while nobody needs a token
        await asyncio.sleep(0.2)
        token = await tokens.make(READ_ONLY)
        await until_status(relayer.url + "/info", bearer(token), 200)
        waiting = asyncio.create_task(status_of(url, bearer(token) | known))
        await asyncio.sleep(0.2)
        await tokens.revoke(token)
        body = {"public_keys": [key.to_wire() for key in cluster.keys]}
        asks = bearer(await tokens.make(EVERYTHING))
        await until_status(relayer.url + "/info", asks, 200)
        assert (await send(relayer, "POST", "/validators", body, asks))[0] == 200  # they wait for a change
        assert (await nobodys, await waiting) == (401, 401)


async def test_revoked_while_a_body_comes(start: Start, database_url: str) -> None:
    cluster = make_cluster(1)
    async with tokens_of(database_url) as tokens:
        token, other = await tokens.make(EVERYTHING), await tokens.make(READ_ONLY)
        async with start(cluster) as relayer:
            body = json.dumps({"public_keys": [cluster.keys[0].to_wire()]}).encode()
            port = int(relayer.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(b"POST /validators HTTP/1.1\r\n" + head.encode() + body[:9])
            await asyncio.sleep(0.1)
            await tokens.revoke(token)
            await until_status(relayer.url + "/info", bearer(token), 401)
            writer.write(body[9:])
            assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
            writer.close()
            async with relayer.session.get(relayer.url + "/exits", headers=bearer(other)) as answer:
                assert await answer.json() == {"exits": []}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--role", "king"], "--role"),
        (["--role", "sidecar"], "--cluster"),
        (["--role", "sidecar", "--cluster", "a"], "--share-index"),
        (["--role", "sidecar", "--cluster", "a", "--share-index", "0"], "--share-index"),
        (["--role", "sidecar", *["--cluster", "a"] * 2, *["--share-index", "1"] * 3], "--share-index"),
        (["--role", "operator"], "--all-vaults"),
        (["--role", "operator", "--all-vaults", "--vault", "0x" + "00" * 20], "--all-vaults"),
        (["--role", "operator", "--vault", "0x00"], "--vault"),
        (["--role", "operator", "--all-vaults", "--share-index", "1"], "--share-index"),
        (["--role", "read-only", "--cluster", "a"], "--cluster"),
    ],
)
def test_what_no_token_is_made_for(tmp_path: Path, options: list[str], wrong: str) -> None:
    database = f"sqlite:///{tmp_path}/relayer.db"
    result = command("create", *options, database=database, code=2)
    assert f"error: {wrong}" in result.stderr or wrong in result.stderr
    assert "dvtfast_" not in result.stdout
    assert not (tmp_path / "relayer.db").exists()


@pytest.mark.parametrize(
    ("clusters", "indices", "scope"),
    [
        ("ab", "1", "a share index 1; b share index 1"),
        ("a", "12", "a share index 1; a share index 2"),
        ("ab", "12", "a share index 1; b share index 2"),
        (["AB" * 32], "1", f"0x{'ab' * 32} share index 1"),
    ],
)
def test_nodes_of_a_token(tmp_path: Path, clusters: Any, indices: str, scope: str) -> None:
    database = f"sqlite:///{tmp_path}/relayer.db"
    options = [part for name in clusters for part in ("--cluster", name)]
    options += [part for index in indices for part in ("--share-index", index)]
    command("create", "--role", "sidecar", *options, database=database)
    assert json.loads(command("list", "--json", database=database).stdout)[0]["scope"] == scope


def test_a_vault_of_the_relayer_is_not_a_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVTFAST_VAULT", VAULT.to_wire())
    result = command("create", "--role", "operator", database=f"sqlite:///{tmp_path}/relayer.db", code=2)
    assert "DVTFAST_TOKEN_VAULT" in result.stderr


async def test_replicas_learn_of_a_revocation_at_once(start: Start, postgres: Server) -> None:
    database = await postgres.database()
    cluster = make_cluster(1)
    async with tokens_of(database) as tokens:
        token, other = await tokens.make(READ_ONLY), await tokens.make(READ_ONLY)
        async with start(cluster, database=database) as first, start(cluster, database=database) as second:
            urls = [relayer.url + "/info" for relayer in (first, second)]
            for url in urls:
                assert await status_of(url, bearer(token)) == 200
            await tokens.revoke(token)
            for url in urls:
                await until_status(url, bearer(token), 401)
                assert await status_of(url, bearer(other)) == 200
            new = await tokens.make(READ_ONLY)
            for url in urls:
                await until_status(url, bearer(new), 200)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "relayer.example"])
async def test_without_tokens_nobody_else_is_served(start: Start, host: str) -> None:
    with pytest.raises(NoTokensError, match="dvtfast relayer token create"):
        async with start(make_cluster(1), host=host):
            pytest.fail("it listens")


async def test_everybody_is_served_when_told_so(start: Start, database_url: str) -> None:
    async with start(make_cluster(1), host="0.0.0.0", allow_anonymous=True) as relayer:
        assert await status_of(relayer.url + "/info", {}) == 200
        assert await status_of(relayer.url + "/info", bearer(new_token()[1])) == 401
        async with tokens_of(database_url) as tokens:
            token = await tokens.make(READ_ONLY)
        await until_status(relayer.url + "/info", bearer(token), 200)
        assert await status_of(relayer.url + "/register", bearer(token), "POST", "{}") == 403
        assert await status_of(relayer.url + "/info", {}) == 200


async def test_with_a_token_it_listens_everywhere(start: Start, each_database: str) -> None:
    async with tokens_of(each_database) as tokens:
        token = await tokens.make(EVERYTHING)
        async with start(make_cluster(1), host="0.0.0.0", database=each_database) as relayer:
            assert await status_of(relayer.url + "/info", {}) == 401
            assert await status_of(relayer.url + "/info", bearer(token)) == 200


async def test_refusals_are_told_without_the_token_and_not_for_ever(start: Start, database_url: str) -> None:
    async with tokens_of(database_url) as tokens:
        token, wrong = await tokens.make(READ_ONLY), new_token()[1]
        async with start(make_cluster(1)) as relayer:
            with structlog.testing.capture_logs() as lines:
                assert await status_of(relayer.url + "/register", bearer(token), "POST", "{}") == 403
                for _ in range(3 * LINES):
                    assert await status_of(relayer.url + "/info", bearer(wrong)) in (401, 429)
                assert await status_of(relayer.url + f"/info?x={wrong}", {}) in (401, 429)
    refused = [line for line in lines if line["event"] == "request refused"]
    assert len(refused) == LINES
    assert {(line["status"], line["who"]) for line in refused} == {(403, id_of(token)), (401, "nobody")}
    assert not re.search("_[A-Za-z0-9_-]{43}", str(lines))


async def test_the_first_makers_sidecar_with_a_token_in_its_endpoint(start: Start, database_url: str) -> None:
    """As theirs it joins paths onto the endpoint and sets no headers; nothing else is changed for it."""
    cluster = make_cluster(2, name="mine")
    async with tokens_of(database_url) as tokens:
        everything = await tokens.make(EVERYTHING)
        mine = await tokens.make(sidecar(("mine", 1)))
        async with (
            start(cluster, vaults=(VAULT,)) as relayer,
            aiohttp.ClientSession() as session,
        ):

            async def call(endpoint: str, path: str, body: Any = None) -> tuple[int, Any]:
                method = "GET" if body is None else "POST"
                async with session.request(method, urljoin(endpoint, path), json=body) as answer:
                    return answer.status, await answer.json()

            endpoint = relayer.url.replace("//", f"//u:{mine}@")
            operators = relayer.url.replace("//", f"//u:{everything}@")
            assert await call(endpoint, "/info") == (200, {"network": "hoodi"})
            assert await call(relayer.url, "/info") == (
                401,
                {"error": "Authorization: " + NEEDED_SAYS, "field": "Authorization"},
            )
            assert (await call(operators, "/register", body_of(amounts=[32 * ETH])))[0] == 200
            _, answer = await call(endpoint, "/validators")
            shares = signature_shares(cluster, 1, answer["validators"])
            posted = await call(endpoint, "/signatures", {"share_index": 1, "shares": shares})
            assert posted == (200, {"rejected": []})
            keys = {"public_keys": [cluster.keys[1].to_wire()]}
            assert (await call(operators, "/validators", keys))[0] == 200
            _, answer = await call(endpoint, "/exits")
            signed = cluster.exit_shares(1, [START_INDEX + 5, answer["exits"][-1]["validator_index"]])[1]
            share = {"public_key": keys["public_keys"][0], "exit_signature": signed.exit_signature.to_wire()}
            body = {"share_index": 1, "shares": [share]}
            assert await call(endpoint, "/exit-signature", body) == (200, {"rejected": []})
            assert (await call(endpoint, "/exit-signature", body | {"share_index": 2}))[0] == 403
            _, answer = await call(endpoint, "/exits")
            assert [item["share_indexes_ready"] for item in answer["exits"]] == [[1], [1]]


NEEDED_SAYS = "expected Bearer, or Basic with the token as password; `dvtfast relayer token create` makes one"


async def test_our_clients_read_their_token_file_again(
    start: Start, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    async with tokens_of(database_url) as tokens:
        first, second = await tokens.make(READ_ONLY), await tokens.make(READ_ONLY)
        file.write_text(first + "\n")
        async with (
            start(make_cluster(1)) as relayer,
            RelayerClient(
                relayer.url, timeout_seconds=ANSWER_SECONDS, attempts=1, access=Access(file)
            ) as client,
        ):
            assert (await client.info()).network == "hoodi"
            await tokens.revoke(first)
            await until_status(relayer.url + "/info", bearer(first), 401)
            with pytest.raises(RelayerRefusedError, match="wrong, or was revoked") as refused:
                await client.info()
            assert first not in str(refused.value)
            for wrong in ("", "a b", "ü", "x" * 5_000):
                file.write_text(wrong)
                with pytest.raises(RelayerUnavailableError, match="expected one token"):
                    await client.info()
            file.unlink()
            with pytest.raises(RelayerUnavailableError, match="no such file"):
                await client.info()
            file.write_text(f"  {second}  ")
            assert (await client.info()).network == "hoodi"
