"""The oracles that exits are split for now."""

from __future__ import annotations

import hashlib

from dvtfast.protocol_config import OracleConfig


class CurrentOracles:
    """An oracle config, and what tells it from others as far as splitting goes."""

    def __init__(self, config: OracleConfig) -> None:
        self.replace(config)

    def replace(self, config: OracleConfig) -> bool:
        """From now on this is the config; whether it splits differently from the one before."""
        before = getattr(self, "digest", None)
        threshold = config.exit_signature_recover_threshold
        self.config = config
        self.digest = hashlib.sha256(b"%d:" % threshold + config.public_keys.tobytes()).digest()
        return self.digest != before
