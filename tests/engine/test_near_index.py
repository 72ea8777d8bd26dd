"""The near-duplicate index: batch after batch finds what one pass finds, and it is never believed without a look."""

from __future__ import annotations

import importlib.util
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clean import incremental_stage
from engine.clean.bands import CROWD, Gate
from engine.clean.incremental import meet, params_for
from engine.clean.incremental_pairs import sketches
from engine.clean.incremental_texts import texts_of
from engine.clean.neardup import Params, near_duplicate_columns
from engine.clean.shingles import PROMPTS
from store.address import near_path
from store.canonical import content_id
from store.client import Client
from store.errors import InputError, StoreError
from store.near_index import EDGE_COLUMNS, FORMAT, About, IndexBusy, IndexUnusable, NearIndex, index_path
from tests.engine.shell import Shell

ROOT = Path(__file__).parents[2]
HAS_FAST = importlib.util.find_spec("numba") is not None
ENGINES = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(not HAS_FAST, reason="the extra fast is not installed")),
]
SYLLABLES = [a + b for a in "bcdfglmprst" for b in "aeiou"]
HOSTILE = ["", "  ", "👨‍👩‍👧", "👨👩👧", "\0", "\u200b", "สวัสดี", "A", "a", "e\u0323\u0301", "İ", "½ x²", "한국어", "中文"]  # fmt: skip


def made_up(n: int, seed: int) -> list[str]:
    """Sentences, a third of them changed copies, and hostile ones."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(900)]
    texts = [" ".join(rng.choices(words, k=rng.randint(4, 18))) for _ in range(n * 2 // 3)] + HOSTILE
    while len(texts) < n:
        text = rng.choice(texts) or "x"
        at = rng.randrange(len(text))
        texts.append(
            rng.choice((text, text.upper(), text[: at + 1], text[:at] + "é" + text[at:], text + " 中文"))
        )
    rng.shuffle(texts)
    return texts


def table_of(texts: Sequence[str]) -> pa.Table:
    keys = np.arange(len(texts)) * 3 + 7
    ids = [content_id("text", text) for text in texts]
    return pa.table({"key": keys, "id": ids, "text": pa.array(texts, pa.large_string())})


def fetch_from(table: pa.Table) -> Callable[[pa.Array], pa.Table]:
    keys = table["key"].to_numpy()
    return lambda wanted: table.take(pa.array(np.searchsorted(keys, wanted.to_numpy())))


def silent(what: str, done: int, total: int) -> None:
    del what, done, total


def fresh(folder: Path, params: Params | None = None) -> NearIndex:
    params = params or params_for(0.7, 0.995, 1, PROMPTS, 1000)
    folder.mkdir(exist_ok=True)
    about = About(FORMAT, "a store", params.record(), params.bands, params.num_perm)
    return NearIndex(index_path(folder / "s.duckdb", "p"), folder / "s.duckdb", fresh=about)


def in_batches(
    index: NearIndex, table: pa.Table, cuts: Sequence[int], fast: Sequence[bool]
) -> dict[str, int]:
    """Meet and keep what is not in it yet; the counts of the batch that was compared most."""
    bounds = [index.about.texts, *sorted(cuts), table.num_rows]
    most: dict[str, int] = {}
    for at, (first, last) in enumerate(pairwise(bounds)):
        batch = table.slice(first, last - first)
        met = meet(index, batch, fetch_from(table), fast=fast[at % len(fast)], report=silent)
        met.keep(index)
        most = {name: max(count, most.get(name, 0)) for name, count in met.counts.items()}
    return most


def rows_of(edges: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(edges[name].to_pylist() for name in EDGE_COLUMNS), strict=True))


def at_once(table: pa.Table) -> list[tuple[Any, ...]]:
    """The edges of one pass of the reference engine, as the index has them."""
    found = near_duplicate_columns(table["text"].to_pylist(), profile=PROMPTS, engine="reference").table
    columns: dict[str, Any] = {}
    for side in ("left", "right"):
        columns |= {f"{side}_{what}": table[what].take(found[side]) for what in ("key", "id")}
    columns |= {name: found[name] for name in ("jaccard", "containment", "spans")}
    return rows_of(pa.table(columns | {"kind": found["kind"].cast(pa.string())}))


# ---- batch after batch
@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 99),
    cuts=st.lists(st.integers(0, 180), max_size=3),
    fast=st.lists(st.booleans(), min_size=1),
)
def test_any_batches_by_either_engine_find_what_one_pass_finds(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int], fast: list[bool]
) -> None:
    table = table_of(made_up(180, seed))
    with fresh(tmp_path_factory.mktemp("near")) as index:
        in_batches(index, table, cuts, [one and HAS_FAST for one in fast])
        found = rows_of(index.edges())
        assert index.keys().to_pylist() == table["key"].to_pylist()
    assert found == at_once(table)
    assert {"exact", "surface", "words"} <= {row[6] for row in found}


@pytest.mark.skipif(not HAS_FAST, reason="the extra fast is not installed")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=40), min_size=1, max_size=12))
def test_both_engines_sign_texts_alike_so_that_one_meets_the_others_index(texts: list[str]) -> None:
    array, params = pa.array(texts, pa.large_string()), params_for(0.7, 0.995, 1, PROMPTS, 10)
    from engine.clean.neardup import bands_of

    slow, fast = (texts_of(array, fast=engine) for engine in (False, True))
    for a, b in zip(slow.surfaces(), fast.surfaces(), strict=True):
        assert (a == b).all()
    signs = [one.sign(np.arange(len(texts)), PROMPTS, bands_of(params), 1) for one in (slow, fast)]
    for name in ("keys", "low", "counts"):
        assert (getattr(signs[0], name) == getattr(signs[1], name)).all()


@given(st.integers(0, 2**32), st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_a_sketch_lets_pass_all_that_the_whole_bytes_let_pass(seed: int, alike: float) -> None:
    rng, gate = np.random.default_rng(seed), Gate(0.7, 125)
    low = rng.integers(0, 256, (2, 125), np.uint8)
    low[1] = np.where(rng.random(125) < alike, low[0], low[1])
    words = sketches(low, np.array([90, 80])).words
    differ = words[0] ^ words[1]
    differ |= differ >> np.uint64(1)
    differ |= differ >> np.uint64(2)
    share = (125 - int(np.bitwise_count(differ & np.uint64(0x1111111111111111)).sum())) / 125
    whole = float((low[0] == low[1]).mean())
    sizes = np.array([90]), np.array([80])
    assert share >= whole
    assert gate.passes(np.array([share]), *sizes)[0] >= gate.passes(np.array([whole]), *sizes)[0]


@pytest.mark.parametrize("fast", ENGINES)
def test_a_template_flood_stays_linear_and_connected(tmp_path: Path, fast: bool) -> None:
    line = (
        "your parcel number {} will be with you tomorrow between nine and eleven in the morning, dear client"
    )
    table = table_of([line.format(n) for n in range(900)])
    with fresh(tmp_path) as index:
        most = in_batches(index, table, [300, 600], [fast])
        edges = index.edges()
    assert most["flooded_buckets"] > 0
    assert most["untried_pairs"] > 0
    assert most["compared"] < 300 * 100  # of a batch: not 300 times what was there before
    assert set(edges["right_key"].to_pylist()) == set(table["key"].to_pylist()[1:])
    assert np.unique(edges["right_key"], return_counts=True)[1].max() <= CROWD  # as in one pass


def test_a_star_goes_round_the_oldest_and_only_the_oldest_goes_on(tmp_path: Path) -> None:
    text = "where is the card that you said would be here last week?"
    table = table_of([text, text.upper(), text, text + " thanks", text.upper() + " THANKS"])
    with fresh(tmp_path) as index:
        in_batches(index, table, [1, 2, 4], [False])
        found = [(row[0], row[1], row[6]) for row in rows_of(index.edges())]
    assert found == [(7, 10, "surface"), (7, 13, "exact"), (7, 16, "truncation"), (16, 19, "surface")]


def test_equal_digests_are_no_proof_of_equal_texts(tmp_path: Path) -> None:
    table = table_of(["an ordinary question about cards", "another question that has its own words"])
    with fresh(tmp_path) as index:
        in_batches(index, table.slice(0, 1), [], [False])
        path = index.path
    with duckdb.connect(path) as con:  # as if the new text had the old one's 64 bits
        digest = texts_of(table["text"].combine_chunks().slice(1), fast=False).surfaces()[1][0]
        con.execute("update signed set digest = ?", [int(digest)])
    with NearIndex(path, tmp_path / "s.duckdb") as index:
        met = meet(index, table.slice(1), fetch_from(table), fast=False, report=silent)
    assert (met.edges.num_rows, met.counts["distinct"]) == (0, 1)


def test_keys_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    table = table_of(["one", "two"])
    with fresh(tmp_path) as index, pytest.raises(InputError, match="ascend"):
        meet(index, table.take(pa.array([1, 0])), fetch_from(table), fast=False, report=silent)


# ---- the file
CHILD = """
import json, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from engine.clean.incremental import meet
from store.near_index import NearIndex
keys, ids, texts = json.loads(Path(sys.argv[3]).read_text())
table = pa.table({"key": keys, "id": ids, "text": pa.array(texts, pa.large_string())})
def fetch(wanted): return table.take(pa.array(np.searchsorted(keys, wanted.to_numpy())))
with NearIndex(Path(sys.argv[1]), Path(sys.argv[2])) as index:
    for first in range(index.about.texts, 240, 20):
        met = meet(index, table.slice(first, 20), fetch, fast=False, report=lambda *_: None)
        print(first, flush=True)
        met.keep(index)
"""


def test_a_killed_writer_leaves_whole_batches_and_the_next_goes_on(tmp_path: Path) -> None:
    table, store = table_of(made_up(240, 4)), tmp_path / "s.duckdb"
    given = tmp_path / "texts.json"
    given.write_text(json.dumps([table[name].to_pylist() for name in ("key", "id", "text")]))
    with fresh(tmp_path) as index:
        path = index.path
    rng, seen = random.Random(1), 0
    for _ in range(3):
        words = [sys.executable, "-c", CHILD, str(path), str(store), str(given)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
            assert child.stdout is not None
            for _ in range(rng.randint(1, 3)):
                told = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)  # while it writes the batch that it told of, or just after
        with NearIndex(path, store) as index:
            assert index.about.texts in (told, told + 20)
            assert index.about.texts >= seen
            seen = index.about.texts
            assert rows_of(index.edges()) == at_once(table.slice(0, seen))
    with NearIndex(path, store) as index:
        in_batches(index, table, [], [False])
        assert rows_of(index.edges()) == at_once(table)


def test_one_run_at_a_time_holds_an_index(tmp_path: Path) -> None:
    with fresh(tmp_path) as index, pytest.raises(IndexBusy, match="another run"):
        NearIndex(index.path, tmp_path / "s.duckdb")
    NearIndex(index.path, tmp_path / "s.duckdb").close()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    with fresh(tmp_path) as index:
        path = index.path
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="no plain file"):
        NearIndex(path, tmp_path / "s.duckdb")


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("delete from edge", "does not hold what it says"),
        ("delete from meta", "does not say what it is"),
        ("update meta set about = replace(about, '\"format\":1', '\"format\":0')", "is of format 0"),
        ("drop table signed", "cannot be opened"),
    ],
)
def test_what_is_not_whole_is_not_used(tmp_path: Path, sql: str, why: str) -> None:
    with fresh(tmp_path) as index:
        in_batches(index, table_of(made_up(60, 1)), [], [False])
        path = index.path
    with duckdb.connect(path) as con:
        con.execute(sql)
    with pytest.raises(IndexUnusable, match=why):
        NearIndex(path, tmp_path / "s.duckdb")


# ---- the stage
@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A project of 150 prompts."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    shell = Shell(tmp_path / "n.duckdb")
    try:
        bring(shell, tmp_path / "first.jsonl", made_up(200, 8)[:150], "--retrospective", "p")
        yield shell
    finally:
        shell.close()


def bring(shell: Shell, path: Path, texts: list[str], *words: str) -> None:
    path.write_text("".join(json.dumps({"q": text}) + "\n" for text in texts if text.strip("\0 ")))
    shell("import", path, "--prompt", "q", *words)


def told(shell: Shell, *words: str) -> str:
    return str(shell("dedup", *words)["prompt"]["index"])


def newest(shell: Shell) -> tuple[list[Any], list[Any]]:
    """Edges and cluster members of the newest run."""
    edges = "select left_key, right_key, left_id, right_id, jaccard, containment, kind, spans from edge"
    members = "select cluster, subject_key, subject_id, representative from cluster_member"
    which = " where run_no = (select max(run_no) from run_opened) order by all"
    return tuple(shell("sql", text + which)["rows"] for text in (edges, members))  # type: ignore[return-value]


def test_a_second_pass_compares_only_what_came_since_and_its_run_is_whole(
    desk: Shell, tmp_path: Path
) -> None:
    assert "made an index" in told(desk, "--index", "on")
    bring(desk, tmp_path / "more.jsonl", made_up(200, 8)[150:])
    said = told(desk, "--index", "on")
    total = desk("dedup", "--index", "off")["prompt"]["texts"]
    plain = newest(desk)
    new = int(said.split(": ")[1].split(" new")[0])
    assert said == f"compared with the index: {new} new of {total}"
    assert 20 < new < 60
    assert told(desk, "--index", "on") == f"compared with the index: 0 new of {total}"
    assert newest(desk) == plain
    assert len(plain[0]) > 20


def test_an_index_that_does_not_fit_is_made_anew_and_says_why(desk: Shell) -> None:
    assert "made an index" in told(desk, "--index", "on")
    plain = newest(desk)
    assert "anew: threshold was 0.7 and is 0.71" in told(desk, "--index", "on", "--threshold", "0.71")
    assert "anew: signatures differ in seed: 1 and 2" in told(
        desk, "--index", "on", "--threshold", "0.71", "--seed", "2"
    )
    (path,) = near_path(desk.store).glob("*.duckdb")
    for damage in (b"", b"rubbish" * 99, path.read_bytes()[: 1 << 16]):
        path.write_bytes(damage)
        assert "anew: cannot be opened" in told(desk, "--index", "on")
        assert newest(desk) == plain
    path.unlink()
    assert told(desk, "--index", "on").endswith("made an index of them")
    assert "anew: as asked" in told(desk, "--index", "rebuild")
    with duckdb.connect(path) as con:  # a text that the store does not have: as after a withdrawal
        con.execute("update text set key = key - 1 where key = (select min(key) from text)")
    assert "texts came before those that it holds, or are gone" in told(desk, "--index", "on")
    assert newest(desk) == plain


def test_a_backup_put_back_is_seen_by_the_ledger(desk: Shell, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    desk("backup", copy)
    told(desk, "--index", "on")
    bring(desk, tmp_path / "a.jsonl", ["a text of the one time line, and no other"])
    told(desk, "--index", "on")
    desk.close()
    for path in tmp_path.glob("n.duckdb*"):
        path.unlink()
    copy.rename(desk.store)
    bring(desk, tmp_path / "b.jsonl", ["a text of the other time line, quite another"])
    desk("dedup", "--index", "off")  # its ledger is as long again
    assert "anew: the store is another, or was restored from a backup" in told(desk, "--index", "on")


def test_pairs_told_apart_since_leave_and_come_back_when_that_is_undone(desk: Shell) -> None:
    told(desk, "--index", "on")
    first = newest(desk)[0]
    left, right = first[0][2:4]
    with Client(desk.store) as client:
        subject = content_id("edge", *sorted((left, right)))
        client.act("verdict", "p", {"queue": "duplicates", "subject": subject, "shown": [left, right],
                                    "verdict": "distinct"})  # fmt: skip
        assert "0 new" in told(desk, "--index", "on")
        assert newest(desk)[0] == first[1:]
        client.act("undo", "p", {})
    assert "0 new" in told(desk, "--index", "on")
    assert newest(desk)[0] == first


def test_a_run_beside_another_is_refused_and_may_do_without(desk: Shell) -> None:
    told(desk, "--index", "on")
    (path,) = near_path(desk.store).glob("*.duckdb")
    with NearIndex(path, desk.store):
        assert "another run is comparing these texts" in desk.refused("dedup", "--index", "on", code=5)
        assert "at once" in told(desk, "--index", "off")


def test_few_texts_are_compared_at_once_and_many_through_the_index(
    desk: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "at once" in told(desk)
    plain = newest(desk)
    monkeypatch.setattr(incremental_stage, "LEAST", 100)
    monkeypatch.setattr(incremental_stage, "_TEXTS", 33)  # of a batch
    assert "made an index" in told(desk)
    assert newest(desk) == plain


def test_without_room_for_an_index_all_are_compared_at_once(
    desk: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incremental_stage, "LEAST", 100)
    near_path(desk.store).write_text("a file in the folder's place")
    assert "at once" in told(desk)
    assert desk.refused("dedup", "--index", "on", code=5)
