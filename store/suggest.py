"""A first look at a file: the keys of its rows, and the mapping that they suggest.

A guess by the names that data sets and logs use, to be read and corrected by a person; nothing is imported by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from store.errors import InputError
from store.file_rows import RowFile
from store.mapping import EVERYTHING, SOURCES, SPLITS, Mapping, OutputPath
from store.source_files import SourceFile

LOOKED_AT = 20  # rows
DEEPEST = 6
Keys = tuple[str, ...]
Leaves = dict[Keys, list[Any]]  # the values that were found at each path

# Names by rank: the first that is there is meant.
PROMPTS = (
    "prompt",
    "question",
    "query",
    "instruction",
    "user_message",
    "input",
    "problem",
    "request",
    "text",
    "body",
    "content",
)
MESSAGES = ("messages", "conversation", "conversations", "chat", "input")
REFERENCES = (
    "reference", "ground_truth", "reference_answer", "gold", "gold_answer", "expected", "expected_output", "label", "category",
    "target", "answer", "solution", "intent",
)  # fmt: skip
ANSWERS = (
    "output",
    "response",
    "completion",
    "generation",
    "prediction",
    "model_output",
    "answer",
    "solution",
    "content",
    "text",
)
TIMES = ("at", "timestamp", "time", "created_at", "created", "datetime", "date", "ts")
FURTHER = {
    "logprobs": ("logprobs",), "finish_reason": ("finish_reason", "stop_reason"),
    "tokens_in": ("prompt_tokens", "input_tokens", "tokens_in"),
    "tokens_out": ("completion_tokens", "output_tokens", "tokens_out"), "latency_ms": ("latency_ms",), "cost": ("cost",),
}  # fmt: skip
# Keys that say how an answer is wrapped, not who gave it.
WRAPPERS = frozenset(
    ["response", "output", "completion", "result", "choices", "message", "body", "usage", "0"]
)


def first_rows(file: SourceFile, count: int = LOOKED_AT) -> list[dict[str, Any]]:
    """The first rows that can be read. Raises InputError where the file cannot be read at all."""
    rows = islice(RowFile(file.path, batch=count, name=file.name), count)
    return [row for _, row in rows if not isinstance(row, InputError)]


def keys_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The paths to what the rows hold, in order of appearance, as a mapping names them."""
    return [_path(keys) for keys in _leaves(rows)]


def suggest(rows: Sequence[dict[str, Any]]) -> Mapping | None:
    """A mapping that the names of the keys suggest; None where nothing looks like a prompt.

    >>> row = {"question": "2+2?", "ground_truth": "4", "big": {"solution": "4", "ok": True}}
    >>> mapping = suggest([row])
    >>> mapping.prompt, mapping.reference, mapping.outputs[0].model, mapping.outputs[0].text
    ('question', 'ground_truth', 'big', 'big.solution')
    """
    leaves = _leaves(rows)
    texts = [keys for keys, values in leaves.items() if all(isinstance(value, str) for value in values)]
    chat = _named([keys for keys, values in leaves.items() if _is_chat(values)], MESSAGES)
    prompt = None if chat else _named(texts, PROMPTS)
    start = chat or prompt
    if start is None:
        return None
    left = [keys for keys in texts if keys != start]
    answers = _answers(left)
    reference = _named([keys for keys in left if keys not in answers], REFERENCES)
    if reference is None and len(answers) == 1 and answers[0][-1] in REFERENCES and len(answers[0]) == 1:
        reference, answers = answers[0], []  # question and answer: the answer is the right one
    taken = {start, reference, *answers}
    at = _named([keys for keys in leaves if keys not in taken], TIMES)
    return Mapping(
        prompt=None if prompt is None else _path(prompt),
        messages=None if chat is None else _path(chat),
        reference=None if reference is None else _path(reference),
        source=_constant_or_path(leaves, "source", SOURCES, "production"),
        split=_constant_or_path(leaves, "split", SPLITS, "train"),
        at=None if at is None else _path(at),
        metadata=((EVERYTHING, EVERYTHING),) if len(leaves) > len(taken - {None}) + (at is not None) else (),
        outputs=tuple(_output(keys, leaves) for keys in answers),
    )


def _leaves(rows: Sequence[dict[str, Any]]) -> Leaves:
    """What is at every path that does not lead further; null counts as nothing there."""
    found: Leaves = {}

    def look(value: Any, keys: Keys) -> None:
        deeper = len(keys) < DEEPEST and keys[-1:] != ("logprobs",)
        if isinstance(value, dict) and value and deeper and "" not in value:
            for key, inner in value.items():
                look(inner, (*keys, key))
        elif isinstance(value, list) and value and keys[-1:] == ("choices",):
            look(value[0], (*keys, "0"))
        elif value is not None and keys:
            found.setdefault(keys, []).append(value)

    for row in rows:
        look(row, ())
    return found


def _is_chat(values: list[Any]) -> bool:
    return all(
        isinstance(value, list) and value and all(isinstance(m, dict) and "role" in m for m in value)
        for value in values
    )


def _named(paths: Sequence[Keys], names: Sequence[str]) -> Keys | None:
    """The path whose last key stands first among ``names``; the shortest of several."""
    ranked = [(names.index(keys[-1].lower()), len(keys), keys) for keys in paths if keys[-1].lower() in names]
    return min(ranked)[2] if ranked else None


def _answers(paths: Sequence[Keys]) -> list[Keys]:
    """What models seem to have answered: at most one text a model, by its name."""
    found: dict[Keys, Keys] = {}
    for keys in paths:
        name, top = keys[-1].lower(), _whose(keys)
        if name not in ANSWERS or (len(keys) == 1 and name in ("text", "content", "solution")):
            continue
        held = found.get(top)
        if held is None or ANSWERS.index(name) < ANSWERS.index(held[-1].lower()):
            found[top] = keys
    return list(found.values())


def _output(keys: Keys, leaves: Leaves) -> OutputPath:
    """The output at ``keys``, with what else stands nearest to it."""
    further = {}
    for field, names in FURTHER.items():
        near = [other for other in leaves if other[-1] in names and _whose(other) == _whose(keys)]
        if near:
            further[field] = _path(max(near, key=lambda other: _shared(keys, other)))
    return OutputPath(_model(keys, leaves), _path(keys), **further)


def _whose(keys: Keys) -> Keys:
    """What a value is a part of, wrappings left out."""
    return tuple(key for key in keys[:-1] if key not in WRAPPERS)


def _shared(keys: Keys, other: Keys) -> int:
    """How many keys two paths begin with in common."""
    return next((i for i, (a, b) in enumerate(zip(keys, other, strict=False)) if a != b), 0)


def _model(keys: Keys, leaves: Leaves) -> str:
    """Who answered: the key that wraps the answer, else the one model that the rows name, else ``teacher``."""
    if _whose(keys):
        return _whose(keys)[-1]
    named = [set(map(str, values)) for path, values in leaves.items() if path[-1] in ("model", "model_name")]
    return named[0].pop() if len(named) == 1 and len(named[0]) == 1 else "teacher"


def _constant_or_path(leaves: Leaves, name: str, known: frozenset[str], default: str) -> str:
    """The path of ``name`` where all its values are known ones, else the default."""
    values = leaves.get((name,), [])
    fits = values and all(isinstance(value, str) and value in known for value in values)
    return name if fits else default


def _path(keys: Keys) -> str:
    r"""Keys as a path that ``path_of`` reads back.

    >>> _path(("a.b", 'say "x"', "c"))
    'a\\.b.say \\"x\\".c'
    """
    return ".".join("".join(f"\\{c}" if c in '\\."' else c for c in key) for key in keys)
