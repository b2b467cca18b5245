"""The page: one file that needs no other, nor a network."""

from __future__ import annotations

import base64
import hashlib
import html
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from .._recording.reader import read_entries
from ._data import timeline_data

_SCRIPTS: Final = ("model.js", "scale.js", "brush.js", "lane.js", "lanes.js", "list.js", "page.js")


def timeline_page(path: str | Path, title: str | None = None) -> str:
    """Make an HTML page that shows a recording: open it in any browser.

    Args:
        path: the file that ``record=`` named.
        title: what the page is called; by default as the file.

    Raises:
        RecordingError: it is no recording.
    """
    path = Path(path)
    # Names of files, and words of a command line, may have bytes that the locale does not know.
    given = (path.name if title is None else title).encode("utf-8", "surrogateescape")
    data = timeline_data(read_entries(path), given.decode("utf-8", "backslashreplace"))
    folder = files(__package__)
    style = folder.joinpath("page.css").read_text("utf-8")
    script = "\n".join(['"use strict";', *(folder.joinpath(name).read_text("utf-8") for name in _SCRIPTS)])
    # Only what is here may run, and nothing may be loaded or sent.
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(str(data.head["title"])),
        "style": style,
        "script": script,
        "head": _inert(msgspec.json.encode(data.head).decode()),
        "texts": _inert("\n".join(data.texts)),
    }
    pieces = folder.joinpath("page.html").read_text("utf-8").split("@@")
    # Names are at odd places; what is put in is never looked at again.
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inert(json: str) -> str:
    """JSON that ends no script element: ``<`` occurs in texts alone, and may be written otherwise."""
    return json.replace("<", "\\u003c")
