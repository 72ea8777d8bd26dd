"""The commands, as one table: every stage of ``engine/stages.py``, and what people do around them.

To add one: a function here (or in ``headless.py`` for the twins of console actions), and a line in ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import fcntl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from console import headless, stage_command
from console.output import emit, open_store, project_name, project_of
from engine.stages import STAGES
from store.address import lock_path
from store.client import Client
from store.errors import InputError, RuleError

Options = argparse.Namespace


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it is for, its options, and what it does (the exit code comes back)."""

    name: str
    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Options], int]


def nothing(parser: argparse.ArgumentParser) -> None:
    """A command without options of its own."""
    del parser


# ---- console
def configure_console(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--screen", default="", help="open on this screen: home, audit, duplicates, …")
    parser.add_argument("--plain", action="store_true", help="print the screens as text instead")


def console(options: Options) -> int:
    """Open the console; without a terminal, print the first screens as text."""
    from console.start import start

    return start(options)


# ---- projects and contract
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
            "is there already", where=str(options.contract), todo="--contract names another file."
        )
    if not options.contract.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(options.contract.absolute().parent), todo="Make it.")
    store = open_store(options, create=True)
    if options.name not in [p.name for p in store.ask(read.PROJECTS)]:  # a retrospective one is there already
        store.act("project.create", options.name, {"title": options.title})
    options.contract.write_text(template(options.name, owner=store.welcome.actor), encoding="utf-8")
    todo = f"Fill in {options.contract}, then: spiritsafe contract lock {options.contract}"
    return emit(options, {"project": options.name, "contract": str(options.contract), "next": todo})


def projects(options: Options) -> int:
    """List the store's projects."""
    from store import read

    rows = open_store(options).ask(read.PROJECTS)
    return emit(
        options,
        {"projects": [{"name": p.name, "title": p.title, "retrospective": p.retrospective} for p in rows]},
    )


def configure_contract(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("check", "lock", "show"))
    parser.add_argument("file", nargs="?", type=Path, default=Path("contract.toml"))


def contract(options: Options) -> int:
    """Check, lock or show the contract."""
    from engine.context import Context
    from engine.contract import as_payload, check, contract_hash, parse
    from store import read

    if options.action == "show":
        store = open_store(options)
        locked = Context(store, project_of(options, store)).locked()
        return emit(
            options,
            {
                "version": locked.version,
                "hash": locked.hash,
                "locked_by": locked.actor,
                "contract": msgspec.json.decode(locked.contract),
            },
        )
    try:
        text = options.file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(options.file)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is no UTF-8 text: byte {error.start}", where=str(options.file)) from error
    found = parse(text, str(options.file))
    problems = check(found, text, str(options.file))
    if problems:
        told = [{"where": p.where, "what": p.what, "todo": p.todo} for p in problems]
        emit(options, {"problems": told})
        if options.action == "lock":
            raise RuleError(
                f"the contract has {len(problems)} problems and was not locked", where=str(options.file)
            )
        return 1
    if options.action == "check":
        return emit(options, {"problems": [], "hash": contract_hash(found)})
    store = open_store(options)
    payload = {"hash": contract_hash(found), "contract": as_payload(found)}
    project = project_of(options, store)
    versions = store.ask(read.CONTRACTS, project=project)
    if versions and versions[-1].hash == payload["hash"]:
        raise RuleError(f"this very contract is locked already, as version {versions[-1].version}")
    answer = store.act("contract.lock", project, payload)
    return emit(options, {"locked": payload["hash"], "event": answer["seq"]})


# ---- decision
def configure_decide(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("outcome", choices=("ship", "iterate", "kill"))
    parser.add_argument("--why", required=True, help="the rationale, in your words")
    parser.add_argument("--student", default="", help="which student (default: the newest)")


def decide(options: Options) -> int:
    """Record ship, iterate or kill, with the evidence."""
    from engine.context import Context
    from engine.decide import decide as put

    store = open_store(options)
    record = put(
        Context(store, project_of(options, store)), options.outcome, options.why, student=options.student
    )
    return emit(
        options, {"outcome": record["outcome"], "sha256": record["sha256"], "next": "spiritsafe export"}
    )


def configure_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", type=Path, default=Path(), help="folder (default: here)")


def export(options: Options) -> int:
    """Write the newest decision record as JSON and Markdown."""
    from engine.context import Context
    from engine.decide import export as write

    store = open_store(options)
    paths = write(Context(store, project_of(options, store)), options.to)
    return emit(options, {"written": [str(p) for p in paths]})


def configure_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "record", nargs="?", type=Path, help="a decision record (JSON); without it, the store alone"
    )


def verify(options: Options) -> int:
    """Recompute a decision record, or check the whole store; exit 1 where anything differs."""
    from engine.verify import verify_record, verify_store

    store = open_store(options)
    found = verify_record(store, options.record) if options.record else verify_store(store)
    told: dict[str, Any] = {"sound": found.sound, "checked": found.checked}
    told["differences"] = [
        {"where": d.where, "recorded": d.recorded, "found": d.found} for d in found.differences
    ]
    emit(options, told)
    return 0 if found.sound else 1


# ---- hub
def configure_sql(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="one SELECT over the store's views")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)


def sql(options: Options) -> int:
    """One SELECT, read-only."""
    return emit(
        options,
        open_store(options).call("sql", text=options.text, limit=options.limit, seconds=options.seconds),
    )


def configure_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", help="the store (else --store)")


def serve(options: Options) -> int:
    """Serve the store in the foreground, until stopped."""
    from store import address, hub

    path = address.find_store(options.path or options.store)
    return hub.main([str(path), "--stay"])


def status(options: Options) -> int:
    """Say what the hub of the store holds."""
    store = open_store(options)
    w = store.welcome
    told = {
        "version": w.version,
        "schema": w.schema,
        "store": w.store_id,
        "pid": w.pid,
        "you": w.actor,
        "role": w.role,
    }
    return emit(options, store.call("status") | told)


def stop(options: Options) -> int:
    """Stop the hub of the store; the next command starts one again."""
    store = open_store(options, start=False)
    store.call("stop")
    deadline = time.monotonic() + 30
    while not _released(store) and time.monotonic() < deadline:
        time.sleep(0.02)
    return emit(options, {"stopped": store.welcome.pid})


def _released(store: Client) -> bool:
    """Whether no hub holds the store any more: its lock goes last, after the file was written out and closed."""
    with lock_path(store.path).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def configure_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in", dest="folder", type=Path, default=Path(".demo"), help="folder for the store")
    parser.add_argument("--plain", action="store_true", help="print the first screens as text")


def demo(options: Options) -> int:
    """Build the sample project's store and open the console on it."""
    from console.demo import demo as run

    return run(options)


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "console", "open the console (what spiritsafe does without a command)", configure_console, console
        ),
        Command("demo", "the sample project, built and opened", configure_demo, demo),
        Command("init", "make a project and a contract to fill in", configure_init, init),
        Command("projects", "list the store's projects", nothing, projects),
        Command("contract", "check, lock or show the contract", configure_contract, contract),
        *(
            Command(stage.name, stage.help, stage_command.configure(stage), stage_command.run(stage))
            for stage in STAGES.values()
        ),
        Command(
            "queue",
            "list a queue: audit, duplicates, disagreements, ledger",
            headless.configure_queue,
            headless.queue,
        ),
        Command("show", "one subject of a queue, whole", headless.configure_show, headless.show),
        Command(
            "verdict",
            "judge a subject: ok, bad, unsure, left, right, …",
            headless.configure_verdict,
            headless.verdict,
        ),
        Command("comment", "remark on a subject", headless.configure_comment, headless.comment),
        Command("why", "record the reason of a choice", headless.configure_why, headless.why),
        Command("undo", "undo your own latest act in the project", nothing, headless.undo),
        Command("redo", "redo what you undid last", nothing, headless.redo),
        Command(
            "report", "print the evaluation, gate and coverage", headless.configure_report, headless.report
        ),
        Command("decide", "record ship, iterate or kill", configure_decide, decide),
        Command("export", "write the newest decision record", configure_export, export),
        Command("verify", "check the store, or recompute a record", configure_verify, verify),
        Command("sql", "one SELECT over the store", configure_sql, sql),
        Command("serve", "serve the store in the foreground", configure_serve, serve),
        Command("status", "what the hub holds", nothing, status),
        Command("stop", "stop the hub", nothing, stop),
    )
}
