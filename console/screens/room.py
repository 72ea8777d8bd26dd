"""What every room has: a header, a body, a footer that names the keys, a line that takes all keys; and the
actions that work everywhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import BindingsMap, BindingType
from textual.containers import Container
from textual.events import Key, Resize
from textual.widget import Widget

from console import actions
from console.screens.asking import Asking
from console.screens.page import TOUR, Page, Text
from console.seen_words import seen_page
from console.selection import named_undone
from console.themes import THEMES
from console.widgets.bar import Bar, Header
from console.widgets.pager import Pager
from store.errors import RuleError, SpiritsafeError

if TYPE_CHECKING:
    from console.state import Place


class List(Pager, inherit_bindings=False):
    """A pager whose keys are those of the table of actions, and none of its own."""


WIDE = 110  # columns from which list and detail stand side by side
LONGEST_HOLD = 0.25  # seconds: a room whose rows are slow to come shows itself empty
READ_ONLY = "this console is read-only: nothing was recorded"
HEADER, FOOTER = Style(bold=True), Style(dim=True)


class Room(Asking):
    """A screen of the console. Subclasses say ``name_`` and fill ``enter``."""

    words: ClassVar[tuple[str, ...]] = ()  # what may be typed behind ``:`` in this room only
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init_subclass__(cls, **options: Any) -> None:
        if cls.name_:
            cls.BINDINGS = [*actions.bindings(cls.name_)]
        super().__init_subclass__(**options)

    def __init__(self) -> None:
        super().__init__()
        self.header, self.footer = Header(HEADER, id="header"), Bar(FOOTER, id="footer")
        self.pager, self.detail = List(id="list"), Text(id="detail")
        self.there = asyncio.Event()
        self._waiting_for_place = False
        self._said = False

    def rebind(self, table: actions.Table) -> None:
        """Take the keys of this console: a keymap's, a read-only one's."""
        self._bindings = BindingsMap(actions.bindings(self.name_, table))

    # ---- layout
    def compose(self) -> ComposeResult:
        """Header, body, footer; the line stands where the footer is while it is open."""
        yield self.header
        with Container(id="body"):
            yield self.pager
            yield self.detail
        yield self.footer
        yield self.line

    def on_mount(self) -> None:
        """Name the keys, or say what there is to say at the start."""
        self.name_keys()
        if self.home.news:
            self.tell(self.home.news)
            self.home.news = ""
        self.pager.focus()
        self.there.set()

    def on_resize(self, event: Resize) -> None:
        """Side by side where there is room."""
        self.lay_out(event.size.width)
        if not self._said:
            self.name_keys()

    def lay_out(self, width: int) -> None:
        """List and detail side by side where there is room, unless the detail was opened alone."""
        self.set_class(width >= WIDE and not self.has_class("opened"), "wide")

    def on_screen_resume(self) -> None:
        """Show the room whole, once its rows are here or soon after."""
        self.set_timer(LONGEST_HOLD, self.release)

    def filled(self) -> None:
        """The rows are here: paint, after they were laid out."""
        self.set_timer(0.01, self.release)

    @property
    def reading(self) -> Widget:
        """The list, or the detail where it was opened."""
        return self.detail if self.has_class("opened") else self.pager

    def enter(self, **wanted: Any) -> None:
        """The room is shown; load what it shows."""

    def depart(self) -> None:
        """The console is left."""

    def note_place(self, place: Place) -> None:
        """Write down where the reviewer is, for the next session."""

    # ---- saying, and taking keys
    def tell(self, text: str) -> None:
        """Say something in the footer, until the next key."""
        self.footer.show(text)
        self._said = True

    def name_keys(self) -> None:
        """The footer names the keys that work now."""
        self._said = False
        self.footer.show(actions.footer(self.name_, self.app.size.width, self.home.table))

    def take(self, event: Key) -> bool:
        """Whether the room itself takes a key: the open line takes all, ``g`` waits for its letter."""
        if self.type_key(event):
            return True
        if self._waiting_for_place:
            self._waiting_for_place = False
            self._go(event.character or event.key)
            return True
        if self._said:  # a message in the footer goes at the next key
            self.name_keys()
        return False

    def _go(self, letter: str) -> None:
        self.name_keys()
        if letter == "g":
            self.pager.action_home()
        elif letter in actions.PLACES:
            self.home.goto(actions.PLACES[letter])

    # ---- actions that work everywhere
    def action_go(self) -> None:
        """``g``: show the choices, wait for the letter."""
        self._waiting_for_place = True
        self.footer.show(actions.places(self.app.size.width, self.home.table))

    def action_help(self) -> None:
        """``?``"""
        self.app.push_screen(
            Page("\n".join(actions.help_lines(self.name_, self.app.size.width, self.home.table)))
        )

    def action_refuse(self) -> None:
        """What acts, in a console that only looks."""
        self.tell(READ_ONLY)

    def action_back(self) -> None:
        """``q``"""
        if self.has_class("opened"):
            self.close_detail()
        else:
            self.home.back()

    def action_pager(self, what: str, *arguments: int) -> None:
        """Move in the list, also while its detail covers it."""
        getattr(self.pager, f"action_{what}")(*arguments)

    def action_open(self) -> None:
        """Enter: the detail instead of the list, where they do not stand side by side."""
        if self.has_class("opened"):
            self.close_detail()
        else:
            self.open_detail()

    def open_detail(self) -> None:
        """The detail alone."""
        self.add_class("opened")
        self.remove_class("wide")
        self.detail.focus()

    def action_close_detail(self) -> None:
        """Esc, which never leaves a room."""
        if self.has_class("opened"):
            self.close_detail()

    def close_detail(self) -> None:
        """Back to the list."""
        self.remove_class("opened")
        self.set_class(self.size.width >= WIDE, "wide")
        self.pager.focus()

    def action_refresh(self) -> None:
        """``r``"""
        self.enter()

    def action_guidelines(self) -> None:
        """``i``: what the task asks, and what the digits mean."""
        self.home.work(self._guidelines, self.show_page)

    def show_page(self, text: str) -> None:
        """A page of text over the room."""
        self.app.push_screen(Page(text))

    def _guidelines(self) -> str:
        try:
            contract = self.home.context.contract()
        except RuleError:
            return "No contract is locked yet, so there are no guidelines.\n\nspiritsafe contract lock contract.toml"
        reasons = [
            f"  {r.digit}  {r.name}  ({r.severity}{'' if r.train_drop else ', kept for training'})"
            for r in contract.reasons
        ]
        example = (
            f"\n\nexample\n\n{contract.task.input_example}\n→ {contract.task.output_example}"
            if contract.task.input_example
            else ""
        )
        coded = [f"  {label.code}  {label.name}" for label in contract.task.labels if label.code]
        labels = "\n\nlabels\n\n" + "\n".join(coded) if coded else ""
        about = f"{contract.task.name}\n\n{contract.task.instruction}{example}"
        return f"{about}\n\nreasons\n\n" + "\n".join(reasons) + labels

    def action_undo(self) -> None:
        """``u``"""
        self._take_back("undo")

    def action_redo(self) -> None:
        """``ctrl+r``"""
        self._take_back("redo")

    def _take_back(self, kind: str) -> None:
        home = self.home
        home.work(
            lambda: home.store.act(kind, home.project, {}),
            lambda answer: self.taken_back(kind, answer["undone"]),
            failed=self._not_taken_back,
        )

    def _not_taken_back(self, error: SpiritsafeError) -> None:
        """There was nothing to take back, or the hub refused."""
        self.home.fail(error)

    def taken_back(self, kind: str, what: dict[str, Any]) -> None:
        """An act was undone or redone: say which."""
        self.tell(named_undone(kind, what))

    def action_why(self) -> None:
        """``W``: choice, reason, then what was rejected."""

        def chosen(choice: str) -> None:
            if choice:
                self.ask("why:", lambda reason: reasoned(choice, reason), draft=f"why/{choice}")

        def reasoned(choice: str, reason: str) -> None:
            if reason:
                self.ask("rejected for it, commas between:", lambda text: self._why(choice, reason, text))

        self.ask("what was chosen:", chosen, draft="why")

    def _why(self, choice: str, reason: str, rejected: str) -> None:
        home = self.home
        options = [option.strip() for option in rejected.split(",") if option.strip()]
        payload = {"choice": choice, "reason": reason, "rejected": options}
        home.work(lambda: home.store.act("why", home.project, payload), lambda _: self.tell("recorded"))

    def action_seen(self) -> None:
        """``T``: what the student saw of an input that is typed."""
        self.ask("what did the student see of this input:", self.look_into, draft="seen")

    def look_into(self, text: str, **told: Any) -> None:
        """The training samples nearest to a text, as a page."""
        home = self.home
        if text.strip():
            self.tell("looking…")
            home.work(lambda: seen_page(home.context, text, **told), self._found_seen)

    def _found_seen(self, page: str) -> None:
        self.name_keys()
        self.show_page(page)

    def jump_to(self, position: int) -> None:
        """``:17``"""
        self.pager.jump(position)

    def action_palette(self) -> None:
        """``:``"""
        names = [*actions.PLACES.values(), *actions.OUTCOMES, "project ", "quit", "help", "tour", "seen "]
        names += [*(f"theme {name}" for name in THEMES), *self.words]
        names += [a.id for a in actions.of_screen(self.name_, self.home.table) if not a.takes_key]
        self.ask(
            ":", self.typed, complete=lambda text, column: [n for n in names if n.startswith(text[:column])]
        )

    def typed(self, text: str) -> None:
        """A command was typed: a number jumps, a word goes somewhere or runs an action."""
        word, _, rest = text.strip().partition(" ")
        digits = word.replace(",", "")
        by_id = {a.id: a for a in actions.of_screen(self.name_, self.home.table) if not a.takes_key}
        if digits.isdigit():
            self.jump_to(int(digits) - 1)
        elif word in actions.PLACES.values():
            self.home.goto(word)
        elif word in actions.OUTCOMES and self.home.read_only:
            self.action_refuse()
        elif word in actions.OUTCOMES:
            self.home.goto("decision", outcome=word)
        elif word in by_id:
            self.call_later(self.run_action, by_id[word].call)
        elif not self._typed_to_app(word, rest.strip()) and word:
            self.refuse(f":{word} is no command; Tab after : lists them")

    def _typed_to_app(self, word: str, rest: str) -> bool:
        """Whether a typed word is one that the app or every room knows."""
        match word:
            case "project" if rest:
                self.home.choose_named(rest)
            case "theme":
                self.home.choose_theme(rest)
            case "q" | "quit" | "exit":
                self.home.leave()
            case "help":
                self.action_help()
            case "tour":
                self.show_page(TOUR)
            case "seen":
                self.look_into(rest) if rest else self.action_seen()
            case "next":
                self.call_later(self.run_action, "again(1)")
            case _:
                return False
        return True


def payload_of(text: str) -> dict[str, Any]:
    """A JSON object column, decoded; an empty one where it is none."""
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
