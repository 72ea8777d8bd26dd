"""The coverage report told four ways with the same numbers; a target for each bucket, from the command or the contract."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from console.plain import coverage_sheet
from console.widgets.bars import whiskered
from engine.clean.targets import parse_target
from engine.context import Context
from store.client import Client
from store.errors import SpiritsafeError
from tests.engine.routing import CONTRACT
from tests.engine.shell import Shell


@pytest.fixture
def shell(routing: Shell, tmp_path: Path) -> Shell:
    """The small project with a production log of three queues, one of which nobody has a sample of."""
    path = tmp_path / "log.jsonl"
    labels = ["card"] * 6 + ["cash"] * 2 + ["lost"] * 4
    path.write_text(
        "".join(json.dumps({"q": f"{x} question {i}", "gold": x}) + "\n" for i, x in enumerate(labels))
    )
    words = ("--prompt", "q", "--reference", "gold", "--split", "validation")
    routing("import", "--retrospective", "r", path, *words)
    routing("evaluation", "freeze")
    return routing


def numbers(text: str, bucket: str) -> list[str]:
    """Every number on the line of a bucket, in order."""
    line = next(line for line in text.splitlines() if re.match(rf"\W*{bucket}\b", line))
    return re.findall(r"\d+\.?\d*", line)


def test_table_markdown_json_and_screen_tell_the_same_numbers(shell: Shell) -> None:
    shell("coverage", "--by", "reference", "--target", "2")
    told = {b["reference"]: b for b in shell("report", "coverage")["buckets"]}
    table = shell.try_("report", "coverage").out
    page = shell.try_("report", "coverage", "--markdown").out
    with Client(shell.store) as store:
        sheet = coverage_sheet(Context(store, "r"), 120)
    assert next(iter(told)) == "lost"  # what production asks and nobody has stands first
    for name, b in told.items():
        counts = [b[key] for key in ("have", "clean", "target", "production", "evaluation")]
        shares = [
            f"{100 * float(b[f'{of}_{what}']):.1f}"
            for of in ("ours", "production", "evaluation")
            for what in ("share", "low", "high")
        ]
        assert numbers(table, name)[:14] == [*map(str, counts), *shares]
        assert numbers(page, name)[:14] == [*map(str, counts), *shares]
        beside = next(line for line in sheet.lines if line.text.startswith(name)).sections[0].text
        assert f"have {b['have']}, clean {b['clean']}, target 2: {b['state']}" in beside
        assert re.findall(r"(\d+\.\d)", beside) == shares
    assert float(told["card"]["evaluation_share"]) == pytest.approx(1 / 3, abs=1e-4)


def test_a_plot_shows_what_the_table_counts_in_a_pipe_and_without_colour(shell: Shell) -> None:
    shell("coverage", "--by", "reference", "--by", "len(prompt): 0, 40, 80")
    out = shell.try_("report", "coverage").out
    assert "by reference: ours, ┆ production" in out
    assert "by len(prompt): ours, ┆ production" in out
    assert "\x1b" not in out
    heads, first = (re.split(r"  +", line) for line in out.splitlines()[2:4])
    assert dict(zip(heads, first, strict=True))["reference"] in (
        "lost",
        "card",
        "cash",
    )  # a value under its heading
    lost = next(line for line in out.splitlines() if line.startswith("lost") and "┆" in line)
    assert lost.split()[:3] == ["lost", "0.0%", "18.2%"]
    assert lost.index("■") < lost.index("┆")


def test_a_bar_ends_at_its_estimate_with_the_interval_over_it() -> None:
    assert whiskered(0.5, 0.4, 0.6, 11) == "████├■┤    "
    assert whiskered(0.0, 0.0, 0.3, 11) == "■──┤       "


def test_every_bucket_may_have_a_target_of_its_own(shell: Shell) -> None:
    shell(
        "coverage",
        "--by",
        "reference",
        "--target",
        "1",
        "--target",
        "reference = card: 5",
        "--target",
        "reference = fax: 3",
    )
    told = {b["reference"]: b for b in shell("report", "coverage")["buckets"]}
    assert {name: b["target"] for name, b in told.items()} == {
        "card": 5,
        "cash": 1,
        "lost": 1,
        "other": 1,
        "fax": 3,
    }
    assert (told["fax"]["have"], told["fax"]["state"], told["card"]["state"]) == (0, "thin", "thin")
    assert "no bucket fits" in shell.refused(
        "coverage", "--by", "reference", "--target", "reference ~ cart: 5", code=3
    )
    for wrong in ("many", "reference = card", "reference = = card: 5"):
        with pytest.raises(SpiritsafeError):
            parse_target(wrong)


def test_the_contract_may_say_the_targets(shell: Shell, tmp_path: Path) -> None:
    page = (
        CONTRACT
        + """
[coverage]
dimensions = ["reference", { expression = "uncertainty", bins = [0.1, 0.3] }]
target = 2
targets = [{ where = "reference = card", samples = 7 }]
"""
    )
    (tmp_path / "c2.toml").write_text(page)
    shell("contract", "lock", tmp_path / "c2.toml")
    shell("coverage")
    told = {b["reference"]: b["target"] for b in shell("report", "coverage")["buckets"]}
    assert told == {"card": 7, "cash": 2, "lost": 2, "other": 2}


def test_what_buckets_lack_becomes_requests_to_their_target_or_to_productions_share(shell: Shell) -> None:
    shell(
        "coverage", "--by", "reference", "--target", "reference = card: 9", "--target", "reference = lost: 4"
    )
    asked = {r["where"]: r for r in shell("request", "--to", "target")["requests"]}
    assert {where: r["asked"] for where, r in asked.items()} == {
        "reference = 'card'": 9,
        "reference = 'lost'": 4,
    }
    assert asked["reference = 'lost'"]["next"] == 4  # the log holds them, and no teacher was asked yet
    shell("waive", "reference = 'card'", "--reason", "enough")
    again = shell("request", "--to", "production")["requests"]
    assert {r["where"]: r["about"] for r in again}["reference = 'lost'"] == "production's share"
    assert {r["where"]: r["asked"] for r in again} == {"reference = 'card'": 9, "reference = 'lost'": 2}
    shell("request", "reference = 'lost'", "30")  # by hand: it stays
    again = shell("request", "--to", "production")["requests"]
    assert {r["where"]: r["asked"] for r in again}["reference = 'lost'"] == 30
