"""Settings of hypothesis for every test: `pytest --hypothesis-profile=thorough` looks longer."""

from hypothesis import HealthCheck, settings

# py_ecc needs 50 ms for one multiplication, so time says nothing about a test here.
settings.register_profile(
    "default", deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=500)
settings.load_profile("default")
