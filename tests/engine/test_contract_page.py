"""The whole page of a contract: questions that must be answered, bars that can be decided, words for people."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import (
    advise,
    as_payload,
    bars,
    check,
    contract_hash,
    from_payload,
    parse,
    template,
    unknown_names,
)
from engine.contract_bars import MOST_PROMPTS, least_n, likely_n, sizes
from engine.contract_exclusions import WHY_ID, Exclusions
from engine.contract_records import NATURES, Contract, Gate
from engine.contract_words import changes, page
from engine.economics import Plan, break_even
from engine.statistics import clopper_pearson_lower, tango_lower
from tests.engine.test_contract import GOOD, named_line

WHOLE = """\
edition = 2
[task]
name = "routes"
kind = "label"
nature = "classification"
instruction = "Route the mail."
input_example = "Where is my parcel?"
output_example = "shipping"
metric = "label"
labels = ["shipping", "billing"]
[distil]
stable = "the queues stand for two years"
defined = "two agents agreed on 96 of 100"
requests_per_month = 100_000
teacher_cost_per_1000 = 5
one_off_cost = 3000
upkeep_per_month = 100
samples = 4_000
[teacher]
name = "big"
model = "big-1"
version = "2026-01-01"
why = "the best on the pilot"
good_enough = "94 % on 200 mails that two agents labelled"
[student]
parameters = 25_000_000
p95_latency_ms = 200
cost_per_1000 = 0.10
machine_per_hour = 0.50
[gate]
margin = 0.03
minimum_n = 200
planned_n = 1_000
attempts = 3
[[gate.slice]]
name = "urgent"
where = "channel = phone"
margin = 0.05
critical = true
[[gate.slice]]
name = "edge cases"
where = "source = edge_case"
edge_case = true
floor = 0.80
[constraints]
licence = "Apache-2.0"
teacher_terms = "terms of use of big, 2026-01-01"
teacher_terms_acknowledged = true
acknowledged_by = "ada"
privacy = "names of customers, on contract; support only"
exclude = ["consent = no"]
[people]
owner = "ada"
backup = "bob"
approvers = ["grace"]
[monitoring]
plan = "50 answers a week are judged by support"
slices = ["urgent"]
drift_threshold = 0.05
"""


def problems(text: str) -> list[str]:
    return [problem.what for problem in check(parse(text), text)]


def test_a_page_that_answers_everything_may_be_locked_and_gets_no_advice() -> None:
    assert problems(WHOLE) == []
    assert advise(parse(WHOLE), WHOLE) == []


@pytest.mark.parametrize(
    "key",
    ["nature", "input_example", "output_example", "stable", "defined", "requests_per_month", "teacher_cost_per_1000",
     "one_off_cost", "samples", "good_enough", "parameters", "p95_latency_ms", "cost_per_1000", "teacher_terms",
     "acknowledged_by", "privacy", "backup", "approvers", "plan", "drift_threshold"],
)  # fmt: skip
def test_edition_2_leaves_no_question_open(key: str) -> None:
    lines = WHOLE.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"{key} ="))
    text = "\n".join(lines[:at] + lines[at + 1 :])
    assert any(what.endswith(f".{key} is open") for what in problems(text))
    older = text.replace("edition = 2", "edition = 1")
    assert problems(older) == []
    assert key in advise(parse(older), older)[0].what


def test_an_open_answer_is_named_with_its_line() -> None:
    text = WHOLE.replace('stable = "the queues stand for two years"', 'stable = "  "')
    (problem,) = check(parse(text), text)
    assert named_line(text, problem.where) == 'stable = "  "'


@pytest.mark.parametrize("nature", [name for name, nature in NATURES.items() if nature.poor])
def test_a_poor_candidate_needs_a_waiver_on_record(nature: str) -> None:
    text = WHOLE.replace("classification", nature)
    (what,) = problems(text)
    assert "is a poor candidate" in what
    waived = text.replace('kind = "label"', 'kind = "label"\nwaiver = "a study, never to be used"')
    assert problems(waived) == []
    assert as_payload(parse(waived))["task"]["waiver"] == "a study, never to be used"


def test_edge_cases_have_a_slice_with_a_floor() -> None:
    assert problems(WHOLE.replace("edge_case = true\n", "")) == ["no slice holds the edge cases"]
    (what,) = problems(WHOLE.replace("floor = 0.80", "margin = 0.10"))
    assert what == "the edge-case slice 'edge cases' has no floor"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("edition = 2", "edition = 3", "there is no edition 3"),
        ('"classification"', '"poetry"', "no nature 'poetry'"),
        ('slices = ["urgent"]', 'slices = ["urgnt"]', "no slice 'urgnt'"),
        ("channel = phone", "slice = vips", "no slice 'vips'"),
        ("channel = phone", "slice in (vips, 'edge cases')", "no slice 'vips'"),
        ("channel = phone", "slice = urgent", "in a circle"),
        ("consent = no", "slice = edgy", "no slice 'edgy'"),
        ("drift_threshold = 0.05", "drift_threshold = 5", "no drift is 5"),
        ("drift_threshold = 0.05", 'drift_threshold = 0.05\ncadence = "weekly"', "no cadence 'weekly'"),
        ("samples = 4_000", "samples = 0", "distil.samples is not above 0"),
        ("one_off_cost = 3000", "one_off_cost = -1", "distil.one_off_cost is below 0"),
        ('exclude = ["consent = no"]', 'exclude_ids = ["4711"]', "'4711' is no hash"),
        ('exclude = ["consent = no"]', f'exclude_ids = ["{"a" * 64}"]', "no key that has them"),
        ("[people]", '[[filter]]\nrule = "magic"\n[people]', "no such filter rule"),
        ("planned_n = 1_000", "planned_n = 0", "planned_n is not above 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_itself_is_refused_with_its_line(old: str, new: str, what: str) -> None:
    text = WHOLE.replace(old, new, 1)
    found = [problem for problem in check(parse(text), text) if what in problem.what]
    assert found, problems(text)
    assert found[0].todo
    assert int(found[0].where.rpartition(":")[2]) > 1 or "edition" in what


def test_a_slice_may_be_written_with_another_slice_of_the_contract() -> None:
    text = WHOLE.replace("channel = phone", "slice = 'edge cases' and channel = phone")
    assert problems(text) == []


def test_a_bar_that_the_planned_prompts_cannot_decide_says_how_many_it_takes() -> None:
    text = WHOLE.replace("floor = 0.80", "floor = 0.98\nplanned_n = 40")
    (problem,) = check(parse(text), text)
    assert problem.what == "40 prompts cannot decide the floor 0.98 at level 0.95: it takes 149 at the least"
    assert named_line(text, problem.where) == "floor = 0.98"
    assert problems(text.replace("planned_n = 40", "planned_n = 149")) == []


def test_a_bar_that_no_sample_size_decides_says_how_many_it_would_take() -> None:
    text = WHOLE.replace("margin = 0.03", "margin = 0.000001").replace("planned_n = 1_000\n", "")
    (what,) = problems(text)
    assert what == "no sample size can decide the margin 0.000001 at level 0.95: it takes 2,705,541 prompts"
    assert least_n("margin", Decimal("0.000001"), Decimal("0.95")) == 2_705_541 > MOST_PROMPTS


@given(
    st.sampled_from(["margin", "floor"]),
    st.decimals("0.01", "0.99", places=2),
    st.sampled_from([Decimal("0.9"), Decimal("0.95"), Decimal("0.99")]),
)
def test_the_least_n_is_where_a_student_without_an_error_first_passes(
    kind: str, bar: Decimal, level: Decimal
) -> None:
    n = least_n(kind, bar, level)

    def passes(count: int) -> bool:
        if kind == "margin":
            return tango_lower(count, 0, 0, float(level)) >= -float(bar)
        return clopper_pearson_lower(count, count, float(level)) >= float(bar)

    assert passes(n)
    assert n == 1 or not passes(n - 1)
    likely = likely_n(kind, bar, level)
    assert likely is None or likely >= n


def test_every_bar_is_shown_with_the_prompts_it_takes() -> None:
    found = sizes(parse(WHOLE).gate)
    assert [(row["slice"], row["at_least"]) for row in found] == [
        ("all", 88),
        ("urgent", 52),
        ("edge cases", 14),
    ]
    assert len(found) == len(bars(parse(WHOLE).gate))


def test_the_template_asks_everything_and_has_the_defaults_of_the_house() -> None:
    text = template("x", owner="ada")
    contract = parse(text)
    assert contract.edition == 2
    assert contract.gate.margin == Decimal("0.03")
    assert contract.monitoring.cadence == "quarterly"
    assert contract.monitoring.teacher_change
    assert len(text.splitlines()) <= 115


def test_a_contract_of_an_older_release_has_the_hash_that_it_always_had_and_is_read_from_the_ledger() -> None:
    assert contract_hash(parse(GOOD)) == "44f36f1ef8fc9012739553f8a077528a0dc176f0fdc58f9c233bee33bb8d5456"
    older = as_payload(parse(GOOD))
    assert not {"edition", "distil", "monitoring", "filter"} & older.keys()
    assert from_payload(older) == parse(GOOD)
    assert from_payload(as_payload(parse(WHOLE))) == parse(WHOLE)


def test_plans_that_look_thin_are_advised_against_and_hinder_nothing() -> None:
    text = WHOLE.replace("samples = 4_000", "samples = 300").replace("100_000", "1_000")
    found = advise(parse(text), text)
    assert [problem.what.split(";")[0] for problem in found] == [
        "pays from 71,429 requests a month on (within 12 months)",
        "300 samples for classification",
    ]
    assert "1,000 to 5,000" in found[1].todo
    assert problems(text) == []


def test_names_that_no_arrival_has_are_advised_against() -> None:
    found = unknown_names(parse(WHOLE), {"chanel", "consent"}, WHOLE)
    assert [problem.what for problem in found] == [
        "no arrival so far has 'channel', so that nothing fits 'channel = phone'"
    ]
    assert found[0].todo == "chanel"
    assert named_line(WHOLE, found[0].where) == 'where = "channel = phone"'


# ---- words


def test_the_page_shows_bars_break_even_and_what_is_excluded() -> None:
    text = page(parse(WHOLE))
    assert max(map(len, text.splitlines())) < 80
    flat = " ".join(text.split())
    for told in (
        "margin 0.05: takes 52 prompts at the least", "· critical", "pays from 71,429 requests a month on",
        "terms of use of big, 2026-01-01, acknowledged by ada", "consent = no", "1,000 to 5,000 samples",
        "0.05 worse than at the gate; another version of the teacher; quarterly", "→ shipping",
    ):  # fmt: skip
        assert told in flat, told
    assert len(text.splitlines()) <= 60


def test_a_change_is_told_in_words_and_says_whether_it_is_looser() -> None:
    text = (
        WHOLE.replace("margin = 0.03", "margin = 0.05")
        .replace("critical = true\n", "")
        .replace("attempts = 3", "attempts = 2")
    )
    text = text.replace('"edge cases"\nwhere', '"edges"\nwhere').replace('exclude = ["consent = no"]\n', "")
    told = [str(change) for change in changes(parse(WHOLE), parse(text))]
    for line in (
        "gate.margin: 0.03 became 0.05 (looser)", "gate.attempts: 3 became 2 (stricter)",
        "gate.slice[urgent].critical: yes became no (looser)", "gate.slice edges: a slice with its bar was added (stricter)",
        "gate.slice edge cases: a slice with its bar was taken out (looser)",
        "constraints.exclude[consent = no]: consent = no was taken out (looser)",
    ):  # fmt: skip
        assert line in told, told


def test_nothing_changed_is_no_change_and_order_is_none() -> None:
    assert changes(parse(WHOLE), parse(WHOLE)) == []
    assert changes(Contract(), Contract(gate=Gate(attempts=2)))[0].effect == "looser"


# ---- money

amounts = st.decimals(0, 10_000, places=2)


@given(amounts, amounts, amounts, amounts, st.integers(0, 10_000_000))
def test_traffic_at_break_even_pays_and_one_request_less_does_not(
    teacher: Decimal, student: Decimal, once: Decimal, upkeep: Decimal, planned: int
) -> None:
    found = break_even(Plan(teacher, student, once, upkeep, planned))
    if found.traffic is None:
        assert teacher <= student
        return

    def left(traffic: int) -> Decimal:
        return 12 * ((teacher - student) * traffic / 1000 - upkeep) - once

    assert left(found.traffic) >= -Decimal("1e-9")
    assert found.traffic == 0 or left(found.traffic - 1) < Decimal("1e-9")
    assert found.pays == (planned >= found.traffic) or abs(left(planned)) < Decimal("0.01")


# ---- exclusions


def test_an_id_is_excluded_by_its_hash_and_a_prompt_by_its_id() -> None:
    hashed = "5d8c8f8e9a0b1c2d3e4f5a6b7c8d9e0f" * 2
    from hashlib import sha256

    person = sha256(b"4711").hexdigest()
    rules = WHOLE.replace(
        'exclude = ["consent = no"]',
        f'exclude = ["slice = urgent"]\nexclude_ids = ["{person}", "{hashed[:32]}"]\nexclude_keys = ["customer"]',
    )
    found = Exclusions.of(parse(rules))
    assert problems(rules) == []
    assert found.why("p", {}, {"customer": 4711}) == found.why("p", {}, {"customer": "4711"}) == WHY_ID
    assert found.why(hashed[:32], {}, {}) == WHY_ID
    assert found.why("p", {}, {"customer": 4712, "other": 4711}) == ""
    assert found.why("p", {}, {"channel": "phone"}) == "slice = urgent"
    assert not Exclusions.of(Contract())
