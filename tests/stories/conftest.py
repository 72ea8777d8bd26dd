"""Stores built once for all stories, and a fresh copy of one for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..built import built_once
from .desk import Desk, stop_hub

DATA = Path(os.environ.get("SPIRITSAFE_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")
GSM8K = DATA / "gsm8k" / "example_model_solutions.jsonl"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
CONTRACT = """
[task]
name = "gsm8k"
kind = "text"
instruction = "Solve the problem. The last line is A: and the number."
input_example = "Tom has 3 apples and eats one. How many are left?"
output_example = "A: 2"
metric = "number"
[teacher]
name = "175b_verification"
model = "175b_verification"
version = "2021-10"
why = "the best of the four"
[gate]
level = "0.95"
margin = 0.03
minimum_n = 200
attempts = 3
[[gate.slice]]
name = "few steps"
where = "steps <= 2"
margin = 0.05
[[gate.slice]]
name = "many steps"
where = "steps >= 5"
margin = 0.05
critical = true
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "root"
[[checks]]
name = "number"
kind = "number"
"""


@pytest.fixture(scope="session")
def sample_built(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The sample project as ``spiritsafe demo`` builds it; its hub is stopped."""

    def make(folder: Path) -> None:
        Desk(folder).run("demo", "--in", "built", "--plain", path=folder)
        built = folder / "built" / "spiritsafe.duckdb"
        stop_hub(built)
        built.rename(Desk(folder).store)

    return Desk(built_once(tmp_path_factory, "sample", make))


@pytest.fixture(scope="session")
def gsm8k_built(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """GSM8K with four models: imported, frozen, scored; its hub is stopped."""
    if not GSM8K.exists():
        pytest.skip("needs the GSM8K model solutions (SPIRITSAFE_DATA)")
    return Desk(built_once(tmp_path_factory, "gsm8k", lambda folder: _gsm8k(Desk(folder))))


def _gsm8k(desk: Desk) -> None:
    outputs = [
        word
        for m in MODELS
        for word in ("--output", f"{m}={m}.solution", "--meta", f"correct_{m}={m}.is_correct")
    ]
    desk.run(
        "import", "--retrospective", "gsm8k", str(GSM8K.resolve()), "--prompt", "question", "--reference", "ground_truth",
        "--split", "test", *outputs, "--derive", "steps = count(reference, '<<')", "--teacher", "175b_verification",
        "--student", "6b_finetuning",
    )  # fmt: skip
    (desk.folder / "contract.toml").write_text(CONTRACT)
    desk.run("contract", "lock")
    desk.run("evaluation", "freeze")
    desk.run("check")
    desk.run("dedup", "--field", "both")
    desk.run("coverage", "--by", "steps: 0,2,4,6,8")
    desk.run("evaluate")
    desk.run("gate", code=1)
    stop_hub(desk.store)


@pytest.fixture
def sample(sample_built: Desk, tmp_path: Path) -> Iterator[Desk]:
    """A copy of the sample project's store."""
    desk = sample_built.copy_to(tmp_path)
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def sample_shown(sample_built: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One copy, with its hub, for all stories that put nothing on the ledger."""
    desk = sample_built.copy_to(tmp_path_factory.mktemp("shown"))
    desk.run("status")
    yield desk
    desk.close()


@pytest.fixture
def shown(sample_shown: Desk, tmp_path: Path) -> Desk:
    """The sample project to look at, from a desk of one's own."""
    return Desk(tmp_path, shared=sample_shown.store)


@pytest.fixture
def gsm8k(gsm8k_built: Desk, tmp_path: Path) -> Iterator[Desk]:
    """A copy of the GSM8K store."""
    desk = gsm8k_built.copy_to(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Desk]:
    """An empty desk."""
    desk = Desk(tmp_path)
    yield desk
    desk.close()
