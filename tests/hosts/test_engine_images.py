"""An image that an engine has, or has not, whatever its ``image inspect`` says about its neighbours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from accuser import RunnerError, RunnerFault
from accuser._hosts.container.engine import Engine, Image, Pull

NEIGHBOUR: Final = 'Error: reading image "9ad1": locating image with ID "9ad1": image not known'
MANIFEST: Final = 'Error: locating item named "manifest" for image with ID "9ad1": file does not exist'
SIZE: Final = "Error: reading data blob size sha256:9ad1: size is not known"
MISSING: Final = "Error: inspecting object: localhost/some:1: image not known"
CLOSED: Final = "Error: unable to connect to Podman socket"
INVALID: Final = "Error: parsing reference: invalid reference format"
REFERENCE: Final = "localhost/some:1"

PROGRAM: Final = """\
#!/bin/sh
# Notes its words; `image inspect` is refused as often as there are files for it.
echo "$*" >>{folder}/asked
case "$*" in
    "image inspect "*)
        for each in {folder}/refusals/*; do
            [ -e "$each" ] || break
            cat "$each" >&2
            [ -e {folder}/always ] || rm "$each"
            exit 125
        done
        cat {folder}/told ;;
    "image exists "*) [ -e {folder}/exists ] ;;
    pull*) [ -e {folder}/pulled ] || {{ echo "Error: initializing source: no route" >&2; exit 125; }} ;;
esac
"""


@attrs.frozen
class Scripted:
    """An engine that answers as it is told to."""

    folder: Path

    def has(self, *, exists: bool = True, pulled: bool = False) -> None:
        """Whether it says that it has the image, and can pull it."""
        for name, wanted in (("exists", exists), ("pulled", pulled)):
            if wanted:
                (self.folder / name).touch()

    def refuses(self, *texts: str, always: bool = False) -> None:
        """What `image inspect` says before it answers, or for ever."""
        for number, text in enumerate(texts):
            (self.folder / "refusals" / str(number)).write_text(text)
        if always:
            (self.folder / "always").touch()

    def asked(self) -> list[str]:
        """The commands that it was given, by their first words."""
        lines = (self.folder / "asked").read_text().splitlines()
        return [line.partition(f" {REFERENCE}")[0] for line in lines]


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Podman and docker are scripts of the test."""
    (tmp_path / "refusals").mkdir()
    told = [{"Id": "sha256:77", "Architecture": "amd64", "Config": {"User": "mavryk"}}]
    (tmp_path / "told").write_text(json.dumps(told))
    for name in ("podman", "docker"):
        path = tmp_path / name
        path.write_text(PROGRAM.format(folder=tmp_path))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return Scripted(tmp_path)


def had(name: str, pull: Pull, *, now: bool) -> Image:
    """The image, asked for in one of both ways."""
    engine = Engine(name)
    return engine.image_now(REFERENCE, pull) if now else trio.run(engine.image, REFERENCE, pull)


both_ways = pytest.mark.parametrize("now", [False, True], ids=["trio", "now"])
local = pytest.mark.parametrize("pull", ["missing", "never"])


@both_ways
@local
@pytest.mark.parametrize("words", [NEIGHBOUR, MANIFEST, SIZE], ids=["neighbour", "manifest", "size"])
def test_podman_is_asked_again_while_it_has_the_image(
    scripted: Scripted, words: str, pull: Pull, now: bool
) -> None:
    scripted.has()
    scripted.refuses(words, words)
    assert had("podman", pull, now=now) == Image(REFERENCE, "sha256:77", "amd64", "mavryk")
    assert scripted.asked() == ["image inspect", "image exists"] * 2 + ["image inspect"]


@both_ways
@pytest.mark.parametrize("pull", ["missing", "never", "always"])
def test_an_image_that_can_never_be_read_is_no_missing_image(
    scripted: Scripted, pull: Pull, now: bool
) -> None:
    scripted.has(pulled=True)
    scripted.refuses(NEIGHBOUR, always=True)
    with pytest.raises(RunnerError) as caught:
        had("podman", pull, now=now)
    reason, host = caught.value.reason, caught.value.host
    assert (reason, host) == (RunnerFault.ENGINE_REFUSED, f"image {REFERENCE}")
    assert caught.value.detail == NEIGHBOUR
    # It is not pulled for nothing.
    assert scripted.asked().count("pull --quiet") == (pull == "always")


@both_ways
@pytest.mark.parametrize("name", ["podman", "docker"])
def test_a_missing_image_is_told_at_once(scripted: Scripted, name: str, now: bool) -> None:
    scripted.has(exists=False)
    scripted.refuses(MISSING, always=True)
    with pytest.raises(RunnerError) as caught:
        had(name, "never", now=now)
    assert (caught.value.reason, caught.value.detail) == (RunnerFault.NO_IMAGE, MISSING)
    # Docker has no such command.
    assert scripted.asked() == ["image inspect", *(["image exists"] if name == "podman" else [])]


@both_ways
def test_a_missing_image_is_pulled(scripted: Scripted, now: bool) -> None:
    scripted.has(exists=False, pulled=True)
    scripted.refuses(MISSING)
    assert had("podman", "missing", now=now).digest == "sha256:77"
    assert scripted.asked() == ["image inspect", "image exists", "pull --quiet", "image inspect"]


@both_ways
def test_a_pull_that_fails_says_why(scripted: Scripted, now: bool) -> None:
    scripted.has(exists=False)
    scripted.refuses(MISSING)
    with pytest.raises(RunnerError) as caught:
        had("podman", "missing", now=now)
    assert (caught.value.reason, caught.value.detail) == (
        *(RunnerFault.NO_IMAGE, "Error: initializing source: no route"),
    )


@both_ways
@local
@pytest.mark.parametrize("name", ["podman", "docker"])
def test_what_else_an_engine_refuses_is_told_as_it_is(
    scripted: Scripted, name: str, pull: Pull, now: bool
) -> None:
    scripted.has(exists=False)
    for words, reason in ((INVALID, RunnerFault.ENGINE_REFUSED), (CLOSED, RunnerFault.NO_ENGINE_ANSWER)):
        scripted.refuses(words)
        with pytest.raises(RunnerError) as caught:
            had(name, pull, now=now)
        assert (caught.value.reason, caught.value.detail) == (reason, words)
