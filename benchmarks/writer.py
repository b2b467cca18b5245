"""A stand-in for an accuser that writes prepared blocks; `writer.c` says what it takes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

MARK = b"#" * 20


def _write_all(to: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(to, view) :]


def _event_pipe() -> int:
    path = os.environ["MAVRYK_EVENTS_CONFIG"].split("//", 1)[1].split("?")[0]
    return os.open(path, os.O_WRONLY)


def _write_paced(to: int, item: bytes, count: int, period: float) -> None:
    start = time.monotonic()
    for number in range(1, count + 1):
        time.sleep(max(0.0, start + number * period - time.monotonic()))
        stamp = f"{time.clock_gettime_ns(time.CLOCK_MONOTONIC):20}".encode()
        _write_all(to, item.replace(MARK, stamp))


def main(mode: str, file: str = "", count: str = "0", micros: str = "0", *_: str) -> None:
    """Do what the mode says."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    to = 1 if mode in ("closed", "lines") else _event_pipe()
    _write_all(1, b"Waiting for protocol 002-PtBoreas to start...\n")
    if mode not in ("idle", "closed"):
        data, times = Path(file).read_bytes(), int(count)
        signal.sigwait([signal.SIGUSR1])
        if mode == "paced":
            _write_paced(to, data, times, int(micros) / 1e6)
        else:
            done = 0
            while times == 0 or done < times:
                _write_all(to, data)
                done += 1
        if mode == "lines":
            return
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
