"""The acts: what a person (or a run in a person's name) may put on the ledger, one struct per kind.

To add one: a struct here, and a line in ``ACTS``. A payload has ASCII keys and no floats (``exact`` turns
them into text), so that its canonical bytes are the same everywhere.
"""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec

from store.errors import InputError

MAX_TEXT = 100_000
MAX_NESTING = 64
MAX_SUBJECTS = 100_000  # of one bulk verdict
MOST_REQUESTED = 1_000_000
MAX_NAME = 64
MAX_ID = 200


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all payloads."""


class CreateProject(Act, frozen=True):
    """One distillation: one narrow task. ``retrospective``: outputs arrive by import instead of stages."""

    title: str = ""
    retrospective: bool = False


class LockContract(Act, frozen=True):
    """The contract as it is from now on; a change is a new act with the next version."""

    hash: str
    contract: dict[str, Any]


class DeclareModel(Act, frozen=True):
    """A model that outputs may come from, with its fingerprint: never just a name."""

    model: str
    role: str  # teacher | student | baseline
    fingerprint: dict[str, Any] = {}


class OpenRun(Act, frozen=True):
    """The start of one stage: parameters and inputs by hash."""

    run_id: str
    stage: str
    params: dict[str, Any] = {}
    inputs: dict[str, Any] = {}


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run left in one table: SHA-256 over canonical rows in stored order, and its marks on the way."""

    rows: int
    columns: list[str]
    sha256: str
    marks: list[str] = []


class CloseRun(Act, frozen=True):
    """The end of a run: from here on its rows are seen."""

    run_no: int
    tables: dict[str, Digest]
    result: dict[str, Any] = {}


class GiveVerdict(Act, frozen=True):
    """What a reviewer said of a sample, a pair or a disagreement, and what exactly was on the screen."""

    queue: str  # audit | adjudicate | duplicates | semantic | disagreements
    subject: str
    verdict: str
    reason: int | None = None
    shown: list[str] = []  # ids of the exact outputs shown, in the order shown
    queue_id: str = ""
    position: int = -1
    revealed: bool = False  # source and other verdicts had been seen before this
    whole: bool = True  # the whole text had been scrolled through
    dwell_ms: int = 0


class Adjudicate(GiveVerdict, frozen=True):
    """The verdict that settles a conflict between reviewers; it stands above theirs and is never undone."""


class GiveVerdicts(Act, frozen=True):
    """One verdict on a whole selection, its texts unread: it never counts as an audit's outcome."""

    queue: str
    subjects: list[str]
    verdict: str
    reason: int | None = None
    selection: str = ""  # how they were chosen: a filter, or the rows that were marked


class SaveSlice(Act, frozen=True):
    """A filter under a name, for everybody; an empty one forgets the name."""

    name: str
    where: str


class Comment(Act, frozen=True):
    """A remark on a subject."""

    subject: str
    text: str


class Why(Act, frozen=True):
    """The reason of a choice that is not obvious, with what was rejected."""

    choice: str
    reason: str
    rejected: list[str] = []


class RequestSamples(Act, frozen=True):
    """Ask for so many samples that a filter finds; the newest request for a filter counts, 0 takes it back."""

    where: str
    samples: int
    about: str = ""


class WaiveBucket(Act, frozen=True):
    """A bucket that may stay thin, and why; the newest word on a filter counts, an empty reason takes it back."""

    where: str
    reason: str


class LockStandards(Act, frozen=True):
    """The team's standards as they are from now on, for every project of the store."""

    hash: str
    standards: dict[str, Any]


class Sign(Act, frozen=True):
    """A name put to an outcome. ``subject``: the evaluation run and the student, as ``run/student``."""

    outcome: str  # ship | iterate | kill
    subject: str
    note: str = ""


class TakeBaseline(Act, frozen=True):
    """Don't distil: a baseline meets quality, cost and latency. ``run_id``: the run that says so."""

    baseline: str
    run_id: str
    rationale: str


class Undo(Act, frozen=True):
    """Undo (or redo) of one act; the hub names the target."""

    target: int = 0


class Decide(Act, frozen=True):
    """Ship, iterate or kill, with the rationale and the evidence by hash."""

    outcome: str
    rationale: str
    record_sha256: str
    record: dict[str, Any]


ACTS: dict[str, type[Act]] = {
    "project.create": CreateProject,
    "contract.lock": LockContract,
    "model.declare": DeclareModel,
    "run.open": OpenRun,
    "run.close": CloseRun,
    "verdict": GiveVerdict,
    "adjudicate": Adjudicate,
    "verdicts": GiveVerdicts,
    "slice.save": SaveSlice,
    "comment": Comment,
    "why": Why,
    "samples.request": RequestSamples,
    "bucket.waive": WaiveBucket,
    "standards.lock": LockStandards,
    "sign": Sign,
    "baseline.take": TakeBaseline,
    "undo": Undo,
    "redo": Undo,
    "decide": Decide,
}
UNDOABLE = frozenset({"verdict", "verdicts", "comment"})
OWNER_ONLY = frozenset({"project.create", "contract.lock", "decide", "baseline.take"})
OWNER_STAGES = frozenset(
    {"audit", "dataset", "dedup", "evaluate", "evaluation", "gate", "train"}
)  # what a decision rests on
BULK = frozenset(
    {"ok", "bad", "unsure", "keep", "distinct", "both", "neither"}
)  # what needs no text to be shown
VERDICTS: dict[str, frozenset[str]] = {
    "audit": frozenset({"ok", "bad", "unsure"}),
    "adjudicate": frozenset({"ok", "bad", "escalate"}),
    "duplicates": frozenset({"keep", "choose", "distinct"}),
    "semantic": frozenset({"both", "distinct", "bad"}),
    "disagreements": frozenset({"left", "right", "both", "neither"}),
}


def parse(kind: str, payload: object) -> Act:
    """``payload`` as the struct of its kind; raises InputError where it is not one."""
    if kind not in ACTS:
        raise InputError(f"no such act: {kind!r}", todo="Known: " + ", ".join(ACTS))
    try:
        act = msgspec.convert(payload, ACTS[kind])
    except msgspec.ValidationError as error:
        raise InputError(f"{kind}: {error}") from error
    _check_json(payload, kind)
    if isinstance(act, GiveVerdict) and len(act.subject) > MAX_ID:
        raise InputError(f"a subject is an id of at most {MAX_ID} characters")
    if isinstance(act, GiveVerdict | GiveVerdicts):
        _check_verdict(act)
        if (act.queue == "adjudicate") != isinstance(act, Adjudicate):
            raise InputError(f"{kind} is no act of the queue {act.queue}")
    if isinstance(act, GiveVerdicts) and not 0 < len(set(act.subjects)) == len(act.subjects) <= MAX_SUBJECTS:
        raise InputError(
            f"a bulk verdict has 1 to {MAX_SUBJECTS:,} different subjects, not {len(act.subjects):,}"
        )
    if isinstance(act, GiveVerdicts) and act.verdict not in BULK:
        raise InputError(f"{act.verdict} is said of what was shown, never of a whole selection")
    if isinstance(act, SaveSlice) and not (0 < len(act.name) <= MAX_NAME and act.name.isprintable()):
        raise InputError(f"a slice has a name of 1 to {MAX_NAME} printable characters")
    if isinstance(act, SaveSlice) and act.where.strip():
        _check_filter(act.where)
    if isinstance(act, Comment) and not 0 < len(act.text) <= MAX_TEXT:
        raise InputError(f"a comment has 1 to {MAX_TEXT:,} characters")
    _check_outcome(act)
    _check_bucket(act)
    return act


def _check_filter(text: str) -> None:
    from store.grammar import parse as parse_filter  # only here: the console starts without it

    parse_filter(text)


def _check_bucket(act: Act) -> None:
    if isinstance(act, RequestSamples | WaiveBucket):
        _check_filter(act.where)
    if isinstance(act, RequestSamples) and not 0 <= act.samples <= MOST_REQUESTED:
        raise InputError(f"0 to {MOST_REQUESTED:,} samples are asked for, not {act.samples:,}")


def _check_outcome(act: Act) -> None:
    if isinstance(act, Decide | Sign) and act.outcome not in ("ship", "iterate", "kill"):
        raise InputError(f"a decision is ship, iterate or kill, not {act.outcome!r}")
    if isinstance(act, TakeBaseline) and not act.rationale.strip():
        raise InputError("taking a baseline needs a rationale")


def _check_verdict(act: GiveVerdict | GiveVerdicts) -> None:
    known = VERDICTS.get(act.queue)
    if known is None:
        raise InputError(f"no verdicts are given in a queue of kind {act.queue!r}")
    if act.verdict not in known:
        raise InputError(
            f"{act.queue}: no verdict {act.verdict!r}", todo="Known: " + ", ".join(sorted(known))
        )
    needs_reason = act.verdict in ("bad", "neither")
    if needs_reason != (act.reason is not None) or (act.reason is not None and not 1 <= act.reason <= 9):
        raise InputError("verdicts bad and neither carry a reason from 1 to 9; others carry none")


def _check_json(value: object, where: str, depth: int = MAX_NESTING) -> None:
    """Raise InputError for a float, a key that is not ASCII, or what is nested more than ``depth`` deep."""
    if not depth:
        raise InputError(f"{where}: a ledger payload is nested at most {MAX_NESTING} deep")
    if isinstance(value, float):
        raise InputError(f"{where}: a ledger payload holds no floats", todo="Write the number as text.")
    if isinstance(value, dict):
        for key, item in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise InputError(f"{where}: a ledger payload has ASCII keys, not {key!r}")
            _check_json(item, where, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_json(item, where, depth - 1)


def exact(value: object) -> Any:
    """``value`` with every float as its shortest round-trip text: what a payload may hold.

    >>> exact({"level": 0.95, "n": 3})
    {'level': '0.95', 'n': 3}
    """
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {str(k): exact(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [exact(v) for v in value]
    return value


def new_id() -> str:
    """A UUIDv7 (RFC 9562 section 5.7): its order is the order of making, to the millisecond."""
    millis, tail = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
    number = millis << 80 | 7 << 76 | (tail >> 68 & 0xFFF) << 64 | 2 << 62 | tail & (1 << 62) - 1
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
