"""Looking around in a queue: unreviewed rows, search, filter, order, comments, copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from console import clipboard
from console.screens.queue import SEED, QueueRoom
from store import grammar
from store.errors import InputError


class LookRoom(QueueRoom):
    """A queue with the keys to find one's way in it."""

    def action_unreviewed(self, step: int) -> None:
        """``]`` and ``[``"""
        self._seek(
            "unreviewed", "everything that way is judged", position=self.pager.position or 0, step=step
        )

    def action_search(self) -> None:
        """``/``"""
        self.ask("/", self._search)

    def _search(self, text: str) -> None:
        self.needle = text or self.needle
        self.action_again(1)

    def action_again(self, step: int) -> None:
        """``n`` and ``N``"""
        if self.needle:
            self._seek(
                "find",
                f"no {self.needle!r} here",
                text=self.needle,
                position=self.pager.position or 0,
                step=step,
            )

    def _seek(self, op: str, nothing: str, **arguments: Any) -> None:
        queue = self.queue.get("id")
        if queue is None:
            return

        def found(at: int | None) -> None:
            if queue != self.queue.get("id"):
                return  # another filter by now: its rows are others
            self.tell(nothing) if at is None else self.pager.jump(at)

        self.home.work(lambda: self.home.store.call(op, queue=queue, **arguments), found, failed=self._lost)

    def action_filter(self) -> None:
        """``f``"""
        self.ask(
            "filter:",
            self._filter,
            self.filter,
            complete=lambda text, column: grammar.complete(text, column, self.columns, {}),
        )

    def _filter(self, text: str) -> None:
        try:
            if text.strip():
                grammar.parse(text)
        except InputError as error:
            self.tell(str(error).replace("\n", " "))
            return
        self.enter(filter=text.strip())

    def action_order(self) -> None:
        """``o``: random order by a seed, and back to the order of arrival."""
        self.seed = 0 if self.seed else SEED
        self.enter(position=0)

    def action_comment(self) -> None:
        """``;``"""
        found = self.details.get(self.pager.position or 0)
        if found is not None:
            self.ask("comment:", lambda text: self._comment(found["subject"], text))

    def _comment(self, subject: str, text: str) -> None:
        home, at = self.home, self.pager.position or 0
        if not text.strip():
            return

        def noted(_: Any) -> None:
            self.details.pop(at, None)
            self.tell("comment recorded")
            self._show()

        home.work(
            lambda: home.store.act("comment", home.project, {"subject": subject, "text": text.strip()}), noted
        )

    def action_copy(self) -> None:
        """``y``"""
        found = self.details.get(self.pager.position or 0)
        if found is not None:
            text = "\n\n".join(f"{s.title}\n{s.text}" for s in self.sections(found))
            told = clipboard.copy(text, Path.cwd() / "spiritsafe-copy.txt", self.app)
            self.tell(told)

    def action_scroll(self, pages: int) -> None:
        """``space`` and ``b``"""
        if self.detail_shown:
            self.detail.action_scroll(pages)
        else:
            self.pager.action_page(pages)

    def action_view(self) -> None:
        """``t``"""
        self.detail.action_view()
