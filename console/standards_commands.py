"""``spiritsafe standards``, ``sign`` and ``take``: what a team agreed on, and the names under it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from console.contract_commands import as_rows, text_of
from console.contract_text import say
from console.output import emit, open_store, project_of
from console.text import counted, visible
from store.errors import InputError, RuleError

if TYPE_CHECKING:
    from store.client import Client
    from store.read_standards import LockedStandards

Options = argparse.Namespace
ACTIONS = ("init", "check", "lock", "show", "diff")


def configure_standards(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("standards.toml"),
        help="the page (default: standards.toml)",
    )
    parser.add_argument(
        "--at", type=int, metavar="VERSION", help="show, diff: this locked version (default: the newest)"
    )


def standards(options: Options) -> int:
    """Write, check, lock, show or compare the team's standards."""
    actions = {"init": _init, "check": _check, "lock": _lock, "show": _show, "diff": _diff}
    return actions[options.action](options)


def _init(options: Options) -> int:
    from engine.standards_template import template

    if options.file.exists():
        raise InputError("is there already", where=str(options.file), todo="Name another file.")
    store = open_store(options, create=True)
    options.file.write_text(template(store.welcome.actor), encoding="utf-8")
    todo = f"Fill in {options.file}, then: spiritsafe standards lock {options.file}"
    return emit(options, {"standards": str(options.file), "next": todo})


def _check(options: Options) -> int:
    from engine.standards import check, parse, standards_hash

    text = text_of(options.file)
    found = parse(text, str(options.file))
    problems = check(found, text, str(options.file))
    say(options, {"problems": as_rows(problems)} | ({} if problems else {"hash": standards_hash(found)}))
    return int(bool(problems))


def _lock(options: Options) -> int:
    from engine.standards import as_payload, check, newest, parse, standards_hash
    from store.standards_rules import WHOLE_STORE

    text = text_of(options.file)
    found = parse(text, str(options.file))
    if problems := check(found, text, str(options.file)):
        say(options, {"problems": as_rows(problems)})
        what = f"the standards have {counted(len(problems), 'problem')} and were not locked"
        raise RuleError(what, where=str(options.file))
    store = open_store(options)
    standing, hash_ = newest(store), standards_hash(found)
    if standing is not None and standing.hash == hash_:
        raise RuleError(f"these very standards are locked already, as version {standing.version}")
    answer = store.act("standards.lock", WHOLE_STORE, {"hash": hash_, "standards": as_payload(found)})
    version = standing.version + 1 if standing else 1
    return emit(options, {"locked": hash_, "version": version, "event": answer["seq"]})


def version_of(store: Client, version: int | None) -> LockedStandards:
    """A locked version, the newest by default; raises RuleError where there is none."""
    from store.read_standards import STANDARDS

    versions = store.ask(STANDARDS)
    if not versions:
        raise RuleError(
            "no standards are locked",
            todo="spiritsafe standards init writes a page; then: spiritsafe standards lock",
        )
    if version is None:
        return versions[-1]
    found = next((one for one in versions if one.version == version), None)
    if found is None:
        raise InputError(f"there is no version {version}", todo=f"Locked are 1 to {versions[-1].version}.")
    return found


def _show(options: Options) -> int:
    from engine.standards import from_standards
    from engine.standards_template import page

    locked = version_of(open_store(options), options.at)
    payload = msgspec.json.decode(locked.standards)
    if options.json:
        head = {"version": locked.version, "hash": locked.hash, "locked_by": locked.actor}
        return emit(options, head | {"standards": payload})
    head_ = f"Standards version {locked.version}, locked by {locked.actor}\n{locked.hash}\n\n"
    sys.stdout.write(visible(head_ + page(from_standards(payload)), lines=True))
    return 0


def _diff(options: Options) -> int:
    """What changed from a locked version to the file."""
    from engine.standards import from_standards, parse
    from engine.standards_template import changes

    before = version_of(open_store(options), options.at)
    after = parse(text_of(options.file), str(options.file))
    found = changes(from_standards(msgspec.json.decode(before.standards)), after)
    if options.json:
        rows = [{"key": c.key, "before": c.before, "after": c.after, "effect": c.effect} for c in found]
        return emit(options, {"from": f"version {before.version}", "to": str(options.file), "changes": rows})
    title = f"from version {before.version} to {options.file}: {counted(len(found), 'change')}"
    sys.stdout.write(visible("\n".join([title, *map(str, found)]), lines=True) + "\n")
    return 0


# ---- names under outcomes
def configure_sign(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("outcome", choices=("ship", "iterate", "kill"))
    parser.add_argument("--student", default="", help="which student (default: the newest)")
    parser.add_argument("--note", default="", help="a word with the signature")


def sign(options: Options) -> int:
    """Put your name to an outcome for a student as the newest evaluation scored it."""
    from engine.context import Context
    from engine.evaluate.bars import newest

    store = open_store(options)
    context = Context(store, project_of(options, store))
    evaluated, student = newest(context, options.student)
    subject = f"{evaluated.run_id}/{student}"
    payload = {"outcome": options.outcome, "subject": subject, "note": options.note}
    answer = store.act("sign", context.project, payload)
    return emit(options, {"event": answer["seq"], "outcome": options.outcome, "student": student})


def configure_take(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("baseline", help="the baseline that is taken instead of a student")
    parser.add_argument("--why", required=True, help="the rationale, in your words")


def take(options: Options) -> int:
    """Don't distil: record that a baseline meets the bars and is taken, which ends the project."""
    from engine.context import Context
    from engine.do_nothing import take as put

    store = open_store(options)
    context = Context(store, project_of(options, store))
    return emit(options, put(context, options.baseline, options.why))
