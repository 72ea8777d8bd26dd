"""``spiritsafe init``, ``contract`` and ``breakeven``: the page that is written before any data."""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from console.contract_text import say
from console.output import emit, open_store, project_name, project_of
from console.text import counted, visible
from store.errors import InputError, RuleError, UsageError

if TYPE_CHECKING:
    from engine.contract import Problem
    from engine.contract_records import Contract
    from store.client import Client
    from store.read import LockedContract

Options = argparse.Namespace
ACTIONS = ("check", "lock", "show", "diff")
KEYS_OF = 2_000  # arrivals whose metadata keys ``read.METADATA_KEYS`` looks at


def configure_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the project: letters, digits, - and _")
    parser.add_argument("--title", default="", help="one line for people")
    parser.add_argument(
        "--contract", type=Path, default=Path("contract.toml"), help="where to write the template"
    )


def init(options: Options) -> int:
    """Make a project, and a commented contract to fill in."""
    from engine.contract import template
    from store import read

    project_name(options.name)
    if options.contract.exists():
        raise InputError(
            "is there already",
            where=str(options.contract),
            todo="--contract names another file for the template; yours can be locked all the same.",
        )
    if not options.contract.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(options.contract.absolute().parent), todo="Make it.")
    store = open_store(options, create=True)
    if options.name not in [p.name for p in store.ask(read.PROJECTS)]:  # a retrospective one is there already
        store.act("project.create", options.name, {"title": options.title})
    options.contract.write_text(template(options.name, owner=store.welcome.actor), encoding="utf-8")
    named = "" if str(options.contract) == "contract.toml" else f" {options.contract}"
    todo = f"Fill in {options.contract}, until `spiritsafe contract check{named}` finds nothing; then: contract lock{named}"
    return emit(options, {"project": options.name, "contract": str(options.contract), "next": todo})


# ---- contract
def configure_contract(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("contract.toml"),
        help="the contract (default: contract.toml)",
    )
    parser.add_argument(
        "--at", type=int, metavar="VERSION", help="show, diff: this locked version (default: the newest)"
    )
    parser.add_argument(
        "--to", type=int, metavar="VERSION", help="diff: against this one instead of the file"
    )


def contract(options: Options) -> int:
    """Check, lock, show or compare the contract."""
    actions = {"check": _check, "lock": _lock, "show": _show, "diff": _diff}
    return actions[options.action](options)


def text_of(path: Path) -> str:
    """A file's text. Raises InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is no UTF-8 text: byte {error.start}", where=str(path)) from error


def as_rows(problems: list[Problem]) -> list[dict[str, str]]:
    """Problems as a command shows them."""
    return [{"where": p.where, "what": p.what, "todo": p.todo} for p in problems]


def _read(options: Options) -> tuple[Contract, list[Problem], dict[str, Any]]:
    """The file's contract, what keeps it from being locked (rules of the house apart), and what is told besides."""
    from engine.contract import advise, check, parse
    from engine.contract_bars import sizes
    from engine.economics import plan_of, told

    text = text_of(options.file)
    found = parse(text, str(options.file))
    problems = check(found, text, str(options.file))
    besides: dict[str, Any] = {}
    if not problems:
        besides["bars"] = sizes(found.gate)
        if (plan := plan_of(found)) is not None:
            besides["break_even"] = told(plan)
    if advice := advise(found, text, str(options.file)):
        besides["advice"] = as_rows(advice)
    return found, problems, besides


def _check(options: Options) -> int:
    from engine.contract import contract_hash

    found, problems, besides = _read(options)
    if not problems:
        problems = _of_the_house(options, found)
    if problems:
        say(options, {"problems": as_rows(problems)} | besides)
        return 1
    if advice := [*besides.get("advice", []), *_of_the_data(options, found)]:
        besides["advice"] = advice
    return say(options, {"problems": [], "hash": contract_hash(found)} | besides)


def _of_the_data(options: Options, found: Contract) -> list[dict[str, str]]:
    """What the arrivals so far have against it, as advice; nothing where no store or no one project is meant."""
    from store.address import find_store

    if not find_store(options.store).exists():
        return []
    store = open_store(options)
    try:
        project = project_of(options, store)
    except UsageError:  # a page may be checked before it is said whose it is
        return []
    return _advice_by_data(store, project, options, found)


def _of_the_house(options: Options, found: Contract) -> list[Problem]:
    """What the store's standards have against it; nothing where there is no store to ask."""
    from engine.standards import against_contract, in_force
    from store.address import find_store

    if not find_store(options.store).exists():
        return []
    standards = in_force(open_store(options))
    return against_contract(standards, found, text_of(options.file), str(options.file)) if standards else []


def _lock(options: Options) -> int:
    from engine.context import Context
    from engine.contract import as_payload, contract_hash, from_payload
    from engine.contract_exclusions import import_again
    from store import read

    found, problems, besides = _read(options)
    problems = problems or _of_the_house(options, found)
    if problems:
        say(options, {"problems": as_rows(problems)})
        raise RuleError(
            f"the contract has {counted(len(problems), 'problem')} and was not locked",
            where=str(options.file),
        )
    store = open_store(options)
    payload = {"hash": contract_hash(found), "contract": as_payload(found)}
    project = project_of(options, store)
    versions = store.ask(read.CONTRACTS, project=project)
    if versions and from_payload(msgspec.json.decode(versions[-1].contract)) == found:
        raise RuleError(f"this very contract is locked already, as version {versions[-1].version}")
    advice = [*besides.get("advice", []), *_advice_by_data(store, project, options, found)]
    answer = store.act("contract.lock", project, payload)
    told: dict[str, Any] = {"locked": payload["hash"], "version": len(versions) + 1, "event": answer["seq"]}
    if lifted := import_again(Context(store, project)):
        told |= {"note": "imports left out rows that this version may let in; again, they add these alone",
                 "import_again": lifted}  # fmt: skip
    return emit(options, told | ({"advice": advice} if advice else {}))


def _advice_by_data(store: Client, project: str, options: Options, found: Contract) -> list[dict[str, str]]:
    """Predicates that read what no arrival has, and slices that hold too few: what is missing may still come."""
    from engine.contract import placed, unknown_names
    from engine.contract_counts import in_slices, thin
    from store import read

    arrivals = store.ask(read.COUNTS, project=project)[0].arrivals
    if not arrivals:
        return []
    text, name = text_of(options.file), str(options.file)
    keys = {row.key for row in store.ask(read.METADATA_KEYS, project=project)}
    looked = "no arrival so far" if arrivals <= KEYS_OF else f"none of the first {KEYS_OF:,} arrivals"
    told = unknown_names(found, keys, text, name, looked=looked)
    total, counts = in_slices(store, project, found)
    if total:  # else the test prompts are still to come
        told += placed(list(thin(found, total, counts)), text, name)
    return as_rows(told)


def _show(options: Options) -> int:
    from engine.contract import from_payload
    from engine.contract_words import page

    store = open_store(options)
    locked = version_of(store, project_of(options, store), options.at)
    payload = msgspec.json.decode(locked.contract)
    if options.json:
        return emit(
            options,
            {
                "version": locked.version,
                "hash": locked.hash,
                "locked_by": locked.actor,
                "contract": payload,
            },
        )
    head = f"Contract version {locked.version}, locked by {locked.actor}\n{locked.hash}\n\n"
    sys.stdout.write(visible(head + page(from_payload(payload)), lines=True))
    return 0


def version_of(store: Client, project: str, version: int | None) -> LockedContract:
    """A locked version, the newest by default. Raises RuleError where none is, InputError for one that is not there."""
    from engine.context import Context
    from store import read

    newest = Context(store, project).locked()
    if version is None:
        return newest
    versions = store.ask(read.CONTRACTS, project=project)
    found = next((one for one in versions if one.version == version), None)
    if found is None:
        raise InputError(f"there is no version {version}", todo=f"Locked are 1 to {newest.version}.")
    return found


def _diff(options: Options) -> int:
    """What changed from a locked version to the file, or to another locked version."""
    from engine.contract import from_payload, parse
    from engine.contract_words import changes

    store = open_store(options)
    project = project_of(options, store)
    before = version_of(store, project, options.at)
    if options.to is None:
        after, name = parse(text_of(options.file), str(options.file)), str(options.file)
    else:
        other = version_of(store, project, options.to)
        after, name = from_payload(msgspec.json.decode(other.contract)), f"version {other.version}"
    found = changes(from_payload(msgspec.json.decode(before.contract)), after)
    if options.json:
        rows = [{"key": c.key, "before": c.before, "after": c.after, "effect": c.effect} for c in found]
        return emit(options, {"from": f"version {before.version}", "to": name, "changes": rows})
    lines = [f"from version {before.version} to {name}: {counted(len(found), 'change')}", *map(str, found)]
    sys.stdout.write(visible("\n".join(lines), lines=True) + "\n")
    return 0


# ---- break-even
def configure_breakeven(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("contract.toml"),
        help="the contract (default: contract.toml)",
    )
    for name, help_ in (
        ("--teacher", "what 1,000 requests to the teacher cost"),
        ("--student", "what 1,000 requests to the student cost"),
        ("--once", "what the work costs once"),
        ("--upkeep", "what the student costs a month besides"),
    ):
        parser.add_argument(name, metavar="COST", help=f"{help_} (default: as the contract says)")
    parser.add_argument("--requests", type=int, metavar="N", help="planned requests a month")
    parser.add_argument("--months", type=int, metavar="N", default=12, help="the horizon (default 12)")


def breakeven(options: Options) -> int:
    """Print the traffic from which a student pays, by the contract or by what is given."""
    from engine.contract import parse
    from engine.economics import Plan, plan_of, told

    given = {name: _cost(options, name) for name in ("teacher", "student", "once", "upkeep")}
    stated = None
    if options.file.exists():
        stated = plan_of(parse(text_of(options.file), str(options.file)))
    teacher = given["teacher"] if given["teacher"] is not None or stated is None else stated.teacher_per_1000
    once = given["once"] if given["once"] is not None or stated is None else stated.one_off
    if teacher is None or once is None:
        raise UsageError(
            "break-even needs the teacher's cost and what the work costs once",
            todo="--teacher 5 --once 3000, or [distil] in the contract.",
        )
    zero = Decimal(0)
    student = (
        given["student"] if given["student"] is not None else (stated.student_per_1000 if stated else zero)
    )
    upkeep = given["upkeep"] if given["upkeep"] is not None else (stated.upkeep_per_month if stated else zero)
    planned = stated.requests_per_month if stated else None
    requests = options.requests if options.requests is not None else planned
    return emit(options, told(Plan(teacher, student, once, upkeep, requests, options.months)))


def _cost(options: Options, name: str) -> Decimal | None:
    text = getattr(options, name)
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite():
        raise UsageError(f"--{name} is no number: {text!r}")
    return found
