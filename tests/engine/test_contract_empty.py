"""Predicates that nothing can meet are named with their line; so are slices that no arrival is in so far."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import check, parse
from engine.contract_empty import contradiction
from store import grammar
from tests.engine.routing import CONTRACT
from tests.engine.shell import Shell
from tests.engine.test_contract import named_line
from tests.engine.test_contract_page import WHOLE

EMPTY = (
    "a = 1 and a = 2", "len(prompt) > 5 and len(prompt) < 3", "len(prompt) > 5 and len(prompt) < 6", "words(prompt) < 0",
    "a in (x, y) and a not in (x, y)", "a between 5 and 3", "vip and not vip", "a is null and a = 1", "source = prod",
    "split = live", "a = true and a = no", "(a = 1 or a = 2) and a = 3", "not (a = 1 or not a = 1)",
    "tier = gold and b = 1 and tier = silver", "a = x and a > y", "number(a) > 3 and number(a) < 2",
)  # fmt: skip
POSSIBLE = (
    "a > 5 and a < 6", "len(prompt) > 5 and len(prompt) < 7", "a = 1 and a = '01'", "a > '2' and a < 15", "a = true and a = 5",
    "a = x and a = y or b = 2", "not vip and not tier = vip", "prompt ~ x and not prompt ~ y", "a != x and a != y",
    "split = test and source = edge_case", "lower(tier) = gold", "a > 0.1 and a < 0.1000000001", "a = prompt and a != prompt",
    "language(prompt) = 'de'",
)  # fmt: skip


@pytest.mark.parametrize("text", EMPTY)
def test_what_no_arrival_could_ever_be_is_seen(text: str) -> None:
    assert contradiction(text)


@pytest.mark.parametrize("text", POSSIBLE)
def test_what_some_arrival_could_be_is_left_alone(text: str) -> None:
    assert contradiction(text) == ""


def test_a_language_that_only_an_import_can_tell_is_refused_for_that() -> None:
    (problem,) = [
        p
        for p in check(parse(CONTRACT.replace("prompt ~ 'secret'", "language(prompt) = 'de'")))
        if "told" in p.what
    ]
    assert "language() cannot be told here" in problem.what


def test_slices_by_name_are_written_out_first() -> None:
    slices = {"short": "len(prompt) < 20"}
    assert contradiction("slice = short and len(prompt) > 30", slices)
    assert contradiction("slice = short and len(prompt) > 10", slices) == ""


constants = st.sampled_from(
    ["0", "1", "2", "-1", "1.5", "x", "yx", "'1'", "'01'", "'z'", "true", "false", "no"]
)
atoms = st.one_of(
    st.builds(
        "{} {} {}".format,
        st.sampled_from("ab"),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        constants,
    ),
    st.builds(
        "{} {} ({}, {})".format,
        st.sampled_from("ab"),
        st.sampled_from(["in", "not in"]),
        constants,
        constants,
    ),
    st.sampled_from(
        ["a", "not b", "a is null", "b is not null", "a between 1 and 2", "not (a = 1 or b = x)"]
    ),
)
VALUES: tuple[Any, ...] = (
    None,
    "",
    "x",
    "yx",
    "z",
    "1",
    "01",
    "1.0",
    1,
    2,
    1.5,
    -1,
    0,
    True,
    False,
    "no",
    7,
    "0.5",
    "~",
)
ROWS = [
    {k: v for k, v in zip("ab", pair, strict=True) if v is not None}
    for pair in itertools.product(VALUES, VALUES)
]


@given(st.lists(st.tuples(atoms, st.sampled_from([" and ", " or "])), min_size=1, max_size=6))
def test_a_predicate_that_some_row_meets_is_never_called_empty(some: list[tuple[str, str]]) -> None:
    text = "".join(atom + joint for atom, joint in some).removesuffix(" and ").removesuffix(" or ")
    rule = grammar.parse(text)
    if any(grammar.holds(rule, {}, row) for row in ROWS):
        assert contradiction(text) == "", text


@given(
    st.lists(
        st.builds("a {} {}".format, st.sampled_from(["=", "!=", "<", ">="]), st.integers(0, 3)),
        min_size=1,
        max_size=5,
    )
)
def test_of_plain_numbers_every_contradiction_is_seen(some: list[str]) -> None:
    text = " and ".join(some)
    rule = grammar.parse(text)
    possible = any(grammar.holds(rule, {}, {"a": half / 2}) for half in range(-2, 10))
    assert bool(contradiction(text)) is not possible


def test_the_contract_names_the_line_and_the_conditions_and_is_not_locked() -> None:
    for old, new, line in (
        ("channel = phone", "channel = phone and channel = mail and tier = gold", "where"),
        ("consent = no", "consent = no and consent = yes", "exclude"),
        ("channel = phone", "slice = 'edge cases' and source = production", "where"),
    ):
        text = WHOLE.replace(old, new)
        (problem,) = check(parse(text), text)
        assert problem.what.startswith("nothing can meet ")
        assert named_line(text, problem.where).startswith(line)
    assert (
        "no value has channel = phone and channel = mail"
        in check(
            parse(
                one := WHOLE.replace("channel = phone", "channel = phone and channel = mail and tier = gold")
            ),
            one,
        )[0].what
    )


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.delenv("SPIRITSAFE_PROJECT", raising=False)
    found = Shell(tmp_path / "e.duckdb")
    yield found
    found.close()


def test_a_slice_that_no_test_arrival_is_in_is_told_with_its_line_and_hinders_nothing(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "contract.toml"
    path.write_text(WHOLE)
    shell("init", "p", "--contract", tmp_path / "template.toml")
    assert "advice" not in shell("contract", "check", path)  # there are no prompts yet
    rows = [{"q": f"mail {i}", "gold": "shipping", "channel": "mail", "consent": "yes"} for i in range(300)]
    rows += [{"q": f"call {i}", "gold": "shipping", "channel": "phone", "consent": "yes"} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--prompt", "q", "--reference", "gold", "--meta", "channel=channel", "--meta", "consent=consent")
    shell("import", tmp_path / "rows.jsonl", *words, "--split", "test")
    urgent, edges = shell("contract", "check", path)["advice"]
    assert urgent["what"] == "40 of the 340 test arrivals are in the slice 'urgent'"
    assert "200 at the least" in urgent["todo"]  # the contract's minimum_n
    assert edges["what"] == "none of the 340 test arrivals is in the slice 'edge cases'"
    line = int(edges["where"].rpartition(":")[2])
    assert WHOLE.splitlines()[line - 1] == 'where = "source = edge_case"'
    assert shell("contract", "lock", path)["advice"] == [urgent, edges]
