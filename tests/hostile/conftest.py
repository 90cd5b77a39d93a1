"""Charon's ceremony in both of its dialects."""

import pytest

from dvtfast.dkg.frost.dialects import V1_10, V1_11


@pytest.fixture(params=[V1_10, V1_11], ids=lambda dialect: dialect.version)
def dialect(request):
    return request.param
