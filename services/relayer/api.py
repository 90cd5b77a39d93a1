"""Every route of the relayer: what it takes and what it answers; for whom it is, rights.py says."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, get_args

from .. import wire
from ..web.openapi import HTML, JSON, TEXT, Query, Route, document
from .access.rights import RIGHTS
from .status.answers import State, StatusAnswer, ValidatorsStatusAnswer

TEXT_OF_API = (
    "What operators and sidecars of StakeWise's v3 and v4 say to a relayer, with dvtfast's additions, which"
    " are optional. Bytes are hex: 0x and lower case in answers, with or without 0x and in any case in"
    " requests. Amounts are gwei. Every answer has an `X-Request-ID`, which the request may choose."
)
SECONDS = {"type": "number", "minimum": 0, "maximum": 999_999_999}
COUNT = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
INDEX = {"type": "integer", "minimum": 1, "maximum": wire.UINT64_LIMIT - 1}

WAIT = Query(
    "wait",
    "Answer as soon as it is not what `If-None-Match` says, or after so many seconds (30 at most).",
    SECONDS,
)
WAIT_READY = Query("wait", "Answer as soon as all are ready, or after so many seconds (30 at most).", SECONDS)
SHARE_INDEX = Query("share_index", "Only what lacks a share at this index.", INDEX)
WINDOW = Query(
    "window",
    "1: also the exits at the next validator indices, to be signed ahead of time.",
    {"type": "string", "enum": ["0", "1"]},
)


def _route(method: str, path: str, summary: str, text: str = "", **others: Any) -> Route:
    return Route(method, path, RIGHTS[method, path], summary, text, **others)


ROUTES = (
    _route(
        "GET", "/info", "The network, and the validators manager's address if this relayer has its key",
        answer=wire.InfoAnswer,
    ),
    _route(
        "POST", "/validators", "v3: ask for exits, split for the oracles",
        "Null stands for what is not ready yet; ask again until `ready`. `validators_start_index` is ours: it"
        " says which validator index the first key will have, where the relayer cannot know it; the answer"
        " has it again, since other relayers do not go by it.",
        query=[WAIT_READY], body=wire.ValidatorsRequest, answer=wire.ValidatorsAnswer,
    ),
    _route(
        "GET", "/exits", "v3: the exits that are to be signed",
        "With `share_index` only open ones, as `{public_key, validator_index}`; `is_ahead` stands beside"
        " those prepared for later. `share_indexes_rejected` is ours: whose shares were found wrong.",
        query=[WAIT, SHARE_INDEX, WINDOW], answer=wire.ExitsAnswer, statuses=[304],
    ),
    _route(
        "POST", "/exit-signature", "v3: hand in partial signatures of exits",
        "Each item is stored or refused by itself; what is not in `rejected` is on disk. `validator_index`"
        " and `public_key_shares` are ours and optional: which exit was signed, and all nodes' key shares.",
        body=wire.ExitSignatureRequest, answer=wire.ExitSignatureAnswer,
    ),
    _route(
        "POST", "/register", "v4: validators for a vault, with all that is needed to register them",
        "An empty list means not ready yet. It never waits.",
        body=wire.RegisterRequest, answer=wire.RegisterAnswer,
    ),
    _route(
        "GET", "/validators", "v4: the exits and deposits that are to be signed",
        query=[WAIT, SHARE_INDEX], answer=wire.ValidatorsWantedAnswer, statuses=[304],
    ),
    _route(
        "POST", "/signatures", "v4: hand in partial signatures of exits and deposits",
        body=wire.SignaturesRequest, answer=wire.ExitSignatureAnswer,
    ),
    _route(
        "POST", "/rotate", "Exits of registered validators, split for the oracles of today",
        body=wire.RotateRequest, answer=wire.RotateAnswer,
    ),
    _route(
        "POST", "/fund", "v4: the validators manager's signature for top-ups",
        body=wire.FundRequest, answer=wire.ManagerSignatureAnswer,
    ),
    _route(
        "POST", "/withdraw", "v4: the validators manager's signature for withdrawals and exits",
        body=wire.WithdrawRequest, answer=wire.ManagerSignatureAnswer,
    ),
    _route(
        "POST", "/consolidate", "v4: the validators manager's signature for consolidations",
        body=wire.ConsolidateRequest, answer=wire.ManagerSignatureAnswer,
    ),
    _route("GET", "/healthz", "200 as long as the process works", answer=wire.HealthAnswer),
    _route(
        "GET", "/readyz", "200 when it can be given work, else 503 and what is missing",
        answer=wire.HealthAnswer, of_503=wire.HealthAnswer,
    ),
    _route("GET", "/", "The status page", answer=HTML, statuses=[304]),
    _route("GET", "/status.css", "Its looks", answer="text/css", statuses=[304]),
    _route("GET", "/status.js", "Its script", answer="text/javascript", statuses=[304]),
    _route(
        "GET", "/status.json", "Clusters, rounds and operators, as the status page shows them",
        "Made once for all who look, at most once in a second.",
        query=[WAIT], answer=StatusAnswer, statuses=[304],
    ),
    _route(
        "GET", "/status/validators", "Some validators of a cluster's round",
        "With `share_index` and `state` only those that the operator has in this state.",
        query=[
            Query("cluster", "Its name.", {"type": "string"}),
            Query("first", "The place of the first among those that fit.", COUNT),
            Query("count", "How many (200 at most).", COUNT),
            Query("share_index", "Of one operator.", INDEX),
            Query("state", "Of its shares.", {"type": "string", "enum": list(get_args(State))}),
        ],
        answer=ValidatorsStatusAnswer,
    ),
    _route("GET", "/metrics", "Everything that is counted, for Prometheus", answer=TEXT),
    _route("GET", "/openapi.json", "This document", answer=JSON),
    _route("GET", "/docs", "This document for people", answer=HTML, statuses=[304]),
    _route("GET", "/docs.css", "Its looks", answer="text/css", statuses=[304]),
)  # fmt: skip


def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    return document(ROUTES, title="dvtfast relayer", version=version("dvtfast"), text=TEXT_OF_API)
