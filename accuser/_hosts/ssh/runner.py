"""Other machines, reached with the OpenSSH client.

Facts: ``tezt/lib/runner.ml`` of the Tezt framework, whose fields and addresses these are.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from ..remote.runner import Runner
from .connection import Connection


@attrs.define(eq=False)
class SSHRunner(Runner):
    """Another machine for daemons to run on; it needs OpenSSH's server and a POSIX shell.

    Creating a runner opens nothing. The first daemon on it opens one connection, which all
    share, and which closes with the last; ``async with runner:`` holds it open. Host keys,
    jump hosts and everything else are as the user's configuration of ``ssh`` says; no password is
    ever asked for.

    What was started there stops by itself when its owner, or the connection, is gone: at once
    if the connection is closed, within ``lost_after`` seconds if it falls silent; then the daemon
    gets SIGTERM and, 10 s later, SIGKILL, and its temporary files are removed.
    """

    address: str
    """Name or IP address, for ``ssh`` and for whoever talks to servers there."""
    alias: str | None = attrs.field(default=None, kw_only=True)
    """What ``ssh`` is to call in place of the address: a ``Host`` of its configuration."""
    user: str | None = attrs.field(default=None, kw_only=True)
    """User to log in as."""
    port: int | None = attrs.field(default=None, kw_only=True)
    """Port of the SSH server."""
    identity: str | Path | None = attrs.field(default=None, kw_only=True)
    """File of the private key."""
    config: str | Path | None = attrs.field(default=None, kw_only=True)
    """Configuration file of ``ssh``, in place of the user's and the system's."""
    connect_timeout: float = attrs.field(default=10.0, kw_only=True, validator=attrs.validators.gt(0))
    """Seconds that the connection may take to be made, and again to log in."""

    def __attrs_post_init__(self) -> None:
        destination = self.alias or self.address
        if not destination or destination.startswith("-"):
            raise ValueError(f"{destination!r} is no name of a host")
        self.check_folder()
        words = [
            *(() if self.config is None else ("-F", str(self.config))),
            destination,
            *(() if self.user is None else ("-l", self.user)),
            *(() if self.port is None else ("-p", str(self.port))),
            *(() if self.identity is None else ("-i", str(self.identity))),
        ]
        alive = max(1, int(self.lost_after / 3))
        self.transport: Connection = Connection(
            destination, self.address, tuple(words), self.connect_timeout, alive
        )

    def __str__(self) -> str:
        return self.alias or self.address
