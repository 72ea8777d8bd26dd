"""The inbox of the support desk: written messages and templates become dated arrivals with splits and sources.

Everything comes from ``written.jsonl``, ``pool.jsonl`` and ``templates.jsonl`` beside the result, and from one
seed. What was
made near-duplicate on purpose is returned as groups, so that a near-duplicate finder can be held to them.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SEED = 20261122
FIRST_DAY = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 75
REFILLS = 5  # of one template
FRAMED = 0.35  # share of plain English messages that get a greeting and an ending
POPULAR = 18  # messages that arrive again and again
LABELS = (
    "billing",
    "refund",
    "account_access",
    "bug_report",
    "shipping",
    "cancellation",
    "security_incident",
    "how_to",
)

FRAMES: dict[str, tuple[str, ...]] = {
    "email": (
        "Dear support team,\n\n{}\n\nKind regards,\n{name}",
        "Hello Fernhill,\n\n{}\n\nThanks in advance\n{name}",
        "{}\n\nBest,\n{name}\n\nSent from my Fernhill Slate",
        "To whom it may concern:\n\n{}\n\nYours sincerely\n{name}, {company}",
    ),
    "chat": ("hey, {}", "hi there! {}", "{} thx", "hello?? {}", "{} - {name}"),
    "phone_transcript": (
        "Agent: Fernhill support, how can I help?\nCaller: {}",
        "Agent: Thank you for waiting. What is it about?\nCaller: {}\nAgent: I see. One moment, please.",
        "[call transcript, {day}th]\nCaller: {name} speaking. {}",
    ),
    "web_form": (
        "Subject: question of {name}\nMessage: {}",
        "Device: Slate 2\nFirmware: {version}\n\n{}",
        "{}\n\nPlease answer to {mail}.",
    ),
}

SLOTS: dict[str, tuple[str, ...]] = {
    "name": ("Ada Lindqvist", "Tom Okafor", "Mrs. Brandt", "Yuki Sato", "Pilar Rojas", "Ben Carver"),
    "company": ("Northlight", "Halden Clinics", "Brightco", "Ortega & Sons", "Marlow Partners", "Vento"),
    "mail": ("ada@northlight.example", "office@vento.example", "b.carver@mail.example", "yuki@sato.example"),
    "product": ("Slate", "Slate Mini", "dock", "pen", "folio case"),
    "plan": ("Plus", "Pro", "Team", "Plus Yearly"),
    "month": ("August", "September", "October", "November"),
    "street": ("Harbour Street", "Mill Lane", "Station Road", "Linden Avenue"),
    "version": ("4.1", "4.2", "4.2.1", "4.3"),
    "error": ("E-5012", "0x3F", "E-1107", "SYNC_17"),
    "relative": ("grandson", "daughter", "neighbour", "wife"),
}
NUMBERS: dict[str, tuple[int, int]] = {
    "invoice": (20100, 20999),
    "order": (80000, 82999),
    "card": (1000, 9999),
    "day": (4, 20),
    "n": (11, 90),
    "m": (2, 9),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it arrived: its text, the queue its author meant, and what is known of it."""

    text: str
    route: str
    channel: str
    tier: str
    tone: str
    language: str
    kind: str  # plain | template | typo | edge
    source: str = "production"
    split: str = "train"
    created: datetime = FIRST_DAY

    def row(self, number: int) -> dict[str, object]:
        """The message as a row of the JSONL file, without outputs."""
        return {
            "id": f"m{number:04d}",
            "prompt": self.text,
            "reference": json.dumps({"route": self.route}),
            "source": self.source,
            "split": self.split,
            "created": self.created.isoformat().replace("+00:00", "Z"),
            "channel": self.channel,
            "tier": self.tier,
            "tone": self.tone,
            "language": self.language,
            "kind": self.kind,
            "route": self.route,
            "words": len(self.text.split()),
        }


@dataclass(slots=True)
class Inbox:
    """All arrivals by time, and the near-duplicate groups that were planted: how, and the texts."""

    messages: list[Message] = field(default_factory=list)
    planted: list[tuple[str, list[str]]] = field(default_factory=list)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a small JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def compose(folder: Path, seed: int = SEED) -> Inbox:
    """The whole inbox from the written material in ``folder``; the same seed gives the same inbox."""
    rng = random.Random(seed)
    inbox = Inbox()
    written = [Message(**row) for row in read_jsonl(folder / "written.jsonl")]
    originals = _split(_framed(written, rng), rng)
    pool = [Message(**row) for row in read_jsonl(folder / "pool.jsonl")]  # all of it for training
    messages = [*originals, *pool, *_templates(read_jsonl(folder / "templates.jsonl"), inbox, rng)]
    messages += _variants([m for m in originals if m.kind == "plain"], inbox, rng)
    messages = list({m.text: m for m in reversed(messages)}.values())[::-1]
    messages = [replace(m, source=_source(m, rng), created=_moment(rng)) for m in messages]
    inbox.messages = sorted([*messages, *_repeats(messages, rng)], key=lambda m: (m.created, m.text))
    return inbox


def _framed(written: list[Message], rng: random.Random) -> list[Message]:
    framed = []
    for message in written:
        if message.kind == "plain" and message.language == "en" and rng.random() < FRAMED:
            frame = _filled(rng.choice(FRAMES[message.channel]), rng, keep="{}")
            message = replace(message, text=frame.replace("{}", message.text))  # noqa: PLW2901
        framed.append(message)
    return framed


def _split(messages: list[Message], rng: random.Random) -> list[Message]:
    """Splits, stratified by queue; of the thin slice (incidents by phone or of a VIP) most goes to the test set."""
    groups: dict[tuple[str, str, bool], list[Message]] = {}
    for message in messages:
        groups.setdefault((message.kind, message.route, is_critical(message)), []).append(message)
    done = []
    for (_, _, critical), group in groups.items():
        rng.shuffle(group)
        test = round(len(group) * (0.5 if critical else 0.54))
        validation = round(len(group) * (0.0 if critical else 0.11))
        for at, message in enumerate(group):
            split = "test" if at < test else "validation" if at < test + validation else "train"
            done.append(replace(message, split=split))
    return done


def is_critical(message: Message) -> bool:
    """Whether a message belongs to the slice that must not get worse: incidents by phone or of a VIP."""
    return message.route == "security_incident" and (
        message.tier == "vip" or message.channel == "phone_transcript"
    )


def _templates(rows: list[dict[str, Any]], inbox: Inbox, rng: random.Random) -> Iterator[Message]:
    """Every template refilled; one template in four leaks, its refills lie on both sides of the split."""
    for at, row in enumerate(rows):
        home = "test" if at % 2 else rng.choices(("train", "validation"), (4, 1))[0]
        texts = []
        for _ in range(REFILLS):
            leaks = at % 4 == 1 and rng.random() < 0.5
            message = Message(**{**row, "text": _filled(row["text"], rng)})
            texts.append(message.text)
            yield replace(message, split="train" if leaks else home)
        inbox.planted.append(("template", texts))


def _filled(text: str, rng: random.Random, keep: str = "") -> str:
    for slot, values in SLOTS.items():
        text = text.replace("{" + slot + "}", rng.choice(values))
    for slot, (low, high) in NUMBERS.items():
        if "{" + slot + "}" != keep:
            text = text.replace("{" + slot + "}", str(rng.randint(low, high)))
    return text


def _variants(plain: list[Message], inbox: Inbox, rng: random.Random) -> Iterator[Message]:
    """Copies with typos, of other case and space, and cut off; three in ten land in another split."""
    long_enough = [m for m in plain if len(m.text) >= 60 and m.language == "en"]
    picked = rng.sample(long_enough, 96)
    makers: tuple[tuple[str, Callable[[str, random.Random], str], list[Message]], ...] = (
        ("typo", mistyped, picked[:56]),
        ("surface", resurfaced, picked[56:76]),
        ("truncation", cut_off, picked[76:]),
    )
    for how, make, messages in makers:
        for message in messages:
            text = make(message.text, rng)
            if text == message.text:
                continue
            split = message.split
            if rng.random() < 0.3:
                split = rng.choice([s for s in ("train", "validation", "test") if s != split])
            inbox.planted.append((how, [message.text, text]))
            yield replace(message, text=text, split=split, kind="typo")


def mistyped(text: str, rng: random.Random) -> str:
    """One slip of the fingers per 60 characters or so: letters swapped, dropped or doubled."""
    letters = list(text)
    for _ in range(max(1, min(6, len(text) // 60))):
        at = rng.choice([i for i in range(1, len(letters) - 1) if letters[i].isalpha()])
        slip = rng.choice(("swap", "drop", "double"))
        if slip == "swap":
            letters[at - 1], letters[at] = letters[at], letters[at - 1]
        elif slip == "drop":
            del letters[at]
        else:
            letters.insert(at, letters[at])
    return "".join(letters)


def resurfaced(text: str, rng: random.Random) -> str:
    """The same words to a reader: upper or lower case, other spaces, zero-width marks, decomposed letters."""
    how = rng.choice(("upper", "lower", "spaces", "marks", "nfd"))
    if how == "upper":
        return text.upper()
    if how == "lower":
        return text.lower()
    if how == "marks":
        return text.replace(" ", " \u200b", 3)
    if how == "nfd" and unicodedata.normalize("NFD", text) != text:
        return unicodedata.normalize("NFD", text)
    return "  " + text.replace(". ", ".   ").replace(", ", ",  ") + " \n"


def cut_off(text: str, rng: random.Random) -> str:
    """The beginning of a message that was sent too early: 70 to 90 percent of it."""
    return text[: round(len(text) * rng.uniform(0.7, 0.9))].rstrip()


def _source(message: Message, rng: random.Random) -> str:
    if message.kind == "edge":
        return "edge_case"
    if message.kind == "template":
        return "synthetic"
    return "production" if rng.random() < 0.8 else "synthetic"


def _moment(rng: random.Random) -> datetime:
    return FIRST_DAY + timedelta(seconds=rng.randrange(DAYS * 86_400))


def _repeats(messages: list[Message], rng: random.Random) -> Iterator[Message]:
    """Short popular messages arrive again, a few very often; four of them on both sides of the split."""
    short = [m for m in messages if m.kind == "plain" and m.source == "production" and len(m.text) < 90]
    for at, message in enumerate(rng.sample(short, POPULAR)):
        for _ in range(2 + 30 // (at + 2)):
            yield replace(message, created=_moment(rng))
        if at % 5 == 0:
            other = "train" if message.split == "test" else "test"
            yield replace(message, split=other, created=_moment(rng))
