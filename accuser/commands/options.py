"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from .._errors import UnknownProtocol
from .._hosts.toolchain import SANDBOX, Toolchain, installed
from .._mavryk.protocol import Protocol

INSTALLED: Final = "installed"


def protocol_argument(context: click.Context, param: click.Parameter, value: str) -> Protocol:
    """The protocol that an option names."""
    try:
        return Protocol.parse(value)
    except UnknownProtocol as error:
        raise click.BadParameter(str(error), context, param) from error


def toolchain_argument(context: click.Context, param: click.Parameter, value: str) -> Toolchain:
    """The toolchain that an option names: ``sandbox``, a folder, or ``installed``."""
    if value == SANDBOX.name:
        return SANDBOX
    if value == INSTALLED:
        return installed()
    if not Path(value).is_dir():
        text = f"{value!r} is neither 'sandbox' nor a folder with Mavkit's binaries, nor 'installed'"
        raise click.BadParameter(text, context, param)
    return installed(value)


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
