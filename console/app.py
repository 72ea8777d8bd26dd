"""The app: one store, one project, one room at a time; the threads that ask the hub; errors; the way out.

Rooms are in ``screens/``. A room asks the store through ``work`` (a thread asks, the result is painted by the
app's own thread). Widgets never query, threads never touch widgets.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.binding import Binding, BindingType

from console import state
from console.actions import PLACES
from console.screens import ROOMS, room
from console.widgets.frames import QuietApp
from engine.context import Context
from store.errors import SpiritsafeError

if TYPE_CHECKING:
    from console.screens.room import Room
    from store.client import Client

T = TypeVar("T")
THREADS = 3  # one pages, one looks ahead, one acts: each has its own connection


class SpiritsafeApp(QuietApp[None]):
    """The console on one store."""

    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    #body { height: 1fr; layout: horizontal; }
    #body > Pager { width: 1fr; }
    #body > Detail { width: 1fr; display: none; }
    .wide #body > Pager { width: 46%; }
    .wide #body > Detail { display: block; padding: 0 0 0 2; }
    .opened #body > Pager { display: none; }
    .opened #body > Detail { display: block; padding: 0; }
    LineBar { display: none; }
    .asking LineBar { display: block; }
    .asking #footer { display: none; }
    """
    TITLE = "spiritsafe"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q,ctrl+c", "leave", "leave", show=False, priority=True)
    ]

    def __init__(self, store: Client, project: str, *, screen: str = "", read_only: bool = False) -> None:
        super().__init__()
        self.store, self.project, self.read_only = store, project, read_only
        self.context = Context(store, project)
        self.state_file = state.state_path(store.welcome.store_id, store.welcome.actor)
        self.state = state.load(self.state_file)
        self.first = screen or (self.state.screen if self.state.project == project else "home")
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self.rooms: dict[str, Room] = {}
        self.trail: list[str] = []

    def on_mount(self) -> None:
        """Open the first room; be told when the line drops."""
        for name in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(name, self._hung_up)
        self.goto(self.first if self.first in PLACES.values() else "home")

    # ---- rooms
    def goto(self, name: str, **wanted: Any) -> None:
        """Enter a room; ``wanted`` (a filter, a position) is for the room to understand."""
        if self.trail and self.trail[-1] == name:
            self.rooms[name].enter(**wanted)
            return
        self.trail = [*[n for n in self.trail if n != name], name]
        if name not in self.rooms:
            self.rooms[name] = room(name)
        if len(self.screen_stack) > 1:
            self.switch_screen(self.rooms[name])
        else:
            self.push_screen(self.rooms[name])
        self.rooms[name].enter(**wanted)

    def back(self) -> None:
        """Leave the room for the one before it; from the last one, leave."""
        self.trail.pop()
        if not self.trail:
            self.action_leave()
            return
        name = self.trail.pop()
        self.goto(name)

    def choose(self, project: str) -> None:
        """Work on another project of the store."""
        self.keep_place()
        self.project, self.context = project, Context(self.store, project)
        self.rooms, self.trail = {}, []
        self.goto("home")

    # ---- asking the store
    def work(
        self,
        ask: Callable[[], T],
        then: Callable[[T], None],
        *,
        failed: Callable[[SpiritsafeError], None] | None = None,
    ) -> None:
        """Run ``ask`` in a thread, then ``then`` with its result here; an error goes to ``failed`` or the footer."""

        def done(future: Future[T]) -> None:
            if not self.is_running:
                return
            error = future.exception()
            if error is None:
                self.call_from_thread(then, future.result())
            elif isinstance(error, SpiritsafeError | OSError | EOFError):
                told = (
                    error
                    if isinstance(error, SpiritsafeError)
                    else SpiritsafeError(f"the hub is gone: {error}")
                )
                self.call_from_thread(failed or self.fail, told)
            else:
                self.call_from_thread(self._raise, error)

        self.pool.submit(ask).add_done_callback(done)

    def fail(self, error: SpiritsafeError) -> None:
        """Say what went wrong, where it was asked."""
        here = self.here
        if here is not None:
            here.tell(str(error).replace("\n  ", " — "))
        self.bell()

    def _raise(self, error: BaseException) -> None:
        raise error

    @property
    def here(self) -> Room | None:
        """The room on the screen."""
        return self.rooms.get(self.trail[-1]) if self.trail else None

    @cached_property
    def names(self) -> dict[str, str]:
        """What ``:word`` may say: screens and actions."""
        return {place: f"go to {place}" for place in ROOMS}

    # ---- leaving
    def keep_place(self) -> None:
        """Save where the reviewer is."""
        for name, place in self.rooms.items():
            place.note_place(self.state.place(self.project, name))
        self.state.project = self.project
        self.state.screen = self.trail[-1] if self.trail else "home"
        state.save(self.state_file, self.state)

    def action_leave(self) -> None:
        """Leave; the hub and its jobs stay."""
        self.keep_place()
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.exit()

    def _hung_up(self, number: int, _frame: Any) -> None:
        """The line dropped or we are asked to end: keep the place and go at once (nothing to paint to)."""
        self.keep_place()
        if number == signal.SIGTERM:
            self.call_later(self.exit)
        else:
            os._exit(129)
