"""Dataset versions headless: freeze, list, show, diff, export, restore, and what a student saw in one."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console import stage_command
from console.dataset_export import FORMATS, write
from console.headless import Options, context_of
from console.output import as_table, as_text, emit
from engine.stages import STAGES
from store.errors import InputError, UsageError

if TYPE_CHECKING:
    from engine.clean.seen import Looking
    from engine.context import Context

ACTIONS = ("freeze", "list", "show", "diff", "export", "restore", "seen")
TAKES = {"list": 0, "show": 1, "diff": 2, "export": 1, "restore": 1, "seen": 1}  # versions that may be named
SHORT = 12  # characters of a hash in tables


def configure(parser: argparse.ArgumentParser) -> None:
    """The actions; the flags of ``freeze`` come from its stage."""
    parser.add_argument("action", choices=ACTIONS, help="what to do (list: all versions)")
    parser.add_argument(
        "versions",
        nargs="*",
        metavar="VERSION",
        help="newest, a number, or a hash's beginning; diff: two of them (default: the newest and the one before)",
    )
    for field in stage_command.fields_of(STAGES["dataset"]):
        stage_command.flag(parser, field)
    parser.add_argument("--out", type=Path, metavar="FILE", help="export: where to (hf: a folder)")
    parser.add_argument("--format", choices=tuple(FORMATS), default="chat", help="export: (default chat)")
    parser.add_argument("--replace", action="store_true", help="export: write over what is there")
    parser.add_argument("--text", default="", help="seen: an input; - reads it from standard input")
    parser.add_argument(
        "--meta", action="append", metavar="KEY=VALUE", help="seen: what is known of the input"
    )
    parser.add_argument(
        "--file", metavar="LOG", help="seen: many inputs, JSON lines or plain ones; - for standard input"
    )
    parser.add_argument("--field", default="", help="seen --file: where in a JSON line the input stands")
    parser.add_argument(
        "--rows",
        action="store_true",
        help="show, diff: every sample with its reason; seen --file: every input",
    )
    parser.add_argument("--rule", default="", help="show --rows: only samples that this rule spoke against")


def dataset(options: Options) -> int:
    """Run the action."""
    named = len(options.versions)
    if options.action == "freeze":
        if named:
            raise UsageError("freeze takes no version", todo="A version gets its number by being frozen.")
        return stage_command.run(STAGES["dataset"])(options)
    if named > TAKES[options.action]:
        raise UsageError(f"{options.action} takes {TAKES[options.action]} versions at most")
    return DO[options.action](options, context_of(options))


def _list(options: Options, context: Context) -> int:
    from engine.clean.versions import versions

    lines = [v.line() for v in versions(context)]
    if options.json or not lines:
        return emit(options, {"versions": lines})
    rows = [
        [n["version"], n["samples"], n["dropped"], n["teacher"], n["sha256"][:SHORT], (n["parent"] or "-")[:SHORT], n["event"]]
        for n in lines
    ]  # fmt: skip
    sys.stdout.write(
        as_table(["version", "samples", "dropped", "teacher", "sha256", "parent", "event"], rows)
    )
    return 0


def _show(options: Options, context: Context) -> int:
    from engine.clean.versions import against, show, version

    one = version(context, *options.versions)
    if not options.rows:
        return emit(options, show(one))
    return _rows(options, list(against(context, one, options.rule)))


def _diff(options: Options, context: Context) -> int:
    from engine.clean.versions import changes, diff, version, versions

    names = list(options.versions)
    if len(names) < 2:
        after = version(context, *names)
        before = max(1, after.number - 1)
        names = [str(before), str(after.number)]
        if len(versions(context)) < 2:
            raise UsageError("there is one version only", todo="A diff needs two: spiritsafe dataset list")
    before_, after_ = (version(context, name) for name in names)
    if options.rows:
        return _rows(options, list(changes(context, before_, after_)))
    told = diff(context, before_, after_)
    if options.json:
        return emit(options, told)
    why = told.pop("why")
    sys.stdout.write(as_text(told))
    if why:
        sys.stdout.write(
            "\n" + as_table(["change", "samples", "why", "for example"], [list(w.values()) for w in why])
        )
    return 0


def _export(options: Options, context: Context) -> int:
    from engine.clean.versions import version

    if options.out is None:
        raise UsageError("export where to?", todo="Give --out FILE (hf: a folder).")
    one = version(context, *options.versions)
    target = options.out.expanduser().absolute()
    return emit(options, write(context, one, options.format, target, replace=options.replace))


def _restore(options: Options, context: Context) -> int:
    from engine.clean.versions import restore, version

    if not options.versions:
        raise UsageError("restore which version?", todo="See: spiritsafe dataset list")
    return emit(options, restore(context, version(context, *options.versions)))


def _seen(options: Options, context: Context) -> int:
    from engine.clean.seen import Looking
    from engine.clean.versions import version

    if options.file:
        return _seen_many(options, Looking(context, version(context, *options.versions)))
    text = sys.stdin.read() if options.text == "-" else options.text
    if not text.strip():
        raise UsageError("seen what?", todo="Give --text TEXT, or --text - and the text on standard input.")
    pairs = [pair.partition("=") for pair in options.meta or ()]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise UsageError(f"--meta {wrong[0]} is no KEY=VALUE")
    known = {key: value for key, _, value in pairs}
    found = Looking(context, version(context, *options.versions)).seen(text, metadata=known)
    return emit(options, found.as_payload())


def _seen_many(options: Options, looking: Looking) -> int:
    """Every line of a log against the version: a summary, and with --rows or --json each input."""
    from engine.clean.seen_many import inputs_of, look, summed

    with contextlib.ExitStack() as stack:
        path = None if options.file == "-" else Path(options.file).expanduser()
        try:
            lines = (
                sys.stdin
                if path is None
                else stack.enter_context(path.open(encoding="utf-8", errors="replace"))
            )
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=options.file) from error
        rows = list(look(looking, inputs_of(lines, options.file, options.field)))
    if options.json:
        return emit(options, summed(rows) | {"rows": rows})
    if options.rows:
        return _rows(options, rows)
    return emit(options, summed(rows))


def _rows(options: Options, rows: list[dict[str, Any]]) -> int:
    if options.json or not rows:
        return emit(options, {"rows": rows})
    sys.stdout.write(as_table(list(rows[0]), [list(row.values()) for row in rows]))
    return 0


DO: dict[str, Callable[[Options, Context], int]] = {
    "list": _list,
    "show": _show,
    "diff": _diff,
    "export": _export,
    "restore": _restore,
    "seen": _seen,
}
