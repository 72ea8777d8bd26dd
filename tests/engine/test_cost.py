"""What answers cost: stored with the teacher's, known of the student's, judged like every other row of the gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract_records import Student, Teacher
from engine.evaluate.gate import Judgement, judge_gate
from engine.evaluate.measured import costs, measured
from engine.teacher.price import Price, price_of
from store.errors import RuleError, UsageError
from store.read import Given
from tests.engine.label_server import LabelServer, LabelTeacher
from tests.engine.routing import CONTRACT as ROUTING
from tests.engine.shell import Shell

CONTRACT = """\
[task]
name = "queues"
kind = "label"
instruction = "Name the queue."
metric = "label"
labels = ["shipping", "billing"]
[teacher]
name = "big"
model = "MODEL"
version = "VERSION"
[student]
cost_per_1000 = 0.10
[gate]
margin = 0.05
attempts = 3
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "root"
"""
TEXTS = [f"{'shipping' if i % 2 else 'billing'} of order {i}" for i in range(80)]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.delenv("SPIRITSAFE_PROJECT", raising=False)
    found = Shell(tmp_path / "c.duckdb")
    yield found
    found.close()


def scored(shell: Shell, folder: Path, *costs_: str, cost: float = 0.0) -> None:
    """A student that is always right and answers in 2 ms, evaluated; its answers carry ``cost`` where ``costs_`` names it."""
    rows = [{"q": t, "gold": t.split()[0], "ms": 2, "usd": cost} for t in TEXTS]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shell("import", "--retrospective", "p", folder / "rows.jsonl", "--prompt", "q", "--reference", "gold", "--split", "test",
          "--output", "big=gold", "--output", ",".join(("small=gold", "latency_ms=ms", *costs_)),
          "--teacher", "big", "--student", "small")  # fmt: skip
    lock(shell, folder, CONTRACT)
    shell("evaluation", "freeze")
    shell("evaluate")


def lock(shell: Shell, folder: Path, text: str) -> None:
    (folder / "contract.toml").write_text(text)
    shell("contract", "lock", folder / "contract.toml")


def cost_row(shell: Shell) -> dict[str, object]:
    found = shell.try_("--json", "gate").out
    rows = json.loads(found)["gate"]["rows"]
    return next(row for row in rows if row["kind"] == "cost_per_1000")


def test_a_cost_that_nobody_knows_is_insufficient_and_names_what_to_give(
    shell: Shell, tmp_path: Path
) -> None:
    scored(shell, tmp_path)
    row = cost_row(shell)
    assert (row["judgement"], row["n"]) == ("insufficient", 0)
    assert "student.machine_per_hour" in str(row["why"])
    assert "cost=path" in str(row["why"])
    assert "all cost_per_1000: insufficient" in shell.refused(
        "decide", "ship", "--why", "cheap, surely", code=4
    )
    lock(shell, tmp_path, CONTRACT.replace("0.10\n", "0.10\nmachine_per_hour = 3.60\n"))
    row = cost_row(shell)
    assert (row["judgement"], row["upper"]) == ("pass", "0.002000")  # 2 ms at 3.60 an hour, a thousand times
    assert "latency of 80 of 80 answers at 3.6 an hour" in str(row["why"])
    shell("evaluate")
    assert shell("decide", "ship", "--why", "right and cheap")["outcome"] == "ship"
    page = next(Path(one) for one in shell("export", "--to", tmp_path)["written"] if one.endswith(".md"))
    assert "- cost_per_1000: at most 0.002, within the budget 0.1 (latency of 80 of 80" in page.read_text()
    assert shell("verify")["sound"]


def test_costs_that_were_imported_are_judged_and_keep_a_dear_student_from_shipping(
    shell: Shell, tmp_path: Path
) -> None:
    scored(shell, tmp_path, "cost=usd", cost=0.0002)
    row = cost_row(shell)
    assert (row["judgement"], row["lower"]) == ("fail", "0.200000")
    assert "as stored with 80 of 80 answers" in str(row["why"])
    assert "all cost_per_1000: fail" in shell.refused("decide", "ship", "--why", "good enough", code=4)


def test_generate_stores_what_each_answer_costs(shell: Shell, tmp_path: Path) -> None:
    shell("init", "p", "--contract", tmp_path / "template.toml")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"q": text}) + "\n" for text in TEXTS))
    shell("import", tmp_path / "rows.jsonl", "--prompt", "q", "--split", "train")
    teacher = LabelTeacher(TEXTS, [text.split()[0] for text in TEXTS])
    with LabelServer(teacher) as server:
        named = CONTRACT.replace("MODEL", server.manners.model).replace("VERSION", server.manners.reported)
        lock(shell, tmp_path, named)
        words = ("generate", "--endpoint", server.base_url, "--limit")
        assert "cost" not in shell(*words, 5)
        assert "no price" in shell.refused(*words, 5, "--price", "cheap", code=2)
        told = shell(*words, 5, "--price", "2.50/10")
        priced = named.replace('version = "', 'price_in = 2.50\nprice_out = 10\nversion = "')
        lock(shell, tmp_path, priced)
        assert "the contract says 2.5/10" in shell.refused(*words, 5, "--price", "1/1", code=4)
        shell(*words, 5)
    rows = shell("sql", "select tokens_in, tokens_out, cost_nano from outputs order by output_key")["rows"]
    assert [row[2] for row in rows[:5]] == [None] * 5  # nobody had named a price yet
    assert [row[2] for row in rows[5:]] == [round((2.5 * i + 10 * o) * 1000) for i, o, _ in rows[5:]]
    assert Decimal(told["cost"]) == Decimal(sum(row[2] for row in rows[5:10])).scaleb(-9)
    assert shell("verify")["sound"]


def test_a_student_larger_than_the_contract_allows_is_not_trained(routing: Shell, tmp_path: Path) -> None:
    for most in (100, 1_000):
        text = ROUTING.replace("[gate]", f"[student]\nparameters = {most}\n[gate]")
        lock(routing, tmp_path, text)
        if most == 100:
            for words in (("evaluation", "freeze"), ("check",), ("dedup",), ("dataset", "freeze")):
                routing(*words)
            told = routing.refused("train", "--mode", "hard", code=4)
            assert "parameters, and the contract allows 100" in told
    assert 100 < routing("train", "--mode", "hard")["parameters"] < 1_000


def answer(latency_us: int | None, cost_nano: int | None) -> Given:
    return Given("p", 0, "", latency_us, cost_nano)


def test_a_stored_cost_goes_before_that_of_the_machine() -> None:
    each, known = costs([answer(1000, 5), answer(1000, None), answer(None, None)], Decimal(36))
    assert each == [5e-9, pytest.approx(1e-5)]
    assert known == "as stored with 1 of 3 answers; latency of 1 of 3 answers at 36 an hour of its machine"


@given(
    st.lists(st.tuples(st.none() | st.integers(0, 10**7), st.none() | st.integers(0, 10**12)), max_size=60)
)
def test_a_budget_on_cost_never_passes_on_fewer_than_thirty_known_costs(
    some: list[tuple[int | None, int | None]],
) -> None:
    budget = Student(cost_per_1000=Decimal(10**9))
    (row,) = measured(budget, [answer(*one) for one in some])
    known = sum(cost is not None for _, cost in some)
    assert len(row.values) == known
    judged = judge_gate([row], level=0.95).judgement
    assert judged is (Judgement.PASS if known >= 30 else Judgement.INSUFFICIENT)


def test_a_price_is_two_numbers_and_the_contracts_own_is_not_overruled() -> None:
    assert price_of(Teacher(), "") is None
    assert price_of(Teacher(price_in=Decimal(1), price_out=Decimal(2)), "1.0/2") == Price(
        Decimal(1), Decimal(2)
    )
    for text in ("1", "1/-2", "a/b", "NaN/1", "1/2/3"):
        with pytest.raises(UsageError):
            price_of(Teacher(), text)
    with pytest.raises(RuleError):
        price_of(Teacher(price_in=Decimal(1), price_out=Decimal(2)), "2/2")
    assert Price(Decimal(1), Decimal(1)).nano(None, 3) is None
