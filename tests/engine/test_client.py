"""The teacher client against a real endpoint: nothing lost, nothing paid twice, no key told."""

from __future__ import annotations

import json
import math
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from engine.teacher.client import (
    Answer,
    Limits,
    PromptRequest,
    Report,
    Teacher,
    generate,
    reported_version,
)
from engine.teacher.endpoint import Fault, read_answer
from engine.teacher.journal import Journal
from store.canonical import messages_of
from store.errors import EndpointError, InputError, RuleError
from tests.engine.label_server import LabelServer, LabelTeacher, Manners

ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret-0123456789"
INTENTS = {
    "lost_card": ["I lost my card", "my card was stolen", "where is my card", "card missing since today"],
    "refund": ["I want my money back", "refund this payment", "please return the money", "refund request"],
    "top_up": ["top up my account", "add money to the account", "how do I top up", "top up failed"],
}


@cache
def label_teacher() -> LabelTeacher:
    rows = [(text, label) for label, texts in INTENTS.items() for text in texts]
    return LabelTeacher([text for text, _ in rows], [label for _, label in rows])


@contextmanager
def endpoint(**manners: Any) -> Iterator[tuple[LabelServer, Teacher]]:
    with LabelServer(label_teacher(), Manners(**manners)) as server:
        yield server, teacher_at(server.base_url)


def teacher_at(url: str) -> Teacher:
    return Teacher(url, "label-teacher", "label-teacher-2024-01", max_tokens=1, logprobs=True, top_logprobs=3)


def asked(count: int) -> list[PromptRequest]:
    return [PromptRequest(n, messages_of(f"top up number {n}")) for n in range(count)]


def run(
    teacher: Teacher, path: Path, prompts: list[PromptRequest], **options: Any
) -> tuple[Report, list[Answer]]:
    answers: list[Answer] = []
    with Journal(path, teacher.fingerprint(), about=teacher.about()) as journal:
        report = generate(teacher, prompts, journal=journal, on_answer=answers.append, **options)
    return report, answers


def test_an_answer_carries_text_tokens_and_logprobs_in_openai_shape(tmp_path: Path) -> None:
    with endpoint() as (server, teacher):
        report, (answer,) = run(teacher, tmp_path / "j", [PromptRequest("k", messages_of("I lost my card"))])
    assert server.teacher.codes[answer.text] == "lost_card"
    assert (answer.key, answer.sample_index, answer.finish_reason) == ("k", 0, "stop")
    assert (answer.tokens_in, answer.tokens_out, answer.replayed) == (4, 1, False)
    assert answer.reported_model == "label-teacher-2024-01"
    assert answer.latency_us > 0
    assert answer.logprobs is not None
    (token,) = json.loads(answer.logprobs)["content"]
    assert token["token"] == token["top_logprobs"][0]["token"] == answer.text
    assert math.fsum(math.exp(top["logprob"]) for top in token["top_logprobs"]) == pytest.approx(1)
    assert (report.answered, report.called, report.replayed, report.failures) == (1, 1, 0, ())
    assert report.system_fingerprints == ("fp_label",)


def test_a_second_run_replays_the_journal_without_a_call(tmp_path: Path) -> None:
    with endpoint() as (server, teacher):
        _, first = run(teacher, tmp_path / "j", asked(30))
        report, second = run(teacher, tmp_path / "j", asked(30))
        assert server.stats.requests == 30
    assert (report.called, report.replayed, report.attempts) == (0, 30, 0)
    assert sorted(second, key=lambda a: a.key) == [
        replace(a, replayed=True) for a in sorted(first, key=lambda a: a.key)
    ]


def test_one_question_asked_twice_is_paid_once(tmp_path: Path) -> None:
    twins = [PromptRequest(n, messages_of("refund request")) for n in range(20)]
    with endpoint(delay_s=0.01) as (server, teacher):
        report, answers = run(teacher, tmp_path / "j", twins)
        assert server.stats.requests == 1
    assert (report.called, report.replayed, len(answers)) == (1, 19, 20)


def test_no_more_calls_are_under_way_than_allowed(tmp_path: Path) -> None:
    with endpoint(delay_s=0.01) as (server, teacher):
        run(teacher, tmp_path / "j", asked(40), limits=Limits(in_flight=4))
        assert 2 <= server.stats.most_in_flight <= 4


def test_samples_of_one_prompt_are_separate_answers_with_separate_seeds(tmp_path: Path) -> None:
    prompts = [PromptRequest("k", messages_of("where is the money"), index) for index in range(12)]
    with endpoint() as (server, plain):
        teacher = replace(plain, temperature=5.0, seed=7)
        report, answers = run(teacher, tmp_path / "j", prompts)
        again, _ = run(teacher, tmp_path / "k", prompts)
        assert server.stats.requests == 24
    assert (report.called, again.called) == (12, 12)
    assert len({answer.text for answer in answers}) > 1


def test_429s_are_waited_out_as_the_server_asks(tmp_path: Path) -> None:
    with endpoint(share_429=0.4, retry_after_s=0.01) as (server, teacher):
        report, answers = run(teacher, tmp_path / "j", asked(60))
        assert server.stats.refused_429 > 5
        assert report.attempts == 60 + server.stats.refused_429
    assert len(answers) == 60
    assert report.failures == ()


def test_a_server_that_only_says_slow_down_ends_the_run(tmp_path: Path) -> None:
    with endpoint(share_429=1.0, retry_after_s=0.001) as (_, teacher):
        limits = Limits(in_flight=2, retries=2, breaker=3)
        with pytest.raises(EndpointError, match=r"[34] failures in a row, the last: HTTP 429: slow down"):
            run(teacher, tmp_path / "j", asked(50), limits=limits)


def test_a_server_that_asks_for_hours_is_not_waited_for(tmp_path: Path) -> None:
    with endpoint(share_429=1.0, retry_after_s=7200) as (server, teacher):
        report, _ = run(teacher, tmp_path / "j", asked(1))
        assert server.stats.requests == 1
    assert "slow down" in report.failures[0].reason


def test_a_refused_prompt_fails_alone_and_is_asked_again_next_time(tmp_path: Path) -> None:
    prompts = [*asked(3), PromptRequest("empty", messages_of(" "))]
    with endpoint() as (server, teacher):
        report, answers = run(teacher, tmp_path / "j", prompts)
        assert len(answers) == 3
        (failure,) = report.failures
        assert failure.key == "empty"
        assert "HTTP 400: " in failure.reason
        assert "the prompt is empty" in failure.reason
        again, _ = run(teacher, tmp_path / "j", prompts)
        assert server.stats.requests == 5
    assert (again.replayed, len(again.failures)) == (3, 1)


def test_an_endpoint_that_refuses_connections_says_where_and_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, not listening: nobody else gets the port, nobody answers
        taken.bind(("127.0.0.1", 0))
        teacher = teacher_at(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(EndpointError, match="cannot be reached") as caught:
            run(teacher, tmp_path / "j", asked(100))
    assert caught.value.where == f"label-teacher at {teacher.endpoint}"
    assert "endpoint" in caught.value.todo


def test_a_server_that_stops_midway_opens_the_breaker_and_keeps_the_answers(tmp_path: Path) -> None:
    limits = Limits(in_flight=2, breaker=4)
    with endpoint() as (server, teacher), Journal(tmp_path / "j", teacher.fingerprint()) as journal:
        got: list[Answer] = []

        def stop_after_ten(answer: Answer) -> None:
            got.append(answer)
            if len(got) == 10:
                server.manners = replace(server.manners, model="gone", api_key=None)

        with pytest.raises(EndpointError, match=r"[45] failures in a row, the last: HTTP 404"):
            generate(teacher, asked(50), journal=journal, on_answer=stop_after_ten, limits=limits)
        assert len(got) == len(journal) >= 10


def test_a_wrong_key_ends_the_run_at_once_and_is_not_repeated(tmp_path: Path) -> None:
    with endpoint(api_key="another") as (server, teacher):
        with pytest.raises(EndpointError, match="401") as caught:
            run(teacher, tmp_path / "j", asked(50), api_key=KEY, limits=Limits(in_flight=1))
        assert server.stats.requests == 1
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)


def test_the_key_is_sent_and_is_never_in_the_journal(tmp_path: Path) -> None:
    with endpoint(api_key=KEY) as (_, teacher):
        report, _ = run(teacher, tmp_path / "j", asked(3), api_key=KEY)
    assert report.called == 3
    assert KEY.encode() not in (tmp_path / "j").read_bytes()
    assert KEY not in repr(report)


def test_the_environments_openai_key_never_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with endpoint(api_key=KEY) as (_, teacher), pytest.raises(EndpointError, match="401"):
        run(teacher, tmp_path / "j", asked(1))


def test_an_endpoint_that_drops_logprobs_is_found_out_at_the_first_answer(tmp_path: Path) -> None:
    with endpoint(drop_logprobs=True) as (server, teacher):
        with pytest.raises(EndpointError, match="without the logprobs"):
            run(teacher, tmp_path / "j", asked(50), limits=Limits(in_flight=1))
        assert server.stats.requests == 1
        report, answers = run(teacher, tmp_path / "j", asked(2), allow_missing_logprobs=True)
    assert [answer.logprobs for answer in answers] == [None, None]
    assert "without the logprobs" in report.warnings[0]


def test_fewer_top_logprobs_than_asked_for_are_a_warning(tmp_path: Path) -> None:
    with endpoint() as (_, plain):
        report, _ = run(replace(plain, top_logprobs=5), tmp_path / "j", asked(1))
    assert report.warnings == ("asked for 5 top logprobs, the first answer has 3",)


def test_a_model_upgraded_behind_its_name_is_refused(tmp_path: Path) -> None:
    with endpoint(reported="label-teacher-2025-06") as (_, teacher):
        assert reported_version(teacher) == "label-teacher-2025-06"
        with pytest.raises(EndpointError, match="answers as label-teacher-2025-06"):
            run(teacher, tmp_path / "j", asked(1))
        assert run(replace(teacher, version=reported_version(teacher)), tmp_path / "k", asked(1))[1]


def test_a_journal_of_another_version_is_refused_before_any_call(tmp_path: Path) -> None:
    with endpoint() as (server, teacher), Journal(tmp_path / "j", teacher.fingerprint()) as journal:
        other = replace(teacher, version="label-teacher-2023-01")
        with pytest.raises(RuleError, match="another teacher"):
            generate(other, asked(1), journal=journal, on_answer=print)
        assert server.stats.requests == 0


def test_a_cancelled_run_keeps_what_was_paid_and_says_so(tmp_path: Path) -> None:
    got: list[Answer] = []
    with endpoint() as (server, teacher), Journal(tmp_path / "j", teacher.fingerprint()) as journal:
        report = generate(
            teacher, asked(500), journal=journal, on_answer=got.append, cancel=lambda: len(got) >= 20
        )
        assert report.cancelled
        assert report.failures == ()
        assert 20 <= report.answered == len(got) == len(journal) == server.stats.answered <= 20 + 2 * 16


def test_progress_ends_with_the_report_that_is_returned(tmp_path: Path) -> None:
    seen: list[Report] = []
    with endpoint() as (_, teacher):
        report, _ = run(teacher, tmp_path / "j", asked(5), progress=seen.append)
    assert replace(seen[-1], elapsed_s=0.0) == replace(report, elapsed_s=0.0)
    assert (report.tokens_in, report.tokens_out) == (20, 5)


def test_the_label_server_runs_as_a_program_of_its_own(tmp_path: Path) -> None:
    rows = [f"{text},{label}" for label, texts in INTENTS.items() for text in texts]
    (tmp_path / "train.csv").write_text("\n".join(["text,category", *rows]))
    command = [sys.executable, "tests/engine/label_server.py", "--train", str(tmp_path / "train.csv")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = f"http://127.0.0.1:{json.loads(program.stdout.readline())['port']}/v1"
        report, _ = run(teacher_at(url), tmp_path / "j", asked(3))
        with urlopen(f"{url}/models") as models:  # noqa: S310 - our own loopback
            told = json.load(models)
        program.terminate()
    assert report.called == 3
    assert [model["id"] for model in told["data"]] == ["label-teacher"]


CHILD = """
import sys
from pathlib import Path
from engine.teacher.client import Limits, generate
from engine.teacher.journal import Journal
from tests.engine.test_client import asked, teacher_at

teacher = teacher_at(sys.argv[1])
with Journal(Path(sys.argv[2]), teacher.fingerprint()) as journal:
    generate(teacher, asked(300), journal=journal, limits=Limits(in_flight=8),
             on_answer=lambda answer: print(answer.key, flush=True))
"""


def test_kill_9_loses_no_acknowledged_answer_and_repeats_at_most_what_was_in_flight(tmp_path: Path) -> None:
    with endpoint(delay_s=0.005) as (server, teacher):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, server.base_url, str(tmp_path / "j")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            assert child.stdout is not None
            acknowledged = [int(child.stdout.readline()) for _ in range(60)]
            child.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
        assert child.returncode == -signal.SIGKILL
        report, answers = run(teacher, tmp_path / "j", asked(300), limits=Limits(in_flight=8))
        assert sorted(answer.key for answer in answers) == list(range(300))
        replayed = {answer.key for answer in answers if answer.replayed}
        assert replayed >= set(acknowledged)
        assert report.called < 300 - 60 + 1
        assert server.stats.told()["repeated"] <= 8


@pytest.mark.parametrize(
    "body",
    [
        "<html>busy</html>",
        None,
        [],
        {"error": {"message": "overloaded"}},
        {"choices": []},
        {"choices": [{"index": 0}]},
        {"choices": ["text"]},
    ],
)
def test_http_200_without_an_answer_is_a_fault(body: object) -> None:
    fault = read_answer(body, 1)
    assert isinstance(fault, Fault)
    assert fault.kind == "passing"


def test_half_an_emoji_and_an_infinite_logprob_are_made_storable() -> None:
    body = {
        "choices": [
            {
                "message": {"content": "ok \ud83d"},
                "finish_reason": "length",
                "logprobs": {"content": [{"token": "\ud83d", "logprob": -math.inf, "top_logprobs": None}]},
            }
        ]
    }
    entry = read_answer(body, 1)
    assert not isinstance(entry, Fault)
    assert entry.text == "ok \ufffd"
    assert entry.logprobs == '{"content":[{"logprob":-9999.0,"token":"\ufffd","top_logprobs":[]}]}'


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "ftp://host/v1"},
        {"endpoint": "https://user:password@host/v1"},
        {"endpoint": "https://host/v1?api-key=abc"},
        {"top_logprobs": 21, "logprobs": True},
        {"top_logprobs": 5},
        {"extra": {"n": 2}},
    ],
)
def test_a_teacher_that_cannot_be_asked_or_would_store_a_secret_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        Teacher(**{"endpoint": "https://host/v1", "model": "m", "version": "m-1"} | wrong)
    assert "password" not in str(caught.value)


def test_every_field_of_a_teacher_is_in_its_fingerprint() -> None:
    teacher = Teacher("https://host/v1", "m", "m-1", logprobs=True)
    others: list[dict[str, Any]] = [
        {"endpoint": "https://other/v1"},
        {"model": "n"},
        {"version": "m-2"},
        {"max_tokens": 5},
        {"temperature": 0.5},
        {"logprobs": False},
        {"top_logprobs": 5},
        {"seed": 1},
        {"extra": {"top_p": 0.9}},
    ]
    prints = {replace(teacher, **other).fingerprint() for other in others}
    assert len(prints | {teacher.fingerprint()}) == len(others) + 1
    assert replace(teacher, temperature=0).fingerprint() == teacher.fingerprint()
