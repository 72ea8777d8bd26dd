"""What an import takes and refuses: arrivals counted, bad rows told, nothing half applied, whatever stops it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.stage_command import Meter
from engine.arrivals import Params, run
from engine.context import Context
from store.client import Client
from store.errors import Cancelled, InputError
from tests.engine.shell import Shell

MAP = ("--prompt", "q", "--output", "big=a")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A retrospective project ``r`` with one prompt, answered by nobody."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.chdir(tmp_path)
    found = Shell(tmp_path / "r.duckdb")
    try:
        found("import", "--retrospective", "r", rows("first.jsonl", {"q": "the first"}), "--prompt", "q")
        yield found
    finally:
        found.close()


def rows(name: str, *some: Any) -> Path:
    Path(name).write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in some))
    return Path(name)


def counted(shell: Shell, table: str = "arrivals") -> int:
    return int(shell("sql", f"select count(*) from {table}")["rows"][0][0])  # noqa: S608 - our names


def test_a_prompt_seen_a_hundred_times_counts_a_hundred_times(shell: Shell) -> None:
    path = rows("log.jsonl", *({"q": "again?", "a": "yes", "n": n} for n in range(100)))
    told = shell("import", path, *MAP, "--meta", "*")
    assert (told["arrivals"], told["outputs"]) == (100, 100)
    found = shell("sql", "select count(*), count(distinct prompt_id) from arrivals where text = 'again?'")
    assert found["rows"] == [[100, 1]]
    path.rename("other.jsonl")
    again = shell("import", "other.jsonl", *MAP)
    assert (again["arrivals"], again["already_imported"]) == (0, ["other.jsonl"])
    assert counted(shell) == 101


def test_sources_metadata_and_logprobs_are_kept_whole(shell: Shell) -> None:
    logprobs = {
        "content": [{"token": "yes", "logprob": -0.5, "bytes": [121], "top_logprobs": []}],
        "refusal": None,
    }
    whole = {"nested": {"deep": [1, {"é": None}], "big": 2**70}, "float": 1e-9}
    sources = ("production", "synthetic", "edge_case")
    path = rows("kept.jsonl", *({"q": s, "s": s, "a": "x", "lp": logprobs, **whole} for s in sources))
    words = ("--prompt", "q", "--source", "s", "--output", "big=a,logprobs=lp", "--meta", "*")
    shell("import", path, *words)
    sql = "select a.source, a.metadata, o.logprobs from outputs o join arrivals a using (arrival_key) order by arrival_key"
    for found, source in zip(shell("sql", sql)["rows"], sources, strict=True):
        assert found[0] == source
        assert (json.loads(found[1]), json.loads(found[2])) == (whole, logprobs)


def test_a_model_without_a_single_output_is_told(shell: Shell) -> None:
    told = shell("import", rows("typo.jsonl", {"q": "a", "answer": "x"}), *MAP)
    assert told["by_model"] == {"big": 0}
    assert "no row has an output of big at 'a'" in told["note"]


# --- rejects ------------------------------------------------------------------------------------------------
def test_bad_rows_go_to_the_rejects_file_by_place_and_reason(shell: Shell) -> None:
    path = rows("some.jsonl", {"q": "fine"}, {"q": 3}, "[", {"q": "also fine"}, {"q": None})
    told = shell("import", path, "--prompt", "q", "--rejects", "bad.txt")
    assert (told["arrivals"], told["rejected"]) == (2, 3)
    assert [line.split(": ")[0] for line in Path("bad.txt").read_text().splitlines()] == [
        "some.jsonl:2", "some.jsonl:3", "some.jsonl:5",
    ]  # fmt: skip
    assert [p.name for p in Path.cwd().glob(".*")] == []


def test_an_import_of_bad_rows_alone_fails_and_says_where_the_reasons_are(shell: Shell) -> None:
    before = counted(shell, "model")
    answer = shell.try_(
        "--json", "import", rows("bad.jsonl", {"q": 1}, {"q": 2}), *MAP, "--rejects", "why.txt"
    )
    assert (answer.code, answer.error["where"]) == (3, "why.txt")
    assert Path("why.txt").read_text().count("bad.jsonl:") == 2
    assert (counted(shell), counted(shell, "model")) == (1, before)
    fixed = shell("import", rows("bad.jsonl", {"q": "1", "a": "x"}), *MAP)
    assert fixed["arrivals"] == 1


def test_a_failed_import_leaves_an_older_rejects_file_as_it_was(shell: Shell) -> None:
    Path("why.txt").write_text("older\n")
    Path("cut.csv").write_text('q,a\nfine,x\n3\n"open')
    assert "is not CSV" in shell.refused("import", "cut.csv", "--prompt", "q", "--rejects", "why.txt", code=3)
    assert Path("why.txt").read_text() == "older\n"
    assert sorted(p.name for p in Path.cwd().iterdir() if "why" in p.name) == ["why.txt"]
    assert counted(shell) == 1


def test_a_rejects_file_that_cannot_be_written_stops_the_import_at_once(shell: Shell) -> None:
    path = rows("a.jsonl", {"q": "fine"})
    assert "No such file" in shell.refused(
        "import", path, "--prompt", "q", "--rejects", "none/why.txt", code=3
    )
    assert counted(shell, "run_opened") == 1


# --- predictions --------------------------------------------------------------------------------------------
def test_predictions_answer_the_first_arrival_of_their_prompt(shell: Shell) -> None:
    shell("import", rows("log.jsonl", {"q": "b"}, {"q": "a"}, {"q": "a"}), "--prompt", "q")
    told = shell("import", "--predictions", rows("p.jsonl", {"q": "a", "a": "1"}, {"q": "b", "a": "2"}), *MAP)
    assert (told["arrivals"], told["outputs"], told["by_model"]) == (0, 2, {"big": 2})
    sql = "select o.text, a.file_row from outputs o join arrivals a using (arrival_key) order by o.output_key"
    assert shell("sql", sql)["rows"] == [["1", 2], ["2", 1]]


def test_a_prediction_to_nothing_or_for_the_second_time_is_a_bad_row(shell: Shell) -> None:
    shell("import", rows("log.jsonl", {"q": "a"}, {"q": "b"}, {"q": "c"}), "--prompt", "q")
    shell("import", "--predictions", rows("p.jsonl", {"q": "a", "a": "1"}), *MAP)
    words = ("--prompt", "q", "--output", "big=a", "--output", "small=s")
    late = rows(
        "late.jsonl",
        {"q": "b", "a": "2"},
        {"q": "a", "a": "1", "s": "1"},
        {"q": "d", "a": "3"},
        {"q": "b", "a": "4"},
        {"q": "c", "s": "5"},
    )
    answer = shell.try_("--json", "import", "--predictions", late, *words)
    assert (answer.code, answer.error["where"]) == (3, "late.jsonl:2")
    told = shell("import", "--predictions", late, *words, "--rejects", "why.txt")
    assert (told["outputs"], told["rejected"], told["by_model"]) == (2, 3, {"big": 1, "small": 1})
    reasons = dict(line.split(": ", 1) for line in Path("why.txt").read_text().splitlines())
    assert {place: why.split(":")[0] for place, why in reasons.items()} == {
        "late.jsonl:2": "big answered a prompt that it answered before",
        "late.jsonl:3": "answers a prompt that was never imported",
        "late.jsonl:4": "big answered a prompt that it answered before",
    }
    assert shell("sql", "select text from outputs order by output_key")["rows"] == [["1"], ["2"], ["5"]]
    assert shell("verify")["sound"]


# --- stopped in the middle ----------------------------------------------------------------------------------
def many(name: str, count: int) -> Path:
    with Path(name).open("w") as file:
        file.writelines(
            f'{{"q": "question {n}", "a": "answer {n}", "pad": "{"x" * 400}"}}\n' for n in range(count)
        )
    return Path(name)


def running(shell: Shell, of: subprocess.Popen[str], stored: int) -> None:
    """Wait until the hub holds so many rows of a run that is open."""
    with Client(shell.store) as client:
        until = time.monotonic() + 60
        while time.monotonic() < until and of.poll() is None:
            if client.call("sql", text="select count(*) from arrival")["rows"][0][0] > stored:
                return
    raise AssertionError(f"it ended too early: {of.communicate()}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_import_that_is_stopped_leaves_nothing_to_see_and_works_again(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    path = many("many.jsonl", 150_000)
    child = shell.apart("import", path.absolute(), *MAP, "--rejects", Path("why.txt").absolute())
    running(shell, child, 1)
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode == code
    assert (counted(shell), counted(shell, "outputs"), counted(shell, "model")) == (1, 0, 0)
    assert not Path("why.txt").exists()
    rows("many.jsonl", *path.read_text().splitlines()[:30_000])
    assert shell("import", path, *MAP)["arrivals"] == 30_000
    assert counted(shell) == 30_001
    assert shell("verify")["sound"]


def test_a_cancelled_import_stops_at_the_next_batch(shell: Shell) -> None:
    with Client(shell.store) as client:
        asked: list[int] = []
        context = Context(client, "r", cancelled=lambda: len(asked) > 1, progress=lambda *_: asked.append(1))
        with pytest.raises(Cancelled):
            run(context, Params(files=(many("many.jsonl", 20_000),), prompt="q"))
    assert len(asked) == 2
    assert counted(shell) == 1


def test_a_file_that_grows_while_it_is_read_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rows("growing.jsonl", {"q": "a"})
    with Client(shell.store) as client:

        def append(*_: object) -> None:
            path.write_text(path.read_text() + '{"q": "b"}\n')

        with pytest.raises(InputError, match="changed while it was read"):
            run(Context(client, "r", progress=append), Params(files=(path,), prompt="q"))
    assert counted(shell) == 1


def test_progress_is_in_bytes_of_all_files_and_tells_the_rows(shell: Shell) -> None:
    said: list[tuple[str, int, int | None]] = []
    with Client(shell.store) as client:
        context = Context(client, "r", progress=lambda *told: said.append(told))
        files = (many("one.jsonl", 3_000), many("two.jsonl", 4_000))
        run(context, Params(files=files, prompt="q"))
    total = sum(path.stat().st_size for path in files)
    assert {of for _, _, of in said} == {total}
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said)
    assert said[-1][1] == total
    assert said[-1][0].startswith("import · two.jsonl, 7,000 rows, ")


def test_the_meter_speaks_twice_a_second_at_most_and_keeps_its_pace_over_files(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr("console.stage_command.time.monotonic", lambda: clock[0])
    with Client(shell.store) as client:
        meter = Meter(client, "r/import/1", quiet=False)
        for step in range(1, 41):
            clock[0] += 0.1
            meter(f"import · file {step // 20}, {step * 10} rows, 100 rows/s", step * 1000, 80_000)
        state = client.call("jobs")["r/import/1"]
        meter.end()
    lines = capsys.readouterr().err.split("\r")[1:]
    assert 5 <= len(lines) - 1 <= 8  # four seconds of steps
    assert "rows/s: " in lines[-2]
    assert abs(state["seconds_left"] - 4) <= 1
    assert state["what"].startswith("import · file")
