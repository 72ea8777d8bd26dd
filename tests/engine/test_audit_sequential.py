"""The level under peeking, simulated item by item, beside the exact bound that breaks; bounds against brute force."""

from __future__ import annotations

import math
import random
import time
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.audit import sequential
from engine.audit.lots import units_at
from engine.audit.sequential import (
    Prior,
    Standing,
    gate_prior,
    log_evidence,
    lower_bound,
    running_bounds,
    sequence_bounds,
    sequential_size,
    sequential_verdict,
    upper_bound,
)
from engine.statistics import clopper_pearson_upper
from store.errors import InputError

GATE, LEVEL, LOT, LOTS, WATCHED = 0.02, 0.95, 5_000, 1_500, 600
AT_GATE = units_at(GATE, LOT)


@lru_cache(maxsize=4)
def seen(bad: int) -> np.ndarray:
    """Errors after each of the first items of many lots with ``bad`` errors, in random order: (lots, items)."""
    rng = np.random.default_rng(20261122)
    rows = [np.sort(rng.choice(LOT, bad, replace=False)) for _ in range(LOTS)]  # places of the errors
    return np.array([np.searchsorted(row, np.arange(WATCHED), side="right") for row in rows])


@lru_cache(maxsize=20_000)
def standing(errors: int, n: int) -> Standing:
    return sequential_verdict(GATE, errors, n, LOT, LEVEL)


def ever(counts: np.ndarray, says: Standing) -> tuple[float, float]:
    """Share of lots for which this was ever said, and the median item at which it was."""
    firsts = []
    for row in counts.tolist():
        found = (n for n, errors in enumerate(row, 1) if standing(errors, n) is says)
        firsts.append(next(found, math.inf))
    return float(np.mean([first < math.inf for first in firsts])), float(np.median(firsts))


# ---- the level -------------------------------------------------------------------------------------------


def test_a_lot_at_the_gate_checked_after_every_item_passes_at_most_one_time_in_twenty() -> None:
    wrong, _ = ever(seen(AT_GATE), Standing.PASS)
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / LOTS)
    assert wrong > 0.005  # and the level is not bought by never deciding


def test_the_exact_bound_checked_after_every_item_breaks_its_level() -> None:
    least = {k: next(n for n in range(k, LOT) if clopper_pearson_upper(k, n, LEVEL) < GATE) for k in range(7)}
    counts = seen(AT_GATE)
    items = np.arange(1, WATCHED + 1)
    passed = [any((row <= k)[items >= n].any() for k, n in least.items() if n <= WATCHED) for row in counts]
    assert np.mean(passed) > 0.08


def test_a_good_teacher_passes_soon_and_a_bad_one_fails_soon() -> None:
    passes, when = ever(seen(25), Standing.PASS)  # 0.5 %
    assert passes > 0.85  # within the 600 items watched; the rest needs more
    assert when <= 330
    fails, when = ever(seen(250), Standing.FAIL)  # 5 %
    assert fails > 0.95
    assert when <= 250


def test_a_lot_just_below_the_gate_is_failed_at_most_one_time_in_twenty() -> None:
    wrong, _ = ever(seen(AT_GATE - 1), Standing.FAIL)
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / LOTS)


@pytest.mark.parametrize("prior", [(1.0, 9.0), (1.0, 99.0), (3.0, 2.0)])
def test_all_intervals_together_hold_the_truth(prior: Prior) -> None:
    dice, size, bad, lots, held = random.Random(4), 200, 30, 300, 0
    for _ in range(lots):
        outcomes = [True] * bad + [False] * (size - bad)
        dice.shuffle(outcomes)
        low, high = running_bounds(outcomes[:120], size, 0.9, prior)
        held += low <= bad <= high
    assert held / lots >= 0.9 - 3 * math.sqrt(0.09 / lots)


def test_the_start_of_the_martingale_is_one_and_stays_so_on_average() -> None:
    size, bad, prior = 40, 6, (1.0, 4.0)
    for n in range(size + 1):
        mean = sum(
            stats.hypergeom.pmf(k, size, bad, n) * math.exp(log_evidence(k, n, size, bad, prior))
            for k in range(max(0, n - size + bad), min(bad, n) + 1)
        )
        assert mean <= 1 + 1e-9
        if n <= min(bad, size - bad):  # every count is possible: a martingale, not only a supermartingale
            assert mean == pytest.approx(1, abs=1e-9)


# ---- the bounds ------------------------------------------------------------------------------------------


@given(st.integers(1, 120), st.data())
@settings(max_examples=120, deadline=None)
def test_bisection_finds_what_trying_every_content_finds(size: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, size))
    errors = data.draw(st.integers(0, n))
    level = data.draw(st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    prior = (data.draw(st.sampled_from([0.5, 1.0])), data.draw(st.sampled_from([1.0, 9.0, 99.0, 999.0])))
    limit = -math.log(1 - level)
    contents = range(errors, size - n + errors + 1)
    left = [bad for bad in contents if log_evidence(errors, n, size, bad, prior) < limit]
    assert sequence_bounds(errors, n, size, level, prior) == (min(left), max(left))
    assert lower_bound(errors, n, size, level, prior) == min(left)
    mode = max(sequential._mode(errors, n, size), errors)
    left = [
        bad
        for bad in contents
        if bad <= mode or sequential._log_below_evidence(errors, n, size, bad, prior) < limit
    ]
    assert upper_bound(errors, n, size, level, prior) == max(left)


@given(st.integers(1, 4_000), st.data())
@settings(max_examples=120, deadline=None)
def test_more_errors_never_lower_a_bound_nor_turn_to_pass(size: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, size))
    errors = data.draw(st.integers(0, n - 1))
    gate = data.draw(st.floats(0.005, 0.3))
    prior = gate_prior(gate)
    (low, high), (lower, higher) = (sequence_bounds(k, n, size, LEVEL, prior) for k in (errors, errors + 1))
    assert low <= lower
    assert high <= higher
    assert upper_bound(errors, n, size, LEVEL, prior) <= upper_bound(errors + 1, n, size, LEVEL, prior)
    rank = [Standing.FAIL, Standing.UNDECIDED, Standing.PASS]
    less, more = (sequential_verdict(gate, k, n, size) for k in (errors, errors + 1))
    assert rank.index(more) <= rank.index(less)


@given(st.integers(1, 3_000), st.data())
@settings(max_examples=120, deadline=None)
def test_pass_means_that_the_upper_bound_is_below_the_gate(size: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, size))
    errors = data.draw(st.integers(0, min(n, 20)))
    gate = data.draw(st.floats(0.01, 0.3))
    below = upper_bound(errors, n, size, LEVEL, gate_prior(gate)) < units_at(gate, size)
    assert (sequential_verdict(gate, errors, n, size, LEVEL) is Standing.PASS) == below


def test_a_lot_that_was_judged_to_the_end_is_known() -> None:
    assert sequence_bounds(7, 400, 400) == (7, 7)
    assert upper_bound(7, 400, 400) == lower_bound(7, 400, 400) == 7
    assert sequential_verdict(0.02, 7, 400, 400) is Standing.PASS
    assert sequential_verdict(0.02, 8, 400, 400) is Standing.FAIL


def test_running_bounds_are_the_intersection_of_those_of_every_moment() -> None:
    dice = random.Random(6)
    for share in (0.02, 0.3):
        outcomes = [dice.random() < share for _ in range(250)]
        low, high = 0, LOT
        for n in range(1, len(outcomes) + 1):
            now = sequence_bounds(sum(outcomes[:n]), n, LOT)
            low, high = max(low, now[0]), min(high, now[1])
        assert running_bounds(outcomes, LOT) == (low, high)


def test_an_order_that_is_not_random_contradicts_itself() -> None:
    low, high = running_bounds([True] * 150 + [False] * 450, 600)
    assert low > high


def test_the_price_of_looking_is_named() -> None:
    for errors in range(4):
        n = sequential_size(GATE, errors, LOT)
        assert sequential_verdict(GATE, errors, n, LOT) is Standing.PASS
        sooner = [*range(max(errors, 1), n, 7), n - 1]
        assert Standing.PASS not in {sequential_verdict(GATE, errors, m, LOT) for m in sooner}
    with pytest.raises(InputError, match="reach the gate"):
        sequential_size(GATE, 100, LOT)


def test_a_bound_on_ten_million_units_is_cheap() -> None:
    def cost(errors: int, n: int) -> float:
        start = time.process_time()
        upper_bound(errors, n, 10_000_000, LEVEL, gate_prior(GATE))
        sequence_bounds(errors, n, 10_000_000)
        return time.process_time() - start

    for errors, n in ((2, 313), (60, 3_000), (19_000, 1_000_000)):
        assert min(cost(errors, n) for _ in range(5)) < 0.004  # both; 0.3 to 0.7 ms when nobody else works


@pytest.mark.parametrize(
    "asked",
    [
        lambda: sequence_bounds(3, 2, 10),
        lambda: sequence_bounds(1, 11, 10),
        lambda: sequence_bounds(0, 0, 0),
        lambda: sequence_bounds(1, 2, 10, 1.0),
        lambda: sequence_bounds(1, 2, 10, prior=(0.0, 1.0)),
        lambda: upper_bound(1, 2, 10, prior=(3.0, 2.0)),
        lambda: running_bounds([True] * 11, 10),
        lambda: gate_prior(1.0),
    ],
)
def test_impossible_counts_are_refused(asked: object) -> None:
    with pytest.raises(InputError):
        asked()  # type: ignore[operator]
