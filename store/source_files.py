"""The files that an import was given: those named, and those in the folders named, in a fixed order.

Nothing is left out silently: what a folder holds besides known files is told by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from store.errors import InputError
from store.file_rows import format_of

# What a Hugging Face folder says about itself; no rows.
ABOUT = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
SPLIT_WORDS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test",
}  # fmt: skip
_word = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read. ``name`` is what places and records call it: below its folder, never a person's path."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """Files in reading order, and what stands beside them and is not read."""

    files: tuple[SourceFile, ...]
    skipped: tuple[str, ...]


def find_files(given: Iterable[Path]) -> Found:
    """The known files among ``given`` and, sorted by their path below it, in every folder among them.

    A file named by itself is taken whatever its suffix (reading it says what is wrong with it). Raises InputError
    for what is not there, and for a folder in which there is no known file.
    """
    files: list[SourceFile] = []
    skipped: list[str] = []
    for path in given:
        if path.is_dir():
            inside = _folder(path)
            files += inside.files
            skipped += inside.skipped
        elif path.is_file():
            files.append(SourceFile(path, _text(path.name)))
        else:
            raise InputError("no such file", where=str(path))
    return Found(tuple(_named_apart(files)), tuple(skipped))


def split_of(file: SourceFile) -> str:
    """The split that a file's name says, as ``data/test-00000-of-00001.parquet`` does; the last word counts.

    Raises InputError where it says none.

    >>> split_of(SourceFile(Path("dev.csv"), "my-training-data/dev.csv"))
    'validation'
    """
    words = [word for word in _word.findall(file.name.lower()) if word in SPLIT_WORDS]
    if not words:
        raise InputError("its name says no split", where=file.name, todo="--split names one for all files.")
    return SPLIT_WORDS[words[-1]]


def names_say_splits(files: Sequence[SourceFile]) -> bool:
    """Whether every one of several files says a split, and not all the same one."""
    said = [[SPLIT_WORDS[w] for w in _word.findall(file.name.lower()) if w in SPLIT_WORDS] for file in files]
    return all(said) and len({words[-1] for words in said}) > 1


def _folder(top: Path) -> Found:
    files: list[SourceFile] = []
    skipped: list[str] = []
    head = top.name or top.resolve().name
    for folder, folders, names in os.walk(top, onerror=_unreadable):
        below = Path(head) / Path(folder).relative_to(top)
        skipped += [_text(f"{(below / name).as_posix()}/") for name in folders if _left_alone(folder, name)]
        folders[:] = [name for name in folders if not _left_alone(folder, name)]
        for name in names:
            path, told = Path(folder) / name, _text((below / name).as_posix())
            known = not name.startswith(".") and name not in ABOUT and format_of(path) and path.is_file()
            if known:
                files.append(SourceFile(path, told))
            else:
                skipped.append(told)
    files.sort(key=lambda file: file.path.relative_to(top).parts)
    if not files:
        found = f"there are {', '.join(sorted(skipped)[:5])}" if skipped else "it is empty"
        raise InputError(
            f"no file of a known format in this folder: {found}",
            where=str(top),
            todo="It takes .jsonl, .json (a row a line), .csv (each also .gz) and .parquet.",
        )
    return Found(tuple(files), tuple(sorted(skipped)))


def _left_alone(folder: str, name: str) -> bool:
    """Hidden folders, and links to folders, which may lead in a circle."""
    return name.startswith(".") or (Path(folder) / name).is_symlink()


def _unreadable(failure: OSError) -> None:
    raise InputError(failure.strerror or str(failure), where=str(failure.filename)) from None


def _text(name: str) -> str:
    """A file's name as text, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _named_apart(files: list[SourceFile]) -> list[SourceFile]:
    """The same files; where two have one name, the later one is numbered."""
    apart: list[SourceFile] = []
    taken: set[str] = set()
    for file in files:
        name, number = file.name, 1
        while name in taken:
            number += 1
            name = f"{file.name} ({number})"
        taken.add(name)
        apart.append(SourceFile(file.path, name))
    return apart
