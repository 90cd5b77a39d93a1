"""A ceremony of SSV operators, as the command line says it."""

from __future__ import annotations

from dataclasses import replace

from dvtfast import ssv

from ...settings import DkgSettings, VerifyBlameSettings
from ..definition import ClusterAgreement
from ..errors import CeremonyError
from ..ssv_terms import SsvTerms


def with_ssv(agreement: ClusterAgreement, settings: DkgSettings | VerifyBlameSettings) -> ClusterAgreement:
    """An agreement of operators of SSV, where they are named.

    Raises:
        CeremonyError: the nodes of the definition cannot be theirs.
        FileError: the file of operators is none.
    """
    if settings.ssv_operators is None or settings.ssv_owner is None:
        return agreement
    operators, nodes = ssv.read_operators(settings.ssv_operators), len(agreement.node_keys)
    if agreement.network.ssv_contract is None:
        raise CeremonyError(f"SSV is not on {agreement.network.name}")
    if len(operators) != nodes:
        raise CeremonyError(f"--ssv-operators: has {len(operators)}, and the definition {nodes} nodes")
    threshold, wanted = agreement.definition.threshold, ssv.threshold_of(nodes)
    if threshold != wanted:
        raise CeremonyError(f"threshold: {wanted} of {nodes} operators of SSV must sign, got {threshold}")
    return replace(agreement, ssv=SsvTerms(operators, settings.ssv_owner, settings.ssv_owner_nonce))


def operator_key_of(
    agreement: ClusterAgreement, settings: DkgSettings, position: int
) -> ssv.OperatorKey | None:
    """This operator's own key, to which its shares are encrypted.

    Whoever could have another key taken for it would have the shares: so it is no matter of the file that
    all operators have, which must say the same.

    Raises:
        CeremonyError: the file says something else.
        KeystoreError: it is none, or the password is wrong.
    """
    if agreement.ssv is None or settings.ssv_operator_key is None:
        return None
    key = ssv.read_operator_key(settings.ssv_operator_key, settings.ssv_operator_password)
    operator_id = agreement.ssv.ids[position]
    if agreement.ssv.operators[operator_id] != key.public_key:
        raise CeremonyError(
            f"--ssv-operator-key: not that of operator {operator_id} in --ssv-operators, whose place in the"
            f" definition is this node's, {position}: its nodes are in the order of operator ids"
        )
    return key
