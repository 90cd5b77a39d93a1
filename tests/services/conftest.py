"""A cluster with its secrets, and relayers to run it against: real servers, real kernels."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import structlog
from coincurve import PrivateKey

from dvtfast import (
    HOODI,
    PublicKeys,
    derive_public_keys,
    ecies,
    exit_signing_roots,
    generate_secret_keys,
    recover_signatures,
    sign,
    split_secret_keys,
    verify_signatures,
)
from dvtfast.clusters import ClusterShares
from dvtfast.protocol_config import OracleConfig
from dvtfast.services import wire
from dvtfast.services.relayer.app import Configuration, relaying
from dvtfast.services.relayer.clusters.served import ServedClusters
from dvtfast.services.relayer.judging.current_oracles import CurrentOracles
from dvtfast.services.relayer.judging.pipeline import Pipeline
from dvtfast.services.relayer.manager.key import ManagerKey
from dvtfast.services.relayer.storage_key import read_storage_key
from dvtfast.services.relayer.store.engine import postgres as postgresql
from dvtfast.services.relayer_client.client import RelayerClient
from dvtfast.services.settings import RelayerSettings

from . import postgres as postgres_
from .chain.fixtures import (  # noqa: F401 - fixtures
    anvil_url,
    bytecodes,
    chain,
    chain_clock,
    deployed,
    node,
    oracle_set,
    running_oracles,
    world,
)
from .patience import PATIENCE_SECONDS

ORACLE_THRESHOLD = 2
READY_SECONDS = PATIENCE_SECONDS
START_INDEX = 1000


@dataclass(frozen=True)
class Cluster:
    """What the nodes of a cluster have between them."""

    secret_keys: np.ndarray
    key_shares: np.ndarray
    shares: ClusterShares

    @property
    def keys(self) -> list[wire.PublicKey]:
        return [wire.PublicKey(row.tobytes()) for row in self.shares.public_keys.encoded]

    def exit_shares(
        self,
        share_index: int,
        validator_indices: Sequence[int],
        *,
        named: bool = False,
        signer: int | None = None,
    ) -> list[wire.ExitShare]:
        """What a node posts for the first validators; `signer` is the node whose key shares really sign."""
        place = self.shares.share_indices.tolist().index(signer or share_index)
        n = len(validator_indices)
        roots = exit_signing_roots(list(validator_indices), HOODI)
        signatures = sign(self.key_shares[:n, place], roots)
        return [
            wire.ExitShare(key, wire.Signature(row.tobytes()), wire.UInt64(index) if named else None)
            for key, row, index in zip(self.keys, signatures, validator_indices, strict=False)
        ]


def make_cluster(
    validators: int = 3,
    *,
    threshold: int = 3,
    share_indices: Sequence[int] = (1, 2, 3, 4),
    name: str = "test",
) -> Cluster:
    secret_keys = generate_secret_keys(validators)
    key_shares = split_secret_keys(secret_keys, threshold=threshold, share_indices=list(share_indices))
    public_key_shares = derive_public_keys(key_shares.reshape(-1, 32)).reshape(validators, -1, 48)
    shares = ClusterShares(
        name=name,
        network=HOODI,
        threshold=threshold,
        share_indices=np.array(share_indices, np.uint64),
        public_keys=PublicKeys(derive_public_keys(secret_keys)),
        public_key_shares=PublicKeys(public_key_shares),
    )
    return Cluster(secret_keys, key_shares, shares)


@dataclass(frozen=True)
class Oracles:
    """The oracles of a config, with their secrets."""

    secrets: list[PrivateKey]

    @property
    def config(self) -> OracleConfig:
        rows = [secret.public_key.format(compressed=False)[1:] for secret in self.secrets]
        return OracleConfig(
            public_keys=np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 64),
            endpoints=[[] for _ in rows],
            exit_signature_recover_threshold=ORACLE_THRESHOLD,
            raw={},
        )

    def require_exit(self, shares: dict[str, Any], root: np.ndarray, secret_key: np.ndarray) -> None:
        """The shares, as JSON has them, are for these oracles, and enough of them recover the exit."""
        parts = np.stack(
            [
                ecies.decrypt_batch([bytes.fromhex(blob[2:])], secret.secret)[0]
                for blob, secret in zip(shares["encrypted_exit_signatures"], self.secrets, strict=True)
            ]
        )
        public = [bytes.fromhex(share[2:]) for share in shares["public_keys"]]
        verify_signatures(PublicKeys(public), np.stack([root] * len(parts)), parts)
        whole, last = sign(secret_key, root).tobytes(), len(parts) - 1
        for places in ([0, 1], [last, 1], [0, last]):
            some, xs = parts[np.newaxis, places], [place + 1 for place in places]
            assert recover_signatures(some, xs, threshold=ORACLE_THRESHOLD)[0].tobytes() == whole


@dataclass(frozen=True)
class Relayer:
    """A running relayer."""

    url: str
    client: RelayerClient
    session: aiohttp.ClientSession

    async def ask(self, cluster: Cluster, start_index: int | None = None) -> wire.ValidatorsAnswer:
        index = None if start_index is None else wire.UInt64(start_index)
        return await self.client.post_validators(wire.ValidatorsRequest(cluster.keys, index))

    async def post(self, share_index: int, shares: list[wire.ExitShare]) -> list[wire.Rejected]:
        request = wire.ExitSignatureRequest(wire.ShareIndex(share_index), shares)
        return (await self.client.post_exit_shares(request)).rejected

    async def fill(self, cluster: Cluster, indices: Sequence[int], *share_indices: int) -> None:
        """Post the right shares of some nodes, as a sidecar does that names no validator index."""
        for share_index in share_indices:
            assert await self.post(share_index, cluster.exit_shares(share_index, indices)) == []

    async def exits(self) -> dict[bytes, wire.ExitWanted]:
        return {exit_.public_key: exit_ for exit_ in (await self.client.exits()).exits}

    async def until(
        self, condition: Callable[[dict[bytes, wire.ExitWanted]], bool]
    ) -> dict[bytes, wire.ExitWanted]:
        """Poll GET /exits until `condition` holds."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                exits = await self.exits()
                if condition(exits):
                    return exits
                await asyncio.sleep(0.02)

    async def until_ready(self, cluster: Cluster) -> wire.ValidatorsAnswer:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                answer = await self.ask(cluster)
                if answer.ready:
                    return answer
                await asyncio.sleep(0.02)

    async def raw(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send anything as JSON; the status and the JSON of the answer."""
        headers = {"Content-Type": "application/json"} if body else {}
        async with self.session.request(method, self.url + path, data=body, headers=headers) as answer:
            assert answer.content_type == "application/json"
            return answer.status, await answer.json()


Start = Callable[..., Any]


@pytest.fixture(scope="session")
def oracles() -> Oracles:
    return Oracles([PrivateKey() for _ in range(3)])


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[tuple[CurrentOracles, Pipeline]]:
    """The oracles and the pipeline of each relayer that is started."""
    made: list[tuple[CurrentOracles, Pipeline]] = []
    wired = Pipeline.__init__

    def keep(
        self: Pipeline, database: Any, clusters: Any, judge: Any, oracles: CurrentOracles, *more: Any
    ) -> None:
        wired(self, database, clusters, judge, oracles, *more)
        made.append((oracles, self))

    monkeypatch.setattr(Pipeline, "__init__", keep)
    return made


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_.Server]:
    """A PostgreSQL that stays as it is: who stops it makes one for itself."""
    with postgres_.server() as server:
        yield server


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command sets up logging for its process, which goes on here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def slow_machine_is_no_hanging_relayer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in the process of the tests shares it; relayers as processes are as they are."""
    monkeypatch.setattr(postgresql, "HANG_SECONDS", 4 * PATIENCE_SECONDS)
    monkeypatch.setitem(
        postgresql.SESSION, "idle_in_transaction_session_timeout", f"{4 * PATIENCE_SECONDS:.0f}s"
    )


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite; a module that imports `each_database` runs on PostgreSQL, too."""
    return f"sqlite:///{tmp_path}/relayer.db"


@pytest.fixture(params=["sqlite", "postgresql"])
async def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/relayer.db"
    server: postgres_.Server = request.getfixturevalue("postgres")
    return await server.database()


@pytest.fixture
def start(database_url: str, oracles: Oracles) -> Start:
    """Run a relayer in an `async with`; a second one has the same database."""

    @asynccontextmanager
    async def started(
        *clusters: Cluster,
        signature_threshold: int | None = None,
        start_index: int | None = START_INDEX,
        oracle_config: OracleConfig | None = None,
        manager_key: ManagerKey | None = None,
        **others: Any,
    ) -> AsyncIterator[Relayer]:
        flags = {"network": "hoodi", "oracles": __file__, "signature_threshold": "1"}
        settings = replace(
            RelayerSettings.load(flags, {}),
            signature_threshold=signature_threshold,
            start_index=start_index,
            **{"database": database_url, "port": 0, "threads": 1} | others,
        )
        served = ServedClusters([c.shares for c in clusters], signature_threshold=signature_threshold)
        config = (oracle_config or oracles.config) if settings.oracles else None
        key_file = settings.storage_key_file
        storage_key = None if key_file is None else read_storage_key(key_file)
        configuration = Configuration(settings, served, config, manager_key, storage_key=storage_key)
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(relaying(configuration))
            url = f"http://127.0.0.1:{port}"
            client = await stack.enter_async_context(RelayerClient(url, timeout_seconds=20, attempts=1))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            yield Relayer(url, client, session)

    return started


@pytest.fixture
def manager_key(tmp_path: Path) -> ManagerKey:
    from eth_account import Account

    file, password = tmp_path / "manager.json", tmp_path / "manager.txt"
    file.write_text(json.dumps(Account.encrypt(Account.create().key, "password", kdf="pbkdf2", iterations=1)))
    password.write_text("password")
    return ManagerKey.load(file, password)
