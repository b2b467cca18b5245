"""Which executables run: the real ones of Mavkit, or the embedded sandbox."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from .._errors import BinaryNotFound
from ..sandbox.programs import MODULES
from . import embedded
from .search import find

if TYPE_CHECKING:
    from .host import Host


@attrs.frozen
class Toolchain:
    """A set of executables with Mavkit's names and command lines.

    Use `SANDBOX`, `installed`, `Toolchain.image` or `open_sandbox`.
    """

    name: str
    """``sandbox`` or ``mavkit``; reports say it."""
    bin_dir: Path | None = None
    """The folder that is searched first; None for the sandbox, and for the PATH alone."""
    host: Host | None = attrs.field(default=None, repr=False)
    """Where alone these run; None for any machine."""

    @classmethod
    def image(cls, reference: str, **options: Any) -> Toolchain:
        """The Mavkit executables of an image of containers.

        What runs at the same time in one toolchain shares a container, which starts with the first of it and
        ends with the last.

        Args:
            reference: of the image, as in ``"registry.example/mavkit:22"``.
            options: those of `ContainerRunner`.
        """
        from .container.runner import ContainerRunner  # which most programs never use

        return cls("mavkit", host=ContainerRunner(reference, **options))

    @property
    def is_sandbox(self) -> bool:
        """Whether these are the executables that this package carries."""
        return self.name == "sandbox"

    def command(self, binary: str, host: Host | None = None) -> tuple[str, ...]:
        """Give the words that start ``binary``, to be followed by its arguments.

        Args:
            binary: name of the executable, as in ``mavkit-node``.
            host: where it is to be started; None for the toolchain's own place, or else this machine.

        Raises:
            BinaryNotFound: it is in none of the places that were searched.
        """
        place = self.host if host is None else host
        if self.is_sandbox and (place is None or place.world is None):
            # On another machine it is taken to be where it is here.
            if binary not in MODULES:
                known = f"the sandbox, which has {', '.join(MODULES)}"
                raise BinaryNotFound(binary, (known,), in_sandbox=False)
            return embedded.command(binary)
        return find(binary, self.bin_dir) if place is None else place.find(binary, self.bin_dir)

    def __str__(self) -> str:
        if self.host is not None:
            return f"{self.name} {self.host}"
        return self.name if self.bin_dir is None else f"{self.name} in {self.bin_dir}"


SANDBOX: Final = Toolchain("sandbox")
"""The node, accuser and client that this package carries, on a small honest chain."""


def installed(bin_dir: str | os.PathLike[str] | None = None) -> Toolchain:
    """The Mavkit executables that are installed here.

    Each is searched in ``bin_dir``, then in the folder that ``MAVKIT_BIN_DIR`` names, then in
    the PATH, at the time of its start. The sandbox is never among them.
    """
    return Toolchain("mavkit", None if bin_dir is None else Path(bin_dir).absolute())
