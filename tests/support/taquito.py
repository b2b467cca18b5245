"""Compare the forged bytes of random operations with those of taquito.

``python -m tests.support.taquito [--count N] [--seed N] [--modules DIR]`` makes operations of every kind that
both know, has ``@mavrykdynamics/taquito-local-forging`` forge and parse them, and compares.
``--modules`` is the folder whose ``node_modules`` has that package; without it, npm installs it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from accuser._mavryk.codec.operations import Operation

from .drawn import KINDS, Drawn

PACKAGE: Final = "@mavrykdynamics/taquito-local-forging@20"
UNKNOWN: Final = frozenset({"vdf_revelation", "preattestation"})
"""Kinds that taquito does not forge."""

DIFFERENT: Final = frozenset(
    {"increase_paid_storage", "attestation_with_dal", "LAMBDA", "LAMBDA_REC", "view"}
)
"""What taquito 20 forges otherwise than upstream: it writes the number of the first two without its
sign bit, and the arguments of these primitives, and of all that have three or more, in a way of its own."""

SCRIPT: Final = """
const { LocalForger, ProtocolsHash } = require("@mavrykdynamics/taquito-local-forging");
const forger = new LocalForger(ProtocolsHash.PtBoreas);
let text = "";
process.stdin.on("data", (part) => { text += part; });
process.stdin.on("end", async () => {
  const results = [];
  for (const one of JSON.parse(text)) {
    const result = {};
    try { result.bytes = await forger.forge(one.value); } catch (error) { result.error = String(error); }
    try { result.parsed = await forger.parse(one.bytes); } catch (error) { result.refused = String(error); }
    results.push(result);
  }
  process.stdout.write(JSON.stringify(results));
});
"""


def ask(modules: Path, values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let taquito forge the values, and parse our bytes of them."""
    asked = [{"value": one, "bytes": Operation.from_json(one).unsigned_bytes().hex()} for one in values]
    done = subprocess.run(
        ["node", "-e", SCRIPT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        cwd=modules,
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def compare(modules: Path, kind: str, count: int, seed: int) -> list[str]:
    """What differs for so many operations of a kind, in words."""
    drawn = Drawn(seed, curves=3, arguments=2, without=DIFFERENT)
    values = [drawn.operation(kind) for _ in range(count)]
    found = []
    for value, answer in zip(values, ask(modules, values), strict=True):
        ours = Operation.from_json(value).unsigned_bytes().hex()
        if answer.get("bytes") != ours:
            found.append(
                f"{kind}: {answer.get('error') or answer['bytes']}\n  ours {ours}\n  of {json.dumps(value)}"
            )
        elif "parsed" in answer and Operation.from_json(normal(answer["parsed"])) != Operation.from_json(
            value
        ):
            found.append(f"{kind}: read as {json.dumps(answer['parsed'])}\n  of {json.dumps(value)}")
        elif "refused" in answer:
            found.append(f"{kind}: not read: {answer['refused']}\n  of {json.dumps(value)}")
    return found


def normal(value: dict[str, Any]) -> dict[str, Any]:
    """What taquito read, in the JSON of upstream."""
    contents = [
        {name: field for name, field in content.items() if field is not None} for content in value["contents"]
    ]
    return {**value, "contents": contents}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="tests.support.taquito", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="operations of each kind")
    parser.add_argument("--seed", type=int, default=29)
    parser.add_argument("--modules", type=Path)
    options = parser.parse_args(arguments)
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if missing:
        print(f"needs {' and '.join(missing)}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        modules = options.modules or Path(folder)
        if options.modules is None:
            npm = ["npm", "install", "--silent", "--no-save", "--prefix", folder, PACKAGE]
            subprocess.run(npm, check=True, stdout=sys.stderr)
        failed = 0
        for kind in KINDS:
            if kind in UNKNOWN | DIFFERENT:
                continue
            found = compare(modules, kind, options.count, options.seed)
            failed += len(found)
            print(f"{kind}: {options.count - len(found)} of {options.count} equal")
            for text in found[:3]:
                print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
