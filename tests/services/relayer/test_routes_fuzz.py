"""Every route, with whatever anybody may send: an answer in JSON, and never a 500."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies
from hypothesis.strategies import SearchStrategy

from ..conftest import START_INDEX, Start, make_cluster
from .test_register import VAULT, VAULTS

GWEI = 32 * 10**9
KEY = make_cluster(1).keys[0].to_wire()
CLUSTER = make_cluster(2)
KEYS = [key.to_wire() for key in CLUSTER.keys]
SIGNATURE = CLUSTER.exit_shares(1, [START_INDEX])[0].exit_signature.to_wire()

INTEGERS = [0, 1, 2, 1000, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 2**64, 10**400, -1]
STRINGS = [*KEYS, KEY, KEY[2:].upper(), SIGNATURE, VAULT.to_wire(), "0x01", "0x02", "", "0x", "\x00"]
POINTS = ["0x" + first + "00" * (width - 1) for first in ("c0", "40", "ff") for width in (48, 96)]

SHARE = {"public_key": KEYS[0], "exit_signature": SIGNATURE, "validator_index": START_INDEX}
WITH_VAULT = {"vault": VAULT.to_wire()}
BODIES: dict[str, dict[str, Any]] = {
    "/validators": {"public_keys": KEYS[:1], "validators_start_index": 2**64 - 1},
    "/exit-signature": {"share_index": 1, "shares": [SHARE, SHARE]},
    "/signatures": {
        "share_index": 1,
        "shares": [
            SHARE
            | {
                "deposit_signature": SIGNATURE,
                "public_key_shares": [{"share_index": 1, "public_key_share": KEY}],
            }
        ],
    },
    "/register": WITH_VAULT | {"validators_start_index": 5, "amounts": [GWEI] * 2, "validator_type": "0x01"},
    "/rotate": WITH_VAULT | {"validators": [{"public_key": KEYS[0], "validator_index": 5}]},
    "/fund": WITH_VAULT | {"public_keys": KEYS, "amounts": [1, 2]},
    "/withdraw": WITH_VAULT | {"public_keys": KEYS, "amounts": [0, 1]},
    "/consolidate": WITH_VAULT | {"source_public_keys": KEYS, "target_public_keys": KEYS},
}
QUERIES = ["", "wait=0", "wait=0.01&wait=x", "wait=1e9", "wait=-1", "window=1", "window=1&share_index=1"] + [
    f"share_index={value}" for value in ("0", "1", "%ff", "1&share_index=2", 2**64 - 1, 2**64, "9" * 300)
]
HEADERS: list[dict[str, str]] = [
    {},
    *({"If-None-Match": value} for value in ("*", '"a", W/"b"', '"', ",", "a")),
    *({"Accept-Encoding": value} for value in ("gzip", "gzip;q=a", "*")),
    *({"Content-Type": value} for value in ("text/plain", "multipart/form-data", ";;")),
    *({"Content-Encoding": value} for value in ("gzip", "nonsense")),
]

anything = strategies.recursive(
    strategies.sampled_from([None, True, False, 1.5, -0.0, 1e308, *INTEGERS, *STRINGS, *POINTS]),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            strategies.sampled_from(["public_key", "share_index", "a"]), inner, max_size=3
        )
    ),
    max_leaves=4,
)


def changed(value: Any) -> SearchStrategy[Any]:
    """A value as it should be, or with a part of it replaced, left out or repeated."""
    if isinstance(value, dict):
        fields = {name: changed(inner) for name, inner in value.items()}
        parts = strategies.fixed_dictionaries({}, optional=fields) | strategies.fixed_dictionaries(fields)
    elif isinstance(value, list):
        parts = strategies.lists(strategies.one_of(*map(changed, value)), max_size=4)
    else:
        parts = strategies.just(value)
    return strategies.just(value) | parts | anything


def requests() -> SearchStrategy[tuple[str, str, bytes]]:
    """Method, path and body."""
    posted = strategies.one_of(
        *(
            changed(body).map(lambda sent, path=path: ("POST", path, json.dumps(sent).encode()))
            for path, body in BODIES.items()
        )
    )
    broken = strategies.tuples(posted, strategies.integers(0, 200), strategies.binary(max_size=3)).map(
        lambda drawn: (*drawn[0][:2], drawn[0][2][: drawn[1]] + drawn[2] + drawn[0][2][drawn[1] :])
    )
    others = strategies.tuples(
        strategies.sampled_from(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]),
        strategies.sampled_from([*BODIES, "/exits", "/info", "/", "/%ff"]),
        strategies.sampled_from([b"", b"{}"]),
    )
    return posted | broken | others


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sent=strategies.lists(
        strategies.tuples(requests(), strategies.sampled_from(QUERIES), strategies.sampled_from(HEADERS)),
        min_size=20,
        max_size=40,
    )
)
def test_an_answer_to_everything(start: Start, sent: list[Any]) -> None:
    async def send() -> None:
        async with start(CLUSTER, vaults=VAULTS, index_window=2, signature_threshold=2) as relayer:
            for (method, path, body), query, headers in sent:
                url = f"{relayer.url}{path}?{query}"
                async with relayer.session.request(method, url, data=body, headers=headers) as answer:
                    content = await answer.read()
                assert answer.status < 500, content
                if path == "/" and method in ("GET", "HEAD"):
                    assert answer.status == 304 or answer.content_type == "text/html"
                    continue
                assert answer.status == 304 or answer.content_type == "application/json"
                if content:
                    json.loads(content)

    asyncio.run(send())
