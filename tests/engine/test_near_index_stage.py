"""What the near-duplicate stage believes of an index beside the store: nothing that it can look up itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from engine.clean.incremental_stage import Wanted, _Work
from engine.context import Context
from store import read
from store.address import near_path
from store.client import Client
from store.question import Question
from tests.engine.shell import Shell


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A project of ten prompts, all near-duplicates of each other, and their index."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    shell = Shell(tmp_path / "n.duckdb")
    try:
        texts = [f"where is the new card that I asked you for last month, number {i}" for i in range(10)]
        bring(shell, tmp_path / "first.jsonl", texts, "--retrospective", "p")
        shell("dedup", "--index", "on")
        yield shell
    finally:
        shell.close()


def bring(shell: Shell, path: Path, texts: list[str], *words: str) -> None:
    path.write_text("".join(json.dumps({"q": text}) + "\n" for text in texts))
    shell("import", path, "--prompt", "q", *words)


FORGED = {
    "scheme": ("signatures differ in scheme", {"params": {"scheme": "mersenne61"}}),
    "seed": ("signatures differ in seed", {"params": {"seed": 7}}),
    "Unicode": ("signatures differ in unicode", {"params": {"unicode": "9.0.0"}}),
    "a field of another version": ("made by another version", {"params": {"more": 1}}),
    "another library's permutations": ("signed by other permutations", {"signing": "0" * 64}),
    "bands that it has not": ("does not hold what it says", {"bands": 99}),
    "another store": ("the store is another", {"store_id": "0" * 32}),
    "more texts": ("does not hold what it says", {"texts": 99}),
}


def test_an_index_of_mixed_schemes_is_made_anew_and_says_why(desk: Shell, tmp_path: Path) -> None:
    (path,) = near_path(desk.store).glob("*.duckdb")
    for number, (name, (why, change)) in enumerate(FORGED.items()):
        bring(desk, tmp_path / f"{number}.jsonl", [f"where is the new card that I asked for, letter {name}"])
        with duckdb.connect(path) as con:
            ((text,),) = con.execute("select about from meta").fetchall()
            about: dict[str, Any] = json.loads(text)
            params = about["params"] | change.get("params", {})
            con.execute("update meta set about = ?", [json.dumps(about | change | {"params": params})])
        told = desk("dedup", "--index", "on")["prompt"]
        assert why in told["index"], name
        assert told["pairs"] == desk("dedup", "--index", "off")["prompt"]["pairs"]


def test_no_text_of_an_index_is_younger_than_the_event_it_says_it_was_made_at(
    desk: Shell, tmp_path: Path
) -> None:
    """Else a backup from between the two, gone on with otherwise, would pass for the store that was indexed."""

    class Slow(Client):
        """Somebody imports while the stage asks which texts there are."""

        def fetch(self, question: Question[Any], **params: Any) -> pa.Table:
            bring(desk, tmp_path / "late.jsonl", ["a text that came at the wrong moment"])
            return super().fetch(question, **params)

    with Slow(desk.store) as store:
        work = _Work(Context(store, "p"), Wanted("prompt", "", 0.7, 0.995, 1, "reference", "on"))
        assert work.total == 11
        assert work.head[0] == store.ask(read.HEAD, seq=None)[0].seq
