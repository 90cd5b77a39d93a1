"""How tests run: settings of hypothesis, and `--no-skips` for machines that should have everything.

The same examples are drawn each time, so that a failure has to do with the change that is tested.
`pytest tests/property --hypothesis-profile=thorough --timeout=0` draws new ones, and many more.
"""

import sys

import pytest
from hypothesis import HealthCheck, settings

# py_ecc raises this limit for the whole process, and JSON that is nested too deeply would then overflow
# the stack of a thread where msgspec should refuse it, as it does in a service.
recursion_limit = sys.getrecursionlimit()
import py_ecc  # noqa: E402, F401

sys.setrecursionlimit(recursion_limit)

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
