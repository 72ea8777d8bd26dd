"""``spiritsafe doctor``, the stages: which can run here, and what each of the others misses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from console.findings import Finding, Part
from engine.stages import STAGES, Stage
from store.errors import RuleError, SpiritsafeError

if TYPE_CHECKING:
    from engine.context import Context
    from store.client import Client


@dataclass(frozen=True, slots=True)
class Need:
    """A distribution beyond the base that a stage imports, the extra that brings it, and after which stage only.
    ``gains``: what it brings to a stage that works without it."""

    package: str
    extra: str
    after: str = ""
    gains: str = ""


# A test holds this to what the stages import.
PACKAGES: dict[str, tuple[Need, ...]] = {
    "baselines": (Need("scikit-learn", "train", after="baselines"),),  # only --kind label_names
    "dedup": (Need("numba", "fast", gains="a hundred times faster"),),
    "semantic": (Need("sentence-transformers", "semantic"), Need("huggingface-hub", "semantic")),
    "crossfit": (Need("scikit-learn", "train"),),
    "train": (Need("scikit-learn", "train"),),
    "evaluate": (Need("scikit-learn", "train", after="train"),),
}
MAKES = {  # what a stage needs, and the command that makes it
    "contract": "spiritsafe contract lock contract.toml",
    "evaluation": "spiritsafe evaluation freeze",
    "arrivals": "spiritsafe import",
    "outputs": "spiritsafe generate, or import with --output",
    "dataset": "spiritsafe dataset freeze",
    "evaluate": "spiritsafe evaluate",
}
_part = Part("stages")


def look_at_stages(client: Client | None, project: str, why_none: str) -> Iterator[Finding]:
    """Each stage: what was done, or what it misses. Without a project only the packages."""
    have: set[str] | None = None
    if client is not None and project:
        from engine.context import Context

        context = Context(client, project)
        try:
            have = standing(context)
            yield _part.ok("project", project)
            yield from _key(context)
        except SpiritsafeError as error:
            yield _part.problem("project", error.what, error.todo)
    else:
        yield _part.ok("project", f"not looked at: {why_none}")
    yield from (_stage(stage, have) for stage in STAGES.values())


def standing(context: Context) -> set[str]:
    """What stands in a project, in the words of ``Stage.needs``, with the stages that were run."""
    from store import read

    counts = context.store.ask(read.COUNTS, project=context.project)[0]
    have = {run.stage for run in context.runs()}
    have |= {"contract"} if context.store.ask(read.CONTRACTS, project=context.project) else set()
    have |= {"arrivals"} if counts.arrivals else set()
    return have | ({"outputs"} if counts.outputs else set())


def _stage(stage: Stage, have: set[str] | None) -> Finding:
    needs = [n for n in PACKAGES.get(stage.name, ()) if not n.after or n.after in (have or ())]
    lacking = [n for n in needs if not _is_here(n.package)]
    missing = [n for n in lacking if not n.gains]
    if missing:
        extras = ",".join(dict.fromkeys(n.extra for n in missing))
        told = f"needs {', '.join(n.package for n in missing)}"
        say = _part.ok if stage.optional else _part.warning
        return say(stage.name, told, f"pip install 'spiritsafe[{extras}]'")
    if have is None and lacking:
        told = f"works without {lacking[0].package}; with it {lacking[0].gains}"
        return _part.ok(stage.name, told, f"pip install 'spiritsafe[{lacking[0].extra}]'")
    if have is None:
        return _part.ok(stage.name, "its packages are here")
    if stage.name in have:
        return _part.ok(stage.name, "was run")
    if stage.needs and stage.needs not in have:
        return _part.ok(stage.name, f"waits for {stage.needs}", MAKES[stage.needs])
    return _part.ok(stage.name, "can run")


def _is_here(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _key(context: Context) -> Iterator[Finding]:
    """The key that the contract's endpoint wants: whether it is set, never what it is."""
    try:
        name = context.contract().teacher.api_key_env
    except RuleError:
        return
    if name and name not in os.environ:
        yield _part.warning(name, "not set, and generate needs it", f"export {name}=… (it is never stored)")
    elif name:
        yield _part.ok(name, "set")
