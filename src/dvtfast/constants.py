"""Sizes, tags and orders, each with its source."""

from __future__ import annotations

from typing import Final

# IRTF draft-irtf-cfrg-bls-signature-04, minimal-pubkey-size, ZCash compressed encodings.
SECRET_KEY_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 48
SIGNATURE_BYTES: Final = 96
CURVE_ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
# The order of the field that the coordinates of points are in.
FIELD_ORDER: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
# The curve parameter x is minus this.
CURVE_PARAMETER: Final = 0xD201000000010000
DST_SIGNATURE: Final = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

# SHA-256; consensus-specs, phase0/beacon-chain.md.
ROOT_BYTES: Final = 32
WITHDRAWAL_CREDENTIALS_BYTES: Final = 32
DOMAIN_DEPOSIT: Final = bytes.fromhex("03000000")
DOMAIN_VOLUNTARY_EXIT: Final = bytes.fromhex("04000000")
# builder-specs, application domain.
DOMAIN_BUILDER: Final = bytes.fromhex("00000001")
# One validator's 32 ETH, in gwei (on gnosis: 32 mGNO).
GWEI_PER_VALIDATOR: Final = 32_000_000_000
# The most that one compounds (consensus-specs, MAX_EFFECTIVE_BALANCE_ELECTRA).
MAX_GWEI_PER_VALIDATOR: Final = 64 * GWEI_PER_VALIDATOR

# An oracle's secp256k1 public key, x and y (StakeWise protocol config).
ORACLE_PUBLIC_KEY_BYTES: Final = 64
# Ephemeral key 65, nonce 16, tag 16 (eciespy).
ECIES_OVERHEAD_BYTES: Final = 97
