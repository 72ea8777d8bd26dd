"""The rejects file of an import: one line ``file:line: why`` for each row that was not taken.

The rows themselves stay where they are: the place finds them (``sed -n 17p prompts.jsonl``).
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from store.errors import InputError


class Rejects:
    """Lines go to a hidden file beside ``path`` as they come, which takes its name when the block ends well.

    Where the block ends by an error nothing is left and an older file at ``path`` stays as it was. Raises
    InputError where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._file = self._draft.open("w", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(error.strerror or str(error), where=str(path)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.keep()
        finally:
            self._file.close()
            self._draft.unlink(missing_ok=True)

    def add(self, failure: InputError) -> None:
        """Note one row's fault."""
        what = failure.what.replace("\n", " ").replace("\r", " ")
        self._file.write(f"{failure.where}: {what}\n")
        self.count += 1

    def keep(self) -> None:
        """Make the file appear under its name, with what it holds by now."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._draft.exists():
            self._draft.replace(self.path)
