"""A user's tests by an image: what is said of it, and what a failure keeps."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from tests.support.containers import IMAGE, TestEngine, engine, engine_of_the_run
from tests.support.projects import project_in

__all__ = ["engine", "engine_of_the_run"]  # fixtures of this module

TEST = """\
from accuser import Node, Client


async def test_it(node: Node, client: Client) -> None:
    assert await client.bake_for_and_wait("bootstrap1") == 3
"""


def test_an_image_that_is_not_there_is_told_once(engine: TestEngine, tmp_path: Path) -> None:
    project = project_in(tmp_path / "p")
    project.configure()
    project.write(test_it=TEST + TEST.replace("test_it", "test_more"))
    ended = project.pytest("--mavkit", "image:localhost/nosuch:1", "-q")
    assert ended.status == 4, ended.output
    (line,) = [line for line in ended.lines if line]
    assert line.startswith("ERROR: --mavkit: image localhost/nosuch:1: no such image; check name and tag, ")


def test_a_failure_keeps_volumes_and_names_the_image(engine: TestEngine, tmp_path: Path) -> None:
    project = project_in(tmp_path / "p")
    project.configure()
    project.write(test_it=TEST)
    temp = Path(tempfile.gettempdir())
    ended = project.pytest("--mavkit", f"image:{IMAGE}")
    assert ended.status == 1, ended.output
    named = rf"mavryk: mavkit of image {re.escape(IMAGE)}, (sha256:[0-9a-f]{{64}}), by podman \(chosen\), "
    lines = [line for line in ended.lines if re.match(named + r"mavkit-node \S+.*, boreas", line)]
    # In the header, and in the report of the failure.
    assert len(lines) == 2, ended.output
    (bundle,) = project.bundles
    kept = {str(path.relative_to(bundle)) for path in bundle.rglob("*")}
    assert {"node1/config.json", "node1/store/blocks", "client1/public_keys"} <= kept
    assert not {path for path in kept if path.endswith(("secret_keys", "identity.json"))}
    entries = [json.loads(line) for line in (bundle / "run.jsonl").read_text().splitlines()]
    (place,) = {entry["place"] for entry in entries if entry["type"] == "start"}
    digest = re.match(named, lines[0])
    assert digest is not None
    assert place.startswith(f"image {IMAGE}, {digest[1]}, mavkit-node ")
    # Nothing is left: the volumes are in the bundle.
    assert list(temp.iterdir()) == []
