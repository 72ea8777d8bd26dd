"""What the audit's screens say, asked without a terminal: honest numbers in the words that fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.agreement_words import coefficients
from console.audit_commands import plan_page
from console.audit_words import Option, option_lines
from console.screens.agreement import coefficient_lines
from console.standings import (
    Plan,
    Progress,
    bound_of,
    header_parts,
    overlap_of,
    percent,
    plan_line,
    plan_text,
    rate_of,
)
from console.widgets.bar import fitted
from engine.audit.result import Locked, standing
from store.read import Drawn


def locked(**changed: Any) -> Locked:
    """A plan (149, 0) at 2 %, unless changed."""
    told: dict[str, Any] = {
        "run_id": "01a2", "actor": "ada", "at_us": 0, "mode": "simple", "model": "big", "gate": 0.02, "level": 0.95,
        "n": 149, "c": 0, "population": 100_000, "drawn": 149, "reserve": 37, "overlap": 0.0, "reviewers": (), "sizes": {},
        "weighs": False, "where": "", "seed": 1, "floor": 1.0,
    }  # fmt: skip
    return Locked(**(told | changed))


def progress(plan: Locked, rest: int = 0, **counts: int) -> Progress:
    """How a plan stands with so many samples of each outcome, judged in their order."""
    rows = [Drawn("", 0.001, outcome, False, True, n, 0, 0, 0, 0) for outcome, n in counts.items()]
    rows += [Drawn("", 0.001, None, False, False, rest, 0, 0, 0, 0)] if rest else []
    first = sum(n for outcome, n in counts.items() if outcome != "replaced")
    return Progress(Plan(1, plan, frozenset({9})), standing(plan, rows), first)


def header(found: Progress, width: int, **more: str) -> str:
    """The header's line at a width."""
    return fitted(header_parts(found, width, **more), width)


def test_a_simple_plan_shows_counts_interval_and_what_is_missing_in_80_columns() -> None:
    found = progress(locked(), 146, ok=3)
    assert header(found, 120, pace="412/h") == (
        "audit · plan 3/149 · 0 errors · Wilson 0–56 % · insufficient: 146 to go, 0 more errors allowed · 412/h"
    )
    assert header(found, 80, pace="412/h") == (
        "audit · plan 3/149 · 0 errors · Wilson 0–56 % · insufficient: 146 to go, 0 spare"
    )


def test_a_sequential_plan_shows_only_the_bound_that_bears_being_looked_at() -> None:
    found = progress(locked(mode="sequential", n=2000, c=2000), 1990, ok=9, bad=1)
    told = header(found, 100)
    assert "at most" in told
    assert "whenever looked at" in told
    assert "Wilson" not in told
    assert rate_of(found.plan.locked, found.standing, found.first) == ""


def test_a_weighted_draw_shows_no_rate_until_all_of_it_is_judged() -> None:
    plan = locked(mode="weighted", weighs=True, n=4, c=0, population=40, floor=1.0)
    half, whole = progress(plan, 2, ok=1, bad=1), progress(plan, 0, ok=3, bad=1)
    assert "%" not in header(half, 120).replace("gate", "")
    assert "2 to go" in header(half, 120)
    assert rate_of(plan, whole.standing, 4).startswith("weighted ")
    assert bound_of(plan, half.standing) == ""


def test_unsettled_and_replaced_samples_are_counted_where_there_are_any() -> None:
    found = progress(locked(n=20, gate=0.4, c=3), 14, ok=3, conflict=1, unsure=1, replaced=2)
    told = header(found, 140)
    assert "2 errors (2 unsettled)" in told
    assert "2 replaced" in told
    assert "replaced" not in header(progress(locked(), 148, ok=1), 140)


@given(
    st.integers(0, 60), st.integers(0, 5), st.integers(0, 3), st.integers(40, 200),
    st.sampled_from(["simple", "sequential"]),
)  # fmt: skip
def test_a_header_fits_every_width_and_never_loses_its_verdict(
    ok: int, bad: int, unsure: int, width: int, mode: str
) -> None:
    plan = locked(mode=mode, n=80, c=2 if mode == "simple" else 80, gate=0.1)
    counts = {k: n for k, n in (("ok", ok), ("bad", bad), ("unsure", unsure)) if n}
    found = progress(plan, 80 - sum(counts.values()), **counts)
    told = header(found, width, mine="yours 3/9", pace="9,999/h")
    verdict = found.standing.verdict
    assert cell_len(told) <= width or " · " not in told.replace("audit · plan", "")
    if width >= 80:
        assert cell_len(told) <= width
        assert verdict in told
        assert f"plan {ok + bad + unsure}/80" in told


def test_a_rate_of_less_than_all_that_was_judged_says_of_what_it_is() -> None:
    plan = locked(n=20, gate=0.4, c=3)
    rows = [Drawn("", 0.1, "ok", False, True, 4, 0, 0, 0, 0), Drawn("", 0.1, None, False, False, 10, 0, 0, 0, 0),
            Drawn("", 0.1, "bad", False, False, 6, 0, 0, 0, 0)]  # fmt: skip
    found = Progress(Plan(1, plan, frozenset()), standing(plan, rows), 4)
    assert "of the first 4" in header(found, 140)
    assert "of the first 4" in plan_line(found)
    assert "judged 10" in plan_text(found)


def test_overlap_says_what_was_reached_and_what_was_planned() -> None:
    plan = locked(overlap=0.2, reviewers=("ann", "bob"), n=50)
    rows = [
        Drawn("", 0.1, "ok", False, True, 20, 7, 0, 0, 0),
        Drawn("", 0.1, None, False, False, 30, 0, 0, 0, 0),
    ]
    assert overlap_of(plan, standing(plan, rows)) == "judged by two: 7 of about 10 (20 % of 50)"


def test_no_coefficient_stands_without_counts_and_one_that_is_undefined_says_why() -> None:
    alike = [{"ann": "ok", "bob": "ok"}] * 3
    for c in coefficients(alike):
        line = coefficient_lines(c, 80)[0].text
        assert ("3 samples, 3 of 3 pairs alike" in line) == (c.value is not None)
        assert any(c.meaning in line.text for line in coefficient_lines(c, 60))
    assert [c.value is None for c in coefficients(alike)][::2] == [True, True]
    assert "nothing varies" in coefficient_lines(coefficients(alike)[0], 80)[0].text
    assert "no unit was judged by two" in coefficient_lines(coefficients([])[1], 80)[0].text
    rare = [{"ann": "bad", "bob": "ok"}] * 2 + [{"ann": "ok", "bob": "ok"}] * 40
    alpha, ac1, positive = coefficients(rare)
    assert (ac1.value or 0) > 0.9
    assert abs(alpha.value or 1) < 0.1
    assert (positive.value, positive.counts) == (0.0, "0 both said bad, 2 only one did")


def test_options_are_numbered_as_their_keys_and_name_nobody() -> None:
    told = option_lines([Option("bad", 2, 2), Option("ok", None, 1)], 0, {2: "unsupported"}, escalates="z")
    assert told == ["1  bad: unsupported (2 said so)", "2  ok (1 said so)", "z  leave it to somebody else"]


@pytest.mark.parametrize("mode", ["simple", "sequential", "weighted"])
def test_the_page_of_a_plan_fits_80_columns_and_says_what_it_would_do(mode: str) -> None:
    told: dict[str, Any] = {
        "mode": mode, "model": "big", "gate": 0.02, "level": 0.95, "n": 313, "population": 100_000, "drawn": 313,
        "reserve": 78, "strata": [], "earlier_plans": 1, "locked": False,
    }  # fmt: skip
    if mode == "simple":
        curve = [{"error_rate": r, "accepted": a} for r, a in ((0.01, 0.39), (0.02, 0.05))]
        told |= {"c": 2, "operating_curve": curve}
    page = plan_page(told)
    assert max(map(len, page.splitlines())) <= 80
    assert "nothing is locked yet" in page
    assert "1 plan on this model came before" in page
    assert ("< the gate" in page) == (mode == "simple")
    assert ("is sent back" in " ".join(page.split())) == (mode == "simple")


def test_percents_are_as_exact_as_they_are_useful() -> None:
    assert [percent(x) for x in (0, 0.004, 0.0999, 0.5, 0.9951, 1)] == ["0", "0.4", "10", "50", "99.5", "100"]
