"""Long queues: stored part by part, their beginning at once, the rest beside the session."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import one_queue, queue_build, queue_split, review_operations
from store.client import Client
from store.errors import InputError
from store.hub import Hub
from store.opening import BLOCK_BYTES
from store.queue_kinds import KINDS
from store.records import Score, key_of
from tests.factories import arrival, output

AUDIT = {"kind": "audit", "project": "demo", "model": "teacher"}
TABLES = (
    "select count(*) from duckdb_tables() where table_name like 'queue%' or table_name like 'mine%'"
    " union all select count(*) from duckdb_views() where view_name like 'queue%'"
)
VALUES = [1, 2, 2, 2, 10, -3, 0.5, 1e9, "10", "2", "x", "X", "é", "", "zz", True, None]
ROWS = 90


class Desk:
    """A hub of this process, and a client of it."""

    def __init__(self, path: Path) -> None:
        self.hub = Hub(path, idle_seconds=60)
        self.thread = threading.Thread(target=self.hub.serve)
        self.thread.start()
        self.client = Client(path, start=False)
        self.client.act("project.create", "demo", {})
        self.call = self.client.call

    def busy(self) -> threading.Lock:
        """Held, it keeps orders from being made: as another one that takes its time does."""
        return self.hub.database.aside.turn

    def rows(self, queue: str, low: int = 0, high: int = 1000) -> list[Any]:
        return self.call("window", queue=queue, low=low, high=high)

    def prompts(self, **spec: Any) -> list[str]:
        return [row[3][0] for row in self.rows(self.call("open_queue", spec=AUDIT | spec)["id"])]

    def left(self) -> list[int]:
        return [n for (n,) in self.call("sql", text=TABLES)["rows"]]

    def end(self) -> None:
        self.client.close()
        self.hub.leave()
        self.thread.join()


def fill(client: Client, metadata: list[dict[str, Any]], *, runs: int = 2, backwards: bool = False) -> None:
    """Prompts ``p0`` … with the outputs of two models, in several runs; ``backwards``: the last arrival first."""
    each = -(-len(metadata) // runs)
    for start in range(0, len(metadata), each):
        some = list(enumerate(metadata[start : start + each], start))
        run = client.run("demo", "import", params={}, inputs={})
        run.add("arrival", [arrival(f"p{i}", metadata=values) for i, values in some])
        order = list(reversed(some)) if backwards else some
        for model in ("teacher", "student"):
            run.add("output", [
                output(f"{model} {'x' * (i % 7)}", to=f"p{i}", model=model, arrival_key=key_of(run.run_no, i - start))
                for i, _ in order
            ])  # fmt: skip
        run.close()


def drawn_metadata() -> list[dict[str, Any]]:
    rng = random.Random(3)
    scores = [rng.choice(VALUES) for _ in range(ROWS)]
    return [
        ({} if score is None else {"score": score}) | {"tier": rng.choice("abc")} for i, score in enumerate(scores)
    ]  # fmt: skip


METADATA = drawn_metadata()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("drawn") / "store.duckdb")
    fill(desk.client, METADATA)
    yield desk
    desk.end()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Ten rows, which are long: the first three of a sort are there at once."""
    monkeypatch.setattr(queue_build, "AHEAD_ROWS", 5)
    monkeypatch.setattr(queue_build, "FIRST_ROWS", 3)
    desk = Desk(tmp_path / "store.duckdb")
    fill(desk.client, [{"score": i * 7 % 10} for i in range(10)], runs=1)
    yield desk
    desk.end()


def test_what_is_evaluated_in_parts_is_what_is_evaluated_at_once_in_the_same_order(
    drawn: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"expressions": ["prompt", "output", "score", "len(output)"]}
    for spec in (
        AUDIT,
        AUDIT | {"filter": "tier == 'a'"},
        AUDIT | {"blind": False, "filter": "checked is null"},
    ):
        tables = []
        for rows in (4, 7, 1_000):
            monkeypatch.setattr(review_operations, "AT_ONCE", rows)
            tables.append(drawn.client.table("evaluate", spec=spec, **asked))
        assert tables[0].num_rows > 10
        assert tables[0].equals(tables[1])
        assert tables[0].equals(tables[2])
        keys = tables[0]["key"].to_pylist()
        assert keys == sorted(keys)
    assert len(drawn.prompts()) == ROWS  # nothing of it is left open


BY_SCORE = [f"p{i}" for i in sorted(range(10), key=lambda i: i * 7 % 10)]


# ---- the order
def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def number_of(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def expected(sort: str, rows: list[int]) -> list[int]:
    """What the docs say: numbers by size, then texts, then what has none; ties as they came."""
    name, _, direction = sort.partition(" ")
    down = direction == "desc"
    if name == "score":
        texts = {i: text_of(METADATA[i]["score"]) for i in rows if "score" in METADATA[i]}
        numbers = {i: n for i, t in texts.items() if (n := number_of(t)) is not None}
        words = {i: t for i, t in texts.items() if i not in numbers}
    else:
        numbers = {i: float(len("teacher ") + i % 7) for i in rows} if name == "len(output)" else {}
        words = {i: f"p{i}" for i in rows} if name == "prompt" else {}
    found = sorted(sorted(numbers), key=lambda i: -numbers[i] if down else numbers[i])
    found += sorted(sorted(words), key=lambda i: words[i], reverse=down) if not down else _down(words)
    return found + [i for i in rows if i not in numbers and i not in words]


def _down(words: dict[int, str]) -> list[int]:
    return [
        i for word in sorted(set(words.values()), reverse=True) for i in sorted(words) if words[i] == word
    ]


@settings(max_examples=40, deadline=None)
@given(
    sort=st.sampled_from(["", "score", "score desc", "len(output)", "len(output) desc", "prompt", "prompt desc"]),
    tier=st.sampled_from(["", "a", "b"]),
    judged=st.booleans(),
    first=st.integers(1, 40),
    part=st.integers(1, 120),
)  # fmt: skip
def test_beginning_and_whole_are_one_order_however_it_is_cut(drawn, *, sort, tier, judged, first, part):
    rows = [i for i in range(ROWS) if not tier or METADATA[i]["tier"] == tier]
    wanted = [f"p{i}" for i in (expected(sort, rows) if sort else rows)]
    filters = [f"tier = {tier}"] * bool(tier) + ["not reviewed"] * judged
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_build, "AHEAD_ROWS", 1)
        patch.setattr(queue_build, "FIRST_ROWS", first)
        patch.setattr(queue_split, "PART_ROWS", part)
        drawn.hub.shared.queues._parts = queue_split.Parts()  # as after a restart
        with drawn.busy():
            spec = AUDIT | {"sort": sort, "filter": " and ".join(filters)}
            queue = drawn.call("open_queue", spec=spec)
            assert queue["length"] == len(wanted)
            assert queue["ready"] is not bool(sort)
            beginning = drawn.rows(queue["id"], 0, first) if sort else []
        whole = drawn.rows(queue["id"])
        assert [row[3][0] for row in whole] == wanted
        assert not sort or beginning == whole[:first]
        drawn.call("close_queue", queue=queue["id"])


def test_parts_of_any_length_are_all_of_a_filter_and_a_draw(drawn, monkeypatch):
    whole = [
        drawn.prompts(filter="tier = a and score > 1"),
        drawn.prompts(seed=7),
        drawn.prompts(sort="tier = a"),
    ]
    assert len(whole[1]) == ROWS
    for rows in (1, 3, 20, 1000):
        monkeypatch.setattr(queue_split, "PART_ROWS", rows)
        monkeypatch.setattr(one_queue, "CHUNK_KEYS", rows)
        drawn.hub.shared.queues._parts = queue_split.Parts()
        drawn.hub.shared.queues._extents.clear()
        assert whole == [
            drawn.prompts(filter="tier = a and score > 1"), drawn.prompts(seed=7), drawn.prompts(sort="tier = a"),
        ]  # fmt: skip
        assert drawn.prompts() == [f"p{i}" for i in range(ROWS)]


def test_arrivals_in_another_order_than_outputs_are_joined_at_once(desk, monkeypatch):
    fill(desk.client, [{"score": 1}] * 40, runs=1, backwards=True)
    wanted = desk.prompts(filter="score = 1")
    monkeypatch.setattr(queue_split, "PART_ROWS", 4)
    found = desk.hub.shared.queues._parts = queue_split.Parts()
    assert desk.prompts(filter="score = 1") == wanted
    (_, parts), *_ = found._known.values()
    assert len(parts) > 1  # backwards, but each part's arrivals lie together

    run = desk.client.run("demo", "import", params={}, inputs={})
    order = random.Random(1).sample(range(40), 40)
    run.add("output", [
        output(f"again {i}", to=f"p{i}", model="teacher", arrival_key=key_of(run.run_no - 1, i)) for i in order
    ])  # fmt: skip
    run.close()
    again = desk.prompts(filter="output ~ again and score = 1")
    assert again == [f"p{i}" for i in order]
    (_, parts), *_ = found._known.values()
    assert parts == [queue_split.WHOLE]


def test_only_lists_of_their_own_kind_come_in_parts():
    assert [name for name, kind in KINDS.items() if queue_split.split_of(kind)] == ["audit", "disagreements"]


def test_disagreements_in_parts_come_in_their_own_order(desk, monkeypatch):
    monkeypatch.setattr(queue_split, "PART_ROWS", 8)
    run = desk.client.run("demo", "evaluate", params={}, inputs={})
    prompts = [f"q{i}" for i in range(60)]
    run.add("arrival", [arrival(p, metadata={"n": i % 4}) for i, p in enumerate(prompts)])
    made = {
        model: [output(f"{model} {p}", to=p, model=model, arrival_key=key_of(run.run_no, i)) for i, p in enumerate(prompts)]
        for model in ("teacher", "student")
    }  # fmt: skip
    for outputs in made.values():
        run.add("output", outputs)
    for side, (model, outputs) in enumerate(made.items()):
        run.add("score", [
            Score(0, 0, key_of(run.run_no, i), key_of(run.run_no, side * 60 + i), one.prompt_id, model, "exact",
                  float(side == 0 and i % 3 > 0))
            for i, one in enumerate(outputs)
        ])  # fmt: skip
    run.close()
    spec = {"kind": "disagreements", "project": "demo", "model": "student", "teacher": "teacher"}
    spec |= {"metric": "exact", "run_id": run.run_id}
    differing = [
        (one.prompt_id, p) for i, (one, p) in enumerate(zip(made["student"], prompts, strict=True)) if i % 3
    ]
    wanted = [p for _, p in sorted(differing, key=lambda pair: md5(pair[0].encode()).hexdigest())]  # noqa: S324
    queue = desk.call("open_queue", spec=spec)
    assert (queue["length"], queue["ready"]) == (40, False)
    assert [row[3][0] for row in desk.rows(queue["id"])] == wanted
    desk.client.act("verdict", "demo", {
        "queue": "disagreements", "subject": desk.rows(queue["id"])[4][1], "verdict": "left",
    })  # fmt: skip
    queue = desk.call("open_queue", spec=spec | {"sort": "n desc", "filter": "not reviewed"})
    assert (queue["length"], queue["reviewed"]) == (39, 0)
    found = [row[3][0] for row in desk.rows(queue["id"])]
    assert found == sorted((p for p in wanted if p != wanted[4]), key=lambda p: -(int(p[1:]) % 4))


# ---- while the order is being made
def test_the_first_page_is_there_and_what_lies_beyond_waits(desk):
    with ThreadPoolExecutor() as pool, Client(desk.client.path, start=False) as other:
        with desk.busy():
            queue = desk.call("open_queue", spec=AUDIT | {"sort": "score"})
            assert (queue["length"], queue["reviewed"], queue["ready"]) == (10, 0, False)
            assert [row[3][0] for row in desk.rows(queue["id"], 0, 3)] == BY_SCORE[:3]
            assert desk.call("detail", queue=queue["id"], position=2)["prompt"]["text"] == BY_SCORE[2]
            later: list[Future[Any]] = [
                pool.submit(desk.call, "window", queue=queue["id"], low=2, high=10),
                pool.submit(desk.call, "detail", queue=queue["id"], position=9),
                pool.submit(desk.call, "find", queue=queue["id"], text="p9", position=0, step=1),
                pool.submit(desk.call, "unreviewed", queue=queue["id"], position=4, step=1),
            ]
            assert other.call("open_queue", spec=AUDIT)["length"] == 10  # nobody else waits
            assert not any(one.done() for one in later)
        assert [row[3][0] for row in later[0].result()] == BY_SCORE[2:]
        assert later[1].result()["prompt"]["text"] == BY_SCORE[9]
        assert later[2].result() == BY_SCORE.index("p9")
        assert later[3].result() == 5


def test_verdicts_on_the_first_page_are_kept_and_undone(desk):
    with desk.busy():
        queue = desk.call("open_queue", spec=AUDIT | {"sort": "score"})["id"]
        for at in (0, 2):
            payload = {
                "queue": "audit",
                "subject": desk.rows(queue, 0, 3)[at][1],
                "verdict": "bad",
                "reason": 4,
            }
            desk.client.act("verdict", "demo", payload)
        assert [row[2] for row in desk.rows(queue, 0, 3)] == ["4", "", "4"]
        desk.client.act("undo", "demo", {})
        assert [row[2] for row in desk.rows(queue, 0, 3)] == ["4", "", ""]
    assert [row[2] for row in desk.rows(queue)] == ["4"] + [""] * 9
    again = desk.call("open_queue", spec=AUDIT | {"sort": "score desc"})
    assert again["reviewed"] == 1
    assert [row[2] for row in desk.rows(again["id"])] == [""] * 9 + ["4"]
    assert desk.call("open_queue", spec=AUDIT | {"sort": "score", "filter": "reviewed"})["length"] == 1


def test_a_queue_closed_while_its_order_is_made_leaves_nothing(desk):
    with ThreadPoolExecutor() as pool, desk.busy():
        queue = desk.call("open_queue", spec=AUDIT | {"sort": "score"})["id"]
        waiting = pool.submit(desk.call, "window", queue=queue, low=0, high=10)
        desk.call("close_queue", queue=queue)
        with pytest.raises(InputError, match="not open"):
            waiting.result()
        assert desk.left() == [0, 0]
    assert desk.left() == [0, 0]


def test_a_client_that_leaves_takes_its_orders_with_it(desk):
    with desk.busy():
        with Client(desk.client.path, start=False) as other:
            for sort in ("score", "score desc", "prompt"):
                other.call("open_queue", spec=AUDIT | {"sort": sort})
            assert desk.left()[0] == 3
        while desk.left() != [0, 0]:  # as soon as the hub has seen it leave
            pass
    assert desk.prompts(sort="score") == BY_SCORE


def test_a_hub_that_leaves_ends_the_order_it_was_making_and_who_waits_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(queue_build, "AHEAD_ROWS", 5)
    monkeypatch.setattr(queue_build, "FIRST_ROWS", 3)
    desk = Desk(tmp_path / "store.duckdb")
    fill(desk.client, [{"score": i} for i in range(10)], runs=1)
    with ThreadPoolExecutor() as pool, desk.busy():
        queue = desk.call("open_queue", spec=AUDIT | {"sort": "score"})["id"]
        waiting = pool.submit(desk.hub.shared.queues.get(queue, desk.client.who).work.wait)
        desk.end()
        waiting.result()
    assert not [thread for thread in threading.enumerate() if thread.name == "aside"]
    assert sorted(at.name for at in tmp_path.iterdir() if ".tmp" in at.name or ".wal" in at.name) == []


def test_a_hub_of_its_own_goes_by_the_setting(store_path, monkeypatch):
    monkeypatch.setenv("SPIRITSAFE_AHEAD_ROWS", "1")
    with Client(store_path, create=True) as client:
        client.act("project.create", "demo", {})
        fill(client, [{"score": i * 7 % 10} for i in range(10)], runs=1)
        queue = client.call("open_queue", spec=AUDIT | {"sort": "score"})
        assert not queue["ready"]
        rows = client.call("window", queue=queue["id"], low=0, high=10)
        assert [row[3][0] for row in rows] == BY_SCORE


def test_what_is_new_is_counted_part_by_part(desk, monkeypatch):
    monkeypatch.setattr(queue_split, "PART_ROWS", 4)
    queue = desk.call("open_queue", spec=AUDIT | {"filter": "score < 5"})
    fill(desk.client, [{"score": i} for i in range(10)], runs=1)
    assert queue["length"] == desk.call("fresh", queue=queue["id"]) == 5


# ---- where rows lie
@pytest.mark.parametrize("made_before", [False, True])
def test_a_store_keeps_the_blocks_it_was_made_with(tmp_path, made_before):
    path = tmp_path / "store.duckdb"
    if made_before:
        duckdb.connect(path).close()  # of DuckDB's own size, as stores were
    desk = Desk(path)
    fill(desk.client, [{"score": i} for i in range(5)])
    desk.end()
    with duckdb.connect(path, read_only=True) as connection:
        blocks = connection.execute("select block_size from pragma_database_size()").fetchone()
    assert blocks == (262_144 if made_before else BLOCK_BYTES,)
    hub = Hub(path, idle_seconds=60)  # and is opened again as it is
    hub.leave()
    hub.close()
