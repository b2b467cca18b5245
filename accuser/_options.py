"""Options that pass through several functions as ``**options``, checked where they arrive."""

from __future__ import annotations

import difflib
from collections.abc import Mapping


def check_options(options: Mapping[str, object], known: type) -> None:
    """Refuse an option that the TypedDict ``known`` does not have, as Python itself would.

    Raises:
        TypeError: tells it, and what may have been meant.
    """
    names: list[str] = sorted(known.__optional_keys__ | known.__required_keys__)  # type: ignore[attr-defined]
    for name in options:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            meant = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
            raise TypeError(f"unexpected keyword argument {name!r}{meant}")
