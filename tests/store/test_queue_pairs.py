"""The queue of near-duplicate pairs: its order, who is the test's, what goes along it, and the way from group to group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.client import Client
from store.errors import InputError
from store.queue_duplicates import facts_of
from store.records import ClusterMember, Edge, SetMember, key_of
from tests.factories import arrival

SPLITS = {"d": "test", "e": "validation"}
# (left, right, Jaccard, kind) of texts a … i, and who stands for others
PAIRS = [
    ("b", "c", 0.8, "words"), ("a", "b", 0.9, "slot"), ("a", "c", 0.75, "words"), ("a", "h", 0.5, "truncation"),
    ("d", "e", 0.95, "words"), ("f", "g", 1.0, "surface"), ("h", "i", 0.7, "words"),
]  # fmt: skip
STAND = "adfh"
GROUPS = ("abchi", "de", "fg")


@pytest.fixture
def store(near_store: Client) -> Client:
    return near_store


def found(store: Client, prompts: str = "abcdefghi") -> tuple[dict[str, Any], dict[str, int], list[Any]]:
    """The specification of a queue of those pairs, the keys of the texts, their arrivals."""
    run = store.run("demo", "import", params={}, inputs={})
    made = [arrival(f"text {name}", split=SPLITS.get(name, "train")) for name in prompts]
    run.add("arrival", made)
    run.close()
    keys = {name: key_of(run.run_no, i) for i, name in enumerate(prompts)}
    ids = {name: made[i].prompt_id for i, name in enumerate(prompts)}
    dedup = store.run("demo", "dedup", params={}, inputs={})
    dedup.add(
        "edge",
        [
            Edge(0, 0, "prompt", keys[a], keys[b], ids[a], ids[b], j, 1.0, kind, "[]")
            for a, b, j, kind in PAIRS
        ],
    )
    dedup.add(
        "cluster_member",
        [
            ClusterMember(0, 0, "prompt", n, keys[name], ids[name], name in STAND)
            for n, group in enumerate(GROUPS)
            for name in group
        ],
    )
    dedup.close({"prompt": {}, "output": {}})
    return {"kind": "duplicates", "project": "demo", "run_id": dedup.run_id}, keys, made


def opened(store: Client, spec: dict[str, Any], where: str = "") -> str:
    name: str = store.call("open_queue", spec=spec | {"filter": where})["id"]
    return name


def rows(store: Client, queue: str) -> list[tuple[str, str]]:
    """The two texts of every pair, by their letters."""
    window = store.call("window", queue=queue, low=0, high=100)
    return [(cells[1][-1], cells[2][-1]) for *_, cells in window]


def test_the_largest_group_comes_first_and_in_it_the_pairs_along_which_a_text_goes(store: Client) -> None:
    queue = opened(store, found(store)[0])
    removing = [("a", "b"), ("a", "c"), ("h", "i")]
    assert rows(store, queue) == [*removing, ("a", "h"), ("b", "c"), ("d", "e"), ("f", "g")]
    assert store.call("pair_counts", queue=queue) == {"groups": 3, "leaks": 1, "goes": 5, "of": 3}


def test_a_prompt_of_the_newest_evaluation_set_is_the_tests_wherever_it_came(store: Client) -> None:
    spec, keys, made = found(store)
    for names in ("f", "b"):
        frozen = store.run("demo", "evaluation", params={}, inputs={})
        members = [
            SetMember(0, 0, keys[n], made["abcdefghi".index(n)].prompt_id, None, None, None) for n in names
        ]
        frozen.add("set_member", members)
        frozen.close()
    queue = opened(store, spec, "leak = true")
    assert rows(store, queue) == [("a", "b"), ("b", "c"), ("d", "e")]
    detail = store.call("detail", queue=queue, position=0)
    assert (detail["test"], detail["splits"], detail["leak"]) == ([False, True], ["train", "train"], True)
    assert (detail["size"], detail["goes"], detail["cluster"]) == (5, 3, 1)
    assert store.call("window", queue=queue, low=0, high=1)[0][3][0].endswith(" LEAK")


@pytest.mark.parametrize(
    ("where", "pairs", "goes"),
    [
        ("jaccard >= 0.8", 4, 3),
        ("removes", 5, 5),
        ("not removes", 2, 0),
        ("cluster = 2", 1, 1),
        ("edit = 'slot'", 1, 1),
    ],
)
def test_a_filter_is_counted_with_the_texts_that_go_along_what_it_leaves(
    store: Client, where: str, pairs: int, goes: int
) -> None:
    queue = opened(store, found(store)[0], where)
    assert (len(rows(store, queue)), store.call("pair_counts", queue=queue)["goes"]) == (pairs, goes)


def test_from_group_to_group_and_back_to_the_first_row_of_each(store: Client) -> None:
    queue = opened(store, found(store)[0])

    def step(position: int, by: int) -> int | None:
        at: int | None = store.call("next_group", queue=queue, position=position, step=by)
        return at

    assert [step(0, 1), step(3, 1), step(5, 1), step(6, 1)] == [5, 5, 6, None]
    assert [step(6, -1), step(5, -1), step(4, -1), step(0, -1)] == [5, 0, 0, None]
    assert [step(0, 2), step(0, 9), step(6, -9)] == [6, 6, 0]


def test_a_pair_is_found_again_in_another_view_or_its_group_or_what_comes_after(store: Client) -> None:
    spec = found(store)[0]
    whole = opened(store, spec)
    pair = store.call("detail", queue=whole, position=5)
    narrow, others = opened(store, spec, "jaccard >= 0.9"), opened(store, spec, "jaccard < 0.9")
    asked = {"key": pair["key"], "group": pair["cluster"]}
    assert rows(store, narrow)[store.call("pair_place", queue=narrow, **asked)] == ("d", "e")
    assert store.call("pair_place", queue=others, **asked) == 0  # no such group and none after it
    assert store.call("pair_place", queue=others, key=pair["key"], group=1) == 0


def test_only_a_queue_of_pairs_has_groups(store: Client) -> None:
    found(store)
    queue = store.call("open_queue", spec={"kind": "ledger", "project": "demo"})["id"]
    with pytest.raises(InputError, match="is not of pairs"):
        store.call("pair_counts", queue=queue)


@given(st.integers(1, 1 << 40), st.lists(st.booleans(), min_size=4, max_size=4))
def test_what_is_packed_is_what_is_unpacked(group: int, flags: Sequence[bool]) -> None:
    packed = group * 16 + sum(flag << (3 - i) for i, flag in enumerate(flags))
    facts = facts_of(packed)
    assert (facts.group, [*facts.stands, *facts.test]) == (group, list(flags))
    assert facts.leak == (flags[2] != flags[3])
    assert facts.kept_first == (flags[0] or not flags[1])
