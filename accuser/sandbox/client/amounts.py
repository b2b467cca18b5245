"""Amounts of tokens as the client reads and writes them: in mav, of a million mumav each."""

from __future__ import annotations

import re
from typing import Final

SYMBOL: Final = "ṁ"
MAV: Final = 1_000_000
MOST: Final = 2**63 - 1


class AmountError(Exception):
    """A text that is no amount."""


def parse_amount(text: str) -> int:
    """The mumav of ``1.5``; commas may stand between thousands. Raises ``AmountError``."""
    match = re.fullmatch(
        r"([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.([0-9]{1,6}|[0-9]{3},[0-9]{1,3}))?", text, re.ASCII
    )
    if match is None:
        raise AmountError(text)
    whole, part = match[1].replace(",", ""), (match[2] or "").replace(",", "")
    amount = int(whole) * MAV + int(part.ljust(6, "0"))
    if amount > MOST:
        raise AmountError(text)
    return amount


def amount_text(mumav: int) -> str:
    """An amount of at least 0 mumav in mav: ``3800000``, ``0.000001``."""
    whole, part = divmod(mumav, MAV)
    return f"{whole}.{part:06}".rstrip("0").rstrip(".")
