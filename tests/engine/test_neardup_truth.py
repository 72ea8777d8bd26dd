"""What the near-duplicate figures rest on: the truth they are measured against, recall, candidates, scripts."""

from __future__ import annotations

import random

import numpy as np
import pytest

from engine.clean.neardup import Engine, Params, check_same, find_edges, near_duplicates
from engine.clean.shingles import OUTPUTS, PROMPTS, Profile, normalise
from store.errors import InputError
from tests.bench.neardup_corpora import MUTATIONS, chained, true_pairs, with_copies

pytest.importorskip("numba", reason="the extra fast is not installed")

ENGINES: tuple[Engine, ...] = ("fast", "reference")
SENTENCES = (
    "where is the card that i ordered two weeks ago and why has it not arrived at my address yet",
    "i would like to know how long it takes until a transfer from another bank shows up in my account",
    "my phone was stolen on the train this morning so please block the app and send me a new code",
    "the machine kept my card and gave me no cash but the amount has been taken from my balance",
    "can you tell me which fees i pay abroad when i take out money in another currency with this card",
    "a payment that i do not know is pending in my account and i want to stop it before it goes through",
)


def corpus(n: int, size: tuple[int, int], seed: int) -> list[str]:
    """Chained sentences, a fifth of them mutated copies: as the benchmark's corpora."""
    rng = random.Random(seed)
    return with_copies(chained(list(SENTENCES), lambda: rng.randint(*size), rng), n, rng)


@pytest.mark.parametrize(
    ("profile", "size"), [(PROMPTS, (30, 140)), (OUTPUTS, (300, 900)), (Profile("char", 4), (1, 12))]
)
@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9, 1.0])
def test_the_join_behind_the_truth_says_what_comparing_all_with_all_says(
    profile: Profile, size: tuple[int, int], threshold: float
) -> None:
    texts = corpus(500, size, seed=3)
    pairs, jaccard = true_pairs(texts, profile, threshold)
    all_pairs, all_jaccard = true_pairs(texts, profile, threshold, all_with_all=True)
    assert np.array_equal(pairs, all_pairs)
    assert np.array_equal(jaccard, all_jaccard)
    assert len(pairs) > 20 or threshold == 1.0 or size[1] < 20


@pytest.mark.parametrize("profile", [PROMPTS, OUTPUTS])
def test_every_edge_is_true_and_its_jaccard_is_the_true_one(profile: Profile) -> None:
    texts = corpus(800, (40, 140) if profile == PROMPTS else (300, 600), seed=9)  # of more, it is a flood
    pairs, jaccard = true_pairs(texts, profile, 0.7)
    truth = dict(zip(map(tuple, pairs.tolist()), jaccard.tolist(), strict=True))
    for engine in ENGINES:
        edges = near_duplicates(texts, profile=profile, engine=engine).edges
        found = {(p.left, p.right): p.jaccard for p in edges if 0.7 <= p.jaccard < 1}
        assert not found.items() - truth.items()
        assert len(found) >= 0.995 * sum(j < 1 for j in truth.values()) > 50


def test_the_shipped_seed_meets_as_few_candidates_as_others() -> None:
    texts = corpus(3000, (40, 140), seed=5)
    met = {seed: find_edges(texts, seed=seed, engine="fast").stats.candidates for seed in range(1, 6)}
    median = sorted(met.values())[2]
    assert max(met.values()) <= 1.5 * median
    assert met[1] <= 1.1 * median  # the default


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mutate", range(len(MUTATIONS)))
def test_each_kind_of_copy_is_found_where_it_is_near(mutate: int, engine: Engine) -> None:
    rng = random.Random(mutate)
    originals = [" ".join(rng.sample(sentence.split(), 14)) for sentence in SENTENCES * 5]
    texts = originals + [MUTATIONS[mutate](text, rng) for text in originals]
    near = {tuple(pair) for pair in true_pairs(texts, PROMPTS, 0.75)[0].tolist()}
    edges = {(p.left, p.right) for p in near_duplicates(texts, engine=engine).edges}
    same = {(i, i + 30) for i in range(30) if normalise(texts[i]) == normalise(texts[i + 30])}
    assert near | same <= edges


CARDS = {  # language: a question, the same with a word more or a letter less, another question
    "Chinese": (
        "我的新银行卡两个星期前就订了到现在还没有寄到家里",
        "我的新银行卡两个星期前就订了,到现在还没有寄到家里呢",
        "请问国外取现金的手续费是多少以及汇率怎么算",
    ),
    "Japanese": (
        "先月申し込んだカードがまだ自宅に届いていません",
        "先月申し込んだカードがまだ自宅に届いていませんが",
        "海外で現金を引き出すときの手数料はいくらですか",
    ),
    "Thai": (
        "บัตรใบใหม่ของฉันยังไม่มาถึงที่บ้านเลยตั้งแต่สัปดาห์ที่แล้ว",
        "บัตรใบใหม่ของฉันยังไม่มาถึงที่บ้านเลยตั้งแต่สัปดาห์ที่แล้วครับ",
        "ค่าธรรมเนียมถอนเงินสดในต่างประเทศเท่าไหร่",
    ),
    "Khmer": (
        "កាតថ្មីរបស់ខ្ញុំមិនទាន់មកដល់ផ្ទះនៅឡើយទេតាំងពីសប្តាហ៍មុន",
        "កាតថ្មីរបស់ខ្ញុំមិនទាន់មកដល់ផ្ទះនៅឡើយទេតាំងពីសប្តាហ៍មុនបាទ",
        "តើថ្លៃសេវាដកប្រាក់នៅបរទេសប៉ុន្មាន",
    ),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("language", CARDS)
def test_scripts_without_spaces_are_compared_by_what_is_said(language: str, engine: Engine) -> None:
    question, near, other = CARDS[language]
    texts = [question, near, other, question[::-1]]  # the last has the same letters and says nothing
    for profile in (PROMPTS, OUTPUTS):
        (pair,) = near_duplicates(texts, profile=profile, engine=engine).edges
        assert (pair.left, pair.right) == (0, 1)
        assert pair.spans
        for a, b, c, d in pair.spans:
            assert texts[0][a:b] == texts[1][c:d]


@pytest.mark.parametrize(
    ("field", "theirs"),
    [("scheme", "datasketch-1"), ("seed", 7), ("num_perm", 64), ("profile", "word-3/2"), ("hashing", "sha1"),
     ("normalisation", "none/1"), ("unicode", "3.2.0")],
)  # fmt: skip
def test_signatures_of_another_make_are_refused_by_what_differs(field: str, theirs: str | int) -> None:
    ours = near_duplicates(["where is my card"], profile=PROMPTS).params
    stored = Params(**(ours.record() | {field: theirs}))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"signatures differ in {field}: {theirs} and ") as refused:
        check_same(stored, ours)
    assert "again with one set of parameters" in refused.value.todo
    check_same(ours, ours)
