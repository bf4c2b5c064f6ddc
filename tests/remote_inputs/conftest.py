"""A project and a server, for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.remote_inputs.servers import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server
