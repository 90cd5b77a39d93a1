"""Whom an IP address stands for."""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

IPV6_NETWORK_BITS = 64  # what one customer has
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an address of IPv4
IPV4_BITS = 0xFFFFFFFF
PRIVATE = tuple(
    ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


class Reach(IntEnum):
    """From where an address can be reached."""

    NOWHERE = 0  # of a group, of one cable, of nobody
    MACHINE = 1
    NETWORK = 2
    INTERNET = 3


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


def reach_of(address: str) -> Reach:
    """From where an IP address can be reached."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback:
        return Reach.MACHINE
    if any(parsed in network for network in PRIVATE):
        return Reach.NETWORK
    return Reach.INTERNET if is_public(str(parsed)) else Reach.NOWHERE


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
