"""Do nothing first: where a baseline meets every bar, taking it is an outcome, and going on needs a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.context import Context
from engine.evaluate.rivals import meets, rivals
from engine.standards import in_force
from store.errors import RuleError, UsageError
from store.read_standards import CHOICES, TAKEN_BASELINES, Choice

GO_ON = "go on distilling although a baseline would do"


def reason_wanted(context: Context) -> tuple[str, list[str]]:
    """(why going on needs a reason, the baselines that would do); ("", []) where it needs none, or has one already."""
    runs = context.runs("baselines")
    found = runs[-1].result.get("meets", []) if runs else []
    why, since = "", runs[-1].seq if runs else 0
    if found:
        why = f"{', '.join(found)} meets every bar of the contract without a student"
    taken = context.store.ask(TAKEN_BASELINES, project=context.project)
    if taken:
        why = f"the project ended: {taken[-1].actor} took the baseline {taken[-1].baseline}"
        since, found = max(since, taken[-1].seq), [taken[-1].baseline]
    if why and _went_on(context, since) is not None:
        return "", []
    return why, found


@dataclass(frozen=True, slots=True)
class Ended:
    """A project that took a baseline instead of a student; ``went_on``: who said since why it is distilled after all."""

    baseline: str
    by: str
    rationale: str
    went_on: str = ""  # "" where nobody did
    reason: str = ""


def ended(context: Context) -> Ended | None:
    """How the project ended, None where nobody took a baseline."""
    taken = context.store.ask(TAKEN_BASELINES, project=context.project)
    if not taken:
        return None
    last = taken[-1]
    choice = _went_on(context, last.seq)
    since = (choice.actor, choice.reason) if choice is not None else ("", "")
    return Ended(last.baseline, last.actor, last.rationale, *since)


def _went_on(context: Context, since: int) -> Choice | None:
    """The newest reason to go on after a ledger seq."""
    choices = context.store.ask(CHOICES, project=context.project)
    found = [choice for choice in choices if choice.choice == GO_ON and choice.seq > since]
    return found[-1] if found else None


def go_on(context: Context, reason: str) -> None:
    """Let the teacher be asked, with the reason on record where one is wanted.

    Raises RuleError without one, and where the team's standards ask for baselines and none were scored.
    """
    standards = in_force(context.store)
    if standards is not None and standards.protocol.baselines and not context.runs("baselines"):
        raise RuleError(
            "the team's standards ask for baselines before any teacher spend",
            todo="spiritsafe evaluation freeze, then: spiritsafe baselines",
        )
    why, found = reason_wanted(context)
    if not why:
        return
    if not reason.strip():
        raise RuleError(why, todo='Take it: spiritsafe take NAME --why "…". Or go on: --reason "…"')
    payload = {"choice": GO_ON, "reason": reason.strip(), "rejected": found}
    context.store.act("why", context.project, payload)


def take(context: Context, baseline: str, rationale: str) -> dict[str, Any]:
    """Put on the ledger that a baseline is taken: don't distil. Raises RuleError where it does not meet every bar."""
    if not rationale.strip():
        raise UsageError("taking a baseline needs a rationale", todo='--why "…"')
    newest = context.latest("baselines", "Score them first: spiritsafe baselines")
    found = newest.result.get("meets", [])
    if baseline not in found:
        raise RuleError(
            f"{baseline} was not found to meet every bar", todo="These do: " + (", ".join(found) or "none")
        )
    if baseline not in meets(
        rivals(context, context.evaluation_set())
    ):  # a run may be old, or somebody else's
        raise RuleError(
            f"counted again, {baseline} does not meet every bar now", todo="spiritsafe baselines says which."
        )
    payload = {"baseline": baseline, "run_id": newest.run_id, "rationale": rationale.strip()}
    answer = context.store.act("baseline.take", context.project, payload)
    return {
        "event": answer["seq"],
        "outcome": "don't distil",
        "baseline": baseline,
        "signed_by": context.store.who,
    }
