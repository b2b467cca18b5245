"""Where upstream's vectors lie; without them there is nothing to collect, and nothing is skipped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

VECTORS: Final = Path(
    os.environ.get("BINARY_VECTORS", Path(__file__).parents[3] / "shared" / "binary-vectors")
)
collect_ignore = [] if VECTORS.is_dir() else ["test_binary_recorded.py"]
