"""The headless twins: what the console's screens show and do, as commands for scripts and screen readers."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from console.output import emit, open_store, project_of
from engine.context import Context
from store.client import Client
from store.errors import InputError, UsageError

Options = argparse.Namespace
QUEUES = ("audit", "duplicates", "disagreements", "ledger")


def spec_of(context: Context, kind: str, options: Options | None = None) -> dict[str, Any]:
    """What a queue of this kind is of, with the project's defaults: its teacher, newest runs, newest student."""
    given = {n: getattr(options, n, None) for n in ("filter", "sort", "seed", "model", "student")}
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
    return spec


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
    parser.add_argument("subject", help="as `spiritsafe queue` names it")
    parser.add_argument("verdict", help="ok bad unsure | left right both neither | keep choose distinct")
    parser.add_argument("--reason", type=int, help="1 to 9, with bad and neither")
    parser.add_argument(
        "--shown", action="append", default=[], help="ids of the outputs that you saw, in order"
    )


def verdict(options: Options) -> int:
    """Judge one subject."""
    payload: dict[str, Any] = {
        "queue": options.kind,
        "subject": options.subject,
        "verdict": options.verdict,
        "shown": options.shown,
    }
    needed = {"left": 2, "right": 2, "choose": 1}.get(options.verdict, 0)
    if len(options.shown) < needed:
        raise UsageError(
            f"{options.verdict} says which of the texts shown, so it needs them",
            todo="--shown ID --shown ID: as `spiritsafe show` names them, in its order.",
        )
    if options.reason is not None:
        payload["reason"] = options.reason
    return _act(options, "verdict", payload)


def configure_comment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject")
    parser.add_argument("text")


def comment(options: Options) -> int:
    """Remark on a subject."""
    return _act(options, "comment", {"subject": options.subject, "text": options.text})


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
