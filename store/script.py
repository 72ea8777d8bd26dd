"""In which script a text is mostly written, as SQL: a column of the grammar named ``script``.

Told of the first thousand characters, by the Unicode scripts that RE2 knows: Latin where Latin letters are the most, else
the script of the first letter that is of another; a text with Hiragana or Katakana is ``Kana`` whatever else it has.
Null where there is no letter. An ASCII text, told by its bytes being as many as its characters, costs no search for others.
"""

from __future__ import annotations

from store.grammar import Column
from store.language import MOST, NAMED_SCRIPTS

NAME = "script"
_SOME = f"left({{0}}, {MOST})"
_NEUTRAL = r"\p{{Common}}\p{{Inherited}}"
_FOREIGN = rf"regexp_extract({_SOME}, '[^\p{{{{Latin}}}}{_NEUTRAL}]')"
_NAMED = " ".join(
    rf"when regexp_matches({_FOREIGN}, '\p{{{{{name}}}}}') then '{name}'" for name in NAMED_SCRIPTS
)
_LATIN = rf"length(regexp_replace({_SOME}, '[^\p{{{{Latin}}}}]', '', 'g'))"
_OTHERS = rf"length(regexp_replace({_SOME}, '[\p{{{{Latin}}}}{_NEUTRAL}]', '', 'g'))"
SQL = (
    "case when {0} is null then null when length({0}) = strlen({0}) then"
    " case when regexp_matches({0}, '[a-zA-Z]') then 'Latin' end"
    rf" when {_FOREIGN} = '' then case when regexp_matches({{0}}, '\p{{{{Latin}}}}') then 'Latin' end"
    rf" when regexp_matches({_SOME}, '[\p{{{{Hiragana}}}}\p{{{{Katakana}}}}]') then 'Kana'"
    f" when {_LATIN} > {_OTHERS} then 'Latin' {_NAMED} else 'other' end"
)


def column(text: str) -> Column:
    """The script of the SQL expression ``text``."""
    return Column(f"({SQL.format(text)})", "text")
