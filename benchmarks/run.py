"""Measure the package against floors, and print a table: ``python benchmarks/run.py``.

``--only NAME`` takes one part of it, and may be given again; ``--json FILE`` writes the figures
too. ``--peers`` measures others at the same work instead; they must be installed. The exit status is 0
whatever the figures are: they depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from accusing import measure_accuser
from containers import measure_containers
from cycles import measure_cycles
from everyday import measure_everyday
from exploring import measure_exploring
from latency import measure_flood, measure_latency
from processes import measure_processes
from resources import measure_idle, measure_memory
from standins import Writer
from table import Row, as_json, lines_of, machine
from throughput import measure_events, measure_lines

PARTS: dict[str, Callable[[Writer], list[Row]]] = {
    "events": measure_events,
    "lines": measure_lines,
    "latency": measure_latency,
    "flood": measure_flood,
    "idle": measure_idle,
    "memory": measure_memory,
    "processes": measure_processes,
    "cycles": measure_cycles,
    "accuser": measure_accuser,
    "everyday": measure_everyday,
    "exploring": measure_exploring,
    "containers": measure_containers,
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure accuser against floors taken in the same run.")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be given again")
    parser.add_argument("--peers", action="store_true", help="others at the same work, and nothing else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="accuser-bench-") as folder:
        writer = Writer.make(Path(folder))
        facts = machine(writer.description)
        rows: list[Row] = []
        if options.peers:
            # Here: they are installed for this alone.
            from peers import measure_peers

            print("\n".join(measure_peers(writer)))
            return
        for name, measure in PARTS.items():
            if options.only is None or name in options.only:
                print(f"{name} ...", file=sys.stderr, flush=True)
                rows += measure(writer)
    for key, fact in facts.items():
        print(f"{key:10} {fact}")
    print()
    print("\n".join(lines_of(rows)))
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": facts, "rows": as_json(rows)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
