"""Stage ``dataset``: freeze a dataset version: which samples, why the others not, what it covers, under one hash.

The hash is over (prompt id, output id) in order, so that the same inputs give the same version on any machine.
Nothing of the evaluation set gets in: neither a prompt of it nor a verified near-duplicate of one. A version is linked
to its parent and carries what it rests on: contract, teacher's fingerprint, evaluation set, near-duplicate pass, audit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clean.cover import bucket_rows, cover, dimensions_of, stated, summary
from engine.clean.match import HOW, LEFT_OUT, WEIGHTS, Asked, Match, match_production
from engine.clean.near import Near, near_duplicates_of
from engine.clean.pii_scan import holding
from engine.clean.policy import RULES, Material, Rule, policy_of
from engine.context import Closed, Context
from engine.contract_exclusions import WHY_ID, named_by_hash
from engine.stages import as_mapping, option
from store import read, read_dataset
from store.canonical import digest_of
from store.errors import RuleError
from store.records import Dropped, SetMember

if TYPE_CHECKING:
    import polars as pl

TEST, NEAR_TEST, EXCLUDED = (
    "in the evaluation set",
    "near-duplicate of the evaluation set",
    "excluded by the contract",
)
PERSONAL = "personal data"
DUPLICATE = "near-duplicate"
# Acts that change no version: what else came since the last freeze may.
IDLE = frozenset(
    {"comment", "why", "slice.save", "decide", "sign", "baseline.take", "samples.request", "bucket.waive"}
)
IDLE_STAGES = frozenset(
    {"dataset", "filter", "train", "evaluate", "gate", "coverage", "audit", "baselines", "semantic"}
)


@dataclass(frozen=True, slots=True)
class Params:
    """What goes in. Every rule counts what it drops."""

    split: str = option("train", "the split to take samples from")
    keep_failing: bool = option(False, "keep outputs that fail a check")
    keep_duplicates: bool = option(False, "keep near-duplicates that a representative stands for")
    keep_flagged: bool = option(False, "keep outputs that a reviewer called bad")
    match_production: str = option(
        "", "bring buckets to production's shares: draw leaves samples out, weights keeps all", choices=HOW
    )
    by: tuple[str, ...] = option(
        (), "buckets: EXPRESSION[: EDGE, EDGE, …]; repeat for a grid (default: the contract's)"
    )
    seed: str = option("", "of a draw (default: 1)")
    shortfall: str = option("", "share of its due that a thin bucket may stay at in a draw (default: 0.5)")

    def match(self) -> Asked | None:
        """How the version is to be brought to production, None where it is not."""
        if not self.match_production:
            return None
        return Asked(self.match_production, self.by, self.seed or "1", self.shortfall or "0.5")

    def without(self) -> tuple[str, ...]:
        """Rules of the policy that are left out."""
        return tuple(
            name
            for name, off in (("failing_checks", self.keep_failing), ("flagged", self.keep_flagged))
            if off
        )


@dataclass(frozen=True, slots=True)
class Filtered:
    """Candidates after all rules. ``reasons``: (output_key, rule, detail), one row per candidate and rule that spoke against it."""

    candidates: pl.DataFrame
    kept: pl.DataFrame
    reasons: pl.DataFrame
    match: Match | None = None  # how what is kept was brought to production

    def dropped(self) -> dict[str, int]:
        """Samples by the first rule that dropped them, in the order of the rules."""
        first = self.reasons.unique("output_key", keep="first", maintain_order=True)
        counts = first.group_by("rule", maintain_order=True).len()
        order = list(dict.fromkeys(self.reasons["rule"]))
        return dict(sorted(counts.iter_rows(), key=lambda row: order.index(row[0])))

    def against(self) -> dict[str, int]:
        """Samples that each rule spoke against, whatever the others say of them."""
        return dict(self.reasons.group_by("rule", maintain_order=True).len().iter_rows())


def run(context: Context, params: Params) -> dict[str, Any]:
    """Freeze. Result: version, samples, dropped per rule, slices, coverage, audit, dataset_sha256, parent."""
    locked, frozen, teacher = context.locked(), context.evaluation_set(), context.model("teacher")
    versions = context.runs("dataset")
    _refuse_idle(context, versions, params)
    near = near_duplicates_of(context)
    found = filtered(context, params, teacher, near)
    if not found.kept.height:
        counts = ", ".join(f"{rule} {n:,}" for rule, n in found.dropped().items())
        raise RuleError("every sample was dropped", todo=f"By rule: {counts}. See the --keep options.")
    dimensions, targets = dimensions_of(context, params.by)
    cells = cover(context, dimensions, targets, params.split, only=found.kept["arrival_key"])
    result = {
        "version": len(versions) + 1,
        "parent": versions[-1].result["dataset_sha256"] if versions else None,
        "teacher": teacher,
        "fingerprint": (context.declared(teacher) or ("", {}))[1],
        "candidates": found.candidates.height,
        "samples": found.kept.height,
        "dropped": found.dropped(),
        "spoke_against": found.against(),
        "slices": slices(context, teacher, found),
        "coverage": summary(cells) | {"dimensions": stated(dimensions)},
        "audit": _audit(context, teacher),
        "dataset_sha256": _hash(found),
    }
    if found.match is not None:
        result["match"] = found.match.told()
    inputs = {"contract": locked.hash, "set": frozen.result["set_sha256"], "dedup": near.run_id}
    if versions and result["dataset_sha256"] == result["parent"] and versions[-1].inputs == inputs:
        raise RuleError(f"nothing changed since version {len(versions)}", todo="Go on: spiritsafe train")
    opened = context.open("dataset", dict(as_mapping(params)), inputs)
    opened.add("set_member", _members(found.kept))
    opened.add("dropped", dropped_rows(found))
    opened.add("bucket", bucket_rows(cells))
    if found.match is not None:
        opened.add("file", found.match.files(found.kept))
    opened.close(result)
    return result


def _refuse_idle(context: Context, versions: list[Closed], params: Params) -> None:
    """Raises RuleError where nothing that a version is made of came since the last one: known without reading a sample."""
    if not versions or versions[-1].params != dict(as_mapping(params)):
        return
    if "restored" in versions[-1].result:  # an older version's samples: not what a freeze would take today
        return
    came = context.store.ask(read_dataset.SINCE, project=context.project, seq=versions[-1].seq)
    if all(s.kind in IDLE or (s.kind == "run.close" and s.stage in IDLE_STAGES) for s in came):
        raise RuleError(f"nothing changed since version {len(versions)}", todo="Go on: spiritsafe train")


def filtered(context: Context, params: Params, teacher: str, near: Near | None) -> Filtered:
    """The teacher's outputs of a split after the rules that protect the evaluation set and the contract's policy.

    ``near``: None where prompts were not compared yet. Raises RuleError where there is no output, InputError for a rule that is none.
    """
    import polars as pl

    table = context.store.fetch(
        read_dataset.CANDIDATES, project=context.project, model=teacher, split=params.split
    )
    candidates = pl.DataFrame(table)
    if not candidates.height:
        raise RuleError(
            f"{teacher} answered no prompt of split {params.split!r}", todo="spiritsafe generate, or import."
        )
    reasons = list(protected(context, teacher, candidates, near))
    left = _without(candidates, reasons)
    for rule in policy_of(context.contract(), without=params.without()):
        context.progress(f"filter: {rule.name}", left.height, candidates.height)
        reasons.append(_asked(context, teacher, rule, candidates, left))
        left = _without(left, reasons[-1:])
    if near is not None and not params.keep_duplicates:
        gone = near.stood_for(left, outputs=context.contract().task.kind != "label")
        reasons.append(gone.select("output_key", pl.lit(DUPLICATE).alias("rule"), pl.lit("").alias("detail")))
        left = _without(left, reasons[-1:])
    match = None
    if (asked := params.match()) is not None:
        match = match_production(context, asked, left)
        reasons.append(match.left_out.select("output_key", pl.lit(LEFT_OUT).alias("rule"), "detail"))
        left = _without(left, reasons[-1:])
    return Filtered(candidates, left, pl.concat(reasons), match)


def _hash(found: Filtered) -> str:
    """SHA-256 over (prompt id, output id) in order, and the weight where samples have one."""
    names = ["prompt_id", "output_id"]
    kept = found.kept
    if found.match is not None and found.match.asked.how == WEIGHTS:
        kept, names = kept.join(found.match.weights, on="output_key"), [*names, "weight"]
    return digest_of([list(row) for row in kept.select(names).sort(names).iter_rows()])


def _asked(
    context: Context, teacher: str, rule: Rule, candidates: pl.DataFrame, left: pl.DataFrame
) -> pl.DataFrame:
    """(output_key, rule, detail) of what one rule of the policy says."""
    import polars as pl

    title, find = RULES[rule.name]
    if find is None:
        return pl.DataFrame(schema={"output_key": pl.Int64, "rule": pl.String, "detail": pl.String})
    said = find(Material(context, teacher, candidates, left), rule.options)
    return said.select(pl.col("output_key"), pl.lit(title).alias("rule"), pl.col("detail"))


def _without(frame: pl.DataFrame, reasons: list[pl.DataFrame]) -> pl.DataFrame:
    for one in reasons:
        frame = frame.join(one, on="output_key", how="anti")
    return frame


def protected(
    context: Context, teacher: str, candidates: pl.DataFrame, near: Near | None
) -> Iterable[pl.DataFrame]:
    """What no policy can let in: the evaluation set, what is nearly in it, what the contract excludes."""
    import polars as pl

    test = test_prompts(context)
    close = {} if near is None else near.close_to(test)

    def told(rule: str, found: pl.DataFrame) -> pl.DataFrame:
        return found.select("output_key", pl.lit(rule).alias("rule"), "detail")

    in_test = candidates.filter(pl.col("prompt_id").is_in(list(test)))
    yield told(TEST, in_test.with_columns(pl.lit("").alias("detail")))
    leaks = pl.DataFrame(
        {"prompt_id": list(close), "near": list(close.values())},
        schema=dict.fromkeys(("prompt_id", "near"), pl.String),
    )
    named = candidates.join(leaks, on="prompt_id").with_columns(
        pl.format("of {}", pl.col("near")).alias("detail")
    )
    yield told(NEAR_TEST, named)
    for predicate in context.contract().constraints.exclude:
        keys = matching(context, teacher, predicate)
        hit = candidates.filter(pl.col("output_key").is_in(keys)).with_columns(
            pl.lit(predicate).alias("detail")
        )
        yield told(EXCLUDED, hit)
    hidden = candidates.filter(pl.col("arrival_key").is_in(named_by_hash(context)))
    yield told(EXCLUDED, hidden.with_columns(pl.lit(WHY_ID).alias("detail")))
    if kinds := context.contract().constraints.pii:
        yield told(PERSONAL, candidates.join(holding(context, teacher, kinds), on="output_key"))


def test_prompts(context: Context) -> set[str]:
    """Prompts of the frozen evaluation set; none before it is frozen (a freeze asks for it first)."""
    frozen = context.runs("evaluation")
    if not frozen:
        return set()
    members = context.store.fetch(read.SET_MEMBERS, project=context.project, run_id=frozen[-1].run_id)
    return set(members["prompt_id"].to_pylist())


def matching(context: Context, model: str, predicate: str) -> list[int]:
    """Keys of a model's outputs that fit a filter. Raises GrammarError."""
    table = context.store.table("evaluate", spec=_spec(context, model, predicate), expressions=[])
    return list(table["key"].to_pylist())


def _spec(context: Context, model: str, where: str = "") -> dict[str, Any]:
    return {"kind": "audit", "project": context.project, "model": model, "filter": where, "blind": False}


def slices(context: Context, teacher: str, found: Filtered) -> list[dict[str, Any]]:
    """Per slice of the contract's gate: candidates, samples that stay, and how many went by which rule first."""
    import polars as pl

    told = []
    first = found.reasons.unique("output_key", keep="first", maintain_order=True)
    for one in context.contract().gate.slices:
        keys = pl.DataFrame(
            {"output_key": matching(context, teacher, one.where)}, schema={"output_key": pl.Int64}
        )
        before = found.candidates.join(keys, on="output_key", how="semi")
        gone = first.join(before, on="output_key", how="semi")
        counts = dict(gone.group_by("rule", maintain_order=True).len().iter_rows())
        told.append(
            {
                "slice": one.name,
                "before": before.height,
                "after": before.height - gone.height,
                "dropped": counts,
            }
        )
    return told


def _audit(context: Context, teacher: str) -> dict[str, Any] | None:
    """How the newest audit plan on this teacher stands, None without one."""
    from engine.audit.report import plan_payload, plans, standing_of, standing_payload

    newest = next((plan for plan in reversed(plans(context)) if plan.model == teacher), None)
    return (
        None if newest is None else {**plan_payload(newest), **standing_payload(standing_of(context, newest))}
    )


def _members(kept: pl.DataFrame) -> Iterable[SetMember]:
    for row in kept.iter_rows(named=True):
        yield SetMember(
            0, 0, row["arrival_key"], row["prompt_id"], row["output_key"], row["output_id"], row["reference"]
        )


def dropped_rows(found: Filtered) -> Iterable[Dropped]:
    """Every reason against every candidate, in the order of the candidates."""
    named = found.candidates.select("output_key", "arrival_key", "output_id").join(
        found.reasons, on="output_key", maintain_order="left"
    )
    for row in named.iter_rows(named=True):
        yield Dropped(
            0, 0, row["arrival_key"], row["output_key"], row["output_id"], row["rule"], row["detail"]
        )
