"""Which extra of dvtfast brings a package. Nothing is imported here but the standard library."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

# By the names under which packages are imported: the smallest extra that has them and the command, too.
EXTRA_OF: Final = {
    "cryptography": "services",
    "coincurve": "services",
    "Crypto": "services",
    "aiohttp": "services",
    "alembic": "services",
    "click": "services",
    "msgspec": "services",
    "prometheus_client": "services",
    "rich": "services",
    "sqlalchemy": "services",
    "structlog": "services",
    "tenacity": "services",
    "eth_abi": "chain",
    "eth_account": "operator",
    "eth_keyfile": "operator",
    "asyncpg": "postgres",
    "greenlet": "postgres",
    "vyper": "demo-chain",
    "eth_consensus_specs": "spec",
    "ckzg": "spec",
}

# What is imported only where the settings want it, which is better told at once than one by one.
PACKAGES: Final = {
    "chain": ("eth_abi",),
    "manager": ("eth_account",),
    "operator": ("eth_abi", "eth_account"),
    "spec": ("eth_consensus_specs", "ckzg"),
    "demo-chain": ("eth_abi", "eth_account", "vyper"),
}


def require(extras: Iterable[str]) -> None:
    """Look for all packages of some extras, and import none.

    Raises:
        MissingExtraError: naming all that is not there, and the one command that brings it.
    """
    lacking = {
        extra: names
        for extra in extras
        if (names := [name for name in PACKAGES[extra] if find_spec(name) is None])
    }
    if lacking:
        from dvtfast.errors import MissingExtraError

        *names, last = sorted({name for names in lacking.values() for name in names})
        said = f"{', '.join(names)} and {last} are" if names else f"{last} is"
        raise MissingExtraError(f"{said} not installed: pip install 'dvtfast[{','.join(lacking)}]'")


def missing(error: ImportError) -> str | None:
    """What to install for a package that is not there; None for one that is no extra's."""
    if type(error).__name__ == "MissingExtraError":  # it says so itself
        return str(error)
    package = (error.name or "").partition(".")[0]
    if (extra := EXTRA_OF.get(package)) is None:
        return None
    return f"{package} is not installed: pip install 'dvtfast[{extra}]'"
