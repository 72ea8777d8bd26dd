"""Metrics on real outputs, on awkward ones, and against scikit-learn."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluate import metrics
from engine.evaluate.metrics import METRICS, exact, label, number, number_of
from store.errors import InputError

DATA = Path(os.environ.get("SPIRITSAFE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
GSM8K = DATA / "gsm8k" / "example_model_solutions.jsonl"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@pytest.fixture(scope="module")
def problems() -> list[dict[str, Any]]:
    if not GSM8K.exists():
        pytest.skip(f"the GSM8K solutions are not at {GSM8K}")
    return [json.loads(line) for line in GSM8K.read_text("utf-8").splitlines()]


def test_number_agrees_with_every_published_mark_of_gsm8k(problems: list[dict[str, Any]]) -> None:
    differing = [
        (row, model)
        for row, problem in enumerate(problems)
        for model in MODELS
        if number(problem[model]["solution"], problem["ground_truth"], {}) != problem[model]["is_correct"]
    ]
    assert len(problems) * len(MODELS) == 5_276
    assert differing == []


def test_number_gives_the_published_accuracies_and_disagreements(problems: list[dict[str, Any]]) -> None:
    def marks(model: str) -> list[float]:
        return [number(problem[model]["solution"], problem["ground_truth"], {}) for problem in problems]

    teacher, student = marks("175b_verification"), marks("6b_finetuning")
    assert round(sum(teacher) / 1_319, 4) == 0.5625
    assert round(sum(student) / 1_319, 4) == 0.2168
    pairs = list(zip(teacher, student, strict=True))
    assert (pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))) == (499, 43)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", "3"),
        ("3.0", "3"),
        (" 3. ", "3"),
        ("$1,234.50", "2469/2"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("\u22125", "-5"),
        (".5", "1/2"),
        ("50%", "50"),
        ("3/4", "3/4"),
        ("2 million", "2000000"),
        ("12 eggs a day", "12"),
        ("7\nbecause 3 + 4", "7"),
    ],
)
def test_a_stated_number_is_read(text: str, value: str) -> None:
    assert str(number_of(text)) == value


@pytest.mark.parametrize(
    "text",
    ["", "about 3", "3 or 4", "1,23", "12:30", "5e3", "10+John's age", "--3", "4/0", "= 3", "9" * 5_000],
)
def test_what_states_no_single_number_is_none(text: str) -> None:
    assert number_of(text) is None


def test_the_last_marker_counts_and_a_missing_one_is_wrong() -> None:
    assert number("A: 3\nno, wait\nA: 4", "4", {}) == 1.0
    assert number("the answer is 4", "4", {}) == 0.0
    assert number("#### 4", "... #### 4", {"marker": "####"}) == 1.0
    assert number("4", "4", {"marker": ""}) == 1.0


@given(st.text())
def test_no_output_makes_a_metric_raise(output: str) -> None:
    for metric, reference in (("number", "3"), ("exact", "x"), ("label", "x")):
        assert METRICS[metric].score(output, reference, {}) in {0.0, 1.0}
    assert number("A:" + output, "3", {}) in {0.0, 1.0}
    assert label(output, "x", {"field": "route"}) in {0.0, 1.0}


@given(st.integers(-(10**12), 10**12))
def test_every_way_to_write_an_integer_is_that_integer(value: int) -> None:
    assert number_of(f"{value:,}") == number_of(f"{value}.00") == number_of(f"{value} units.") == value


def test_a_reference_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InputError, match="holds no number"):
        number("A: 3", "three", {})
    with pytest.raises(InputError, match="names no label"):
        label("x", "  ", {})


def test_exact_folds_unicode_form_and_outer_space_only() -> None:
    assert exact("e\u0301 ", "\u00e9", {}) == 1.0
    assert exact("A", "a", {}) == 0.0


def test_a_label_may_sit_in_a_json_field() -> None:
    options = {"field": "route"}
    assert label('{"route": "Card  Arrival", "why": 1}', "card arrival", options) == 1.0
    assert label('{"route": "a"}', '{"route": "A"}', options) == 1.0
    for broken in ("card arrival", '{"route": 3}', '["route"]', '{"other": "a"}', "[" * 100_000, '"\ud800"'):
        assert label(broken, "card arrival", options) == 0.0


def test_label_reports_are_scikit_learns() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    gold, guess = list("aabbbcccdda"), list("abbbacccdab")
    reports = metrics.label_reports(zip(gold, guess, strict=True))
    theirs = sklearn_metrics.precision_recall_fscore_support(gold, guess, zero_division=0)
    for report, precision, recall, f1, support in zip(reports, *theirs, strict=True):
        assert (report.precision, report.recall, report.support) == pytest.approx(
            (precision, recall, support)
        )
        assert report.f1 == pytest.approx(f1)
    macro = sklearn_metrics.f1_score(gold, guess, average="macro")
    assert metrics.macro_f1(reports) == pytest.approx(macro)


def test_a_rate_without_a_denominator_is_none() -> None:
    (never_right,) = (report for report in metrics.label_reports([("a", "b")]) if report.label == "a")
    assert (never_right.precision, never_right.recall, never_right.f1) == (None, 0.0, 0.0)
    assert metrics.macro_f1([]) is None
    assert metrics.expected_calibration_error([]) is None


def test_calibration_error_weighs_bins_by_their_size() -> None:
    cells = metrics.calibration([(1.0, True)] * 3 + [(0.0, True)])
    assert [(cell.n, cell.right) for cell in cells] == [(1, 1), (3, 3)]
    assert metrics.expected_calibration_error(cells) == pytest.approx(0.25)
    assert [edge for cell in cells for edge in (cell.low, cell.high)] == pytest.approx(
        [0, 1 / 15, 14 / 15, 1]
    )
    with pytest.raises(InputError, match="between 0 and 1"):
        metrics.calibration([(1.2, True)])
