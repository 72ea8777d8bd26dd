"""Opening the console: on a terminal the app, without one the first screens as text."""

from __future__ import annotations

import argparse
import os
import sys

from console.output import open_store, project_of
from store import address
from store.client import Client
from store.errors import StoreError, UsageError


def start(options: argparse.Namespace) -> int:
    """What ``spiritsafe`` alone does. Returns the exit code."""
    path = address.find_store(options.store)
    if not path.exists():
        raise StoreError(
            "no store here",
            where=str(path),
            todo="`spiritsafe demo` shows a sample project; `spiritsafe init NAME` starts one.",
        )
    store = open_store(options)
    project = first_project(options, store)
    if getattr(options, "plain", False) or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from console.plain import print_screens

        print_screens(store, project)
        return 0
    from console.app import SpiritsafeApp

    os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
    app = SpiritsafeApp(store, project, screen=getattr(options, "screen", ""), claimed=options.claimed)
    app.run(mouse=False)
    store.close()
    return app.return_code or 0


def first_project(options: argparse.Namespace, store: Client) -> str:
    """The project meant; of several with none named, the one last worked on, else the first."""
    from console import state
    from store import read
    from store.ledger import reviewer

    try:
        return project_of(options, store)
    except UsageError:
        names = [p.name for p in store.ask(read.PROJECTS)]
        if not names:
            raise
        kept = state.load(
            state.state_path(store.welcome.store_id, reviewer(store.welcome.actor, options.claimed))
        ).project
        return kept if kept in names else names[0]
