"""A wall clock that steps for one program and its children, while the machine's own stays as it is.

A small library, compiled here and preloaded, adds an offset to what the C library says of the time of day.
The offset stands in a file that the programs map, so that it changes while they run. The monotonic clock is
left alone: no kernel steps it.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

import attrs

SOURCE: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;

__attribute__((constructor)) static void map(void) {
    const char *path = getenv("CLOCK_STEPS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *at = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) offset = at;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    int wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (!failed && offset && wall) now->tv_sec += *offset;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


@attrs.define(eq=False)
class SteppedClock:
    """The clock of the programs that are started with `environment`."""

    environment: dict[str, str]
    _offset: Path

    @classmethod
    def make(cls, folder: Path) -> SteppedClock:
        """Compile the library into a folder. Raises `LookupError` where there is no C compiler."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise LookupError("a clock that steps needs a C compiler")
        source, library, offset = (folder / name for name in ("clock.c", "clock.so", "clock.offset"))
        source.write_text(SOURCE)
        command = (compiler, "-shared", "-fPIC", "-O", "-o", str(library), str(source), "-ldl")
        subprocess.run(command, check=True)
        offset.write_bytes(bytes(8))
        return cls({"LD_PRELOAD": str(library), "CLOCK_STEPS": str(offset)}, offset)

    def step(self, seconds: int) -> None:
        """Let the clock be so many seconds off the machine's from now on."""
        with self._offset.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))
