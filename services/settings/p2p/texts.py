"""How texts about libp2p are read."""

from __future__ import annotations

from ipaddress import ip_address

SHOWN = 60  # letters
_NO_ENDPOINT = "expected ADDRESS:PORT, such as 0.0.0.0:3610 or [::1]:3610"


def endpoint(value: str) -> tuple[str, int]:
    """An IP address and a port, to listen on."""
    host, _, port = value.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"{_NO_ENDPOINT}, got {value[:SHOWN]!r}") from None
    if (address.version == 6) != host.startswith("["):
        raise ValueError(f"{_NO_ENDPOINT}, got {value[:SHOWN]!r}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise ValueError(f"expected a port in 0..65535, got {value[:SHOWN]!r}")
    return str(address), int(port)


def ip(value: str) -> str:
    """An IP address."""
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError(f"expected an IP address, got {value[:SHOWN]!r}") from None


def relay(value: str) -> str:
    """An address that names a relay, or a relay's multiaddr."""
    if not (value.startswith(("http://", "https://")) or (value.startswith("/") and "/p2p/" in value)):
        raise ValueError(f"expected http(s)://... or a multiaddr with /p2p/ID, got {value[:SHOWN]!r}")
    return value
