"""Holds back what leaves a network device, for a kernel without netem.

A program that knows the standard library alone, started by path, isolated, in the network namespace of a
container: ``python -I -S PATH DEVICE SECONDS JITTER``.
It makes a tap device called `TAP`, to which ``tc`` is to redirect what leaves DEVICE, and sends each frame on
by DEVICE itself, SECONDS later, give or take JITTER. The line ``ready`` tells that the tap is there.
It ends with its standard input, sends first what it still holds, and the tap is gone with it.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import sys
import time

TAP = "accuser"
HELD = 10_000
"""Frames held at once; what comes beside them is lost, as in a full queue of netem."""
ROOM = 1 << 17
"""More bytes than a frame has; the kernel has cut what it sends into frames of the device's size before."""

# From <linux/if_tun.h>, <linux/if_packet.h> and <linux/sockios.h>.
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_UP = 0x0002, 0x1000, 0x0001
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8914, 0x8927
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20
_FLAGS = "16sH22x"


def main(device: str, seconds: float, jitter: float) -> None:
    # What comes by the tap from another address than the device's is what IPv6 says on every new device.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, _of(device))
        address = answer[18:24]
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack(_FLAGS, TAP.encode(), _IFF_TAP | _IFF_NO_PI))
        (flags,) = struct.unpack_from("H", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _of(TAP)), 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack(_FLAGS, TAP.encode(), flags | _IFF_UP))
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    # Past the rules of tc, which would send it to the tap again.
    line.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
    line.bind((device, 0))
    print("ready", flush=True)

    held: list[tuple[float, int, bytes]] = []
    came = 0
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        ready, _, _ = select.select([tap, 0], [], [], wait)
        now = time.monotonic()
        if tap in ready:
            frame = os.read(tap, ROOM)
            if frame[6:12] == address and len(held) < HELD:
                came += 1
                heapq.heappush(held, (now + seconds + random.uniform(-jitter, jitter), came, frame))
        ends = 0 in ready and not os.read(0, 1)
        while held and (ends or held[0][0] <= now):
            _send(line, heapq.heappop(held)[2])
        if ends:
            return


def _of(device: str) -> bytes:
    return struct.pack("16s24x", device.encode())


def _send(line: socket.socket, frame: bytes) -> None:
    try:
        line.send(frame)
    except OSError as error:
        # A full queue loses it, as a device does. A device that is gone has ended with its container.
        if error.errno in (errno.ENODEV, errno.ENXIO, errno.ENETDOWN):
            sys.exit(f"{error.strerror}: the container has ended")


if __name__ == "__main__":
    try:
        main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
    except OSError as error:
        sys.exit(str(error))
