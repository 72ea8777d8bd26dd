"""Checks: automatic verifications of one output. To add one: a function here and a line in ``CHECKS``.

A check passes only on evidence: without a reference that it needs, or with one that it cannot read, it fails
and says so. What a model wrote never raises; a wrong option raises InputError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from store.canonical import canonical_text
from store.errors import InputError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Options = Mapping[str, Any]
NO_REFERENCE = "no reference"
_DETAIL = 300  # characters kept of a detail


@dataclass(frozen=True, slots=True)
class Result:
    """Whether an output passed, and what a person needs to see why not."""

    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check with its options, under the name that its results carry."""

    kind: str
    options: Options = field(default_factory=dict)
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.kind


def number(output: str, reference: str | None, options: Options) -> Result:
    """The number stated in the output equals the reference's, as the metric ``number`` reads it."""
    return _by_metric("number", output, reference, options)


def exact(output: str, reference: str | None, options: Options) -> Result:
    """Output and reference are one text, as the metric ``exact`` compares."""
    return _by_metric("exact", output, reference, options)


def _by_metric(name: str, output: str, reference: str | None, options: Options) -> Result:
    from engine.evaluate.metrics import METRICS

    metric = METRICS[name]
    _known(name, options, set(metric.options))
    if reference is None:
        return Result(False, NO_REFERENCE)
    try:
        passed = metric.score(output, reference, options) >= 1.0
    except InputError as error:  # one bad reference must not stop a run; nor may it count as a pass
        return _failed(f"unreadable reference: {error.what}")
    if passed:
        return Result(True, "")
    return _failed(f"reference {_tail(reference)}, output {_tail(output)}")


def json_schema(output: str, reference: str | None, options: Options) -> Result:
    """The whole output is one JSON value that fits ``schema``; references to other documents are not fetched.

    >>> json_schema('{"a": 1', None, {"schema": {}}).detail
    "not JSON: Expecting ',' delimiter at line 1 column 8"
    >>> json_schema('{"a": {"b": "x"}}', None, {"schema": {"properties": {"a": {"required": ["c"]}}}}).detail
    "$.a: 'c' is a required property"
    """
    del reference
    _known("json_schema", options, {"schema"})
    schema = _option("json_schema", options, "schema", (dict, bool), None)
    if schema is None:
        raise InputError("the check json_schema has no schema", todo="Give it the option schema.")
    validator = _validator(canonical_text(schema))
    try:
        value = json.loads(output, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return _failed(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}")
    except ValueError as error:  # NaN, or an integer of thousands of digits
        return _failed(f"not JSON: {error}")
    except RecursionError:
        return _failed("not JSON: nested too deeply")
    return _fits(validator, value)


def _fits(validator: Validator, value: object) -> Result:
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(validator.iter_errors(value))
    except RecursionError:
        return _failed("nested too deeply for the schema")
    except Unresolvable as cause:
        raise InputError(f"the schema refers to what it does not hold: {cause}") from cause
    return Result(True, "") if error is None else _failed(f"{error.json_path}: {error.message}")


@lru_cache(maxsize=64)
def _validator(schema_text: str) -> Validator:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    schema = json.loads(schema_text)
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise InputError(f"not a JSON schema: {error.message}", where=error.json_path) from error
    validator: Validator = kind(schema, registry=Registry())  # an empty registry: nothing is ever fetched
    return validator


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def regex(output: str, reference: str | None, options: Options) -> Result:
    """``pattern`` is found in the output (``whole``: is all of it; ``absent``: is not in it).

    Python's engine backtracks without a limit: a pattern such as ``(a+)+$`` can take for ever.

    >>> regex("call 555-1234", None, {"pattern": "[0-9]{3}-[0-9]{4}", "absent": True})
    Result(passed=False, detail="found '555-1234' at 5")
    """
    del reference
    _known("regex", options, {"pattern", "whole", "absent"})
    pattern = _compiled(_option("regex", options, "pattern", str, ""))
    whole = _option("regex", options, "whole", bool, False)
    match = pattern.fullmatch(output) if whole else pattern.search(output)
    if _option("regex", options, "absent", bool, False):
        return _failed(f"found {_tail(match.group())} at {match.start()}") if match else Result(True, "")
    return Result(True, "") if match else _failed(f"no match for {pattern.pattern!r}")


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    if not pattern:
        raise InputError("the check regex has no pattern", todo="Give it the option pattern.")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"not a regular expression: {pattern!r}: {error}") from error


def labels(output: str, reference: str | None, options: Options) -> Result:
    """The output is one of ``labels``; with ``field`` it is read as JSON. Case and space around do not count.

    >>> labels("Billing ", None, {"labels": ["billing", "card"]}).passed
    True
    """
    from engine.evaluate.metrics import label_of

    del reference
    _known("labels", options, {"labels", "field"})
    allowed = _option("labels", options, "labels", (list, tuple), ())
    if not allowed or not all(isinstance(name, str) for name in allowed):
        raise InputError("the check labels has no list of labels", todo="Give it the option labels.")
    found = label_of(output, options)
    if found is not None and found in {label_of(name, {}) for name in allowed}:
        return Result(True, "")
    return _failed(f"not a label: {_tail(output if found is None else found)}")


_MEASURES: dict[str, Callable[[str], int]] = {
    "chars": len,
    "words": lambda text: len(text.split()),
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


def length(output: str, reference: str | None, options: Options) -> Result:
    """The output has ``min`` to ``max`` units (``unit``: chars, that is code points, or words, or bytes).

    >>> length("one two", None, {"unit": "words", "max": 1})
    Result(passed=False, detail='2 words, more than 1')
    """
    del reference
    _known("length", options, {"min", "max", "unit"})
    unit = _option("length", options, "unit", str, "chars")
    if unit not in _MEASURES:
        raise InputError(f"no unit of length: {unit!r}", todo="Use chars, words or bytes.")
    size = _MEASURES[unit](output)
    if not {"min", "max"} & set(options):
        raise InputError("the check length bounds nothing", todo="Give it the option min or max.")
    low, high = _option("length", options, "min", int, 0), _option("length", options, "max", int, None)
    if size < low:
        return _failed(f"{size} {unit}, fewer than {low}")
    if high is not None and size > high:
        return _failed(f"{size} {unit}, more than {high}")
    return Result(True, "")


CHECKS: dict[str, Callable[[str, str | None, Options], Result]] = {
    "number": number,
    "exact": exact,
    "json_schema": json_schema,
    "regex": regex,
    "labels": labels,
    "length": length,
}


def run_checks(
    outputs: Iterable[tuple[str, str | None]], checks: Sequence[Check]
) -> Iterator[tuple[int, str, Result]]:
    """(index of the output, label of the check, result) for every output and check, in that order.

    ``outputs`` are (text, reference or None). Options are tried before the first output is taken, so a wrong
    one costs nothing; raises InputError for it, for an unknown kind and for two checks of one label.
    """
    for check in checks:
        if check.kind not in CHECKS:
            raise InputError(f"no such check: {check.kind!r}", todo=f"There are {', '.join(CHECKS)}.")
        CHECKS[check.kind]("", None, check.options)
    names = [check.label for check in checks]
    if len(set(names)) < len(names):
        raise InputError(f"two checks of one name: {', '.join(names)}", todo="Name them apart.")
    return _results(outputs, checks)


def _results(
    outputs: Iterable[tuple[str, str | None]], checks: Sequence[Check]
) -> Iterator[tuple[int, str, Result]]:
    for index, (text, reference) in enumerate(outputs):
        for check in checks:
            yield index, check.label, CHECKS[check.kind](text, reference, check.options)


def _known(check: str, options: Options, known: set[str]) -> None:
    if unknown := set(options) - known:
        raise InputError(
            f"the check {check} has no option {', '.join(sorted(unknown))}",
            todo=f"It has {', '.join(sorted(known)) or 'none'}.",
        )


def _option(check: str, options: Options, name: str, kind: type | tuple[type, ...], default: Any) -> Any:
    value = options.get(name, default)
    odd = isinstance(value, bool) and kind is int
    if odd or not (value is default or isinstance(value, kind)):
        raise InputError(f"the option {name} of the check {check} cannot be {value!r}")
    return value


def _tail(text: str) -> str:
    """The end of a text, where answers stand."""
    return repr(text if len(text) <= 60 else "…" + text[-60:])


def _failed(detail: str) -> Result:
    """A failure whose detail fits a UTF-8 column: short, lone surrogates escaped."""
    return Result(False, detail[:_DETAIL].encode("utf-8", "backslashreplace").decode())
