"""Wheels of what is installed here, so that pip can install it elsewhere without a registry."""

from __future__ import annotations

import re
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def needed(name: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """A distribution, and whatever it needs here, by name."""
    found = distribution(name)
    every = {found.metadata["Name"]: found}
    for text in found.requires or ():
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            every |= needed(requirement.name, frozenset(requirement.extras))
    return every


def write_wheel(found: Distribution, folder: Path) -> Path:
    """Pack an installed distribution again; this project from its folder, as it is edited there."""
    name, version = re.sub(r"[-_.]+", "_", found.metadata["Name"]), found.version
    about = f"{name}-{version}.dist-info"
    wheel = found.read_text("WHEEL") or ""
    tag = ["py3-none-any", *re.findall(r"^Tag: (.*)$", wheel, re.M)][-1]
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        names = []
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            inner = f"{about}/{file.name}" if ".dist-info/" in str(file) else str(file)
            # Of this project what the folder has is packed, wherever it is installed.
            if (
                ".." in file.parts
                or (name == file.parts[0] == "accuser")
                or file.suffix in (".pyc", ".pth")
                or file.name in ("RECORD", "direct_url.json")
            ):
                continue
            if source.is_file() and not file.name.startswith("__editable__"):
                archive.write(source, inner)
                names.append(inner)
        if name == "accuser":
            for source in (ROOT / "accuser").rglob("*"):
                if source.is_file() and source.suffix != ".pyc":
                    archive.write(source, str(source.relative_to(ROOT)))
                    names.append(str(source.relative_to(ROOT)))
        archive.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in (*names, f"{about}/RECORD")))
    return path
