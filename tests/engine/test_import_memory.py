"""Import takes as much memory for a long file as for a short one; what predictions must know is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.context import Context
from engine.predictions import Known
from store.client import Client
from tests.engine.shell import ROOT, Shell

# The long file has 48 MB more, 130 where counts are heavy: kept as Python's objects, several times as much.
SHORT, LONG = 10_000, 220_000 if os.environ.get("SPIRITSAFE_TORTURE") else 90_000
CHILD = """
import resource, sys
from console.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
sys.exit(code)
"""


def rows(path: Path, count: int, bad: int = 0) -> Path:
    """Rows of 600 bytes; from row ``bad`` on none has a prompt."""
    with path.open("w") as file:
        for number in range(count):
            text = f"question {number} " + "of many words " * 18
            key = "prompt" if not bad or number < bad else "nothing"
            row = {"id": number, key: text, "answer": f"{number} " + "so " * 80, "tier": "vip"}
            file.write(json.dumps(row) + "\n")
    return path


def peak(store: Path, project: str, path: Path, *more: str) -> int:
    """MiB of the child that imports a file."""
    words = ["--json", "--store", store, "import", "--retrospective", project, path, "--prompt", "prompt"]
    words += ["--output", "big=answer", "--meta", "*", *more]
    env = os.environ | {"SPIRITSAFE_IDLE_SECONDS": "5"}
    command = [sys.executable, "-c", CHILD, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    told, mib = done.stdout.splitlines()
    assert json.loads(told)["arrivals"] > 0
    return int(mib)


@pytest.mark.parametrize("bad", [0, 1_000])
def test_memory_is_flat_in_the_size_of_the_file_and_in_the_number_of_bad_rows(
    tmp_path: Path, bad: int
) -> None:
    shell = Shell(tmp_path / "r.duckdb")
    more = ("--rejects", str(tmp_path / "why.txt")) if bad else ()
    try:
        short = peak(shell.store, "short", rows(tmp_path / "short.jsonl", SHORT, bad), *more)
        long = peak(shell.store, "long", rows(tmp_path / "long.jsonl", LONG, bad), *more)
    finally:
        shell.close()
    assert long - short <= 30, f"{short} MiB for {SHORT:,} rows, {long} for {LONG:,}"
    if bad:
        assert (tmp_path / "why.txt").read_text().count("\n") == LONG - bad


def test_predictions_know_a_prompt_by_41_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    shell = Shell(tmp_path / "r.duckdb")
    try:
        shell("import", "--retrospective", "r", rows(tmp_path / "a.jsonl", 5_000), "--prompt", "prompt")
        shell("import", rows(tmp_path / "b.jsonl", 6_000), "--prompt", "prompt", "--output", "big=answer")
        with Client(shell.store) as client:
            known = Known(Context(client, "r"), ["big"])
    finally:
        shell.close()
    kept: list[Any] = [known.ids, known.keys, *known.answered.values()]
    assert sum(array.nbytes for array in kept) == 41 * 6_000
    assert known.answered["big", 0].all()
    assert (known.keys >> 40).max() == 2  # the thousand prompts that came first with the second file
