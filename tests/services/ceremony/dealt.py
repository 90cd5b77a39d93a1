"""A small cluster as its dealer has it, and keystores that cost nothing."""

from __future__ import annotations

import numpy as np

from dvtfast import HOODI, generate_secret_keys
from dvtfast.keystores import PBKDF2_INSECURE
from dvtfast.obol import ClusterDefinition, make_cluster_definition
from dvtfast.services.ceremony.dealing import DealtCluster, deal, new_node_keys, operators_of
from dvtfast.services.ceremony.folder import Cost, NodeResult

CHEAP = Cost(PBKDF2_INSECURE, threads=1)
ADDRESS = bytes(range(1, 21))


def definition_of(node_keys: tuple[bytes, ...], validators: int = 2) -> ClusterDefinition:
    """Any three of them sign."""
    rows = np.frombuffer(ADDRESS, np.uint8)[np.newaxis].repeat(validators, axis=0)
    return make_cluster_definition(
        network=HOODI,
        operators=operators_of(node_keys),
        threshold=3,
        fee_recipients=rows,
        withdrawal_addresses=rows,
        name="small",
    )


def a_cluster(validators: int = 2, nodes: int = 4) -> DealtCluster:
    """Of new keys."""
    node_keys = new_node_keys(nodes)
    definition = definition_of(node_keys, validators)
    return deal(definition, generate_secret_keys(validators), node_keys, HOODI, threads=1)


def result_of(dealt: DealtCluster, node: int) -> NodeResult:
    """What one of its nodes has."""
    return NodeResult(dealt.lock, dealt.network, node, dealt.key_shares[:, node])
