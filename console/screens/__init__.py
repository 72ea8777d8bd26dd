"""The rooms of the console. To add one: a module here, a line below, and its actions in ``actions.py``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from console.screens.room import Room

ROOMS: dict[str, str] = {
    "home": "console.screens.home:Home",
    "audit": "console.screens.audit:Audit",
    "duplicates": "console.screens.duplicates:Duplicates",
    "semantic": "console.screens.semantic:Semantic",
    "coverage": "console.screens.coverage:Coverage",
    "evaluation": "console.screens.evaluation:Evaluation",
    "disagreements": "console.screens.disagreements:Disagreements",
    "decision": "console.screens.decision:Decision",
    "ledger": "console.screens.ledger:Ledger",
    "adjudicate": "console.screens.adjudicate:Adjudicate",
    "reviewers": "console.screens.agreement:Reviewers",
}


def make_room(name: str) -> Room:
    """A new room of that name; its module is imported only now."""
    module, _, kind = ROOMS[name].partition(":")
    return cast("Room", getattr(importlib.import_module(module), kind)())
