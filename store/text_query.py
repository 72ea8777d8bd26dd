"""Questions to the text index: which outputs have these words, and which are most like a text.

Everything here is of one commit (``Snapshot``) and of one project; raises IndexDamaged where the folder is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.records import SEQ_BITS
from store.text_index import Snapshot, guarded, scope_of
from store.text_words import Needle, Part, is_joined, pairs, words_of

if TYPE_CHECKING:
    import tantivy

MOST_EXPANSIONS = 16_000  # tantivy refuses a phrase whose last word may go on in more ways
SIMILAR_TERMS = 25
LEAST_TERM = 2  # characters of a telling word
FIRST_WINDOW = 1 << 16  # keys


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose outputs are searched: those of some models of a project (of all of them where none is named).

    ``without``: runs that are not in sight, as those closed after a queue was opened.
    """

    project: str
    models: tuple[str, ...] = ()
    without: tuple[int, ...] = ()


class Hits:
    """The outputs in scope that have a needle's words, in the order of their keys."""

    def __init__(self, snapshot: Snapshot, scope: Scope, found: tantivy.Query) -> None:
        """``found``: what ``of_words`` or ``of_substring`` made of the needle."""
        import tantivy

        self._snapshot, self._tv = snapshot, tantivy
        query, occur = tantivy.Query, tantivy.Occur
        clauses = [(occur.Must, query.const_score_query(q, 1.0)) for q in (found, _in_scope(snapshot, scope))]
        for run_no in scope.without:
            low = run_no << SEQ_BITS
            clauses.append((occur.MustNot, self._between(low, low + (1 << SEQ_BITS) - 1)))
        self._query = query.boolean_query(clauses)

    def _between(self, low: int, high: int) -> tantivy.Query:
        kind = self._tv.FieldType.Integer
        return self._tv.Query.range_query(
            self._snapshot.schema, "key", kind, lower_bound=low, upper_bound=high
        )

    def _search(self, query: tantivy.Query, **options: Any) -> tantivy.SearchResult:
        return guarded(
            lambda: self._snapshot.searcher.search(query, order_by_field="key", **options),
            self._snapshot.folder,
        )

    def count(self) -> int:
        """How many there are."""
        found: Any = self._search(self._query, limit=1)
        return int(found.count)

    def keys(self, most: int) -> list[int]:
        """The keys, ascending; at most so many."""
        hits = self._search(self._query, limit=max(1, most), count=False, order=self._tv.Order.Asc).hits
        return [key for key, _ in hits]

    def among(self, keys: Sequence[int]) -> set[int]:
        """Those of some keys that are hits."""
        occur = self._tv.Occur
        some = self._tv.Query.term_set_query(self._snapshot.schema, "key", list(keys))
        query = self._tv.Query.boolean_query([(occur.Must, self._query), (occur.Must, some)])
        return {key for key, _ in self._search(query, limit=max(1, len(keys)), count=False).hits}

    def nearest(self, low: int, high: int, *, forward: bool) -> int | None:
        """The first (or last) key within low … high. What is near is looked at first."""
        near = min(high, low + FIRST_WINDOW) if forward else max(low, high - FIRST_WINDOW)
        rest = (near + 1, high) if forward else (low, near - 1)
        for first, last in ((low, near) if forward else (near, high), rest):
            if first <= last and (key := self._first(first, last, forward=forward)) is not None:
                return key
        return None

    def _first(self, low: int, high: int, *, forward: bool) -> int | None:
        occur, order = self._tv.Occur, self._tv.Order
        within = self._tv.Query.const_score_query(self._between(low, high), 1.0)
        query = self._tv.Query.boolean_query([(occur.Must, self._query), (occur.Must, within)])
        hits = self._search(query, limit=1, count=False, order=order.Asc if forward else order.Desc).hits
        return hits[0][0] if hits else None


def _in_scope(snapshot: Snapshot, scope: Scope) -> tantivy.Query:
    import tantivy

    terms = [scope_of(scope.project, model) for model in scope.models] or [scope.project]
    queries = [tantivy.Query.term_query(snapshot.schema, "scope", term, "basic") for term in terms]
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def of_words(snapshot: Snapshot, needle: Needle) -> tantivy.Query:
    """All parts of a needle."""
    return _all([_part(snapshot, part) for part in needle.parts])


def of_substring(snapshot: Snapshot, needle: Needle) -> tantivy.Query:
    """What may have the needle as typed somewhere, also within words: it has, where it is one run of letters.

    Of several words the first may be an end and the last a beginning; whether they are neighbours is not asked.
    """
    words = [word for part in needle.parts for word in part.words]
    patterns = [re.escape(word) for word in words]
    patterns[0], patterns[-1] = f".*{patterns[0]}", f"{patterns[-1]}.*"
    if len(words) == 1:
        patterns = [f".*{re.escape(words[0])}.*"]
    found = [_part(snapshot, Part((word,))) if is_joined(word) else None for word in words]
    return _all([query or _regex(snapshot, p) for query, p in zip(found, patterns, strict=True)])


def _all(queries: list[tantivy.Query]) -> tantivy.Query:
    import tantivy

    if len(queries) == 1:
        return queries[0]
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in queries])


def _regex(snapshot: Snapshot, pattern: str) -> tantivy.Query:
    import tantivy

    return tantivy.Query.regex_query(snapshot.schema, "text", pattern)


def placed(words: Sequence[str]) -> list[tuple[int, str]]:
    """The terms of words that follow one another, each with its place: joined scripts as pairs.

    >>> placed(("ok", "配送中", "id"))
    [(0, 'ok'), (1, '配送'), (2, '送中'), (4, 'id')]
    """
    terms, at = [], 0
    for word in words:
        if is_joined(word) and len(word) > 1:
            terms += list(enumerate(pairs(word)[:-1], at))
            at += len(word)
        else:
            terms.append((at, word))
            at += 1
    return terms


def _part(snapshot: Snapshot, part: Part) -> tantivy.Query:
    import tantivy

    query, terms = tantivy.Query, placed(part.words)
    last = terms[-1][1]
    goes_on = part.prefix and (len(last) == 1 or not is_joined(last))
    if len(terms) == 1:
        if goes_on:
            return _regex(snapshot, f"{re.escape(last)}.*")
        return query.term_query(snapshot.schema, "text", last, "basic")
    if not goes_on:
        return query.phrase_query(snapshot.schema, "text", list(terms))
    ways = snapshot.searcher.terms_with_prefix("text", last, limit=MOST_EXPANSIONS)
    if len(ways) < MOST_EXPANSIONS:
        patterns: list[str | tuple[int, str]] = [(at, re.escape(term)) for at, term in terms]
        patterns[-1] = (terms[-1][0], f"{re.escape(last)}.*")
        return query.regex_phrase_query(snapshot.schema, "text", patterns)
    head = _part(snapshot, Part(part.words[:-1]))  # too many ways to go on: both somewhere will do
    return _all([head, _regex(snapshot, f"{re.escape(last)}.*")])


def telling_terms(snapshot: Snapshot, folded: str) -> list[tuple[str, float]]:
    """The terms of a folded text that tell it from others, most telling first, each with its idf (BM25)."""
    counts: Counter[str] = Counter()
    for word in words_of(folded):
        counts.update(pairs(word)[:-1] if is_joined(word) and len(word) > 1 else [word])
    n, weighed = max(1, snapshot.mark.rows), []
    for term, count in counts.items():
        df = snapshot.searcher.doc_freq("text", term) if len(term) >= LEAST_TERM else 0
        if df:
            idf = math.log(1 + (n - min(n, df) + 0.5) / (df + 0.5))
            weighed.append((idf * (1 + math.log(count)), term, idf))
    weighed.sort(reverse=True)
    return [(term, idf) for _, term, idf in weighed[:SIMILAR_TERMS]]


def nearest_outputs(snapshot: Snapshot, scope: Scope, folded: str, limit: int) -> list[tuple[int, float]]:
    """Outputs by likeness to a folded text, best first: (key, score).

    The score is BM25 (Robertson and Zaragoza 2009, section 3.2) over the text's most telling terms, as a share of
    the sum of their idf: 1 means that all of them occur once in a text of average length; more is cut to 1.
    """
    import tantivy

    terms = telling_terms(snapshot, folded)
    if not terms:
        return []
    query, occur = tantivy.Query, tantivy.Occur
    some = query.boolean_query(
        [(occur.Should, query.term_query(snapshot.schema, "text", term, "freq")) for term, _ in terms]
    )
    inside = query.const_score_query(_in_scope(snapshot, scope), 0.0)
    both = query.boolean_query([(occur.Must, some), (occur.Must, inside)])
    searcher, whole = snapshot.searcher, sum(idf for _, idf in terms)
    found = guarded(lambda: searcher.search(both, limit=limit, count=False).hits, snapshot.folder)
    keys = guarded(lambda: searcher.fast_field_values("key", [at for _, at in found]), snapshot.folder)
    scored = [(int(key), min(1.0, score / whole)) for key, (score, _) in zip(keys, found, strict=True) if key]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))
