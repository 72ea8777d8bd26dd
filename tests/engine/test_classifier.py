"""The classifier student and its baselines: right targets, the known optimum, safe weights."""

from __future__ import annotations

import io
import json
import math
import pickle
import zipfile
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from engine.students.baselines import BASELINES, LabelNameClassifier, MajorityClassifier, majority
from engine.students.classifier import Classifier, Target, TrainParams, target_of, train
from store.canonical import canonical_text, digest
from store.errors import InputError

WORDS = {
    "lost_card": "lost stolen missing card wallet gone plastic",
    "refund": "refund money back return payment cancel charge",
    "top_up": "top up add balance account funds load",
}
LABELS = tuple(WORDS)


@cache
def pool(size: int = 120) -> tuple[tuple[str, ...], tuple[Target, ...]]:
    """Texts of words that mostly belong to one label, and a teacher that is unsure where words mix."""
    draw = np.random.default_rng(5)
    texts, targets = [], []
    for n in range(size):
        label = LABELS[n % 3]
        words = draw.choice(WORDS[label].split(), 4).tolist()
        words += draw.choice(" ".join(WORDS.values()).split(), 2).tolist()
        counts = np.array([sum(word in WORDS[other].split() for word in words) for other in LABELS]) + 0.2
        logs = np.log(counts / counts.sum())
        texts.append(" ".join(words))
        order = np.argsort(-logs)
        targets.append(Target(LABELS[order[0]], tuple((LABELS[i], float(logs[i])) for i in order)))
    return tuple(texts), tuple(targets)


def student(**params: Any) -> Classifier:
    texts, targets = pool()
    return train(texts, targets, TrainParams(**params))


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_training_reaches_the_optimum_that_scikit_learn_finds_on_repeated_weighted_rows(mode: Any) -> None:
    texts, targets = pool()
    ours = train(texts, targets, TrainParams(mode=mode, temperature=2.0))
    words = TfidfVectorizer(ngram_range=(1, 2))
    rows = words.fit_transform(texts)
    if mode == "hard":
        oracle = LogisticRegression(C=10, max_iter=500).fit(rows, [target.label for target in targets])
    else:
        pairs = [(n, k, math.exp(v / 2)) for n, t in enumerate(targets) for k, v in t.top]
        totals = np.bincount([n for n, _, _ in pairs], weights=[w for _, _, w in pairs])
        weights = [w / totals[n] for n, _, w in pairs]
        repeated = rows[[n for n, _, _ in pairs]]
        oracle = LogisticRegression(C=10, max_iter=500)
        oracle.fit(repeated, [k for _, k, _ in pairs], sample_weight=weights)
    assert tuple(oracle.classes_) == ours.labels
    np.testing.assert_allclose(np.exp(ours.log_probabilities(texts)), oracle.predict_proba(rows), atol=0.01)


def test_a_weighted_sample_counts_as_often_as_its_weight_says() -> None:
    texts, targets = pool()
    heavy = [1.0 + 2.0 * (n % 3 == 0) for n in range(len(texts))]
    ours = train(texts, targets, TrainParams(mode="hard"), sample_weights=heavy)
    rows = TfidfVectorizer(ngram_range=(1, 2)).fit_transform(texts)
    mean = np.mean(heavy)
    oracle = LogisticRegression(C=10, max_iter=500)
    oracle.fit(rows, [target.label for target in targets], sample_weight=heavy / mean)
    np.testing.assert_allclose(np.exp(ours.log_probabilities(texts)), oracle.predict_proba(rows), atol=0.01)
    plain = train(texts, targets, TrainParams(mode="hard"))
    assert not np.allclose(plain.log_probabilities(texts), ours.log_probabilities(texts), atol=0.01)


def test_soft_training_follows_the_teachers_doubt_and_hard_training_its_label() -> None:
    texts, targets = pool()
    doubt = [math.exp(target.top[0][1]) for target in targets]
    soft = [p.confidence for p in student(mode="soft", temperature=1.0, C=100).predict(texts)]
    hard = [p.confidence for p in student(mode="hard", C=100).predict(texts)]
    assert np.mean(np.abs(np.subtract(soft, doubt))) < 0.05
    assert np.mean(hard) > np.mean(doubt) + 0.1


def test_a_prediction_ranks_labels_by_probability() -> None:
    (answer,) = student().predict(["my card was stolen"], top=3)
    assert answer.label == "lost_card" == answer.top[0][0]
    assert answer.confidence == math.exp(answer.top[0][1])
    assert math.fsum(math.exp(value) for _, value in answer.top) == pytest.approx(1)
    assert [v for _, v in answer.top] == sorted((v for _, v in answer.top), reverse=True)


def test_no_texts_give_no_predictions_and_unknown_words_give_the_bias() -> None:
    assert student().predict([]) == []
    nothing, empty = student().predict(["zzz qqq", ""])
    assert nothing == empty


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_sample() -> None:
    assert student(limit=60).to_bytes() == student(limit=60).to_bytes()
    assert student(limit=60).to_bytes() != student(limit=60, seed=2).to_bytes()


def test_a_student_answers_the_same_after_a_trip_through_its_bytes() -> None:
    texts, _ = pool()
    before = student()
    data = before.to_bytes()
    after = Classifier.from_bytes(data, sha256=digest(data))
    assert after.predict(texts) == before.predict(texts)
    assert (after.params, after.to_bytes()) == (before.params, data)


def test_other_weights_than_those_recorded_are_refused() -> None:
    with pytest.raises(InputError, match="not those recorded"):
        Classifier.from_bytes(student().to_bytes(), sha256=digest(b"other"))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_student_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="no classifier of ours"):
        Classifier.from_bytes(data)


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing(place: int, bit: int) -> None:
    data = bytearray(student(limit=12).to_bytes())
    whole = bytes(data)
    data[place % len(data)] ^= 1 << bit
    try:
        found = Classifier.from_bytes(bytes(data))
    except InputError:
        return
    assert found.to_bytes() == whole


class _Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled a stranger's weights",))


def members(**changes: Any) -> bytes:
    """A student's file with some members replaced."""
    with np.load(io.BytesIO(student().to_bytes())) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def as_bytes(value: object) -> Any:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.array([_Boom()], dtype=object)},
        {"weights": np.zeros((3, 3), dtype=np.float32)},
        {"weights": np.zeros((3, 3))},
        {"bias": np.array([np.nan, 0, 0], dtype=np.float32)},
        {"labels": as_bytes(["a", "a", "b"])},
        {"labels": as_bytes({"a": 1})},
        {"vocabulary": as_bytes(["x"])},
        {"params": as_bytes({"format": 1, "mode": "hot"})},
        {"params": as_bytes({"format": 2})},
        {"more": np.zeros(1, dtype=np.float32)},
    ],
    ids=lambda changes: f"{next(iter(changes))}-{next(iter(changes.values())).dtype}",
)
def test_a_file_whose_parts_do_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no classifier of ours"):
        Classifier.from_bytes(members(**changes))


def test_a_header_that_promises_a_terabyte_is_refused_before_it_is_allocated() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(student().to_bytes())) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            body = old.read(info)
            if info.filename == "weights.npy":
                head = io.BytesIO()
                told = {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 18)}
                np.lib.format.write_array_header_1_0(head, told)
                body = head.getvalue() + b"\0" * 64
            new.writestr(info.filename, body)
    with pytest.raises(InputError, match=r"in 64 bytes"):
        Classifier.from_bytes(buffer.getvalue())


def test_a_pickle_is_refused() -> None:
    with pytest.raises(InputError):
        Classifier.from_bytes(pickle.dumps(_Boom))


def test_soft_training_without_logprobs_says_how_many_lack_them() -> None:
    texts, targets = pool()
    bare = [replace_top(target, n) for n, target in enumerate(targets)]
    with pytest.raises(InputError, match="40 of 120 targets carry no label logprobs") as caught:
        train(texts, bare)
    assert "Train hard" in caught.value.todo
    assert train(texts, bare, TrainParams(mode="hard")).labels == tuple(sorted(LABELS))


def replace_top(target: Target, n: int) -> Target:
    return target if n % 3 else target._replace(top=())


@pytest.mark.parametrize(
    ("texts", "targets"),
    [
        ([], []),
        (["a text"], []),
        (["a text", "another"], [Target("x"), Target("x")]),
        (["!", "?"], [Target("x"), Target("y")]),
    ],
)
def test_nothing_to_learn_from_is_an_error(texts: list[str], targets: list[Target]) -> None:
    with pytest.raises(InputError):
        train(texts, targets, TrainParams(mode="hard"))


@pytest.mark.parametrize(
    "wrong", [{"mode": "warm"}, {"temperature": 0}, {"C": math.inf}, {"ngrams": (2, 1)}, {"limit": 0}]
)
def test_parameters_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(TrainParams(), **wrong)


def test_a_target_adds_up_spellings_of_one_code_and_leaves_strangers_out() -> None:
    told = [
        (" a", math.log(0.25)),
        ("a", math.log(0.25)),
        ("b", math.log(0.125)),
        ("!", -0.1),
        ("c", -9999.0),
    ]
    top = [{"token": token, "logprob": value} for token, value in told]
    content = [{"token": "b", "logprob": -2.0, "top_logprobs": top}]
    target = target_of("b\n", canonical_text({"content": content}), {"a": "A", "b": "B", "c": "C"})
    assert target.label == "B"
    assert target.top == (("A", pytest.approx(math.log(0.5))), ("B", pytest.approx(math.log(0.125))))


def test_an_answer_without_logprobs_is_a_hard_target_and_a_stranger_is_an_error() -> None:
    assert target_of("a", None, {"a": "A"}) == Target("A")
    with pytest.raises(InputError, match="no label"):
        target_of("I cannot help with that", None, {"a": "A"})


@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_the_majority_is_as_frequent_as_any_label(labels: list[str]) -> None:
    first = majority(labels)
    assert all(labels.count(first) >= labels.count(other) for other in labels)
    (answer,) = MajorityClassifier.fit([], labels).predict(["anything"])
    assert answer.label == first
    assert answer.confidence == pytest.approx(labels.count(first) / len(labels))


def test_label_names_alone_find_the_intent_that_is_named_in_the_text() -> None:
    texts, targets = pool()
    by_name = LabelNameClassifier.fit(texts, [target.label for target in targets])
    answers = by_name.predict(["I want a refund", "please top up", "my card is lost"])
    assert [answer.label for answer in answers] == ["refund", "top_up", "lost_card"]


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_answers_every_text_like_a_student(name: str) -> None:
    texts, targets = pool()
    answers = BASELINES[name](texts, [target.label for target in targets]).predict(texts, top=2)
    assert len(answers) == len(texts)
    assert all(0 < a.confidence <= 1 and a.label in LABELS and len(a.top) == 2 for a in answers)
    with pytest.raises(InputError):
        BASELINES[name](texts, [])
