"""Which addresses a provider may have. A host is judged by its text here, and by what it resolves to in
transport.py.

Clouds keep the credentials of their machines at link-local addresses and at a few others. An address has many
spellings: decimal, hexadecimal, octal, short, or within an IPv6 address. A name may resolve to one.
"""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from collections.abc import Iterator

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
"""Metadata services that are not link-local."""
METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_COMPATIBLE = ipaddress.ip_network("::/96")  # RFC 4291, 2.5.5.1


def is_forbidden(host: str) -> bool:
    """Whether the host is, by its text alone, a link-local address or a cloud's metadata service."""
    address = _literal(host)
    return _plain(host) in METADATA_NAMES if address is None else forbids(address)


def is_loopback(host: str) -> bool:
    """Whether the host is, by its text alone, this machine."""
    address, name = _literal(host), _plain(host)
    if address is None:
        return name == "localhost" or name.endswith(".localhost")
    return any(each.is_loopback or each.is_unspecified for each in _meanings(address))


def forbids(address: IP) -> bool:
    """Whether an address, or the IPv4 address within it, is link-local or a metadata service."""
    return any(each.is_link_local or each in METADATA for each in _meanings(address))


def _plain(host: str) -> str:
    return unicodedata.normalize("NFKC", host).strip("[]").rstrip(".").lower()


def _literal(host: str) -> IP | None:
    """The address that the text spells in any form that the C library takes; None for a name."""
    text = _plain(host)
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):
        return None


def _meanings(address: IP) -> Iterator[IP]:
    """The address itself, and the IPv4 address within it."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        embedded = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
            embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        yield from (each for each in embedded if each is not None)
