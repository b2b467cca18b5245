"""Options and arguments that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .._errors import UnknownProtocol
from .._hosts.selection import (
    ALL_NAMED,
    DEFAULT_PROTOCOL,
    IN_MEMORY,
    OF_PROCESSES,
    PROTOCOLS,
    toolchain_called,
)
from .._hosts.toolchain import SANDBOX, Toolchain
from .._mavryk.protocol import Protocol

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.FloatRange):
    """A number of seconds, which NaN is not.

    Args:
        min: the least.
        min_open: whether it must be more than that.
    """

    def __init__(self, min: float = 0, *, min_open: bool = False) -> None:
        super().__init__(min=min, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        seconds = float(super().convert(value, param, context))
        # NaN is in every range: no comparison finds it outside.
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, context)
        return seconds


def toolchain_option(default: str | None, use: str, *, alone: bool = True) -> Callable[[F], F]:
    """``--toolchain``, which gives the command a ``toolchain``.

    Args:
        default: what it is otherwise; the command gets None if that is None.
        use: what the toolchain is for, as the beginning of a sentence.
        alone: whether all that runs is the command's own. What is in memory reaches nothing else.
    """
    named = ALL_NAMED if alone else OF_PROCESSES
    *others, last = (f"{name} ({what})" for name, what in named.items())
    return click.option(
        "--toolchain",
        callback=_toolchain if alone else _toolchain_of_processes,
        default=default,
        metavar="|".join(named),
        show_default=default is not None,
        help=f"{use}: {', '.join(others)}, or {last}.",
    )


def protocols_option(use: str) -> Callable[[F], F]:
    """``--protocol``, which may be given several times and gives the command ``protocols``."""
    return click.option(
        "--protocol",
        "protocols",
        # By the option's name, not by the parameter's, of which there are several.
        envvar="ACCUSER_RUN_PROTOCOL",
        callback=_protocols,
        multiple=True,
        default=[DEFAULT_PROTOCOL],
        metavar=PROTOCOLS,
        show_default=True,
        help=use,
    )


def _protocols(
    context: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[Protocol, ...]:
    return tuple(dict.fromkeys(_protocol(context, param, one) for one in value))


def protocol_option(use: str) -> Callable[[F], F]:
    """``--protocol``, which gives the command a ``protocol``; ``use`` is what for, in a sentence."""
    return click.option(
        "--protocol",
        callback=_protocol,
        default=DEFAULT_PROTOCOL,
        metavar=PROTOCOLS,
        show_default=True,
        help=use,
    )


def _protocol(context: click.Context, param: click.Parameter, value: str) -> Protocol:
    try:
        return Protocol.parse(value)
    except UnknownProtocol as error:
        raise click.BadParameter(str(error), context, param) from error


def _toolchain(context: click.Context, param: click.Parameter, value: str | None) -> Toolchain | None:
    try:
        return None if value is None else toolchain_called(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, param) from error


def _toolchain_of_processes(
    context: click.Context, param: click.Parameter, value: str | None
) -> Toolchain | None:
    if value == IN_MEMORY:
        text = f"what runs in {IN_MEMORY} reaches nothing outside of this process; take {SANDBOX.name}"
        raise click.BadParameter(text, context, param)
    return _toolchain(context, param, value)


def address_argument(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A host and a port, as in ``127.0.0.1:9100`` or ``[::1]:9100``, as it was given."""
    if value is not None:
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isdecimal() and port.isascii() and int(port) < 65536):
            text = f"{value!r} is no HOST:PORT; one looks like 127.0.0.1:9100"
            raise click.BadParameter(text, context, param)
    return value


def split_address(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
