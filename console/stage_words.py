"""What a stage's command says when it is done: its page where it has one, else its result; and where to look next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.output import as_text
from console.text import visible

if TYPE_CHECKING:
    from engine.context import Context

NEXT: dict[str, str] = {
    "evaluation": "spiritsafe baselines",
    "check": "spiritsafe filter says what failures would drop; in ga a sample shows its checks once it is judged",
    "dedup": "look at the pairs: gp",
    "semantic": "look at the pairs: gm",
    "crossfit": "spiritsafe audit plan --mode weighted --suspicion held_out --gate 0.05 --dry-run",
    "coverage": "look at the grid: gc, or spiritsafe report coverage",
    "filter": "spiritsafe dataset freeze",
    "dataset": "spiritsafe dataset show; spiritsafe dataset diff; spiritsafe train",
    "train": "spiritsafe evaluate",
}


def page(name: str, context: Context, result: dict[str, Any]) -> str:
    """A stage's result for people, and the next step where one is usual."""
    if name == "audit":
        from console.audit_commands import plan_page

        return visible(plan_page(result), lines=True) + "\n"
    if name in ("evaluate", "gate"):
        from console.gate_words import evaluation_table, gate_table

        lines = gate_table(result) if name == "gate" else evaluation_table(context, result)
        after = (
            "spiritsafe gate"
            if name == "evaluate"
            else "spiritsafe decide iterate --why … ; ship, where it passes"
        )
        return visible("\n".join([*map(str.rstrip, lines), "", f"next  {after}"]), lines=True) + "\n"
    told = as_text(result)
    return told if "next" in result or name not in NEXT else f"{told}next  {NEXT[name]}\n"
