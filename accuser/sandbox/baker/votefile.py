"""Per-block votes: from options, or from a file that is read again for each block.

Facts: ``lib_delegate/per_block_vote_file.ml``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs

DEFAULT_NAME: Final = "per_block_votes.json"
VOTES: Final = ("on", "off", "pass")
_FIELDS: Final = ("liquidity_baking_toggle_vote", "adaptive_issuance_vote")


@attrs.frozen
class Votes:
    liquidity_baking: str
    adaptive_issuance: str = "pass"


class VoteFileError(Exception):
    """The file is not there, or not as it should be. ``error`` is upstream's, as JSON."""

    def __init__(self, kind: str, path: Path, protocol: str) -> None:
        self.error: Final[dict[str, Any]] = {
            "kind": "permanent",
            "id": f"baker.{protocol}.Per_block_vote_file.block_vote_file_{kind}",
            "file_path": str(path),
        }
        super().__init__(f"{path}: {kind}")

    @property
    def text(self) -> str:
        """Upstream's words."""
        path = self.error["file_path"]
        match self.error["id"].rpartition("_file_")[2]:
            case "not_found":
                return f'The provided block vote file path "{path}" does not point to an existing file.'
            case "invalid":
                return f'The provided block vote file "{path}" is not a valid JSON file.'
            case _:
                reason = "is a valid JSON file but its content is unexpected."
                return f'The provided block vote file "{path}" {reason}'


def read(path: Path, protocol: str, default: Votes | None = None) -> Votes:
    """Read the file. Raises ``VoteFileError``.

    Args:
        path: of the file.
        protocol: long name of the protocol, for errors.
        default: gives the vote that the file may leave out.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise VoteFileError("not_found", path, protocol) from None
    except (OSError, ValueError):
        raise VoteFileError("invalid", path, protocol) from None
    if not isinstance(value, dict) or set(value) - set(_FIELDS) or _FIELDS[0] not in value:
        raise VoteFileError("wrong_content", path, protocol)
    if any(vote not in VOTES for vote in value.values()):
        raise VoteFileError("wrong_content", path, protocol)
    other = "pass" if default is None else default.adaptive_issuance
    return Votes(value[_FIELDS[0]], value.get(_FIELDS[1], other))


def find(given: str | None, working_directory: Path, base_dir: Path) -> Path | None:
    """The file to read: the given one, or the first of the default places that has one."""
    if given is not None:
        return Path(given)
    places = (working_directory / DEFAULT_NAME, base_dir / DEFAULT_NAME)
    return next((path for path in places if path.exists()), None)
