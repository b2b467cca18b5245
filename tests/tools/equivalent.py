"""Mutants that no test can notice, and why: for ``mutate``."""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final[dict[str, dict[str, str]]] = {
    "denunciation": {
        "Denunciator._clean: 0 -> -1 in max(0, self.highest_level - self._preserved)": (
            "no level is negative"
        ),
    },
    "answers": {
        "_consensus_of: 0 -> -1 in contents[0]": "there is one content: it is the last too",
        "_consensus_of: '' -> '~' in operation.get('signature', '')": (
            "any text that does not begin like a BLS signature does"
        ),
        "module: '_Value' -> '_Value~' in TypeVar('_Value')": "a name for readers of types",
    },
}
