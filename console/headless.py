"""The headless twins: what the console's screens show and do, as commands for scripts and screen readers."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from console.output import emit, open_store, project_of
from engine.context import Context
from store import grammar
from store.canonical import ID_CHARS
from store.client import Client
from store.errors import InputError

Options = argparse.Namespace
QUEUES = ("audit", "duplicates", "disagreements", "ledger")


def spec_of(context: Context, kind: str, options: Options | None = None, **wanted: Any) -> dict[str, Any]:
    """What a queue of this kind is of, with the project's defaults: its teacher, newest runs, newest student.

    ``wanted`` (a filter, a seed, …) goes before what ``options`` say. Raises InputError for a filter that names
    nothing known, RuleError where a stage must run first.
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
    elif kind == "duplicates":
        spec["run_id"] = context.latest("dedup", "Find them first: spiritsafe dedup").run_id
    elif kind == "disagreements":
        evaluated = context.latest("evaluate", "Score the models first: spiritsafe evaluate")
        spec |= {
            "run_id": evaluated.run_id,
            "teacher": evaluated.result["teacher"],
            "metric": evaluated.result["metric"],
        }
        spec["model"] = context.model("student", given["student"] or "")
    if spec["filter"] and kind in ("audit", "disagreements"):
        refuse_unknown(context, spec["filter"])
    return spec


COLUMNS = (
    "prompt", "text", "output", "reference", "split", "reviewed", "flagged", "unsure", "verdict", "reason", "tokens",
    "source", "latency_ms", "checked", "teacher_right", "student_right",
)  # fmt: skip


def refuse_unknown(context: Context, text: str) -> None:
    """Raise InputError where a filter names neither a column nor a metadata key: it would only find nothing."""
    from store import read

    keys = {k.key for k in context.store.ask(read.METADATA_KEYS, project=context.project)} | {"slice"}
    named = {name.removeprefix("meta.") for name in grammar.read_names(grammar.parse(text))}
    if unknown := sorted(named - keys - set(COLUMNS)):
        known = ", ".join([*COLUMNS[:9], *sorted(keys)])
        raise InputError(
            f"no column or metadata key {unknown[0]!r}", where="filter", todo=f"There are {known}."
        )


def _context(options: Options) -> Context:
    store = open_store(options)
    return Context(store, project_of(options, store))


def _queue_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=QUEUES)
    parser.add_argument(
        "--filter", default="", help="in the filter grammar, e.g. 'tier = vip and not reviewed'"
    )
    parser.add_argument("--sort", default="", help="an expression, asc or desc behind it")
    parser.add_argument("--seed", type=int, default=0, help="random order by this seed")
    parser.add_argument("--model", default="", help="audit: whose outputs (default: the teacher's)")
    parser.add_argument("--student", default="", help="disagreements: which student (default: the newest)")
    parser.add_argument(
        "--open", action="store_true", help="not blind: may filter by what tells the source; recorded so"
    )


def configure_queue(parser: argparse.ArgumentParser) -> None:
    _queue_options(parser)
    parser.add_argument("--at", type=int, default=1, help="first position shown, from 1")
    parser.add_argument("--rows", type=int, default=20)


def queue(options: Options) -> int:
    """List a queue's rows: position, subject, your verdict, texts."""
    context = _context(options)
    opened = context.store.call("open_queue", spec=spec_of(context, options.kind, options))
    low = options.at - 1
    rows = context.store.call("window", queue=opened["id"], low=low, high=low + min(options.rows, 1000))
    context.store.call("close_queue", queue=opened["id"])
    told = [
        {"position": p + 1, "subject": s, "mark": m, "cells": [str(c)[:200] for c in cells]}
        for p, s, m, cells in rows
    ]
    return emit(options, {"length": opened["length"], "reviewed": opened["reviewed"], "rows": told})


def configure_show(parser: argparse.ArgumentParser) -> None:
    _queue_options(parser)
    parser.add_argument("--at", type=int, default=1, help="position, from 1")


def show(options: Options) -> int:
    """Everything that may be seen of one subject."""
    context = _context(options)
    opened = context.store.call("open_queue", spec=spec_of(context, options.kind, options))
    found = context.store.call("detail", queue=opened["id"], position=options.at - 1)
    context.store.call("close_queue", queue=opened["id"])
    return emit(options, found)


def configure_verdict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=QUEUES[:3])
    parser.add_argument(
        "subject", help="a row number, or the subject's id: `spiritsafe queue KIND` lists both"
    )
    parser.add_argument(
        "verdict",
        help="audit: ok bad unsure; disagreements: left right both neither; duplicates: keep choose distinct",
    )
    parser.add_argument("--reason", type=int, help="1 to 9, with bad and neither")
    parser.add_argument("--filter", default="", help="the rows are those of this filter")


def verdict(options: Options) -> int:
    """Judge one subject; left and right are as `spiritsafe show` shows them to you."""
    context = _context(options)
    found = _subject(context, options.kind, options.subject, options.filter)
    shown = [o["output_id"] for o in found.get("outputs", [])] or list(found["ids"])
    if options.kind == "duplicates":
        shown = shown if found["representative"][0] or not found["representative"][1] else shown[::-1]
        shown = shown[::-1] if options.verdict == "choose" else shown
    payload: dict[str, Any] = {
        "queue": options.kind,
        "subject": found["subject"],
        "verdict": options.verdict,
        "shown": shown,
        "position": found["position"],
        "revealed": bool(found["revealed"]),
    }
    if options.reason is not None:
        payload["reason"] = options.reason
    answer = context.store.act("verdict", context.project, payload)
    return emit(options, {"event": answer["seq"], "subject": found["subject"]})


def _subject(context: Context, kind: str, named: str, filter: str = "") -> dict[str, Any]:
    """The detail of a subject by row number or id; raises InputError where the queue holds none such."""
    store = context.store
    queue = store.call("open_queue", spec=spec_of(context, kind, filter=filter))
    try:
        if named.isdigit() and len(named) < ID_CHARS:
            position: int | None = int(named) - 1
        else:
            position = _position(store, queue, named)
        if position is None or not 0 <= position < queue["length"]:
            raise InputError(
                f"no row or subject {named!r} among the {queue['length']:,} of {kind}",
                todo=f"spiritsafe queue {kind} lists rows and subjects.",
            )
        found: dict[str, Any] = store.call("detail", queue=queue["id"], position=position)
    finally:
        store.call("close_queue", queue=queue["id"])
    return found


def _position(store: Client, queue: dict[str, Any], subject: str) -> int | None:
    for low in range(0, queue["length"], 1000):
        for position, found, *_ in store.call(
            "window", queue=queue["id"], low=low, high=min(low + 1000, queue["length"])
        ):
            if found == subject:
                return int(position)
    return None


def configure_comment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=QUEUES[:3])
    parser.add_argument("subject", help="a row number, or the subject's id")
    parser.add_argument("text")


def comment(options: Options) -> int:
    """Remark on a subject."""
    context = _context(options)
    found = _subject(context, options.kind, options.subject)
    answer = context.store.act(
        "comment", context.project, {"subject": found["subject"], "text": options.text}
    )
    return emit(options, {"event": answer["seq"], "subject": found["subject"]})


def configure_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("choice", help="what was chosen")
    parser.add_argument("reason", help="why")
    parser.add_argument("--rejected", action="append", default=[], help="an option that was rejected")


def why(options: Options) -> int:
    """Record the reason of a choice that is not obvious."""
    return _act(
        options, "why", {"choice": options.choice, "reason": options.reason, "rejected": options.rejected}
    )


def undo(options: Options) -> int:
    """Undo your own latest act."""
    return _act(options, "undo", {})


def redo(options: Options) -> int:
    """Redo what you undid last."""
    return _act(options, "redo", {})


def _act(options: Options, kind: str, payload: dict[str, Any]) -> int:
    store = open_store(options)
    answer = store.act(kind, project_of(options, store), payload)
    return emit(options, {"event": answer["seq"]} | ({"was": answer["undone"]} if "undone" in answer else {}))


def configure_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", choices=("evaluation", "gate", "coverage", "runs"), default="evaluation"
    )


def report(options: Options) -> int:
    """Print what the newest run of a stage found."""
    context = _context(options)
    if options.what == "runs":
        runs = [
            {"run": r.run_no, "stage": r.stage, "event": r.seq, "rows": len(r.digests)}
            for r in context.runs()
        ]
        return emit(options, {"runs": runs})
    if options.what == "coverage":
        return emit(options, {"buckets": buckets(context.store, context)})
    stage = {"evaluation": "evaluate", "gate": "gate"}[options.what]
    found = context.latest(stage, f"Run it first: spiritsafe {stage}").result
    if options.what == "evaluation" and not options.json:
        rows = [
            {"model": name, **{k: v for k, v in m.items() if k not in ("labels", "latency_ms")}}
            for name, m in found["models"].items()
        ]
        return emit(options, {"set": found["set"], "metric": found["metric"], "models": rows})
    return emit(options, found)


def buckets(store: Client, context: Context) -> list[dict[str, Any]]:
    """The newest coverage grid, thin and missing first."""
    from store import read

    runs = context.runs("coverage") + context.runs("dataset")
    if not runs:
        raise InputError("nothing was covered yet", todo="spiritsafe coverage")
    newest = max(runs, key=lambda r: r.seq)
    rows = store.ask(read.BUCKETS, project=context.project, run_no=newest.run_no)
    return [
        {**msgspec.json.decode(b.cell), "have": b.have, "clean": b.clean, "production": b.production,
         "evaluation": b.evaluation, "target": b.target}
        for b in rows
    ]  # fmt: skip
