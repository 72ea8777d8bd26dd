"""Which language, or which script, a text is written in: told in Python, as ``language()`` of the grammar is at import.

Unicode says of every letter to which script it belongs. Languages whose script is theirs alone (Japanese, Korean, Thai,
Greek, …) are told by it; the others need the extra ``language`` (py3langid, BSD-3-Clause, a model of 4.6 MB for 97
languages; 0.2 s to import, 2 s to load, 10 k short texts a second).
"""

from __future__ import annotations

import importlib
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Any

from store.errors import InputError

MOST = 1_000  # characters that the column ``script`` looks at
NAMED_SCRIPTS = (  # that it names, beside Latin and Kana
    "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada",
    "Malayalam", "Sinhala", "Thai", "Lao", "Khmer", "Myanmar", "Georgian", "Armenian", "Ethiopic", "Tibetan", "Mongolian",
    "Hangul", "Han",
)  # fmt: skip
OWN_SCRIPT: dict[str, frozenset[str]] = {
    "ja": frozenset({"Hiragana", "Katakana"}),
    "ko": frozenset({"Hangul"}),
    "th": frozenset({"Thai"}),
    "el": frozenset({"Greek"}),
    "he": frozenset({"Hebrew"}),
    "hy": frozenset({"Armenian"}),
    "ka": frozenset({"Georgian"}),
    "ta": frozenset({"Tamil"}),
    "te": frozenset({"Telugu"}),
    "km": frozenset({"Khmer"}),
    "lo": frozenset({"Lao"}),
    "my": frozenset({"Myanmar"}),
    "si": frozenset({"Sinhala"}),
    "gu": frozenset({"Gujarati"}),
    "pa": frozenset({"Gurmukhi"}),
    "kn": frozenset({"Kannada"}),
    "ml": frozenset({"Malayalam"}),
}
_NAMED = {
    "Cjk": "Han",
    "Fullwidth": "Latin",
    "Halfwidth": "Katakana",
}  # first words of names that are no script
SCRIPTS = frozenset().union(*OWN_SCRIPT.values()) | {
    "Latin", "Cyrillic", "Arabic", "Han", "Devanagari", "Bengali", "Ethiopic", "Tibetan", "Mongolian", "Bopomofo",
}  # fmt: skip


@lru_cache(maxsize=65_536)
def script_of(letter: str) -> str:
    """The script of a letter, by the first word of its Unicode name; "" for what is no letter.

    >>> [script_of(c) for c in "aжあ漢5"]
    ['Latin', 'Cyrillic', 'Hiragana', 'Han', '']
    """
    if not letter.isalpha():
        return ""
    first = unicodedata.name(letter, "").split(" ", 1)[0].title()
    return _NAMED.get(first, first)


def scripts_in(text: str) -> Counter[str]:
    """Letters of each script."""
    if text.isascii():
        letters = sum(map(str.isalpha, text))
        return Counter({"Latin": letters} if letters else {})
    found: Counter[str] = Counter()
    for letter, count in Counter(text).items():
        if script := script_of(letter):
            found[script] += count
    return found


def script_of_text(text: str) -> str | None:
    """The script that a text is mostly written in, as the column ``script`` of the grammar tells it (``store.script``).

    >>> script_of_text("ok привет мир"), script_of_text("これは何ですか"), script_of_text("5 + 5")
    ('Cyrillic', 'Kana', None)
    """
    found = scripts_in(text[:MOST])
    if not found:
        return None
    if found["Hiragana"] + found["Katakana"]:
        return "Kana"
    if found["Latin"] > found.total() - found["Latin"] or set(found) == {"Latin"}:
        return "Latin"
    first = next(s for letter in text if (s := script_of(letter)) and s != "Latin")
    return first if first in NAMED_SCRIPTS else "other"


def language_of(text: str, among: tuple[str, ...] = ()) -> str | None:
    """The ISO 639-1 code of a text's language, None where it has no letters.

    ``among``: those that matter; where all of them have a script of their own, nothing else is asked.
    """
    found = scripts_in(text)
    total = sum(found.values())
    if not total:
        return None
    if found["Hiragana"] + found["Katakana"] >= 0.1 * total:  # beside Han, which Chinese has too
        return "ja"
    for language, scripts in OWN_SCRIPT.items():
        if sum(found[script] for script in scripts) >= total / 2:
            return language
    if among and all(language in OWN_SCRIPT for language in among):
        return "another"
    return str(detector()(text)[0])


@lru_cache(maxsize=1)
def detector() -> Any:
    """py3langid's ``classify``. Raises InputError where it is not installed."""
    try:
        return importlib.import_module("py3langid").classify
    except ImportError as error:
        raise InputError(
            "telling these languages apart needs py3langid",
            todo="pip install 'spiritsafe[language]', or use the option scripts.",
        ) from error
