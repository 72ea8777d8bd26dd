"""``gh``: the stages as a run sheet: what was done, what it found, what blocks, what is next; and the jobs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from textual.timer import Timer

from console.meaning import found_line
from console.screens.sheet import Line, Sheet, SheetRoom
from console.standings import percent
from console.text import counted
from console.widgets.bars import progress
from console.widgets.detail import Section
from engine.context import Closed, Context
from engine.do_nothing import Ended, ended
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
        self.started = 0  # jobs that were started here and did not end yet
        self.jobs: dict[str, dict[str, Any]] = {}
        self._previewed = ""  # the audit plan whose curve was shown last

    def ask_sheet(self, width: int) -> Sheet:
        context = Context(self.home.store, self.home.project)
        jobs = self.home.store.call("jobs")
        self.jobs = {k: v for k, v in jobs.items() if k.startswith(f"{context.project}/")}
        return run_sheet(context, self.jobs, width)

    def show_sheet(self, sheet: Sheet) -> None:
        super().show_sheet(sheet)
        running = bool(self.jobs or self.started)
        if running and self._timer is None:
            self._timer = self.set_interval(EVERY, self._look)
        elif not running and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _look(self) -> None:
        if self.home.here is self:
            self.enter()

    def action_run_stage(self) -> None:
        """``r``: the stage under the cursor as a job; its command stands in the line, Enter runs it."""
        row = self.current
        stage = STAGES.get(row.sections[0].title) if row is not None and row.sections else None
        if stage is None:
            self.tell("no stage on this row")
        else:
            self.ask("run (Enter starts it): spiritsafe", self._run, command_of(stage))

    def _run(self, text: str) -> None:
        try:
            words = shlex.split(text)
        except ValueError as error:
            self.refuse(f"not run: {error}")
            return
        if not words:
            self.tell("nothing was run")
            return
        if words[0] not in STAGES:
            self.refuse("not run: only stages run from here: " + ", ".join(STAGES))
            return
        store = self.home.store
        where = ["--store", str(store.path), "--project", self.home.project]
        who = ["--as", self.home.claimed] if self.home.claimed else []
        if words[:2] == ["audit", "plan"] and text != self._previewed:
            self._preview(words, [*where, *who])
            return
        self.started += 1
        self.tell(f"{words[0]} runs…")
        self.home.work(
            lambda: run_job([sys.executable, "-P", "-m", "console.cli", *words, *where, *who]),
            lambda told: self._ran(f"{words[0]}: {told}"),
        )
        self.show_sheet(self.sheet)

    def _preview(self, words: list[str], where: list[str]) -> None:
        """What a plan will do stands on the screen before it is locked; behind it the line waits for Enter."""
        from console.audit_commands import dry_run, plan_page

        words = [word for word in words if word != "--dry-run"]

        def told(plan: dict[str, Any]) -> None:
            if self.home.here is not self:
                return
            text = self._previewed = shlex.join(words)
            self.ask("Enter locks, Esc does not: spiritsafe", self._run, text)
            self.show_page(f"audit plan, not locked yet: q, then Enter locks it\n\n{plan_page(plan)}")

        self.tell("audit plan: drawn on paper…")
        self.home.work(lambda: dry_run(words, where), told)

    def _ran(self, told: str) -> None:
        self.started -= 1
        self.tell(told)
        self.enter()

    def action_cancel_job(self) -> None:
        """``x``: the newest job of one's own; the same command goes on where it stopped."""
        mine = [(job, state) for job, state in self.jobs.items() if state.get("actor") == self.home.who]
        if not mine:
            self.tell("no job of yours runs")
            return
        job, state = mine[-1]
        try:
            os.kill(int(state["pid"]), signal.SIGTERM)
        except (OSError, KeyError, ValueError) as error:
            self.tell(f"{job} cannot be stopped from here: {error}")
        else:
            self.tell(f"{job} was asked to stop")

    def action_choose_project(self) -> None:
        """``p``"""
        self.home.work(lambda: self.home.store.ask(read.PROJECTS), self._choose)

    def _choose(self, projects: list[read.Project]) -> None:
        names = [p.name for p in projects]
        self.ask(f"project ({', '.join(names)[:60]}):", lambda name: self._chosen(name, names),
                 complete=lambda text, column: [n for n in names if n.startswith(text[:column])])  # fmt: skip

    def _chosen(self, name: str, names: list[str]) -> None:
        if name in names:
            self.home.choose(name)
        elif name:
            self.refuse(f"no project {name!r}; there are {', '.join(names)}")


def run_job(words: list[str]) -> str:
    """Run a command in a session of its own, so that it outlives us; its last word."""
    done = subprocess.run(
        words, capture_output=True, text=True, start_new_session=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode == 0 or (done.returncode == 1 and not done.stderr):  # 1: done, and bad news
        return "done"
    return " — ".join(line.strip() for line in done.stderr.strip().splitlines()[-2:])[:300] or "failed"


def command_of(stage: Stage) -> str:
    """The stage's command line, without ``spiritsafe`` and options."""
    return f"{stage.name} {stage.action}".strip()


def run_sheet(context: Context, jobs: dict[str, dict[str, Any]], width: int) -> Sheet:
    """The stages with their state; also what ``--plain`` prints."""
    del width
    runs = context.runs()
    counts = context.store.ask(read.COUNTS, project=context.project)[0]
    try:
        locked = context.locked()
        contract = f"locked, version {locked.version}, {locked.hash[:12]}"
    except RuleError:
        locked, contract = None, "not locked: spiritsafe init writes one, spiritsafe contract lock locks it"
    have = {r.stage for r in runs}
    have |= {"contract"} if locked else set()
    have |= {"arrivals"} if counts.arrivals else set()
    have |= {"outputs"} if counts.outputs else set()
    retrospective = context.retrospective()
    taken = ended(context)
    over = taken is not None and not taken.went_on
    following = "" if over else next_stage(have, retrospective=retrospective)
    lines = [_ended_line(taken)] if taken is not None else []
    lines.append(
        Line(f"{'contract':<12} {contract}", "✓" if locked else "→", (Section("contract", contract),))
    )
    lines += [_stage_line(stage, runs, have, following) for stage in STAGES.values()]
    lines += [_job_line(name, state) for name, state in jobs.items()]
    header = (
        f"{context.project}{' (retrospective)' if retrospective else ''}{' · ended' if over else ''}"
        f" · {verdicts_said(context)}"
        f" · {counted(counts.arrivals, 'arrival')} · {counted(counts.prompts, 'prompt')}"
        f" · {counted(counts.outputs, 'output')}"
    )
    return Sheet(header, f"{'stage':<12} state", lines)


def _ended_line(taken: Ended) -> Line:
    """That a baseline was taken instead of a student, by whom, and whether somebody went on since."""
    text = f"ENDED by {taken.by}: {taken.baseline} taken; generate asks a reason to go on"
    about = f"{taken.by} took the baseline {taken.baseline}:\n{taken.rationale}\n\n"
    if taken.went_on:
        text = f"gone on by {taken.went_on} after {taken.baseline} was taken"
        about += f"{taken.went_on} went on all the same:\n{taken.reason}"
    else:
        about += 'To go on all the same: spiritsafe generate --reason "…"'
    return Line(f"{'outcome':<12} {text}", "·" if taken.went_on else "■", (Section("outcome", about),))


def verdicts_said(context: Context) -> str:
    """How many verdicts are in force, and how many of them are the audit's: those that gd and gr speak of."""
    tallies = context.store.ask(read.TALLIES, project=context.project, seq=None)
    every, audit = sum(t.count for t in tallies), sum(t.count for t in tallies if t.queue == "audit")
    return counted(every, "verdict") + (f" ({audit:,} of the audit)" if every else "")


def next_stage(have: set[str], *, retrospective: bool) -> str:
    """The first stage that is not done, can be, and makes sense: a retrospective project imports what others
    generate and train. Empty where the contract comes first, or all is done."""
    imported = {"generate", "train"} if retrospective else set()
    imported |= {stage.name for stage in STAGES.values() if stage.optional}
    for stage in STAGES.values():
        if stage.name in have or stage.name in imported:
            continue
        if not stage.needs or stage.needs in have:
            return stage.name
        if stage.needs == "contract":
            return ""
    return ""


def _stage_line(stage: Stage, runs: list[Closed], have: set[str], following: str) -> Line:
    done = [r for r in runs if r.stage == stage.name]
    if done:
        mark, text = "✓", said(stage, done[-1], len(done)) + grid_of(stage, runs)
    elif stage.name == following:
        mark, text = "→", f"next: {stage.help}"
    elif stage.needs and stage.needs not in have:
        mark, text = "·", f"needs {stage.needs} first"
    else:
        mark, text = " ", stage.help
    opens: tuple[str, dict[str, Any]] | None = (stage.screen, {}) if done else None
    return Line(f"{stage.name:<12} {text}", mark, sections_of(stage, done), opens)


def grid_of(stage: Stage, runs: list[Closed]) -> str:
    """Which run's grid a line speaks of, and which one gc shows where a dataset was frozen since."""
    if stage.name != "coverage":
        return ""
    mine, newest = ([r for r in runs if r.stage in of][-1] for of in (("coverage",), ("coverage", "dataset")))
    return f" · run {mine.run_no}" + (
        f" (gc: the dataset's, run {newest.run_no})" if newest is not mine else ""
    )


def _job_line(name: str, state: dict[str, Any]) -> Line:
    total, done = state.get("total") or 0, state.get("done", 0)
    eta = f", {state['seconds_left']} s left" if state.get("seconds_left") is not None else ""
    bar = progress(done, total, 20) if total else f"{done:,}"
    return Line(f"{'job':<12} {name.split('/')[1]} {bar} {state.get('what', '')}{eta}", "▸")


# What a stage found, of those that say it plainly.
SAID: dict[str, Callable[[dict[str, Any]], str]] = {
    "semantic": found_line,
    "coverage": lambda r: f"{counted(r['buckets'], 'bucket')}, {r['thin']:,} thin, {r['missing']:,} missing",
    "dataset": lambda r: (
        f"version {r['version']}: {counted(r['samples'], 'sample')}, {r['dataset_sha256'][:12]}"
    ),
    "train": lambda r: f"{r['model']} on {counted(r['samples'], 'sample')}",
}


def said(stage: Stage, run: Closed, times: int) -> str:
    """What the newest run of a stage found, in a line."""
    r = run.result
    again = f" (run {times} times)" if times > 1 else ""
    if stage.name in SAID:
        return SAID[stage.name](r) + again
    match stage.name:
        case "import":
            text = f"{counted(r['arrivals'], 'arrival')}, {counted(r['outputs'], 'output')}"
        case "evaluation":
            text = f"{counted(r['prompts'], 'prompt')} frozen, {r['set_sha256'][:12]}"
        case "baselines":
            text = baselines_said(r)
        case "generate":
            text = f"{counted(r.get('answered', r.get('outputs', 0)), 'answer')}"
        case "check":
            passed, total = sum(c["passed"] for c in r["checks"]), sum(c["total"] for c in r["checks"])
            text = f"{passed:,} of {total:,} passed"
        case "dedup":
            text = ", ".join(
                f"{counted(f['pairs'], f'{name} pair')} in {counted(f['clusters'], 'group')}"
                for name, f in r.items()
            )
        case "audit":
            allowed = f", at most {counted(r['c'], 'error')}" if "c" in r else ""
            text = f"{r['mode']} plan, gate {percent(float(r['gate']))} %: {r['n']:,} of {r['population']:,}{allowed}"
        case "evaluate":
            first = r["teacher"]
            names = [first, *(name for name in r["models"] if name != first)]
            text = ", ".join(
                f"{name} {r['models'][name]['accuracy']}" for name in names[:3] if name in r["models"]
            )
        case _:
            text = f"{r['gate']['judgement']}: {'passes' if r['passes'] else 'does not pass'}"
    return text + again


def baselines_said(result: dict[str, Any]) -> str:
    """How many each baseline got right, best first, and whether one would do.

    >>> baselines_said({"rivals": [{"model": "majority", "right": 100, "n": 200}], "meets": []})
    'none would do: majority 100 of 200'
    """
    if "rivals" not in result:  # answers alone: it was stopped before they were judged
        return f"{result['model']}: {counted(result['outputs'], 'answer')}"
    best = sorted(result["rivals"], key=lambda rival: -rival["right"])
    rights = ", ".join(f"{rival['model']} {rival['right']:,} of {rival['n']:,}" for rival in best)
    does = f"{', '.join(result['meets'])} would do" if result["meets"] else "none would do"
    return f"{does}: {rights or 'nobody answered the whole set'}"


def sections_of(stage: Stage, done: list[Closed]) -> tuple[Section, ...]:
    """The stage's detail: what it is, how to run it, what its newest run found."""
    from console.output import as_text

    about = Section(stage.name, f"{stage.help}\nspiritsafe {command_of(stage)}   (--help says what it takes)")
    if not done:
        return (about,)
    newest = done[-1]
    return (about, Section(f"run {newest.run_no}", as_text(newest.result)))
