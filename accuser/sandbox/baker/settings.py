"""What a baker's command line says."""

from __future__ import annotations

from pathlib import Path

import attrs

from ..._mavryk.codec.crypto import Key
from .selection import Fees
from .votefile import Votes


@attrs.frozen
class Settings:
    keys: tuple[Key, ...]
    votes: Votes
    vote_file: Path | None = None
    operations_pool: str | None = None
    dal_node: str | None = None
    fees: Fees = attrs.Factory(Fees)
    pre_emptive: float | None = None
    """Seconds; None for 15 % of the time of a block."""
    keep_alive: bool = False
    record_state: bool = False
