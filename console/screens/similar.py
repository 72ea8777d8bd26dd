"""Samples like this one, and slices: ways to put together what is worth looking at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from console import named_slices
from console.headless_acts import slice_rows
from console.screens.look import completions
from console.screens.queue import Opened
from console.screens.room import payload_of
from console.screens.select import Select
from console.selection import Selection, selection_of
from console.text import counted, visible
from console.widgets.bar import Part
from store import slices
from store.errors import SpiritsafeError

if TYPE_CHECKING:
    from console.state import Place

LONGEST = 10_000  # characters of a text that others are to be like
NO_SLICES = ("duplicates", "semantic")  # what their columns say, no other queue understands


@dataclass(frozen=True, slots=True)
class Left:
    """The queue that was left to look at similar samples."""

    filter: str
    sort: str
    seed: int
    similar: str
    like: str
    position: int
    chosen: Selection
    print: str
    room: str  # where ``s`` was pressed


class Similar(Select):
    """A queue of subjects to judge, with the samples like one of them."""

    words: ClassVar[tuple[str, ...]] = ("unmark", "slices", "similar ")

    def __init__(self) -> None:
        super().__init__()
        self.similar = self.like = ""  # the text, and what it is called
        self._left: list[Left] = []

    # ---- similar
    def action_similar(self) -> None:
        """``s``"""
        at = self.pager.position
        found = self.details.get(at) if at is not None else None
        if found is None or at is None:
            self.tell("the sample is still under way")
            return
        if self.name_ == "audit":  # the sample itself, which is not among what is like it
            self._look_for(found["subject"], f"row {at + 1:,}")
        else:
            text = found["prompt"]["text"] if "prompt" in found else found["texts"][0]
            self._look_for(text, f"{self.name_} row {at + 1:,}")

    def action_seen(self) -> None:
        """``T``: what the student saw of the sample under the cursor."""
        at = self.pager.position
        found = self.details.get(at) if at is not None else None
        if found is None:
            super().action_seen()
        elif self.name_ == "disagreements" and not found["revealed"]:
            self.tell("judge it first: what the student saw tells which answer is the teacher's")
        elif "prompt" in found:
            prompt = found["prompt"]
            told = prompt.get("metadata") or {}
            metadata = payload_of(told) if isinstance(told, str) else told
            known, blind = {"reference": prompt["reference"]}, self.name_ == "audit"
            self.look_into(prompt["text"], metadata=metadata, known=known, blind=blind)
        else:
            self.look_into(found["texts"][0])

    def _look_for(self, text: str, like: str) -> None:
        self.home.goto("audit", similar=text[:LONGEST], like=like, room=self.name_)

    def enter(self, *, similar: str = "", like: str = "", room: str = "", **wanted: Any) -> None:
        """With ``similar``: what is most like that text; ``q`` leads back."""
        if similar:
            self._left.append(self._leaving(room))
            self.filter, self.sort, self.seed, self.chosen, self._print = "", "", 0, Selection(), ""
            self.similar, self.like = similar, like
            wanted |= {"position": 0, "filter": ""}
        super().enter(**wanted)

    def _leaving(self, room: str) -> Left:
        """The queue that is left: the one here, or the one that this room would have opened."""
        if self.queue:
            at, chosen = self.pager.position or 0, self.chosen
            return Left(
                self.filter, self.sort, self.seed, self.similar, self.like, at, chosen, self._print, room
            )
        place = self.home.state.place(self.home.project, self.name_)
        chosen = selection_of(place.marks)
        return Left(place.filter, place.sort, place.seed, "", "", place.position, chosen, place.marked, room)

    def _back_from_similar(self) -> None:
        """To the queue and the row that were left, in whichever room."""
        left = self._left.pop()
        self.filter, self.sort, self.seed = left.filter, left.sort, left.seed
        self.similar, self.like = left.similar, left.like
        self.chosen, self._print, self.wanted_position = left.chosen, left.print, left.position
        self.spec = {}  # marks are those of the queue that comes now
        if left.room == self.name_:
            self._reopen()
            return
        self.pager.set_source(0, lambda *_: "", lambda _: "")  # opened again when somebody comes here
        self.home.back()

    def action_back(self) -> None:
        """``q``: from similar samples to the queue before."""
        if self.similar and not (self.has_class("opened") and self.pager.length):
            self._back_from_similar()
        else:
            super().action_back()

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        return super()._open(wanted | {"similar": self.similar} if self.similar else wanted, old)

    def _not_opened(self, error: SpiritsafeError) -> None:
        if self.similar and self.spec.get("similar", "") != self.similar:
            self._back_from_similar()
            self.home.fail(error)
        else:
            super()._not_opened(error)

    def _notes(self) -> tuple[Part, ...]:
        return (*super()._notes(), (0, f"similar to {self.like}" if self.similar else ""))

    def empty(self) -> str:
        """Nothing is like it."""
        return f"Nothing here is like {self.like}." if self.similar else super().empty()

    def is_narrowed(self) -> bool:
        """Similar samples were asked for, too."""
        return super().is_narrowed() or bool(self.similar)

    def narrowed_by(self) -> str:
        """By what text."""
        like = f"similar to {self.like}: {visible(self.similar)[:200]}"
        return like if self.similar else super().narrowed_by()

    def note_place(self, place: Place) -> None:
        """Of similar samples one comes back to the queue before."""
        super().note_place(place)
        if self._left and self.queue:
            base = self._left[0]
            place.filter, place.sort, place.seed = base.filter, base.sort, base.seed
            place.position, place.length = base.position, max(1, place.length)
            place.marks, place.marked = list(base.chosen.ranges), base.print

    # ---- slices
    def action_save_slice(self) -> None:
        """``S``: the filter under a name."""
        if self.name_ in NO_SLICES:
            self.tell("a slice is of samples: save one in audit or disagreements")
        elif not self.filter:
            self.tell("nothing is filtered: f sets the filter that a slice is to be")
        else:
            where = self.filter
            self.ask(
                f"save the filter {visible(where)[:30]} as slice:",
                lambda name: self._named_slice(name.strip(), where),
            )

    def _named_slice(self, name: str, where: str) -> None:
        context = self.home.context
        if not name:
            return

        def there(found: named_slices.Slice | None) -> None:
            if found is None or found.where == where:
                self._save_slice(name, where)
                return
            label = (
                f"{found.by} has {name} for {visible(found.where)[:24]}; type the name again to replace it:"
            )
            self.ask(label, lambda again: self._replace(again.strip(), name, where))

        self.home.work(lambda: named_slices.clash(context, name), there, failed=self.refuse)

    def _replace(self, again: str, name: str, where: str) -> None:
        if again == name:
            self._save_slice(name, where)
        else:
            self.tell("not saved")

    def _save_slice(self, name: str, where: str) -> None:
        context, rooms = self.home.context, self.home.rooms

        def saved(_: dict[str, Any]) -> None:
            for room in rooms.values():
                if isinstance(room, Similar) and room.values:  # else completion asks when it is wanted
                    offered = room.values.setdefault(slices.NAME, [])
                    offered += [name] if name not in offered else []
            self.tell(f"saved; {named_slices.as_filter(name)} filters by it, :slices lists all")

        self.home.work(lambda: named_slices.save(context, name, where), saved, failed=self.refuse)

    def _typed_to_app(self, word: str, rest: str) -> bool:
        if word == "slices":
            context, kind = self.home.context, "audit" if self.name_ in NO_SLICES else self.name_
            self.tell("counting…")
            self.home.work(
                lambda: slice_rows(context, kind), lambda rows: self.show_page(slices_page(rows, kind))
            )
        elif word == "similar" and rest:
            self._look_for(rest, f"“{visible(rest)[:24]}”")
        elif word == "similar":
            self.action_similar()
        else:
            return super()._typed_to_app(word, rest)
        return True

    def _ask_values(self) -> dict[str, list[str]]:
        return super()._ask_values() | {
            slices.NAME: [s.name for s in named_slices.named_slices(self.home.context)]
        }

    def _complete(self, text: str, column: int) -> list[str]:
        """With ``slice = NAME``, where a filter may say that."""
        names = self.columns if self.name_ in NO_SLICES else [*self.columns, slices.NAME]
        return completions(text, column, names, self.values)

    def _complete_sort(self, text: str, column: int) -> list[str]:
        return [word for word in super()._complete_sort(text, column) if word != slices.NAME]


def slices_page(rows: list[dict[str, Any]], kind: str) -> str:
    """All slices: name, who gave it, how many samples of the queue it has, and the filter that it stands for."""
    if not rows:
        return "slices\n\nThere are none yet. f filters, S saves the filter under a name."
    name, by = (max(len(str(row[key])) for row in rows) for key in ("name", "by"))
    lines = [
        f"{row['name']:<{min(name, 32)}}  {row['by']:<{min(by, 16)}}  "
        f"{counted(row['samples'], 'sample') if 'samples' in row else row['problem']}\n    {row['where']}"
        for row in rows
    ]
    return "\n".join(
        [f"slices, and how much of {kind} is in each", "", *lines, "", "slice = NAME filters by one."]
    )
