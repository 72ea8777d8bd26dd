"""Themes: what colours add to letters, signs and underlines, which stay as they are in every one of them.

A theme colours few things: marks in the gutter, changed words, unsure tokens, search hits. It sets no background
of the screen, so a theme is for terminals whose own background is light, dark, or any. Colours are numbers of
the 256-colour palette (16–255 are the same everywhere) or of the terminal's own sixteen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rich.color import Color
from rich.style import Style

from store.errors import UsageError

Depth: TypeAlias = Literal[0, 16, 256]  # how many colours the terminal shows
Role: TypeAlias = Literal["good", "bad", "open", "insert", "delete", "unsure", "very unsure", "hit"]
Paint: TypeAlias = tuple[int | None, int | None]  # foreground, background; None: the terminal's own
Rgb: TypeAlias = tuple[int, int, int]

# A mark of the gutter to its role: verdicts as in ``store/queue_letters.py``, signs of sheets and gate rows.
ROLES: dict[str, Role] = {
    **dict.fromkeys("a=✓", "good"),
    **dict.fromkeys("123456789!", "bad"),
    **dict.fromkeys("z?-", "open"),
}
# What carries the meaning without any colour, in every theme.
SHAPES: dict[str, Style] = {
    "unsure": Style(underline=True),
    "very unsure": Style(underline=True, bold=True),
    "insert": Style(bold=True),
    "delete": Style(dim=True, underline=True),
    "shared": Style(underline=True),
    "hit": Style(reverse=True),
}
# With a colour nothing is dimmed or reversed, nor bold (many terminals make bold black grey): signs stand there too.
COLOURED: dict[str, Style] = {"insert": Style(), "delete": Style(underline=True), "hit": Style()}


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours by role; ``grounds``: the backgrounds (lightest and darkest) on which its text is made to be read."""

    name: str
    about: str
    paints: Mapping[Role, Paint] = field(default_factory=dict)
    grounds: tuple[Rgb, ...] = ()


# Both colours are set, so that the pair reads on any background and in any palette of sixteen that is near usual.
SIXTEEN: dict[Role, Paint] = {
    "good": (0, 2), "bad": (15, 1), "open": (0, 11),
    "insert": (0, 2), "delete": (15, 1), "unsure": (0, 11), "very unsure": (15, 5), "hit": (0, 6),
}  # fmt: skip
THEMES: dict[str, Theme] = {
    theme.name: theme
    for theme in (
        Theme("default", "no colour: letters, bold, dim, underlined, reversed"),
        Theme(
            "light", "for a light background",
            {"good": (22, None), "bad": (124, None), "open": (94, None), "insert": (22, None), "delete": (124, None),
             "unsure": (94, None), "very unsure": (124, None), "hit": (16, 222)},
            ((255, 255, 255), (238, 232, 213)),
        ),
        Theme(
            "dark", "for a dark background",
            {"good": (114, None), "bad": (210, None), "open": (221, None), "insert": (114, None),
             "delete": (210, None), "unsure": (221, None), "very unsure": (210, None), "hit": (16, 221)},
            ((0, 0, 0), (46, 52, 64)),
        ),
        # Okabe and Ito 2008, "Color Universal Design": sky blue, vermillion, orange, yellow, reddish purple in the
        # nearest of the 256, each with the black or white that reads on it.
        Theme(
            "colour-blind", "blue, orange and purple instead of green and red; for any background",
            {"good": (16, 74), "bad": (16, 166), "open": (16, 227), "insert": (16, 74), "delete": (16, 166),
             "unsure": (16, 227), "very unsure": (16, 178), "hit": (16, 175)},
        ),
        Theme("16", "the terminal's own sixteen colours", SIXTEEN),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Palette:
    """A theme as one terminal can show it: the style of each gutter mark, and of each kind of text range."""

    name: str
    marks: Mapping[str, Style]
    ranges: Mapping[str, Style]


def palette(name: str, depth: Depth) -> Palette:
    """The styles of a theme on a terminal; without colours where it has none. Raises UsageError for no theme."""
    if name not in THEMES:
        raise UsageError(f"no theme {name!r}", todo="There are " + ", ".join(THEMES) + ".")
    paints = THEMES[name].paints if depth else {}
    if paints and depth == 16:
        paints = SIXTEEN if name != "colour-blind" else SIXTEEN | {"good": (15, 4), "insert": (15, 4)}
    colours = {role: style_of(paint) for role, paint in paints.items()}
    marks = {mark: colours[role] for mark, role in ROLES.items() if role in colours}
    shapes = SHAPES | COLOURED if colours else SHAPES
    ranges = {kind: shape + colours[kind] if kind in colours else shape for kind, shape in shapes.items()}
    return Palette(name, marks, ranges)


def style_of(paint: Paint) -> Style:
    """A pair of palette numbers as a style."""
    front, back = (None if n is None else Color.from_ansi(n) for n in paint)
    return Style(color=front, bgcolor=back)


def depth_of(env: Mapping[str, str] | None = None) -> Depth:
    """How many colours the terminal is said to show; none under NO_COLOR (https://no-color.org).

    >>> depth_of({"TERM": "xterm-256color"}), depth_of({"TERM": "xterm"}), depth_of({"TERM": "dumb"})
    (256, 16, 0)
    """
    env = os.environ if env is None else env
    term = env.get("TERM", "")
    if env.get("NO_COLOR") or term in ("", "dumb", "unknown", "vt100", "vt220"):
        return 0
    many = "256color" in term or "kitty" in term or "direct" in term
    return 256 if many or env.get("COLORTERM") in ("truecolor", "24bit") else 16


# ---- contrast, for the test and for whoever changes a colour above
XTERM: tuple[Rgb, ...] = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
VGA: tuple[Rgb, ...] = (
    (0, 0, 0), (170, 0, 0), (0, 170, 0), (170, 85, 0), (0, 0, 170), (170, 0, 170), (0, 170, 170), (170, 170, 170),
    (85, 85, 85), (255, 85, 85), (85, 255, 85), (255, 255, 85), (85, 85, 255), (255, 85, 255), (85, 255, 255), (255, 255, 255),
)  # fmt: skip


def rgb(number: int, sixteen: tuple[Rgb, ...] = XTERM) -> Rgb:
    """What a palette number looks like: the xterm cube and greys, and the terminal's own sixteen.

    >>> rgb(124), rgb(232)
    ((175, 0, 0), (8, 8, 8))
    """
    if number < 16:
        return sixteen[number]
    if number >= 232:
        return (8 + 10 * (number - 232),) * 3
    steps = (0, 95, 135, 175, 215, 255)
    at = number - 16
    return steps[at // 36], steps[at // 6 % 6], steps[at % 6]


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, "relative luminance" and "contrast ratio").

    >>> round(contrast((0, 0, 0), (255, 255, 255)), 1)
    21.0
    """
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Rgb) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
