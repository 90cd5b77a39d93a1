"""A sidecar that follows SSV's contract on a real node, as a process, killed and started again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from dvtfast import HOODI, check_signatures, exit_signing_roots, ssv
from dvtfast.services import wire
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.web import http
from tests.services.chain.anvil import Chain
from tests.services.chain.servers import DEAD, node_between
from tests.services.patience import PATIENCE_SECONDS
from tests.services.ssv.ssv_events import OURS, SsvContract
from tests.vector_files import VECTORS

OPERATOR_KEY = VECTORS / f"ssv/operator-{OURS}/private_key_base64.txt"


class Relayer:
    """Wants the exits of some validators, each at its place in the list, and checks what it is sent."""

    def __init__(self) -> None:
        self.wanted: list[ssv.KeyShares] = []
        self.signed: set[bytes] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_get("/info", self._info)
        application.router.add_get("/exits", self._exits)
        application.router.add_post("/exit-signature", self._post)
        async with http.listening(application, "127.0.0.1", 0) as port:
            yield f"http://127.0.0.1:{port}"

    async def until_signed(self, *validators: ssv.KeyShares) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.signed < {v.public_key for v in validators}:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def _info(self, _: web.Request) -> web.Response:
        return http.json_answer(wire.InfoAnswer("hoodi"))

    async def _exits(self, _: web.Request) -> web.Response:
        exits = [
            wire.ExitWanted(wire.PublicKey(v.public_key), wire.UInt64(place), False, 0, "", [])
            for place, v in enumerate(self.wanted)
            if v.public_key not in self.signed
        ]
        return http.json_answer(wire.ExitsAnswer(exits))

    async def _post(self, request: web.Request) -> web.Response:
        posted = wire.decode(await request.read(), wire.ExitSignatureRequest)
        assert posted.share_index == OURS
        places = {v.public_key: place for place, v in enumerate(self.wanted)}
        for share in posted.shares:
            place = places[share.public_key]
            validator = self.wanted[place]
            public = validator.public_key_shares[validator.operator_ids.index(OURS)]
            root = exit_signing_roots([place], HOODI)
            assert check_signatures([public.tobytes()], root, [share.exit_signature]).all()
            self.signed.add(share.public_key)
        return http.json_answer(wire.ExitSignatureAnswer([]))


class Sidecar:
    """The process, and its log."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    async def until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := self.events(event)) < count:
                assert self.process.returncode is None, self._log.read_text()
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def sidecar(
    contract: SsvContract, relayer: str, directory: Path, name: str, nodes: Sequence[str], *more: str
) -> AsyncIterator[Sidecar]:
    """Run one inside the block; its files stay. It looks at the chain more often than others do."""
    log = directory / f"{name}.log"
    script = (
        "import sys; from dvtfast.services.sidecar.nodes import reload, ssv_chain;"
        "reload.LOOK_SECONDS = ssv_chain.LOOK_SECONDS = 0.2;"
        "from dvtfast.services.cli import main; main(sys.argv[1:])"
    )
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, "sidecar", "--network", "hoodi", "--relayer", relayer,
            "--poll-interval", "0.2", "--ssv-operator-id", str(OURS), "--ssv-operator-key", str(OPERATOR_KEY),
            "--ssv-contract", write_address(contract.contract.address), "--ssv-from-block", "0",
            *(option for node in nodes for option in ("--execution-endpoint", node)), *more,
            "--log-format", "json", stdout=output, stderr=output, cwd=directory,
        )  # fmt: skip
    try:
        yield Sidecar(process, log)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.wait()


async def test_validators_come_and_go_while_it_runs(chain: Chain, tmp_path: Path) -> None:
    contract, relayer = await SsvContract.deployed(chain), Relayer()
    owner = contract.owner()
    async with (
        relayer.running() as url,
        sidecar(contract, url, tmp_path, "first", [DEAD, chain.url]) as process,
    ):
        await process.until("no SSV validators yet")
        first = await owner.add()
        await owner.add(data=b"")
        second = await owner.add()
        relayer.wanted = [first, second]
        await contract.finalize()
        await relayer.until_signed(first, second)
        await owner.remove(first)
        await contract.finalize()
        count = len(process.events("keys loaded"))
        loaded = await process.until("keys loaded", count + 1)
        assert loaded[-1]["count"] == 1
        third = await owner.add()
        relayer.wanted, relayer.signed = [first, second, third], set()
        await contract.finalize()
        await relayer.until_signed(second, third)
        assert first.public_key not in relayer.signed
    assert process.process.returncode == 0


async def test_it_is_killed_and_its_node_is_away(chain: Chain, tmp_path: Path) -> None:
    """What is known is served at once, without any node; what happened meanwhile is learned later."""
    contract, relayer = await SsvContract.deployed(chain), Relayer()
    owner = contract.owner()
    away = False

    def answer(_method: str, _params: list[Any], value: Any) -> Any:
        return "away" if away else value

    first = await owner.add()
    relayer.wanted = [first]
    await contract.finalize()
    async with relayer.running() as url, node_between(chain.url, answer) as (node, _):
        async with sidecar(contract, url, tmp_path, "first", [node]) as process:
            await relayer.until_signed(first)
            process.process.kill()
            await process.process.wait()
        away = True
        second = await owner.add()
        await contract.finalize()
        relayer.wanted, relayer.signed = [first, second], set()
        async with sidecar(contract, url, tmp_path, "second", [node]) as process:
            await relayer.until_signed(first)
            await process.until("SSV events not read")
            assert second.public_key not in relayer.signed
            away = False
            await relayer.until_signed(first, second)


async def test_only_validators_of_its_owner(chain: Chain, tmp_path: Path) -> None:
    contract, relayer = await SsvContract.deployed(chain), Relayer()
    ours, stranger = contract.owner(1), contract.owner(2)
    theirs, mine = await stranger.add(), await ours.add()
    relayer.wanted = [theirs, mine]
    await contract.finalize()
    pinned = "--ssv-owner", write_address(ours.address)
    async with relayer.running() as url, sidecar(contract, url, tmp_path, "only", [chain.url], *pinned):
        await relayer.until_signed(mine)
        await asyncio.sleep(1)
    assert relayer.signed == {mine.public_key}


async def test_what_anybody_can_register_stops_nobody(chain: Chain, tmp_path: Path) -> None:
    """A validator that is right, but whose share for our operator is encrypted to another key."""
    contract, relayer = await SsvContract.deployed(chain), Relayer()
    owner = contract.owner()
    good = owner.validator()
    shares = good.encrypted_shares[[1, 0, 2, 3]]
    await owner.add(replace(good, encrypted_shares=shares))
    await contract.finalize()
    async with relayer.running() as url, sidecar(contract, url, tmp_path, "none", [chain.url]) as process:
        (told,) = await process.until("key problem")
        assert "opens none of 1 key shares; is it operator 17's?" in told["problem"]
        relayer.wanted = [await owner.add()]
        await contract.finalize()
        await relayer.until_signed(*relayer.wanted)


async def test_a_file_that_is_not_its_own(chain: Chain, tmp_path: Path) -> None:
    contract = await SsvContract.deployed(chain)
    (tmp_path / "ssv.db").write_bytes(b"something else" * 100)
    async with (
        sidecar(contract, DEAD, tmp_path, "wrong", [chain.url]) as process,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await process.process.wait()
    assert process.process.returncode == 2
    said = (tmp_path / "wrong.log").read_text()
    assert "ssv.db: no SSV events can be kept in it: file is not a database" in said
