"""Excluded data: what the contract says may never be used, asked in one way by import, generate and both freezes.

A rule is a predicate over an arrival, or the hash of an id: so that a person's data can be kept out by a contract
that does not name the person. The hash of a number that can be guessed can be guessed too: hash a long id.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from engine.contract_records import Contract
from store import read
from store.canonical import digest_of
from store.errors import RuleError

if TYPE_CHECKING:
    from engine.context import Closed, Context
    from store.read import ArrivalRow

COLUMNS = (
    "text",
    "messages",
    "reference",
    "source",
    "split",
    "at_us",
    "metadata",
)  # of an arrival, past its prompt id
WHY_ID = "id named by its hash"


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The rules of one contract. Falsy where there are none, so that nobody pays for them."""

    predicates: tuple[tuple[str, Any], ...]  # as written, and parsed
    ids: frozenset[str]
    keys: tuple[str, ...]
    scripts: bool = False  # whether a predicate asks for the script, which is told of each text

    @classmethod
    def of(cls, contract: Contract) -> Exclusions:
        """The contract's rules; its slices by name are written out."""
        from store import script
        from store.grammar import names, parse
        from store.slices import expanded

        slices = {part.name: part.where for part in contract.gate.slices}
        rules = contract.constraints
        parsed = tuple((text, parse(expanded(text, slices))) for text in rules.exclude)
        scripts = any(script.NAME in names(rule) for _, rule in parsed)
        return cls(parsed, frozenset(rules.exclude_ids), rules.exclude_keys, scripts)

    def __bool__(self) -> bool:
        return bool(self.predicates or self.ids)

    def fingerprint(self) -> str:
        """SHA-256 over the rules: an import that left rows out says by which it did."""
        from store.grammar import to_text

        said = sorted(to_text(rule) for _, rule in self.predicates)
        return digest_of([said, sorted(self.ids), sorted(self.keys)])

    def why(self, prompt_id: str, row: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
        """The rule that keeps an arrival out, "" where none does.

        ``row`` has what a predicate may read of it: prompt, text, reference, split, source, output where there is one.
        """
        from store import language, script
        from store.grammar import holds

        if self.ids and (
            prompt_id in self.ids or any(_hashed(metadata.get(key)) in self.ids for key in self.keys)
        ):
            return WHY_ID
        values, keys = dict(row), dict(metadata)
        if self.scripts:
            values[script.NAME] = language.script_of_text(values["text"])
        return next((text for text, rule in self.predicates if holds(rule, values, keys)), "")

    def why_arrival(self, arrival: ArrivalRow) -> str:
        """The same of a stored arrival."""
        row = {"prompt": arrival.text, "text": arrival.text, "reference": arrival.reference,
               "split": arrival.split, "source": arrival.source}  # fmt: skip
        return self.why(arrival.prompt_id, row, msgspec.json.decode(arrival.metadata))

    def why_parsed(self, arrival: tuple[Any, ...]) -> str:
        """The same of an arrival as the import has parsed it: prompt id, then ``COLUMNS``."""
        prompt_id, *rest = arrival
        row = dict(zip(COLUMNS, rest, strict=True))
        metadata = msgspec.json.decode(row.pop("metadata"))
        return self.why(prompt_id, row | {"prompt": row["text"]}, metadata)


def in_force(context: Context) -> Exclusions:
    """The rules of the locked contract; none where no contract is locked yet."""
    try:
        contract = context.contract()
    except RuleError:
        return Exclusions((), frozenset(), ())
    return Exclusions.of(contract)


def named_by_hash(context: Context) -> list[int]:
    """Keys of stored arrivals that the locked contract keeps out by the hash of an id; reads no row where it names none."""
    rules = in_force(context)
    ids_only = Exclusions((), rules.ids, rules.keys)
    if not ids_only:
        return []
    arrivals = context.store.ask(read.ARRIVALS, project=context.project, split=None)
    return [arrival.arrival_key for arrival in arrivals if ids_only.why_arrival(arrival)]


def _hashed(value: object) -> str:
    """SHA-256 of a metadata value as it is written: a number without quotes, a text without them too.

    >>> _hashed(4711) == _hashed("4711") == sha256(b"4711").hexdigest()
    True
    """
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return sha256(text.encode()).hexdigest()


def skipping(
    rules: Exclusions, dropped: dict[str, int], there: Container[int] = ()
) -> Callable[[int, tuple[Any, ...]], bool] | None:
    """Whether the import leaves a parsed arrival out, counted by rule in ``dropped``; None where it leaves out nothing.

    ``there``: rows of the file that were imported before, which are left out and not counted.
    """
    if not rules and not there:
        return None

    def skip(number: int, arrival: tuple[Any, ...]) -> bool:
        if number in there:
            return True
        why = rules.why_parsed(arrival)
        if why:
            dropped[why] = dropped.get(why, 0) + 1
        return bool(why)

    return skip


def import_again(context: Context) -> list[str]:
    """Import commands of the files of which other rules than today's left out rows when they were imported last.

    Folders are not on record: a file is named as it was then.
    """
    rules = in_force(context).fingerprint()
    newest: dict[tuple[str, str], Closed] = {}  # file, and the mapping of one that only adds answers
    for run in context.runs("import"):
        how = str(run.params.get("mapping")) if run.params.get("predictions") else ""
        newest |= dict.fromkeys([(file, how) for file in run.result.get("files", [])], run)
    runs = {run.run_no: run for run in newest.values()
            if run.result.get("excluded") and run.result.get("exclusions") != rules}  # fmt: skip
    return [_command(run) for run in runs.values()]


def _command(run: Closed) -> str:
    words = ["spiritsafe", "import", *run.inputs["files"]]
    for name, value in run.params.items():
        flag = "--" + name.replace("_", "-")
        if name == "mapping" or value is False:
            continue
        words += [flag] if value is True else [w for v in _values(value) for w in (flag, str(v))]
    return shlex.join(words)


def _values(value: object) -> list[object]:
    """A repeated option's values, or the one of another.

    >>> _values(["a=b", "c=d"]), _values("train")
    (['a=b', 'c=d'], ['train'])
    """
    return list(value) if isinstance(value, list | tuple) else [value]
