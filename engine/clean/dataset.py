"""Stage ``dataset``: freeze a dataset version: which samples, why the others not, what it covers, under one hash.

The hash is over (prompt id, output id) in order, so that the same inputs give the same version on any machine.
Nothing of the evaluation set gets in: neither a prompt of it nor a verified near-duplicate of one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.clean.cover import bucket_rows, cover, dimensions_of, summary
from engine.context import Context
from engine.stages import as_mapping, option
from store import grammar, read
from store.canonical import digest_of
from store.errors import RuleError
from store.records import SetMember


@dataclass(frozen=True, slots=True)
class Params:
    """What goes in. Every rule counts what it drops."""

    split: str = option("train", "the split to take samples from")
    keep_failing: bool = option(False, "keep outputs that fail a check")
    keep_duplicates: bool = option(False, "keep near-duplicates that a representative stands for")
    keep_flagged: bool = option(False, "keep outputs that a reviewer called bad")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Freeze. Result: version, samples, dropped per rule, leaks, coverage, dataset_sha256, parent."""
    locked, frozen, teacher = context.locked(), context.evaluation_set(), context.model("teacher")
    outputs = context.store.ask(read.OUTPUTS, project=context.project, model=teacher, split=params.split)
    if not outputs:
        raise RuleError(
            f"{teacher} answered no prompt of split {params.split!r}", todo="spiritsafe generate, or import."
        )
    rules = _rules(context, params, frozen.run_id)
    dropped: Counter[str] = Counter()
    members = []
    for output in outputs:
        reason = next((name for name, hit in rules if hit(output)), None)
        if reason is None:
            members.append(output)
        else:
            dropped[reason] += 1
    if not members:
        raise RuleError("every sample was dropped", todo=f"By rule: {dict(dropped)}. See the --keep options.")
    dimensions, target = dimensions_of(context, (), 0)
    arrivals = context.store.ask(read.ARRIVALS, project=context.project, split=None)
    cells = cover(context, dimensions, target, {m.arrival_key for m in members}, arrivals)
    versions = context.runs("dataset")
    result = {
        "version": len(versions) + 1,
        "parent": versions[-1].result["dataset_sha256"] if versions else None,
        "teacher": teacher,
        "samples": len(members),
        "dropped": dict(dropped),
        "coverage": summary(cells),
        "dataset_sha256": digest_of(sorted((m.prompt_id, m.output_id) for m in members)),
    }
    if versions and result["dataset_sha256"] == result["parent"]:
        raise RuleError(f"nothing changed since version {len(versions)}", todo="Go on: spiritsafe train")
    inputs = {"contract": locked.hash, "set": frozen.result["set_sha256"]}
    opened = context.open("dataset", dict(as_mapping(params)), inputs)
    opened.add(
        "set_member",
        (
            SetMember(0, 0, m.arrival_key, m.prompt_id, m.output_key, m.output_id, m.reference)
            for m in members
        ),
    )
    opened.add("bucket", bucket_rows(cells))
    opened.close(result)
    return result


def _rules(context: Context, params: Params, evaluation_run: str) -> list[tuple[str, Any]]:
    """(name, whether it drops an output), in the order in which they are asked."""
    project = context.project
    test = {m.prompt_id for m in context.store.ask(read.SET_MEMBERS, project=project, run_id=evaluation_run)}
    removable, near_test = _duplicates(context, test)
    excluded = [grammar.parse(text) for text in context.contract().constraints.exclude]
    failed = {c.output_id for c in context.store.ask(read.CHECKS, project=project) if not c.passed}
    flagged = _flagged(context)

    def is_excluded(row: read.OutputRow) -> bool:
        values = {
            "prompt": row.prompt,
            "text": row.prompt,
            "reference": row.reference,
            "split": row.split,
            "output": row.text,
        }
        return any(grammar.holds(rule, values, msgspec.json.decode(row.metadata)) for rule in excluded)

    rules: list[tuple[str, Any]] = [
        ("in the evaluation set", lambda row: row.prompt_id in test),
        ("near-duplicate of the evaluation set", lambda row: row.prompt_id in near_test),
    ]
    if excluded:
        rules.append(("excluded by the contract", is_excluded))
    if not params.keep_flagged:
        rules.append(("flagged by a reviewer", lambda row: row.output_id in flagged))
    if not params.keep_failing:
        rules.append(("fails a check", lambda row: row.output_id in failed))
    if not params.keep_duplicates:
        rules.append(("near-duplicate", lambda row: row.prompt_id in removable or row.output_id in removable))
    return rules


def _duplicates(context: Context, test: set[str]) -> tuple[set[str], set[str]]:
    """Ids that a representative stands for, and training prompts near one of the evaluation set."""
    runs = context.runs("dedup")
    if not runs:
        return set(), set()
    latest = runs[-1].run_no
    members = context.store.ask(read.CLUSTER_MEMBERS, project=context.project, run_no=latest)
    edges = context.store.ask(read.EDGES, project=context.project, run_no=latest)
    near = {
        b
        for e in edges
        if e.field == "prompt"
        for a, b in ((e.left_id, e.right_id), (e.right_id, e.left_id))
        if a in test
    }
    return {m.subject_id for m in members if not m.representative}, near - test


def _flagged(context: Context) -> set[str]:
    """Outputs that somebody calls bad, for a reason that keeps samples out of training."""
    drops = {r.digit for r in context.contract().reasons if r.train_drop}
    verdicts = context.store.ask(read.VERDICTS, project=context.project, queue="audit")
    return {v.subject for v in verdicts if v.verdict == "bad" and v.reason in drops}
