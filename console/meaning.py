"""What a verdict on a pair alike in meaning does, in the console and headless, and the words of a semantic pass.

Nobody's suggestion removes anything. Whoever says that the second of a pair says the same flags its answers: a bulk
verdict ``bad`` in the audit queue (bulk, since the answers were not judged: no audit counts it), for a reason of the
contract that keeps samples out of training. The policy's rule ``flagged`` leaves them out of the next freeze, as it
does whatever else people flagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.text import counted, line
from engine.context import Context
from store import read_semantic
from store.errors import InputError, RuleError

SAME = "same in meaning as "  # how the selection of such a bulk verdict begins
UNVERIFIED = "suggested, not verified"
TOP = 20  # pairs of a report


def kept_first(detail: Mapping[str, Any], *, swapped: bool = False) -> list[int]:
    """Places of the text that stays and of the second one."""
    first = int(detail["kept"]) ^ int(swapped)
    return [first, 1 - first]


def shown_ids(detail: Mapping[str, Any], *, swapped: bool = False) -> list[str]:
    """Ids of a pair, the one that stays first."""
    return [detail["ids"][at] for at in kept_first(detail, swapped=swapped)]


def judge(context: Context, payload: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Record a verdict on a pair; ``bad`` flags the answers of the second, too.

    ``payload``: of the act ``verdict``, its ``shown`` as ``shown_ids`` gives it. Raises InputError for a reason that the
    contract has not, or that keeps nothing out of training; RuleError where the second has no answer.
    """
    if payload["verdict"] != "bad":
        return context.store.act("verdict", context.project, dict(payload))
    check_reason(context, payload["reason"])
    first, second = payload["shown"]
    outputs = [second] if field == "output" else answers_of(context, second)
    flags = {"queue": "audit", "subjects": outputs, "verdict": "bad", "reason": payload["reason"]}
    context.store.act(
        "verdict", context.project, dict(payload)
    )  # undone last: nothing stays flagged without it
    return context.store.act("verdicts", context.project, flags | {"selection": SAME + first})


def check_reason(context: Context, digit: int | None) -> None:
    """Raise InputError for a reason that leaves no sample out."""
    from engine.contract_records import REASONS

    try:
        reasons = context.contract().reasons
    except RuleError:
        reasons = REASONS
    dropping = {reason.digit: reason.name for reason in reasons if reason.train_drop}
    if digit not in dropping:
        known = ", ".join(f"{key} {name}" for key, name in dropping.items())
        raise InputError(
            f"reason {digit} leaves no sample out of training",
            todo=f"Take one that does: {known}. The contract may name one: duplicate in meaning.",
        )


def answers_of(context: Context, prompt_id: str) -> list[str]:
    """The teacher's outputs to a prompt that may be trained on; raises RuleError where there are none to flag."""
    teacher = context.model("teacher")
    found = context.store.ask(
        read_semantic.ANSWERS_OF, project=context.project, model=teacher, prompt_id=prompt_id
    )
    if not found:
        raise RuleError(
            f"{teacher} has not answered the second prompt, or it is a test prompt: there is no sample to leave out"
        )
    return [one.output_id for one in found]


def undoes_both(what: Mapping[str, Any]) -> bool:
    """Whether an act that was undone is the flag of a pair, whose verdict came just before it."""
    return what["kind"] == "verdicts" and str(what.get("selection", "")).startswith(SAME)


# ---- words
def found_line(result: Mapping[str, Any]) -> str:
    """What a pass suggests, in a line.

    >>> found_line({"suggested": 12, "new": 3, "leaks": 1, "field": "prompt"})
    '12 prompt pairs suggested, not verified: 3 new, 1 across the test split'
    """
    pairs = counted(result["suggested"], f"{result['field']} pair")
    leaks = f", {result['leaks']:,} across the test split" if result["leaks"] else ""
    return f"{pairs} {UNVERIFIED}: {result['new']:,} new{leaks}"


def report_of(context: Context) -> dict[str, Any]:
    """The newest pass and its first pairs."""
    run = context.latest("semantic", "Run it first: spiritsafe semantic")
    rows = context.store.ask(read_semantic.SUGGESTIONS, project=context.project, run_no=run.run_no)
    pairs = [
        {
            "cosine": round(row.cosine, 4), "new": not row.near, "leak": row.leak,
            "left": row.left_text, "right": row.right_text,
        }
        for row in rows[:TOP]
    ]  # fmt: skip
    return {"result": run.result, "pairs": pairs}


def report_lines(told: Mapping[str, Any], width: int) -> list[str]:
    """A report as text: what was found by which model, then the first pairs, new ones before known ones."""
    result, model = told["result"], told["result"]["model"]
    near = "compared with near-duplicates" if result["dedup"] else "no near-duplicate pass to compare with"
    reached = f"{result['over']:,} pairs of {result['distinct']:,} distinct texts reach cosine {result['threshold']}"
    lines = [
        found_line(result),
        f"{reached} · {near} · {result['told_apart']:,} told apart by people",
        f"model {model['name']}, weights {model['weights_sha256'][:12]}, {model['dimensions']} dimensions, {model['library']}",
        "Nothing was removed. spiritsafe queue semantic lists them; gm judges them.",
    ]
    for pair in told["pairs"]:
        about = " · ".join(
            [f"{pair['cosine']:.3f}", "new" if pair["new"] else "known", *(["LEAK"] if pair["leak"] else [])]
        )
        lines += ["", about, *(f"  {line(pair[side], width - 2)}" for side in ("left", "right"))]
    return lines
