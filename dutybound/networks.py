"""Networks from which requests reach AWS: what a text in CIDR notation says, and what is wrong with it."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_UNSEEN = {
    "10.0.0.0/8": ("private", "RFC 1918"),
    "172.16.0.0/12": ("private", "RFC 1918"),
    "192.168.0.0/16": ("private", "RFC 1918"),
    "100.64.0.0/10": ("shared by carriers", "RFC 6598"),
    "127.0.0.0/8": ("this machine itself", ""),
    "169.254.0.0/16": ("link-local", ""),
    "fc00::/7": ("private", "RFC 4193"),
    "fe80::/10": ("link-local", ""),
    "::1/128": ("this machine itself", ""),
}


def network(text: str) -> Network | None:
    """The network that a text names, or None if it names none. Bits behind its length make no difference."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def names_one_inside(text: str) -> bool:
    """Whether a text that names a network has bits set behind its length, as 203.0.113.7/24 has."""
    return ipaddress.ip_interface(text).ip != ipaddress.ip_network(text, strict=False).network_address


def unseen(given: Network) -> tuple[str, str] | None:
    """Why no request reaches AWS from this network, and the RFC that says so; None for a public one.

    Source: IANA special-purpose address registries.
    """
    return next((why for text, why in _UNSEEN.items() if _inside(given, ipaddress.ip_network(text))), None)


def _inside(one: Network, other: Network) -> bool:
    if isinstance(one, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and one.subnet_of(other)
    return isinstance(other, ipaddress.IPv6Network) and one.subnet_of(other)
