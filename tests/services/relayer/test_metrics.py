"""What a relayer says of itself: /metrics, /healthz, /readyz, and the id of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from dvtfast.services import wire
from dvtfast.services.relayer import api, health, metrics
from dvtfast.services.relayer.health import NO_DATABASE
from dvtfast.services.sidecar.metrics import SidecarMetrics
from dvtfast.services.web.metrics import SECONDS_BUCKETS

from .. import postgres as postgres_
from ..conftest import START_INDEX, Relayer, Start, make_cluster
from ..patience import PATIENCE_SECONDS

PREFIX = "dvtfast_relayer_"
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def samples_of(relayer: Relayer) -> Samples:
    async with relayer.session.get(f"{relayer.url}/metrics") as answer:
        assert answer.status == 200
        families = text_string_to_metric_families(await answer.text())
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


async def until(relayer: Relayer, name: str, wanted: float, **labels: str) -> Samples:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while value(samples := await samples_of(relayer), name, **labels) != wanted:  # noqa: ASYNC110 - the relayer does
            await asyncio.sleep(0.1)
    return samples


async def test_a_round_is_counted(start: Start) -> None:
    cluster = make_cluster(4)
    indices = range(START_INDEX, START_INDEX + 4)
    async with start(cluster) as relayer:
        assert value(await samples_of(relayer), "shares_total", cluster="test", share_index="4",
                     outcome="stored") == 0  # fmt: skip
        await relayer.ask(cluster)
        samples = await until(relayer, "messages", 4, kind="exit", status="collecting")
        assert value(samples, "oldest_waiting_timestamp_seconds")
        await until(relayer, "round_begin_timestamp_seconds",
                    value(samples, "oldest_waiting_timestamp_seconds") or -1)  # fmt: skip
        await relayer.fill(cluster, indices, 1, 2)
        await relayer.post(3, cluster.exit_shares(3, indices, signer=4))
        await relayer.fill(cluster, indices, 4)
        await relayer.until_ready(cluster)
        samples = await until(relayer, "bad_shares_total", 4, cluster="test", share_index="3")
        samples = await until(relayer, "round_seconds_count", 1)
        assert value(samples, "round_begin_timestamp_seconds") == 0
        samples = await until(relayer, "messages", 4, kind="exit", status="ready")
        for index in "124":
            assert value(samples, "shares_total", cluster="test", share_index=index, outcome="stored") == 4
            assert value(samples, "bad_shares_total", cluster="test", share_index=index) == 0
        assert value(samples, "judged_messages_total", cluster="test", outcome="ready") == 4
        assert value(samples, "batch_messages_sum") >= 4
        for stage in ("recover", "split", "encrypt", "database"):
            assert value(samples, "stage_seconds_total", stage=stage) > 0
        assert value(samples, "database_up") == 1
        for kind in ("read", "write"):
            assert value(samples, "database_seconds_count", kind=kind) > 0
        assert value(samples, "event_loop_lag_seconds_count") > 0
        assert value(samples, "http_requests_total", route="/exit-signature", status="200") == 4
        assert value(samples, "queue", workers="crypto") is not None


async def test_what_alerts_look_at_begins_at_zero(start: Start) -> None:
    """Prometheus sees no increase in the first value of a series."""
    async with start(make_cluster(1)) as relayer:
        samples = await samples_of(relayer)
        for route in (route.path for route in api.ROUTES):
            assert value(samples, "http_requests_total", route=route, status="500") == 0
        for reason in ("unavailable", "error"):
            assert value(samples, "batch_failures_total", reason=reason) == 0


def test_what_alerts_look_at_begins_at_zero_in_a_sidecar() -> None:
    registry = SidecarMetrics(("first", "second"))._registry
    for relayer in ("first", "second"):
        name = "dvtfast_sidecar_last_answer_seconds"
        assert registry.get_sample_value(name, {"relayer": relayer}) == 0
        for kind in ("exit", "deposit"):
            name = "dvtfast_sidecar_rejected_total"
            assert registry.get_sample_value(name, {"relayer": relayer, "kind": kind}) == 0
    assert registry.get_sample_value("dvtfast_sidecar_reloads_total", {"outcome": "failed"}) == 0


async def test_metrics_do_not_wait_for_a_database_that_hangs(
    start: Start, postgres: postgres_.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Prometheus gives up, and takes the relayer for dead."""
    monkeypatch.setattr(metrics, "DATABASE_SECONDS", 0.2)
    monkeypatch.setattr(health, "DATABASE_SECONDS", 0.2)
    url = await postgres.database()
    async with start(make_cluster(1), database=url) as relayer:
        await until(relayer, "database_up", 1)
        await asyncio.sleep(metrics.FRESH_SECONDS)
        other = await postgres.connect(postgres_.name_of(url))
        async with other.transaction():
            await other.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert value(await samples_of(relayer), "database_up") == 0
                assert await relayer.raw("GET", "/readyz") == (503, {"ok": False, "problems": [NO_DATABASE]})
        await other.close()
        await until(relayer, "database_up", 1)


async def test_what_others_make_up_makes_no_series(start: Start) -> None:
    """Neither share indices that no file names nor paths nor methods."""
    cluster = make_cluster(1)
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        share = cluster.exit_shares(1, [START_INDEX])
        for index in range(10**6, 10**6 + 50):
            await relayer.post(index, share)
        before = len(await samples_of(relayer))
        for number in range(50):
            await relayer.post(2**40 + number, share)
            await relayer.raw("GET", f"/{number}")
            await relayer.raw("PURGE", "/info")
        samples = await samples_of(relayer)
        # What is new here are the routes of none, with two statuses, and of /metrics.
        assert len(samples) - before <= 2 * (len(SECONDS_BUCKETS) + 8)
        assert value(samples, "http_requests_total", route="unknown", status="404") == 50
        assert value(samples, "shares_total", cluster="other", share_index="others", outcome="refused") > 0


async def test_health(start: Start) -> None:
    async with start(make_cluster(1)) as relayer:
        assert await relayer.raw("GET", "/healthz") == (200, {"ok": True, "problems": []})
        assert await relayer.raw("GET", "/readyz") == (200, {"ok": True, "problems": []})


async def test_not_ready_without_a_database(start: Start, tmp_path: Path) -> None:
    async with start(make_cluster(1)) as relayer:
        (tmp_path / "relayer.db").rename(tmp_path / "away.db")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (answer := await relayer.raw("GET", "/readyz"))[0] == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert answer == (503, {"ok": False, "problems": [NO_DATABASE]})
        assert (await relayer.raw("GET", "/healthz"))[0] == 200
        await until(relayer, "database_up", 0)
        (tmp_path / "away.db").rename(tmp_path / "relayer.db")


@pytest.mark.parametrize(
    ("sent", "is_taken"),
    [("abc-1.2_Z", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("ä", False), ("", False)],
)
async def test_a_request_has_an_id(start: Start, sent: str, is_taken: bool) -> None:
    async with start(make_cluster(1)) as relayer:
        for path, status in (("/info", 200), ("/nothing", 404)):
            headers = {"X-Request-ID": sent}
            async with relayer.session.get(relayer.url + path, headers=headers) as answer:
                assert answer.status == status
                given = answer.headers["X-Request-ID"]
            assert (given == sent) == is_taken
            assert 0 < len(given) <= 64


async def test_the_id_is_in_the_log(start: Start) -> None:
    seen = []

    def note(_: object, __: str, event: dict[str, object]) -> dict[str, object]:
        seen.append(dict(event))
        return event

    render = structlog.processors.KeyValueRenderer()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, note, render])
    async with start(make_cluster(1)) as relayer:
        keys = [wire.PublicKey(bytes(48)).to_wire()]
        async with relayer.session.post(
            f"{relayer.url}/validators", json={"public_keys": keys}, headers={"X-Request-ID": "mine"}
        ) as answer:
            assert answer.status == 422
    (line,) = [line for line in seen if line["event"] == "answered" and line["path"] == "/validators"]
    assert (line["request_id"], line["status"]) == ("mine", 422)
    assert keys[0] not in str(seen)
