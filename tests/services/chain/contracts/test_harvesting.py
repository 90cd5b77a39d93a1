"""A vault's rewards, read from what IPFS holds; that contracts take them is in operator/registration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dvtfast.services.chain.contracts.harvesting import read_rewards
from dvtfast.services.chain.encoding import write_address

VAULT, ROOT = bytes(range(1, 21)), b"r" * 32


def document(**changes: Any) -> bytes:
    rewards = {
        "vault": write_address(VAULT),
        "consensus_reward": "-5",
        "unlocked_mev_reward": str(2**70),
        "locked_mev_reward": 11,
        "proof": ["0x" + "11" * 32],
    }
    other = {**rewards, "vault": write_address(VAULT[::-1]), "consensus_reward": 77}
    return json.dumps({"vaults": [other, {**rewards, **changes}], "more": []}).encode()


@pytest.mark.parametrize(
    ("shares_escrow", "counts_mev", "reward", "unlocked"),
    [
        (True, True, -5 + 2**70 + 11, 2**70),
        (True, False, -5, 2**70),
        (False, True, -5, 0),
        (False, False, -5, 0),
    ],
)
def test_what_counts_as_reward(shares_escrow: bool, counts_mev: bool, reward: int, unlocked: int) -> None:
    found = read_rewards(document(), ROOT, VAULT, shares_escrow=shares_escrow, counts_mev=counts_mev)
    assert (found.rewards_root, found.reward, found.unlocked_mev_reward) == (ROOT, reward, unlocked)
    assert found.proof == (b"\x11" * 32,)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{", b'{"vaults": 1}', b'{"vaults": []}', document(consensus_reward="1e3"),
        document(consensus_reward=1.5), document(consensus_reward=True), document(unlocked_mev_reward=None),
        document(proof=["0x11"]), document(proof=["0x" + "11" * 32] * 65), document(vault="0x12"),
        document(consensus_reward="9" * 100), document(consensus_reward=str(2**159)),
        document(unlocked_mev_reward="-1"), document(unlocked_mev_reward=str(2**160)), b"\xff", b"[" * 10_000,
    ],
)  # fmt: skip
def test_rewards_that_cannot_be_read(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_rewards(content, ROOT, VAULT, shares_escrow=True, counts_mev=True)
