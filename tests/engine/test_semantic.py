"""Pairs alike in meaning: every one found, only suggested; what a person says of them counts, and nothing else does."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clean import semantic
from engine.clean.semantic_cache import Cache, folder_for, key_of
from engine.clean.semantic_model import check_folder, folder_of
from engine.clean.semantic_pairs import SLACK, alike
from engine.context import Context
from engine.stages import STAGES
from store import read_semantic
from store.client import Client
from store.errors import Cancelled, InputError, RuleError, StoreError
from tests.engine.routing import CONTRACT, TEST, TRAIN, WORDS, add, rows
from tests.engine.shell import Shell
from tests.engine.tiny_model import Tiny, suggest
from tests.stories.desk import stop_hub

ROOT = Path(__file__).parents[2]
SAID_TWICE = (
    "kindly shut my profile ahead of this weekend"  # "please close my account before the end of this week"
)
ALSO_TEST = "the cash point ate my card on Sunday night"  # "the machine swallowed my card on Sunday evening"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project with two paraphrases, ready to be frozen; its hub is stopped."""
    folder = tmp_path_factory.mktemp("semantic")
    found = Shell(folder / "r.duckdb")
    for split, some in (("train", TRAIN), ("test", TEST)):
        words = [split if word == "$.split" else word for word in WORDS]
        found("import", "--retrospective", "r", rows(folder / f"{split}.jsonl", some, split), *words)
    (folder / "contract.toml").write_text(CONTRACT)
    found("contract", "lock", folder / "contract.toml")
    add(found, folder, "again.jsonl", SAID_TWICE, "train", "--output", "big=big")
    add(found, folder, "leak.jsonl", ALSO_TEST, "train", "--output", "big=big")
    for words in (["evaluation", "freeze"], ["check"], ["dedup"]):
        found(*words)
    stop_hub(found.store)
    return found.store


@pytest.fixture
def shell(built: Path, tmp_path: Path) -> Iterator[Shell]:
    """A copy of it."""
    found = Shell(tmp_path / "r.duckdb")
    shutil.copyfile(built, found.store)
    yield found
    stop_hub(found.store, kill=True)


def test_vectors_in_anothers_place_or_behind_a_link_are_not_used(tmp_path: Path) -> None:
    store, elsewhere = tmp_path / "s.duckdb", tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = folder_for(store, "m" * 64)
    folder.parent.symlink_to(elsewhere)
    cache = Cache(folder, 4)
    for use in (lambda: cache.known([]), lambda: cache.keep([key_of("a")], np.eye(1, 4, dtype=np.float32))):
        with pytest.raises(StoreError, match="is no folder, and is not used"):
            use()
    assert not list(elsewhere.iterdir())
    assert str(os.geteuid()) in folder.parent.name  # each account has its own


def row_with(shell: Shell, text: str) -> int:
    """The row of the suggested pair that has this text."""
    return next(r["position"] for r in shell("queue", "semantic")["rows"] if text in str(r["cells"]))


# ---- every pair, exactly
@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 40),
    st.integers(1, 13),
    st.sampled_from([-1.0, 0.3, 0.8]),
    st.integers(1, 60),
    st.integers(0, 99),
)
def test_blocks_find_the_same_pairs_as_one_look_at_all(
    n: int, block: int, least: float, most: int, seed: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    vectors[n // 2] = vectors[0]  # some pairs are the same
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = vectors @ vectors.T
    every = [(i, j) for i in range(n) for j in range(i + 1, n) if cosine[i, j] >= least - SLACK]
    found = alike(vectors, least, most, block=block)
    assert found.over == len(every)
    pairs = list(zip(found.left, found.right, strict=True))
    assert len(pairs) == len(set(pairs)) == min(most, len(every))
    assert set(pairs) <= set(every)
    assert found.cosine == sorted(found.cosine, reverse=True)
    best = sorted((min(float(cosine[i, j]), 1.0) for i, j in every), reverse=True)[:most]
    assert found.cosine == pytest.approx(best, abs=2e-6)


def test_a_cosine_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="cosine"):
        alike(np.eye(2, dtype=np.float32), 1.5, 10)


def test_a_pass_that_would_take_long_asks_first_and_says_how_long() -> None:
    some = np.ones((64, 384), np.float32)
    with pytest.raises(RuleError, match=r"20,000,000 texts take about [\d,]+ min") as refused:
        semantic._allow(20_000_000, 0.0, some, semantic.Params())
    assert "--yes" in refused.value.todo
    assert "min in all" in semantic._allow(20_000_000, 0.0, some, semantic.Params(yes=True))
    assert "s in all" in semantic._allow(1_000, 1.0, some, semantic.Params())


# ---- vectors that are kept
def test_vectors_are_kept_private_and_a_damaged_part_is_thrown_away(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "e" / "model", 4)
    keys, vectors = [key_of("a"), key_of("\ud800")], np.eye(2, 4, dtype=np.float32)
    cache.keep(keys, vectors)
    assert [cache.known(keys)[key].tolist() for key in keys] == vectors.tolist()
    (part,) = cache.folder.iterdir()
    assert (stat.S_IMODE(part.stat().st_mode), stat.S_IMODE(cache.folder.parent.stat().st_mode)) == (
        0o600,
        0o700,
    )
    part.write_bytes(part.read_bytes()[:-40])
    assert cache.known(keys) == {}
    assert not part.exists()


def test_a_pickle_in_place_of_vectors_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return Path.touch, (tmp_path / "gone-off",)

    cache, file = Cache(tmp_path, 4), io.BytesIO()
    np.savez(file, keys=np.array([Bomb()], dtype=object), vectors=np.eye(1, 4, dtype=np.float32))
    (tmp_path / "part-x.npz").write_bytes(file.getvalue())
    assert cache.known([key_of("a")]) == {}
    assert not (tmp_path / "gone-off").exists()


def test_what_was_embedded_before_a_stop_is_not_embedded_again(shell: Shell) -> None:
    tiny, seen = Tiny(), []

    def stopped() -> bool:
        seen.append(1)
        return tiny.embedded > 0

    with Client(shell.store) as store, pytest.raises(Cancelled):
        semantic.run(Context(store, "r", cancelled=stopped), semantic.Params(), tiny.load)
    first = tiny.embedded
    assert first == suggest(shell.store, tiny)["distinct"] == tiny.embedded


# ---- suggestions
def test_paraphrases_are_suggested_new_ones_first_and_leaks_are_shown(shell: Shell) -> None:
    told = suggest(shell.store, Tiny(), threshold=0.6)
    listed = shell("queue", "semantic", "--rows", "50")["rows"]
    new = [row["cells"][0].split()[1] for row in listed]
    assert new == sorted(new, key=lambda word: word == "known")
    assert (told["new"], told["known"], told["suggested"]) == (
        new.count("new"),
        new.count("known"),
        len(listed),
    )
    assert new.count("known") == 2  # the two that differ by a full stop or an exclamation mark
    (leak,) = [row["cells"] for row in listed if "LEAK" in row["cells"][0] and "new" in row["cells"][0]]
    assert ALSO_TEST in leak
    shown = shell("show", "semantic", row_with(shell, ALSO_TEST))
    assert (shown["leak"], shown["near"], sorted(shown["splits"])) == (True, False, [["test"], ["train"]])
    assert "test" in shown["splits"][shown["kept"]]  # who calls them the same leaves out the other
    kept = shell("show", "semantic", row_with(shell, SAID_TWICE))
    assert kept["texts"][kept["kept"]].startswith("please close")
    assert told["model"]["weights_sha256"] == "0" * 64


def test_the_most_alike_are_kept_and_all_are_counted(shell: Shell) -> None:
    told = suggest(shell.store, Tiny(), threshold=0.6, most=1)
    assert (told["suggested"], told["over"] > 1) == (1, True)


@pytest.mark.parametrize("queue", ["semantic", "duplicates"])
def test_a_pair_told_apart_in_either_queue_is_never_suggested_again(shell: Shell, queue: str) -> None:
    suggest(shell.store, Tiny(), threshold=0.6)
    text = "my top-up of fifty" if queue == "duplicates" else SAID_TWICE
    listed = shell("queue", queue)["rows"]
    shell("verdict", queue, next(r["subject"] for r in listed if text in str(r["cells"])), "distinct")
    told = suggest(shell.store, Tiny(), threshold=0.6)
    assert told["told_apart"] == 1
    assert text not in str(shell("queue", "semantic"))
    shell("undo")
    assert suggest(shell.store, Tiny(), threshold=0.6)["suggested"] == told["suggested"] + 1


def test_a_verdict_on_meaning_is_none_on_near_duplicates(shell: Shell) -> None:
    suggest(shell.store, Tiny(), threshold=0.6)
    row = row_with(shell, "my top-up of fifty")
    shell("verdict", "semantic", row, "distinct")
    before = shell("queue", "duplicates")
    assert before["reviewed"] == 0
    shell("dedup")
    assert shell("queue", "duplicates")["length"] == before["length"]


def test_outputs_that_are_the_same_text_are_one(shell: Shell) -> None:
    told = suggest(shell.store, Tiny(), field="output", threshold=0.1)
    assert (told["texts"], told["distinct"], told["leaks"]) == (12, 4, 0)


# ---- nothing is removed
def test_a_freeze_is_the_same_before_and_after_a_semantic_pass(shell: Shell) -> None:
    first = shell("dataset", "freeze")
    shell("verdict", "audit", "1", "bad", "--reason", "1")  # so that there is something new to freeze
    assert suggest(shell.store, Tiny(), threshold=0.1)["suggested"] > 20  # nearly everything is called alike
    shell("undo")
    assert "nothing changed since version 1" in shell.refused("dataset", "freeze", code=4)
    kept = shell("dataset", "freeze", "--keep-failing")
    again = shell("dataset", "freeze")
    assert again["dataset_sha256"] == first["dataset_sha256"] != kept["dataset_sha256"]
    assert again["dropped"] == first["dropped"]


def test_no_stage_but_its_own_reads_suggestions() -> None:
    names = {q.name.upper() for q in read_semantic.QUESTIONS} | {"read_semantic", "suggestion"}
    own = {"semantic.py", "stages.py"}
    files = [path for path in (ROOT / "engine").rglob("*.py") if path.name not in own]
    assert len(files) > 50
    readers = [path.name for path in files for name in names if name in path.read_text(encoding="utf-8")]
    assert readers == []
    assert STAGES["semantic"].optional


def test_who_says_the_second_says_the_same_flags_it_and_the_policy_leaves_it_out(shell: Shell) -> None:
    first = shell("dataset", "freeze")
    suggest(shell.store, Tiny(), threshold=0.6)
    row = row_with(shell, SAID_TWICE)
    assert "no sample" in shell.refused("verdict", "semantic", row, "bad", "--reason", "11", code=3)
    shell("verdict", "semantic", row, "bad", "--reason", "9")
    second = shell("dataset", "freeze")
    assert second["samples"] == first["samples"] - 1
    assert second["spoke_against"]["flagged by a reviewer"] == 1
    (gone,) = shell("dataset", "diff", "1", "2", "--rows")["rows"]
    assert (gone["change"], gone["why"]) == ("left", "flagged by a reviewer")
    (flag,) = shell("sql", "select bulk, verdict from verdict_event where queue = 'audit'")["rows"]
    assert flag == [True, "bad"]  # no audit counts what nobody read
    shell("undo")
    shell("undo")
    assert shell("queue", "semantic")["reviewed"] == 0
    assert shell("dataset", "freeze")["dataset_sha256"] == first["dataset_sha256"]


def test_pairs_are_listed_reported_judged_together_and_taken_away(shell: Shell, tmp_path: Path) -> None:
    suggest(shell.store, Tiny(), threshold=0.6)
    told = shell("report", "semantic")
    assert told["result"]["suggested"] == len(told["pairs"])
    text = shell.try_("report", "semantic").out
    assert "suggested, not verified" in text
    assert "Nothing was removed" in text
    listed = shell("queue", "semantic", "--filter", "not near and cosine > 0.6", "--sort", "cosine desc")
    assert 0 < listed["length"] < told["result"]["suggested"]
    shell("verdict", "semantic", "all", "both", "--filter", "near", "--bulk", "2")
    assert shell("queue", "semantic")["reviewed"] == 2
    shell("queue", "semantic", "--to", tmp_path / "pairs.jsonl")
    taken = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert {row["verdict"] for row in taken if row["near"]} == {"both"}
    assert all(row["left"] != row["right"] for row in taken)


# ---- models
@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "no modules.json"),
        ({"modules.json": "["}, "no modules.json"),
        ({"modules.json": "[]"}, "no weights"),
        ({"modules.json": "[]", "pytorch_model.bin": ""}, "a pickle"),
        ({"modules.json": "[]", "model.safetensors": "", "2_Dense/pytorch_model.bin": ""}, "a pickle"),
        ({"modules.json": "[]", "model.safetensors": "PK"}, "is damaged"),
        ({"modules.json": '[{"type": "own.Model"}]', "model.safetensors": ""}, "is not run"),
    ],
)
def test_a_model_that_is_code_or_a_pickle_is_refused_unread(
    files: dict[str, str], told: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=told):
        check_folder(tmp_path)


def test_a_model_that_is_nowhere_says_where_one_could_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder") as refused:
        folder_of(str(tmp_path / "none"))
    assert "model.safetensors" in refused.value.todo


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is not None, reason="the extra semantic is here"
)
def test_without_the_extra_the_stage_says_how_to_get_it(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "model.safetensors").write_bytes(b"\2" + bytes(7) + b"{}")
    answer = shell.try_("--json", "semantic", "--model-path", tmp_path)
    assert (answer.code, "spiritsafe[semantic]" in answer.error["todo"]) == (4, True)
