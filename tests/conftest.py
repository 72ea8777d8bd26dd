"""Fixtures of every test that needs a store: a real hub on a real file, which is gone when the test is over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from store.client import Client
from tests.factories import arrival, output, stop_hub

os.environ["SPIRITSAFE_IDLE_SECONDS"] = "5"  # a hub that a test forgot leaves by itself

# A gate must say the same of the same tree twice: examples are drawn anew on desks, not in CI.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture
def store_path(tmp_path: Path) -> Iterator[Path]:
    """Where a store may be made; its hub is stopped afterwards."""
    path = tmp_path / "store.duckdb"
    yield path
    if path.exists():
        stop_hub(path)


@pytest.fixture
def store(store_path: Path) -> Iterator[Client]:
    """An owner's client of a new store with the project ``demo``."""
    with Client(store_path, create=True) as client:
        client.act("project.create", "demo", {})
        yield client


@pytest.fixture
def filled(request: pytest.FixtureRequest) -> Callable[..., Client]:
    """Fill ``demo`` with prompts and their outputs by one or more models, in one closed run."""
    store: Client = request.getfixturevalue("store")

    def fill(texts: dict[str, dict[str, str]], **values: Any) -> Client:
        run = store.run("demo", "import", params={}, inputs={})
        metadata = values.pop("metadata", {})
        run.add("arrival", (arrival(t, metadata=metadata.get(t, {}), **values) for t in texts))
        first = run.run_no << 40
        for number, (prompt, answers) in enumerate(texts.items()):
            for model, text in answers.items():
                run.add("output", [output(text, to=prompt, model=model, arrival_key=first + number)])
        run.close()
        return store

    return fill
