"""The sandbox's executables: ``python -m accuser.sandbox mavkit-node run ...``.

One entry for all of them, told apart by the name of the real executable that comes first.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

if not __package__:
    # Started by its path: the package must be the one that this file belongs to.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accuser.sandbox.programs import MODULES

NEEDED: Final = ("cryptography",)
"""What the package does not bring by itself."""


def main() -> int:
    """Run the executable that the first argument names; return its exit status."""
    program = sys.argv[1] if len(sys.argv) > 1 else ""
    module = MODULES.get(Path(program).name)
    if module is None:
        print("The sandbox's executables are:", file=sys.stderr)
        for name in MODULES:
            print(f"  python -m accuser.sandbox {name} ...", file=sys.stderr)
        return 1
    try:
        status: int = importlib.import_module(f"accuser.sandbox.{module}").main(program, sys.argv[2:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        advice = "install it with: pip install 'accuser[sandbox]'"
        print(f"The sandbox's {Path(program).name} needs {missing}; {advice}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
