"""The GSM8K story without a screen: import, freeze, judge, decide, export, verify, and every way to tamper.

OpenAI's published solutions of four models to the 1,319 test problems, as a retrospective project: the numbers
are those counted from the file itself.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.engine.shell import Shell

BESIDE = Path(__file__).parents[2] / ".." / "shared" / "data"
FILE = Path(os.environ.get("SPIRITSAFE_DATA", BESIDE)) / "gsm8k" / "example_model_solutions.jsonl"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
TEACHER, STUDENT = "175b_verification", "6b_finetuning"

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"no {FILE}")

CONTRACT = """
[task]
name = "gsm8k"
kind = "text"
instruction = "Solve the problem; the last line is A: and the number."
input_example = "How many?"
output_example = "A: 3"
metric = "number"
[teacher]
name = "175b_verification"
model = "175b_verification"
version = "2021-10"
why = "best of the four"
[gate]
level = "0.95"
margin = 0.03
minimum_n = 200
attempts = 3
[[gate.slice]]
name = "few steps"
where = "steps <= 2"
margin = 0.05
[[gate.slice]]
name = "many steps"
where = "steps >= 5"
margin = 0.05
critical = true
[[gate.slice]]
name = "long prompts"
where = "len(prompt) > 300"
margin = 0.05
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "root"
[[checks]]
name = "number"
kind = "number"
"""


def import_words() -> list[str]:
    words = ["--prompt", "question", "--reference", "ground_truth", "--split", "test"]
    for model in MODELS:
        words += ["--output", f"{model}={model}.solution", "--meta", f"correct_{model}={model}.is_correct"]
    return [*words, "--derive", "steps = count(reference, '<<')", "--teacher", TEACHER, "--student", STUDENT]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Every command once; what each of them answered, and the shell itself."""
    folder = tmp_path_factory.mktemp("gsm8k")
    shell = Shell(folder / "g.duckdb")
    told: dict[str, Any] = {"shell": shell, "folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
        try:
            told["import"] = shell("import", "--retrospective", "gsm8k", FILE, *import_words())
            told["again"] = shell("import", FILE, *import_words())
            (folder / "contract.toml").write_text(CONTRACT)
            shell("contract", "lock", folder / "contract.toml")
            told["evaluation"] = shell("evaluation", "freeze")
            told["check"] = shell("check", "--all-models")
            shell("dedup")
            shell("baselines")
            shell("baselines")
            told["evaluate"] = shell("evaluate")
            told["queue"] = shell("queue", "disagreements", "--rows", 5)
            told["gate"] = shell("gate", code=1)
            told["ship"] = shell.refused("decide", "ship", "--why", "it is smaller", code=4)
            shell("decide", "iterate", "--why", "a third of what the teacher solves")
            told["export"] = shell("export", "--to", folder / "out")["written"]
            told["verify"] = shell("verify", told["export"][0])
            yield told
        finally:
            shell.close()


def test_a_file_is_imported_once(story: dict[str, Any]) -> None:
    assert (story["import"]["arrivals"], story["import"]["outputs"]) == (1319, 5276)
    assert (story["again"]["arrivals"], story["again"]["outputs"]) == (0, 0)
    assert story["again"]["already_imported"] == [FILE.name]


def test_the_number_check_agrees_with_every_published_judgement(story: dict[str, Any]) -> None:
    differ = (
        "select count(*), count(*) filter (where c.passed <> (a.metadata->>('correct_' || o.model) = 'true'))"
    )
    rows = story["shell"](
        "sql", f"{differ} from check_results c join output o using (output_key) join arrival a using (arrival_key)"
    )  # fmt: skip
    assert rows["rows"] == [[5276, 0]]


def test_accuracies_and_paired_counts_are_those_of_the_file(story: dict[str, Any]) -> None:
    models = story["evaluate"]["models"]
    assert (models[TEACHER]["accuracy"], models[STUDENT]["accuracy"]) == ("0.5625", "0.2168")
    assert models[STUDENT]["outputs_by"] == ["import"]
    assert models["majority"]["n"] == 1319  # added once, however often asked for
    whole, *slices = story["gate"]["counts"]
    assert (whole["teacher_only"], whole["student_only"], whole["n"]) == (499, 43, 1319)
    assert story["queue"]["length"] == 542
    assert {s["slice"]: s["n"] for s in slices} == {"few steps": 440, "many steps": 225, "long prompts": 286}


def test_slices_are_counted_as_by_hand(story: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in FILE.read_text().splitlines()]
    slices: dict[str, Callable[[dict[str, Any]], bool]] = {
        "few steps": lambda r: r["ground_truth"].count("<<") <= 2,
        "many steps": lambda r: r["ground_truth"].count("<<") >= 5,
        "long prompts": lambda r: len(r["question"]) > 300,
    }
    for name, holds in slices.items():
        pairs = [(r[TEACHER]["is_correct"], r[STUDENT]["is_correct"]) for r in rows if holds(r)]
        found = next(c for c in story["gate"]["counts"] if c["slice"] == name)
        assert found["teacher_only"] == pairs.count((True, False))
        assert found["student_only"] == pairs.count((False, True))
        assert found["both_right"] == pairs.count((True, True))


def test_the_gate_fails_ship_is_refused_and_the_record_is_sound(story: dict[str, Any]) -> None:
    assert story["gate"]["gate"]["judgement"] == "fail"
    assert "ship is refused" in story["ship"]
    assert [Path(path).suffix for path in story["export"]] == [".json", ".md"]
    assert "# ITERATE: gsm8k" in Path(story["export"][1]).read_text()
    assert story["verify"]["sound"]
    assert story["verify"]["checked"]["numbers"] > 200


def test_any_changed_byte_of_the_record_is_found_and_named(story: dict[str, Any]) -> None:
    shell, path = story["shell"], Path(story["export"][0])
    whole = path.read_bytes()
    changed = story["folder"] / "changed.json"
    chance = random.Random(13)
    positions = chance.sample(range(len(whole)), 24)
    positions += [
        whole.index(part) for part in (b"\n", b" ", b'"project"', b"evidence", b'"store"', b'"sha256"')
    ]
    positions += [whole.index(b'"sha256"') + 12, whole.index(b'"student_right"') + 17, len(whole) - 1]
    for at in positions:
        odd = (whole[at] + 1) % 128, 13 if whole[at] == 10 else 9, 0xFF
        byte = chance.choice([b for b in odd if b != whole[at]])
        changed.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        answer = shell.try_("--json", "verify", changed)
        told = f"byte {at}, {whole[at - 10 : at + 10]!r} -> {byte}: {answer}"
        assert answer.code != 0, told
        assert answer.json["differences"] if answer.code == 1 else "changed.json" in answer.error["where"], (
            told
        )
    assert shell("verify", path)["sound"]


def test_a_changed_figure_is_named_by_its_path(story: dict[str, Any]) -> None:
    path = Path(story["export"][0])
    changed = story["folder"] / "figure.json"
    changed.write_text(path.read_text().replace('"student_right": 286', '"student_right": 287'))
    found = story["shell"]("verify", changed, code=1)
    assert found["differences"][0] == {
        "where": "record.evidence.slices[0].student_right", "recorded": "287", "found": "286",
    }  # fmt: skip


def test_what_people_and_stages_do_later_breaks_no_older_record(
    story: dict[str, Any], tmp_path: Path
) -> None:
    shell = story["shell"]
    row = story["queue"]["rows"][0]
    shell("verdict", "disagreements", row["subject"], "left")
    audit = shell("queue", "audit", "--rows", 1)["rows"][0]["subject"]
    shell("verdict", "audit", audit, "bad", "--reason", 1)
    shell("undo")
    shell("check", "--all-models")
    first = json.loads(FILE.read_text().splitlines()[0])
    more = tmp_path / "more.jsonl"
    late = {"prompt": first["question"], "late": first["ground_truth"], "known": first["ground_truth"]}
    more.write_text(json.dumps(late) + "\n")
    words = ("import", "--predictions", more, "--prompt", "prompt")
    shell(*words, "--output", "late=late", "--student", "late")
    assert "answered before" in shell.refused(*words, "--output", f"{STUDENT}=known", code=3)
    shell("evaluate")
    shell("gate", "--student", STUDENT, code=1)
    (tmp_path / "contract.toml").write_text(CONTRACT.replace("attempts = 3", "attempts = 4"))
    shell("contract", "lock", tmp_path / "contract.toml")
    (tmp_path / "contract.toml").write_text(CONTRACT.replace("steps >= 5", "steps >= 6"))
    shell("contract", "lock", tmp_path / "contract.toml")
    assert "changed since" in shell.refused("gate", code=4)
    shell("evaluation", "freeze")
    assert "earlier evaluation set" in shell.refused("decide", "kill", "--why", "x", code=4)
    shell("evaluate")
    spent = shell("gate", "--student", STUDENT, code=1)["protocol"]["attempts_spent"]
    assert spent == 2  # new slices over the same prompts buy no new attempts
    shell("decide", "kill", "--why", "enough", "--student", STUDENT)
    newer = shell("export", "--to", tmp_path)["written"][0]
    assert shell("verify", story["export"][0])["sound"]
    assert shell("verify", newer)["sound"]


CHANGES = {
    "table output, row 7": "update output set text = text || ' ' where output_key = (select min(output_key) + 7 from output)",
    "table score": "update score set value = 1 - value where score_key = (select min(score_key) + 3 from score)",
    "table arrival": "update arrival set reference = 'A: 1' where arrival_key = (select min(arrival_key) from arrival)",
    "table edge": "insert into edge select run_no, edge_key + 9, * exclude (run_no, edge_key) from edge",
    "run 99, table score": "insert into score select 99, * exclude (run_no) from score limit 1",
    "typed copy": "update run_closed set summary = replace(summary, '499', '498') where summary like '%499%'",
    "in undo_event": "insert into undo_event values (3, 2)",
}
BREAKS = {
    "event 2 ": "update event set payload = replace(payload, 'question', 'Question') where seq = 2",
    "event 6 is missing": "delete from event where seq = 6",
    "event 9 ": "update event set payload = payload[:-2] where seq = 9",  # no JSON any more
}


@pytest.mark.parametrize("changes", [CHANGES, BREAKS], ids=["rows", "events"])
def test_changed_rows_of_the_store_are_found_and_located(
    story: dict[str, Any], tmp_path: Path, changes: dict[str, str]
) -> None:
    story["shell"].close()
    copy = tmp_path / "c.duckdb"
    copy.write_bytes(story["shell"].store.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        for statement in changes.values():
            assert connection.execute(statement).fetchone() != (0,)
    shell = Shell(copy)
    try:
        told = [" ".join(d.values()) for d in shell("verify", code=1)["differences"]]
        for where in changes:
            assert any(where in line for line in told), (where, told)
        assert shell("verify", story["export"][0], code=1)["differences"]
    finally:
        shell.close()
