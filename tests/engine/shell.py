"""The `spiritsafe` command for tests: in this process where that is faster, with its JSON answer decoded."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.cli import main

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """Exit code, standard output and error of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The one JSON document on standard error."""
        return json.loads(self.err)


class Shell:
    """Commands on one store; ``close`` stops its hub."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def __call__(self, *words: object, code: int = 0) -> Any:
        """Run with --json, insist on the exit code, return the JSON answer (None where there is none)."""
        answer = self.try_("--json", *words)
        assert answer.code == code, f"{words}: exit {answer.code}\n{answer.out}\n{answer.err}"
        return answer.json if answer.out else None

    def refused(self, *words: object, code: int) -> str:
        """Run, insist on a refusal with this exit code, return what it said."""
        answer = self.try_("--json", *words)
        assert answer.code == code, f"{words}: exit {answer.code}\n{answer.out}\n{answer.err}"
        assert answer.error["what"], words
        return str(answer.error["what"])

    def try_(self, *words: object) -> Answer:
        """Run in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(["--store", str(self.store), *map(str, words)])
            except SystemExit as end:
                code = int(end.code or 0)
        return Answer(code, out.getvalue(), err.getvalue())

    def apart(self, *words: object) -> subprocess.Popen[str]:
        """Start as a process of its own, as a user does."""
        command = [sys.executable, "-m", "console.cli", "--store", str(self.store), *map(str, words)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"SPIRITSAFE_IDLE_SECONDS": "5"},
        )  # fmt: skip

    def close(self) -> None:
        """Stop the hub, whether one runs or not."""
        if self.store.exists():
            self.try_("stop")
