"""``--plain``: the first screens as text, one row a line: for screen readers, logs, scripts and no terminal."""

from __future__ import annotations

import sys

from console.headless import spec_of
from console.screens.coverage import coverage_sheet
from console.screens.decision import decision_sheet
from console.screens.evaluation import evaluation_sheet
from console.screens.home import run_sheet
from console.screens.sheet import Sheet
from console.text import visible
from engine.context import Context
from store.client import Client
from store.errors import SpiritsafeError

WIDTH, ROWS, LINES = 120, 5, 12  # columns, rows of a queue, lines of a sheet
REPORTS = {"evaluation": "evaluation", "coverage": "coverage", "reviewers": "agreement"}


def print_screens(store: Client, project: str) -> None:
    """Print home, evaluation, coverage, decision and the head of each queue."""
    context = Context(store, project)
    print_sheet("home", run_sheet(context, store.call("jobs"), WIDTH))
    for name, sheet in (
        ("evaluation", evaluation_sheet),
        ("coverage", coverage_sheet),
        ("decision", decision_sheet),
    ):
        try:
            print_sheet(name, sheet(context, WIDTH))
        except SpiritsafeError as error:
            _say(f"\n{name}: {error}")
    _print_audits(context)
    for kind in ("audit", "duplicates", "disagreements"):
        try:
            queue = store.call("open_queue", spec=spec_of(context, kind))
        except SpiritsafeError as error:
            _say(f"\n{kind}: {error}")
            continue
        _say(f"\n{kind}: {queue['reviewed']:,} of {queue['length']:,} judged")
        for position, _, mark, cells in store.call(
            "window", queue=queue["id"], low=0, high=min(ROWS, queue["length"])
        ):
            _say(f"{mark or ' '} {position + 1:>6,}  " + "  │  ".join(visible(str(c))[:50] for c in cells))
        if queue["length"] > ROWS:
            _say(f"  … and {queue['length'] - ROWS:,} more: spiritsafe queue {kind} --at {ROWS + 1}")
        store.call("close_queue", queue=queue["id"])


def _print_audits(context: Context) -> None:
    """Every locked plan with its standing, and how far reviewers agree."""
    from console.screens.agreement import agreement_sheet
    from console.standings import plan_line, plans_of, progress_of

    plans = plans_of(context)
    if not plans:
        return
    _say("\naudit plans:")
    for plan in plans[-LINES:]:
        found = progress_of(context, plan)
        _say(f"  {plan_line(found) if found is not None else f'plan {plan.number} · {plan.about}'}")
    if len(plans) > LINES:
        _say(f"  … and {len(plans) - LINES:,} before: spiritsafe report audit")
    print_sheet("reviewers", agreement_sheet(context, WIDTH))


def print_sheet(name: str, sheet: Sheet) -> None:
    """One screen: its header, its heading, and as many rows as people read."""
    more = f"spiritsafe report {REPORTS[name]}" if name in REPORTS else "the console shows them"
    _say(f"\n{name}: {sheet.header}\n  {sheet.titles}")
    for row in sheet.lines[:LINES]:
        _say(f"{row.mark} {visible(row.text)}"[:WIDTH].rstrip())
    if len(sheet.lines) > LINES:
        _say(f"  … and {len(sheet.lines) - LINES:,} more: {more}")


def _say(text: str) -> None:
    sys.stdout.write(visible(text, lines=True) + "\n")
