"""Stage ``dataset``: freeze a dataset version: which samples, why the others not, what it covers, under one hash.

The hash is over (prompt id, output id) in order, so that the same inputs give the same version on any machine.
Nothing of the evaluation set gets in: neither a prompt of it nor a verified near-duplicate of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
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
    near = _near(context)
    members, dropped = _kept(context, params, outputs, _rules(context, params, frozen.run_id, near))
    if not params.keep_duplicates:
        kept = near.distinct(members, outputs=context.contract().task.kind != "label")
        dropped["near-duplicate"] = len(members) - len(kept)
        members = kept
    dropped += Counter()  # drops what is zero
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
    inputs = {"contract": locked.hash, "set": frozen.result["set_sha256"], "dedup": near.run_id}
    if versions and result["dataset_sha256"] == result["parent"] and versions[-1].inputs == inputs:
        raise RuleError(f"nothing changed since version {len(versions)}", todo="Go on: spiritsafe train")
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


Rules = list[tuple[str, Callable[[read.OutputRow], bool]]]


def _kept(
    context: Context, params: Params, outputs: list[read.OutputRow], rules: Rules
) -> tuple[list[read.OutputRow], Counter[str]]:
    """The outputs that no rule drops, and how many the first rule to hit each of the others dropped."""
    dropped: Counter[str] = Counter()
    members = []
    for i, output in enumerate(outputs):
        reason = next((name for name, hit in rules if hit(output)), None)
        if reason is None:
            members.append(output)
        else:
            dropped[reason] += 1
        if i % 5000 == 4999:
            context.progress(f"dataset {params.split}", i + 1, len(outputs))
    return members, dropped


def _rules(context: Context, params: Params, evaluation_run: str, near: _Near) -> Rules:
    """(name, whether it drops an output), in the order in which they are asked."""
    project = context.project
    test = {m.prompt_id for m in context.store.ask(read.SET_MEMBERS, project=project, run_id=evaluation_run)}
    near_test = {other for prompt in test for other in near.edges.get(prompt, ())} - test
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

    rules: Rules = [
        ("in the evaluation set", lambda row: row.prompt_id in test),
        ("near-duplicate of the evaluation set", lambda row: row.prompt_id in near_test),
    ]
    if excluded:
        rules.append(("excluded by the contract", is_excluded))
    if not params.keep_flagged:
        rules.append(("flagged by a reviewer", lambda row: row.output_id in flagged))
    if not params.keep_failing:
        rules.append(("fails a check", lambda row: row.output_id in failed))
    return rules


@dataclass(frozen=True, slots=True)
class _Near:
    """The newest near-duplicate pass over the prompts, and over the outputs if there was one: ids only."""

    run_id: str  # of the pass over the prompts
    edges: dict[str, set[str]]  # id -> ids with a verified edge to it
    removable: set[str]  # ids that a representative stands for

    def distinct(self, members: list[read.OutputRow], *, outputs: bool) -> list[read.OutputRow]:
        """Members without those that a kept one stands for; one whose representative was dropped may stay.

        ``outputs``: look at outputs too. Not for labels: there every right answer is a duplicate.
        """
        kept_ids: set[str] = set()
        kept: set[int] = set()
        for row in sorted(members, key=lambda r: (r.prompt_id in self.removable, r.output_key)):
            ids = [row.prompt_id, row.output_id] if outputs else [row.prompt_id]
            if not any(i in self.removable and self.edges.get(i, set()) & kept_ids for i in ids):
                kept.add(row.output_key)
                kept_ids.update(ids)
        return [row for row in members if row.output_key in kept]


def _near(context: Context) -> _Near:
    """What the near-duplicate stage found. Raises RuleError where the prompts that are here were not compared."""
    runs = context.runs("dedup")
    newest = {field: r for r in runs for field in ("prompt", "output") if field in r.result}
    todo = "spiritsafe dedup"
    if "prompt" not in newest:
        raise RuleError(
            "the prompts were not compared with the evaluation set's for near-duplicates", todo=todo
        )
    compared = newest["prompt"].result["prompt"]["texts"]
    arrivals = context.store.fetch(read.ARRIVALS, project=context.project, split=None)
    here = len(set(arrivals["prompt_id"].to_pylist()))
    if here > compared:
        raise RuleError(f"{here - compared:,} prompts came after the last near-duplicate pass", todo=todo)
    edges: dict[str, set[str]] = {}
    removable: set[str] = set()
    for field, run_ in newest.items():
        for e in context.store.ask(read.EDGES, project=context.project, run_no=run_.run_no):
            if e.field == field:
                edges.setdefault(e.left_id, set()).add(e.right_id)
                edges.setdefault(e.right_id, set()).add(e.left_id)
        members = context.store.ask(read.CLUSTER_MEMBERS, project=context.project, run_no=run_.run_no)
        removable |= {m.subject_id for m in members if m.field == field and not m.representative}
    return _Near(newest["prompt"].run_id, edges, removable)


def _flagged(context: Context) -> set[str]:
    """Outputs that somebody calls bad, for a reason that keeps samples out of training."""
    drops = {r.digit for r in context.contract().reasons if r.train_drop}
    verdicts = context.store.ask(read.VERDICTS, project=context.project, queue="audit")
    return {v.subject for v in verdicts if v.verdict == "bad" and v.reason in drops}
