"""Addresses as upstream's admin client reads them, and what it says of texts that are none.

It prints the exceptions of its parsers as OCaml does (``src/lib_base/p2p_point.ml``; the library ``ipaddr``):
what comes first in a text that cannot be read, and where.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final

from ..cli.clic import Refused
from ..rpc.error_text import quoted
from ..surroundings.hosts import normal_host

Address = tuple[str, int]

DEFAULT_PORT: Final = 9732
_MOST: Final = 65535
_OCTETS: Final = ("first", "second", "third", "fourth")
_HEX: Final = frozenset(string.hexdigits)
_NOTHING_MORE: Final = "not enough data"


class _Unread(Exception):
    """Why a text is no IP address."""


def address(text: str) -> Address:
    """``IPv4:port``, ``[IPv6]:port``, or without port. Raises ``Refused`` with the complaint."""
    host, port = _parts(text)
    try:
        number = int(port) if port else DEFAULT_PORT
    except ValueError as error:
        raise Refused('Failure("int_of_string")') from error
    if not 0 <= number <= _MOST:
        raise Refused('Invalid_argument("port must be between 0 and 65535")')
    try:
        _check_ip(host)
    except _Unread as error:
        raise Refused(f"Ipaddr.Parse_error({quoted(str(error))}, {quoted(host)})") from error
    return normal_host(host), number


def _parts(text: str) -> tuple[str, str]:
    """The host and the port, each as it is written."""
    if text.startswith("["):
        host, closed, rest = text[1:].rpartition("]")
        if not closed:
            raise _invalid("missing ']'")
        if rest and not rest.startswith(":"):
            raise _invalid("unexpected char after ']'")
        return host, rest[1:]
    if "]" in text:
        raise _invalid("unexpected char ']'")
    host, _, port = text.partition(":")
    if ":" in port:
        raise Refused('Invalid_argument("Utils.parse_addr_port: IPv6 addresses must be bracketed")')
    return host, port


def _invalid(what: str) -> Refused:
    return Refused(f'Invalid_argument("Utils.parse_addr_port ({what})")')


def _check_ip(text: str) -> None:
    if not text:
        raise _Unread(_NOTHING_MORE)
    try:
        _whole(text, _read_ipv4)
    except _Unread as first:
        try:
            _whole(text, _read_ipv6)
        except _Unread as second:
            raise _Unread(f"not an IPv4 address: {first}\nnot an IPv6 address: {second}") from None


def _whole(text: str, read: Callable[[str, int], int]) -> None:
    end = read(text, 0)
    if end < len(text):
        raise _bad(text, end)


def _bad(text: str, at: int) -> _Unread:
    return _Unread(f"invalid character '{text[at]}' at {at}" if at < len(text) else _NOTHING_MORE)


def _read_ipv4(text: str, at: int) -> int:
    """Read an IPv4 address from a position on; the position after it."""
    octets = []
    for index in range(4):
        if index:
            if text[at : at + 1] != ".":
                raise _bad(text, at)
            at += 1
        start = at
        while at < len(text) and text[at] in string.digits:
            at += 1
        if at == start:
            raise _bad(text, at)
        octets.append(int(text[start:at]))
    for name, octet in zip(_OCTETS, octets, strict=True):
        if octet > 255:
            raise _Unread(f"{name} octet out of bounds")
    return at


def _read_ipv6(text: str, at: int) -> int:
    """Read an IPv6 address from a position on; the position after it."""
    if len(text) < at + 2:
        raise _Unread(_NOTHING_MORE)
    compressed = text.startswith("::", at)
    at, groups = (at + 2, 1) if compressed else (at, 0)
    while groups < 8 and at < len(text):
        start = at
        while at < len(text) and text[at] in _HEX:
            at += 1
        if at == start:
            break
        if groups == 7:
            groups += 1
        elif text.startswith("::", at) and not compressed:
            compressed, groups, at = True, groups + 2, at + 2
        elif text.startswith("::", at):
            groups += 1
            break
        elif text[at : at + 1] == ":":
            if text[at + 1 : at + 2] not in _HEX:
                raise _bad(text, at + 1)
            groups, at = groups + 1, at + 1
        elif text[at : at + 1] == ".":
            groups, at = groups + 2, _read_ipv4(text, start)
            break
        else:
            groups += 1
            break
    if groups > 8:
        raise _Unread("too many components")
    if groups == 0:
        raise _Unread(_NOTHING_MORE)
    if groups < 8 and not compressed:
        raise _bad(text, at)
    return at
