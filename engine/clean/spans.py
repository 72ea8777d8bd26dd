"""Edges with their evidence: the words that match, as JSON text, and slot refills told from changed words.

Columns in, columns out. In machine code every pair is aligned; in Python the first MAX_SPANNED.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from engine.clean.edits import SPAN_LIMIT, Span, align
from engine.clean.shingles import tokens
from store.canonical import canonical_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Texts: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray
    Bools = npt.NDArray[np.bool_]

Progress = Callable[[str, int, int], None]

MAX_SPANNED = 200_000  # pairs that Python aligns; later ones have no spans
SHOWN = ("exact", "words", "truncation", "surface", "slot")


def with_spans(texts: Texts, table: pa.Table, *, fast: bool, report: Progress) -> tuple[pa.Table, int]:
    """The edges of ``find_edges``, their kinds made exact, with a column ``spans``; and how many lack spans.

    ``spans``: JSON of [left start, left end, right start, right end) of matched runs, in code points of the
    originals. Pairs equal on the surface match as a whole; of others the words are aligned.
    """
    import numpy as np
    import pyarrow as pa

    told = table["kind"].combine_chunks()
    kind = np.array([SHOWN.index(name) for name in told.dictionary.to_pylist()], np.int8)[
        told.indices.to_numpy()
    ]
    whole = (kind == SHOWN.index("exact")) | (kind == SHOWN.index("surface"))
    left, right = table["left"].to_numpy(), table["right"].to_numpy()
    if fast:
        from engine.clean import fast_compile, fast_fold, fast_spans

        spans, slot, same = fast_spans.spans_of(
            *fast_fold.text_buffers(texts), left, right, whole,
            threads=fast_compile.workers(), progress=lambda n: report("align", n, len(left)),
        )  # fmt: skip
        without = 0
    else:
        plain = list(texts) if isinstance(texts, Sequence) else texts.to_pylist()
        spans, slot, same = _in_python(plain, left.tolist(), right.tolist(), whole, report)
        without = max(0, len(left) - MAX_SPANNED)
    kind[whole] = SHOWN.index("surface")
    kind[same] = SHOWN.index("exact")
    kind[slot & (kind == SHOWN.index("words"))] = SHOWN.index("slot")
    names = pa.DictionaryArray.from_arrays(pa.array(kind), pa.array(SHOWN))
    table = table.set_column(table.column_names.index("kind"), "kind", names)
    return table.append_column("spans", spans), without


def _in_python(
    texts: Sequence[str], left: list[int], right: list[int], whole: Bools, report: Progress
) -> tuple[pa.Array, Bools, Bools]:
    """As ``fast_spans.spans_of``, for the first MAX_SPANNED; later ones have none."""
    import numpy as np
    import pyarrow as pa

    tokens_of = lru_cache(4096)(lambda i: tokens(texts[i], SPAN_LIMIT))
    slot, same, told = np.zeros(len(left), np.bool_), np.zeros(len(left), np.bool_), []
    for at, (i, j) in enumerate(zip(left, right, strict=True)):
        if at % 10_000 == 0:
            report("align", at, len(left))
        spans: tuple[Span, ...] = ()
        if whole[at]:
            same[at] = texts[i] == texts[j]
            spans = ((0, len(texts[i]), 0, len(texts[j])),) if texts[i] and texts[j] else ()
        elif at < MAX_SPANNED:
            spans, slot[at] = align(texts[i], texts[j], tokens_of(i), tokens_of(j))
        told.append(canonical_text(spans))
    report("align", len(left), len(left))
    return pa.array(told, pa.large_string()), slot, same
