"""The reference figures on banking77: a scikit-learn teacher on half A, students on 1,000 texts of half B.

Reference (accuracy / agreement with the teacher on the 3,080 test texts): teacher .885; student hard
.668 / .687, soft T = 2 on the top 20 .738 / .778.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from engine.students.baselines import BASELINES
from engine.students.classifier import Target, TrainParams, train
from tests.engine.label_server import LabelTeacher, halves, rows_of

BESIDE = Path(__file__).parents[2] / ".." / "shared" / "data"
DATA = Path(os.environ.get("SPIRITSAFE_DATA", BESIDE)) / "banking77"

pytestmark = pytest.mark.skipif(
    not (DATA / "banking77_train.csv").exists(), reason=f"no banking77_train.csv in {DATA}"
)


class World(NamedTuple):
    """Half B with the teacher's targets, the test texts with the truth and the teacher's answers."""

    pool: list[str]
    targets: list[Target]
    texts: list[str]
    truth: list[str]
    teacher: list[str]


@pytest.fixture(scope="module")
def world(banking_teacher: LabelTeacher) -> World:
    teacher = banking_teacher
    texts, _ = rows_of(DATA / "banking77_train.csv")
    _, half_b = halves(len(texts), seed=13)
    pool = [texts[i] for i in half_b]
    logs = teacher.log_probabilities(pool)
    order = np.argsort(-logs, axis=1)[:, :20]
    targets = [
        Target(teacher.labels[places[0]], tuple((teacher.labels[p], float(row[p])) for p in places))
        for row, places in zip(logs, order, strict=True)
    ]
    test, truth = rows_of(DATA / "banking77_test.csv")
    answers = [teacher.labels[i] for i in teacher.log_probabilities(test).argmax(axis=1)]
    return World(pool, targets, test, truth, answers)


def share(left: list[str], right: list[str]) -> float:
    return sum(a == b for a, b in zip(left, right, strict=True)) / len(left)


def scores(world: World, params: TrainParams) -> tuple[float, float]:
    """Accuracy and agreement of a student trained on 1,000 texts of half B."""
    student = train(world.pool, world.targets, params)
    answers = [prediction.label for prediction in student.predict(world.texts, top=1)]
    return share(answers, world.truth), share(answers, world.teacher)


def test_the_teacher_is_right_885_times_in_a_thousand(world: World) -> None:
    assert share(world.teacher, world.truth) == pytest.approx(0.885, abs=0.015)


def test_hard_and_soft_students_reach_the_reference_and_soft_wins_by_four_points(world: World) -> None:
    hard = scores(world, TrainParams(mode="hard", limit=1000))
    soft = scores(world, TrainParams(mode="soft", temperature=2.0, limit=1000))
    assert hard == pytest.approx((0.668, 0.687), abs=0.015)
    assert soft == pytest.approx((0.738, 0.778), abs=0.015)
    assert soft[0] - hard[0] >= 0.04


def test_every_do_nothing_baseline_is_far_below_the_smallest_student(world: World) -> None:
    labels = [target.label for target in world.targets]
    for fit in BASELINES.values():
        answers = [prediction.label for prediction in fit(world.pool, labels).predict(world.texts, top=1)]
        assert share(answers, world.truth) < 0.5
