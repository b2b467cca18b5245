"""What is printed: rows of figures, and on what machine they were taken."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs

LIBRARIES = ("accuser", "trio", "msgspec", "attrs")


@attrs.frozen(kw_only=True)
class Row:
    """One figure against its floor.

    ``ratio`` is the median of the ratios of the rounds, each of which took both figures one
    directly after the other; so it need not be the quotient of the medians beside it.
    """

    measure: str
    ours: float
    floor: float | None = None
    ratio: float | None = None
    over: float | None = None
    """Ours without the floor, where that is what counts; printed in place of the ratio."""
    unit: str
    target: str = ""
    """In words; empty for figures that are printed only to be known."""
    ok: bool | None = None

    @property
    def compared(self) -> str:
        """The ratio, or how much is over the floor, with a sign."""
        if self.over is not None:
            return f"{self.over:+.3f}"
        return "" if self.ratio is None else f"{self.ratio:.3f}"

    @property
    def verdict(self) -> str:
        """What the last column says."""
        return {None: "", True: "ok", False: "missed"}[self.ok]


def compared(
    measure: str,
    ours: Sequence[float],
    floor: Sequence[float],
    unit: str,
    *,
    least: float | None = None,
    most: float | None = None,
    of: str = "floor",
) -> Row:
    """Make the row of a figure that was taken together with its floor in each of several rounds.

    Args:
        measure: what was measured.
        ours, floor: one figure for each round.
        unit: of both.
        least, most: what the ratio must not be below or above.
        of: what the floor is called in the target.
    """
    ratio = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
    target, ok = "", None
    if least is not None:
        target, ok = f">= {least:g} x {of}", ratio >= least
    elif most is not None:
        target, ok = f"<= {most:g} x {of}", ratio <= most
    return Row(
        measure=measure,
        ours=statistics.median(ours),
        floor=statistics.median(floor),
        ratio=ratio,
        unit=unit,
        target=target,
        ok=ok,
    )


def machine(writer: str) -> dict[str, str]:
    """Describe what the figures depend on."""
    return {
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()) + " (1, 5, 15 minutes, at the start)",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
        "writer": writer,
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed (a checkout)"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def lines_of(rows: Sequence[Row]) -> list[str]:
    """Lay rows out in columns under a headline."""
    cells = [("measure", "ours", "floor", "unit", "ratio", "target", "")]
    for row in rows:
        cells.append(
            (
                row.measure,
                number(row.ours),
                number(row.floor),
                row.unit,
                row.compared,
                row.target,
                row.verdict,
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    aligned = []
    for line in cells:
        padded = [
            cell.rjust(width) if column in (1, 2, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        aligned.append("  ".join(padded).rstrip())
    return [aligned[0], "-" * len(aligned[0]), *aligned[1:]]


def number(value: float | None) -> str:
    """Write a figure with as many digits as it deserves."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Give rows as plain data."""
    return [attrs.asdict(row) for row in rows]
