"""What a protocol config of StakeWise's says beside its oracles; their programs read all of it.

Source: stakewise/sw-utils `dfeed4c`, protocol_config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

POLICY: Final[Mapping[str, Any]] = {
    "supported_relays": ["http://127.0.0.1:1"],  # where nobody listens
    "vault_max_fee": 1500,
    "validator_min_active_epochs": 2250,
    "validators_exit_queued_assets_bps": 500,
    "inactive_validator_balance": "31750000000000000000",
    "validators_approval_batch_limit": 50,
    "validators_exit_rotation_batch_limit": 1000,
    "validators_consolidation_batch_limit": 100,
    "exit_signature_epoch": 0,
    "signature_validity_period": 3600,
    "until_force_exit_epochs": 1000,
    "force_withdrawals_period": 86400,
    "os_token_vaults_exit_limit_bps": 10000,
    "os_token_vaults": [],
    "os_token_redeem_multiplier_bps": 10023,
}
