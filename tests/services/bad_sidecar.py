"""A sidecar that posts one bad share for every exit.

python -m tests.services.bad_sidecar URL SHARE_INDEX KIND KEYSTORES LOCK
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence

import numpy as np

from dvtfast import HOODI, exit_signing_roots, generate_secret_keys, hash_to_g2, sign
from dvtfast.clusters import read_cluster_lock
from dvtfast.keystores import load_keystores
from dvtfast.services import wire
from dvtfast.services.keys.key_shares import NodeKeys, match_keys
from dvtfast.services.relayer_client.client import RelayerClient

POST_SHARES = 200

Exits = Sequence[wire.ExitWanted]


def _roots(exits: Exits, *, offset: int = 0) -> np.ndarray:
    return exit_signing_roots([int(exit_.validator_index) + offset for exit_ in exits], HOODI)


def random_points(exits: Exits, keys: NodeKeys) -> np.ndarray:
    return hash_to_g2([os.urandom(32) for _ in exits])


def wrong_keys(exits: Exits, keys: NodeKeys) -> np.ndarray:
    return sign(generate_secret_keys(len(exits)), _roots(exits))


def wrong_index(exits: Exits, keys: NodeKeys) -> np.ndarray:
    places = {key.tobytes(): row for row, key in enumerate(keys.public_keys)}
    secret_keys = keys.secret_keys[[places[exit_.public_key] for exit_ in exits]]
    return sign(secret_keys, _roots(exits, offset=1))


KINDS: dict[str, Callable[[Exits, NodeKeys], np.ndarray]] = {
    "random-points": random_points,
    "wrong-keys": wrong_keys,
    "wrong-index": wrong_index,
}


async def misbehave(url: str, share_index: int, kind: str, keys: NodeKeys) -> None:
    posted: set[bytes] = set()
    async with RelayerClient(url, timeout_seconds=20) as client:
        while True:
            new = [exit_ for exit_ in (await client.exits()).exits if exit_.public_key not in posted]
            for start in range(0, len(new), POST_SHARES):
                chunk = new[start : start + POST_SHARES]
                shares = [
                    wire.ExitShare(exit_.public_key, wire.Signature(row.tobytes()))
                    for exit_, row in zip(chunk, KINDS[kind](chunk, keys), strict=True)
                ]
                await client.post_exit_shares(wire.ExitSignatureRequest(wire.ShareIndex(share_index), shares))
                posted.update(exit_.public_key for exit_ in chunk)
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    address, index, how, keystores, lock = sys.argv[1:]
    node = match_keys(read_cluster_lock(lock), load_keystores(keystores), node_index=None)[0]
    asyncio.run(misbehave(address, int(index), how, node))
