"""Batch BLS threshold cryptography for distributed validators.

Arrays are numpy, the batch is the first axis, and a lone row is a batch of one. File formats live in
their own modules: `clusters`, `deposits`, `keystores`, `obol`, `protocol_config`, `ssv`.
"""

try:
    from dvtfast._native import status as _built  # noqa: F401 - asks whether the kernels are there
except ImportError as error:
    raise ImportError(
        f"the kernels of dvtfast are not built for this Python ({error}); in a checkout run "
        "'pip install .' or 'pip install -e .', which needs a C compiler"
    ) from error

from dvtfast._backend import BackendInfo, backend_info
from dvtfast.domains import compute_domain
from dvtfast.errors import (
    DvtfastError,
    EncodingError,
    FileError,
    InputError,
    KeystoreError,
    MissingExtraError,
    NativeError,
    SignatureError,
    ThresholdError,
)
from dvtfast.keys import (
    PublicKeys,
    check_public_keys,
    check_secret_keys,
    derive_public_keys,
    generate_secret_keys,
)
from dvtfast.networks import (
    GNOSIS,
    HOODI,
    MAINNET,
    NETWORKS,
    Network,
    network_named,
    network_with_chain_id,
    network_with_fork_version,
)
from dvtfast.oracles import OracleShares, encrypt_to_oracles, split_exit_signatures
from dvtfast.points import check_public_key_encodings, check_signature_encodings, hash_to_g2
from dvtfast.recovery import (
    RecoveredSignatures,
    RecoveryStatus,
    ShareStatus,
    recover_and_check,
    recover_in_steps,
)
from dvtfast.signatures import (
    aggregate,
    aggregate_verify,
    check_same_message,
    check_signatures,
    fast_aggregate_verify,
    sign,
    sign_exits,
    verify_signatures,
)
from dvtfast.signing_roots import (
    HashedRoots,
    compute_signing_roots,
    deposit_data_roots,
    deposit_message_roots,
    deposit_signing_roots,
    exit_signing_roots,
)
from dvtfast.threshold import (
    check_public_key_shares,
    checked_share_indices,
    lagrange_coefficients,
    recover_public_keys,
    recover_secret_keys,
    recover_signatures,
    split_secret_keys,
)

__version__ = "0.1.0"

__all__ = [
    "GNOSIS",
    "HOODI",
    "MAINNET",
    "NETWORKS",
    "BackendInfo",
    "DvtfastError",
    "EncodingError",
    "FileError",
    "HashedRoots",
    "InputError",
    "KeystoreError",
    "MissingExtraError",
    "NativeError",
    "Network",
    "OracleShares",
    "PublicKeys",
    "RecoveredSignatures",
    "RecoveryStatus",
    "ShareStatus",
    "SignatureError",
    "ThresholdError",
    "aggregate",
    "aggregate_verify",
    "backend_info",
    "check_public_key_encodings",
    "check_public_key_shares",
    "check_public_keys",
    "check_same_message",
    "check_secret_keys",
    "check_signature_encodings",
    "check_signatures",
    "checked_share_indices",
    "compute_domain",
    "compute_signing_roots",
    "deposit_data_roots",
    "deposit_message_roots",
    "deposit_signing_roots",
    "derive_public_keys",
    "encrypt_to_oracles",
    "exit_signing_roots",
    "fast_aggregate_verify",
    "generate_secret_keys",
    "hash_to_g2",
    "lagrange_coefficients",
    "network_named",
    "network_with_chain_id",
    "network_with_fork_version",
    "recover_and_check",
    "recover_in_steps",
    "recover_public_keys",
    "recover_secret_keys",
    "recover_signatures",
    "sign",
    "sign_exits",
    "split_exit_signatures",
    "split_secret_keys",
    "verify_signatures",
]
