"""Dataset versions after the freeze: which there are, what one holds, what changed between two, one made current again.

A version is never changed: ``restore`` freezes an older one's samples anew, as the next version with the same hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from engine.clean.dataset import protected
from engine.clean.match import weights_of
from engine.clean.near import Near, near_duplicates_of
from engine.context import Closed, Context
from store import read, read_dataset
from store.errors import InputError, RuleError
from store.records import Bucket, Dropped, File, SetMember

HEX = 6  # characters of a hash that name a version
CARRIED = ("fingerprint", "candidates", "dropped", "spoke_against", "slices", "coverage", "audit", "match")


@dataclass(frozen=True, slots=True)
class Version:
    """A dataset version: its number, from 1, and the run that froze it."""

    number: int
    run: Closed

    @property
    def sha256(self) -> str:
        return str(self.run.result["dataset_sha256"])

    def line(self) -> dict[str, Any]:
        """What a list shows of it."""
        result = self.run.result
        told: dict[str, Any] = {
            "version": self.number,
            "samples": result["samples"],
            "teacher": result["teacher"],
        }
        told |= {
            "dropped": sum(result["dropped"].values()),
            "sha256": self.sha256,
            "parent": result["parent"],
        }
        told |= {"contract": self.run.inputs["contract"], "event": self.run.seq}
        return told | ({"restored": result["restored"]} if "restored" in result else {})


def versions(context: Context) -> list[Version]:
    """All versions, oldest first."""
    return [Version(number, run) for number, run in enumerate(context.runs("dataset"), 1)]


def version(context: Context, name: str = "newest") -> Version:
    """The version that ``newest``, a number (``3``, ``v3``) or the beginning of a hash names.

    Raises RuleError where there is none at all, InputError where the name is none or fits several.
    """
    all_ = versions(context)
    if not all_:
        raise RuleError(f"project {context.project} has no dataset version", todo="spiritsafe dataset freeze")
    if name in ("", "newest"):
        return all_[-1]
    number = name.removeprefix("v")
    if number.isdigit() and len(number) < HEX:
        found = [v for v in all_ if v.number == int(number)]
    else:
        found = [v for v in all_ if len(name) >= HEX and v.sha256.startswith(name)][-1:]
    if not found:
        raise InputError(
            f"no dataset version {name!r}", todo=f"There are 1 to {len(all_)}: spiritsafe dataset list"
        )
    return found[0]


def show(one: Version) -> dict[str, Any]:
    """Everything that the version carries: its line, what was dropped and why, slices, coverage, audit, inputs."""
    result = one.run.result
    told = one.line() | {
        "of": result.get("candidates"),
        "parameters": one.run.params,
        "inputs": one.run.inputs,
    }
    told["dropped_by_rule"] = result["dropped"]
    told |= {key: result[key] for key in CARRIED if key in result and key not in ("dropped", "candidates")}
    return told


def against(context: Context, one: Version, rule: str) -> Iterator[dict[str, Any]]:
    """Every reason against every sample that is not in a version; ``rule``: only this one ("": all)."""
    rows = context.store.ask(
        read_dataset.DROPS, project=context.project, run_id=one.run.run_id, rule=rule or None
    )
    for row in rows:
        yield {"subject": row.output_id, "rule": row.rule, "detail": row.detail}


def diff(context: Context, before: Version, after: Version) -> dict[str, Any]:
    """What entered and left from one version to another, by reason with an example, and which inputs changed."""
    named = {"before": before.run.run_id, "after": after.run.run_id}
    counts = context.store.ask(read_dataset.CHANGE_COUNTS, project=context.project, **named)
    changed = {
        key: {"before": before.run.inputs.get(key), "after": after.run.inputs.get(key)}
        for key in ("contract", "set", "dedup")
        if before.run.inputs.get(key) != after.run.inputs.get(key)
    }
    heavy = [_weights(context, one) for one in (before, after)]
    if other := sum(weight != heavy[1].get(sample, weight) for sample, weight in heavy[0].items()):
        changed["weights"] = {"samples": other}
    if before.run.params != after.run.params:
        changed["parameters"] = {"before": before.run.params, "after": after.run.params}
    return {
        "before": before.number,
        "after": after.number,
        "samples": {"before": before.run.result["samples"], "after": after.run.result["samples"]},
        "entered": sum(c.samples for c in counts if c.change == "entered"),
        "left": sum(c.samples for c in counts if c.change == "left"),
        "why": [
            {"change": c.change, "samples": c.samples, "why": c.why, "example": c.example} for c in counts
        ],
        "inputs_changed": changed,
    }


def _weights(context: Context, one: Version) -> dict[str | None, float]:
    """The weight of each sample by its output's id; {} where the version has none."""
    heavy = weights_of(context, one.run.run_id)
    if heavy is None:
        return {}
    members = context.store.fetch(read.SET_MEMBERS, project=context.project, run_id=one.run.run_id)
    return dict(zip(members["output_id"].to_pylist(), heavy, strict=False))


def changes(context: Context, before: Version, after: Version) -> Iterator[dict[str, Any]]:
    """Every sample that entered or left, with why."""
    named = {"before": before.run.run_id, "after": after.run.run_id}
    for row in context.store.ask(read_dataset.CHANGES, project=context.project, **named):
        yield {"change": row.change, "why": row.why, "prompt": row.prompt_id, "subject": row.output_id}


def restore(context: Context, one: Version) -> dict[str, Any]:
    """Make an older version the newest: the same samples, the same hash, a number of its own.

    Raises RuleError where it is the newest already, or where something of it may not be trained on any more: the
    evaluation set took it in since, or a near-duplicate of it, or the contract excludes it now.
    """
    newest, frozen, locked = version(context), context.evaluation_set(), context.locked()
    if newest.sha256 == one.sha256 and newest.run.inputs["set"] == frozen.result["set_sha256"]:
        raise RuleError(f"version {one.number} and the newest are the same", todo="Go on: spiritsafe train")
    members = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=one.run.run_id)
    near = near_duplicates_of(context)
    _refuse_barred(context, one, members, near)
    result = {
        "version": newest.number + 1, "parent": newest.sha256, "teacher": one.run.result["teacher"],
        "samples": len(members), "dataset_sha256": one.sha256, "restored": one.number,
    } | {key: one.run.result[key] for key in CARRIED if key in one.run.result}  # fmt: skip
    inputs = {"contract": locked.hash, "set": frozen.result["set_sha256"], "dedup": near.run_id}
    opened = context.open("dataset", one.run.params, inputs)
    opened.add(
        "set_member",
        (
            SetMember(0, 0, m.arrival_key, m.prompt_id, m.output_key, m.output_id, m.reference)
            for m in members
        ),
    )
    for table, record in (("dropped", Dropped), ("bucket", Bucket), ("file", File)):
        names = [field.name for field in fields(record)][2:]  # less the run's number and the key
        rows = context.store.rows_of_run(one.run.run_no, table, names).to_pylist()
        opened.add(table, [record(0, 0, **row) for row in rows])
    opened.close(result)
    return result


def _refuse_barred(context: Context, one: Version, members: list[read.SetRow], near: Near) -> None:
    """Raise RuleError for samples that no freeze would take today, whatever its policy."""
    import polars as pl

    names = ("output_key", "arrival_key", "prompt_id")
    ours = pl.DataFrame({name: [getattr(m, name) for m in members] for name in names})
    barred = pl.concat(protected(context, str(one.run.result["teacher"]), ours, near))
    if barred.height:
        count = barred["output_key"].n_unique()
        raise RuleError(
            f"{count:,} samples of version {one.number} may not be trained on now: {', '.join(barred['rule'].unique().sort())}",
            todo="Freeze a new version: spiritsafe dataset freeze",
        )
