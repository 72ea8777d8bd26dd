"""Not alone in a queue: who else is here, how many rows are new. Asked while keys are pressed, never when idle."""

from __future__ import annotations

import contextlib
import threading
import time

from textual.events import Key

from console.screens.queue import Opened
from console.screens.review import Review
from console.widgets.bar import Part
from store.errors import SpiritsafeError

ASK_EVERY = 30.0  # seconds of activity
NAMED = 3  # people named in the header
LEAVING = 0.3  # seconds that a farewell may take when the console is left
Around = tuple[list[tuple[str, str]], int]


class Company(Review):
    """A queue of subjects to judge, in company."""

    def __init__(self) -> None:
        super().__init__()
        self.company: tuple[str, ...] = ()
        self.fresh = 0
        self._inside = self._announced = False
        self._asked = -ASK_EVERY
        self._telling = threading.Lock()

    def take(self, event: Key) -> bool:
        """A key is activity."""
        taken = super().take(event)
        self._ask_around()
        return taken

    def on_screen_resume(self) -> None:
        """Here (again)."""
        self._inside, self._asked = True, -ASK_EVERY
        self._ask_around()

    def on_screen_suspend(self) -> None:
        """Elsewhere: the others need not wait until it is noticed."""
        self._inside = False
        if self._announced:
            self.home.work(self._say_where, lambda _: None, failed=lambda _: None)

    def depart(self) -> None:
        """The console is left: say so, but wait for nobody."""
        super().depart()
        announced, self._announced, self._inside = self._announced, False, False
        if announced:
            saying = threading.Thread(target=self._say_goodbye, daemon=True)
            saying.start()
            saying.join(LEAVING)

    def _say_goodbye(self) -> None:
        with contextlib.suppress(SpiritsafeError, OSError, EOFError):
            self._say_where()

    def _say_where(self) -> list[tuple[str, str]]:
        """In a thread; of two at once the one that comes last says what is true last."""
        with self._telling:
            screen = self.name_ if self._inside else ""
            others = self.home.store.call("here", project=self.home.project, screen=screen)
        return [(who, there) for who, there in others]

    def _opened(self, found: Opened) -> None:
        self.fresh = 0
        self.header.tail = self._tail()
        super()._opened(found)
        self._ask_around()

    def _ask_around(self) -> None:
        """Ask once in 30 seconds who is here and what is new; an older hub does not know, and that is fine."""
        queue = self.queue.get("id")
        if queue is None or not self._inside or time.monotonic() - self._asked < ASK_EVERY:
            return
        self._asked, self._announced = time.monotonic(), True

        def ask() -> Around:
            return self._say_where(), self.home.store.call("fresh", queue=queue)

        def told(around: Around) -> None:
            others, fresh = around
            there = tuple(sorted({who.rpartition("/")[2] for who, screen in others if screen == self.name_}))
            fresh = fresh if queue == self.queue.get("id") else self.fresh
            if (there, fresh) != (self.company, self.fresh):
                self.company, self.fresh = there, fresh
                self.renote()

        self.home.work(ask, told, failed=lambda _: None)

    def renote(self) -> None:
        """Show the end of the header as it is now."""
        if self.queue:
            self.header.tail = self._tail()
            self.header.show(self.heading())

    def _tail(self) -> tuple[Part, ...]:
        """What stands at the end of the header: it comes and goes without moving the rest."""
        return (1, news(self.fresh)), (2, also_here(self.company))


def also_here(names: tuple[str, ...]) -> str:
    """Who else looks at this queue.

    >>> also_here(("ann", "bob")), also_here(tuple("abcde")), also_here(())
    ('also here: ann, bob', 'also here: a, b, c and 2 more', '')
    """
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"also here: {', '.join(names[:NAMED])}{more}" if names else ""


def news(fresh: int) -> str:
    """Rows that came after the queue was opened.

    >>> news(1204), news(0)
    ('+1,204 new, r reads them', '')
    """
    return f"+{fresh:,} new, r reads them" if fresh else ""
