"""How tests run: settings of hypothesis, and `--no-skips` for machines that should have everything.

The same examples are drawn each time, so that a failure has to do with the change that is tested.
`pytest tests/property --hypothesis-profile=thorough --timeout=0` draws new ones, and many more.
"""

import gc
import os
import signal
import sys
from importlib import import_module

import pytest
from hypothesis import HealthCheck, settings

from tests.backends import BACKENDS, NO_IFMA, use_backend
from tests.go_peer import NO_GO
from tests.services.ceremony.charon import NO_CHARON
from tests.vector_files import NOT_GIVEN

# py_ecc raises this limit for the whole process, and JSON that is nested too deeply would then overflow
# the stack of a thread where msgspec should refuse it, as it does in a service.
recursion_limit = sys.getrecursionlimit()
import_module("py_ecc")
sys.setrecursionlimit(recursion_limit)

# A shell lets what it sends to the background ignore Ctrl-C, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# py_ecc needs 50 ms for one multiplication, so time says nothing about a test here.
settings.register_profile(
    "default",
    deadline=None,
    max_examples=15,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", parent=settings.get_profile("default"), max_examples=500, derandomize=False
)
settings.load_profile("default")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: many tests wait for processes and blocks, meanwhile others compute."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, not when others are done: what waits, and the simulation, which computes.

    What may take so long that it has a `timeout` of its own waits for processes most of its time.
    """
    items.sort(key=lambda item: (not _is_simulation(item), item.get_closest_marker("timeout") is None))


def _is_simulation(item: pytest.Item) -> bool:
    return item.path.parent.name == "simulation"


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no look for garbage goes over it any more."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The backend that a test marked ON_EACH_BACKEND runs on; others run on what the library chose."""
    name = getattr(request, "param", None)
    if name:
        # A lone row costs the checked lanes as much as eight, a tenth of a second.
        use_backend(name, monkeypatch, least_rows=4 if name == "checked" else 1)
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if mark := metafunc.definition.get_closest_marker("on_each_backend"):
        # A hundred times slower, and by far most of the time; tests/fuzz runs its every function each time.
        checked = pytest.param("checked", marks=pytest.mark.thorough)
        backends = [checked if name == "checked" else name for name in mark.args or BACKENDS]
        metafunc.parametrize("backend", backends, indirect=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    # A processor without AVX-512 IFMA is no fault of the machine, nor is it to lack what is not ours to give.
    known = (NO_IFMA, NO_GO, NOT_GIVEN, NO_CHARON)
    skipped = [report for report in skipped if not any(why in str(report.longrepr) for why in known)]
    if session.config.getoption("--no-skips") and skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
