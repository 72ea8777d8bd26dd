"""A reviewer's desk for stories: a store of its own, a real hub, a real terminal, a state folder of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console import state
from console.cli import main
from store import address
from store.client import Client
from store.errors import SpiritsafeError
from store.ledger import reviewer

from ..console.pty_harness import Terminal

ROOT = Path(__file__).parents[2]
SPIRITSAFE = [sys.executable, "-P", "-m", "console.cli"]
# Machine code of the fast engine, which takes 20 s to make: of the user who runs the tests, not of each desk.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
ESCAPES = ("SPIRITSAFE_STORE", "SPIRITSAFE_PROJECT", "NO_COLOR")


@dataclass
class Desk:
    """A folder with a store in it; what runs here sees only this folder."""

    folder: Path
    shared: Path | None = None  # a store that several stories only look at

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.shared or self.folder / "store.duckdb"

    @property
    def env(self) -> dict[str, str]:
        """The environment of everything here."""
        path = os.environ.get("PYTHONPATH") or str(ROOT)
        return {
            "PYTHONPATH": path,
            "SPIRITSAFE_STORE": str(self.store),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": CACHE,
        }

    def run(self, *words: str, code: int | None = 0, path: Path | None = None) -> str:
        """Run a command in this process; its standard output. ``code``: the exit code it must have."""
        done, out, err = called(words, self.env, path or self.folder)
        assert code is None or done == code, (words, done, out, err)
        return out

    def json(self, *words: str) -> Any:
        """What a command says as JSON."""
        return json.loads(self.run(*words, "--json"))

    def console(
        self, cols: int = 80, rows: int = 24, *words: str, toured: bool = True, **env: str
    ) -> Terminal:
        """Open the console in a terminal; the tour counts as seen unless it is what the story is about."""
        if toured:
            self._note_tour(words[words.index("--as") + 1] if "--as" in words else None)
        return Terminal(["env", "-C", str(self.folder), *SPIRITSAFE, *words], cols, rows, self.env | env)

    def _note_tour(self, claimed: str | None) -> None:
        if not address.socket_path(self.store).exists():
            self.run("status")  # starts the hub
        client = Client(self.store, start=False)
        welcome = client.welcome
        client.close()
        name = state.state_path(welcome.store_id, reviewer(welcome.actor, claimed)).name
        path = self.folder / "state" / "spiritsafe" / name
        if not path.exists():
            state.save(path, state.State(toured=True))

    def verdicts(self) -> list[tuple[str, str, int | None, str]]:
        """(queue, verdict, reason, actor) of every verdict in force, oldest first."""
        found = self.json("sql", "select queue, verdict, reason, actor from current_verdict order by seq")
        return [tuple(row) for row in found["rows"]]

    def hub_pid(self) -> int:
        """The process of the hub."""
        return int(self.json("status")["pid"])

    def copy_to(self, folder: Path) -> Desk:
        """Another desk with a copy of this store; the hub here must have been stopped."""
        other = Desk(folder)
        shutil.copyfile(self.store, other.store)
        return other

    def close(self) -> None:
        """End the hub, unless others look at the store."""
        if self.shared is None:
            stop_hub(self.store, kill=True)  # nobody needs the store any more


def called(words: Sequence[str], env: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command, as if it ran in a folder with an environment.

    It runs in this process: starting one takes longer than what most commands do. Consoles are processes of their own.
    """
    out, err, before, where = io.StringIO(), io.StringIO(), dict(os.environ), Path.cwd()
    try:
        for name in ESCAPES:
            os.environ.pop(name, None)
        os.environ.update(env)
        os.chdir(folder)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(list(words))
            except SystemExit as end:
                code = int(end.code or 0)
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(before)
    return code, out.getvalue(), err.getvalue()


def stop_hub(store: Path, *, kill: bool = False) -> None:
    """Ask the hub to leave, and wait until it closed the store; or end it at once."""
    try:
        client = Client(store, start=False)
    except (SpiritsafeError, OSError):
        return
    if kill:
        os.kill(client.welcome.pid, signal.SIGKILL)
    else:
        client.call("stop")
    client.close()
    stat = Path(f"/proc/{client.welcome.pid}/stat")
    end = time.monotonic() + 20
    while not kill and time.monotonic() < end:  # it closes the store before it ends
        try:
            if ") Z " in stat.read_text():
                break
        except OSError:
            break
        time.sleep(0.01)
