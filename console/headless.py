"""The headless twins: what a queue is of, the options that say so, and reports.

Queues themselves are in ``headless_queue.py``, acts in ``headless_acts.py``.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from console.named_slices import refuse_no_slice
from console.output import emit, open_store, project_of
from console.text import visible
from engine.context import Closed, Context
from store import grammar, slices
from store.errors import InputError

Options = argparse.Namespace
JUDGED = ("audit", "duplicates", "semantic", "disagreements")
QUEUES = (*JUDGED, "adjudicate", "ledger")


def spec_of(context: Context, kind: str, options: Options | None = None, **wanted: Any) -> dict[str, Any]:
    """What a queue of this kind is of, with the project's defaults: its teacher, newest runs, newest student.

    ``wanted`` (a filter, a seed, a text to be ``similar`` to, …) goes before what ``options`` say. Raises InputError
    for a filter that names nothing known, RuleError where a stage must run first.
    """
    given = {n: getattr(options, n, None) for n in ("filter", "sort", "seed", "model", "student")} | wanted
    spec: dict[str, Any] = {"kind": kind, "project": context.project, "seed": given["seed"] or 0}
    spec |= {
        "filter": given["filter"] or "",
        "sort": given["sort"] or "",
        "blind": not getattr(options, "open", False),
    }
    if kind == "audit":
        spec["model"] = context.model("teacher", given["model"] or "")
        spec |= {"similar": given["similar"]} if given.get("similar") else {}
    if kind in ("audit", "adjudicate"):
        spec |= by_plan(context, kind, options, given)
    if kind == "duplicates":
        spec["run_id"] = " ".join(run.run_id for run in compared(context))
    elif kind == "semantic":
        spec["run_id"] = context.latest("semantic", "Look for them first: spiritsafe semantic").run_id
    elif kind == "disagreements":
        evaluated = context.latest("evaluate", "Score the models first: spiritsafe evaluate")
        spec |= {
            "run_id": evaluated.run_id,
            "teacher": evaluated.result["teacher"],
            "metric": evaluated.result["metric"],
        }
        spec["model"] = context.model("student", given["student"] or "")
    if spec["filter"] and kind in ("audit", "adjudicate", "disagreements"):
        refuse_unknown(context, spec["filter"])
    return spec


def compared(context: Context) -> list[Closed]:
    """The newest near-duplicate pass over prompts and the one over outputs, oldest first: as a freeze takes them.

    Raises RuleError where there is none.
    """
    context.latest("dedup", "Find them first: spiritsafe dedup")
    runs = context.runs("dedup")
    newest = {field: run for run in runs for field in ("prompt", "output") if field in run.result}
    return [run for run in runs if run in newest.values()]


def by_plan(context: Context, kind: str, options: Options | None, given: dict[str, Any]) -> dict[str, Any]:
    """The plan whose draw a queue is of: its run id in ``given``, or what an option names."""
    named = getattr(options, "plan", "") or ""
    plan, everyone = given.get("plan", ""), bool(given.get("everyone") or getattr(options, "everyone", False))
    if named:
        from console.standings import plan_named

        found = plan_named(context, named)
        plan = found.id
        if kind == "audit":
            return {"plan": plan, "everyone": everyone, "model": found.locked.model}
    return {"plan": plan, "everyone": everyone} if plan else {}


COLUMNS = (
    "prompt", "text", "output", "reference", "split", "reviewed", "flagged", "unsure", "verdict", "reason", "tokens",
    "uncertainty", "disagreement", "script",
    "source", "latency_ms", "checked", "stratum", "teacher_right", "student_right",
)  # fmt: skip


def refuse_unknown(context: Context, text: str) -> None:
    """Raise InputError where a filter names no column, metadata key or slice: it would only find nothing."""
    from store import read

    keys = {k.key for k in context.store.ask(read.METADATA_KEYS, project=context.project)}
    if slices.NAME in text:
        text = refuse_no_slice(context, text, keys)
    named = {name.removeprefix("meta.") for name in grammar.read_names(grammar.parse(text))}
    if unknown := sorted(named - keys - set(COLUMNS)):
        known = ", ".join([*COLUMNS[:9], *sorted(keys)])
        raise InputError(
            f"no column or metadata key {unknown[0]!r}", where="filter", todo=f"There are {known}."
        )


def context_of(options: Options) -> Context:
    """The store and the project that the options mean."""
    store = open_store(options)
    return Context(store, project_of(options, store))


def queue_options(parser: argparse.ArgumentParser) -> None:
    """Which queue, and how."""
    parser.add_argument("kind", choices=QUEUES)
    parser.add_argument(
        "--filter", default="", help="in the filter grammar, e.g. 'tier = vip and not reviewed'"
    )
    parser.add_argument("--sort", default="", help="an expression, asc or desc behind it")
    parser.add_argument("--seed", type=int, default=0, help="random order by this seed")
    parser.add_argument("--model", default="", help="audit: whose outputs (default: the teacher's)")
    parser.add_argument("--student", default="", help="disagreements: which student (default: the newest)")
    parser.add_argument(
        "--plan",
        default="",
        help="audit, adjudicate: only what this plan drew: its number, its id, or newest",
    )
    parser.add_argument("--everyone", action="store_true", help="--plan: also what is assigned to others")
    parser.add_argument(
        "--open", action="store_true", help="not blind: may filter by what tells the source; recorded so"
    )


REPORT_WIDTH = 100
REPORTS = ("evaluation", "gate", "coverage", "runs", "audit", "agreement", "semantic")


def configure_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=REPORTS, default="evaluation")
    parser.add_argument("--markdown", action="store_true", help="coverage: as a Markdown table")
    parser.add_argument(
        "--rebalance",
        action="store_true",
        help="coverage: weights and a draw that bring the data to production",
    )


def report(options: Options) -> int:
    """Print what the newest run of a stage found."""
    context = context_of(options)
    if options.what == "runs":
        runs = [
            {"run": r.run_no, "stage": r.stage, "event": r.seq, "rows": len(r.digests)}
            for r in context.runs()
        ]
        return emit(options, {"runs": runs})
    if options.what in ("audit", "agreement"):
        from console.audit_commands import TOLD

        return TOLD[options.what](options, context)
    if options.what == "coverage":
        from console.coverage_commands import coverage_report

        return coverage_report(options, context)
    if options.what == "semantic":
        return _semantic(options, context)
    stage = {"evaluation": "evaluate", "gate": "gate"}[options.what]
    found = context.latest(stage, f"Run it first: spiritsafe {stage}").result
    if options.json:
        return emit(options, found)
    from console.gate_words import evaluation_table, gate_table

    lines = gate_table(found) if options.what == "gate" else evaluation_table(context, found)
    sys.stdout.write(visible("\n".join(line.rstrip() for line in lines), lines=True) + "\n")
    return 0


def _semantic(options: Options, context: Context) -> int:
    from console.meaning import report_lines, report_of

    told = report_of(context)
    if options.json:
        return emit(options, told)
    sys.stdout.write(visible("\n".join(report_lines(told, REPORT_WIDTH)), lines=True) + "\n")
    return 0
