"""A port that another process has, told by what a node prints before it exits."""

from __future__ import annotations

import re
from typing import Final

from .._errors import DaemonExited, PortTaken

# ``src/bin_node/node_run_command.ml``, ``src/lib_p2p/p2p_fd.ml``.
_TAKEN: Final = re.compile(
    r"(?:initializing P2P server on this address: (\S+)\. Reason: [^.]*\. )?"
    r"Another mav\w+ .{4,12}is probably running on "
    r"(?:one of these addresses \(([^)]*)\)|this address)"
)


def port_taken(error: DaemonExited) -> DaemonExited:
    """Give a `PortTaken` in place of an exit for which a taken port was the reason."""
    # The library of its command line breaks lines wherever it likes.
    taken = _TAKEN.search(" ".join(" ".join(error.tail).split()))
    if taken is None or error.status <= 0:
        return error
    address = taken[1] or taken[2] or "its address"
    return PortTaken(error.daemon, error.status, error.tail, error.directory, address=address)
