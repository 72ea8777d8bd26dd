"""A stage as a command: its flags come from its ``Params``, its progress goes to standard error and the hub."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.output import emit, open_store, project_name, project_of
from console.text import line, visible
from engine.stages import Stage, load
from store.client import Client
from store.errors import RuleError

if TYPE_CHECKING:
    from engine.context import Context

TYPES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "int | None": int,
    "float | None": float,
    "Path": Path,
    "Path | None": Path,
}


def configure(stage: Stage) -> Callable[[argparse.ArgumentParser], None]:
    """A function that gives a parser the stage's flags."""

    def add(parser: argparse.ArgumentParser) -> None:
        if stage.action:
            parser.add_argument("action", choices=(stage.action,), help=f"{stage.action} it")
        if stage.name == "import":
            parser.add_argument(
                "--retrospective", metavar="NAME", help="make a retrospective project of that name first"
            )
            from console import import_preview

            import_preview.add_options(parser)
        for field in fields_of(stage):
            flag(parser, field)

    return add


def fields_of(stage: Stage) -> tuple[dataclasses.Field[Any], ...]:
    """The stage's parameters."""
    return dataclasses.fields(load(stage.name).Params)


def flag(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    """One parameter as an option of the command line."""
    name, kind = "--" + field.name.replace("_", "-"), str(field.type)
    about: dict[str, Any] = {"help": field.metadata["help"], "default": field.default}
    if field.metadata["choices"]:
        about["choices"] = field.metadata["choices"]
    if field.metadata["flag"]:
        parser.add_argument(
            field.name, nargs="*", metavar=field.metadata["flag"], type=Path, help=field.metadata["help"]
        )
    elif kind == "bool":
        parser.add_argument(name, action="store_true", help=field.metadata["help"])
    elif kind.startswith("tuple"):
        parser.add_argument(name, action="append", metavar=field.name.upper(), **(about | {"default": None}))
    else:
        if field.default not in (None, "", 0, False):
            about["help"] += f" (default {field.default})"
        if not field.metadata["choices"]:
            about["metavar"] = field.name.upper()
        parser.add_argument(name, type=TYPES[kind], **about)


def params_of(stage: Stage, options: argparse.Namespace) -> Any:
    """The stage's parameters from parsed options."""
    kind = load(stage.name).Params
    values = {}
    for field in dataclasses.fields(kind):
        value = getattr(options, field.name)
        values[field.name] = tuple(value or ()) if str(field.type).startswith("tuple") else value
    return kind(**values)


def run(stage: Stage) -> Callable[[argparse.Namespace], int]:
    """A function that runs the stage as a command."""

    def command(options: argparse.Namespace) -> int:
        from engine.context import Context

        if getattr(options, "preview", False) or getattr(options, "save_map", None):
            from console import import_preview

            if options.preview:
                return import_preview.show(options, params_of(stage, options))
            import_preview.save(options.save_map, params_of(stage, options).mapping())
        retrospective = getattr(options, "retrospective", None)
        if retrospective:
            project_name(retrospective)
        store = open_store(options, create=bool(retrospective))
        if retrospective:
            _make_retrospective(store, retrospective)
            options.project = retrospective
        project = project_of(options, store)
        if stage.name == "generate" and not (options.reason or options.json) and sys.stdin.isatty():
            options.reason = _reason_asked(Context(store, project))
        meter = Meter(
            store, f"{project}/{stage.name}/{os.getpid()}", quiet=options.json or not sys.stderr.isatty()
        )
        try:
            with _asked_to_stop() as stopped:
                context = Context(store, project, progress=meter, cancelled=lambda: bool(stopped))
                result = load(stage.name).run(context, params_of(stage, options))
        finally:
            meter.end()
        if options.json:
            emit(options, result)
        else:
            from console.stage_words import page

            sys.stdout.write(page(stage.name, context, result))
        return int(_is_bad_news(stage, result))

    return command


def _reason_asked(context: Context) -> str:
    """On a terminal: why the teacher is asked although a baseline would do; "" where nothing is to be asked."""
    from engine.do_nothing import reason_wanted

    why, _ = reason_wanted(context)
    if not why:
        return ""
    try:
        return input(f"{visible(why)}.\nWhy go on? ")
    except EOFError:
        return ""


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Signals that came: the first asks the stage to end in order, the second interrupts whatever it does."""
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    before = {name: signal.signal(name, note) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _is_bad_news(stage: Stage, result: dict[str, Any]) -> bool:
    """Whether the stage did its work and what it found is exit 1: a gate that does not pass, prompts unanswered."""
    if stage.name == "gate":
        return not result["passes"]
    return stage.name == "generate" and bool(result["failed"])


def _make_retrospective(store: Client, name: str) -> None:
    from store import read

    standing = next((p for p in store.ask(read.PROJECTS) if p.name == name), None)
    if standing is None:
        store.act("project.create", name, {"retrospective": True})
    elif not standing.retrospective:
        raise RuleError(
            f"project {name} is there already and not retrospective", todo=f"import --project {name}"
        )


class Meter:
    """Progress with rate and ETA: on the terminal's last line, and with the hub for the home screen; ≤ 2 Hz.

    What is said behind a ``·`` may change while the work goes on; it says its own rate (an import counts bytes and
    tells rows).
    """

    def __init__(self, store: Client, job: str, *, quiet: bool) -> None:
        self.store, self.job, self.quiet = store, job, quiet
        self.started = self.last = time.monotonic()
        self.work = ""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Say how far it is."""
        now = time.monotonic()
        work, aside, _ = what.partition(" · ")
        if work != self.work:
            self.work, self.started = work, now
        if now - self.last < 0.5:
            return
        self.last = now
        rate = done / (now - self.started) if now > self.started else 0.0
        left = (total - done) / rate if total and rate else None
        state = {
            "what": what,
            "done": done,
            "total": total,
            "seconds_left": None if left is None else round(left),
        }
        self.store.call("progress", job=self.job, state=state | {"pid": os.getpid()})
        if not self.quiet:
            share = f"{done / total:4.0%} of {total:,}" if total else f"{done:,}"
            pace = "" if aside else f", {rate:,.0f}/s"
            eta = f", {left:.0f} s left" if left is not None else ""
            told = line(f"{what}: {share}{pace}{eta}", shutil.get_terminal_size().columns - 1)
            sys.stderr.write(f"\r{told.rstrip()}\x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        """The job is over."""
        if not self.quiet:
            sys.stderr.write("\r\x1b[K")
        self.store.call("progress", job=self.job, state={})
