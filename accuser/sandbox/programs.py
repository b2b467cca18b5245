"""The sandbox's executables, by the names of the real ones. Imports nothing."""

from __future__ import annotations

from typing import Final

MODULES: Final = {
    "mavkit-node": "node.daemon",
    "mavkit-client": "client.main",
    "mavkit-admin-client": "client.main",
    "mavkit-accuser-PtAtLas": "accuser.daemon",
    "mavkit-accuser-PtBoreas": "accuser.daemon",
    "mavkit-accuser-alpha": "accuser.daemon",
    "mavkit-baker-PtAtLas": "baker.daemon",
    "mavkit-baker-PtBoreas": "baker.daemon",
    "mavkit-baker-alpha": "baker.daemon",
}
"""The module of each, seen from `accuser.sandbox`, whose function ``main`` runs it."""
