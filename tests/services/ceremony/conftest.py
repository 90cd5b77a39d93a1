import pytest

from dvtfast.services.ceremony.dealing import Dealt

from .dealt import a_cluster


@pytest.fixture(scope="session")
def dealt() -> Dealt:
    """A cluster of four nodes with two validators."""
    return a_cluster()
