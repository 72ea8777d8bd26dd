"""Queues: frozen members, live marks, blind until judged."""

from __future__ import annotations

import random
from typing import Any

import pytest

from store.client import Client
from store.errors import GrammarError, InputError, RuleError
from store.queue_disagreements import disagreement_subject
from store.queue_duplicates import edge_subject
from store.records import CheckResult, ClusterMember, Edge, Score, key_of
from tests.factories import arrival, output

AUDIT = {"kind": "audit", "project": "demo", "model": "teacher"}


@pytest.fixture
def store(near_store):
    return near_store


def opened(store: Client, **spec: Any) -> str:
    return store.call("open_queue", spec=AUDIT | spec)["id"]


def length(store: Client, **spec: Any) -> int:
    return store.call("open_queue", spec=AUDIT | spec)["length"]


def shown(store: Client, queue: str, low: int = 0, high: int = 1000) -> list[Any]:
    return store.call("window", queue=queue, low=low, high=high)


def outputs_of(store: Client, **spec: Any) -> list[str]:
    return [cells[1] for *_, cells in shown(store, opened(store, **spec))]


def judge(store: Client, subject: str, *, queue: str = "audit", verdict: str = "ok", **more: Any) -> None:
    store.act("verdict", "demo", {"queue": queue, "subject": subject, "verdict": verdict} | more)


@pytest.fixture
def ten(filled) -> Client:
    """Ten prompts, every third by a vip; one teacher output each, of growing length."""
    metadata = {f"p{i}": {"tier": "vip" if i % 3 == 0 else "basic", "score": i} for i in range(10)}
    return filled({f"p{i}": {"teacher": f"t{i}" + "x" * i} for i in range(10)}, metadata=metadata)


# ---- order and membership
def test_import_order_is_kept_without_storing_it(ten):
    queue = opened(ten)
    assert [row[0] for row in shown(ten, queue)] == list(range(10))
    assert [row[3][0] for row in shown(ten, queue, 3, 6)] == ["p3", "p4", "p5"]
    assert shown(ten, queue, -5, 1) == shown(ten, queue, 0, 1)
    assert shown(ten, queue, 10, 20) == []
    assert ten.call("sql", text="select count(*) from duckdb_tables() where table_name like 'queue%'")[
        "rows"
    ] == [[0]]


def test_models_that_lie_interleaved_are_each_in_order(filled):
    store = filled({f"p{i}": {"teacher": f"t{i}", "student": f"s{i}"} for i in range(20)})
    assert outputs_of(store) == [f"t{i}" for i in range(20)]
    assert outputs_of(store, model="student") == [f"s{i}" for i in range(20)]
    assert [c[1] for *_, c in shown(store, opened(store), 7, 9)] == ["t7", "t8"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tier = vip", [0, 3, 6, 9]),
        ("tier = vip and len(output) > 5", [6, 9]),
        ("score >= 8 or output ~ T1", [1, 8, 9]),
        ("not reviewed", list(range(10))),
        ("tokens < 4", [0, 1]),
        ("meta.tier = vip and prompt = p9", [9]),
    ],
)
def test_a_filter_selects_in_import_order(ten, text, found):
    assert [cells[0] for *_, cells in shown(ten, opened(ten, filter=text))] == [f"p{i}" for i in found]


def test_a_sort_is_by_value_with_numbers_as_numbers(ten):
    assert outputs_of(ten, sort="len(output) desc")[0].startswith("t9")
    assert outputs_of(ten, sort="score desc") == outputs_of(ten, sort="len(output) desc")
    assert [o[:2] for o in outputs_of(ten, sort="tier")] == [
        "t1",
        "t2",
        "t4",
        "t5",
        "t7",
        "t8",
        "t0",
        "t3",
        "t6",
        "t9",
    ]


def test_a_seed_draws_the_same_random_order_again(ten):
    assert outputs_of(ten, seed=7) == outputs_of(ten, seed=7)
    assert sorted(outputs_of(ten, seed=7)) == sorted(outputs_of(ten))
    assert len({tuple(outputs_of(ten, seed=seed)) for seed in range(1, 6)}) > 1


def test_members_are_frozen_and_marks_are_live(ten, filled):
    plain, drawn = opened(ten), opened(ten, filter="not reviewed")
    subject = shown(ten, plain)[4][1]
    judge(ten, subject, verdict="bad", reason=3)
    filled({"new": {"teacher": "new"}})
    for queue in (plain, drawn):
        rows = shown(ten, queue)
        assert len(rows) == 10
        assert [row[2] for row in rows] == [""] * 4 + ["3"] + [""] * 5
    assert length(ten) == 11
    assert length(ten, filter="not reviewed") == 10
    ten.act("undo", "demo", {})
    assert shown(ten, plain)[4][2] == ""


def test_reviewed_counts_the_positions_that_show_a_mark(ten, filled):
    filled({"p1": {"teacher": "t1x"}})  # the same prompt and answer once more: one subject at two positions
    subject = shown(ten, opened(ten))[1][1]
    judge(ten, subject)
    judge(ten, subject, verdict="unsure")
    for spec in ({}, {"seed": 5}, {"filter": "prompt ~ p"}):
        queue = ten.call("open_queue", spec=AUDIT | spec)
        marks = [row[2] for row in shown(ten, queue["id"])]
        assert queue["reviewed"] == sum(mark == "z" for mark in marks) == 2
    ten.act("project.create", "other", {})
    assert ten.call("open_queue", spec=AUDIT | {"project": "other"})["reviewed"] == 0


@pytest.mark.parametrize("spec", [{}, {"seed": 3}])
def test_the_next_unreviewed_skips_what_is_judged_either_way(ten, spec):
    queue = opened(ten, **spec)
    for at in (0, 4, 5, 9):
        judge(ten, shown(ten, queue)[at][1])
    step = lambda at, by: ten.call("unreviewed", queue=queue, position=at, step=by)  # noqa: E731 - three uses
    assert [step(-1, 1), step(3, 1), step(8, 1)] == [1, 6, None]
    assert [step(10, -1), step(6, -1), step(1, -1)] == [8, 3, None]


@pytest.mark.parametrize("spec", [{}, {"sort": "len(output) desc"}, {"filter": "prompt ~ p"}])
def test_find_goes_to_the_next_text_either_way_and_around(ten, spec):
    queue = opened(ten, **spec)
    hits = [
        row[0]
        for row in shown(ten, queue)
        if "8" in row[3][0] or "8" in row[3][1] or "T3" in row[3][1].upper()
    ]
    find = lambda text, at, step: ten.call("find", queue=queue, text=text, position=at, step=step)  # noqa: E731
    for text in ("8", "T3X"):
        (hit,) = [row[0] for row in shown(ten, queue) if any(text.lower() in cell for cell in row[3])]
        assert hit in hits
        assert [find(text, at, step) for at in (-1, 5, hit) for step in (1, -1) if at >= 0 or step > 0] == [
            hit
        ] * 5
    assert find("nowhere", 5, 1) is None
    assert find("p", 4, 1) == 5
    assert find("p", 4, -1) == 3
    assert find("p", 9, 1) == 0


def test_find_passes_over_rows_that_came_later(ten, filled):
    queue = opened(ten)
    filled({"later": {"teacher": "needle"}})
    assert ten.call("find", queue=queue, text="needle", position=0, step=1) is None


def test_a_long_queue_agrees_with_a_plain_list(store, filled):
    rng = random.Random(5)
    texts = {f"prompt {i}": {"teacher": rng.choice("abc") * 3} for i in range(500)}
    run = store.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(t) for t in texts])
    run.add(
        "output",
        [
            output(a["teacher"], to=t, arrival_key=key_of(run.run_no, i))
            for i, (t, a) in enumerate(texts.items())
        ],
    )
    run.close()
    queue = opened(store, filter="output = aaa")
    wanted = [t for t, a in texts.items() if a["teacher"] == "aaa"]
    assert [row[3][0] for row in shown(store, queue)] == wanted
    assert [row[3][0] for row in shown(store, queue, 50, 60)] == wanted[50:60]


# ---- what a queue refuses
@pytest.mark.parametrize("text", ["source = production", "latency_ms > 3", "checked", "prompt = source"])
@pytest.mark.parametrize("where", ["filter", "sort"])
def test_a_blind_queue_is_not_filtered_or_sorted_by_what_tells_the_source(ten, text, where):
    with pytest.raises(RuleError, match="blind"):
        opened(ten, **{where: text})
    assert length(ten, blind=False, **{where: text}) <= 10


def test_a_misspelt_column_is_refused_where_no_metadata_could_mean_it(ten):
    spec = {"kind": "ledger", "project": "demo"}
    assert ten.call("open_queue", spec=spec | {"filter": "kind = run.close"})["length"] == 1
    assert ten.call("open_queue", spec=spec | {"filter": "kind in (verdict, comment)"})["length"] == 0
    for wrong in ("kinds = verdict", "meta.kind = verdict", "not reviewed"):
        with pytest.raises(GrammarError, match="no column"):
            ten.call("open_queue", spec=spec | {"filter": wrong})


def test_a_queue_that_is_not_open_says_so(ten, store):
    queue = opened(ten, seed=1)
    with Client(ten.path, claimed="bob") as bob, pytest.raises(InputError, match="not open"):
        bob.call("window", queue=queue, low=0, high=1)
    ten.call("close_queue", queue=queue)
    with pytest.raises(InputError, match="not open"):
        shown(ten, queue)
    ten.call("close_queue", queue=queue)
    with pytest.raises(InputError, match="positions"):
        ten.call("detail", queue=opened(ten), position=10)
    with pytest.raises(InputError, match="kind"):
        ten.call("open_queue", spec=AUDIT | {"kind": "nope"})
    with pytest.raises(InputError, match="not a queue"):
        ten.call("open_queue", spec={"kind": "audit"})


def test_a_clients_queues_end_with_it_and_only_so_many_stay_open(ten):
    tables = "select count(*) from duckdb_tables() where table_name like 'queue%' or table_name like 'mine%'"
    with Client(ten.path) as other:
        first = opened(other, seed=1)
        for seed in range(2, 30):
            opened(other, seed=seed)
        assert other.call("sql", text=tables)["rows"] == [[16]]
        with pytest.raises(InputError, match="not open"):
            shown(other, first)
    while ten.call("sql", text=tables)["rows"] != [[0]]:  # as soon as the hub has seen it leave
        pass


# ---- blind
@pytest.fixture
def checked(store) -> Client:
    run = store.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(source="synthetic")])
    run.add("output", [output(latency_us=5, arrival_key=key_of(run.run_no, 0))])
    run.add("check_result", [CheckResult(0, 0, key_of(run.run_no, 0), output().output_id, "json", True, "")])
    run.close()
    return store


def test_a_blind_detail_tells_nothing_of_the_source_until_judged(checked):
    subject = output().output_id
    with Client(checked.path, claimed="bob") as bob:
        judge(bob, subject, verdict="bad", reason=2)
        bob.act("comment", "demo", {"subject": subject, "text": "bob's"})
        checked.act("comment", "demo", {"subject": subject, "text": "mine"})
        queue = opened(checked)
        before = checked.call("detail", queue=queue, position=0)
        assert not before["revealed"]
        assert before["checks"] is before["verdicts"] is before["prompt"]["source"] is None
        assert (before["outputs"][0]["model"], before["outputs"][0]["latency_us"]) == (None, None)
        assert [text for *_, text in before["comments"]] == ["mine"]
        judge(checked, subject)
        after = checked.call("detail", queue=queue, position=0)
        assert after["revealed"]
        assert after["prompt"]["source"] == "synthetic"
        assert after["outputs"][0]["model"] == "teacher"
        assert [row[0] for row in after["checks"]] == ["json"]
        assert [row[0].endswith("/bob") for row in after["verdicts"]] == [True, False]
        assert [text for *_, text in after["comments"]] == ["bob's", "mine"]
        checked.act("undo", "demo", {})
        assert not checked.call("detail", queue=queue, position=0)["revealed"]
        theirs = bob.call("open_queue", spec=AUDIT)["id"]
        assert [text for *_, text in bob.call("detail", queue=theirs, position=0)["comments"]] == [
            "bob's",
            "mine",
        ]


def test_an_open_queue_tells_everything_at_once(checked):
    found = checked.call("detail", queue=opened(checked, blind=False), position=0)
    assert found["revealed"]
    assert found["outputs"][0]["model"] == "teacher"


@pytest.fixture
def differing(store) -> tuple[Client, dict[str, Any]]:
    """Forty prompts on which teacher and student differ, and one on which they agree."""
    run = store.run("demo", "evaluate", params={}, inputs={})
    prompts = [f"p{i}" for i in range(41)]
    run.add("arrival", [arrival(p) for p in prompts])
    for side, (model, text) in enumerate((("teacher", "from t"), ("student", "from s"))):
        made = [
            output(f"{text} {p}", to=p, model=model, arrival_key=key_of(run.run_no, i))
            for i, p in enumerate(prompts)
        ]
        run.add("output", made)
        first = side * 41
        run.add("score", [
            Score(0, 0, key_of(run.run_no, i), key_of(run.run_no, first + i), made[i].prompt_id, model, "exact",
                  1.0 if i == 40 or side == 0 else 0.0)
            for i in range(41)
        ])  # fmt: skip
    run.close()
    spec = {"kind": "disagreements", "project": "demo", "model": "student", "teacher": "teacher"}
    return store, spec | {"metric": "exact", "run_id": run.run_id}


def test_disagreements_are_where_the_metric_differs(differing):
    store, spec = differing
    queue = store.call("open_queue", spec=spec)
    assert queue["length"] == 40
    for _, subject, _, (prompt, *answers) in shown(store, queue["id"]):
        ids = [
            output(f"from {s} {prompt}", to=prompt, model=m) for s, m in (("t", "teacher"), ("s", "student"))
        ]
        assert subject == disagreement_subject(ids[0].prompt_id, ids[0].output_id, ids[1].output_id)
        assert sorted(answers) == [f"from s {prompt}", f"from t {prompt}"]


def sides(store: Client, spec: dict[str, Any]) -> dict[str, bool]:
    queue = store.call("open_queue", spec=spec)["id"]
    return {subject: cells[1].startswith("from s") for _, subject, _, cells in shown(store, queue)}


def test_sides_are_random_differ_by_reviewer_and_stay(differing):
    store, spec = differing
    mine = sides(store, spec)
    assert 8 <= sum(mine.values()) <= 32
    assert sides(store, spec | {"seed": 9}) == mine
    with Client(store.path, claimed="bob") as bob:
        assert sides(bob, spec) != mine


def test_a_disagreement_names_its_models_only_once_judged(differing):
    store, spec = differing
    queue = store.call("open_queue", spec=spec)["id"]
    before = store.call("detail", queue=queue, position=3)
    assert [o["model"] for o in before["outputs"]] == [o["role"] for o in before["outputs"]] == [None, None]
    judge(store, before["subject"], queue="disagreements", verdict="left")
    after = store.call("detail", queue=queue, position=3)
    assert [o["text"] for o in after["outputs"]] == [o["text"] for o in before["outputs"]]
    for shown_output in after["outputs"]:
        assert shown_output["role"] == shown_output["model"]
        assert shown_output["text"].startswith(f"from {shown_output['model'][0]}")
    assert store.call("open_queue", spec=spec)["reviewed"] == 1
    assert store.call("open_queue", spec=spec | {"filter": "reviewed"})["length"] == 1


def test_a_search_finds_either_answer_so_that_it_tells_no_side(differing):
    store, spec = differing
    queue = store.call("open_queue", spec=spec)["id"]
    at = {cells[0]: position for position, _, _, cells in shown(store, queue)}
    for text in ("from s p7", "from t p7"):
        assert store.call("find", queue=queue, text=text, position=(at["p7"] + 5) % 40, step=1) == at["p7"]


def test_blind_disagreements_are_not_filtered_by_who_was_right(differing):
    store, spec = differing
    for text in ("teacher_right", "student_right", "source = production"):
        with pytest.raises(RuleError, match="blind"):
            store.call("open_queue", spec=spec | {"filter": text})
    assert store.call("open_queue", spec=spec | {"filter": "teacher_right", "blind": False})["length"] == 40


# ---- duplicates
def test_duplicates_come_largest_cluster_first_with_their_evidence(store):
    run = store.run("demo", "import", params={}, inputs={})
    made = [arrival("a"), arrival("a!"), arrival("b", split="train"), arrival("b."), arrival("b..")]
    run.add("arrival", made)
    run.close()
    dedup = store.run("demo", "dedup", params={}, inputs={})
    key = [key_of(run.run_no, i) for i in range(5)]
    for left, right in ((0, 1), (2, 3), (3, 4)):
        ids = (made[left].prompt_id, made[right].prompt_id)
        dedup.add("edge", [Edge(0, 0, "prompt", key[left], key[right], *ids, 0.9, 1.0, "surface", "[]")])
    members = [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4)]
    dedup.add(
        "cluster_member",
        [ClusterMember(0, 0, "prompt", c, key[i], made[i].prompt_id, i in (0, 2)) for c, i in members],
    )
    dedup.close({"prompt": {}})
    spec = {"kind": "duplicates", "project": "demo", "run_id": dedup.run_id}
    queue = store.call("open_queue", spec=spec)["id"]
    rows = shown(store, queue)
    assert [cells[1:] for *_, cells in rows] == [["b", "b."], ["b.", "b.."], ["a", "a!"]]
    found = store.call("detail", queue=queue, position=0)
    assert found["subject"] == rows[0][1] == edge_subject(made[3].prompt_id, made[2].prompt_id)
    assert (found["size"], found["representative"], found["leak"]) == (3, [True, False], True)
    assert not store.call("detail", queue=queue, position=2)["leak"]
    assert store.call("find", queue=queue, text="a!", position=0, step=1) == 2
    judge(store, rows[1][1], queue="duplicates", verdict="distinct")
    assert store.call("unreviewed", queue=queue, position=0, step=1) == 2
    assert store.call("open_queue", spec=spec | {"filter": "size > 2 and not reviewed"})["length"] == 1


# ---- the ledger
def test_the_ledger_is_a_queue_of_events(ten):
    queue = ten.call("open_queue", spec={"kind": "ledger", "project": "demo"})["id"]
    assert [cells[3] for *_, cells in shown(ten, queue)] == ["project.create", "run.open", "run.close"]
    assert ten.call("detail", queue=queue, position=1)["kind"] == "run.open"
    assert ten.call("find", queue=queue, text="RUN_NO", position=0, step=1) == 2
