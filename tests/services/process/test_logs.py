"""Log lines: of ours and of libraries, in both formats."""

from __future__ import annotations

import json
import logging

import pytest

from dvtfast.services.process import logs


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    logs.get("pipeline").info("batch", n=3)
    logs.get("pipeline").debug("unseen")
    logging.getLogger("library").warning("careful %d", 5)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logs.get("http").exception("failed")
    ours, library, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["part"], ours["n"], ours["level"]) == ("batch", "pipeline", 3, "info")
    assert (library["event"], library["level"]) == ("careful 5", "warning")
    assert "ZeroDivisionError" in failed["exception"]


def test_lines_are_counted() -> None:
    """Those of each part and level that are shown."""
    logs.configure("json", "warning")
    before = logs.told.copy()
    logs.get("counted").warning("one")
    logs.get("counted").warning("two")
    logs.get("counted").error("three")
    logs.get("counted").info("unseen")
    logging.getLogger("library").error("of no part")
    assert logs.told - before == {("counted", "warning"): 2, ("counted", "error"): 1, ("", "error"): 1}


def test_plain(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("plain", "warning")
    logs.get("pipeline").info("unseen")
    logs.get("pipeline").warning("bad shares", share_index=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad shares" in line
    assert "share_index=2" in line


@pytest.mark.parametrize("log_format", ["plain", "json"])
@pytest.mark.parametrize("logger", ["ours", "a library's"])
def test_tracebacks_show_no_local_variables(
    log_format: str, logger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(log_format, "info")
    log = logs.get("http") if logger == "ours" else logging.getLogger("library")

    def fail(payload: bytes) -> None:
        raise ValueError(f"{len(payload)} bytes are wrong")

    payload = bytes(range(97, 117))
    try:
        fail(payload)
    except ValueError:
        log.exception("failed")
    output = capsys.readouterr().err
    assert "ValueError: 20 bytes are wrong" in output
    assert payload.decode() not in output


@pytest.mark.parametrize("logger", ["ours", "a library's"])
def test_what_others_send_does_nothing_to_a_terminal(logger: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("plain", "info")
    hostile = "\x1b[2J\x9b1A\ud800\x07gone"
    if logger == "ours":
        logs.get("sidecar").warning("shares rejected", reason=hostile, lines="a\nb")
    else:
        logging.getLogger("library").warning(hostile + "\nsecond")
    shown = capsys.readouterr().err
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert "gone" in shown
    assert ("'a\\nb'" in shown) == (logger == "ours")
    assert ("\nsecond" in shown) != (logger == "ours")
