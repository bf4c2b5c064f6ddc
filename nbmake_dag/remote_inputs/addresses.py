"""Which machines may be connected to: those of the internet, and others only if the pipeline names them."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, ClassVar
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6 networks translate them."""
_GLOBAL = ipaddress.IPv6Network("2000::/3")
"""All addresses of IPv6 that the internet has; others are translated, of one site, or of former standards."""
_NO_HOSTS = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("192.88.99.0/24"))
"""What older versions of Python take for addresses of the internet."""


class RefusedAddressError(Exception):
    """A host has an address that must not be connected to."""


def named_in(url: str) -> frozenset[str]:
    """Return the host of a URL if it is written as one of this machine or of a private network."""
    host = (urlsplit(url).hostname or "").lower()
    is_written = host == "localhost" or host.endswith(".localhost") or _address(host) is not None
    return frozenset({host}) if is_written else frozenset()


def check_host(host: str, named: frozenset[str]) -> None:
    """Raise `RefusedAddressError` for a host that is an address, and must not be connected to."""
    address = _address(host)
    if address is not None:
        check_address(host, address, named)


def check_address(
    host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, named: frozenset[str]
) -> None:
    if host.lower() not in named and not _is_public(address):
        raise RefusedAddressError(f"{host} is {address}, which is no address of the internet")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
        if address not in _GLOBAL:
            return False
    elif any(address in network for network in _NO_HOSTS):
        return False
    return address.is_global and not address.is_multicast


class CheckedAdapter(HTTPAdapter):
    """Connects to addresses that were checked, and to no other that the name may get a moment later."""

    def __init__(self, named: frozenset[str]) -> None:
        self._named = named
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._named)


def _pools(named: frozenset[str]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, named)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, named)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls: ClassVar[type[HTTPConnection]] = Plain  # type: ignore[misc]

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls: ClassVar[type[HTTPSConnection]] = Secure  # type: ignore[misc]

    return {"http": PlainPool, "https": SecurePool}


def _connect(connection: HTTPConnection, named: frozenset[str]) -> socket.socket:
    """Connect to the first address of a host that answers, after all were checked."""
    host, port = connection.host, connection.port
    found = [row[4][0] for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        check_address(host, ipaddress.ip_address(str(address).partition("%")[0]), named)
    failure: OSError = OSError(f"{host} has no address")
    for address in found:
        try:
            return create_connection(
                (str(address), port), connection.timeout, socket_options=connection.socket_options
            )
        except OSError as error:
            failure = error
    raise failure
