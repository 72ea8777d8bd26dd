"""What a reviewer comes back to: the queue, its filter and order, the position, drafts, a theme. Plain files, no Textual.

One small JSON file per store and person, replaced whole, private. It is never evidence: losing it loses a place
in a list.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from store.canonical import digest

DRAFTS, LONGEST_DRAFT = 50, 20_000  # kept, and characters of each


class Place(msgspec.Struct):
    """Where somebody was in one queue."""

    filter: str = ""
    seed: int = 0
    position: int = 0
    length: int = 0
    sort: str = ""
    marks: list[tuple[int, int]] = []  # marked rows, as ranges low … high - 1
    marked: str = ""  # fingerprint of the samples that they are
    plan: str = ""  # the audit plan whose draw this was; "": all outputs
    newest_plan: str = ""  # … and the newest one there was then


class State(msgspec.Struct):
    """What is kept between sessions."""

    project: str = ""
    screen: str = "home"
    places: dict[str, Place] = {}
    toured: bool = False
    theme: str = ""
    drafts: dict[str, str] = {}

    def place(self, project: str, screen: str) -> Place:
        """The place in one queue; a new one at its start."""
        return self.places.setdefault(f"{project}/{screen}", Place())

    def note_draft(self, key: str, text: str) -> None:
        """Keep what was begun and not entered, the newest few; an empty text drops it."""
        self.drafts.pop(key, None)
        if text.strip():
            self.drafts[key] = text[:LONGEST_DRAFT]
            for old in list(self.drafts)[:-DRAFTS]:
                del self.drafts[old]


def state_path(store_id: str, who: str) -> Path:
    """Where the state of this person on this store is kept."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "spiritsafe"
    return base / f"{digest(f'{store_id}/{who}'.encode())[:24]}.json"


def outbox_path(store: Path, who: str) -> Path:
    """Where this person's acts on this store wait for their answer; its folder is made."""
    path = state_path(str(store), who).with_suffix(".outbox")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def load(path: Path) -> State:
    """The state kept there; a fresh one where there is none, or where it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return State()


def save(path: Path, state: State) -> None:
    """Replace the file whole, so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(state))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
