"""Slices: filters under a name. The contract's stand; those that people save are everybody's. No Textual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from store import grammar, read, slices
from store.acts import MAX_NAME
from store.errors import InputError, RuleError
from store.grammar_lexer import KEYWORDS, is_plain_word
from store.grammar_tree import Compare, Literal, Name

if TYPE_CHECKING:
    from engine.context import Context

CONTRACT = "the contract"


@dataclass(frozen=True, slots=True)
class Slice:
    """A name for a filter; ``by``: who gave it, or ``CONTRACT``."""

    name: str
    where: str
    by: str


def named_slices(context: Context) -> list[Slice]:
    """The project's slices: the contract's first, then those saved by people and not overruled by it."""
    contract = [Slice(one["name"], one["where"], CONTRACT) for one in _of_contract(context)]
    saved = context.store.ask(read.SLICES, project=context.project)
    taken = {one.name for one in contract}
    return contract + [Slice(s.name, s.predicate, s.actor) for s in saved if s.name not in taken]


def _of_contract(context: Context) -> list[dict[str, Any]]:
    try:
        locked = context.locked()
    except RuleError:
        return []
    gate = msgspec.json.decode(locked.contract).get("gate") or {}
    found: list[dict[str, Any]] = gate.get("slice") or []
    return found


def as_filter(name: str) -> str:
    """The filter that means a slice.

    >>> as_filter("vip"), as_filter("it's long")
    ('slice = vip', "slice = 'it''s long'")
    """
    if is_plain_word(name) and name.lower() not in KEYWORDS and not name.startswith("meta."):
        return f"slice = {name}"
    return grammar.to_text(Compare("=", Name(slices.NAME), Literal(name)))


def clash(context: Context, name: str) -> Slice | None:
    """The slice that a new one of this name would replace. Raises for a name that cannot be had.

    Raises InputError for one that is no name, RuleError for the contract's.
    """
    if not (0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()):
        raise InputError(f"{name!r} is no name of a slice", todo=f"1 to {MAX_NAME} printable characters.")
    found = next((s for s in named_slices(context) if s.name == name), None)
    if found is not None and found.by == CONTRACT:
        raise RuleError(
            f"the slice {name!r} is the contract's and cannot be replaced", todo="Take another name."
        )
    return found


def save(context: Context, name: str, where: str) -> dict[str, Any]:
    """Put a filter on the ledger under a name; an empty one forgets the name. The hub's answer.

    Raises GrammarError for what is no filter, and for one that leads back to its own name.
    """
    if where.strip():
        named = {s.name: s.where for s in named_slices(context)} | {name: where}
        slices.expanded(as_filter(name), named)
    return context.store.act("slice.save", context.project, {"name": name, "where": where.strip()})


def drop(context: Context, name: str) -> dict[str, Any]:
    """Forget a saved name. Raises InputError where nobody saved it, RuleError for the contract's."""
    if clash(context, name) is None:
        known = ", ".join(s.name for s in named_slices(context) if s.by != CONTRACT) or "none"
        raise InputError(f"no saved slice {name!r}", todo=f"There are: {known}.")
    return save(context, name, "")


def refuse_no_slice(context: Context, text: str, known: set[str]) -> str:
    """A filter with its slices written out. Raises InputError where it names one that there is not.

    ``known``: the metadata keys; where ``slice`` is one of them, any value may be meant.
    """
    named = {s.name: s.where for s in named_slices(context)}
    whole = slices.expanded(text, named)
    if slices.NAME not in known and slices.NAME in grammar.read_names(grammar.parse(whole)):
        there = ", ".join(named) or "none yet; S in the console, or spiritsafe slice save, makes one"
        raise InputError("no slice of that name", where="filter", todo=f"There are: {there}.")
    return whole
