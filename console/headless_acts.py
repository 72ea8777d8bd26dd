"""Acts headless: verdicts, one or many, comments, reasons, undo; and slices, which are acts too."""

from __future__ import annotations

import argparse
from typing import Any

from console import meaning, named_slices
from console.headless import JUDGED, Options, context_of, refuse_unknown, spec_of
from console.headless_queue import opened, subject_of
from console.output import emit, open_store, project_of
from console.selection import (
    EVERY,
    MARKED,
    Choice,
    allow_bulk,
    named_bulk,
    payload_of_bulk,
    rows_named,
    subjects_in,
)
from engine.context import Context
from store.errors import InputError, RuleError, UsageError

ALL = "all"


def configure_verdict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=JUDGED)
    parser.add_argument(
        "subject",
        help="a row number, or the subject's id: `spiritsafe queue KIND` lists both; with --bulk rows "
        "like 3-9,12, or the word all",
    )
    parser.add_argument(
        "verdict",
        help="audit: ok bad unsure; disagreements: left right both neither; duplicates: keep choose distinct; "
        "semantic: both distinct bad (the second says the same: its answers are flagged)",
    )
    parser.add_argument("--reason", type=int, help="1 to 9, with bad and neither")
    parser.add_argument("--filter", default="", help="the rows are those of this filter")
    parser.add_argument("--sort", default="", help="… in this order; the console's O")
    parser.add_argument(
        "--bulk",
        type=int,
        metavar="N",
        help="one verdict on all these rows, their texts unread; N is how many you have not judged yet, else "
        "nothing happens. It counts for no audit plan",
    )


def verdict(options: Options) -> int:
    """Judge one subject, or many at once; left and right are as `spiritsafe show` shows them to you."""
    context = context_of(options)
    if options.bulk is not None:
        return _bulk(options, context)
    if options.subject == ALL or options.sort:
        raise UsageError("all, and --sort, go with --bulk N", todo="N is how many rows are to be judged.")
    found = subject_of(context, options.kind, options.subject, options.filter)
    shown = [o["output_id"] for o in found.get("outputs", [])] or list(found["ids"])
    if options.kind == "duplicates":
        shown = shown if found["representative"][0] or not found["representative"][1] else shown[::-1]
        shown = shown[::-1] if options.verdict == "choose" else shown
    elif options.kind == "semantic":
        shown = meaning.shown_ids(found)
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
    if options.kind == "semantic":
        answer = meaning.judge(context, payload, found["field"])
    else:
        answer = context.store.act("verdict", context.project, payload)
    return emit(options, {"event": answer["seq"], "subject": found["subject"]})


def _bulk(options: Options, context: Context) -> int:
    """One verdict on a whole selection; refused where it is not of as many as the caller said."""
    choice = Choice(options.verdict, options.reason)
    allow_bulk(options.kind, choice)
    spec = spec_of(context, options.kind, filter=options.filter, sort=options.sort)
    with opened(context, spec) as queue:
        chosen = None if options.subject == ALL else rows_named(options.subject, queue["length"])
        subjects = subjects_in(context.store, queue, chosen)
    if len(subjects) != options.bulk:
        raise RuleError(
            f"{len(subjects):,} samples would be judged, not {options.bulk:,}: nothing was recorded",
            todo=f"--bulk {len(subjects)} means it." if subjects else "You have judged all of them.",
        )
    if not subjects:
        return emit(options, {"judged": 0})
    selection = options.filter or EVERY if chosen is None else MARKED
    payload = payload_of_bulk(options.kind, choice, subjects, selection)
    answer = context.store.act("verdicts", context.project, payload)
    return emit(options, {"event": answer["seq"], "judged": len(subjects), "verdict": str(choice)})


def configure_comment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=JUDGED)
    parser.add_argument("subject", help="a row number, or the subject's id")
    parser.add_argument("text")


def comment(options: Options) -> int:
    """Remark on a subject."""
    context = context_of(options)
    found = subject_of(context, options.kind, options.subject)
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
    told: dict[str, Any] = {"event": answer["seq"]}
    if "undone" in answer:
        was = answer["undone"]
        if was["kind"] == "verdicts":  # of a hundred thousand samples their number says enough
            was = {"what": named_bulk(was)} | was | {"subjects": len(was["subjects"])}
        told["was"] = was
    return emit(options, told)


# ---- slices
def configure_slice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "save", "drop"))
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--filter", default="", help="save: what the name stands for")
    parser.add_argument(
        "--replace", action="store_true", help="save: also where somebody has that name already"
    )


def slice_(options: Options) -> int:
    """List slices with how many samples of the audit queue each has; save a filter under a name; forget one."""
    context = context_of(options)
    if options.action == "list":
        return emit(options, {"slices": slice_rows(context)})
    if not options.name:
        raise UsageError(f"slice {options.action} needs a name")
    if options.action == "drop":
        answer = named_slices.drop(context, options.name)
        return emit(options, {"event": answer["seq"], "dropped": options.name})
    if not options.filter.strip():
        raise UsageError("slice save needs a filter", todo="--filter 'tier = vip'")
    there = named_slices.clash(context, options.name)
    if there is not None and not options.replace:
        raise InputError(
            f"{there.by} saved a slice {options.name!r} already: {there.where}", todo="--replace replaces it."
        )
    refuse_unknown(context, options.filter)
    answer = named_slices.save(context, options.name, options.filter)
    return emit(options, {"event": answer["seq"], "slice": options.name, "where": options.filter.strip()})


def slice_rows(context: Context, kind: str = "audit", **wanted: Any) -> list[dict[str, Any]]:
    """Name, predicate, author and number of members of every slice; of one that cannot be counted, why."""
    rows: list[dict[str, Any]] = []
    for one in named_slices.named_slices(context):
        row: dict[str, Any] = {"name": one.name, "where": one.where, "by": one.by}
        try:
            with opened(
                context, spec_of(context, kind, filter=named_slices.as_filter(one.name), **wanted)
            ) as q:
                row["samples"] = q["length"]
        except (InputError, RuleError) as error:
            row["problem"] = error.what
        rows.append(row)
    return rows
