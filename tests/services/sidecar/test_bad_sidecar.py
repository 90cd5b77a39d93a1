"""One bad sidecar of four: the round completes, and everybody can see who was bad, and for whom."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dvtfast import HOODI
from dvtfast.services import wire
from dvtfast.services.demo.app import START_INDEX, start_operator, start_relayer, start_sidecar
from dvtfast.services.demo.processes import Services
from dvtfast.services.demo.proof import prove

from .. import bad_sidecar, rounds

# A round of 1,000: DVTFAST_TEST_VALIDATORS=1000 pytest tests/services/sidecar/test_bad_sidecar.py
VALIDATORS = int(os.environ.get("DVTFAST_TEST_VALIDATORS", "60"))
BAD_NODE = 0
BAD_INDEX = BAD_NODE + 1
OTHERS = sorted(bad_sidecar.KINDS.keys() - {"wrong-keys"})


@pytest.mark.parametrize(
    "kind", ["wrong-keys", *(pytest.param(kind, marks=pytest.mark.thorough) for kind in OTHERS)]
)
async def test_the_round_completes_and_names_the_culprit(kind: str, tmp_path: Path) -> None:
    cluster = rounds.cluster_of(VALIDATORS, tmp_path)
    keys = {key.tobytes() for key in cluster.public_keys.encoded}
    with Services(tmp_path, timeout_seconds=rounds.ROUND_SECONDS) as services:
        relayer = start_relayer(services, cluster, HOODI.name, port=0)
        url = f"http://127.0.0.1:{services.wait_for(relayer, 'listening')['port']}"
        bundle_path = tmp_path / "registration.json"
        operator = start_operator(services, cluster, HOODI.name, url, bundle_path)
        script = [sys.executable, "-m", bad_sidecar.__name__, url, str(BAD_INDEX), kind]
        bad = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
            [*script, cluster.node_keystores[BAD_NODE], cluster.lock], cwd=Path(__file__).parents[3]
        )
        try:
            async with rounds.client_of(url) as client:

                async def bad_shares_are_in() -> bool:
                    exits = (await client.exits()).exits
                    return len(exits) == VALIDATORS and all(BAD_INDEX in e.share_indexes_ready for e in exits)

                await rounds.until(bad_shares_are_in)
                for node in range(4):
                    if node != BAD_NODE:
                        start_sidecar(services, cluster, HOODI.name, node, url)
                while operator.exit_code() is None:
                    services.pause(may_end=[operator])

                async def all_are_named() -> bool:  # as soon as the relayer has nothing else to do
                    return sum(line["count"] for line in relayer.events("bad shares")) >= VALIDATORS

                await rounds.until(all_are_named)
                exits = (await client.exits()).exits
        finally:
            bad.kill()
            bad.wait()
        assert operator.exit_code() == 0, operator.last_lines()
        lines = relayer.events("bad shares")

    proof = prove(
        wire.decode(bundle_path.read_bytes(), wire.RegistrationBundle),
        cluster,
        network=HOODI,
        start_index=START_INDEX,
        threshold=8,
    )
    assert proof.shares == VALIDATORS * 11
    # GET /exits names the share index for every validator, and nobody else's.
    assert {bytes(exit_.public_key) for exit_ in exits} == keys
    assert all(exit_.share_indexes_rejected == [BAD_INDEX] for exit_ in exits)
    # So does the log, with counts that add up.
    assert {line["share_index"] for line in lines} == {BAD_INDEX}
    assert sum(line["count"] for line in lines) == VALIDATORS
    named = {bytes.fromhex(key.removeprefix("0x")) for line in lines for key in line["validators"]}
    assert named
    assert named <= keys
