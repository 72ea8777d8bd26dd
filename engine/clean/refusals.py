"""Refusals: an answer that declines the task instead of doing it, by what it says in its first lines.

A refusal speaks of itself ("I cannot help with that", „Dabei kann ich nicht helfen"), near its beginning. A text that
merely contains a "cannot" is none: customers cannot find their card, Anna cannot buy ten apples. So each language has
first-person forms of not being able or willing, closely followed by a verb of assisting, and openers that nothing but
a refusal has ("As an AI language model, I …"). A refusal in a language without patterns, or in later lines, is not
found; an answer that refuses a part and does the rest counts as one.
"""

from __future__ import annotations

from engine.clean.outcome import PASSED, Options, Result, failed, option_of, refuse_unknown
from engine.clean.refusal_patterns import ALSO, HINTS, PATTERNS, compiled

LOOKED = 300  # code points from the beginning: a refusal says so at once
LANGUAGES = tuple(PATTERNS)
_QUOTES = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "\u00a0": " ", "\n": " "})
_EACH = [(language, HINTS[language], ALSO.get(language, ("",)), compiled(language)) for language in LANGUAGES]
_LATIN = [one for one in _EACH if any(hint.isascii() for hint in one[1])]  # all that ASCII can spell


def refusal_in(text: str) -> tuple[str, int] | None:
    """(language, code point where it begins) of the first refusal in the first LOOKED code points, None without one.

    >>> refusal_in("I'm sorry, but I can't assist with that request.")
    ('en', 0)
    >>> refusal_in("I can't find my card. Can you help?") is None
    True
    """
    plain = text[:LOOKED]
    ascii_only = plain.isascii()
    plain = plain.replace("\n", " ") if ascii_only else plain.translate(_QUOTES)
    low = plain.lower()
    for language, hints, also, pattern in _LATIN if ascii_only else _EACH:
        for hint in hints:
            if hint in low:
                if any(one in low for one in also) and (match := pattern.search(plain)):
                    return language, match.start()
                break
    return None


def refusal(output: str, reference: str | None, options: Options) -> Result:
    """The output does not decline the task (``expected``: it must, for prompts that a student has to refuse).

    >>> refusal("Als KI-Modell kann ich das nicht beurteilen.", None, {}).detail
    'refusal (de) at 0'
    """
    del reference
    expected = False
    if options:
        refuse_unknown("refusal", options, {"expected"})
        expected = option_of("refusal", options, "expected", bool, False)
    found = refusal_in(output)
    if expected:
        return PASSED if found else failed("no refusal")
    return failed(f"refusal ({found[0]}) at {found[1]}") if found else PASSED
