"""Whom an IP address stands for."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

IPV6_NETWORK_BITS = 64  # what one customer has


def is_loopback(host: str) -> bool:
    """Whether only this machine has it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(host: str) -> bool:
    """Whether it is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def network_of(address: str | None) -> str:
    """Whom an address stands for: one of IPv6 for its whole network, since who has one has all of it."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(parsed, IPv6Address) and not parsed.is_loopback:
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
    return str(parsed)
