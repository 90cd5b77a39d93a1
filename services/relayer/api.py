"""Every route of the relayer: what it takes, what it answers, and for whom it is."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, get_args

from .. import wire
from ..openapi import HTML, JSON, TEXT, Query, Route, document
from .status.answers import State, StatusAnswer, ValidatorsStatusAnswer

ANYBODY, READ_ONLY, OPERATOR, SIDECAR, ALL = "anybody", "read-only", "operator", "sidecar", "any role"

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

ROUTES = (
    Route(
        "GET", "/info", ALL, "The network, and the validators manager's address if this relayer has its key",
        answer=wire.InfoAnswer,
    ),
    Route(
        "POST", "/validators", OPERATOR, "v3: ask for exits, split for the oracles",
        "Null stands for what is not ready yet; ask again until `ready`. `validators_start_index` is ours: it"
        " says which validator index the first key will have, where the relayer cannot know it.",
        query=[WAIT_READY], body=wire.ValidatorsRequest, answer=wire.ValidatorsAnswer,
    ),
    Route(
        "GET", "/exits", SIDECAR, "v3: the exits that are to be signed",
        "With `share_index` only open ones, as `{public_key, validator_index}`; `is_ahead` stands beside"
        " those prepared for later. `share_indexes_rejected` is ours: whose shares were found wrong.",
        query=[WAIT, SHARE_INDEX, WINDOW], answer=wire.ExitsAnswer, statuses=[304],
    ),
    Route(
        "POST", "/exit-signature", SIDECAR, "v3: hand in partial signatures of exits",
        "Each item is stored or refused by itself; what is not in `rejected` is on disk. `validator_index`"
        " and `public_key_shares` are ours and optional: which exit was signed, and all nodes' key shares.",
        body=wire.ExitSignatureRequest, answer=wire.ExitSignatureAnswer,
    ),
    Route(
        "POST", "/register", OPERATOR, "v4: validators for a vault, with all that is needed to register them",
        "An empty list means not ready yet. It never waits.",
        body=wire.RegisterRequest, answer=wire.RegisterAnswer,
    ),
    Route(
        "GET", "/validators", SIDECAR, "v4: the exits and deposits that are to be signed",
        query=[WAIT, SHARE_INDEX], answer=wire.ValidatorsWantedAnswer, statuses=[304],
    ),
    Route(
        "POST", "/signatures", SIDECAR, "v4: hand in partial signatures of exits and deposits",
        body=wire.SignaturesRequest, answer=wire.ExitSignatureAnswer,
    ),
    Route(
        "POST", "/rotate", OPERATOR, "Exits of registered validators, split for the oracles of today",
        body=wire.RotateRequest, answer=wire.ValidatorsAnswer,
    ),
    Route(
        "POST", "/fund", OPERATOR, "v4: the validators manager's signature for top-ups",
        body=wire.FundRequest, answer=wire.ManagerSignatureAnswer,
    ),
    Route(
        "POST", "/withdraw", OPERATOR, "v4: the validators manager's signature for withdrawals and exits",
        body=wire.WithdrawRequest, answer=wire.ManagerSignatureAnswer,
    ),
    Route(
        "POST", "/consolidate", OPERATOR, "v4: the validators manager's signature for consolidations",
        body=wire.ConsolidateRequest, answer=wire.ManagerSignatureAnswer,
    ),
    Route("GET", "/healthz", ANYBODY, "200 as long as the process works", answer=wire.HealthAnswer),
    Route(
        "GET", "/readyz", ANYBODY, "200 when it can be given work, else 503 and what is missing",
        answer=wire.HealthAnswer, of_503=wire.HealthAnswer,
    ),
    Route("GET", "/", READ_ONLY, "The status page", answer=HTML, statuses=[304]),
    Route("GET", "/status.css", READ_ONLY, "Its looks", answer="text/css", statuses=[304]),
    Route("GET", "/status.js", READ_ONLY, "Its script", answer="text/javascript", statuses=[304]),
    Route(
        "GET", "/status.json", READ_ONLY, "Clusters, rounds and operators, as the status page shows them",
        "Made once for all who look, at most once in a second.",
        query=[WAIT], answer=StatusAnswer, statuses=[304],
    ),
    Route(
        "GET", "/status/validators", READ_ONLY, "Some validators of a cluster's round",
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
    Route("GET", "/metrics", READ_ONLY, "Everything that is counted, for Prometheus", answer=TEXT),
    Route("GET", "/openapi.json", READ_ONLY, "This document", answer=JSON),
    Route("GET", "/docs", READ_ONLY, "This document for people", answer=HTML, statuses=[304]),
    Route("GET", "/docs.css", READ_ONLY, "Its looks", answer="text/css", statuses=[304]),
)  # fmt: skip


def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    return document(ROUTES, title="dvtfast relayer", version=version("dvtfast"), text=TEXT_OF_API)
