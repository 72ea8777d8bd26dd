"""Every action, as one table: bindings, footer, ``?`` help, palette, docs and remapping all come from here.

To add one: a line here, and a method ``action_…`` on the screen (or app) that its group belongs to. Ids are
stable: they are what a keymap names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a key does. ``group``: where it works; ``shown``: the key as people read it."""

    id: str
    group: str
    keys: str  # Textual's key names
    shown: str
    help: str
    call: str
    footer: str = ""  # one word, where the footer names it

    @property
    def takes_key(self) -> bool:
        """Whether one action stands for several keys and is told which (the digits): not to be typed by name."""
        return self.call == "judge_bad"


ACTIONS: tuple[Action, ...] = (
    # everywhere
    Action("go", "all", "g", "g…", "go to a screen: g, then its letter", "go", "go"),
    Action("help", "all", "question_mark", "?", "all keys of this screen", "help", "help"),
    Action("palette", "all", "colon", ":", "command line: a number jumps, a word runs an action", "palette"),
    Action("guidelines", "all", "i", "i", "the task's guidelines and the reasons", "guidelines"),
    Action("undo", "all", "u", "u", "undo your own latest act, and name it", "undo", "undo"),
    Action("redo", "all", "ctrl+r", "^r", "redo what you undid", "redo"),
    Action("why", "all", "W", "W", "record the reason of a choice", "why"),
    Action("refresh", "all", "r", "r", "read again: what is new since", "refresh"),
    Action("back", "all", "q,backspace", "q", "back; from home, leave", "back", "back"),
    Action("close", "all", "escape", "Esc", "close an opened text", "close_detail"),
    Action("suspend", "all", "ctrl+z", "^z", "suspend to the shell", "app.suspend_process"),
    # lists
    Action("list.move", "list", "down,j", "j k", "next and previous row (arrows too)", "pager('move', 1)"),
    Action("list.up", "list", "up,k", "", "previous row", "pager('move', -1)"),
    Action("list.page", "list", "pagedown,ctrl+f", "PgDn", "next page (PgUp back)", "pager('page', 1)"),
    Action("list.page_up", "list", "pageup,ctrl+b", "", "previous page", "pager('page', -1)"),
    Action("list.first", "list", "home", "gg G", "first and last row (Home, End)", "pager('home')"),
    Action("list.last", "list", "end,G", "", "last row", "pager('end')"),
    Action("list.open", "list", "enter", "Enter", "open what the row is about", "open", "open"),
    # queues
    Action("queue.search", "queue", "slash", "/", "search texts, whatever the case", "search", "find"),
    Action("queue.again", "queue", "n", "n N", "next and previous hit", "again(1)"),
    Action("queue.back", "queue", "N", "", "previous hit", "again(-1)"),
    Action("queue.filter", "queue", "f", "f", "filter (Tab completes); empty shows all", "filter", "filter"),
    Action("queue.copy", "queue", "y", "y", "copy the texts (OSC 52, and always a file)", "copy"),
    Action("queue.scroll", "queue", "space", "space b", "scroll a long text, and back", "scroll(1)", "scroll"),
    Action("queue.scroll_up", "queue", "b", "", "scroll back", "scroll(-1)"),
    Action("queue.view", "queue", "t", "t", "text as wrapped, raw, JSON, chat", "view"),
    # queues of subjects to judge
    Action("judge.next", "judge", "right_square_bracket", "]", "next that you have not judged", "unreviewed(1)", "next"),
    Action("judge.previous", "judge", "left_square_bracket", "[", "previous that you have not judged", "unreviewed(-1)"),
    Action("judge.comment", "judge", "semicolon", ";", "comment on this", "comment"),
    Action("judge.repeat", "judge", "full_stop", ".", "repeat your last verdict", "repeat"),
    # audit
    Action("audit.ok", "audit", "a", "a", "ok, and next", "judge('ok')", "ok"),
    Action("audit.bad", "audit", "1,2,3,4,5,6,7,8,9", "1–9", "bad, for this reason, and next", "judge_bad", "bad"),
    Action("audit.unsure", "audit", "z", "z", "unsure, and next", "judge('unsure')", "unsure"),
    Action("audit.order", "audit", "o", "o", "random order (a drawn sample), and back", "order"),
    # disagreements
    Action("triage.left", "disagreements", "less_than_sign,left", "<", "left is better, and next", "judge('left')", "left"),
    Action("triage.right", "disagreements", "greater_than_sign,right", ">", "right is better, and next", "judge('right')", "right"),
    Action("triage.both", "disagreements", "equals_sign", "=", "both fine, and next", "judge('both')", "both"),
    Action("triage.neither", "disagreements", "1,2,3,4,5,6,7,8,9", "1–9", "both bad, for this reason, and next", "judge_bad", "bad"),
    Action("triage.diff", "disagreements", "d", "d", "texts one below the other, side by side, word diff", "diff", "diff"),
    # duplicates
    Action("pairs.keep", "duplicates", "a", "a", "keep the representative, and next", "judge('keep')", "keep"),
    Action("pairs.choose", "duplicates", "r", "r", "make the other one the representative, and next", "judge('choose')", "choose"),
    Action("pairs.distinct", "duplicates", "n", "n", "not duplicates: remembered, and next", "judge('distinct')", "distinct"),
    Action("pairs.diff", "duplicates", "d", "d", "word diff, side by side, plain", "diff", "diff"),
    # home
    Action("home.run", "home", "r", "r", "run the stage under the cursor as a job", "run_stage", "run"),
    Action("home.cancel", "home", "x", "x", "cancel the job under the cursor", "cancel_job"),
    Action("home.project", "home", "p", "p", "choose another project", "choose_project", "project"),
    # decision
    Action("decision.export", "decision", "E", "E", "write the newest record as JSON and Markdown", "export", "export"),
)  # fmt: skip

PLACES: dict[str, str] = {
    "h": "home", "a": "audit", "p": "duplicates", "c": "coverage", "e": "evaluation",
    "x": "disagreements", "d": "decision", "l": "ledger",
}  # fmt: skip
SHORT = {"duplicates": "pairs", "evaluation": "eval", "disagreements": "differ", "decision": "decide"}
GROUPS: dict[str, tuple[str, ...]] = {
    "home": ("home", "list", "all"),
    "audit": ("audit", "judge", "queue", "list", "all"),
    "duplicates": ("duplicates", "judge", "queue", "list", "all"),
    "coverage": ("list", "all"),
    "evaluation": ("list", "all"),
    "disagreements": ("disagreements", "judge", "queue", "list", "all"),
    "decision": ("decision", "list", "all"),
    "ledger": ("queue", "list", "all"),
}
OUTCOMES = ("ship", "iterate", "kill")
TYPED = (":123", ":project NAME", ":next", ":tour", ":quit", *(f":{outcome}" for outcome in OUTCOMES))
TWO_COLUMNS = 110  # from this width on help stands in two columns
LAST = "? help"  # always in the footer: the way to everything else


def of_screen(name: str) -> Iterator[Action]:
    """The actions that work on a screen; where two want one key, the screen's own wins."""
    taken: set[str] = set()
    for group in GROUPS[name]:
        for action in ACTIONS:
            keys = set(action.keys.split(","))
            if action.group == group and not keys <= taken:
                taken |= keys
                yield action


def bindings(name: str) -> list[Binding]:
    """Textual bindings of a screen. A key of several (1–9) reaches the action as an argument."""
    made: list[Binding] = []
    taken: set[str] = set()
    for action in of_screen(name):
        for key in action.keys.split(","):
            if key not in taken:
                taken.add(key)
                call = f"{action.call}({key})" if action.takes_key else action.call
                suffix = f".{key}" if action.takes_key else ""
                made.append(
                    Binding(key, call, action.help, show=False, id=f"{name}/{action.id}{suffix}/{key}")
                )
    return made


def footer(name: str, width: int) -> str:
    """The keys that work now, as many as fit; ``? help`` always."""
    pieces: list[str] = []
    room = width - len(LAST) - 2
    for action in of_screen(name):
        piece = f"{action.shown} {action.footer}"
        if action.footer and piece != LAST and len(piece) + 2 <= room:
            pieces.append(piece)
            room -= len(piece) + 2
    return "  ".join([*pieces, LAST])


def places(width: int) -> str:
    """What may follow ``g``, whole words only where they fit."""
    whole = "g…  g top  " + "  ".join(f"{letter} {place}" for letter, place in PLACES.items())
    short = "g… g top " + " ".join(f"{letter} {SHORT.get(place, place)}" for letter, place in PLACES.items())
    return whole if len(whole) <= width else short


def help_lines(name: str, width: int = 80) -> list[str]:
    """All keys of a screen, with what they do; in two columns where the screen is wide."""
    keys = [f"{a.shown:<8} {a.help}" for a in of_screen(name) if a.shown]
    ways = [f"g{letter:<7} {place}" for letter, place in PLACES.items()]
    if width < TWO_COLUMNS:
        typed = ["  " + "  ".join(TYPED[:5]), "  " + "  ".join(TYPED[5:])]
        return [name, "", *(f"  {line}" for line in keys), "", "go to", "", *(f"  {line}" for line in ways),
                "", "typed", "", *typed]  # fmt: skip
    right = ["go to", "", *ways, "", "typed", "", *TYPED]
    size = max(map(len, keys)) + 4
    rows = zip_longest(["keys", "", *keys], right, fillvalue="")
    return [name, "", *(f"  {left:<{size}}{other}".rstrip() for left, other in rows)]


def conflicts(actions: Iterable[Action] = ACTIONS) -> list[str]:
    """Two actions of one group on one key: a mistake of this table (or of a keymap), named."""
    seen: dict[tuple[str, str], str] = {}
    found = []
    for action in actions:
        for key in action.keys.split(","):
            other = seen.setdefault((action.group, key), action.id)
            if other != action.id:
                found.append(f"{action.group}: {key} is both {other} and {action.id}")
    return found
