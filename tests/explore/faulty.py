"""An accuser's executable with a fault, for explorations to find: ``faulty.py run ...``.

The fault is named by the variable FAULTY_ACCUSER: ``forgets`` denounces no double preattestation; nothing for
a sound one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accuser._mavryk.codec.operations import InlinedConsensus
from accuser.sandbox.accuser import daemon, denunciation


def forgets(operations: Iterable[InlinedConsensus]) -> list[InlinedConsensus]:
    return [each for each in operations if each.content.kind != "preattestation"]


SOUND = denunciation.Denunciator.operations


def forgetful(
    self: denunciation.Denunciator, operations: Iterable[InlinedConsensus], chain_id: str
) -> denunciation.Steps:
    yield from SOUND(self, forgets(operations), chain_id)


if __name__ == "__main__":
    if os.environ.get("FAULTY_ACCUSER") == "forgets":
        denunciation.Denunciator.operations = forgetful  # type: ignore[method-assign]
    sys.exit(daemon.main("mavkit-accuser-PtBoreas", sys.argv[1:]))
