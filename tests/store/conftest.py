"""A hub on a thread of the test's own process: for tests that ask the hub much and start it little."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.client import Client
from store.hub import Hub


@pytest.fixture
def near_store(tmp_path: Path) -> Iterator[Client]:
    """Like ``store``, with its hub in this process; the socket and the file are as real."""
    hub = Hub(tmp_path / "store.duckdb", idle_seconds=60)
    thread = threading.Thread(target=hub.serve)
    thread.start()
    with Client(tmp_path / "store.duckdb", start=False) as client:
        client.act("project.create", "demo", {})
        yield client
    hub.leave()
    thread.join()
