"""What somebody did twice."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

MisbehaviourKind: TypeAlias = Literal["block", "attestation", "preattestation"]
"""What somebody did twice, as upstream's errors call it."""


@attrs.frozen
class Misbehaviour:
    """Who did what twice, and where."""

    delegate: str
    level: int
    round: int | None
    kind: MisbehaviourKind
