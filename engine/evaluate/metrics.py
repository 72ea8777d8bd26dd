"""Metrics: what makes one output right, and what a pile of right and wrong adds up to.

To add one: a function ``(output, reference, options) -> float`` here and one line in ``METRICS``. A metric
never raises on what a model wrote: an answer it cannot read is wrong. It does raise InputError on a
reference it cannot read, because that would count against teacher and student alike and say nothing.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from store.errors import InputError

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Metric:
    """A named metric; ``binary`` says that its values are 0 and 1, which the gate's bounds need."""

    name: str
    score: Callable[[str, str, Options], float]
    binary: bool
    options: Mapping[str, str]  # option -> what it means


# ---- number ----------------------------------------------------------------------------------------------

MARKER = "A:"
SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
LONGEST = 400  # digits; beyond it Python refuses to read an integer, and no answer is meant
# Sign and currency in either order; digits with or without thousands commas; a decimal part; a denominator.
NUMBER = re.compile(
    r"(?P<sign>[-+\u2212]?)\s*[$€£¥]?\s*(?P<sign2>[-+\u2212]?)"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))(?P<decimals>\.\d+)?"
    r"(?:\s*/\s*(?P<denominator>\d+))?\s*(?P<scale>thousand\b|million\b|billion\b)?"
    r"(?P<rest>.*)",
    re.IGNORECASE,
)
# A unit may follow. An operator, or one more number, means that the line does not state one number.
UNCLEAR = re.compile(r"^\s*[-+*/^=\u2212]|\d")


def number(output: str, reference: str, options: Options) -> float:
    """1.0 where the number after the last marker equals the reference's (default marker ``A:``).

    Exact fractions are compared, so "3.0", "3", "$3." and "6/2" are one number; "%" and currency signs are
    ignored. No marker or no number is wrong. The reference may leave the marker out.

    >>> number("so 9 * 2 = 18\\nA: $1,018.00", "A: 1018", {}), number("It is 18.", "18", {})
    (1.0, 0.0)
    """
    marker = options.get("marker", MARKER)
    gold = number_of(reference.rpartition(marker)[2] if marker else reference)
    if gold is None:
        raise InputError(f"the reference holds no number: {reference[-60:]!r}")
    _, found, answer = output.rpartition(marker) if marker else ("", "yes", output)
    return float(bool(found) and number_of(answer) == gold)


def number_of(text: str) -> Fraction | None:
    """The number that the first line of ``text`` states, or None.

    >>> [str(number_of(s)) for s in ("$1,200.50", "-1.8 billion", "6/4", "18 eggs.", "10+x", "10 or 12")]
    ['2401/2', '-1800000000', '3/2', '18', 'None', 'None']
    """
    lines = text.strip().splitlines()
    match = NUMBER.match(lines[0]) if lines else None
    if match is None or UNCLEAR.search(match["rest"]) or (match["sign"] and match["sign2"]):
        return None
    if match.end("rest") - len(match["rest"]) > LONGEST:
        return None
    value = Fraction((match["digits"].replace(",", "") or "0") + (match["decimals"] or ""))
    if match["denominator"]:
        if int(match["denominator"]) == 0:
            return None
        value /= int(match["denominator"])
    negative = (match["sign"] or match["sign2"]) in {"-", "\u2212"}
    return (-value if negative else value) * SCALES.get((match["scale"] or "").lower(), 1)


# ---- exact, label ----------------------------------------------------------------------------------------


def exact(output: str, reference: str, options: Options) -> float:
    """1.0 where both are the same text, after NFC and without space around.

    >>> exact(" cafe\\u0301\\n", "caf\\u00e9", {})
    1.0
    """
    del options
    return float(_plain(output) == _plain(reference))


def label(output: str, reference: str, options: Options) -> float:
    """1.0 where output and reference name the same label; with ``field``, the output is read as JSON.

    >>> label("Card_Arrival ", "card_arrival", {})
    1.0
    >>> label('{"route": "Billing"}', "billing", {"field": "route"})
    1.0
    """
    gold = label_of(reference, options) or label_of(reference, {})
    if not gold:
        raise InputError("the reference names no label")
    return float(label_of(output, options) == gold)


def label_of(text: str, options: Options) -> str | None:
    """The folded label in ``text`` (NFC, case folded, one space), or None where ``field`` finds no text.

    >>> label_of('Sure! {"route": "billing"}', {"field": "route"}) is None
    True
    """
    field = options.get("field")
    if field is None:
        return " ".join(_plain(text).casefold().split())
    try:
        parsed = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    value = parsed.get(field) if isinstance(parsed, dict) else None
    return label_of(value, {}) if isinstance(value, str) else None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


METRICS: dict[str, Metric] = {
    "number": Metric("number", number, True, {"marker": "text before the answer, default 'A:'"}),
    "exact": Metric("exact", exact, True, {}),
    "label": Metric("label", label, True, {"field": "field of the JSON output that holds the label"}),
}


# ---- per label -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelReport:
    """One label against its references; a rate without a denominator is None, never 0."""

    label: str
    support: int  # references with this label
    predicted: int
    right: int

    @property
    def precision(self) -> float | None:
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.right / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        """2·right / (support + predicted): the harmonic mean of precision and recall."""
        return 2 * self.right / (self.support + self.predicted) if self.support + self.predicted else None


def confusion(pairs: Iterable[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Counts of (reference, predicted)."""
    return Counter(pairs)


def label_reports(pairs: Iterable[tuple[str, str]]) -> list[LabelReport]:
    """One report per label seen in (reference, predicted), by name.

    >>> [(r.label, r.precision, r.recall) for r in label_reports([("a", "a"), ("a", "b"), ("b", "b")])]
    [('a', 1.0, 0.5), ('b', 0.5, 1.0)]
    """
    cells = confusion(pairs)
    support: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (gold, guess), count in cells.items():
        support[gold] += count
        predicted[guess] += count
    names = sorted(support.keys() | predicted.keys())
    return [LabelReport(name, support[name], predicted[name], cells[name, name]) for name in names]


def macro_f1(reports: Sequence[LabelReport]) -> float | None:
    """Mean F1 over the labels that occur as reference or prediction (as scikit-learn's ``average="macro"``).

    >>> round(macro_f1(label_reports([("a", "a"), ("a", "b"), ("b", "b")])), 4)
    0.6667
    """
    scores = [report.f1 for report in reports if report.f1 is not None]
    return math.fsum(scores) / len(scores) if scores else None


# ---- calibration, agreement ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Answers whose confidence lies in (low, high] (the first bin holds 0 too)."""

    low: float
    high: float
    n: int
    right: int
    mean_confidence: float


def calibration(answers: Iterable[tuple[float, bool]], bins: int = 15) -> list[CalibrationBin]:
    """The non-empty bins of equal width of (confidence, right). Raises InputError outside 0 to 1."""
    sums: dict[int, list[float]] = {}
    for confidence, right in answers:
        if not 0 <= confidence <= 1:
            raise InputError(f"a confidence lies between 0 and 1, not {confidence!r}")
        cell = sums.setdefault(max(math.ceil(confidence * bins) - 1, 0), [0, 0, 0.0])
        cell[0] += 1
        cell[1] += right
        cell[2] += confidence
    return [
        CalibrationBin(i / bins, (i + 1) / bins, int(n), int(right), total / n)
        for i, (n, right, total) in sorted(sums.items())
    ]


def expected_calibration_error(cells: Sequence[CalibrationBin]) -> float | None:
    """ECE: the mean gap of confidence and accuracy over bins, weighted by n (Guo et al. 2017, equation 3).

    >>> expected_calibration_error(calibration([(0.75, True), (0.75, True), (0.75, False), (0.75, False)]))
    0.25
    """
    n = sum(cell.n for cell in cells)
    return math.fsum(abs(cell.right - cell.n * cell.mean_confidence) for cell in cells) / n if n else None


def agreement(pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """(same, n) over pairs of answers; show it with n and its interval.

    >>> agreement([("a", "a"), ("a", "b")])
    (1, 2)
    """
    same = [left == right for left, right in pairs]
    return sum(same), len(same)
