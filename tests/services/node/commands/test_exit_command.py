"""`dvtfast exit`: what operators tell nodes, files between them, and what the chain that judges says."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dvtfast import sign
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.signed_sets import signed_set
from dvtfast.obol import KEY_FILE
from dvtfast.services.cli import main
from dvtfast.services.demo.beacon.process import running
from dvtfast.services.node.commands import exits as module
from dvtfast.services.node.commands.run import COMMAND
from dvtfast.services.node.exits.messages import ExitMessage, PartialExit
from dvtfast.services.node.exits.store import ExitStore
from dvtfast.services.process.key_lock import KeyLock
from dvtfast.services.settings import EXIT_CODE
from tests.services.demo.beacon.chains import GENESIS_TIME, RunningChain

from ...ceremony.dealt import a_cluster
from .processes import CHAIN_ID, FORK_VERSION, Nodes

VALIDATORS, NODES, SLOTS_PER_EPOCH = 64, 4, 8
FAILED = 1
STRANGER = "0x" + "ab" * 48


@pytest.fixture(scope="module")
def dealt_nodes(tmp_path_factory: pytest.TempPathFactory) -> Nodes:
    return Nodes(tmp_path_factory.mktemp("cluster"), a_cluster(VALIDATORS))


@pytest.fixture
def folders(dealt_nodes: Nodes, tmp_path: Path) -> list[Path]:
    """Of all nodes, without key shares, which no command reads."""
    return [
        Path(shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("validator_keys")))
        for folder in dealt_nodes.folders
    ]


@pytest.fixture(scope="module")
def chain(dealt_nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningChain]:
    """Of the cluster's validators, by hand."""
    keys = [key.tobytes() for key in dealt_nodes.dealt.lock.public_keys]
    with running(tmp_path_factory.mktemp("chain"), keys, ["--by-hand"]) as urls:
        yield RunningChain(urls)


def run(command: str, folder: Path, *arguments: str | Path, answer: str | None = None) -> Result:
    more = ["--data-dir", str(folder), *map(str, arguments)]
    return CliRunner().invoke(main, ["exit", *command.split(), *more], input=answer)


def on(chain: RunningChain) -> list[str]:
    return [
        *("--beacon-node", chain.urls[0], "--testnet-name", "testnet", "--testnet-chain-id", str(CHAIN_ID)),
        *("--testnet-fork-version", FORK_VERSION, "--testnet-genesis-timestamp", str(GENESIS_TIME)),
    ]


def refused(result: Result) -> list[str]:
    assert result.exit_code == EXIT_CODE, result.output
    assert result.stdout == ""
    return [line.removeprefix("error: ") for line in result.stderr.splitlines()]


def rows(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, list)
    return found


def key_of(nodes: Nodes, position: int) -> str:
    return "0x" + nodes.dealt.lock.public_keys[position].tobytes().hex()


def store_of(nodes: Nodes, folder: Path) -> ExitStore:
    return ExitStore(folder / "exits.db", nodes.dealt.lock.lock_hash)


async def schedule_of(chain: RunningChain) -> ForkSchedule:
    genesis = (await chain.ask("GET", "/eth/v1/beacon/genesis"))["data"]
    spec = (await chain.ask("GET", "/eth/v1/config/spec"))["data"]
    version = bytes.fromhex(genesis["genesis_fork_version"][2:])
    return ForkSchedule(
        bytes.fromhex(genesis["genesis_validators_root"][2:]),
        SLOTS_PER_EPOCH,
        [ForkEpoch(0, version, FULU)],
        version,
        bytes.fromhex(spec["CAPELLA_FORK_VERSION"][2:]),
    )


def partial_of(
    nodes: Nodes, node: int, position: int, schedule: ForkSchedule, *, epoch: int = 0
) -> PartialExit:
    """What a node signs; positions are indices on the chain."""
    message = ExitMessage(nodes.dealt.lock.public_keys[position].tobytes(), epoch, position)
    [root] = signed_set(DutyType.EXIT, [message.signed()], schedule).signing_roots
    return PartialExit(message, node, sign(nodes.dealt.key_shares[position, node], root).tobytes())


# What is ordered.


def test_an_order_is_a_row_in_a_private_file(folders: list[Path], dealt_nodes: Nodes) -> None:
    key = key_of(dealt_nodes, 3)
    result = run("sign", folders[0], "--validator-public-key", key, "--yes", "--json")
    (row,) = rows(result)
    assert result.stderr == "the node does not run; it signs when it does\n"
    assert row == {
        "public_key": key,
        "exit_epoch": 0,  # Capella's, of hoodi
        "ordered": True,
        "signed_by": [],
        "threshold": 3,
        "signed": False,
        "wanted": False,
        "sent_at": None,
        "other_epochs": [],
        "problem": "",
    }
    assert stat.S_IMODE((folders[0] / "exits.db").stat().st_mode) == 0o600
    again = run("sign", folders[0], "--validator-public-key", key, "--yes", "--publish", "--json")
    assert rows(again)[0]["wanted"]


def test_it_is_asked_first(folders: list[Path]) -> None:
    result = run("sign", folders[0], "--all", answer="n\n")
    assert result.exit_code == FAILED
    assert "Sign for this node that 64 validators of the cluster 'small' leave for ever" in result.stderr
    assert result.stderr.splitlines()[-1] == "nothing was ordered"
    assert not (folders[0] / "exits.db").exists()
    assert run("sign", folders[0], "--all", answer="").exit_code == FAILED  # nobody is there
    result = run("sign", folders[0], "--all", answer="y\n")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == VALIDATORS
    assert all("  ordered, epoch 0  " in line for line in result.stdout.splitlines())


def test_mistakes(folders: list[Path], dealt_nodes: Nodes, tmp_path: Path) -> None:
    key = ["--validator-public-key", key_of(dealt_nodes, 3)]
    neither = refused(run("sign", folders[0], "--yes"))
    assert neither == refused(run("sign", folders[0], "--yes", "--all", *key))
    assert neither[0].endswith(": expected one of them")
    assert refused(run("sign", folders[0], "--yes", "--validator-public-key", STRANGER)) == [
        f"{STRANGER}: no validator of the cluster 'small'"
    ]
    assert "--validator-public-key" in refused(run("sign", folders[0], "--validator-public-key", "0xab"))[0]
    assert refused(run("sign", tmp_path / "nowhere", "--yes", *key)) == [
        f"{tmp_path}/nowhere/charon-enr-private-key: no such file"
    ]
    assert run("sign", folders[0], "--yes", *key, "--exit-epoch", "7").exit_code == 0
    assert refused(run("sign", folders[0], "--yes", *key)) == [
        f"{key[1]}: an exit of epoch 7 was ordered before: say --exit-epoch 7, or --replace, after which two"
        " are valid"
    ]
    assert run("sign", folders[0], "--yes", *key, "--replace").exit_code == 0
    assert refused(run("export", folders[1], tmp_path / "out.json", "--all")) == [
        "this node has signed no exit of these; see dvtfast exit sign"
    ]
    assert not (tmp_path / "out.json").exists()
    assert not (folders[1] / "exits.db").exists()  # who only looks makes nothing
    assert "beacon" in refused(run("list", folders[0]))[0]


def test_a_node_that_runs_is_waited_for(
    folders: list[Path], dealt_nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    key = ["--validator-public-key", key_of(dealt_nodes, 3)]
    with KeyLock(folders[0] / KEY_FILE, COMMAND, cluster_lock_hash="0x00"):
        result = run("sign", folders[0], "--yes", *key)
    assert result.stderr == "1 validator not signed yet; the node goes on with it\n"


def test_exits_of_another_cluster(folders: list[Path], dealt_nodes: Nodes) -> None:
    ExitStore(folders[0] / "exits.db", bytes(32)).close()
    (line,) = refused(run("sign", folders[0], "--yes", "--all"))
    assert line.endswith("exits.db: its exits are of another cluster; move it away")


def test_an_order_is_taken_back(folders: list[Path], dealt_nodes: Nodes) -> None:
    keys = [key_of(dealt_nodes, position) for position in (3, 4)]
    both = ["--validator-public-key", ",".join(keys)]
    assert run("sign", folders[0], *both, "--yes", "--publish").exit_code == 0
    store = store_of(dealt_nodes, folders[0])
    message = ExitMessage(bytes.fromhex(keys[1][2:]), 0, 4)
    store.add([PartialExit(message, 0, bytes(96))])
    result = run("cancel", folders[0], *both, "--json")
    assert [(row["ordered"], row["wanted"], row["signed_by"]) for row in rows(result)] == [
        (False, False, []),
        (False, False, [1]),
    ]
    assert result.stderr == "1 validator signed before; other nodes may have that, and use it\n"
    assert (store.orders(), store.wanted()) == ([], set())
    store.close()


# What comes of it.


def test_from_file_to_file_and_to_the_chain(
    folders: list[Path], dealt_nodes: Nodes, chain: RunningChain, tmp_path: Path
) -> None:
    """Three nodes that never met: each has signed, and the first one gets the files of the others."""
    asyncio.run(chain.go_to(SLOTS_PER_EPOCH))
    schedule = asyncio.run(schedule_of(chain))
    files = [tmp_path / f"partial-{node}.json" for node in range(3)]
    for node in range(3):
        store = store_of(dealt_nodes, folders[node])
        store.add([partial_of(dealt_nodes, node, position, schedule) for position in (3, 4)])
        store.close()
        assert run("export", folders[node], files[node], "--all").stdout == (
            f"{files[node]} has 2 partial exits of share index {node + 1}\n"
        )
        assert stat.S_IMODE(files[node].stat().st_mode) == 0o600
    assert run("export", folders[0], files[0], "--all").exit_code == FAILED  # never written over
    form = json.loads(files[1].read_text())
    assert form["share_idx"] == 2
    (first,) = [each for each in form["partial_exits"] if each["public_key"] == key_of(dealt_nodes, 3)]
    assert first["signed_exit_message"]["message"] == {"epoch": "0", "validator_index": "3"}

    key = ["--validator-public-key", key_of(dealt_nodes, 3)]
    result = run("import", folders[0], files[1], *on(chain))
    assert result.stdout == "new here are 2 partial exits of share index 2\n"
    again = run("import", folders[0], files[1], "--json", *on(chain))
    assert json.loads(again.stdout) == {"share_index": 2, "partial_exits": 0}
    assert refused(run("broadcast", folders[0], *key, "--yes", *on(chain))) == [
        f"{key[1]}: the cluster has not signed an exit; see dvtfast exit list"
    ]
    assert len(refused(run("broadcast", folders[0], "--all", "--yes", *on(chain)))) == 1
    listed = rows(run("list", folders[0], "--json", *on(chain)))
    assert len(listed) == VALIDATORS
    assert (listed[3]["validator_index"], listed[3]["status"]) == (3, "active_ongoing")
    assert listed[3]["signed_by"] == [1, 2]
    assert "signed by 2 of 3 nodes, epoch 0" in run("list", folders[0], *on(chain)).stdout

    spoilt = tmp_path / "spoilt.json"
    exits = json.loads(files[2].read_text())
    exits["partial_exits"][0]["signed_exit_message"]["signature"] = first["signed_exit_message"]["signature"]
    spoilt.write_text(json.dumps(exits))
    result = run("import", folders[0], spoilt, *on(chain))
    assert result.exit_code == EXIT_CODE
    assert result.stderr == f"error: {spoilt}: a wrong partial signature, of 1 validators\n"
    assert run("import", folders[0], files[2], *on(chain)).exit_code == 0
    assert rows(run("list", folders[0], "--json", *on(chain)))[3]["signed"]

    store = store_of(dealt_nodes, folders[0])
    store.order([bytes.fromhex(key[1][2:])], 7)  # what its operator ordered is not what is there
    assert len(refused(run("broadcast", folders[0], *key, "--yes", *on(chain)))) == 1
    store.order([bytes.fromhex(key[1][2:])], 0, replace=True)
    store.close()
    result = run("broadcast", folders[0], *key, *on(chain), answer="n\n")
    assert result.exit_code == FAILED
    assert "End 1 validator of the cluster 'small' for ever, by exits of epoch 0?" in result.stderr
    assert asyncio.run(chain.report())["verdicts"].get("exit") is None
    (sent,) = rows(run("broadcast", folders[0], *key, "--yes", "--json", *on(chain)))
    assert sent["wanted"]
    assert sent["sent_at"] is not None
    report = asyncio.run(chain.report())
    assert report["verdicts"]["exit"] == {"accepted": 1}
    assert report["refused"] == []


def test_what_is_kept_for_later_needs_a_node_that_runs(
    folders: list[Path], dealt_nodes: Nodes, chain: RunningChain
) -> None:
    """Of partial exits that the node had not put together."""
    schedule = asyncio.run(schedule_of(chain))
    store = store_of(dealt_nodes, folders[0])
    store.add([partial_of(dealt_nodes, node, 5, schedule, epoch=1 << 40) for node in range(3)])
    store.close()
    key = ["--validator-public-key", key_of(dealt_nodes, 5)]
    result = run("broadcast", folders[0], *key, "--yes", "--json", *on(chain))
    (row,) = rows(result)
    assert (row["exit_epoch"], row["wanted"], row["sent_at"]) == (1 << 40, True, None)
    assert result.stderr == "1 validator not sent yet; the node, which goes on with it, does not run\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{}", "partial_exits"),
        (b"nothing", "JSON"),
        (b'{"partial_exits": [], "share_idx": 5}', "share_idx: expected 1 to 4, got 5"),
        (
            b'{"share_idx": 1, "partial_exits": [{"public_key": "%s", "signed_exit_message":'
            b' {"message": {"epoch": "0", "validator_index": "0"}, "signature": "0x"}}]}' % STRANGER.encode(),
            "partial_exits[0]: it is of no validator of the cluster",
        ),
    ],
)
def test_files_that_are_none(
    folders: list[Path], tmp_path: Path, chain: RunningChain, content: bytes, why: str
) -> None:
    (path := tmp_path / "in.json").write_bytes(content)
    (line,) = refused(run("import", folders[0], path, *on(chain)))
    assert line.startswith(f"{path}: ")
    assert why in line
