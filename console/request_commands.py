"""Samples that are asked for, and buckets that may stay thin: headless twins of + and w in the coverage room."""

from __future__ import annotations

import argparse
import sys

from console.headless import Options, context_of, refuse_unknown
from console.output import as_table, emit
from store import read_dataset
from store.errors import UsageError

WHOLE = 1_000  # cells of a filter: cut short, those of many buckets look the same


def configure_request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "where", nargs="?", default="", help="filter that finds the samples (default: list what is asked for)"
    )
    parser.add_argument(
        "samples", nargs="?", type=int, help="how many there shall be; 0 takes the request back"
    )
    parser.add_argument("--about", default="", help="what for")
    parser.add_argument(
        "--to",
        choices=("target", "production"),
        help="ask for what every thin bucket lacks to its target or share",
    )


def request(options: Options) -> int:
    """Ask for samples, or list what is asked for and how far it is."""
    from engine.clean.requests import of_the_grid, report, wishes

    context = context_of(options)
    if options.to:
        if options.where:
            raise UsageError(
                "a filter, and --to", todo="--to asks for all buckets of the newest coverage grid."
            )
        found = context.store.ask(read_dataset.REQUESTS, project=context.project)
        by_hand = {r.predicate: r.samples for r in found if not of_the_grid(r.about)}
        for wish in wishes(context, options.to):
            if by_hand.get(wish.where, 0) >= wish.samples:  # a person wants as many already, or more
                continue
            payload = {"where": wish.where, "samples": wish.samples, "about": options.about or wish.about}
            context.store.act("samples.request", context.project, payload)
    elif options.where:
        if options.samples is None:
            raise UsageError("how many samples?", todo='spiritsafe request "tier = vip" 200')
        refuse_unknown(context, options.where)
        payload = {"where": options.where, "samples": options.samples, "about": options.about}
        answer = context.store.act("samples.request", context.project, payload)
        return emit(options, {"event": answer["seq"], **payload})
    rows = report(context)
    if options.json or not rows:
        return emit(options, {"requests": rows})
    heads = [*(name for name in rows[0] if name != "where"), "where"]  # the longest one last, and whole
    sys.stdout.write(as_table(heads, [[row[name] for name in heads] for row in rows], widest=WHOLE))
    return 0


def configure_waive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "where", nargs="?", default="", help="filter that finds the bucket (default: list waivers)"
    )
    parser.add_argument("--reason", default=None, help="why it may stay thin; empty takes the waiver back")


def waive(options: Options) -> int:
    """Say that a bucket may stay thin, or list which may."""
    context = context_of(options)
    if options.where:
        if options.reason is None:
            raise UsageError("why may it stay thin?", todo="Give --reason TEXT.")
        payload = {"where": options.where, "reason": options.reason}
        answer = context.store.act("bucket.waive", context.project, payload)
        return emit(options, {"event": answer["seq"], **payload})
    found = context.store.ask(read_dataset.WAIVERS, project=context.project)
    return emit(
        options, {"waivers": [{"where": w.predicate, "reason": w.reason, "by": w.actor} for w in found]}
    )
