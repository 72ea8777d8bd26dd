"""``gh``: the stages as a run sheet: what was done, what it found, what blocks, what is next; and the jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any, ClassVar

from textual.timer import Timer

from console.screens.page import Page
from console.screens.sheet import Line, Sheet, SheetRoom
from console.widgets.bars import progress
from console.widgets.detail import Section
from engine.context import Closed, Context
from engine.stages import STAGES, Stage
from store import read
from store.errors import RuleError

EVERY = 0.5  # seconds between looks at running jobs; none are looked for while none run


class Home(SheetRoom):
    """The run sheet of one project."""

    name_: ClassVar[str] = "home"

    def __init__(self) -> None:
        super().__init__()
        self._timer: Timer | None = None
        self.jobs: dict[str, dict[str, Any]] = {}

    def ask_sheet(self, width: int) -> Sheet:
        context = Context(self.home.store, self.home.project)
        self.jobs = {
            k: v for k, v in self.home.store.call("jobs").items() if k.startswith(f"{context.project}/")
        }
        return run_sheet(context, self.jobs, width)

    def show_sheet(self, sheet: Sheet) -> None:
        super().show_sheet(sheet)
        if self.jobs and self._timer is None:
            self._timer = self.set_interval(EVERY, self.enter)
        elif not self.jobs and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def action_run_stage(self) -> None:
        """``r``: the stage under the cursor, as a detached job with its defaults."""
        row = self.current
        stage = STAGES.get(row.sections[0].title) if row is not None and row.sections else None
        if stage is None or stage.name in ("import", "generate") or self.home.read_only:
            self.tell(
                "import and generate need options: run them from the shell"
                if stage
                else "no stage on this row"
            )
            return
        words = [sys.executable, "-P", "-m", "console.cli", stage.name]
        words += ["freeze"] if stage.name in ("evaluation", "dataset") else []
        words += ["--store", str(self.home.store.path), "--project", self.home.project, "--json"]
        self.tell(f"{stage.name} runs…")
        self.home.work(lambda: _run_job(words), self._ran)

    def _ran(self, told: str) -> None:
        self.tell(told)
        self.enter()

    def action_cancel_job(self) -> None:
        """``x``: the newest job of one's own."""
        for job, state in self.jobs.items():
            if isinstance(state.get("pid"), int):
                os.kill(state["pid"], signal.SIGTERM)
                self.tell(f"{job} was asked to stop")
                return
        self.tell("no job runs")

    def action_choose_project(self) -> None:
        """``p``"""
        self.home.work(lambda: self.home.store.ask(read.PROJECTS), self._choose)

    def _choose(self, projects: list[read.Project]) -> None:
        names = [p.name for p in projects]
        listed = "\n".join(f"  {p.name:<24} {p.title}" for p in projects)
        self.ask(f"project ({', '.join(names)[:60]}):", lambda name: self._chosen(name, names, listed),
                 complete=lambda text, column: [n for n in names if n.startswith(text[:column])])  # fmt: skip

    def _chosen(self, name: str, names: list[str], listed: str) -> None:
        if name in names:
            self.home.choose(name)
        elif name:
            self.app.push_screen(Page(f"no project {name!r}; there are\n\n{listed}"))


def _run_job(words: list[str]) -> str:
    """Run a job in a session of its own; its last word."""
    done = subprocess.run(
        words, capture_output=True, text=True, start_new_session=True, check=False, stdin=subprocess.DEVNULL
    )
    name = words[4]
    last = (done.stderr.strip() or "done").splitlines()[-1]
    return f"{name}: done" if done.returncode in (0, 1) else f"{name}: {last[:200]}"


def run_sheet(context: Context, jobs: dict[str, dict[str, Any]], width: int) -> Sheet:
    """The stages with their state; also what ``--plain`` prints."""
    runs = context.runs()
    counts = context.store.ask(read.COUNTS, project=context.project)[0]
    have = (
        {r.stage for r in runs}
        | ({"arrivals"} if counts.arrivals else set())
        | ({"outputs"} if counts.outputs else set())
    )
    try:
        locked = context.locked()
        have.add("contract")
        contract = f"locked, version {locked.version}, {locked.hash[:12]}"
    except RuleError:
        contract = "not locked: spiritsafe init, then contract lock"
    lines = [
        Line(
            f"{'contract':<12} {contract}",
            "✓" if "contract" in have else " ",
            (Section("contract", contract),),
        )
    ]
    following = False
    for stage in STAGES.values():
        done = [r for r in runs if r.stage == stage.name]
        blocked = stage.needs and stage.needs not in have
        mark = "✓" if done else "·" if blocked else " "
        if done:
            text = said(stage, done[-1], len(done))
        elif blocked:
            text = f"needs {stage.needs} first"
        else:
            text = stage.help if following else f"next: {stage.help}"
            following = True
        lines.append(
            Line(
                f"{stage.name:<12} {text}",
                mark,
                sections_of(stage, done),
                (stage.screen, {}) if done else None,
            )
        )
    for name, state in jobs.items():
        total, done_ = state.get("total") or 0, state["done"]
        eta = f", {state['seconds_left']} s left" if state.get("seconds_left") is not None else ""
        bar = progress(done_, total, 20) if total else f"{done_:,}"
        lines.append(Line(f"{'job':<12} {name.split('/')[1]} {bar} {state['what']}{eta}", "▸"))
    retro = " (retrospective)" if context.retrospective() else ""
    header = (
        f"{context.project}{retro} · {counts.arrivals:,} arrivals, {counts.prompts:,} prompts, {counts.outputs:,} outputs"
        f" · {counts.verdicts:,} verdicts"
    )
    del width
    return Sheet(header, f"{'stage':<12} state", lines)


def said(stage: Stage, run: Closed, times: int) -> str:
    """What the newest run of a stage found, in a line."""
    r = run.result
    again = f" (run {times} times)" if times > 1 else ""
    match stage.name:
        case "import":
            text = f"{r['arrivals']:,} arrivals, {r['outputs']:,} outputs"
        case "evaluation":
            text = f"{r['prompts']:,} prompts frozen, {r['set_sha256'][:12]}"
        case "baselines":
            text = f"{r['model']}: {r['count']:,} of {r['of']:,}"
        case "generate":
            text = f"{r.get('answered', r.get('outputs', 0)):,} answers"
        case "check":
            text = ", ".join(f"{c['check']} {c['passed']:,}/{c['total']:,}" for c in r["checks"][:3])
        case "dedup":
            text = ", ".join(
                f"{f['pairs']:,} {name} pairs in {f['clusters']:,} groups" for name, f in r.items()
            )
        case "coverage":
            text = f"{r['buckets']:,} buckets, {r['thin']:,} thin, {r['missing']:,} missing"
        case "dataset":
            text = f"version {r['version']}: {r['samples']:,} samples, {r['dataset_sha256'][:12]}"
        case "train":
            text = f"{r['model']} on {r['samples']:,} samples"
        case "evaluate":
            text = ", ".join(f"{name} {m['accuracy']}" for name, m in list(r["models"].items())[:3])
        case _:
            text = f"{r['gate']['judgement']}: {'passes' if r['passes'] else 'does not pass'}"
    return text + again


def sections_of(stage: Stage, done: list[Closed]) -> tuple[Section, ...]:
    """The stage's detail: what it is, how to run it, what its newest run found."""
    from console.output import as_text

    command = f"spiritsafe {stage.name}" + (" freeze" if stage.name in ("evaluation", "dataset") else "")
    about = Section(stage.name, f"{stage.help}\n{command}   (--help says what it takes)")
    if not done:
        return (about,)
    newest = done[-1]
    return (about, Section(f"run {newest.run_no}", as_text(newest.result)))
