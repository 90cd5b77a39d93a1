"""Which extra of dvtfast brings a package. Nothing is imported here but the standard library."""

from __future__ import annotations

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
}


def missing(error: ImportError) -> str | None:
    """What to install for a package that is not there; None for one that is no extra's."""
    if type(error).__name__ == "MissingExtraError":  # it says so itself
        return str(error)
    package = (error.name or "").partition(".")[0]
    if (extra := EXTRA_OF.get(package)) is None:
        return None
    return f"{package} is not installed: pip install 'dvtfast[{extra}]'"
