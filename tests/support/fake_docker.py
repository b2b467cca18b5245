"""A ``docker`` that is podman behind: it takes docker's words alone, and answers in docker's manner.

Run as a program, with the words of a command of docker. What differs, by docker's reference of its command
line (28.2) and of its API (1.50): flags, fields of what ``inspect`` prints, templates, words of errors.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

FLAGS: Final = {
    "run": "interactive rm pull name label network volume env security-opt stop-signal entrypoint workdir "
    "memory memory-swap cpus publish user",
    "exec": "interactive user workdir env",
    "inspect": "type format size",
    "rm": "force volumes link",
    "ps": "all filter format last latest no-trunc quiet size",
    "pull": "quiet all-tags platform",
    "info": "format",
    "import": "change message platform",
    "image inspect": "format platform",
    "network create": "label driver subnet internal opt attachable gateway ip-range ipv6",
    "network ls": "filter format no-trunc quiet",
    "network inspect": "format verbose",
    "network rm": "force",
}
DAEMON: Final = "Error response from daemon: "


def refuse(text: str, status: int = 1) -> None:
    """End as docker does that refuses."""
    print(text, file=sys.stderr)
    sys.exit(status)


def check(command: str, words: list[str]) -> None:
    """Refuse what docker does not know."""
    known = FLAGS.get(command)
    if known is None:
        refuse(f"docker: '{command}' is not a docker command.")
        return
    for word in words:
        if not word.startswith("-"):
            break
        flag = word.partition("=")[0]
        if flag.removeprefix("--") not in known.split():
            refuse(f"unknown flag: {flag}", 125)


def options_end(words: list[str]) -> list[str]:
    """The options of a command, without what they are given, up to its first argument."""
    found, at = [], 0
    alone = {"--interactive", "--rm", "--force", "--volumes", "--all", "--quiet"}
    while at < len(words) and words[at].startswith("-"):
        found.append(words[at])
        at += 1 if words[at] in alone or "=" in words[at] else 2
    return found


def as_docker_tells(command: str, text: str) -> str:
    """What podman prints as JSON, with the fields that docker has."""
    told: list[dict[str, Any]] = json.loads(text)
    if command == "image inspect":
        fields = ("Id", "RepoDigests", "Architecture", "Config")
        return json.dumps([{key: one.get(key) for key in fields} for one in told])
    return json.dumps([{"Name": one["name"], "Labels": one.get("labels") or {}} for one in told])


def main(words: list[str]) -> None:
    """Run one command."""
    length = 2 if words[0] in ("image", "network") else 1
    command, rest = " ".join(words[:length]), words[length:]
    check(command, options_end(rest))
    # A template's method of docker alone.
    there = [re.sub(r"\{\{\.Label (\"[^\"]*\")\}\}", r"{{index .Labels \1}}", word) for word in rest]
    if command in ("run", "exec"):
        sys.exit(subprocess.run(["podman", command, *there], check=False).returncode)
    done = subprocess.run(["podman", *command.split(), *there], capture_output=True, text=True, check=False)
    if done.returncode and "image not known" in done.stderr:
        refuse(f"{DAEMON}No such image: {rest[-1]}")
    output = done.stdout
    if not done.returncode and command in ("image inspect", "network inspect"):
        output = as_docker_tells(command, output)
    sys.stderr.write(done.stderr)
    print(output, end="")
    sys.exit(done.returncode)


def install(folder: Path) -> None:
    """Write the program ``docker`` into a folder."""
    path = folder / "docker"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S -P {Path(__file__).resolve()} "$@"\n')
    path.chmod(0o755)


if __name__ == "__main__":
    main(sys.argv[1:])
