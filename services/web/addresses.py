"""Whom an IP address stands for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

IPV6_NETWORK_BITS = 64  # what one customer has
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an address of IPv4
IPV4_BITS = 0xFFFFFFFF


def is_loopback(host: str) -> bool:
    """Whether only this machine has it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's, not of this machine, a private network or a group."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        within = [parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ())]
        if parsed in NAT64:
            within.append(IPv4Address(int(parsed) & IPV4_BITS))
        if not all(each.is_global for each in within if each is not None):
            return False
    return parsed.is_global and not parsed.is_multicast


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
