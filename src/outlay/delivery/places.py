"""Places: which addresses a message may be sent to. A name is looked up once, and what was judged is connected to.

An order to post something somewhere, run inside a company's network, reaches what its giver could not. So an address
that is not public is refused unless the setting `OUTLAY_WEBHOOKS_MAY_REACH` names its network.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from outlay.core.errors import InputError

VARIABLE = "OUTLAY_WEBHOOKS_MAY_REACH"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_METADATA = ip_address("168.63.129.16")
"""The one address of a cloud's inside that lies in public space."""

_NAT64 = ip_network("64:ff9b::/96")


class RefusedPlaceError(InputError):
    """Nothing is sent to this address, now or later."""


def networks(said: str | None = None) -> tuple[Network, ...]:
    """The networks that may be reached though they are not public, from the setting. Raises InputError."""
    text = os.environ.get(VARIABLE, "") if said is None else said
    try:
        return tuple(ip_network(item.strip(), strict=False) for item in text.split(",") if item.strip())
    except ValueError as error:
        raise InputError(f"{VARIABLE}: {error}", hint="networks with commas: 10.1.2.0/24,192.168.7.9/32") from error


def addresses(host: str, port: int) -> list[str]:
    """What a name means now, as the system knows it. Raises InputError where it means nothing."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the name {host} cannot be looked up: {reason}") from error
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def is_allowed(text: str, allowed: Sequence[Network]) -> bool:
    """Whether the setting names an address's network."""
    return any(ip_address(text.partition("%")[0]) in network for network in allowed)


def judged(host: str, found: Sequence[str], allowed: Sequence[Network], *, inside: bool = False) -> list[str]:
    """The addresses, if every one of them may be connected to; `inside` is for relays, which may be private.

    Raises RefusedPlaceError that names the address and the way to allow it.
    """
    for text in found:
        if is_allowed(text, allowed):
            continue
        address = ip_address(text.partition("%")[0])
        why = refusal_of(address, inside=inside)
        if why:
            width = 32 if address.version == 4 else 128
            what = f"{host} is {text}, {why}" if host != text else f"{text} is {why}"
            raise RefusedPlaceError(
                f"{what}: nothing is sent there", hint=f"{VARIABLE}={address}/{width} where that is meant"
            )
    if not found:
        raise InputError(f"the name {host} has no address")
    return list(found)


def refusal_of(address: Address, *, inside: bool = False) -> str:
    """Why nothing is sent to an address; empty where it is public, or private and `inside` allows that."""
    inner = _inner(address)
    if inner is not None:
        return refusal_of(inner, inside=inside)
    if address.is_unspecified or address.is_multicast:
        return "no address of one machine"
    if address.is_link_local or address == _METADATA:
        return "an address of the link or of a cloud's inside"
    if inside:
        return ""
    if address.is_loopback:
        return "this machine itself"
    return "" if address.is_global and not address.is_reserved else "a private address"


def _inner(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
