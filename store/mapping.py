"""Which field of a file becomes what: the mapping of an import, from flags or from TOML.

    prompt = "question"
    reference = "ground_truth"
    derived = ["steps = count(reference, '<<')"]
    [metadata]
    correct_teacher = "175b_verification.is_correct"
    [outputs.175b_verification]
    text = "175b_verification.solution"

A *path* goes into nested rows by dots; whole numbers count into lists (``choices.0.text``). A key that holds a
dot itself is written ``a\\.b`` or ``"a.b"``.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, fields, replace

from store.errors import InputError
from store.grammar import parse_derived

SOURCES = frozenset(["production", "synthetic", "edge_case"])
SPLITS = frozenset(["train", "validation", "test"])
EVERYTHING = "*"  # as a metadata path: all that is not mapped otherwise

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutputPath:
    """Where one model's answer lies in a row; a row where ``text`` is missing or null has no such output.

    ``cost`` is in the contract's currency, ``latency_ms`` in milliseconds.
    """

    model: str
    text: str
    logprobs: str | None = None
    finish_reason: str | None = None
    tokens_in: str | None = None
    tokens_out: str | None = None
    latency_ms: str | None = None
    cost: str | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """Paths into the rows of a file. Raises InputError where they contradict each other.

    Either ``prompt`` (a text) or ``messages`` (a chat). ``source`` and ``split`` are one of ``SOURCES`` and
    ``SPLITS``, or else a path. ``metadata`` are pairs of name and path; the path ``*`` takes all that is not
    mapped otherwise. ``derived`` are expressions ``name = …`` over text (or prompt), reference and metadata.
    Two outputs of one model are its samples 0 and 1.
    """

    prompt: str | None = None
    messages: str | None = None
    reference: str | None = None
    source: str = "production"
    split: str = "train"
    at: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    outputs: tuple[OutputPath, ...] = ()
    derived: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.prompt is None) == (self.messages is None):
            raise InputError(
                "needs either a prompt or messages",
                where="mapping",
                todo="--prompt FIELD names the prompt's text",
            )
        for path in self.paths():
            path_of(path)
        names = [name for name, path in self.metadata if path != EVERYTHING]
        names += [parse_derived(text)[0] for text in self.derived]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two metadata values are called {name!r}", where="mapping")

    def paths(self) -> list[str]:
        """Every path into the file, ``*`` and constants left out."""
        found = [self.prompt, self.messages, self.reference, self.at]
        found += [self.source] if self.source not in SOURCES else []
        found += [self.split] if self.split not in SPLITS else []
        found += [path for _, path in self.metadata if path != EVERYTHING]
        found += [getattr(output, field) for output in self.outputs for field in OUTPUT_FIELDS]
        return [path for path in found if path is not None]

    @property
    def takes_everything(self) -> bool:
        return any(path == EVERYTHING for _, path in self.metadata)

    @classmethod
    def from_flags(
        cls,
        *,
        prompt: str | None = None,
        messages: str | None = None,
        reference: str | None = None,
        source: str = "production",
        split: str = "train",
        at: str | None = None,
        meta: Iterable[str] = (),
        output: Iterable[str] = (),
        derive: Iterable[str] = (),
    ) -> Mapping:
        """From the values of ``--prompt``, ``--meta`` and so on.

        ``meta`` is ``name=path``, ``path`` (its last key is the name) or ``*``; ``output`` is
        ``model=path[,field=path…]``.

        >>> mapping = Mapping.from_flags(prompt="q", meta=["ok=a.is_correct"], output=["big=a.text,cost=a.usd"])
        >>> mapping.metadata, mapping.outputs[0].model, mapping.outputs[0].cost
        ((('ok', 'a.is_correct'),), 'big', 'a.usd')
        """
        return cls(
            prompt=prompt,
            messages=messages,
            reference=reference,
            source=source,
            split=split,
            at=at,
            metadata=tuple(_metadata_flag(text) for text in meta),
            outputs=tuple(_output_flag(text) for text in output),
            derived=tuple(derive),
        )

    @classmethod
    def from_toml(cls, text: str, *, where: str = "mapping") -> Mapping:
        """From TOML as shown above; ``metadata`` may also be a list of paths, with ``"*"``. Raises InputError."""
        import tomllib

        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as failure:
            raise InputError(f"is not TOML: {failure}", where=where) from None
        _only(table, [field.name for field in fields(cls)], where)
        metadata, outputs = table.pop("metadata", {}), table.pop("outputs", {})
        derived = table.pop("derived", [])
        for key, value in table.items():
            _text(value, f"{where}: {key}")
        return cls(
            **table,
            metadata=_metadata_table(metadata, where),
            outputs=_output_tables(outputs, where),
            derived=tuple(_text(item, f"{where}: derived") for item in _list(derived, f"{where}: derived")),
        )

    def with_derived(self, *derived: str) -> Mapping:
        """This mapping with further derived columns."""
        return replace(self, derived=(*self.derived, *derived))


OUTPUT_FIELDS = tuple(field.name for field in fields(OutputPath))[1:]


def path_of(text: str) -> Path:
    r"""The keys of a path. Raises InputError.

    >>> path_of("a.b"), path_of(r"a\.b.c"), path_of('"a.b".c')
    (('a', 'b'), ('a.b', 'c'), ('a.b', 'c'))
    """
    keys: list[str] = []
    key, at, quoted = "", 0, False
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\" and at < len(text):
            key += text[at]
            at += 1
        elif char == '"' and (quoted or not key):
            quoted = not quoted
        elif char == "." and not quoted:
            keys.append(key)
            key = ""
        else:
            key += char
    keys.append(key)
    if quoted or "" in keys:
        raise InputError(
            f"{text!r} is no path", where="mapping", todo=r"keys joined by dots: a.b, a\.b or \"a.b\""
        )
    return tuple(keys)


def _split_flag(text: str) -> tuple[str, str]:
    """``name=path``; a name may be quoted where it holds ``=``."""
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise InputError(f"{text!r} is not name=path", where="mapping")
    return name, path


def _metadata_flag(text: str) -> tuple[str, str]:
    if text == EVERYTHING:
        return EVERYTHING, EVERYTHING
    return _split_flag(text) if "=" in text else (path_of(text)[-1], text)


def _output_flag(text: str) -> OutputPath:
    first, *rest = text.split(",")
    model, path = _split_flag(first)
    others = dict(_split_flag(item) for item in rest)
    _only(others, OUTPUT_FIELDS, f"mapping: output {model}")
    return OutputPath(model, **{"text": path, **others})


def _metadata_table(value: object, where: str) -> tuple[tuple[str, str], ...]:
    where = f"{where}: metadata"
    if isinstance(value, dict):
        return tuple((name, _text(path, f"{where}.{name}")) for name, path in value.items())
    return tuple(_metadata_flag(_text(item, where)) for item in _list(value, where))


def _output_tables(value: object, where: str) -> tuple[OutputPath, ...]:
    if isinstance(value, list):  # [[outputs]] model = "…" text = "…": several samples of one model
        tables = [item if isinstance(item, dict) else {} for item in value]
        return tuple(
            _output(table.get("model"), {k: v for k, v in table.items() if k != "model"}, f"{where}: outputs")
            for table in tables
        )
    if not isinstance(value, dict):
        raise InputError(
            "must be a table of models", where=f"{where}: outputs", todo='[outputs.my_model] text = "…"'
        )
    return tuple(
        _output(model, table if isinstance(table, dict) else {"text": table}, f"{where}: outputs.{model}")
        for model, table in value.items()
    )


def _output(model: object, paths: dict[str, object], where: str) -> OutputPath:
    _only(paths, OUTPUT_FIELDS, where)
    if "text" not in paths:
        raise InputError("has no text", where=where)
    if model is None:
        raise InputError("has no model", where=where)
    return OutputPath(_text(model, where), **{name: _text(path, where) for name, path in paths.items()})


def _only(table: AnyMapping[str, object], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"does not know {key!r}", where=where, todo=f"it knows {', '.join(known)}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"must be a text, not {value!r}", where=where)
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise InputError("must be a list", where=where)
    return value
