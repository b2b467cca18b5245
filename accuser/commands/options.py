"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from .._errors import UnknownProtocol
from .._protocol import Protocol
from .._toolchain import SANDBOX, Toolchain, installed


def protocol_argument(context: click.Context, param: click.Parameter, value: str) -> Protocol:
    """The protocol that an option names."""
    try:
        return Protocol.parse(value)
    except UnknownProtocol as error:
        raise click.BadParameter(str(error), context, param) from error


def toolchain_argument(context: click.Context, param: click.Parameter, value: str) -> Toolchain:
    """The toolchain that an option names: ``sandbox``, or a folder."""
    if value == SANDBOX.name:
        return SANDBOX
    if not Path(value).is_dir():
        text = f"{value!r} is neither 'sandbox' nor a folder with Mavkit's binaries"
        raise click.BadParameter(text, context, param)
    return installed(value)
