"""The command line, for ``accuser`` and ``python -m accuser``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; return its exit status."""
    try:
        from .commands import run
    except ModuleNotFoundError as error:
        print(
            f"accuser: the command line needs {error.name}; install it with: pip install 'accuser[cli]'",
            file=sys.stderr,
        )
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
