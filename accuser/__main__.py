"""The command line, for ``accuser`` and ``python -m accuser``."""

from __future__ import annotations

import sys
from typing import Final

_NEEDED: Final = ("click", "rich")
"""What the extra ``cli`` brings; that of the explorer brings click alone."""


def main() -> int:
    """Run the command line; return its exit status."""
    try:
        from .commands import run

        # Commands, and what tells their errors, are loaded when they are asked for.
        return run()
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        print(
            f"accuser: the command line needs {error.name}; install it with: pip install 'accuser[cli]'",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
