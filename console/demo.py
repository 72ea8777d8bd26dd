"""``spiritsafe demo``: the sample project, from its files to a judged gate, then the console on it.

Every step is a stage that anybody can run by its own command; what is there already is left alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from console.start import start
from engine.context import Context
from engine.stages import load
from store import read
from store.address import DEFAULT_NAME
from store.client import Client

PROJECT = "support-desk"


def demo(options: argparse.Namespace) -> int:
    """Build what is missing, then open. Returns the exit code."""
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder.absolute() / DEFAULT_NAME
    options.store, options.project, options.screen = str(path), PROJECT, "home"
    if not path.exists() or not _built(path):
        build(path)
    return start(options)


def _built(path: Path) -> bool:
    store = Client(path)
    try:
        names = [p.name for p in store.ask(read.PROJECTS)]
        return PROJECT in names and bool(Context(store, PROJECT).runs("gate"))
    finally:
        store.close()


def build(path: Path) -> None:
    """Run the sample's stages on a store; steps that stand already are skipped."""
    from engine.contract import as_payload, contract_hash, parse
    from samples import support_desk

    folder = support_desk()
    store = Client(path, create=True)
    if PROJECT not in [p.name for p in store.ask(read.PROJECTS)]:
        store.act(
            "project.create",
            PROJECT,
            {"title": "Route support messages to eight queues", "retrospective": True},
        )
    context = Context(store, PROJECT)
    done = {r.stage for r in context.runs()}
    if not store.ask(read.CONTRACTS, project=PROJECT):
        contract = parse((folder / "contract.toml").read_text(encoding="utf-8"), "contract.toml")
        store.act(
            "contract.lock", PROJECT, {"hash": contract_hash(contract), "contract": as_payload(contract)}
        )
    steps: list[tuple[str, dict[str, Any]]] = [
        (
            "import",
            {
                "files": (folder / "support_desk.jsonl",),
                "map": folder / "mapping.toml",
                "teacher": "desk-teacher",
                "student": ("desk-student",),
            },
        ),
        ("evaluation", {"drop_leaks": True}),
        ("baselines", {}),
        ("check", {"all_models": True}),
        ("dedup", {"field": "prompt"}),
        ("coverage", {}),
        ("dataset", {}),
        ("evaluate", {}),
        ("gate", {}),
    ]
    for name, given in steps:
        if name not in done:
            sys.stderr.write(f"{name}…\n")
            stage = load(name)
            stage.run(context, stage.Params(**given))
    store.close()
