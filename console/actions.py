"""Every action, as one table: bindings, footer, ``?`` help, palette, docs and remapping all come from here.

To add one: a line here, and a method ``action_…`` on the screen (or app) that its group belongs to. Ids are
stable: they are what a keymap names. What puts something on the ledger, starts or stops something says
``acts=True``: a read-only console refuses it by that word.

Functions take the ``table`` that holds in this console: ``ACTIONS``, or what a keymap made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from textual.binding import Binding

from console.key_names import show_key


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
    acts: bool = False  # refused by a read-only console

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
    Action("undo", "all", "u", "u", "undo your own latest act, and name it", "undo", "undo", acts=True),
    Action("redo", "all", "ctrl+r", "^r", "redo what you undid", "redo", acts=True),
    Action("why", "all", "W", "W", "record the reason of a choice", "why", acts=True),
    Action("saw", "all", "T", "T", "what the student saw of this, or of a typed input", "seen"),
    Action("refresh", "all", "r", "r", "read again: what is new since", "refresh"),
    Action("back", "all", "q,backspace", "q", "back; from home, leave", "back", "back"),
    Action("close", "all", "escape", "Esc", "close an opened text", "close_detail"),
    Action("suspend", "all", "ctrl+z", "^z", "suspend to the shell", "app.suspend_process"),
    # lists
    Action("list.move", "list", "down,j", "j k", "next and previous row (arrows too)", "pager('move', 1)"),
    Action("list.up", "list", "up,k", "", "previous row", "pager('move', -1)"),
    Action("list.page", "list", "pagedown,ctrl+f", "PgDn PgUp", "next and previous page", "pager('page', 1)"),
    Action("list.page_up", "list", "pageup,ctrl+b", "", "previous page", "pager('page', -1)"),
    Action("list.first", "list", "home", "gg G", "first and last row (Home, End)", "pager('home')"),
    Action("list.last", "list", "end,G", "", "last row", "pager('end')"),
    Action("list.open", "list", "enter", "Enter", "open what the row is about", "open", "open"),
    # queues
    Action("queue.search", "queue", "slash", "/", "search texts, whatever the case", "search", "find"),
    Action("queue.again", "queue", "n", "n N", "next and previous hit", "again(1)"),
    Action("queue.back", "queue", "N", "", "previous hit", "again(-1)"),
    Action("queue.filter", "queue", "f", "f", "filter (Tab completes); empty shows all", "filter", "filter"),
    Action("queue.sort", "queue", "O", "O", "sort (Tab completes); empty restores the order", "sort"),
    Action("queue.history", "queue", "H", "H", "what was done about this sample, by whom", "history"),
    Action("queue.copy", "queue", "y", "y", "copy the texts (OSC 52, and always a file)", "copy"),
    Action("queue.scroll", "queue", "space", "space b", "scroll a long text, and back", "scroll(1)", "scroll"),
    Action("queue.scroll_up", "queue", "b", "", "scroll back", "scroll(-1)"),
    Action("queue.view", "queue", "t", "t", "text as wrapped, raw, JSON, chat", "view"),
    # queues of subjects to judge
    Action("judge.next", "judge", "right_square_bracket", "]", "next that you have not judged", "unreviewed(1)", "next"),
    Action("judge.previous", "judge", "left_square_bracket", "[", "previous that you have not judged", "unreviewed(-1)"),
    Action("judge.comment", "judge", "semicolon", ";", "comment on this", "comment", acts=True),
    Action("judge.repeat", "judge", "full_stop", ".", "repeat your last verdict", "repeat", acts=True),
    Action("judge.mark", "judge", "m", "m v", "mark a row (:unmark clears); v, move, v: a range", "mark"),
    Action("judge.range", "judge", "v", "", "mark a range", "range"),
    Action("judge.bulk", "judge", "B", "B", "one verdict on all marked, or on the filter", "bulk", acts=True),
    Action("judge.similar", "judge", "s", "s", "samples like this one; q leads back", "similar"),
    Action("judge.slice", "judge", "S", "S", "save the filter as a slice (:slices)", "save_slice", acts=True),
    Action("judge.export", "judge", "E", "E x", "write these rows to a file; stop it", "export"),
    Action("judge.stop", "judge", "x", "", "stop writing a file", "stop_export"),
    # audit
    Action("audit.ok", "audit", "a", "a", "ok, and next", "judge('ok')", "ok", acts=True),
    Action("audit.bad", "audit", "1,2,3,4,5,6,7,8,9", "1–9", "bad, for this reason, and next", "judge_bad", "bad", acts=True),
    Action("audit.unsure", "audit", "z", "z", "unsure, and next", "judge('unsure')", "unsure", acts=True),
    Action("audit.order", "audit", "o", "o", "random order (a drawn sample), and back", "order"),
    Action("audit.plan", "audit", "P", "P", "choose an audit plan, or all outputs", "plan", "plan"),
    # adjudicate
    Action("settle.take", "adjudicate", "1,2,3,4,5,6,7,8,9", "1–9", "take the option of that number", "judge_bad", "take", acts=True),
    Action("settle.escalate", "adjudicate", "z", "z", "leave it to somebody else", "judge('escalate')", "escalate", acts=True),
    Action("settle.next", "adjudicate", "right_square_bracket", "]", "next that you have not settled", "unreviewed(1)", "next"),
    Action("settle.previous", "adjudicate", "left_square_bracket", "[", "previous that you have not settled", "unreviewed(-1)"),
    Action("settle.comment", "adjudicate", "semicolon", ";", "comment on this", "comment", acts=True),
    Action("settle.plan", "adjudicate", "P", "P", "choose an audit plan, or all outputs", "plan"),
    # disagreements
    Action("triage.left", "disagreements", "less_than_sign,left", "<", "left is better, and next", "judge('left')", "left", acts=True),
    Action("triage.right", "disagreements", "greater_than_sign,right", ">",
            "right is better, and next", "judge('right')", "right", acts=True),
    Action("triage.both", "disagreements", "equals_sign", "=", "both fine, and next", "judge('both')", "both", acts=True),
    Action("triage.neither", "disagreements", "1,2,3,4,5,6,7,8,9", "1–9",
            "both bad, for this reason, and next", "judge_bad", "bad", acts=True),
    Action("triage.diff", "disagreements", "d", "d", "texts one below the other, side by side, word diff", "diff", "diff"),
    # duplicates
    Action("pairs.keep", "duplicates", "a", "a", "keep the representative, and next", "judge('keep')", "keep", acts=True),
    Action("pairs.choose", "duplicates", "r", "r", "make the other one the representative, and next",
            "judge('choose')", "choose", acts=True),
    Action("pairs.distinct", "duplicates", "n", "n", "not duplicates: remembered, and next", "judge('distinct')", "distinct", acts=True),
    Action("pairs.diff", "duplicates", "d", "d", "word diff, side by side, plain with what is shared", "diff", "diff"),
    Action("pairs.next", "duplicates", "right_curly_bracket", "}", "next group; { the previous", "group(1)", "group"),
    Action("pairs.previous", "duplicates", "left_curly_bracket", "", "previous group", "group(-1)"),
    Action("pairs.more", "duplicates", "plus", "+ -", "view pairs more, less alike (dedup --threshold decides)", "threshold(1)"),
    Action("pairs.less", "duplicates", "minus", "", "show also what is less alike", "threshold(-1)"),
    # alike in meaning
    Action("meaning.both", "semantic", "equals_sign,a", "=", "both stay, and next", "judge('both')", "both", acts=True),
    Action("meaning.distinct", "semantic", "n", "n", "not the same: never suggested again, and next",
            "judge('distinct')", "distinct", acts=True),
    Action("meaning.flag", "semantic", "1,2,3,4,5,6,7,8,9", "1–9", "the second says the same: flag its answers, and next",
            "judge_bad", "flag", acts=True),
    Action("meaning.swap", "semantic", "o", "o", "the other one is the second", "swap", "swap"),
    Action("meaning.diff", "semantic", "d", "d", "word diff, side by side, plain", "diff", "diff"),
    # home
    Action("home.run", "home", "r", "r", "run the stage under the cursor as a job", "run_stage", "run", acts=True),
    Action("home.cancel", "home", "x", "x", "cancel the job under the cursor", "cancel_job", acts=True),
    Action("home.project", "home", "p", "p", "choose another project", "choose_project", "project"),
    # coverage
    Action("cover.request", "coverage", "plus", "+", "ask for more samples of this bucket", "request", "more", acts=True),
    Action("cover.plots", "coverage", "p", "p", "shares as plots, as numbers", "plots", "plots"),
    Action("cover.waive", "coverage", "w", "w", "this bucket may stay thin, with the reason", "waive", "waive", acts=True),
    # decision
    Action("decision.tick", "decision", "t", "t", "tick an item of the review checklist, with what was found", "tick", "tick", acts=True),
    Action("decision.export", "decision", "E", "E", "write the newest record as JSON and Markdown", "export", "export"),
)  # fmt: skip

PLACES: dict[str, str] = {
    "h": "home", "a": "audit", "p": "duplicates", "c": "coverage", "e": "evaluation",
    "x": "disagreements", "d": "decision", "l": "ledger", "j": "adjudicate", "r": "reviewers", "m": "semantic",
}  # fmt: skip
SHORT = {
    "duplicates": "pairs",
    "evaluation": "eval",
    "disagreements": "differ",
    "decision": "decide",
    "adjudicate": "settle",
    "reviewers": "people",
    "semantic": "meaning",
}
SHORTEST = SHORT | {
    "coverage": "grid", "ledger": "log", "duplicates": "pair", "reviewers": "who", "semantic": "same",
    "disagreements": "diff", "adjudicate": "rule",
}  # fmt: skip
GROUPS: dict[str, tuple[str, ...]] = {
    "home": ("home", "list", "all"),
    "audit": ("audit", "judge", "queue", "list", "all"),
    "duplicates": ("duplicates", "judge", "queue", "list", "all"),
    "semantic": ("semantic", "judge", "queue", "list", "all"),
    "coverage": ("coverage", "list", "all"),
    "evaluation": ("list", "all"),
    "disagreements": ("disagreements", "judge", "queue", "list", "all"),
    "decision": ("decision", "list", "all"),
    "ledger": ("queue", "list", "all"),
    "adjudicate": ("adjudicate", "queue", "list", "all"),
    "reviewers": ("list", "all"),
}
DIGITS = "1,2,3,4,5,6,7,8,9"
OUTCOMES = ("ship", "iterate", "kill")
TYPED = (
    ":123",
    ":project NAME",
    ":next",
    ":seen TEXT",
    ":theme NAME",
    ":tour",
    ":quit",
    *(f":{outcome}" for outcome in OUTCOMES),
)
TYPED_OF_SAMPLES = (":unmark", ":slices", ":similar WORDS")
TWO_COLUMNS = 110  # from this width on help stands in two columns
WIDEST_KEYS = 14  # a wider list of keys pushes its own help text only
LAST = "? help"  # always in the footer: the way to everything else
KEPT = ("go", "undo", "queue.filter")  # … and of what works everywhere, what one must not have to look for


Table = Sequence[Action]


def of_screen(name: str, table: Table = ACTIONS) -> Iterator[Action]:
    """The actions that work on a screen, with the keys left to them; where two want one key, the screen's own wins."""
    taken: set[str] = set()
    found: list[Action] = []
    for group in GROUPS[name]:
        for action in table:
            if action.group == group:
                keys = [key for key in action.keys.split(",") if key not in taken]
                taken.update(keys)
                if keys:
                    found.append(action if action.takes_key else replace(action, keys=",".join(keys)))
    yield from found if table is ACTIONS else _as_remapped(name, found)


def _as_remapped(name: str, found: list[Action]) -> Iterator[Action]:
    """The same, with the keys named that a keymap gave them. An action that names none itself is named by the one
    before it (``j k``)."""
    usual = {action.id: action.keys for action in of_screen(name)}
    for i, action in enumerate(found):
        silent = next((k for k in range(i + 1, len(found)) if found[k].shown), len(found))
        named = found[i:silent] if action.shown else []
        if all(usual.get(each.id) == each.keys for each in named):
            yield action
        else:
            yield replace(action, shown=" ".join(shown_keys(each) for each in named))


def shown_keys(action: Action) -> str:
    """The keys of one action as people read them; of the nine digits their ends.

    >>> shown_keys(Action("x", "list", "down,s", "", "next row", "x")), shown_keys(next(a for a in ACTIONS if a.takes_key))
    ('down s', '1–9')
    """
    keys = [show_key(key) for key in action.keys.split(",")]
    return f"{keys[0]}–{keys[-1]}" if action.keys == DIGITS else " ".join(keys)


def read_only(table: Table) -> tuple[Action, ...]:
    """The table of a console that only looks: what acts is refused in a line."""
    return tuple(replace(action, call="refuse") if action.acts else action for action in table)


def bindings(name: str, table: Table = ACTIONS) -> list[Binding]:
    """Textual bindings of a screen. Of several keys (1–9) the action is told the how manieth was pressed."""
    made: list[Binding] = []
    taken: set[str] = set()
    for action in of_screen(name, table):
        for number, key in enumerate(action.keys.split(","), 1):
            if key not in taken:
                taken.add(key)
                call = f"{action.call}({number})" if action.takes_key else action.call
                suffix = f".{number}" if action.takes_key else ""
                made.append(
                    Binding(key, call, action.help, show=False, id=f"{name}/{action.id}{suffix}/{key}")
                )
    return made


def footer(name: str, width: int, table: Table = ACTIONS) -> str:
    """The keys that work now, as many as fit; ``? help`` always, and before others the screen's own and ``KEPT``."""
    last = f"{key_of('help', table)} help"
    room = width - len(last) - 2
    named = [action for action in of_screen(name, table) if action.footer and action.id != "help"]
    pieces: dict[str, str] = {}
    for action in sorted(named, key=lambda a: (a.group != name and a.id not in KEPT, a.group != name)):
        piece = f"{action.shown} {action.footer}"
        if len(piece) + 2 <= room:
            pieces[action.id] = piece
            room -= len(piece) + 2
    return "  ".join([*(pieces[action.id] for action in named if action.id in pieces), last])


def key_of(action_id: str, table: Table = ACTIONS) -> str:
    """The first key of an action, as people read it."""
    return next(show_key(action.keys.split(",")[0]) for action in table if action.id == action_id)


def places(width: int, table: Table = ACTIONS) -> str:
    """What may follow ``g``, whole words only where they fit."""
    go = key_of("go", table)
    whole = f"{go}…  g top  " + "  ".join(f"{letter} {place}" for letter, place in PLACES.items())
    if len(whole) <= width:
        return whole
    for top, names in ((f"{go}… g top ", SHORT), (f"{go}… ", SHORTEST)):
        short = top + " ".join(f"{letter} {names.get(place, place)}" for letter, place in PLACES.items())
        if len(short) <= width:
            return short
    return f"{go}… {' '.join(PLACES)}: {key_of('help', table)} names them"


def help_lines(name: str, width: int = 80, table: Table = ACTIONS) -> list[str]:
    """All keys of a screen, with what they do; in two columns where the screen is wide."""
    working = [a for a in of_screen(name, table) if a.shown]
    column = max([7, *(len(a.shown) for a in working if len(a.shown) <= WIDEST_KEYS)])
    keys = [f"{a.shown:<{column}} {a.help}" for a in working]
    go = key_of("go", table)
    ways = [f"{go + letter:<8} {place}" for letter, place in PLACES.items()]
    words = TYPED + (TYPED_OF_SAMPLES if "judge" in GROUPS[name] else ())
    if width < TWO_COLUMNS:
        typed = ["  " + "  ".join(words[:5]), "  " + "  ".join(words[5:])]
        return [name, "", *(f"  {line}" for line in keys), "", "go to", "", *(f"  {line}" for line in ways),
                "", "typed", "", *typed]  # fmt: skip
    moving = [key for key, a in zip(keys, working, strict=True) if a.group == "list"]
    right = ["go to", "", *ways, "", "move", "", *moving, "", "typed", "", *words]
    left = [key for key in keys if key not in moving]
    size = max(map(len, left)) + 4
    rows = zip_longest(["keys", "", *left], right, fillvalue="")
    return [name, "", *(f"  {line:<{size}}{other}".rstrip() for line, other in rows)]


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
