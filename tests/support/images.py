"""An image with the sandbox's programs under Mavkit's names, made without a registry.

As upstream's are laid out: a user of its own, executables in ``/usr/local/bin``, a shell of busybox, and
nothing that daemons do not need. What is new here is that they need Python.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from accuser.sandbox.programs import MODULES

BUSYBOX: Final = shutil.which("busybox")
PACKAGES: Final = (
    *("accuser", "trio", "attr", "attrs", "cattrs", "cattr", "msgspec", "h11", "outcome", "sortedcontainers"),
    *("idna", "sniffio", "cryptography", "cffi", "_cffi_backend", "typing_extensions"),
)
UNUSED: Final = {
    *(
        "test",
        "tests",
        "idlelib",
        "lib2to3",
        "ensurepip",
        "tkinter",
        "turtledemo",
        "site-packages",
        "pydoc_data",
    ),
    *("dist-packages", "unittest", "distutils"),
}
PLACE: Final = "opt/python"
PASSWD: Final = "root:x:0:0:root:/:/bin/sh\nmavryk:x:1000:1000:Mavryk:/:/bin/sh\n"
SCRIPT: Final = """\
#!/bin/sh
export PYTHONHOME=/{place} PYTHONPATH=/{place}/packages PYTHONDONTWRITEBYTECODE=1
exec /{place}/bin/python3 -S -P /{place}/packages/accuser/sandbox/__main__.py {program} "$@"
"""


def wanted(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what no program imports."""
    name = Path(info.name).name
    if name in UNUSED or name.startswith("config-") or ".opt-" in name or name.endswith((".a", ".exe")):
        return None
    info.uid = info.gid = 0
    return info


def libraries(*files: Path) -> Iterator[Path]:
    """The shared libraries that executables need, and the loader of them."""
    for file in files:
        done = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            words = line.replace("=>", " ").split()
            yield from (Path(word) for word in words if word.startswith("/"))


def write(archive: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    """Add a file."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(text.encode()), mode
    archive.addfile(info, io.BytesIO(text.encode()))


def link(archive: tarfile.TarFile, name: str, target: str) -> None:
    """Add a symbolic link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
    archive.addfile(info)


def add_busybox(archive: tarfile.TarFile) -> Path:
    """A shell and its tools; return what is compiled."""
    assert BUSYBOX is not None
    archive.add(BUSYBOX, "bin/busybox", filter=wanted)
    names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            link(archive, f"bin/{name}", "busybox")
    write(archive, "etc/passwd", PASSWD)
    write(archive, "etc/group", "root:x:0:\nmavryk:x:1000:\n")
    for folder, mode in (("tmp", 0o1777), ("usr/local/bin", 0o755), ("proc", 0o555), ("sys", 0o555)):
        info = tarfile.TarInfo(folder)
        info.type, info.mode = tarfile.DIRTYPE, mode
        archive.addfile(info)
    return Path(BUSYBOX)


def add_python(archive: tarfile.TarFile) -> list[Path]:
    """This Python, its library and the packages that the sandbox needs; return what is compiled."""
    executable = Path(os.path.realpath(sys.executable))
    stdlib = Path(sysconfig.get_path("stdlib"))
    archive.add(executable, f"{PLACE}/bin/python3", filter=wanted)
    archive.add(stdlib, f"{PLACE}/lib/{stdlib.name}", filter=wanted)
    compiled = list((stdlib / "lib-dynload").glob("*.so"))
    extensions: list[Path] = []
    for source in packages():
        if source.is_dir():
            extensions += source.rglob("*.so")
        elif source.suffix == ".so":
            extensions.append(source)
        archive.add(source, f"{PLACE}/packages/{source.name}", filter=wanted)
    return [executable, *compiled, *extensions]


def packages() -> Iterator[Path]:
    """The folders, or the files, of what the sandbox imports."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            source = Path(spec.origin)
            yield source.parent if source.name == "__init__.py" else source


def write_image(path: Path) -> None:
    """Write the root file system of the image as a tar file."""
    compile_packages()
    with tarfile.open(path, "w") as archive:
        compiled = [add_busybox(archive), *add_python(archive)]
        # Where they are here: a Python that is mounted finds them, too. A busybox may be linked to nothing.
        for library in dict.fromkeys(libraries(*compiled)):
            archive.add(os.path.realpath(library), str(library)[1:], filter=wanted)
        for number, program in enumerate(sorted(MODULES)):
            # The packages of Mavryk have names of their own: both kinds are found.
            name = program if number % 2 else program.replace("mavkit-", "mavryk-")
            write(archive, f"usr/local/bin/{name}", SCRIPT.format(place=PLACE, program=program), 0o755)
        names = [os.path.normpath(name) for name in archive.getnames()]
        # Engines refuse an archive with a path that comes twice, but do not name it.
        assert len(names) == len(set(names)), [name for name in set(names) if names.count(name) > 1]


def compile_packages() -> None:
    """Have the bytecode of all: the user there cannot write it, and each program would compile all again."""
    sources = [str(source) for source in packages() if source.suffix != ".so"]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *sources], check=True)
