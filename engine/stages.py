"""The stages: everything that spiritsafe does to data, in the order of a distillation, as one table.

To add one: a module with ``Params`` (a frozen dataclass whose fields carry their help) and
``run(context, params) -> result``, and a line in ``STAGES``. The command line, the console's run sheet and
the docs come from this table; a module is imported only when its stage is asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a distillation. ``needs``: what must stand before it, in the words of the run sheet."""

    name: str
    help: str
    module: str
    needs: str = ""
    screen: str = ""  # where the console shows what it left
    action: str = ""  # the word behind the command's name, where it has one
    optional: bool = False  # never said to be next


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("import", "prompts, outputs and predictions from files", "engine.arrivals", "", "audit"),
        Stage(
            "evaluation",
            "freeze the evaluation set and harness",
            "engine.evaluate.freeze",
            "contract",
            "evaluation",
            "freeze",
        ),
        Stage(
            "baselines", "what doing nothing scores", "engine.students.compare", "evaluation", "evaluation"
        ),
        Stage("generate", "ask the teacher", "engine.teacher.stage", "contract", "audit"),
        Stage("check", "automatic checks of outputs", "engine.clean.check", "outputs", "audit"),
        Stage("dedup", "near-duplicates, each pair verified", "engine.clean.dedup", "arrivals", "duplicates"),
        Stage(
            "semantic",
            "pairs alike in meaning: suggested, not verified",
            "engine.clean.semantic",
            "arrivals",
            "semantic",
            optional=True,
        ),
        Stage(
            "crossfit",
            "students that never saw a sample answer it: where to look first",
            "engine.students.crossfit",
            "outputs",
            "audit",
            optional=True,
        ),
        Stage("coverage", "what the data covers", "engine.clean.cover", "arrivals", "coverage"),
        Stage(
            "audit",
            "lock a sampling plan and draw its samples",
            "engine.audit.stage",
            "outputs",
            "audit",
            "plan",
        ),
        Stage(
            "filter", "what the contract's policy drops, and why", "engine.clean.filter", "outputs", "audit"
        ),
        Stage("dataset", "freeze a dataset version", "engine.clean.dataset", "outputs", "coverage", "freeze"),
        Stage(
            "train", "train a student on a dataset version", "engine.students.train", "dataset", "evaluation"
        ),
        Stage(
            "evaluate",
            "score every model on the frozen set",
            "engine.evaluate.report",
            "evaluation",
            "evaluation",
        ),
        Stage(
            "gate",
            "judge the contract's bars on the evidence",
            "engine.evaluate.bars",
            "evaluate",
            "decision",
        ),
    )
}


def load(name: str) -> ModuleType:
    """The module of a stage: its ``Params`` and ``run``."""
    return importlib.import_module(STAGES[name].module)


def option(default: Any, help: str, *, choices: tuple[str, ...] = (), flag: str = "") -> Any:
    """A field of a Params dataclass that is a command-line option.

    A mutable default is not needed: repeated options are tuples. ``flag`` overrides the name made of the field's.
    """
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices, "flag": flag})


Progress = Callable[[str, int, int | None], None]


def silent(what: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""
    del what, done, total


def as_mapping(params: Any) -> Mapping[str, Any]:
    """Parameters as the run records them: paths by name only, so that no folder of a person's gets in."""
    return {
        name: ([str(v) for v in value] if isinstance(value, tuple) else value)
        for name, value in dataclasses.asdict(params).items()
        if value not in (None, "", ())
    }
