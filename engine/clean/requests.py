"""Requests for more samples: what was asked for, what came since, and which prompts a teacher is asked next for them.

A request is a filter and a number. It is filled from the pool that is here: prompts without an answer, those from
production first, then edge cases, then synthetic ones (which stay marked as such). What the pool does not hold is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clean.cover import cells_of_run, dimensions_of_run, newest_grid
from engine.clean.coverage import where_of
from engine.clean.policy import RULES, Material, policy_of
from engine.clean.rebalance import proposal
from engine.context import Context
from store import grammar, read_dataset
from store.difficulty import OF_PROMPTS
from store.errors import RuleError
from store.wire import MAX_AXES

if TYPE_CHECKING:
    import polars as pl

TARGET, PRODUCTION = "target", "production"  # what buckets may be brought to
OF_THE_ANSWER = (
    "flagged",
    "failing_checks",
    "low_confidence",
    "cut_off",
)  # rules that say an answer is no good
SHARE, GOAL = "production's share", "target "  # what requests that the grid asks for are about
FROM = ("production", "edge_case", "synthetic")  # the order in which the pool is used


@dataclass(frozen=True, slots=True)
class Standing:
    """A request as it stands.

    Counts are of distinct prompts that its filter finds and that may be trained on: ``have`` have an answer of the
    teacher that the policy does not call bad, ``pool`` are here without one; ``take``: arrival keys to ask now, in
    order; ``synthetic``: of these, how many are; ``short``: what no prompt here can fill.
    """

    request: read_dataset.SampleRequest
    have: int
    pool: int
    take: tuple[int, ...]
    synthetic: int  # of those to ask now
    short: int

    def line(self) -> dict[str, object]:
        """What a list shows of it."""
        r = self.request
        return {
            "where": r.predicate, "asked": r.samples, "have": self.have, "next": len(self.take),
            "synthetic": self.synthetic, "pool": self.pool, "short": self.short, "about": r.about, "by": r.actor,
        }  # fmt: skip


def standings(context: Context, teacher: str, split: str = "") -> list[Standing]:
    """Every request in force, oldest first; a prompt is taken for the first that asks for it."""
    import polars as pl

    requests = context.store.ask(read_dataset.REQUESTS, project=context.project)
    if not requests:
        return []
    pool = pl.DataFrame(context.store.fetch(read_dataset.POOL, project=context.project, model=teacher))
    bad = _spoken_against(context, teacher)
    taken: set[int] = set()
    found = []
    all_keys = _inside(context, [r.predicate for r in requests], teacher)
    for request, keys in zip(requests, all_keys, strict=True):
        inside = pool.join(keys, on="arrival_key", how="semi")
        have = inside.filter(pl.col("answered") & ~pl.col("reserved") & ~pl.col("prompt_id").is_in(bad))[
            "prompt_id"
        ].n_unique()
        waiting = _waiting(inside, split).filter(~pl.col("arrival_key").is_in(list(taken)))
        wanted = max(0, request.samples - have)
        asked = waiting.head(wanted)
        take = tuple(asked["arrival_key"].to_list())
        taken.update(take)
        made = asked.filter(pl.col("source") == "synthetic").height
        found.append(Standing(request, have, waiting.height, take, made, wanted - len(take)))
    return found


def _spoken_against(context: Context, teacher: str) -> list[str]:
    """Prompts whose every answer the contract's policy keeps out for what it is: a request wants others in their place."""
    import polars as pl

    table = context.store.fetch(
        read_dataset.CANDIDATES, project=context.project, model=teacher, split="train"
    )
    candidates = left = pl.DataFrame(table)
    if not left.height:
        return []
    for rule in policy_of(context.contract()):
        find = RULES[rule.name][1]
        if rule.name in OF_THE_ANSWER and find is not None:
            said = find(Material(context, teacher, candidates, left), rule.options)
            left = left.join(said, on="output_key", how="anti")
    return candidates.join(left, on="prompt_id", how="anti")["prompt_id"].unique().to_list()


def _inside(context: Context, predicates: Sequence[str], teacher: str) -> Iterator[pl.DataFrame]:
    """Keys of the arrivals that each filter finds, some at a time; the teacher's answers are read where one is about them."""
    import polars as pl

    for first in range(0, len(predicates), MAX_AXES):
        some = predicates[first : first + MAX_AXES]
        axes = [{"expression": f"({one})", "edges": []} for one in some]
        about = any(grammar.names(grammar.parse(one)) & OF_PROMPTS.keys() for one in some)
        model = teacher if about else ""
        table = context.store.table("cover", project=context.project, axes=axes, model=model, rows=True)
        frame = pl.DataFrame(table)
        for i in range(len(some)):
            yield frame.filter(pl.col(f"axis {i}") == "true").select("arrival_key")


def _waiting(inside: pl.DataFrame, split: str) -> pl.DataFrame:
    """First arrivals of prompts without an answer that may be trained on, in the order in which they are taken."""
    import polars as pl

    open_ = inside.filter(~pl.col("answered") & ~pl.col("reserved"))
    if split:
        open_ = open_.filter(pl.col("split") == split)
    order = pl.col("source").replace_strict({name: i for i, name in enumerate(FROM)}, default=len(FROM))
    return open_.sort(order, "arrival_key").unique("prompt_id", keep="first", maintain_order=True)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a bucket of the newest grid lacks, as a request would say it: its filter, how many samples there shall be."""

    where: str
    samples: int
    about: str


def wishes(context: Context, to: str) -> list[Wish]:
    """What would bring thin and missing buckets to their ``target``, or to ``production``'s share at the present size.

    A bucket that may stay thin is left alone. Raises RuleError where nothing was covered yet, or nothing is wanted.
    """
    newest = newest_grid(context)
    if newest is None:
        raise RuleError("nothing was covered yet", todo="spiritsafe coverage")
    dimensions = dimensions_of_run(context, newest)
    waived = {w.predicate for w in context.store.ask(read_dataset.WAIVERS, project=context.project)}
    cells = cells_of_run(context, newest)
    shares = proposal(cells) if to == PRODUCTION else None
    lacks = {s.cell: s.lacks for s in shares.shares} if shares is not None else {}
    found = []
    for c in cells:
        samples = c.have + lacks.get(c.cell, 0) if to == PRODUCTION else c.target
        where = where_of(dict(c.cell), dimensions)
        if (
            (c.missing or c.thin)
            and samples > (c.have if to == PRODUCTION else c.clean)
            and where not in waived
        ):
            about = SHARE if to == PRODUCTION else f"{GOAL}{c.target}"
            found.append(Wish(where, samples, about))
    if not found:
        raise RuleError(f"no bucket lacks samples to its {to}", todo="See: spiritsafe report coverage")
    return found


def of_the_grid(about: str) -> bool:
    """Whether a request was made by ``wishes``, not by hand."""
    return about == SHARE or about.startswith(GOAL)


def report(context: Context) -> list[dict[str, object]]:
    """The requests in force, as a list shows them."""
    teachers = context.models("teacher")
    return [s.line() for s in standings(context, context.model("teacher") if teachers else "")]
