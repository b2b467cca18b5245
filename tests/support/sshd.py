"""A real OpenSSH server on the loopback interface, with keys of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from accuser import SSHRunner
from accuser._hosts.owner.ports import reserve_port
from tests.support.proc import children_of, wait_for_exit

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PRIVILEGE_SEPARATION = Path("/run/sshd")

# A home without files that shells read first: those of whoever runs the tests may start anything, each time.
SERVER = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
SetEnv ACCUSER_TEST_SERVER={folder} HOME={folder}
"""

CLIENT = """\
Host *
    Port {port}
    User {user}
    IdentityFile {folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


@attrs.frozen
class Server:
    """A server that runs, and what a client needs for it."""

    folder: Path
    address: str
    port: int
    process: subprocess.Popen[bytes]

    def runner(self, **options: Any) -> SSHRunner:
        """A runner for it."""
        options.setdefault("config", self.folder / "config")
        return SSHRunner(self.address, **options)

    def processes(self) -> list[int]:
        """What runs by way of this server, by a variable that all of it inherits."""
        found = []
        mark = f"ACCUSER_TEST_SERVER={self.folder}\0".encode()
        for file in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in file.read_bytes():
                    found.append(int(file.parent.name))
        return found

    def cut(self) -> None:
        """Cut all connections, as a server does that crashes."""
        for pid in children_of(self.process.pid):
            os.kill(pid, signal.SIGKILL)

    def wait_for_the_end(self) -> None:
        """Wait until nothing runs there any more."""
        for pid in self.processes():
            wait_for_exit(pid)

    def connections(self) -> int:
        """How many logins there have been."""
        return (self.folder / "log").read_text().count("Accepted publickey")


def _keygen(path: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def write_keys(folder: Path, address: str, port: int) -> None:
    """Write keys and configurations for a server and its one client."""
    host_key, user_key = _keygen(folder / "host"), _keygen(folder / "user")
    (folder / "authorized").write_text(user_key + "\n")
    (folder / "known_hosts").write_text(f"[{address}]:{port} {host_key}\n")
    (folder / "sshd_config").write_text(SERVER.format(port=port, address=address, folder=folder))
    (folder / "config").write_text(CLIENT.format(port=port, folder=folder, user=getpass.getuser()))


@contextmanager
def serve(
    folder: Path, address: str = "127.0.0.1", prefix: tuple[str, ...] = (), more: str = ""
) -> Iterator[Server]:
    """Run a server.

    Args:
        folder: for its keys and its log.
        address: where it listens.
        prefix: a command that its command line is given to.
        more: lines of its configuration, which come first.
    """
    assert SSHD is not None
    if os.getuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
    port = reserve_port()
    write_keys(folder, address, port)
    server_config = folder / "sshd_config"
    server_config.write_text(more + server_config.read_text())
    with (folder / "log").open("wb") as log:
        command = [*prefix, SSHD, "-D", "-e", "-f", str(server_config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while "Server listening" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            # No event tells it.
            os.sched_yield()
        server = Server(folder, address, port, process)
        yield server
        server.wait_for_the_end()
    finally:
        process.terminate()
        process.wait()
