"""Engines of containers: podman and docker, which take the same words."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from typing import Any, Final, Literal, cast

import attrs
import outcome
import trio

from ..._errors import RunnerError
from ..._report import RunnerFault
from ..proc import read_stat

EngineName = Literal["auto", "podman", "docker"]
Pull = Literal["missing", "always", "never"]

ENGINES: Final = ("podman", "docker")
"""In the order in which they are looked for."""

LABEL: Final = "accuser.owner"
"""Label of all that is made; its value tells whose it is, see `owner`."""

STATUS: Final = 5.0
"""Seconds that an engine may take to tell the state of a container."""

_PULL: Final = 600.0
"""Seconds that a pull may take where nobody could cancel it."""

_ASKS: Final = 20
"""How often podman is asked for an image that it has.

Its ``image inspect`` reads the image's neighbours too, which may be its parents, and fails while one of them
comes or goes: beside two endless loops of ``build`` and ``rmi`` a third of 2,191 asks with podman 4.3.1, the
slowest of which was answered at the ninth.
"""

_FAULTS: Final = (
    (
        RunnerFault.NO_ENGINE_ANSWER,
        r"(?i)cannot connect to (the )?(docker|podman)|unable to connect to podman|"
        r"is the docker daemon running|dial unix|docker daemon socket",
    ),
    (RunnerFault.OTHER_ARCHITECTURE, r"(?i)exec format error|no image found in .* for architecture"),
    (
        RunnerFault.NO_IMAGE,
        r"(?i)no such image|image not known|unable to find image|pull access denied|manifest unknown|"
        r"initializing source|short-name|repository .* not found",
    ),
    (
        RunnerFault.NO_SHELL,
        r"(?i)/bin/sh\S*:? .*(no such file|not found)|executable file .*not found|(?:stat|exec).* /bin/sh",
    ),
)

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64"}


def meaning(text: str, otherwise: RunnerFault) -> RunnerFault:
    """What is wrong, by what an engine says."""
    return next((fault for fault, pattern in _FAULTS if re.search(pattern, text)), otherwise)


def owner() -> str:
    """This process, as labels tell it: the boot of the system, the process id and its start time."""
    found = read_stat(os.getpid())
    return f"{boot()}/{os.getpid()}/{'' if found is None else found.start}"


def boot() -> str:
    """The boot of this system; empty where it is not told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_gone(label: str) -> bool:
    """Whether the owner that a label names has ended, on this machine."""
    where, _, rest = label.partition("/")
    pid, _, start = rest.partition("/")
    if not (where and pid.isdecimal()) or not boot():
        return False
    found = read_stat(pid)
    # Another boot is another life of this machine, or another machine that shares the engine.
    return where == boot() and (found is None or found.start != start)


@attrs.frozen
class Image:
    """What an engine knows of an image."""

    reference: str
    digest: str
    """That of the registry's manifest, or the image's own id if it has none."""
    architecture: str
    user: str

    @property
    def is_foreign(self) -> bool:
        """Whether it is for another architecture than this machine's."""
        return self.architecture not in ("", _ARCHITECTURES.get(platform.machine(), platform.machine()))


@attrs.frozen
class Engine:
    """An engine of containers, by its command line."""

    name: str

    @classmethod
    def called(cls, name: EngineName) -> Engine:
        """Find it in the PATH.

        Raises:
            RunnerError: it is not there.
        """
        names = ENGINES if name == "auto" else (name,)
        for each in names:
            if shutil.which(each) is not None:
                return cls(each)
        raise RunnerError(" or ".join(names), RunnerFault.NO_ENGINE, "")

    @property
    def is_podman(self) -> bool:
        return self.name == "podman"

    @property
    def is_local(self) -> bool:
        """Whether its containers are processes of this kernel, as far as can be told without asking."""
        remote = os.environ.get("CONTAINER_HOST" if self.is_podman else "DOCKER_HOST", "")
        return sys.platform == "linux" and (not remote or remote.startswith("unix:"))

    async def ask(self, *words: str) -> str:
        """Run one of its commands; return what it prints.

        Raises:
            RunnerError: it refuses.
        """
        command = (self.name, *words)
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        return self._answer(done, words)

    def ask_now(self, *words: str, seconds: float = 60.0) -> str:
        """As `ask`, for callers without trio."""
        command = (self.name, *words)
        try:
            done = subprocess.run(
                command, capture_output=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            text = f"no answer within {seconds:g} s"
            raise RunnerError(self.name, RunnerFault.NO_ENGINE_ANSWER, text) from error
        return self._answer(done, words)

    def _answer(self, done: subprocess.CompletedProcess[bytes], words: tuple[str, ...]) -> str:
        if done.returncode:
            text = done.stderr.decode("utf-8", "replace").strip()
            fault = meaning(text, RunnerFault.ENGINE_REFUSED)
            raise RunnerError(f"{self.name} {words[0]}", fault, text)
        return done.stdout.decode("utf-8", "replace").strip()

    async def status(self, container: str) -> str:
        """The state of a container, as in ``running`` or ``paused``; "" if it is not told in time."""
        words = ("inspect", "--type", "container", "--format", "{{.State.Status}}", container)
        with trio.move_on_after(STATUS):
            try:
                return await self.ask(*words)
            except RunnerError:
                return "gone"
        return ""

    async def image(self, reference: str, pull: Pull) -> Image:
        """Have an image, pulled if that is wanted.

        Raises:
            RunnerError: it is not available.
        """
        asking = self._asking_for(reference, pull)
        words = next(asking)
        try:
            while True:
                words = (await outcome.acapture(self.ask, *words)).send(asking)
        except StopIteration as done:
            return cast(Image, done.value)

    def image_now(self, reference: str, pull: Pull) -> Image:
        """As `image`, for callers without trio."""
        asking = self._asking_for(reference, pull)
        words = next(asking)
        try:
            while True:
                seconds = _PULL if words[0] == "pull" else 60.0
                words = outcome.capture(self.ask_now, *words, seconds=seconds).send(asking)
        except StopIteration as done:
            return cast(Image, done.value)

    def _asking_for(self, reference: str, pull: Pull) -> Generator[tuple[str, ...], str, Image]:
        """Ask for an image: yields commands, is sent what they print, and has their errors thrown in."""
        if pull != "always":
            try:
                return (yield from self._inspecting(reference))
            except RunnerError as error:
                if error.reason is not RunnerFault.NO_IMAGE or pull == "never":
                    raise
        try:
            yield ("pull", "--quiet", reference)
        except RunnerError as error:
            if error.reason is RunnerFault.NO_ENGINE_ANSWER:
                raise
            raise _unavailable(reference, RunnerFault.NO_IMAGE, error.detail) from None
        return (yield from self._inspecting(reference))

    def _inspecting(self, reference: str) -> Generator[tuple[str, ...], str, Image]:
        detail = ""
        for _ in range(_ASKS):
            try:
                return _described(reference, (yield ("image", "inspect", reference)))
            except RunnerError as error:
                if error.reason is RunnerFault.NO_ENGINE_ANSWER:
                    raise
                reason, detail = error.reason, error.detail
            # Its words do not tell which image it misses: that one, or a neighbour that it read as well.
            if not (self.is_podman and (yield from self._having(reference))):
                if reason is not RunnerFault.NO_IMAGE:
                    reason = RunnerFault.ENGINE_REFUSED
                raise _unavailable(reference, reason, detail)
        raise _unavailable(reference, RunnerFault.ENGINE_REFUSED, detail)

    def _having(self, reference: str) -> Generator[tuple[str, ...], str, bool]:
        try:
            yield ("image", "exists", reference)
        except RunnerError:
            return False
        return True

    def labelled(self) -> list[tuple[str, str]]:
        """The containers that this package made, with what their labels say of their owner.

        Raises:
            RunnerError: the engine does not answer.
        """
        label = f'{{{{index .Labels "{LABEL}"}}}}' if self.is_podman else f'{{{{.Label "{LABEL}"}}}}'
        form = f"{{{{.Names}}}} {label}"
        text = self.ask_now("ps", "--all", "--filter", f"label={LABEL}", "--format", form, seconds=10.0)
        return [(name, found) for name, _, found in (line.partition(" ") for line in text.splitlines())]

    def networks(self) -> list[tuple[str, str]]:
        """The networks that this package made, as `labelled` tells containers.

        Raises:
            RunnerError: the engine does not answer.
        """
        key = "labels" if self.is_podman else "Labels"
        found = []
        for name in self._network_names():
            try:
                told: dict[str, Any] = json.loads(self.ask_now("network", "inspect", name, seconds=10.0))[0]
            except RunnerError:
                if name in self._network_names():
                    raise
                continue  # its owner has just removed it
            found.append((name, (told.get(key) or {}).get(LABEL, "")))
        return found

    def _network_names(self) -> list[str]:
        words = ("network", "ls", "--filter", f"label={LABEL}", "--format", "{{.Name}}")
        return self.ask_now(*words, seconds=10.0).split()


def _unavailable(reference: str, reason: RunnerFault, detail: str) -> RunnerError:
    """The error of an image that cannot be had."""
    # Podman tries a pull several times, and tells of each.
    lines = [line for line in detail.splitlines() if not line.startswith('time="')]
    return RunnerError(f"image {reference}", reason, "\n".join(lines) or detail)


def _described(reference: str, text: str) -> Image:
    """Read what ``image inspect`` prints."""
    found: dict[str, Any] = json.loads(text)[0]
    digests = found.get("RepoDigests") or []
    digest = digests[0].rpartition("@")[2] if digests else found.get("Digest") or found.get("Id", "")
    config = found.get("Config") or {}
    return Image(reference, digest, found.get("Architecture", ""), config.get("User") or "")
