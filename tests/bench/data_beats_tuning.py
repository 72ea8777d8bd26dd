"""Does clean data beat tuning? banking77 with wrong answers injected and intents skewed, through the whole product:

    python -m tests.bench.data_beats_tuning [--seeds 1,2,3] [--noise confused,uniform] [--folder .bench/beats]

The world: a production log of 5,002 real queries (half B of the training file) whose intents are known, as agents'
dispositions are; nothing else of their gold labels is seen by the tool. The teacher (learnt on half A) answers them
through an endpoint, and 15 % of its answers are swapped with another label, probabilities and all: ``confused`` with
one of its next three, ``uniform`` with any. Of 25 intents only a fifth of the log was answered, of the others three
quarters: that is the dirty dataset. Then, on the one hand, the same data and other training options; on the other
hand the same student (hard labels, C = 10) and other data: near-duplicates and failing checks dropped; weights that
match production; or samples asked for until every intent has its share, and 500 verdicts on what held-out students
doubt most, gold as the reviewer: every sample called bad is dropped, and others are asked for.
Worst ten: the mean accuracy of those ten intents of 77 that are worst.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from store.client import Client
from tests.engine.label_server import LabelServer, LabelTeacher, Prepared, halves, rows_of
from tests.engine.shell import Shell
from tests.engine.test_banking77_story import DATA, contract_of

ROOT = Path(__file__).parents[2]
PROJECT, TEACHER = "banking", "label-teacher"
WRONG, RARE, RARE_SHARE, SHARE, VERDICTS = 0.15, 25, 0.2, 0.75, 500
OPTIONS: dict[str, tuple[object, ...]] = {
    "soft labels, T = 1": ("--mode", "soft", "--temperature", 1),
    "soft labels, T = 2": ("--mode", "soft", "--temperature", 2),
    "soft labels, T = 4": ("--mode", "soft", "--temperature", 4),
    "C = 1": ("--mode", "hard", "--c", 1),
    "C = 100": ("--mode", "hard", "--c", 100),
    "words alone": ("--mode", "hard", "--words", 1),
    "phrases of three words": ("--mode", "hard", "--words", 3, "--features", 200_000),
    "2,000 features": ("--mode", "hard", "--features", 2_000),
}
PLAIN = ("--mode", "hard")


class Doubtful(LabelTeacher):
    """The teacher with answers swapped: the same wrong answer every time it is asked."""

    def __init__(self, taught: LabelTeacher, noise: str, seed: int) -> None:
        self.labels, self.codes = taught.labels, taught.codes
        self.taught, self.noise, self.seed = taught, noise, seed

    def log_probabilities(self, texts: Sequence[str]) -> Any:
        return [
            self._swapped(text, row)
            for text, row in zip(texts, self.taught.log_probabilities(texts), strict=True)
        ]

    def _swapped(self, text: str, row: Any) -> Any:
        draw = np.random.default_rng([self.seed, *text.encode()])
        if draw.random() >= WRONG:
            return row
        order = np.argsort(-row, kind="stable")
        other = order[1 + draw.integers(3)] if self.noise == "confused" else order[1 + draw.integers(76)]
        row = row.copy()
        row[[order[0], other]] = row[[other, order[0]]]
        return row


@dataclass(slots=True)
class World:
    """One store, its teacher, and the truth about it, which only the reviewer may ask."""

    shell: Shell
    folder: Path
    gold: dict[str, str]
    codes: dict[str, str]
    named: dict[str, str] = field(default_factory=dict)  # model -> row of the table

    def ask(self, shares: dict[str, int], server: LabelServer) -> dict[str, Any]:
        """Ask for so many samples of each intent, and let the teacher answer them."""
        with Client(self.shell.store) as store:
            for intent, samples in shares.items():
                payload = {"where": f"intent = '{intent}'", "samples": samples, "about": "coverage"}
                store.act("samples.request", PROJECT, payload)
        return self.shell("generate", "--requests", "--endpoint", server.base_url, "--in-flight", "8")

    def train(self, row: str, *options: object) -> None:
        """Train a student on the newest version."""
        try:
            self.named[self.shell("train", *options)["model"]] = row
        except AssertionError as error:
            if "is this very student" not in str(error):
                raise
            print(f"  {row}: the same student as before")

    def judge(self, plan: str) -> Counter[str]:
        """Verdicts by gold on all that a plan drew."""
        said: Counter[str] = Counter()
        with Client(self.shell.store) as store:
            spec = {"kind": "audit", "project": PROJECT, "model": TEACHER, "plan": plan}
            queue = store.call("open_queue", spec=spec)
            subjects: list[str] = []
            for low in range(0, queue["length"], 1000):
                rows = store.call("window", queue=queue["id"], low=low, high=low + 1000)
                subjects += [row[1] for row in rows]
            store.call("close_queue", queue=queue["id"])
            found = self.shell(
                "sql", "select o.output_id, a.text, o.text from outputs o join arrivals a using (arrival_key)",
                "--limit", "100000",
            )["rows"]  # fmt: skip
            answer = {output: (prompt, text) for output, prompt, text in found}
            for subject in subjects[:VERDICTS]:  # a weighted draw has its size by chance
                prompt, text = answer[subject]
                right = self.codes[text.strip()] == self.gold[prompt]
                payload = {"queue": "audit", "subject": subject, "verdict": "ok" if right else "bad"}
                store.act("verdict", PROJECT, payload if right else payload | {"reason": 1})
                said["ok" if right else "bad"] += 1
        return said


def main() -> None:
    """Run every world and print the table of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--noise", default="confused,uniform")
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench" / "beats")
    options = parser.parse_args()
    os.environ.setdefault("SPIRITSAFE_IDLE_SECONDS", "600")
    texts, labels = rows_of(DATA / "banking77_train.csv")
    half_a, half_b = halves(len(texts), seed=13)
    log = [(texts[i], labels[i]) for i in half_b]
    test = list(zip(*rows_of(DATA / "banking77_test.csv"), strict=True))
    taught = LabelTeacher([texts[i] for i in half_a], [labels[i] for i in half_a])
    asked = [text for text, _ in log + test]
    prepared = Prepared(taught.labels, asked, taught.log_probabilities(asked))
    told: dict[str, list[dict[str, tuple[float, float]]]] = {}
    for seed in map(int, options.seeds.split(",")):
        for noise in options.noise.split(","):
            start = time.perf_counter()
            folder = options.folder / f"{noise}-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            table = one_world(folder, prepared, (noise, seed), log, test)
            told.setdefault(noise, []).append(table)
            (folder / "table.json").write_text(json.dumps(table))
            print(f"{noise}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    for noise, tables in told.items():
        print_table(noise, tables)


def one_world(
    folder: Path, taught: LabelTeacher, drawn: tuple[str, int], log: list[Any], test: list[Any]
) -> dict[str, tuple[float, float]]:
    """Row of the table -> (accuracy, worst ten) in one world."""
    noise, seed = drawn
    shell = Shell(folder / "store.duckdb")
    teacher = Doubtful(taught, noise, seed)
    world = World(shell, folder, dict(log), teacher.codes)
    counts = Counter(label for _, label in log)
    rare = set(np.random.default_rng(seed).permutation(sorted(counts))[:RARE].tolist())
    skewed = {i: round(n * (RARE_SHARE if i in rare else SHARE)) for i, n in counts.items()}
    due = {i: round(n * SHARE) for i, n in counts.items()}  # production's shares, by adding alone
    try:
        begin(world, log, test)
        with LabelServer(teacher) as server:
            shell("generate", "--split", "test", "--endpoint", server.base_url, "--in-flight", "8")
            world.ask(skewed, server)
            shell("check")
            shell("dedup")
            tune(world)
            control(world, sum(due.values()), server)
            clean(world, due, server)
        return scores(world)
    finally:
        shell.close()


def begin(world: World, log: list[Any], test: list[Any]) -> None:
    """The contract, the log (no gold: its intents name the buckets), the evaluation set."""
    shell, folder = world.shell, world.folder
    shell("init", PROJECT, "--contract", folder / "template.toml")
    text = contract_of(LabelTeacherCodes(world.codes))  # type: ignore[arg-type]  # it reads the codes alone
    (folder / "contract.toml").write_text(text + '[coverage]\ndimensions = ["intent"]\n')
    shell("contract", "lock", folder / "contract.toml")
    rows = "".join(json.dumps({"q": q, "intent": intent}) + "\n" for q, intent in log)
    (folder / "log.jsonl").write_text(rows)
    rows = "".join(json.dumps({"q": q, "gold": gold, "intent": gold}) + "\n" for q, gold in test)
    (folder / "test.jsonl").write_text(rows)
    shell("import", folder / "log.jsonl", "--prompt", "q", "--meta", "intent", "--source", "production")
    shell("import", folder / "test.jsonl", "--prompt", "q", "--meta", "intent", "--reference", "gold",
          "--split", "test", "--source", "edge_case")  # fmt: skip
    shell("evaluation", "freeze")


@dataclass(frozen=True, slots=True)
class LabelTeacherCodes:
    """What the contract's text wants of a teacher."""

    codes: dict[str, str]


def tune(world: World) -> None:
    """The dirty data, and every training option on it."""
    shell = world.shell
    shell("dataset", "freeze", "--keep-duplicates", "--keep-failing")
    world.train("dirty data, the student as it is", *PLAIN)
    for row, options in OPTIONS.items():
        world.train(f"dirty data, {row}", *options)


def clean(world: World, due: dict[str, int], server: LabelServer) -> None:
    """The data, step by step; the student stays."""
    shell = world.shell
    freeze(world, "filter and near-duplicates")
    freeze(world, "… and weights that match production", "--match-production", "weights", "--by", "intent")
    told = world.ask(due, server)
    print(f"  asked for {told['called']} more")
    shell("check")
    shell("dedup")
    freeze(world, "filter, and samples asked for where thin")
    told = shell("crossfit")
    print(f"  held-out students agree on {told['same']} of {told['samples']}")
    plan = shell("audit", "plan", "--mode", "weighted", "--suspicion", "held_out", "--n", VERDICTS, "--gate", "0.2",
                 "--floor", "0.1", "--where", "split = 'train'")  # fmt: skip
    said = world.judge(plan["plan"])
    print(f"  {said['bad']} of {said.total()} verdicts say bad")
    freeze(world, f"… and an audit of {VERDICTS}")
    told = world.ask(due, server)  # what was called bad leaves its bucket thin again
    print(f"  asked for {told['called']} in place of those")
    shell("check")
    shell("dedup")
    freeze(world, "… and others asked for in place of the bad")
    world.train("all of it, and soft labels, T = 2", *OPTIONS["soft labels, T = 2"])


def control(world: World, size: int, server: LabelServer) -> None:
    """As many samples as were asked for, drawn without looking, in a copy of the store."""
    aside = world.folder / "control.duckdb"
    world.shell("backup", aside)
    other = World(Shell(aside), world.folder, world.gold, world.codes)
    try:
        with Client(aside) as store:
            for intent in sorted(set(world.gold.values())):
                store.act(
                    "samples.request", PROJECT, {"where": f"intent = '{intent}'", "samples": 0, "about": ""}
                )
            payload = {"where": "split = 'train'", "samples": size, "about": "control"}
            store.act("samples.request", PROJECT, payload)
        other.shell("generate", "--requests", "--endpoint", server.base_url, "--in-flight", "8")
        other.shell("check")
        other.shell("dedup")
        other.shell("dataset", "freeze", "--keep-duplicates", "--keep-failing")
        other.train("control: as many more, not chosen", *PLAIN)
        (world.folder / "control.json").write_text(json.dumps(scores(other)))
    finally:
        other.shell.close()


def freeze(world: World, row: str, *options: object) -> None:
    """A version and the student as it is on it."""
    told = world.shell("dataset", "freeze", *options)
    print(f"  {row}: {told['samples']} samples, dropped {told['dropped']}", flush=True)
    world.train(row, *PLAIN)


def scores(world: World) -> dict[str, tuple[float, float]]:
    """What each student scores on the frozen set."""
    told = world.shell("evaluate")["models"]
    found = {}
    for model, row in ({TEACHER: "the teacher, wrong answers injected"} | world.named).items():
        per = sorted(label["right"] / label["support"] for label in told[model]["labels"] if label["support"])
        found[row] = (float(told[model]["accuracy"]), sum(per[:10]) / 10)
    control_told = world.folder / "control.json"
    if control_told.exists():
        found |= json.loads(control_told.read_text())
    return found


def print_table(noise: str, tables: list[dict[str, tuple[float, float]]]) -> None:
    """Means over worlds, and the spread of the worst ten."""
    show: Callable[[str], None] = sys.stdout.write  # type: ignore[assignment]
    show(f"\n{noise}, {len(tables)} worlds\n| what | accuracy | worst ten | from … to |\n|---|---|---|---|\n")
    for row in dict.fromkeys(row for table in tables for row in table):
        found = [table[row] for table in tables if row in table]
        accuracy, worst = (sum(f[i] for f in found) / len(found) for i in (0, 1))
        lows = [f[1] for f in found]
        show(f"| {row} | {accuracy:.3f} | {worst:.3f} | {min(lows):.3f} … {max(lows):.3f} |\n")


if __name__ == "__main__":
    main()
