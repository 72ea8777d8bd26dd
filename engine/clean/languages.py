"""Which language, or which script, a text is written in.

``scripts`` need nothing: Unicode says of every letter to which script it belongs. ``languages`` whose script is theirs
alone (Japanese, Korean, Thai, Greek, …) are told by it; the others need the extra ``language`` (py3langid, BSD-3-Clause,
a model of 4.6 MB for 97 languages; 0.2 s to import, 2 s to load, 10 k short texts a second). It errs on short texts and on
close kin (Norwegian and Danish, Croatian and Serbian), so a text of fewer than ``least`` letters is not judged: it
passes, and says so.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache

from engine.clean.outcome import Options, Result, failed, option_of, refuse_unknown, texts_of
from store.errors import InputError
from store.language import OWN_SCRIPT, SCRIPTS, detector, language_of, scripts_in

LEAST = 20  # letters below which a guess is worth nothing
_SHARE = 0.8  # of the letters that must be of the scripts asked for
_CODE = re.compile(r"```.*?(?:```|\Z)|https?://\S+|[\w.+-]+@[\w.-]+", re.DOTALL)  # in no language


def language(output: str, reference: str | None, options: Options) -> Result:
    """The output is in one of ``languages`` (ISO 639-1 codes), or in ``scripts``; code blocks and addresses do not count.

    >>> language("Es tut mir leid, das weiß ich nicht.", None, {"scripts": ["Cyrillic"]}).detail
    'letters are Latin'
    """
    del reference
    refuse_unknown("language", options, {"languages", "scripts", "least"})
    languages, scripts = texts_of("language", options, "languages"), texts_of("language", options, "scripts")
    least = option_of("language", options, "least", int, LEAST)
    if bool(languages) == bool(scripts):
        raise InputError(
            "the check language takes languages or scripts", todo='As: languages = ["en", "de"].'
        )
    if unknown := set(scripts) - SCRIPTS:
        raise InputError(f"no script {min(unknown)!r}", todo="Known: " + ", ".join(sorted(SCRIPTS)))
    if languages and not all(code in OWN_SCRIPT for code in languages):
        _known_languages(languages)
    text = _CODE.sub(" ", output) if ("```" in output or "@" in output or "://" in output) else output
    found = scripts_in(text)
    total = sum(found.values())
    if total < least:
        return Result(True, f"{total} letters, too few to tell")
    if scripts:
        inside = sum(found[script] for script in scripts)
        named = ", ".join(name for name, count in found.most_common(3) if name not in scripts)
        return Result(True, "") if inside >= _SHARE * total else failed(f"letters are {named}")
    told = language_of(text, languages)
    return Result(True, "") if told in languages else failed(f"language is {told}")


@lru_cache(maxsize=64)
def _known_languages(languages: tuple[str, ...]) -> None:
    """Raises InputError for a code that the detector does not know, or where there is none."""
    detector()
    ranked = importlib.import_module("py3langid").rank("a")
    known = {code for code, _ in ranked} | OWN_SCRIPT.keys()
    if unknown := [code for code in languages if code not in known]:
        raise InputError(f"no language {unknown[0]!r}", todo="Known: " + ", ".join(sorted(known)))
