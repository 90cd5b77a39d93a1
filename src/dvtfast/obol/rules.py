"""Whether a key generation may begin with a definition: what charon asks of it, and some more.

What is wrong is named by its field. There are two kinds: rules that nobody can do without, and proofs, which
somebody who knows better can.

Source: charon, cluster definition and dkg.
"""

from __future__ import annotations

from collections.abc import Collection

from dvtfast._files import to_hex
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.errors import InputError
from dvtfast.networks import Network, network_with_fork_version
from dvtfast.obol import consent, hashing
from dvtfast.obol.enr import public_key_of
from dvtfast.obol.lock import ClusterDefinition

GWEI_PER_ETHER = 10**9
LEAST_THRESHOLD = 2  # with 1 every share would be the key itself
MOST_OPERATORS = 255  # FROST numbers them in one byte
LEAST_DEPOSIT_GWEI = GWEI_PER_ETHER
MOST_DEPOSIT_GWEI = GWEI_PER_VALIDATOR
MOST_COMPOUNDING_GWEI = 64 * GWEI_PER_VALIDATOR
DKG_ALGORITHMS = ("", "default", "frost", "pedersen")


def network_of(definition: ClusterDefinition) -> Network:
    """The network of a definition.

    Raises:
        InputError: it is unknown here.
    """
    return network_with_fork_version(definition.fork_version)


def node_keys_of(definition: ClusterDefinition) -> tuple[bytes, ...]:
    """The compressed secp256k1 key of each node, 33 bytes.

    Raises:
        InputError: a record is missing or wrong, or two nodes have one key.
        MissingExtraError: the extra `files` is not installed.
    """
    keys: dict[bytes, int] = {}
    for i, operator in enumerate(definition.operators):
        if not operator.enr:
            raise InputError(f"operators[{i}].enr: missing; the operator has not joined yet")
        try:
            key = public_key_of(operator.enr)
        except InputError as error:
            raise InputError(f"operators[{i}].enr: {error}") from None
        if (first := keys.setdefault(key, i)) != i:
            raise InputError(f"operators[{i}].enr: has the key of operators[{first}]; each node has its own")
    return tuple(keys)


def broken_rules(definition: ClusterDefinition) -> list[str]:
    """A line for each field with which no key generation may begin."""
    problems = []
    for look in (network_of, node_keys_of):
        try:
            look(definition)
        except InputError as error:
            problems.append(str(error))
    n = len(definition.operators)
    if n > MOST_OPERATORS:
        problems.append(f"operators: expected at most {MOST_OPERATORS}, got {n}")
    if not LEAST_THRESHOLD <= definition.threshold <= n:
        problems.append(
            f"threshold: expected {LEAST_THRESHOLD}..{n} for {n} operators, got {definition.threshold}"
        )
    if definition.dkg_algorithm not in DKG_ALGORITHMS:
        problems.append(f"dkg_algorithm: expected one of {', '.join(filter(None, DKG_ALGORITHMS))}")
    problems += wrong_amounts(definition.deposit_amounts_gwei, is_compounding=definition.compounding)
    for i, address in enumerate(definition.withdrawal_addresses):
        if not address.any():
            problems.append(f"validators[{i}].withdrawal_address: zero, from where nothing comes back")
            break
    return problems


def wrong_amounts(amounts: tuple[int, ...], *, is_compounding: bool) -> list[str]:
    """What is wrong with the deposits of one validator, in gwei; none are the usual ones."""
    most = MOST_COMPOUNDING_GWEI if is_compounding else MOST_DEPOSIT_GWEI
    problems = [
        f"deposit_amounts[{i}]: expected {LEAST_DEPOSIT_GWEI}..{most} gwei, got {amount}"
        for i, amount in enumerate(amounts)
        if not LEAST_DEPOSIT_GWEI <= amount <= most
    ]
    if amounts and sum(amounts) < GWEI_PER_VALIDATOR:
        problems.append(
            f"deposit_amounts: expected at least {GWEI_PER_VALIDATOR} gwei in all, got {sum(amounts)}"
        )
    return problems


def missing_proofs(definition: ClusterDefinition, *, proven: Collection[str] = frozenset()) -> list[str]:
    """A line for each hash that does not fit, and each signature that is missing or of nobody.

    A definition that names no account and has no signature is agreed on by who starts with it. A definition
    hash may be left out.

    Args:
        proven: names of signatures of accounts that are contracts and said that they have signed.

    Raises:
        MissingExtraError: the extra `files` is not installed.
    """
    faults = []
    computed = hashing.with_hashes(definition)
    if definition.config_hash != computed.config_hash:
        faults.append(_other("config_hash", definition.config_hash, computed.config_hash))
    if definition.definition_hash and definition.definition_hash != computed.definition_hash:
        faults.append(_other("definition_hash", definition.definition_hash, computed.definition_hash))
    if consent.is_nobodys(definition):
        return faults
    if missing := consent.missing_signatures(definition):
        return [*faults, *(f"{name}: missing; all accounts sign, or nobody is named" for name in missing)]
    try:
        network = network_of(definition)
    except InputError:  # a rule that is broken
        return faults
    return faults + [
        f"{each.name}: not by the key of {each.address}"
        for each in consent.unproven_signatures(definition, network)
        if each.name not in proven
    ]


def _other(name: str, stated: bytes, computed: bytes) -> str:
    if not stated:
        return f"{name}: missing, expected {to_hex(computed)}"
    return f"{name}: does not fit the content, expected {to_hex(computed)}"
