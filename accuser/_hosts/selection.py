"""The words by which command lines, `accuser` and pytest's, choose a toolchain and a protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .._mavryk.protocol import Protocol
from .memory.machine import MEMORY
from .toolchain import SANDBOX, Toolchain, installed

INSTALLED: Final = "installed"
IN_MEMORY: Final = "memory"
IMAGE: Final = "image:"

OF_PROCESSES: Final = {
    INSTALLED: "Mavkit's binaries in MAVKIT_BIN_DIR and PATH",
    "DIR": "those in DIR first",
    f"{IMAGE}REF": "those of an image, in containers of podman or docker",
    SANDBOX.name: "the embedded one, as processes",
}
"""What a toolchain is called whose daemons are processes, and what that means, for ``--help``."""
ALL_NAMED: Final = {**OF_PROCESSES, IN_MEMORY: "the same as tasks of this program"}
TOOLCHAINS: Final = "|".join(ALL_NAMED)

PROTOCOLS: Final = "|".join(protocol.tag for protocol in Protocol)
"""What a protocol is called; its daemon name, long name and hash are understood too."""
DEFAULT_PROTOCOL: Final = Protocol.BOREAS.tag


def toolchain_of(given: Toolchain | str | None) -> Toolchain | None:
    """Give a toolchain, or the one that a word names. Raises as `toolchain_called` does."""
    return toolchain_called(given) if isinstance(given, str) else given


def toolchain_called(word: str) -> Toolchain:
    """Give the toolchain that a word names.

    Raises:
        ValueError: it names none; the text says what would.
    """
    if word == SANDBOX.name:
        return SANDBOX
    if word == IN_MEMORY:
        return MEMORY
    if word == INSTALLED:
        return installed()
    if word.startswith(IMAGE):
        return Toolchain.image(word.removeprefix(IMAGE))
    # The path that is empty is the working directory.
    if not word or not Path(word).is_dir():
        raise ValueError(
            f"{word!r} is neither 'sandbox' nor 'memory' nor 'installed' nor '{IMAGE}REF' nor a folder with "
            "Mavkit's binaries"
        )
    return installed(word)
