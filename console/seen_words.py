"""What a student saw of an input, as a page: the nearest samples of the newest dataset version, or "nothing like it"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.text import counted, visible

if TYPE_CHECKING:
    from engine.clean.seen import Near, Seen
    from engine.context import Context

LONGEST = 600  # characters of a text on the page


def seen_page(
    context: Context,
    text: str,
    metadata: dict[str, Any] | None = None,
    known: dict[str, Any] | None = None,
    *,
    blind: bool = False,
) -> str:
    """Look, and tell it; ``blind``: not why a sample was left out. Raises RuleError before the first dataset version."""
    from engine.clean.seen import Looking
    from engine.clean.versions import version

    newest = version(context)
    found = Looking(context, newest, blind=blind).seen(text, metadata=metadata, known=known)
    return page_of(text, found, newest.run.result["samples"])


def page_of(text: str, found: Seen, samples: int) -> str:
    """The page, its title in the first line."""
    told = found.told() if found.like else found.told()[0].upper() + found.told()[1:]
    lines = [
        f"what did the student see · dataset v{found.version}, {counted(samples, 'sample')}",
        "", _short(text), "", f"{told}.", _bucket(found), "",
    ]  # fmt: skip
    for near in found.nearest:
        lines += [*_near(near), ""]
    lines.append("Likeness is of words and characters (Jaccard): the same in other words counts as unseen.")
    return "\n".join(lines)


def _bucket(found: Seen) -> str:
    if set(found.bucket.values()) == {"(none)"}:
        return "Its bucket cannot be told from what is known of it."
    named = " · ".join(visible(value) for value in found.bucket.values())
    return f"Its bucket is {named}: {counted(found.samples_in_bucket, 'sample')} of the dataset."


def _near(near: Near) -> list[str]:
    where = " · ".join(visible(value) for value in near.bucket.values())
    standing = "in the dataset" if near.standing == "in" else f"not in it: {visible(near.standing)}"
    return [
        f"{near.jaccard:.2f}  {standing}  ({where})",
        f"      {_short(near.prompt)}",
        f"    → {_short(near.output)}",
    ]


def _short(text: str) -> str:
    told = visible(text[: LONGEST + 1])
    return told if len(text) <= LONGEST else told[:LONGEST] + "…"
