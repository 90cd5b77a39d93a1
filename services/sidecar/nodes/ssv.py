"""SSV operators as nodes: their key shares decrypted, from keyshares files."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from pathlib import Path
from time import perf_counter

from dvtfast import ssv

from ...keys.key_shares import NodeKeys, NoKeysError
from ...process import logs
from ...process.offload import Workers
from ...settings import SidecarSettings
from ...wire import PublicKey
from .file_states import state_of
from .local import local_node
from .node import SHOWN_ITEMS, Node

log = logs.get("sidecar")


class SsvFiles:
    """Keyshares files, and the keys of some of their operators."""

    def __init__(self, settings: SidecarSettings, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers

    async def load(self) -> Sequence[Node]:
        """Read all files."""
        return await asyncio.to_thread(self._load)

    def fingerprint(self) -> Hashable:
        """Of the names and times of all files."""
        return state_of(*self._settings.ssv_keyshares, *key_files(self._settings))

    def _load(self) -> list[Node]:
        files = ", ".join(map(str, self._settings.ssv_keyshares))
        validators = _right(_read_files(self._settings.ssv_keyshares), threads=self._settings.threads)
        for operator_id in self._settings.ssv_operator_ids:
            if not any(operator_id in validator.operator_ids for validator in validators):
                there = sorted({each for validator in validators for each in validator.operator_ids})
                raise NoKeysError(f"{files}: no validator has operator {operator_id}; there are {there}")
        nodes, problems = nodes_of(validators, self._settings, self._workers)
        if problems:
            raise NoKeysError(problems[0])
        return nodes


def nodes_of(
    validators: Sequence[ssv.KeyShares], settings: SidecarSettings, workers: Workers
) -> tuple[list[Node], list[str]]:
    """One node for each operator of the settings; what is wrong with single shares is logged.

    Returns:
        The nodes, and a line for each operator whose key opens none of its shares.

    Raises:
        KeystoreError: an operator's key cannot be read.
    """
    # All keys first: whoever has one wrong shall not wait for the others' shares.
    keys = {
        operator_id: ssv.read_operator_key(*settings.ssv_key_files(operator_id))
        for operator_id in settings.ssv_operator_ids
    }
    nodes, problems = [], []
    for operator_id, key in keys.items():
        begin = perf_counter()
        opened = ssv.open_key_shares(validators, operator_id, key, threads=settings.threads)
        _tell(opened.problems)
        if opened.problems and not len(opened.key_shares):
            file, _ = settings.ssv_key_files(operator_id)
            count = len(opened.problems)
            problems.append(f"{file}: opens none of {count} key shares; is it operator {operator_id}'s?")
        log.info(
            "keys loaded",
            cluster=_name(validators, operator_id),
            share_index=operator_id,
            count=len(opened.key_shares),
            validators=len(opened.key_shares) + len(opened.problems),
            seconds=round(perf_counter() - begin, 3),
        )
        held = NodeKeys(_name(validators, operator_id), operator_id, opened.public_keys, opened.key_shares)
        nodes.append(local_node(held, workers, threads=settings.threads))
    return nodes, problems


def _name(validators: Sequence[ssv.KeyShares], operator_id: int) -> str:
    """Of the operator's cluster, if it is in one only."""
    sets = {v.operator_ids for v in validators if operator_id in v.operator_ids}
    return "ssv-" + "-".join(map(str, *sets)) if len(sets) == 1 else "ssv"


def _read_files(files: Sequence[Path]) -> list[ssv.KeyShares]:
    """The validators of all files, each once."""
    validators: dict[bytes, ssv.KeyShares] = {}
    for file in files:
        for validator in ssv.read_keyshares(file):
            if validators.setdefault(validator.public_key, validator) is not validator:
                key = PublicKey(validator.public_key).to_wire()
                _tell([f"{file}: validator {key} is in another file, too; that one counts"])
    return list(validators.values())


def _right(validators: Sequence[ssv.KeyShares], *, threads: int | None) -> list[ssv.KeyShares]:
    found = list(zip(validators, ssv.check_key_shares(validators, threads=threads), strict=True))
    _tell([f"validator {PublicKey(v.public_key).to_wire()}: {problem}" for v, problem in found if problem])
    return [validator for validator, problem in found if not problem]


def key_files(settings: SidecarSettings) -> list[Path]:
    """Where the operators' keys and their passwords are."""
    both = [settings.ssv_key_files(operator_id) for operator_id in settings.ssv_operator_ids]
    return [file for pair in both for file in pair if file is not None]


def _tell(problems: Sequence[str]) -> None:
    for problem in problems[:SHOWN_ITEMS]:
        log.warning("key share problem", problem=problem)
    if len(problems) > SHOWN_ITEMS:
        log.warning("more key share problems", count=len(problems) - SHOWN_ITEMS)
