"""A whole round over HTTPS: each program a process that has its token and certificate in files."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dvtfast.services import wire
from dvtfast.services.demo.app import START_INDEX
from dvtfast.services.demo.processes import Services
from dvtfast.services.demo.proof import prove

from ..access import EVERYTHING, For, secret_of, sidecar, tokens_of
from ..certificates import Authority
from ..rounds import cluster_of, settings_of

VALIDATORS = 8
NODES = range(1, 5)


async def files_with_tokens(directory: Path, kinds: list[For]) -> list[Path]:
    files = [directory / f"token{i}" for i in range(len(kinds))]
    async with tokens_of(f"sqlite:///{directory}/relayer.db") as tokens:
        for file, kind in zip(files, kinds, strict=True):
            file.write_text(await tokens.make(kind) + "\n")
    return files


def test_a_round(tmp_path: Path) -> None:
    settings, cluster = settings_of(VALIDATORS), cluster_of(VALIDATORS, tmp_path)
    authority = Authority(tmp_path)
    chain, key = authority.issue("relayer")
    mine, mine_key = authority.issue("client")
    kinds = [EVERYTHING, *(sidecar(("dvtfast demo", node)) for node in NODES)]
    operators, *of_nodes = asyncio.run(files_with_tokens(tmp_path, kinds))
    network = ("--network", settings.network.name)

    def shows(token: Path) -> tuple[str, ...]:
        files = {"token-file": token, "ca": authority.file, "client-cert": mine, "client-key": mine_key}
        return tuple(part for name, file in files.items() for part in (f"--relayer-{name}", str(file)))

    with Services(tmp_path, timeout_seconds=90) as services:
        relayer = services.start(
            "relayer", "relayer", *network, "--port", "0", "--host", "0.0.0.0", *cluster.relayer_options,
            "--oracles", str(cluster.oracle_config), "--tls-certificate", str(chain), "--tls-key", str(key),
            "--tls-client-ca", str(authority.file),
        )  # fmt: skip
        url = f"https://127.0.0.1:{services.wait_for(relayer, 'listening')['port']}"
        for node, token in zip(NODES, of_nodes, strict=True):
            directory = cluster.directories[node - 1]
            started = services.start(
                f"sidecar{node}", "sidecar", *network, "--relayer", url, *shows(token),
                "--journal", str(directory / "journal.db"), *cluster.sidecar_options[node - 1],
            )  # fmt: skip
            services.wait_for(started, "relayer found")
        operator = services.start(
            "operator", "operator", "collect", *network, "--relayer", url, *shows(operators),
            "--deposit-data", str(cluster.deposit_data), "--start-index", str(START_INDEX),
        )  # fmt: skip
        while operator.exit_code() is None:
            services.pause(may_end=[operator])
        assert operator.exit_code() == 0, operator.last_lines()
        told = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    for token in (operators, *of_nodes):
        assert secret_of(token.read_text().strip()) not in told
    bundle = wire.decode((tmp_path / "registration.json").read_bytes(), wire.RegistrationBundle)
    prove(bundle, cluster, network=settings.network, start_index=START_INDEX, threshold=8)
