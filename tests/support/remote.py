"""What the tests of daemons on another machine share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from accuser import (
    SSHRunner,
)
from tests.support.sshd import (
    Server,
    serve,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "ssh"
    folder.mkdir()
    with serve(folder) as running:
        yield running


@pytest.fixture
def runner(server: Server, tmp_path: Path) -> Iterator[SSHRunner]:
    """A runner whose temporary directories end up in a folder that has to be empty at the end."""
    temp = tmp_path / "there"
    temp.mkdir()
    yield server.runner(temp_dir=str(temp))
    server.wait_for_the_end()
    assert list(temp.iterdir()) == []
