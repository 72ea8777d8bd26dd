"""The small project built anew, as on another machine: ``python -m tests.engine.elsewhere FOLDER`` prints its hashes.

Its rows come three by three, the test before the training data, and the hub works under this process' locale, time zone
and hash seed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.engine.routing import CONTRACT, TEST, TRAIN, WORDS, rows
from tests.engine.shell import Shell

AT_ONCE = 3


def hashes(shell: Shell) -> dict[str, str]:
    """Those of contract, evaluation set, harness and dataset version, the stages before them run in order."""
    told = {"contract": shell("contract", "show")["hash"]}
    frozen = shell("evaluation", "freeze")
    told |= {"set": frozen["set_sha256"], "harness": frozen["harness_sha256"]}
    for words in (("check",), ("dedup",)):
        shell(*words)
    return told | {"dataset": shell("dataset", "freeze")["dataset_sha256"]}


def main(folder: Path) -> None:
    """Build it and print."""
    shell = Shell(folder / "elsewhere.duckdb")
    try:
        for split, some in (("test", TEST), ("train", TRAIN)):
            words = [split if word == "$.split" else word for word in WORDS]
            for number in range(0, len(some), AT_ONCE):
                path = rows(folder / f"{split}-{number}.jsonl", some[number : number + AT_ONCE], split)
                shell("import", "--retrospective", "r", path, *words)
        (folder / "elsewhere.toml").write_text(f"# the same page\n{CONTRACT}")
        shell("contract", "lock", folder / "elsewhere.toml")
        print(json.dumps(hashes(shell)))  # noqa: T201 - what the test reads
    finally:
        shell.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
