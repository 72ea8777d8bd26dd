"""One row of a file into the values of an arrival and of its outputs, as a mapping says."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from store.canonical import canonical_text, messages_of, output_id_of, prompt_id_of
from store.errors import GrammarError, InputError
from store.grammar import parse_derived
from store.grammar_value import reader
from store.mapping import EVERYTHING, SOURCES, SPLITS, Mapping, path_of

MAX_INT, MAX_BIGINT = 2**31 - 1, 2**63 - 1

Row = dict[str, Any]
Get = Callable[[Row], Any]
Arrival = tuple[Any, ...]  # prompt_id … metadata, in stored order
Answer = tuple[Any, ...]  # prompt_id … logprobs, in stored order


class _Bad(Exception):  # noqa: N818 - never leaves this module
    """What is wrong with a row; the row's place is added once, in ``RowParser.parse``."""

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.what, self.todo = what, todo


class RowParser:
    """A mapping made ready for many rows. ``flat``: the file has no nested rows, so a path is one column."""

    def __init__(self, mapping: Mapping, name: str, *, flat: bool = False) -> None:
        self.mapping, self.name, self.flat = mapping, name, flat
        self.prompt = self._get(mapping.prompt)
        self.messages = self._get(mapping.messages)
        self.reference = self._get(mapping.reference)
        self.at = self._get(mapping.at)
        self.source = None if mapping.source in SOURCES else self._get(mapping.source)
        self.split = None if mapping.split in SPLITS else self._get(mapping.split)
        self.metadata = [(key, _getter(self._path(p))) for key, p in mapping.metadata if p != EVERYTHING]
        self.rest = _Rest([self._path(p) for p in mapping.paths()]) if mapping.takes_everything else None
        self.derived = [(key, reader(expr)) for key, expr in map(parse_derived, mapping.derived)]
        self.outputs = self._outputs()

    def parse(self, row: Row | InputError, number: int) -> tuple[Arrival, list[tuple[int, Answer]]]:
        """Values of the arrival from ``prompt_id`` to ``metadata``; of each output its place in the mapping and
        its values from ``prompt_id``. Raises InputError with the row's place."""
        if isinstance(row, InputError):
            raise row
        try:
            arrival = self._arrival(row)
            return arrival, self._answers(row, arrival[0])
        except _Bad as bad:
            raise InputError(bad.what, where=f"{self.name}:{number}", todo=bad.todo) from None
        except (
            UnicodeEncodeError,
            OverflowError,
            RecursionError,
            msgspec.MsgspecError,
            TypeError,
        ) as failure:
            what = f"holds what JSON cannot: {failure}"  # Parquet can hold such values
            raise InputError(what, where=f"{self.name}:{number}") from None

    def fits(self, row: Row) -> bool:
        """Whether the row has anything where the mapping looks for its prompt."""
        get = self.prompt or self.messages
        return get is not None and get(row) is not None

    def _path(self, path: str) -> tuple[str, ...]:
        keys = path_of(path)
        return (".".join(keys),) if self.flat else keys

    def _get(self, path: str | None) -> Get | None:
        return None if path is None else _getter(self._path(path))

    def _arrival(self, row: Row) -> Arrival:
        if self.prompt is not None:
            text = self.prompt(row)
            if type(text) is not str:
                raise self._no_prompt(row, text)
            prompt_id, messages = prompt_id_of(messages_of(text)), None
        else:
            prompt_id, text, messages = self._chat(row)
        reference = self.reference(row) if self.reference else None
        if self.flat and not reference:
            reference = None  # an empty CSV cell; an empty answer stays, or a silent model would look good
        elif reference is not None and type(reference) is not str:
            reference = canonical_text(reference)
        source = _one_of(self.source(row), SOURCES, "source") if self.source else self.mapping.source
        split = _one_of(self.split(row), SPLITS, "split") if self.split else self.mapping.split
        at_us = _microseconds(self.at(row)) if self.at else None
        metadata = self._metadata(row, text, reference)
        return prompt_id, text, messages, reference, source, split, at_us, canonical_text(metadata)

    def _no_prompt(self, row: Row, value: object) -> _Bad:
        path = self.mapping.prompt or self.mapping.messages
        if value is None:
            return _Bad(f"has no {path!r}", f"its keys are {', '.join(map(repr, row))}"[:300])
        return _Bad(f"{path!r} is no text but {type(value).__name__}", "messages = … reads a chat")

    def _chat(self, row: Row) -> tuple[str, str, str | None]:
        value = self.messages(row) if self.messages else None
        if self.flat and isinstance(value, str):
            value = _json(value)
        if value is None:
            raise self._no_prompt(row, value)
        if not isinstance(value, list) or not value:
            raise _Bad(f"{self.mapping.messages!r} is no list of messages")
        for message in value:
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise _Bad(f"{self.mapping.messages!r} holds a message without a role")
        first = value[0]
        if len(value) == 1 and first.keys() == {"role", "content"} and first["role"] == "user":
            content = first["content"]
            if isinstance(content, str):
                return prompt_id_of(value), content, None
        return prompt_id_of(value), chat_text(value), canonical_text(value)

    def _metadata(self, row: Row, text: str, reference: str | None) -> Row:
        metadata: Row = self.rest.of(row) if self.rest else {}
        for key, get in self.metadata:
            value = get(row)
            if value is not None:
                metadata[key] = value
        if self.derived:
            known = {"text": text, "prompt": text, "reference": reference}
            for key, read in self.derived:
                try:
                    value = read(known, metadata)
                except GrammarError as failure:
                    raise _Bad(f"derived {key!r}: {failure.what}") from None
                if value is not None:
                    metadata[key] = value
        return metadata

    def _outputs(self) -> list[tuple[str, int, Get, list[Get | None]]]:
        """(model, sample index, text, other fields) of each output of the mapping."""
        found: list[tuple[str, int, Get, list[Get | None]]] = []
        for output in self.mapping.outputs:
            index = sum(model == output.model for model, *_ in found)
            paths = [getattr(output, field) for field in _EXTRA]
            gets = [self._get(path) for path in paths]
            found.append((output.model, index, _getter(self._path(output.text)), gets))
        return found

    def _answers(self, row: Row, prompt_id: str) -> list[tuple[int, Answer]]:
        answers: list[tuple[int, Answer]] = []
        for group, (model, index, get, others) in enumerate(self.outputs):
            text = get(row)
            if text is None:
                continue
            if type(text) is not str:
                text = canonical_text(text)
            output_id = output_id_of(prompt_id, model, index, text)
            extra = _NOTHING if not any(others) else _extra(row, others)
            answers.append((group, (prompt_id, output_id, model, index, text, *extra)))
        return answers


# The further fields of an output, in the order of the columns they fill.
_EXTRA = ("finish_reason", "tokens_in", "tokens_out", "cost", "latency_ms", "logprobs")
_NOTHING = (None,) * len(_EXTRA)


def chat_text(messages: list[Any]) -> str:
    """What a reviewer reads of a chat: each message's role and text; parts that are no text by their type."""
    shown = []
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [content]
        texts = [
            part.get("text") or f"[{part.get('type')}]" if isinstance(part, dict) else part for part in parts
        ]
        shown.append(f"{message['role']}: {''.join(str(text) for text in texts if text is not None)}")
    return "\n\n".join(shown)


def _getter(path: tuple[str, ...]) -> Get:
    """The value at ``path``; None where it is missing."""
    if len(path) == 1:
        key = path[0]
        return lambda row: row.get(key)

    def get(row: Any) -> Any:
        for key in path:
            if isinstance(row, dict):
                row = row.get(key)
            elif isinstance(row, list) and key.isdecimal() and int(key) < len(row):
                row = row[int(key)]
            else:
                return None
        return row

    return get


class _Rest:
    """What of a row is not mapped otherwise."""

    def __init__(self, paths: list[tuple[str, ...]]) -> None:
        self.whole = list(dict.fromkeys(path[0] for path in paths if len(path) == 1))
        self.inner = [path for path in paths if len(path) > 1]

    def of(self, row: Row) -> Row:
        rest = row.copy()
        for key in self.whole:
            rest.pop(key, None)
        for path in self.inner:
            if path[0] in rest:
                _drop(rest, path)
        return rest


def _drop(row: Row, path: tuple[str, ...]) -> None:
    """Take ``path`` out of ``row``, whose nested dicts on the way are copied; no empty dict is left behind."""
    inner = row[path[0]]
    if not isinstance(inner, dict) or path[1] not in inner:
        return
    inner = dict(inner)
    if len(path) == 2:
        del inner[path[1]]
    else:
        _drop(inner, path[1:])
    row[path[0]] = inner
    if not inner:
        del row[path[0]]


def _one_of(value: object, known: frozenset[str], what: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise _Bad(f"{what} is {value!r}", f"it must be one of {', '.join(sorted(known))}")
    return value


def _microseconds(value: object) -> int | None:
    """UTC microseconds of an ISO 8601 text (UTC where it names no zone) or of an epoch number.

    A number is in seconds below 1e11, else in milliseconds below 1e14, else in microseconds.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            number = _number(value, "time", MAX_BIGINT)
            return None if number is None else _epoch(number)
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    number = _number(value, "time", MAX_BIGINT)
    return None if number is None else _epoch(number)


def _epoch(number: float) -> int:
    if number < 1e11:
        return round(number * 1_000_000)
    return round(number * 1_000) if number < 1e14 else round(number)


def _extra(row: Row, gets: list[Get | None]) -> tuple[Any, ...]:
    """finish_reason, tokens_in, tokens_out, cost_nano, latency_us, logprobs."""
    finish, tokens_in, tokens_out, cost, latency, logprobs = (get(row) if get else None for get in gets)
    if finish is not None and not isinstance(finish, str):
        raise _Bad(f"finish reason is {finish!r}, not a text")
    return (
        finish,
        _scaled(tokens_in, "tokens_in", 1, MAX_INT),
        _scaled(tokens_out, "tokens_out", 1, MAX_INT),
        _scaled(cost, "cost", 1_000_000_000, MAX_BIGINT),
        _scaled(latency, "latency_ms", 1_000, MAX_BIGINT),
        _logprobs(logprobs),
    )


def _scaled(value: object, what: str, scale: int, most: int) -> int | None:
    number = _number(value, what, most / scale)
    return None if number is None else min(round(number * scale), most)


def _number(value: object, what: str, most: float) -> float | None:
    """A number of 0 … ``most``; None where missing or empty."""
    if value is None or value == "":
        return None
    try:
        number = float(value) if isinstance(value, (str, int, float)) and value is not True else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= most:
        raise _Bad(f"{what} is {str(value)[:40]!r}, not a number from 0 to {most:.3g}")
    return int(value) if isinstance(value, int) else number


def _logprobs(value: object) -> str | None:
    if isinstance(value, str):
        value = _json(value) if value else None
    if value is None:
        return None
    if isinstance(value, list):
        value = {"content": value}
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list) or not all(
        isinstance(item, dict) and "logprob" in item for item in content
    ):
        raise _Bad("logprobs are not in OpenAI's chat shape", '{"content": [{"token": …, "logprob": …}, …]}')
    return canonical_text(value)


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as failure:
        raise _Bad(f"is not JSON: {failure}") from None
