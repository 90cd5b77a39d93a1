"""`dvtfast create dkg`: the definition that the operators of a new cluster agree on."""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray

from dvtfast import FileError
from dvtfast.obol import (
    ClusterDefinition,
    Operator,
    broken_rules,
    is_nobodys,
    make_cluster_definition,
    write_cluster_definition,
)

from ...chain.encoding import write_address, write_data
from ...files import paths
from ...process import logs
from ...settings import CreateDkgSettings, NewClusterSettings
from ..errors import CeremonyError
from ..staging import DIRECTORY_MODE
from .terminal import run

DEFINITION_FILE = "cluster-definition.json"
NOT_JOINED = "operators["  # what is missing of those who are named by their account, and join later

log = logs.get("ceremony")


def create(settings: CreateDkgSettings) -> int:
    """Write the definition to a new file."""
    return run(lambda: _create(settings))


def usual_threshold(nodes: int) -> int:
    """Two thirds, rounded up: what the nodes' consensus needs, too."""
    return -(-2 * nodes // 3)


def threshold_of(settings: NewClusterSettings, nodes: int) -> int:
    """The one given, which is warned of where it is unusual."""
    usual = usual_threshold(nodes)
    if settings.threshold not in (None, usual):
        log.warning(
            "unusual threshold: with less fewer nodes sign, with more fewer may fail",
            threshold=settings.threshold,
            usual=usual,
            nodes=nodes,
        )
    return settings.threshold or usual


def addresses_for(addresses: tuple[bytes, ...], validators: int) -> NDArray[np.uint8]:
    """One for each validator, uint8[n, 20]."""
    rows = np.frombuffer(b"".join(addresses), dtype=np.uint8).reshape(len(addresses), -1)
    return rows.repeat(validators, axis=0) if len(rows) == 1 else rows


def _create(settings: CreateDkgSettings) -> int:
    path = settings.output_dir / DEFINITION_FILE
    if paths.is_there(path):
        raise FileError("is there already; move it away, or name another --output-dir", path)
    operators = [Operator(enr=enr) for enr in settings.operator_enrs] or [
        Operator(enr="", address=write_address(address)) for address in settings.operator_addresses
    ]
    definition = make_cluster_definition(
        network=settings.network,
        operators=operators,
        threshold=threshold_of(settings, len(operators)),
        fee_recipients=addresses_for(settings.fee_recipient_addresses, settings.num_validators),
        withdrawal_addresses=addresses_for(settings.withdrawal_addresses, settings.num_validators),
        name=settings.name,
        deposit_amounts_gwei=settings.deposit_amounts,
        consensus_protocol=settings.consensus_protocol,
        target_gas_limit=settings.target_gas_limit,
        compounding=settings.compounding,
        dkg_algorithm=settings.dkg_algorithm,
    )
    if broken := _broken(definition):
        raise CeremonyError("; ".join(broken))
    settings.output_dir.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    write_cluster_definition(path, definition)
    click.echo(
        f"{path}: {settings.num_validators} validators on {settings.network.name},"
        f" {definition.threshold} of {len(operators)} nodes"
    )
    click.echo(f"config hash {write_data(definition.config_hash)}")
    if is_nobodys(definition):
        click.echo("give this file to every operator; each begins with `dvtfast dkg`, all at the same time")
    else:
        click.echo(
            "each operator now joins with a node record and the signatures of the account named; Obol's"
            " launchpad makes them. Then all begin with `dvtfast dkg`"
        )
    return 0


def _broken(definition: ClusterDefinition) -> list[str]:
    """Without what operators that are named by their account have yet to say."""
    broken = broken_rules(definition)
    if is_nobodys(definition):
        return broken
    return [line for line in broken if not line.startswith(NOT_JOINED)]
