"""The commands, as one table: every stage of ``engine/stages.py``, and what people do around them.

To add one: a function here (or in ``headless_….py`` for the twins of console actions), a line in ``COMMANDS``, and
one in ``lessons.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.later import Later
from console.output import emit, open_store, project_of
from engine.stages import STAGES, Stage
from store.errors import InputError, UsageError

if TYPE_CHECKING:
    from console import (
        audit_commands,
        completion,
        contract_commands,
        dataset_commands,
        doctor,
        headless,
        headless_acts,
        headless_queue,
        hub_commands,
        keys_command,
        request_commands,
        stage_command,
        standards_commands,
    )
    from console import backup_command as backup
else:  # the same, each imported when a command of its runs: `spiritsafe --help` waits for none of them
    completion, doctor = Later("console.completion"), Later("console.doctor")
    dataset_commands = Later("console.dataset_commands")
    request_commands = Later("console.request_commands")
    contract_commands = Later("console.contract_commands")
    standards_commands = Later("console.standards_commands")
    headless, stage_command = Later("console.headless"), Later("console.stage_command")
    headless_acts, headless_queue = Later("console.headless_acts"), Later("console.headless_queue")
    backup, audit_commands = Later("console.backup_command"), Later("console.audit_commands")
    hub_commands, keys_command = Later("console.hub_commands"), Later("console.keys_command")

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
    keys_command.configure_looks(parser)


def console(options: Options) -> int:
    """Open the console; without a terminal, print the first screens as text."""
    from console.start import start

    return start(options)


# ---- projects and contract
def projects(options: Options) -> int:
    """List the store's projects."""
    from store import read

    rows = open_store(options).ask(read.PROJECTS)
    return emit(
        options,
        {"projects": [{"name": p.name, "title": p.title, "retrospective": p.retrospective} for p in rows]},
    )


# ---- decision
def configure_decide(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("outcome", choices=("ship", "iterate", "kill"))
    parser.add_argument("--why", required=True, help="the rationale, in your words")
    parser.add_argument("--student", default="", help="which student (default: the newest)")
    parser.add_argument(
        "--checked",
        action="append",
        default=[],
        metavar="ITEM=ANSWER",
        help="an item of the standards' review checklist, with what was found",
    )


def decide(options: Options) -> int:
    """Record ship, iterate or kill, with the evidence."""
    from engine.context import Context
    from engine.decide import decide as put

    store = open_store(options)
    checked = dict(_item(text) for text in options.checked)
    context = Context(store, project_of(options, store))
    record = put(context, options.outcome, options.why, student=options.student, checked=checked)
    return emit(
        options, {"outcome": record["outcome"], "sha256": record["sha256"], "next": "spiritsafe export"}
    )


def _item(text: str) -> tuple[str, str]:
    item, _, answer = text.partition("=")
    if not (item.strip() and answer.strip()):
        raise UsageError(f"--checked takes ITEM=ANSWER, not {text!r}")
    return item.strip(), answer.strip()


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

    if options.record and options.record.suffix in (".toml", ".md", ".duckdb"):
        todo = "Give it the JSON that `spiritsafe export` writes; without a file it checks the store."
        raise InputError("is no decision record", where=str(options.record), todo=todo)
    store = open_store(options)
    found = verify_record(store, options.record) if options.record else verify_store(store)
    told: dict[str, Any] = {"sound": found.sound, "checked": found.checked}
    told["differences"] = [
        {"where": d.where, "recorded": d.recorded, "found": d.found} for d in found.differences
    ]
    emit(options, told)
    return 0 if found.sound else 1


# ---- demo
def configure_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in", dest="folder", type=Path, default=Path(".demo"), help="folder for the store")
    parser.add_argument("--plain", action="store_true", help="print the first screens as text")


def demo(options: Options) -> int:
    """Build the sample project's store and open the console on it."""
    from console.demo import demo as run

    return run(options)


def stage_of(stage: Stage) -> Command:
    """A stage as a command."""

    def configure(parser: argparse.ArgumentParser) -> None:
        stage_command.configure(stage)(parser)

    def run(options: Options) -> int:
        return stage_command.run(stage)(options)

    return Command(stage.name, stage.help, configure, run)


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "console", "open the console (what spiritsafe does without a command)", configure_console, console
        ),
        Command("keys", "list the console's keys; write a keymap", keys_command.configure, keys_command.keys),
        Command("demo", "the sample project, built and opened", configure_demo, demo),
        Command(
            "init",
            "make a project and a contract to fill in",
            contract_commands.configure_init,
            contract_commands.init,
        ),
        Command("projects", "list the store's projects", nothing, projects),
        Command(
            "contract",
            "check, lock, show or compare the contract",
            contract_commands.configure_contract,
            contract_commands.contract,
        ),
        Command(
            "breakeven",
            "from which traffic on a student pays",
            contract_commands.configure_breakeven,
            contract_commands.breakeven,
        ),
        Command(
            "standards",
            "what every contract and decision of the store must come up to",
            standards_commands.configure_standards,
            standards_commands.standards,
        ),
        *(stage_of(stage) for stage in STAGES.values() if stage.name != "dataset"),
        Command(
            "dataset",
            "freeze, list, show, diff, export, restore dataset versions",
            dataset_commands.configure,
            dataset_commands.dataset,
        ),
        Command(
            "queue",
            "list a queue: audit, adjudicate, duplicates, semantic, disagreements, ledger",
            headless_queue.configure_queue,
            headless_queue.queue,
        ),
        Command("show", "one subject of a queue, whole", headless_queue.configure_show, headless_queue.show),
        Command(
            "similar",
            "the samples most like a text or a row",
            headless_queue.configure_similar,
            headless_queue.similar,
        ),
        Command("here", "who has the project open in the console", nothing, headless_queue.here),
        Command(
            "verdict",
            "judge a subject: ok, bad, unsure, left, right, …",
            headless_acts.configure_verdict,
            headless_acts.verdict,
        ),
        Command(
            "adjudicate",
            "settle a conflict between reviewers, for good",
            audit_commands.configure_adjudicate,
            audit_commands.adjudicate,
        ),
        Command(
            "request",
            "ask for more samples; list what is asked for",
            request_commands.configure_request,
            request_commands.request,
        ),
        Command(
            "waive",
            "say that a bucket may stay thin, and why",
            request_commands.configure_waive,
            request_commands.waive,
        ),
        Command(
            "slice",
            "filters under a name: list, save, drop",
            headless_acts.configure_slice,
            headless_acts.slice_,
        ),
        Command("comment", "remark on a subject", headless_acts.configure_comment, headless_acts.comment),
        Command("why", "record the reason of a choice", headless_acts.configure_why, headless_acts.why),
        Command("undo", "undo your own latest act in the project", nothing, headless_acts.undo),
        Command("redo", "redo what you undid last", nothing, headless_acts.redo),
        Command(
            "report",
            "print the evaluation, gate, coverage, audits, agreement, pairs alike in meaning",
            headless.configure_report,
            headless.report,
        ),
        Command(
            "take",
            "don't distil: take a baseline that meets every bar",
            standards_commands.configure_take,
            standards_commands.take,
        ),
        Command(
            "sign",
            "put your name to an outcome",
            standards_commands.configure_sign,
            standards_commands.sign,
        ),
        Command("decide", "record ship, iterate or kill", configure_decide, decide),
        Command("export", "write the newest decision record", configure_export, export),
        Command("verify", "check the store, or recompute a record", configure_verify, verify),
        Command("sql", "one SELECT over the store", hub_commands.configure_sql, hub_commands.sql),
        Command(
            "serve", "serve the store in the foreground", hub_commands.configure_serve, hub_commands.serve
        ),
        Command("status", "what the hub holds", nothing, hub_commands.status),
        Command("stop", "stop the hub", nothing, hub_commands.stop),
        Command("backup", "copy the store while people work", backup.configure, backup.backup),
        Command("whoami", "who the hub says you are", nothing, hub_commands.whoami),
        Command(
            "doctor",
            "look whether all is well: versions, terminal, store, stages",
            doctor.configure,
            doctor.doctor,
        ),
        Command(
            "completion",
            "print a script for your shell's Tab key",
            completion.configure,
            completion.completion,
        ),
    )
}
