"""The status page in a browser, read, clicked, gone through by keyboard and by axe-core; and its JSON."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from playwright.async_api import Error as BrowserError

from dvtfast.services import wire
from dvtfast.services.relayer.activity import Activity
from dvtfast.services.relayer.clusters.served import ServedClusters
from dvtfast.services.relayer.status.advice import advice_about
from dvtfast.services.relayer.status.answers import OperatorStatus, RoundStatus
from dvtfast.services.relayer.status.watched_validators import WatchedValidators
from dvtfast.services.relayer.store.counts import WatchedMessage, WatchedValidator
from dvtfast.services.relayer.store.subjects import Deposit, Exit

from ...access import EVERYTHING, READ_ONLY, For, bearer, secret_of, sidecar, tokens_of
from ...browser import axe, browsing
from ...conftest import START_INDEX, Cluster, Relayer, Start, make_cluster

OPERATORS = (1, 2, 3, 4, 5, 6, 7)
MISSING, BAD, LATE = 3, 6, 7
LARGEST_IMAGE_BYTES = 200 * 1024


@asynccontextmanager
async def troubled(start: Start, validators: int, ready: int) -> AsyncIterator[tuple[Relayer, Cluster]]:
    """A round in progress: an operator is missing, one sends bad shares, one did the first `ready` so far."""
    cluster = make_cluster(validators, threshold=5, share_indices=OPERATORS, name="far north")
    indices = range(START_INDEX, START_INDEX + validators)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        for index in set(OPERATORS) - {MISSING, BAD, LATE}:
            await relayer.fill(cluster, indices, index)
        await relayer.post(BAD, cluster.exit_shares(BAD, indices, signer=MISSING))
        await relayer.fill(cluster, indices[:ready], LATE)
        await relayer.until(
            lambda exits: (
                sum(e.is_exit_signature_ready for e in exits.values()) == ready
                and all(BAD in e.share_indexes_rejected for e in exits.values())
            )
        )
        yield relayer, cluster


@asynccontextmanager
async def page_of(relayer: Relayer, **options: Any) -> AsyncIterator[Page]:
    """The page, in which nothing may go wrong, and nothing come from elsewhere."""
    problems: list[str] = []
    async with browsing() as browser:
        page = await opened(browser, relayer, problems, **options)
        yield page
    assert problems == []


async def opened(browser: Browser, relayer: Relayer, problems: list[str], **options: Any) -> Page:
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((relayer.url, "data:")) else problems.append(asked.url),
    )
    await page.goto(relayer.url)
    await expect(page.get_by_role("status").first).to_contain_text("Live")
    return page


async def status_of(relayer: Relayer) -> Any:
    return (await relayer.raw("GET", "/status.json"))[1]


async def test_what_it_says_of_a_troubled_round(start: Start) -> None:
    async with troubled(start, 8, 5) as (relayer, _):
        await asyncio.sleep(1)  # for so long the one before holds
        (cluster,) = (await status_of(relayer))["clusters"]
    counts = {
        o["share_index"]: (o["received"], o["missing"], o["bad"], o["not_needed"])
        for o in cluster["operators"]
    }
    assert counts == dict.fromkeys((1, 2, 4, 5), (8, 0, 0, 0)) | {
        3: (0, 3, 0, 5),
        6: (0, 0, 8, 0),
        7: (5, 3, 0, 0),
    }
    cells = {o["share_index"]: o["cells"] for o in cluster["operators"]}
    assert (cells[3], cells[6], cells[7]) == ("5n3m", "8b", "5r3m")
    assert cluster["round"] | {"begun_at": 0} == {
        "begun_at": 0, "validators": 8, "ready": 5, "waiting": 3, "undecided": 0, "left_out": 0,
    }  # fmt: skip
    assert [a["text"] for a in cluster["advice"]] == [
        "Operator 6 sent bad shares for 8 validators.",
        "3 validators lack a share of operator 3.",
        "3 validators lack a share of operator 7.",
    ]
    assert [a["level"] for a in cluster["advice"]] == ["act", "watch", "watch"]


@pytest.mark.parametrize(
    ("begun", "last_share", "level"), [(0, 0, "act"), (0, 95, "watch"), (95, 0, "watch"), (0, 60, "act")]
)
def test_who_is_missed(begun: int, last_share: int, level: str) -> None:
    round_ = RoundStatus(begun_at=begun, validators=1, ready=0, waiting=1, undecided=0, left_out=0)
    operator = OperatorStatus(wire.ShareIndex(2), received=0, missing=1, bad=0, not_needed=0, bad_total=0,
                              last_share_at=last_share, cells="1m")  # fmt: skip
    (advice,) = advice_about(round_, [operator], 3, now=100)
    assert advice.level == level
    assert advice.text == "1 validator lacks a share of operator 2."


def test_an_operator_less_than_it_could_be() -> None:
    """The round is over, and did without one of four; now all of the others are needed."""
    round_ = RoundStatus(begun_at=1, validators=9, ready=9, waiting=0, undecided=0, left_out=0)
    counts = {"missing": 0, "bad": 0, "bad_total": 0, "last_share_at": 0, "cells": ""}
    operators = [
        OperatorStatus(wire.ShareIndex(i), received=9 * (i != 4), not_needed=9 * (i == 4), **counts)
        for i in (1, 2, 3, 4)
    ]
    first, second = advice_about(round_, operators, 3, now=100)
    assert (first.level, second.level) == ("watch", "fine")
    assert "with one more away rounds stop" in first.do


async def test_no_signature_is_in_it(start: Start) -> None:
    async with troubled(start, 2, 1) as (relayer, cluster):
        validators = await relayer.raw("GET", "/status/validators?cluster=far%20north")
        shown = json.dumps([await status_of(relayer), validators[1]])
    for share in cluster.exit_shares(1, [START_INDEX, START_INDEX + 1]):
        assert share.exit_signature.to_wire()[2:] not in shown
        assert share.public_key.to_wire() in shown


async def test_all_who_look_get_one_answer(start: Start) -> None:
    """It is made once in a second, and who knows it gets nothing until it changes."""
    async with start(cluster := make_cluster(2)) as relayer:
        url = f"{relayer.url}/status.json"
        async with relayer.session.get(url) as answer:
            etag = answer.headers["ETag"]
        async with relayer.session.get(url, headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304
        known = {"If-None-Match": etag}
        waiting = [
            asyncio.create_task(relayer.session.get(f"{url}?wait=20", headers=known).__aenter__())
            for _ in range(20)
        ]
        await asyncio.sleep(0.2)
        await relayer.ask(cluster)
        answers = await asyncio.gather(*waiting)
        assert {answer.status for answer in answers} == {200}
        assert len({answer.headers["ETag"] for answer in answers}) == 1
        for answer in answers:
            answer.release()


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("", "cluster"),
        ("cluster=nobody", "cluster"),
        ("cluster=test&first=-1", "first"),
        ("cluster=test&count=x", "count"),
        ("cluster=test&state=gone", "state"),
        ("cluster=test&state=bad&share_index=9", "share_index"),
    ],
)
async def test_validators_that_cannot_be_shown(start: Start, query: str, wrong: str) -> None:
    async with start(make_cluster(1)) as relayer:
        status, answer = await relayer.raw("GET", f"/status/validators?{query}")
        assert (status, answer["field"]) == (422, wrong)


async def test_operators_that_no_file_names(start: Start) -> None:
    cluster = make_cluster(2)
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        for index in (1, 2, 4):
            await relayer.fill(cluster, [START_INDEX, START_INDEX + 1], index)
        await relayer.until_ready(cluster)
        (other,) = (await status_of(relayer))["clusters"]
    assert [(o["share_index"], o["received"]) for o in other["operators"]] == [(1, 2), (2, 2), (4, 2)]
    assert [a["level"] for a in other["advice"]] == ["fine"]


async def test_it_is_read_and_clicked(start: Start) -> None:
    async with troubled(start, 70, 50) as (relayer, cluster), page_of(relayer) as page:
        await expect(page.get_by_role("heading", name="dvtfast relayer")).to_contain_text("hoodi")
        todo = page.get_by_role("list").first
        await expect(page.locator("#todo li").first).to_contain_text("Act now")
        await expect(todo).to_contain_text("Operator 6 sent bad shares for 70 validators.")
        await expect(page.locator("section", has_text="far north").first).to_contain_text(
            "50 of 70 validators are ready, 20 wait. Any 5 of 7 operators are enough."
        )
        grid = page.get_by_role("grid")
        await expect(grid.get_by_role("row")).to_have_count(7)
        last = grid.get_by_role("gridcell", name="operator 3:").last
        await expect(last).to_have_text("○")
        await expect(grid.get_by_role("gridcell", name="operator 6:").first).to_have_text("×")
        await last.click()
        rows = page.get_by_role("table", name="Validators of far north").locator("tbody tr")
        await expect(rows.last).to_contain_text("missing: 3, 7")
        await page.get_by_role("button", name="20 missing, operator 7: show").click()
        await expect(rows).to_have_count(20)
        await expect(page.get_by_label("Show", exact=True)).to_have_value("7 missing")
        key = cluster.keys[50].to_wire()
        shown = rows.first.locator("button.key")
        await expect(shown).to_have_text(f"{key[:8]}…{key[-6:]}")
        await shown.click()
        await expect(shown).to_have_text(key)
        await page.get_by_label("Show", exact=True).select_option("6 bad")
        await expect(rows).to_have_count(50)
        await page.get_by_role("button", name="On", exact=True).click()
        await expect(rows).to_have_count(20)


async def test_it_changes_by_itself(start: Start) -> None:
    async with troubled(start, 6, 4) as (relayer, cluster), page_of(relayer) as page:
        progress = page.get_by_role("progressbar")
        await expect(progress).to_have_attribute("value", "4")
        await relayer.post(LATE, cluster.exit_shares(LATE, range(START_INDEX, START_INDEX + 6)))
        await expect(progress).to_have_attribute("value", "6")
        await expect(page.locator("#todo")).to_contain_text("All 6 validators of the round are ready.")
        await expect(page.locator("#history-text")).to_contain_text("6 exits and deposits became ready")


async def test_it_says_when_the_relayer_is_gone(start: Start) -> None:
    async with browsing() as browser:
        async with start(make_cluster(1)) as relayer:
            page = await opened(browser, relayer, [])
        await expect(page.locator("#connection")).to_contain_text("does not answer since")


async def test_who_has_no_token_is_asked_for_one(start: Start, database_url: str) -> None:
    async with tokens_of(database_url) as tokens, start(make_cluster(1)) as relayer, browsing() as browser:
        await tokens.make(READ_ONLY)
        await asyncio.sleep(1)  # until the relayer knows
        async with relayer.session.get(relayer.url) as answer:
            assert answer.status == 401
            assert answer.headers.getall("WWW-Authenticate")[0].startswith("Basic ")
        page = await browser.new_page()
        with suppress(
            BrowserError
        ):  # a browser that nobody answers shows the refusal, or an error of its own
            await page.goto(relayer.url)
        await expect(page.get_by_role("heading")).to_have_count(0)
        await expect(page.get_by_role("status")).to_have_count(0)


async def test_it_is_seen_with_a_token(start: Start, database_url: str) -> None:
    """As the password that the browser asks for; the page neither has nor shows it."""
    seen: list[str] = []
    async with tokens_of(database_url) as tokens:
        token = await tokens.make(READ_ONLY)
        asker = await tokens.make(EVERYTHING)
        cluster = make_cluster(3)
        async with start(cluster) as relayer, browsing() as browser:
            known = bearer(asker) | {"Content-Type": "application/json"}
            keys = json.dumps({"public_keys": [key.to_wire() for key in cluster.keys]})
            async with relayer.session.post(f"{relayer.url}/validators", data=keys, headers=known) as answer:
                assert answer.status == 200
            context = await browser.new_context(http_credentials={"username": "me", "password": token})
            page = await context.new_page()
            page.on("request", lambda asked: seen.append(asked.url))
            page.on("console", lambda line: seen.append(line.text))
            await page.goto(relayer.url)
            await expect(page.get_by_role("status").first).to_contain_text("Live")
            await expect(page.get_by_role("progressbar")).to_have_attribute("max", "3")
            await page.get_by_role("grid").get_by_role("gridcell").first.click()
            rows = page.get_by_role("table", name="Validators of").locator("tbody tr")
            await expect(rows).to_have_count(3)  # which the page asks for by itself, with the browser's token
            key = cluster.keys[0].to_wire()
            await expect(rows.first.locator("button.key")).to_have_text(f"{key[:8]}…{key[-6:]}")
            assert seen  # each address that was asked, and each line of the console
            kept = "JSON.stringify([localStorage, sessionStorage, document.cookie])"
            seen += [page.url, await page.content(), await page.evaluate(kept)]
            await tokens.revoke(token)
            await expect(page.locator("#connection")).to_contain_text(
                "refuses the token (401; load this page again to show another) since"
            )
            seen.append(await page.content())
    secret = secret_of(token)
    assert [text for text in seen if token in text or secret in text] == []


@pytest.mark.parametrize("kind", [EVERYTHING, sidecar(("test", 1))], ids=["operator", "sidecar"])
async def test_tokens_that_are_not_for_looking(start: Start, database_url: str, kind: For) -> None:
    """rights.py gives the page to read-only tokens; the others hear so."""
    async with tokens_of(database_url) as tokens:
        token = await tokens.make(kind)
        async with start(make_cluster(1)) as relayer, browsing() as browser:
            context = await browser.new_context(http_credentials={"username": "", "password": token})
            page = await context.new_page()
            for path in ("/", "/status.js", "/status.json", "/metrics", "/docs"):
                answer = await page.goto(relayer.url + path)
                assert answer is not None
                assert answer.status == 403
                await expect(page.locator("body")).to_contain_text(f"this token is of a {kind[0]}")
                assert token not in await page.content() + page.url


async def test_keyboard(start: Start) -> None:
    async with troubled(start, 5, 2) as (relayer, _), page_of(relayer) as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="To what to do")).to_be_focused()
        focused = page.locator(":focus")
        for _ in range(5):
            await page.keyboard.press("Tab")
            if await focused.get_attribute("role") == "gridcell":
                break
        await expect(focused).to_have_accessible_name("Validator 1, operator 1: received")
        for name in ("ArrowDown", "ArrowDown", "End"):
            await page.keyboard.press(name)
        await expect(focused).to_have_accessible_name("Validator 5, operator 3: missing")
        await page.keyboard.press("Enter")
        await expect(
            page.get_by_role("table", name="Validators of far north").locator("tbody tr")
        ).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_accessibility(start: Start, scheme: Any) -> None:
    script = axe()
    phone = {"width": 360, "height": 740}
    async with (
        troubled(start, 12, 8) as (relayer, _),
        page_of(relayer, color_scheme=scheme, viewport=phone) as page,
    ):
        for summary in await page.locator("summary").all():
            await summary.click()
        await expect(page.get_by_role("table", name="Validators of far north")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
        await page.evaluate(script)
        found = await page.evaluate("axe.run()")
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
        assert len(found["passes"]) > 20
        await page.goto(f"{relayer.url}/docs")
        await page.evaluate(script)
        found = await page.evaluate("axe.run()")
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []


async def test_ten_thousand_validators_are_readable(start: Start) -> None:
    """Of a page that shows what it is told; signatures of so many would take minutes."""
    n = 10_000
    operators = [
        {"share_index": i, "received": n, "missing": 0, "bad": 0, "not_needed": 0, "bad_total": 0,
         "last_share_at": 1, "cells": f"{n}r"}
        for i in (1, 2, 3)
    ]  # fmt: skip
    operators[1] |= {"received": n - 1, "missing": 1, "cells": "7000r1m2999r"}
    told = {
        "network": "hoodi", "version": "0", "started_at": 1, "problems": [], "history": [],
        "clusters": [{
            "name": "large", "threshold": 2, "validators": n, "operators": operators, "advice": [],
            "round": {"begun_at": 1, "validators": n, "ready": n - 1, "waiting": 1,
                      "undecided": 0, "left_out": 0},
        }],
    }  # fmt: skip
    async with start(make_cluster(1)) as relayer, browsing() as browser:
        page = await browser.new_page()
        await page.route("**/status.json*", lambda route: route.fulfill(json=told, headers={"ETag": '"a"'}))
        await page.goto(relayer.url)
        grid = page.get_by_role("grid")
        cells = grid.get_by_role("gridcell")
        await expect(cells.first).to_be_visible()
        assert 3 * 30 <= await cells.count() <= 3 * 60
        one = grid.get_by_role("gridcell", name="1 missing")
        await expect(one).to_have_count(1)
        await expect(one).to_have_text("○")


async def test_screenshot(start: Start, tmp_path: Path) -> None:
    """Also how that of the README is made: `make screenshot`."""
    image = Path(os.environ.get("DVTFAST_SCREENSHOT") or tmp_path / "status.png")
    async with (
        troubled(start, 500 if "DVTFAST_SCREENSHOT" in os.environ else 30, 20) as (relayer, cluster),
        page_of(relayer, viewport={"width": 1100, "height": 900}) as page,
    ):
        if "DVTFAST_SCREENSHOT" in os.environ:
            await relayer.fill(cluster, range(START_INDEX, START_INDEX + 312), LATE)
            await expect(page.get_by_role("progressbar")).to_have_attribute("value", "312")
        await page.screenshot(path=image)
    content = await asyncio.to_thread(image.read_bytes)
    assert content.startswith(b"\x89PNG")
    assert len(content) < LARGEST_IMAGE_BYTES


@pytest.mark.parametrize(
    ("exit_", "deposit", "cell"),
    [
        ("received", "received", "r"),
        ("received", "missing", "m"),
        ("missing", "bad", "b"),
        ("received", "bad", "b"),
        ("ready", "received", "n"),
        ("ready", "ready", "n"),
        ("ready", "missing", "m"),
    ],
)
def test_the_worst_of_two_messages(exit_: str, deposit: str, cell: str) -> None:
    cluster = make_cluster(1)
    served = ServedClusters([cluster.shares], signature_threshold=None)
    watched = WatchedValidators(served, Activity(served.groups))

    def message(subject: Exit | Deposit, state: str) -> WatchedMessage:
        good, bad = [2] * (state == "received"), [2] * (state == "bad")
        return WatchedMessage(subject, state == "ready", False, 1, good, bad)

    messages = [message(Exit(5), exit_), message(Deposit(bytes(20), 1, 32), deposit)]
    watched.mend([WatchedValidator(cluster.keys[0], messages, 1)])
    (shown,) = watched.clusters()
    assert [operator.cells[1] for operator in shown.operators][1] == cell
    watched.mend([WatchedValidator(cluster.keys[0], [])])
    assert watched.clusters()[0].round is None
