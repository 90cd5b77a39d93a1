"""keyshares.json of operators of whom each has encrypted its own shares."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dvtfast import FileError, derive_public_keys, generate_secret_keys, sign, split_secret_keys, ssv
from dvtfast.services.ceremony.ssv_files import write_ssv_keyshares
from dvtfast.threshold import recover_signatures

IDS = (5, 17, 242, 1093)
OWNER = bytes(range(20))
OPERATORS = {operator_id: ssv.generate_operator_key() for operator_id in IDS}
SECRETS = generate_secret_keys(2)
SHARES = split_secret_keys(SECRETS, threshold=3, share_indices=IDS)
PUBLIC = {operator_id: key.public_key for operator_id, key in OPERATORS.items()}


def assembled() -> list[ssv.KeyShares]:
    """As the operators do it: no place has all secrets."""
    roots = ssv.owner_signing_roots(OWNER, range(7, 9))
    partials = np.stack([sign(SHARES[:, column], roots) for column in range(3)], axis=1)
    encrypted = [ssv.encrypt_key_shares(SHARES[:, i], PUBLIC[each]) for i, each in enumerate(IDS)]
    return ssv.assemble_key_shares(
        derive_public_keys(SECRETS),
        derive_public_keys(SHARES.reshape(8, 32)).reshape(2, 4, 48),
        IDS,
        owner_signatures=recover_signatures(partials, IDS[:3], threshold=3),
        encrypted_shares=np.stack(encrypted, axis=1),
        owner_address=OWNER,
        first_nonce=7,
    )


def test_each_operator_opens_its_own(tmp_path: Path) -> None:
    path = tmp_path / "keyshares.json"
    write_ssv_keyshares(path, assembled(), PUBLIC)
    validators = ssv.read_keyshares(path)
    assert [each.owner_nonce for each in validators] == [7, 8]
    assert ssv.check_key_shares(validators) == ["", ""]
    for column, operator_id in enumerate(IDS):
        opened = ssv.open_key_shares(validators, operator_id, OPERATORS[operator_id])
        assert opened.problems == ()
        np.testing.assert_array_equal(opened.key_shares, SHARES[:, column])
    with pytest.raises(FileError, match="is there already"):
        write_ssv_keyshares(path, assembled(), PUBLIC)


def test_what_is_wrong_is_not_written(tmp_path: Path) -> None:
    first, second = assembled()
    path = tmp_path / "keyshares.json"
    wrong = dataclasses.replace(second, owner_nonce=9)
    with pytest.raises(FileError, match="validator with nonce 9: its key did not sign for its owner"):
        write_ssv_keyshares(path, [first, wrong], PUBLIC)
    assert not path.exists()
