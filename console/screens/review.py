"""The queue rooms: a list, a detail, a verdict in one key. Audit, disagreements and duplicates only say what
a row shows, what a detail shows, and what a verdict is bound to.

A verdict applies to the sample last painted, and only if the cursor still stands there; keys that come while
one is being committed are dropped and counted, so that a held key accepts nothing unseen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

from console import actions
from console.screens.look import LookRoom
from console.screens.queue import Opened
from console.screens.room import payload_of
from console.text import cells, visible
from console.widgets.detail import Range, Section
from store.errors import SpiritsafeError
from store.queue_letters import letter


class Review(LookRoom):
    """A queue of subjects to judge."""

    act_kind: ClassVar[str] = "verdict"

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self.returning = 0  # undo and redo under way
        self.landed: int | None = None  # where the last of them left the cursor
        self.dropped = 0
        self.last: tuple[str, int | None] | None = None
        self.began = time.monotonic()
        self.judged_now = 0
        self.judged_last: int | None = (
            None  # the end of the queue, just judged: it takes no second verdict by itself
        )

    def _opened(self, found: Opened) -> None:
        self.busy = False
        super()._opened(found)

    def about(self, found: dict[str, Any]) -> Section:
        """The last section: what may be known of the subject besides its texts."""
        prompt = found.get("prompt") or {}
        known = {"split": prompt.get("split"), **payload_of(prompt.get("metadata") or "{}")}
        items = [f"{key} {value}" for key, value in known.items() if value not in (None, "")]
        lines = (
            list(revealed(found))
            if found["revealed"]
            else ["source, checks and others' verdicts: after yours"]
        )
        lines += [f"{actor} remarked: {text}" for actor, _, text in found["comments"]]

        def layout(width: int) -> tuple[str, tuple[Range, ...]]:
            return visible("\n".join([*packed(items, width), *lines]), lines=True), ()

        return Section("about", "\n".join(["  ".join(items), *lines]), layout=layout)

    # ---- judging
    def action_judge(self, verdict: str, reason: int | None = None) -> None:
        """One key: the verdict is committed, then the next sample is shown."""
        at = self._seen()
        found = self.details.get(at) if at is not None else None
        if self.busy or self.returning or at is None or at != self.pager.position or found is None:
            self.dropped += 1  # counted in the header with the next verdict
            return
        if at == self.judged_last and found["mark"]:
            self.tell("that was the last row, and it is judged: move, or press u, to judge it again")
            return
        self.busy, self.last = True, (verdict, reason)
        payload: dict[str, Any] = {
            "queue": self.name_,
            "subject": found["subject"],
            "verdict": verdict,
            "shown": self.shown_ids(found),
            "queue_id": self.queue["id"],
            "position": at,
            "revealed": bool(found["revealed"]),
            "whole": self.detail.whole_seen if self.detail_shown else False,
            "dwell_ms": int((time.monotonic() - self.shown_at) * 1000),
        }
        if reason is not None:
            payload["reason"] = reason
        self._before_judging(payload, found)
        home = self.home
        home.work(
            lambda: self.commit(payload, found),
            lambda _: self._judged(at, payload, found),
            failed=self._unjudged,
        )

    def commit(self, payload: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        """Put a verdict on the ledger; in a thread. For rooms whose verdict means more than one act."""
        del found
        return self.home.store.act(self.act_kind, self.home.project, payload)

    def _seen(self) -> int | None:
        """Which row stood on the screen when the key was pressed, with its detail where one is shown."""
        if not self.detail_shown:
            return self.pager.painted
        key = self.detail.painted
        if not isinstance(key, tuple) or key[0] != self.queue.get("id"):
            return None
        at = int(key[1])
        return at if self.has_class("opened") or at == self.pager.painted else None

    def _before_judging(self, payload: dict[str, Any], found: dict[str, Any]) -> None:
        """For rooms whose verdict is bound to more."""

    def moved(self) -> None:
        """Whoever comes back to the last row means to judge it again."""
        self.judged_last = None

    def action_judge_bad(self, reason: int) -> None:
        """A digit: bad, for that reason."""
        self.action_judge("bad", reason)

    def _judged(self, at: int, payload: dict[str, Any], found: dict[str, Any]) -> None:
        """Committed: mark it, go on."""
        self.busy = False
        if not found["mark"]:
            self.judged_now += 1
            self.queue["reviewed"] += 1
            self.tally[payload["verdict"]] = self.tally.get(payload["verdict"], 0) + 1
        self.details.pop(at, None)
        self.pager.mark(at, letter(payload["verdict"], payload.get("reason")))
        self.header.show(self.heading())
        if at + 1 < self.pager.length:
            self.pager.jump(at + 1)
            self._show()  # in the same frame as the mark; what is not here yet is asked for at once
            self._say_from_list()
        else:
            self.judged_last = at
            self.tell("that was the last row; [ goes to the previous one that you have not judged")
            self._fetch(at)
        self.call_after_refresh(self.home.keep_place)  # a disk may be slow: the next sample comes first
        if found["mark"]:  # another verdict than before
            self.home.work(self._tally, self._recounted)

    def _say_from_list(self) -> None:
        """Say once a session that a verdict was given without the text on the screen, as the record says too."""
        if not self.detail_shown and not self.home.said_from_list:
            self.home.said_from_list = True
            opens = actions.key_of("list.open", self.home.table)
            self.tell(f"judged from the list, recorded so: {opens} opens the text")

    def _unjudged(self, error: SpiritsafeError) -> None:
        self.busy = False
        self.home.fail(error)

    def action_repeat(self) -> None:
        """``.``"""
        if self.last is not None:
            self.action_judge(*self.last)

    def _take_back(self, kind: str) -> None:
        """Take back, or do again: no verdict is taken until the cursor stands on what that was about."""
        self.returning += 1
        super()._take_back(kind)

    def _not_taken_back(self, error: SpiritsafeError) -> None:
        self.returning -= 1
        self.home.fail(error)

    def taken_back(self, kind: str, what: dict[str, Any]) -> None:
        """Go to what was undone or redone, unless the reviewer went on meanwhile, and show its mark as it is now."""
        at, stood = what.get("position", -1), self.pager.position
        self.details.clear()
        if what.get("queue") != self.name_ or not 0 <= at < self.pager.length:
            self.returning -= 1
            self._show()
            super().taken_back(kind, what)
            return
        queue = self.queue["id"]

        def show(found: dict[str, Any]) -> None:
            self.returning -= 1
            super(Review, self).taken_back(kind, what)
            if found["subject"] != what["subject"]:  # judged in another order: only its mark may be in sight
                self.enter()
                return
            self.pager.mark(at, found["mark"] or " ")
            self.queue["reviewed"] += (
                (1 if found["mark"] else -1) if kind == "redo" or not found["mark"] else 0
            )
            self._got(queue, at, found)
            if self.pager.position in (stood, self.landed):
                self.pager.jump(at)
                self.landed = at
            self._show()
            self.home.work(self._tally, self._recounted)

        def gone(error: SpiritsafeError) -> None:
            self.returning -= 1
            super(Review, self).taken_back(kind, what)
            self.pager.jump(at)  # where the queue opens again
            self._lost(error)

        self.home.work(lambda: self.home.store.call("detail", queue=queue, position=at), show, failed=gone)

    def _recounted(self, tally: dict[str, int]) -> None:
        self.tally = tally
        self.header.show(self.heading())

    def pace(self) -> str:
        """Items an hour in this room, once there are ten; keys that came too early and judged nothing."""
        told = ""
        if self.judged_now >= 10:
            told += f" · {self.judged_now / (time.monotonic() - self.began) * 3600:,.0f}/h"
        if self.dropped:
            told += f" · {self.dropped:,} keys too early"
        return told


def revealed(found: dict[str, Any]) -> Iterator[str]:
    """What may be known once it is judged: source, models, verdicts, checks."""
    outputs = found.get("outputs") or []
    source = (found.get("prompt") or {}).get("source")
    models = [o.get("model") for o in outputs]
    if len(models) == 2:
        models = [f"{side} {model}" for side, model in zip(("left", "right"), models, strict=True)]
    elif models:
        models = [f"model {models[0]}"]
    yield " · ".join([*([f"source {source}"] if source else []), ", ".join(map(str, models))])
    for actor, verdict, reason, _ in found["verdicts"] or []:
        yield f"{actor}: {verdict}{f' {reason}' if reason else ''}"
    for name, passed, why in found.get("checks") or []:
        yield f"{'pass' if passed else 'FAIL'} {name}  {why}".rstrip()


def packed(items: list[str], width: int) -> list[str]:
    """Items on as few lines as they fit, none broken unless it is longer than a line.

    >>> packed(["split test", "tier pro", "words 11"], 20)
    ['split test  tier pro', 'words 11']
    """
    lines: list[str] = []
    for item in items:
        if lines and cells(lines[-1]) + 2 + cells(item) <= width:
            lines[-1] += f"  {item}"
        else:
            lines.append(item)
    return lines
