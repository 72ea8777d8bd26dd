"""What several tests of the engine start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.built import built_once
from tests.engine.label_server import LabelTeacher, Prepared, halves, rows_of
from tests.engine.routing import CONTRACT, TEST, TRAIN, WORDS, rows
from tests.engine.shell import Shell

BESIDE = Path(__file__).parents[2] / ".." / "shared" / "data"
BANKING = Path(os.environ.get("SPIRITSAFE_DATA", BESIDE)) / "banking77"


@pytest.fixture(scope="session")
def banking_teacher(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """banking77's teacher, trained on half A (seed 13), with its answers to every text of both files."""
    train, labels = rows_of(BANKING / "banking77_train.csv")
    texts = train + rows_of(BANKING / "banking77_test.csv")[0]

    def make(folder: Path) -> None:
        half_a, _ = halves(len(train), seed=13)
        taught = LabelTeacher([train[i] for i in half_a], [labels[i] for i in half_a])
        np.savez(folder / "taught.npz", labels=taught.labels, logs=taught.log_probabilities(texts))

    with np.load(built_once(tmp_path_factory, "banking teacher", make) / "taught.npz") as taught:
        return Prepared(taught["labels"].tolist(), texts, taught["logs"])


@pytest.fixture
def routing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A retrospective project with a locked contract, training and test rows."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    found = Shell(tmp_path / "r.duckdb")
    try:
        train = rows(tmp_path / "train.jsonl", TRAIN, "train")
        test = rows(tmp_path / "test.jsonl", TEST, "test")
        for path, split in ((train, "train"), (test, "test")):
            words = [split if word == "$.split" else word for word in WORDS]
            found("import", "--retrospective", "r", path, *words)
        (tmp_path / "contract.toml").write_text(CONTRACT)
        found("contract", "lock", tmp_path / "contract.toml")
        yield found
    finally:
        found.close()
