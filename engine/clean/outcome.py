"""What a check is, and what comes out of one: shared by the table of checks and those that have a file of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from store.errors import InputError

Options = Mapping[str, Any]
NO_REFERENCE = "no reference"
_DETAIL = 300  # characters kept of a detail


@dataclass(frozen=True, slots=True)
class Result:
    """Whether an output passed, and what a person needs to see why not."""

    passed: bool
    detail: str


PASSED = Result(True, "")
NO, YES, UNKNOWN = 0, 1, 2  # whether an output passed, as ``Said`` has it


@dataclass(frozen=True, slots=True)
class Said:
    """What one check said of a batch of outputs, as columns: NO, YES or UNKNOWN (it could not be checked), and the detail."""

    passed: bytes
    details: list[str]

    @classmethod
    def of(cls, results: Iterable[Result | None]) -> Self:
        """Results one by one, None where there is none.

        >>> Said.of([PASSED, None, Result(False, "too long")])
        Said(passed=b'\\x01\\x02\\x00', details=['', '', 'too long'])
        """
        results = list(results)
        passed = bytes(UNKNOWN if one is None else one.passed for one in results)
        return cls(passed, ["" if one is None else one.detail for one in results])


@dataclass(frozen=True, slots=True)
class Check:
    """One check with its options, under the name that its results carry."""

    kind: str
    options: Options = field(default_factory=dict)
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.kind


def refuse_unknown(check: str, options: Options, known: set[str]) -> None:
    """Raises InputError for an option that a check does not have."""
    if options.keys() - known:
        raise InputError(
            f"the check {check} has no option {', '.join(sorted(options.keys() - known))}",
            todo=f"It has {', '.join(sorted(known)) or 'none'}.",
        )


def option_of(check: str, options: Options, name: str, kind: type | tuple[type, ...], default: Any) -> Any:
    """An option's value. Raises InputError where it is of another type."""
    value = options.get(name, default)
    odd = isinstance(value, bool) and kind is int
    if odd or not (value is default or isinstance(value, kind)):
        raise InputError(f"the option {name} of the check {check} cannot be {value!r}")
    return value


def texts_of(check: str, options: Options, name: str) -> tuple[str, ...]:
    """An option that is a list of texts; empty where it is left out. Raises InputError for anything else."""
    value = option_of(check, options, name, (list, tuple), ())
    if not all(isinstance(text, str) and text for text in value):
        raise InputError(f"the option {name} of the check {check} cannot be {value!r}", todo="List texts.")
    return tuple(value)


def tail(text: str) -> str:
    """The end of a text, where answers stand."""
    return repr(text if len(text) <= 60 else "…" + text[-60:])


def failed(detail: str) -> Result:
    """A failure whose detail fits a UTF-8 column: short, lone surrogates escaped."""
    return Result(False, storable(detail))


def storable(detail: str) -> str:
    """A detail as it is kept: at most _DETAIL characters, lone surrogates escaped."""
    return detail[:_DETAIL].encode("utf-8", "backslashreplace").decode()
