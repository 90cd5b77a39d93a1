"""Nodes of a ceremony, each a process of its own on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvtfast.obol import KEY_FILE, write_cluster_definition, write_node_key
from dvtfast.services.ceremony.dealing import new_node_keys
from dvtfast.services.demo.world.ports import free_port
from tests.vector_files import VECTORS

from ..patience import PATIENCE_SECONDS
from .dealt import definition_of

ROOT = VECTORS.parent.parent


class NodeProcess:
    """`dvtfast dkg` of one node, or another program; it can be killed, and started again."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.folder = folder
        self.program: tuple[str, ...] = ("-m", "dvtfast.services", "dkg")
        self.lines: list[str] = []
        self._arguments = arguments
        self._news = threading.Condition()
        self._is_mute = False
        self._reader: threading.Thread | None = None
        self.process: subprocess.Popen[str] | None = None

    def start(self, *more: str) -> None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("CHARON_")}
        self.process = subprocess.Popen(
            [sys.executable, *self.program, *self._arguments, *more],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.lines.clear()
        self._is_mute = False
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def kill_at(self, step: str) -> None:
        """End it as a power cut would, when it says that it is there."""
        self.wait_for(f"name={step} ")
        self.kill()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._ended()

    def wait_for(self, text: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: any(text in line for line in self.lines), PATIENCE_SECONDS), (
                self.lines
            )

    def wait_for_lines(self, count: int) -> None:
        """Until it has said so much, or has ended."""
        with self._news:
            assert self._news.wait_for(lambda: self._is_mute or len(self.lines) >= count, PATIENCE_SECONDS)

    def result(self) -> tuple[int, Any]:
        """How it ended, and what it printed."""
        code, printed = self._ended()
        return code, json.loads(printed) if printed else None

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def _ended(self) -> tuple[int, str]:
        assert self.process is not None
        assert self.process.stdout is not None
        with self.process.stdout as output:
            printed = output.read()
        code = self.process.wait(PATIENCE_SECONDS)
        assert self._reader is not None
        self._reader.join(PATIENCE_SECONDS)
        return code, printed

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as said:
            for line in said:
                with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._is_mute = True
            self._news.notify_all()


class Cluster:
    """A definition, and the folders of its nodes.

    Args:
        relays: the one of each node; without them they listen, and know where the others do.
    """

    def __init__(
        self, directory: Path, *, nodes: int = 4, validators: int = 3, relays: Sequence[str] = ()
    ) -> None:
        keys = new_node_keys(nodes)
        self.definition = definition_of(keys, validators)
        self.file = directory / "cluster-definition.json"
        write_cluster_definition(self.file, self.definition)
        self.ports = ports = [free_port() for _ in range(nodes)]
        self.nodes = []
        for position, key in enumerate(keys):
            folder = directory / f"node{position}"
            folder.mkdir()
            write_node_key(folder / KEY_FILE, key)
            arguments = [
                *("--data-dir", str(folder), "--definition-file", str(self.file)),
                *("--insecure-keys", "--json", "--threads", "1"),
            ]
            if relays:
                arguments += ["--p2p-relays", relays[position]]
            else:
                arguments += ["--p2p-tcp-address", f"127.0.0.1:{ports[position]}"]
                for other, port in enumerate(ports):
                    if other != position:
                        arguments += ["--peer-address", f"{other}=127.0.0.1:{port}"]
            self.nodes.append(NodeProcess(folder, arguments))

    def close(self) -> None:
        """End what still runs."""
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()
