"""How many arrivals of the evaluation split a contract's slices have so far: counted in the hub, before it is locked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from engine.contract_bars import least_n
from engine.contract_lines import Path
from engine.contract_records import Contract
from engine.evaluate.bars import slices_of

if TYPE_CHECKING:
    from store.client import Client

SPLIT = "test"
AT_ONCE = 8  # slices counted by one statement


def in_slices(store: Client, project: str, contract: Contract) -> tuple[int, dict[str, int]]:
    """(arrivals of the test split, slice: how many of them are in it). Raises GrammarError for a predicate."""
    whole, *parts = slices_of(contract)
    found: dict[str, int] = {}
    total = 0
    wanted = parts or [whole]
    for some in (wanted[at : at + AT_ONCE] for at in range(0, len(wanted), AT_ONCE)):
        rows = _groups(store, project, [where or "true" for _, where in some])
        total = sum(count for _, count in rows)
        for at, (name, _) in enumerate(some):
            found[name] = sum(count for inside, count in rows if inside[at])
    found.pop(whole[0], None)
    return total, found


def _groups(store: Client, project: str, wheres: Sequence[str]) -> list[tuple[list[bool], int]]:
    """(which of the predicates hold, how many arrivals of the split)."""
    axes = [{"expression": where, "edges": []} for where in wheres]
    table = store.table("cover", project=project, axes=axes, split=SPLIT)
    keys = [[value == "true" for value in table[f"axis {i}"].to_pylist()] for i in range(len(wheres))]
    return list(zip(map(list, zip(*keys, strict=True)), table["have"].to_pylist(), strict=True))


def thin(contract: Contract, total: int, found: dict[str, int]) -> Iterator[tuple[Path, str, str]]:
    """Slices that nothing is in, or too little for their bar: key, what, what to do."""
    for number, part in enumerate(contract.gate.slices):
        at: Path = ("gate", "slice", number, "where")
        count = found[part.name]
        kind, bar = ("margin", part.margin) if part.margin is not None else ("floor", part.floor)
        least = least_n(kind, bar, contract.gate.level) if bar is not None and 0 < bar < 1 else 1
        least = max(least, contract.gate.minimum_n)
        if not count:
            what = f"none of the {total:,} test arrivals is in the slice {part.name!r}"
            yield (
                at,
                what,
                f"correct the condition, or import such prompts: its bar takes {least:,} at the least",
            )
        elif count < least:
            what = f"{count:,} of the {total:,} test arrivals are in the slice {part.name!r}"
            yield (*at[:-1], kind), what, f"its bar takes {least:,} at the least: import more, or widen it"
