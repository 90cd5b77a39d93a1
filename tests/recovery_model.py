"""What recover_and_check may answer, whatever is sent to it."""

import numpy as np

import dvtfast
from dvtfast import RecoveryStatus, ShareStatus


def recover(cluster, shares, present, **options):
    return dvtfast.recover_and_check(
        cluster.public_keys,
        cluster.signing_roots,
        shares,
        cluster.share_indices,
        threshold=cluster.threshold,
        present=present,
        **options,
    )


def expected_statuses(cluster, present, bad, *, keys_known):
    good = (present & ~bad).sum(axis=1)
    for good_shares, shares in zip(good, present.sum(axis=1), strict=True):
        if good_shares >= cluster.threshold:
            yield RecoveryStatus.OK
        elif keys_known or shares < cluster.threshold:
            yield RecoveryStatus.TOO_FEW_SHARES
        else:
            yield None  # unknown: TOO_FEW_SHARES when the bad ones are no points of the group at all


def assert_sound(recovered, cluster, present, bad):
    """What must hold whatever is known about the shares."""
    ok = recovered.statuses == RecoveryStatus.OK
    assert np.array_equal(recovered.ok, ok)
    assert np.array_equal(recovered.signatures[ok], cluster.signatures[ok])
    assert not recovered.signatures[~ok].any()
    assert not (recovered.share_statuses[bad] == ShareStatus.GOOD).any()
    assert not (recovered.share_statuses[~bad] == ShareStatus.BAD).any()
    assert (recovered.share_statuses[~present] == ShareStatus.NOT_CHECKED).all()
    for i in range(len(ok)):
        accused = cluster.share_indices[recovered.share_statuses[i] == ShareStatus.BAD]
        assert recovered.bad_share_indices(i).tolist() == accused.tolist()
