"""A mapping written down: as TOML that reads back as the same mapping, and as flags of a command line."""

from __future__ import annotations

from dataclasses import fields

import msgspec

from store.mapping import EVERYTHING, OUTPUT_FIELDS, Mapping, OutputPath

_DEFAULTS = {field.name: field.default for field in fields(Mapping)}
_TEXTS = ("prompt", "messages", "reference", "source", "split", "at")


def as_toml(mapping: Mapping) -> str:
    """The mapping as TOML; ``Mapping.from_toml`` reads the same mapping from it.

    >>> print(as_toml(Mapping(prompt="q", metadata=(("*", "*"),), outputs=(OutputPath("big", "a.text"),))), end="")
    prompt = "q"
    <BLANKLINE>
    [metadata]
    "*" = "*"
    <BLANKLINE>
    [outputs."big"]
    text = "a.text"
    """
    lines = [
        f"{name} = {_string(value)}"
        for name in _TEXTS
        if (value := getattr(mapping, name)) not in (None, _DEFAULTS[name])
    ]
    if mapping.derived:
        lines += ["derived = [", *(f"    {_string(text)}," for text in mapping.derived), "]"]
    if mapping.metadata:
        lines += ["", "[metadata]"]
        lines += [f"{_string(name)} = {_string(path)}" for name, path in dict(mapping.metadata).items()]
    models = [output.model for output in mapping.outputs]
    for output in mapping.outputs:
        if len(set(models)) == len(models):
            lines += ["", f"[outputs.{_string(output.model)}]"]
        else:  # several samples of one model: their order counts
            lines += ["", "[[outputs]]", f"model = {_string(output.model)}"]
        lines += [f"{name} = {_string(path)}" for name, path in _paths(output)]
    return "\n".join(lines).lstrip("\n") + "\n"


def as_flags(mapping: Mapping) -> list[str]:
    """The mapping as words of a command line; ``Mapping.from_flags`` means the same by them.

    An output whose model or path holds ``=`` or ``,`` has no flag and is left out: TOML can say it.

    >>> as_flags(Mapping(prompt="q", outputs=(OutputPath("big", "a.text", cost="a.usd"),)))
    ['--prompt', 'q', '--output', 'big=a.text,cost=a.usd']
    """
    words: list[str] = []
    for name in _TEXTS:
        value = getattr(mapping, name)
        if value not in (None, _DEFAULTS[name]):
            words += [f"--{name}", value]
    for output in mapping.outputs:
        (_, text), *more = _paths(output)
        parts = [f"{output.model}={text}", *(f"{name}={path}" for name, path in more)]
        if all(part.count("=") == 1 and "," not in part for part in parts):
            words += ["--output", ",".join(parts)]
    for name, path in mapping.metadata:
        words += ["--meta", path if EVERYTHING in (name, path) and name == path else f"{name}={path}"]
    for text in mapping.derived:
        words += ["--derive", text]
    return words


def _paths(output: OutputPath) -> list[tuple[str, str]]:
    """The fields of an output that are mapped, ``text`` first."""
    return [(name, path) for name in OUTPUT_FIELDS if (path := getattr(output, name)) is not None]


def _string(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
