"""Search by words: found at once by a scan, then by the text index; the index comes back from every damage."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import address, queue_search, text_follow
from store.client import Client
from store.hub import Hub
from store.records import Score
from store.text_index import TextIndex
from store.text_similar import similar_keys
from tests.factories import arrival, output

pytest.importorskip("tantivy")

TEXTS = {
    "Where is my parcel?": "On its way to you.",
    "Cancel order_id 4711, please": "The café on Main Street has refunded it.",
    "我的包裹在哪里": "您的包裹正在配送中。",
    "พัสดุของฉันอยู่ที่ไหน": "กำลังจัดส่ง",
    'Return {"a": 1} as JSON': 'Here: {"a": 1}',
    "Parcels and parcel": "Two parcels.",
}
SPEC: dict[str, Any] = {"kind": "audit", "project": "demo", "model": "teacher"}


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Client]]:
    """Start a hub on a thread that indexes even small stores; called again, another one on the same store."""
    monkeypatch.setattr(text_follow, "LEAST_ROWS", 1)
    monkeypatch.setattr(text_follow, "LOOK_SECONDS", 0.02)
    running: list[tuple[Hub, threading.Thread, Client]] = []

    def leave() -> None:
        while running:
            hub, thread, client = running.pop()
            client.close()
            hub.leave()
            thread.join()

    def start() -> Client:
        leave()
        path = tmp_path / "store.duckdb"
        fresh = not path.exists()
        hub = Hub(path, idle_seconds=60)
        thread = threading.Thread(target=hub.serve)
        thread.start()
        client = Client(path, start=False)
        running.append((hub, thread, client))
        if fresh:
            client.act("project.create", "demo", {})
        return client

    start.leave = leave  # type: ignore[attr-defined]
    yield start
    leave()


def fill(client: Client, texts: dict[str, str], model: str = "teacher") -> int:
    """A closed run of these prompts with their outputs; its number."""
    run = client.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(text) for text in texts])
    first = run.run_no << 40
    made = enumerate(texts.items())
    run.add("output", [output(text, to=to, model=model, arrival_key=first + n) for n, (to, text) in made])
    run.close()
    return run.run_no


def caught_up(client: Client, seconds: float = 60) -> dict[str, Any]:
    """The index's state once it covers everything that is closed."""
    deadline = time.monotonic() + seconds
    closed = client.call("sql", text="select max(closed_seq) from closed_run")["rows"][0][0]
    while time.monotonic() < deadline:
        state: dict[str, Any] = client.call("text_status")
        if state["seq"] >= closed and state["rows"] == state["total"]:
            return state
        threading.Event().wait(0.01)
    raise AssertionError(f"not indexed in {seconds} s: {state}")


def opened(client: Client, **more: Any) -> str:
    return str(client.call("open_queue", spec=SPEC | more)["id"])


def found(client: Client, queue: str, text: str, position: int = -1, step: int = 1) -> Any:
    answer = client.call("search", queue=queue, text=text, position=position, step=step)
    return answer["position"], answer["hits"], answer["by"]


NEEDLES = {
    "parcel": (0, 2, "words"),  # the last word may go on: parcels, too
    "PARCEL where": (0, 1, "words"),
    "parcels": (5, 1, "words"),
    "cafe": (1, 1, "words"),
    "CAFÉ main": (1, 1, "words"),
    "order_id": (1, 1, "words"),
    "order_i": (1, 1, "substring"),
    '"on its way"': (0, 1, "words"),
    '"its on way"': (None, 0, "substring"),
    '"parcel on"': (None, 0, "substring"),  # no phrase runs from the prompt into the output
    "配送": (2, 1, "words"),
    "送中": (2, 1, "words"),
    "包裹 您": (2, 1, "words"),
    "裹": (2, 1, "words"),
    "จัดส่ง": (3, 1, "words"),
    "arce": (0, 2, "substring"),
    '{"a"': (4, 1, "substring"),
    '{"': (4, 1, "substring"),
    "zebra": (None, 0, "substring"),
}


@pytest.mark.parametrize("spec", [{}, {"sort": "len(prompt) asc"}])
def test_index_and_scan_find_the_same(indexed, spec, monkeypatch):
    monkeypatch.setattr(text_follow, "LEAST_ROWS", 1 << 40)
    client = indexed()
    fill(client, TEXTS)
    places = {}
    for indexing in (False, True):
        if indexing:
            monkeypatch.setattr(text_follow, "LEAST_ROWS", 1)
            client = indexed()
            assert caught_up(client)["rows"] == len(TEXTS)
        queue = opened(client, **spec)
        places[indexing] = {text: found(client, queue, text) for text in NEEDLES}
        if not spec:
            assert places[indexing] == NEEDLES | {'{"a"': places[indexing]['{"a"']}
            assert places[indexing]['{"a"'][0] == 4
    assert places[True] == places[False]


@pytest.mark.parametrize("spec", [{}, {"filter": "len(output) > 0"}])
def test_search_steps_either_way_and_around(indexed, spec):
    client = indexed()
    fill(client, {f"prompt {n}": "needle" if n % 3 == 1 else "hay" for n in range(12)})
    caught_up(client)
    queue = opened(client, **spec)
    assert [found(client, queue, "needle", at, 1)[0] for at in (-1, 1, 4, 9, 10, 11)] == [1, 4, 7, 10, 1, 1]
    assert [found(client, queue, "needle", at, -1)[0] for at in (12, 10, 5, 2, 1, 0)] == [10, 7, 4, 1, 10, 10]
    assert found(client, queue, "needle 4", 4) == (4, 1, "words")


@pytest.mark.parametrize("spec", [{}, {"filter": "len(output) > 0"}, {"seed": 5}])
@pytest.mark.parametrize("longest", [0, 1 << 20])
def test_frequent_words_are_found_as_rare_ones_are(indexed, spec, longest, monkeypatch):
    """Thresholds decide how hits are looked for, never which."""
    client = indexed()
    fill(client, {f"prompt {n}": "needle" if n % 3 else "hay" for n in range(40)})
    caught_up(client)
    rows = client.call("window", queue=opened(client, **spec), low=0, high=40)
    hits = [row[0] for row in rows if row[3][1] == "needle"]
    for name in ("MOST_JOINED", "MOST_LISTED", "MOST_SCANNED"):
        monkeypatch.setattr(queue_search, name, longest)
    monkeypatch.setattr(queue_search, "FIRST_ASKED", 3)
    queue = opened(client, **spec)
    for at in range(-1, 41):
        after = [hit for hit in hits if hit > at] or hits
        before = [hit for hit in hits if hit < at] or hits
        assert found(client, queue, "needle", at)[0] == after[0]
        assert found(client, queue, "needle", at, -1)[0] == before[-1]
    answer = client.call("search", queue=queue, text="needle", position=0, step=1)
    assert answer["hits"] == len(hits) or answer["more"]


def test_a_run_is_found_before_it_is_indexed_and_after(indexed):
    client = indexed()
    fill(client, {f"prompt {n}": "hay" for n in range(20)})
    caught_up(client)
    before = opened(client)
    fill(client, {"late prompt": "a needle"})
    for _ in ("maybe by scan", "by index"):
        assert found(client, opened(client), "needle") == (20, 1, "words")
        assert found(client, opened(client, sort="output"), "needle") == (0, 1, "words")
        assert found(client, before, "needle")[:2] == (None, 0), "a queue is frozen"
        caught_up(client)


def test_what_the_index_does_not_cover_is_scanned_in_the_same_search(indexed, monkeypatch):
    client = indexed()
    fill(client, {f"prompt {n}": "one needle" for n in range(5)})
    caught_up(client)
    monkeypatch.setattr(text_follow.Follower, "_look", lambda *_: None)
    fill(client, {f"late {n}": "another needle" for n in range(5)})
    for spec in ({}, {"filter": "len(output) > 0"}):
        queue = opened(client, **spec)
        answer = client.call("search", queue=queue, text="needle", position=4, step=1)
        assert answer == {"position": 5, "hits": 10, "more": False, "indexed": 1.0, "by": "words"}
        assert found(client, queue, "needle", 9) == (0, 10, "words")
        assert found(client, queue, "needle", 0, -1) == (9, 10, "words")
    assert client.call("text_status")["rows"] == 5


def test_an_audit_of_one_model_finds_nothing_of_another(indexed):
    client = indexed()
    run = client.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival("a question")])
    key = run.run_no << 40
    for model in ("teacher", "student"):
        run.add("output", [output(f"said by {model}", to="a question", model=model, arrival_key=key)])
    run.close()
    caught_up(client)
    for spec in ({}, {"sort": "output"}):
        assert found(client, opened(client, **spec), "said teacher") == (0, 1, "words")
        assert found(client, opened(client, **spec), "said student")[:2] == (None, 0)


def test_a_blind_disagreement_is_found_by_either_answer_alike(indexed):
    client = indexed()
    run = client.run("demo", "import", params={}, inputs={})
    for model, role in (("t", "teacher"), ("s", "student")):
        client.act("model.declare", "demo", {"model": model, "role": role})
    run.add("arrival", [arrival(f"question {n}") for n in range(6)])
    first = run.run_no << 40
    for n in range(6):
        for number, model in enumerate("ts"):
            made = output(f"by{model} {n}", to=f"question {n}", model=model, arrival_key=first + n)
            run.add("output", [made])
            value = float(number == n % 2)
            score = Score(0, 0, first + n, first + 2 * n + number, made.prompt_id, model, "exact", value)
            run.add("score", [score])
    run.close()
    spec = {"kind": "disagreements", "model": "s", "teacher": "t", "metric": "exact", "run_id": run.run_id}
    for _ in ("scan or index", "index"):
        queue = opened(client, **spec)
        (at,) = [row[0] for row in client.call("window", queue=queue, low=0, high=6) if "3" in row[3][0]]
        for text in ("byt 3", "bys 3", "question 3"):
            assert found(client, queue, text) == (at, 1, "words")
        assert found(client, queue, "byt")[1:] == found(client, queue, "bys")[1:] == (6, "words")
        assert found(client, queue, "byt bys")[:2] == (None, 0)
        caught_up(client)


def test_a_run_closed_later_is_in_no_queue_of_before_even_if_it_was_opened_first(indexed):
    client = indexed()
    early, late = (client.run("demo", "import", params={}, inputs={}) for _ in range(2))
    for run in (early, late):
        run.add("arrival", [arrival("hello")])
        run.add("output", [output(f"needle {n}", to="hello", arrival_key=run.run_no << 40) for n in range(4)])
    late.close()
    caught_up(client)
    queue = opened(client)
    early.close()
    for _ in range(2):
        assert found(client, queue, "needle") == (0, 4, "words")
        assert found(client, queue, "needle", 3) == (0, 4, "words")
        assert found(client, opened(client), "needle", 3) == (4, 8, "words")
        caught_up(client)


def test_an_index_that_is_gone_or_broken_is_made_anew(indexed, tmp_path):
    client = indexed()
    fill(client, TEXTS)
    caught_up(client)
    folder = address.text_path(tmp_path / "store.duckdb")
    assert folder.stat().st_mode & 0o007 == 0
    harms: list[Callable[[], object]] = [
        lambda: shutil.rmtree(folder),
        lambda: (folder / "meta.json").write_text("{"),
        lambda: [file.write_bytes(b"\xff" * 9) for file in folder.glob("*.idx")],
        lambda: (shutil.rmtree(folder), folder.write_text("a file")),
        lambda: (shutil.rmtree(folder), folder.mkdir()),
    ]
    for harm in harms:
        indexed.leave()
        harm()
        client = indexed()
        assert caught_up(client)["rows"] == len(TEXTS)
        assert found(client, opened(client), "parcel") == (0, 2, "words")


def test_an_index_of_another_store_or_history_is_made_anew(indexed, tmp_path):
    client = indexed()
    fill(client, TEXTS)
    caught_up(client)
    folder = address.text_path(tmp_path / "store.duckdb")
    (tmp_path / "kept").mkdir()
    shutil.copytree(folder, tmp_path / "kept" / "text")
    indexed.leave()
    for file in tmp_path.glob("store.duckdb*"):
        file.unlink()
    client = indexed()
    fill(client, {"other": "words"})
    caught_up(client)
    indexed.leave()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "kept" / "text", folder)
    client = indexed()
    assert caught_up(client)["rows"] == 1
    assert found(client, opened(client), "parcel")[:2] == (None, 0)


def test_where_no_index_can_be_made_search_scans(indexed, tmp_path, monkeypatch):
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError("a read-only disk")

    monkeypatch.setattr(TextIndex, "__init__", refused)
    client = indexed()
    fill(client, TEXTS)
    assert found(client, opened(client), "parcel") == (0, 2, "words")
    deadline = time.monotonic() + 20
    while "read-only" not in (why := client.call("text_status")["why"]):
        assert time.monotonic() < deadline, why
    assert found(client, opened(client), "配送") == (2, 1, "words")


def test_a_small_store_has_no_index(near_store, tmp_path):
    fill(near_store, TEXTS)
    assert found(near_store, opened(near_store), "parcel") == (0, 2, "words")
    assert not address.text_path(tmp_path / "store.duckdb").exists()


def test_a_hub_that_is_killed_while_indexing_leaves_nothing_out_and_nothing_twice(store_path, monkeypatch):
    monkeypatch.setenv("SPIRITSAFE_TEXT_ROWS", "1")
    monkeypatch.setenv("SPIRITSAFE_TEXT_COMMIT_ROWS", "500")
    texts = {f"prompt {n}": f"answer {n} has a needle" for n in range(8_000)}
    with Client(store_path, create=True) as client:
        client.act("project.create", "demo", {})
        fill(client, texts)
        deadline = time.monotonic() + 60
        while not 0 < client.call("text_status")["rows"] < len(texts):
            assert time.monotonic() < deadline
        os.kill(client.welcome.pid, signal.SIGKILL)
    with Client(store_path) as client:
        assert caught_up(client)["rows"] == len(texts)
        queue = opened(client)
        assert found(client, queue, "needle") == (0, len(texts), "words")
        assert [found(client, queue, f"answer {n}", n - 1)[0] for n in (17, 4711, 7999)] == [17, 4711, 7999]


# ---- similar
@pytest.mark.parametrize("indexing", [True, False])
def test_similar_texts_come_nearest_first_and_without_the_text_itself(
    indexed, indexing, monkeypatch, tmp_path
):
    if not indexing:
        monkeypatch.setattr(text_follow, "LEAST_ROWS", 1 << 40)
    client = indexed()
    texts = {f"about {word} number {n}": f"{word} is fine" for word in ("cats", "dogs") for n in range(10)}
    fill(client, texts | {"my parcel is late": "sorry, parcel soon", "parcel late again": "the parcel comes"})
    fill(client, {"my parcel is late": "by another model"}, model="student")
    if indexing:
        caught_up(client)
    rows = client.call("window", queue=opened(client), low=0, high=22)
    hubs = [thread for thread in threading.enumerate() if thread.name == "text-index"]
    assert hubs
    follower = hubs[0]._target.__self__  # type: ignore[attr-defined]
    cursor = follower.database.cursor()
    ask = lambda text: similar_keys(  # noqa: E731 - three uses
        cursor, follower.snapshot, project="demo", model="teacher", text=text
    )
    own, near = rows[20][1], ask(rows[20][1])
    assert own
    first = cursor.execute("select min(output_key) from output").fetchall()[0][0]
    assert near[0][0] == first + 21
    assert first + 20 not in [key for key, _ in near]
    assert all(0 < score <= 1 for _, score in near)
    assert [score for _, score in near] == sorted((score for _, score in near), reverse=True)
    assert ask("late parcels or parcel")[0][0] in (first + 20, first + 21)
    assert ask("xylophone quartet") == []
    cursor.close()
