"""The gate: judged by bounds, closed without evidence, monotone, and honest at the bar."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluate.gate import (
    GateRow,
    Judgement,
    MeasureRow,
    find,
    judge,
    judge_gate,
    paired_counts,
    refuse_graded,
)
from engine.evaluate.metrics import METRICS
from engine.statistics import normal_quantile, tango_score
from store.canonical import canonical
from store.errors import InputError, RuleError

ORDER = [Judgement.FAIL, Judgement.INSUFFICIENT, Judgement.PASS]
THREE_POINTS = Decimal("-0.03")


def margin(n: int, teacher_only: int, student_only: int, bar: str = "-0.03", **more: object) -> GateRow:
    both = n - teacher_only - student_only
    return replace(GateRow("all", "margin", Decimal(bar), n, both, teacher_only, student_only), **more)


def floor(n: int, right: int, bar: str = "0.9") -> GateRow:
    return GateRow("all", "floor", Decimal(bar), n, right, 0, 0)


def test_the_gsm8k_student_fails_its_margin() -> None:
    finding = find(margin(1_319, 499, 43), level=0.95)
    assert finding.judgement is Judgement.FAIL
    assert finding.n_needed is None
    assert finding.upper is not None
    assert -0.33 < finding.upper < -0.31


def test_a_perfect_student_on_forty_prompts_is_insufficient_and_told_what_it_takes() -> None:
    finding = find(margin(40, 0, 0), level=0.95)
    assert finding.judgement is Judgement.INSUFFICIENT
    assert finding.n_needed is not None
    assert finding.n_needed >= 88
    assert f"{finding.n_needed:,}" in finding.why
    assert judge(margin(88, 0, 0), level=0.95) is Judgement.PASS


def test_a_slice_without_prompts_is_insufficient_whatever_its_bar() -> None:
    assert judge(margin(0, 0, 0), level=0.95) is Judgement.INSUFFICIENT
    assert judge(floor(0, 0, "0.0"), level=0.95) is Judgement.INSUFFICIENT


def test_a_gate_without_rows_does_not_pass() -> None:
    assert judge_gate([], level=0.95).judgement is Judgement.INSUFFICIENT


def test_a_floor_is_exact() -> None:
    assert judge(floor(149, 149, "0.98"), level=0.95) is Judgement.PASS
    assert judge(floor(148, 148, "0.98"), level=0.95) is Judgement.INSUFFICIENT
    assert judge(floor(100, 80, "0.9"), level=0.95) is Judgement.FAIL


def test_a_pass_under_the_contracts_minimum_n_is_insufficient_and_a_fail_stays() -> None:
    finding = find(margin(150, 0, 0, minimum_n=200), level=0.95)
    assert (finding.judgement, finding.n_needed) == (Judgement.INSUFFICIENT, 200)
    assert judge(margin(150, 60, 0, minimum_n=200), level=0.95) is Judgement.FAIL


def test_a_student_seen_at_its_bar_is_promised_no_n() -> None:
    finding = find(margin(400, 14, 2), level=0.95)
    assert (finding.judgement, finding.n_needed) == (Judgement.INSUFFICIENT, None)
    perfect_floor = find(floor(50, 50, "1"), level=0.95)
    assert (perfect_floor.judgement, perfect_floor.n_needed) == (Judgement.INSUFFICIENT, None)


def test_the_gate_is_as_good_as_its_worst_row() -> None:
    good, unclear, bad = margin(800, 0, 0), margin(40, 0, 0), margin(800, 80, 0)
    assert judge_gate([good, good], level=0.95).judgement is Judgement.PASS
    assert judge_gate([good, unclear], level=0.95).judgement is Judgement.INSUFFICIENT
    assert judge_gate([good, unclear, bad], level=0.95).judgement is Judgement.FAIL


quality_rows = st.builds(
    lambda kind, cells, bar: GateRow(
        "s", kind, Decimal(bar) / 100 * (-1 if kind == "margin" else 1), sum(cells), *cells[:3]
    ),
    st.sampled_from(["margin", "floor"]),
    st.tuples(*[st.integers(0, 400)] * 4),
    st.integers(1, 99),
)


@given(quality_rows)
@settings(max_examples=200, deadline=None)
def test_one_more_prompt_that_the_student_alone_wins_never_worsens_a_row(row: GateRow) -> None:
    if row.both_right + row.teacher_only + row.student_only < row.n:
        won = replace(row, student_only=row.student_only + 1)
        assert ORDER.index(judge(won, level=0.95)) >= ORDER.index(judge(row, level=0.95))
    if row.teacher_only:
        levelled = replace(row, teacher_only=row.teacher_only - 1, both_right=row.both_right + 1)
        assert ORDER.index(judge(levelled, level=0.95)) >= ORDER.index(judge(row, level=0.95))


@given(quality_rows, st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_a_stricter_bar_or_level_never_turns_a_row_to_pass(row: GateRow, points: int) -> None:
    if judge(row, level=0.95) is not Judgement.PASS:
        assert judge(row, level=0.99) is not Judgement.PASS
        stricter = min(row.bar + Decimal(points) / 100, Decimal(1))
        assert judge(replace(row, bar=stricter), level=0.95) is not Judgement.PASS


@given(quality_rows)
@settings(max_examples=150, deadline=None)
def test_bounds_hold_the_estimate_and_only_insufficient_rows_name_an_n(row: GateRow) -> None:
    finding = find(row, level=0.95)
    if row.n:
        assert finding.lower is not None
        assert finding.estimate is not None
        assert finding.upper is not None
        assert finding.lower <= finding.estimate <= finding.upper
    if finding.n_needed is not None:
        assert finding.judgement is Judgement.INSUFFICIENT
        assert finding.n_needed > row.n


@given(st.lists(quality_rows, max_size=6), quality_rows)
@settings(max_examples=100, deadline=None)
def test_one_more_row_never_turns_a_gate_to_pass(rows: list[GateRow], more: GateRow) -> None:
    before = judge_gate(rows, level=0.95).judgement
    after = judge_gate([*rows, more], level=0.95).judgement
    if rows:
        assert ORDER.index(after) <= ORDER.index(before)


def test_a_slice_exactly_at_its_bar_ships_at_most_five_and_a_half_percent() -> None:
    """400 prompts, 8 % discordance, truly five points worse: 20,000 seeded worlds."""
    worlds, n, bar = 20_000, 400, Decimal("-0.05")
    draws = np.random.default_rng(20).multinomial(n, [0.835, 0.065, 0.015, 0.085], size=worlds)
    worlds_of = Counter((int(b), int(c)) for _, b, c, _ in draws)
    passing = {
        cell: count
        for cell, count in worlds_of.items()
        if judge(margin(n, *cell, str(bar)), level=0.95) is Judgement.PASS
    }
    by_estimate = sum(count for (b, c), count in worlds_of.items() if (c - b) / n >= float(bar))
    assert 0.04 <= sum(passing.values()) / worlds <= 0.055
    assert by_estimate / worlds > 0.5  # what a point estimate would have shipped


def test_the_judgement_is_the_score_test_at_the_bar() -> None:
    z = normal_quantile(0.95)
    for b in range(0, 40, 3):
        for c in range(0, 40, 3):
            passes = judge(margin(300, b, c), level=0.95) is Judgement.PASS
            assert passes == (tango_score(300, b, c, -0.03) >= z)


def test_latency_is_judged_by_its_order_statistic() -> None:
    budget = Decimal(100)
    assert judge(MeasureRow("p95_latency_ms", budget, [50.0] * 59), level=0.95) is Judgement.PASS
    short = find(MeasureRow("p95_latency_ms", budget, [50.0] * 58), level=0.95)
    assert (short.judgement, short.n_needed) == (Judgement.INSUFFICIENT, 93)
    assert (
        judge(MeasureRow("p95_latency_ms", budget, [50.0] * 80 + [500.0] * 20), level=0.95) is Judgement.FAIL
    )
    assert judge(MeasureRow("p95_latency_ms", budget, []), level=0.95) is Judgement.INSUFFICIENT


def test_cost_is_judged_by_the_bounds_of_its_mean() -> None:
    budget = Decimal("0.50")
    assert judge(MeasureRow("cost_per_1000", budget, [0.0004] * 30), level=0.95) is Judgement.PASS
    assert judge(MeasureRow("cost_per_1000", budget, [0.0004] * 29), level=0.95) is Judgement.INSUFFICIENT
    assert judge(MeasureRow("cost_per_1000", budget, [0.0006] * 30), level=0.95) is Judgement.FAIL
    assert (
        judge(MeasureRow("cost_per_1000", budget, [0.0001, 0.0009] * 20), level=0.95)
        is Judgement.INSUFFICIENT
    )


def test_a_graded_metric_is_refused() -> None:
    assert paired_counts([(1.0, 0.0), (0.0, 0.0)]) == (2, 0, 1, 0)
    with pytest.raises(RuleError, match="right and wrong"):
        paired_counts([(1.0, 0.4)])
    with pytest.raises(RuleError, match="graded"):
        refuse_graded(replace(METRICS["exact"], binary=False))
    refuse_graded(METRICS["exact"])


@pytest.mark.parametrize("cells", [(5, 3, 3), (-1, 0, 0)])
def test_impossible_counts_are_refused(cells: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="do not fit"):
        GateRow("s", "margin", THREE_POINTS, 10, *cells)


def test_impossible_rows_and_levels_are_refused() -> None:
    with pytest.raises(InputError, match="no such bar"):
        GateRow("s", "ceiling", THREE_POINTS, 1, 0, 0, 0)
    with pytest.raises(InputError, match="no such bar"):
        GateRow("s", "floor", THREE_POINTS, 1, 0, 0, 0)
    with pytest.raises(InputError, match="no such budget"):
        MeasureRow("p50", Decimal(1), [])
    with pytest.raises(InputError, match="negative or no number"):
        MeasureRow("cost_per_1000", Decimal(1), [float("nan")])
    with pytest.raises(InputError, match="level"):
        judge(margin(10, 0, 0), level=0.5)


def test_a_gate_goes_into_a_record_without_floats() -> None:
    payload = judge_gate([margin(100, 3, 1), floor(10, 9)], level=0.95).as_payload()
    assert b'"bar":"-0.03"' in canonical(payload)
    assert not any(isinstance(value, float) for row in payload["rows"] for value in row.values())
