"""An accuser's executable with a fault, for explorations to find: ``faulty.py run ...``.

The variable FAULTY_ACCUSER names the fault, one of `FAULTS`; without it the accuser is sound.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accuser._mavryk.codec.operations import DoubleConsensus, InlinedConsensus
from accuser.sandbox.accuser import daemon
from accuser.sandbox.accuser.denunciation import Denunciator, Emit, SeenBlock, Steps
from accuser.sandbox.rpc.request import RpcFailed
from accuser.sandbox.sink.sink import Level

BLOCK, OPERATIONS = Denunciator.block, Denunciator.operations


def answered(steps: Steps, also: Callable[[object], Iterable[Any]]) -> Steps:
    """The steps, and after each one those that ``also`` gives for it; its own end the rest."""
    answer: object = None
    failure: RpcFailed | None = None
    while True:
        try:
            step = steps.send(answer) if failure is None else steps.throw(failure)
        except StopIteration:
            return
        answer = failure = None
        try:
            answer = yield step
        except RpcFailed as error:
            failure = error
        yield from also(step)


def forgetful(self: Denunciator, operations: Iterable[InlinedConsensus], chain_id: str) -> Steps:
    """It denounces no double preattestation."""
    yield from OPERATIONS(
        self, [each for each in operations if each.content.kind != "preattestation"], chain_id
    )


def never(self: Denunciator, seen: SeenBlock) -> Steps:
    """It denounces no double baking: it takes each block for the first one of its level."""
    self._blocks.clear()
    yield from BLOCK(self, seen)


def repeating(self: Denunciator, seen: SeenBlock) -> Steps:
    """It tells of each denunciation of a double baking twice."""

    def again(step: object) -> list[object]:
        return [step] if isinstance(step, Emit) and step.name == "double_baking_denounced" else []

    yield from answered(BLOCK(self, seen), again)


def eager(self: Denunciator, operations: Iterable[InlinedConsensus], chain_id: str) -> Steps:
    """It denounces whoever votes at two levels one after the other: somebody honest."""
    for operation in operations:
        last: InlinedConsensus | None = vars(self).get("last")
        vars(self)["last"] = operation
        yield from OPERATIONS(self, [operation], chain_id)
        if last is not None and last.content.level == operation.content.level - 1:
            content = DoubleConsensus("double_attestation_evidence", last, operation)
            evidence = yield from self._forge(chain_id, operation.content.level, content)
            told = yield self._inject("/private/injection/operation", chain_id, evidence)
            value = {"hash": told, "bytes": evidence.hex()}
            yield self._emit("double_attestation_denounced", Level.NOTICE, value, "denounced")


def late(self: Denunciator, seen: SeenBlock) -> Steps:
    """It loses the events of a block of level 10."""
    if seen.level != 10:
        yield from BLOCK(self, seen)


FAULTS: Final[dict[str, tuple[str, Any]]] = {
    "forgets": ("operations", forgetful),
    "never": ("block", never),
    "repeats": ("block", repeating),
    "eager": ("operations", eager),
}
"""What of the `Denunciator` is replaced by what."""


def main() -> int:
    """Run the accuser; its exit status."""
    fault = os.environ.get("FAULTY_ACCUSER")
    if fault:
        setattr(Denunciator, *FAULTS[fault])
    return daemon.main("mavkit-accuser-PtBoreas", sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
