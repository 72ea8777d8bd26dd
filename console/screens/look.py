"""Looking around in a queue: unreviewed rows, search, filter, order, comments, copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from console import clipboard
from console.screens.queue import SEED, QueueRoom, moment
from console.text import counted
from store import grammar
from store.errors import InputError, SpiritsafeError, WireError

if TYPE_CHECKING:
    from store.queue_kind import Kind

DIRECTIONS = ("asc", "desc")
# Values of columns that are no metadata.
FIXED: dict[str, tuple[str, ...]] = {
    "split": ("train", "validation", "test"),
    "field": ("prompt", "output"),
    "edit": ("exact", "surface", "slot", "truncation", "words"),
}


class LookRoom(QueueRoom):
    """A queue with the keys to find one's way in it."""

    counts_hits = True  # until the hub says that it does not

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
        queue, needle = self.queue.get("id"), self.needle
        if queue is None or not needle:
            return
        position = self.pager.position or 0

        def found(told: dict[str, Any]) -> None:
            if queue == self.queue.get("id") and needle == self.needle:
                self._found(told)

        self.home.work(lambda: self._ask_search(queue, needle, position, step), found, failed=self._lost)

    def _ask_search(self, queue: str, text: str, position: int, step: int) -> dict[str, Any]:
        """Where the next hit is, and how many there are where the hub counts them."""
        call = self.home.store.call
        if self.counts_hits:
            try:
                told: dict[str, Any] = call("search", queue=queue, text=text, position=position, step=step)
            except WireError:  # a hub without that operation
                self.counts_hits = False
            else:
                return told
        return {"position": call("find", queue=queue, text=text, position=position, step=step)}

    def _found(self, told: dict[str, Any]) -> None:
        """Go to the hit, say which one of how many, and mark it in the text."""
        at = told["position"]
        if at is None:
            self.tell(f"no {self.needle!r} here{indexed(told)}")
            return
        here = at == self.pager.position
        self._to_hit = True
        self.pager.jump(at)
        if here and not self.detail_shown:
            self._to_hit = False
        self._show_soon()
        self.tell(f"{which_hit(told)} {self.needle!r} in row {at + 1:,}{indexed(told)}".strip())

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
        self._want_values()
        self.ask("filter:", self._filter, self.filter, complete=self._complete)

    def _want_values(self) -> None:
        """Ask for the values that completion offers, once; until they are here it offers the names."""
        from store.queue_kinds import KINDS

        if not self.values:
            self.values = known_values(self.name_, KINDS[self.name_])
            self.home.work(self._ask_values, self._have_values, failed=lambda _: None)  # names alone will do

    def _have_values(self, found: dict[str, list[str]]) -> None:
        self.values |= found

    def _ask_values(self) -> dict[str, list[str]]:
        """The values that the hub knows, by column; in a thread."""
        from store import read
        from store.queue_kinds import KINDS

        found: dict[str, list[str]] = {}
        if KINDS[self.name_].metadata is not None:
            for each in self.home.store.ask(read.METADATA_VALUES, project=self.home.project):
                if each.key in self.columns:
                    found.setdefault(each.key, []).append(each.value)
        return found

    def _complete(self, text: str, column: int) -> list[str]:
        return completions(text, column, self.columns, self.values)

    def action_sort(self) -> None:
        """``O``"""
        self.ask("sort:", self._sort, self.sort, complete=self._complete_sort)

    def _complete_sort(self, text: str, column: int) -> list[str]:
        """Names; behind an expression, the direction."""
        before = text[:column]
        head, _, last = before.rpartition(" ")
        if head.strip():
            return [word for word in DIRECTIONS if word.startswith(last)]
        return [name for name in self._complete(text, column) if name != "not"]

    def _sort(self, text: str) -> None:
        expression = text.strip()
        try:
            if expression:
                refuse_unknown_sort(expression, self.columns)
        except InputError as error:
            self.refuse(error)
            return
        self.enter(sort=expression)

    def _filter(self, text: str) -> None:
        try:
            if text.strip():
                grammar.parse(text)
        except InputError as error:
            self.refuse(error)
            return
        self.enter(filter=text.strip())

    def action_order(self) -> None:
        """``o``: random order by a seed, and back to the order of arrival."""
        self.seed = 0 if self.seed and not self.sort else SEED
        self.enter(sort="", position=0)

    def action_comment(self) -> None:
        """``;``"""
        found = self.details.get(self.pager.position or 0)
        if found is not None:
            subject = found["subject"]
            self.ask("comment:", lambda text: self._comment(subject, text), draft=f"comment/{subject}")

    def _comment(self, subject: str, text: str) -> None:
        home, at, draft = self.home, self.pager.position or 0, self._draft
        if not text.strip():
            return

        def noted(_: Any) -> None:
            self.details.pop(at, None)
            self.tell("comment recorded")
            self._show()

        def refused(error: SpiritsafeError) -> None:
            home.note_draft(draft, text)
            home.fail(error)

        payload = {"subject": subject, "text": text.strip()}
        home.work(lambda: home.store.act("comment", home.project, payload), noted, failed=refused)

    def history_of(self, found: dict[str, Any]) -> tuple[str, bool]:
        """Whose history ``H`` shows, and whether others' words are among it."""
        return found["subject"], bool(found.get("revealed"))

    def action_history(self) -> None:
        """``H``: what was said of this subject; others' words only where one's own verdict is given."""
        found, home = self.details.get(self.pager.position or 0), self.home
        if found is None:
            return
        subject, all_shown = self.history_of(found)

        def told(rows: list[tuple[int, int, str, str, str]]) -> None:
            seen = [row for row in rows if all_shown or row[2] == home.who]
            self.show_page(history_page(subject, seen, all_shown=all_shown))

        home.work(lambda: home.store.call("history", project=home.project, subject=subject), told)

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


def completions(text: str, column: int, names: list[str], values: dict[str, list[str]]) -> list[str]:
    """What may stand there; behind a comparison the values, and names only where no value is known.

    >>> completions("tier = ", 7, ["tier", "plan"], {"tier": ["gold"]}), completions("plan = ti", 9, ["tier", "plan"], {})
    (['gold'], ['tier'])
    """
    known = grammar.complete(text, column, [], values)
    if known and not grammar.complete(text, column, [], {}):
        return known
    return grammar.complete(text, column, names, values)


def known_values(name: str, kind: Kind) -> dict[str, list[str]]:
    """The values of a queue's columns that are known without asking the hub."""
    from store.acts import ACTS, VERDICTS

    values = {column: list(FIXED[column]) for column in kind.columns if column in FIXED}
    values["verdict"], values["kind"] = sorted(VERDICTS.get(name, ())), list(ACTS)
    return values | {c: ["true", "false"] for c, column in kind.columns.items() if column.type == "bool"}


def refuse_unknown_sort(expression: str, columns: list[str]) -> None:
    """Raise InputError where a sort is no expression, or names what this queue does not have."""
    head, _, direction = expression.rpartition(" ")
    tree = grammar.parse(head if head and direction in DIRECTIONS else expression)
    for name in sorted(grammar.read_names(tree)):
        if name.removeprefix("meta.") not in columns:
            raise InputError(f"no column {name!r}", todo=f"There are {', '.join(columns)}.")


def which_hit(told: dict[str, Any]) -> str:
    """Which hit of how many, as far as the hub says.

    >>> which_hit({"hits": 41, "number": 3}), which_hit({"hits": 41}), which_hit({})
    ('3 of 41 hits:', '41 hits:', '')
    """
    hits, which = told.get("hits"), told.get("number")
    if hits is None:
        return ""
    return f"{which:,} of {counted(hits, 'hit')}:" if which else f"{counted(hits, 'hit')}:"


def indexed(told: dict[str, Any]) -> str:
    """How far the texts are indexed, where not all are.

    >>> indexed({"indexed": 0.97}), indexed({"indexed": 1.0}), indexed({})
    (' · 97 % indexed', '', '')
    """
    share = told.get("indexed")
    return f" · {share * 100:.0f} % indexed" if share is not None and share < 1 else ""


def history_page(subject: str, rows: list[tuple[int, int, str, str, str]], *, all_shown: bool) -> str:
    """The history of a subject as a page: newest last, who and when."""
    lines = [f"{seq:>7}  {moment(at)}  {who:<16.16}  {kind:<8}  {what}" for seq, at, who, kind, what in rows]
    hidden = [] if all_shown else ["", "What others said of it is shown after your own verdict."]
    return "\n".join([f"history of {subject}", "", *(lines or ["Nothing was said of it yet."]), *hidden])
