import pytest

from dvtfast.services.ceremony.dealing import DealtCluster

from .dealt import a_cluster


@pytest.fixture(scope="session")
def dealt() -> DealtCluster:
    """A cluster of four nodes with two validators."""
    return a_cluster()
