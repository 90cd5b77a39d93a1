"""The round: asked for, signed, ready, and what the oracles get is right."""

from __future__ import annotations

import numpy as np
import pytest

from dvtfast import (
    HOODI,
    ecies,
    exit_signing_roots,
    recover_public_keys,
    recover_signatures,
    sign,
    verify_signatures,
)
from dvtfast.services import wire

from ..conftest import ORACLE_THRESHOLD, START_INDEX, Oracles, Start, make_cluster


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


async def test_a_round_gives_each_oracle_its_share(start: Start, oracles: Oracles) -> None:
    cluster = make_cluster(5)
    indices = range(START_INDEX, START_INDEX + 5)
    async with start(cluster) as relayer:
        answer = await relayer.ask(cluster)
        assert not answer.ready
        assert [v.public_key for v in answer.validators] == cluster.keys
        assert all(v.oracles_exit_signature_shares is None for v in answer.validators)
        exits = await relayer.exits()
        assert [exits[key].validator_index for key in cluster.keys] == list(indices)
        await relayer.fill(cluster, indices, 1, 3, 4)
        answer = await relayer.until_ready(cluster)
        exits = await relayer.exits()
        assert all(exit_.is_exit_signature_ready for exit_ in exits.values())
        assert all(exit_.share_indexes_ready == [1, 3, 4] for exit_ in exits.values())
    roots = exit_signing_roots(list(indices), HOODI)
    whole = sign(cluster.secret_keys, roots)
    for row, validator in enumerate(answer.validators):
        shares = validator.oracles_exit_signature_shares
        assert shares is not None
        parts = [
            ecies.decrypt_batch([blob], secret.secret)[0].tobytes()
            for blob, secret in zip(shares.encrypted_exit_signatures, oracles.secrets, strict=True)
        ]
        verify_signatures(shares.public_keys, roots[[row] * len(parts)], parts)
        for subset in ([0, 1], [2, 0], [1, 2]):
            xs = [place + 1 for place in subset]
            some = np.array([[list(parts[place]) for place in subset]], np.uint8)
            keys = np.array([[list(shares.public_keys[place]) for place in subset]], np.uint8)
            recovered = recover_signatures(some, xs, threshold=ORACLE_THRESHOLD)
            assert recovered[0].tobytes() == whole[row].tobytes()
            assert (
                recover_public_keys(keys, xs, threshold=ORACLE_THRESHOLD)[0].tobytes() == validator.public_key
            )
        assert parts[0] != whole[row].tobytes()


async def test_info(start: Start) -> None:
    async with start(make_cluster(1)) as relayer:
        assert await relayer.client.info() == wire.InfoAnswer("hoodi")
