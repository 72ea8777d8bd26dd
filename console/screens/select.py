"""Many samples at once: rows marked with ``m`` and ``v``, and one verdict on all of them, or on the whole filter.

Marks are positions of the queue as it was opened. Opened again it may have other rows there (a filter on one's own
verdicts, new samples in a sort): then the marks are dropped, and that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console import actions
from console.key_names import show_key
from console.screens.company import Company
from console.screens.queue import Opened
from console.selection import (
    EVERY,
    MARKED,
    Choice,
    Selection,
    choices,
    count_typed,
    fingerprint,
    named_bulk,
    payload_of_bulk,
    selection_of,
    subjects_counted,
    subjects_in,
    too_many,
)
from console.text import counted
from console.widgets.bar import Part
from store.errors import InputError, SpiritsafeError

if TYPE_CHECKING:
    from console.state import Place

HOLDS = "marks_hold"  # in a queue that was opened: whether the marks are of the same samples there


class Select(Company):
    """A queue of subjects to judge, one or many at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen = Selection()
        self._print = ""  # fingerprint of what is chosen, once the hub said which subjects they are
        self._taking_print = False
        self._anchor: int | None = None  # where a range began
        self.pager.chosen = self._is_chosen

    # ---- marks
    def _is_chosen(self, position: int) -> bool:
        return position in self.chosen or position in self._range()

    def _range(self) -> range:
        """The range that is being drawn: from its anchor to the cursor, both included."""
        at = self.pager.position
        if self._anchor is None or at is None:
            return range(0)
        return range(min(at, self._anchor), max(at, self._anchor) + 1)

    def action_mark(self) -> None:
        """``m``"""
        at = self.pager.position
        if at is not None:
            self._choose(self.chosen.toggle(at))

    def action_range(self) -> None:
        """``v``: a range begins here, or ends here."""
        at = self.pager.position
        if at is None:
            return
        if self._anchor is None:
            self._anchor = at
            key = actions.key_of("judge.range", self.home.table)
            self.tell(f"a range from row {at + 1:,}: move, then {key} marks it; Esc drops it")
            self.pager.refresh_gutters()
        else:
            drawn, self._anchor = self._range(), None
            self._choose(self.chosen.add(drawn.start, drawn.stop))

    def _choose(self, chosen: Selection) -> None:
        """Other rows are marked now."""
        if len(chosen) > len(self.chosen) and (problem := too_many(len(chosen))):
            self.tell(problem)
        else:
            self.chosen, self._print = chosen, ""
            self._take_print()
        self.pager.refresh_gutters()
        self.renote()

    def unmark(self) -> None:
        """``:unmark``"""
        self._anchor = None
        self._choose(Selection())

    def moved(self) -> None:
        """A range follows the cursor."""
        super().moved()
        if self._anchor is not None:
            self.pager.refresh_gutters()

    def action_close_detail(self) -> None:
        """Esc drops the range that was begun."""
        if self._anchor is not None:
            self._anchor = None
            self.pager.refresh_gutters()
        else:
            super().action_close_detail()

    def _typed_to_app(self, word: str, rest: str) -> bool:
        if word != "unmark":
            return super()._typed_to_app(word, rest)
        self.unmark()
        return True

    def _tail(self) -> tuple[Part, ...]:
        return ((0, f"{len(self.chosen):,} marked" if self.chosen else ""), *super()._tail())

    # ---- marks that outlive the queue they were made in
    def _take_print(self) -> None:
        """Ask which subjects are marked, one question at a time."""
        if self._taking_print or not self.chosen or "id" not in self.queue:
            return
        self._taking_print = True
        chosen, queue = self.chosen, self.queue

        def taken(found: str) -> None:
            self._taking_print = False
            if chosen is self.chosen:
                self._print = found
            else:
                self._take_print()

        def failed(_: SpiritsafeError) -> None:
            self._taking_print = False

        self.home.work(lambda: self._print_of(queue, chosen), taken, failed=failed)

    def _print_of(self, queue: dict[str, Any], chosen: Selection) -> str:
        """In a thread; empty where the hub has forgotten the queue."""
        try:
            return fingerprint(subjects_in(self.home.store, queue, chosen, unjudged=False))
        except InputError:
            return ""

    def enter(self, **wanted: Any) -> None:
        """The first time with the marks that were left here."""
        place = self.home.state.place(self.home.project, self.name_)
        if not self.queue and place.marks and place.marked:
            self.chosen, self._print = selection_of(place.marks), place.marked
        super().enter(**wanted)

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        chosen, known = self.chosen, self._print
        if chosen and not known and old and old == self.queue.get("id"):
            known = self._print_of(self.queue, chosen)
        found = super()._open(wanted, old)
        spec, queue = found[:2]
        if chosen and known and spec == (self.spec or spec) and chosen.within(queue["length"]):
            queue[HOLDS] = self._print_of(queue, chosen) == known
        return found

    def _opened(self, found: Opened) -> None:
        self._anchor = None
        dropped = 0
        if self.chosen and not found[1].pop(HOLDS, False):
            dropped = len(self.chosen)
            self.chosen, self._print = Selection(), ""
        super()._opened(found)
        if dropped:
            self.tell(f"{counted(dropped, 'mark')} dropped: these are other rows now")

    def note_place(self, place: Place) -> None:
        """With the marks."""
        super().note_place(place)
        if self.queue:
            place.marks, place.marked = list(self.chosen.ranges), self._print

    # ---- one verdict on many
    def action_bulk(self) -> None:
        """``B``: which samples, which verdict, how many they are."""
        if self.busy or "id" not in self.queue:
            return
        if not self._choices():
            self.tell("no bulk verdicts are given here")
        elif self.spec.get("plan"):
            self.tell("the samples of an audit plan are judged one by one: bulk verdicts count for no plan")
        elif self.chosen:
            self._ask_verdict(self.chosen, counted(len(self.chosen), "marked row"), MARKED)
        elif self.is_narrowed():
            self._ask_verdict(None, f"all {self.pager.length:,} rows here", self.filter or self.narrowed_by())
        else:
            self.ask("nothing is marked or filtered; type all to judge every row:", self._all_typed)

    def is_narrowed(self) -> bool:
        """Whether the queue shows only what somebody asked for."""
        return bool(self.filter)

    def narrowed_by(self) -> str:
        """By what, where not by a filter."""
        return EVERY

    def _all_typed(self, text: str) -> None:
        if text.strip() == "all":
            self._ask_verdict(None, f"all {self.pager.length:,} rows", EVERY)
        else:
            self.tell("nothing was judged")

    def _choices(self) -> dict[str, Choice]:
        table = list(actions.of_screen(self.name_, self.home.table))
        shown = {key: show_key(key) for action in table for key in action.keys.split(",")}
        return choices(self.name_, actions.of_screen(self.name_, self.home.keymap.table), shown)

    def _ask_verdict(self, chosen: Selection | None, what: str, selection: str) -> None:
        known = self._choices()
        keys = legend(known)

        def typed(text: str) -> None:
            choice = known.get(" ".join(text.split()))
            if choice is None and text.strip():
                self.refuse(f"nothing was judged: {text.strip()!r} is none of {keys}")
                return
            if choice is None:
                self.tell("nothing was judged")
                return
            queue = dict(self.queue)
            self.busy = True  # what is typed ahead of the next question judges no single sample

            def failed(error: SpiritsafeError) -> None:
                self.busy = False
                self._lost(error)

            self.home.work(
                lambda: subjects_in(self.home.store, queue, chosen),
                lambda subjects: self._ask_count(choice, subjects, selection),
                failed=failed,
            )

        self.ask(f"one verdict on {what} ({keys}):", typed)

    def _ask_count(self, choice: Choice, subjects: list[str], selection: str) -> None:
        self.busy, n = False, len(subjects)
        if not n:
            self.tell("nothing there that you have not judged")
            return

        def typed(text: str) -> None:
            if not text.strip():
                self.tell(f"nothing was judged: you typed nothing, not {n:,}")
                return
            if not count_typed(text, n):
                self.refuse(f"nothing was judged: you typed {text.strip()}, not {n:,}; Esc leaves it")
                return
            self._judge_all(payload_of_bulk(self.name_, choice, subjects, selection))

        plan = ", for no audit plan" if self.name_ == "audit" else ""
        self.ask(f"{choice} on {subjects_counted(self.name_, n)} unread{plan}; type {n:,}:", typed)

    def _judge_all(self, payload: dict[str, Any]) -> None:
        home = self.home
        self.busy = True  # no single verdict meanwhile
        self.tell(f"{named_bulk(payload)}…")

        def judged(_: dict[str, Any]) -> None:
            self.busy = False
            if payload["selection"] == MARKED:
                self.chosen, self._print = Selection(), ""
            self.enter()
            self.tell(f"{named_bulk(payload)}; {actions.key_of('undo', home.table)} takes all of it back")

        home.work(lambda: home.store.act("verdicts", home.project, payload), judged, failed=self._unjudged)

    def taken_back(self, kind: str, what: dict[str, Any]) -> None:
        """A bulk verdict was undone or redone: its marks are all over the list."""
        super().taken_back(kind, what)
        if what["kind"] == "verdicts" and what["queue"] == self.name_:
            self.enter()


def legend(known: dict[str, Choice]) -> str:
    """The keys of a bulk verdict, in few words.

    >>> legend({"a": Choice("ok"), "ok": Choice("ok"), **{str(i): Choice("bad", i) for i in (1, 2, 9)}})
    'a ok, 1–9 bad'
    """
    keys: dict[str, list[str]] = {}
    for typed, choice in known.items():
        if typed not in (str(choice), choice.verdict):
            keys.setdefault(choice.verdict, []).append(typed)
    return ", ".join(
        f"{typed[0]}–{typed[-1]} {verdict}" if len(typed) > 2 else f"{' '.join(typed)} {verdict}"
        for verdict, typed in keys.items()
    )
