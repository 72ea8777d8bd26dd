"""The teacher's journal: what is acknowledged stays, what is torn goes, what is foreign is refused."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.teacher.journal import Journal, JournalEntry, journal_key
from store.canonical import digest
from store.errors import InputError, RuleError

TEACHER, OTHER = digest(b"teacher"), digest(b"other")
KEYS = [journal_key(TEACHER, f"prompt {n}", {}, 0) for n in range(8)]


def entry(text: str) -> JournalEntry:
    return JournalEntry(text, "stop", 3, 1, 1200, None, "m-1")


def written(path: Path, count: int) -> Path:
    with Journal(path, TEACHER, about={"model": "m"}) as journal:
        for n in range(count):
            journal.append(KEYS[n], entry(f"answer {n}"))
    return path


def texts(path: Path) -> list[str]:
    with Journal(path, TEACHER) as journal:
        return [found.text for key in KEYS if (found := journal.lookup(key))]


def test_an_answer_is_known_only_after_its_sync(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", TEACHER) as journal:
        journal.append(KEYS[0], entry("yes"))
        assert journal.lookup(KEYS[0]) is None
        assert KEYS[0] not in journal
        assert journal.sync() == 1
        assert journal.lookup(KEYS[0]) == entry("yes")
        assert len(journal) == 1


def test_answers_outlive_the_process(tmp_path: Path) -> None:
    assert texts(written(tmp_path / "j", 3)) == ["answer 0", "answer 1", "answer 2"]


def test_the_file_is_private_to_its_owner(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        path = written(tmp_path / "j", 1)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_first_answer_under_a_key_stays(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", TEACHER) as journal:
        for text in ("first", "second"):
            journal.append(KEYS[0], entry(text))
        journal.sync()
        journal.append(KEYS[0], entry("third"))
        assert journal.sync() == 0
        found = journal.lookup(KEYS[0])
        assert found is not None
        assert found.text == "first"


@given(cut=st.integers(min_value=0), junk=st.binary(max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_opens_with_every_whole_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    path = written(tmp_path_factory.mktemp("torn") / "j", 3)
    whole = path.read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    lines = max(kept.count(b"\n") - 1, 0)
    # what a crash leaves behind the last newline can be anything; a torn header is only ever its beginning
    path.write_bytes(kept + (junk.replace(b"\n", b"") if b"\n" in kept else b""))
    assert texts(path) == [f"answer {n}" for n in range(lines)]
    assert texts(written(path, 3)) == ["answer 0", "answer 1", "answer 2"]


def test_a_torn_tail_is_counted_and_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 2)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b'{"entry":{"fin')
    with Journal(path, TEACHER) as journal:
        assert journal.truncated_bytes == 14
    assert path.stat().st_size == size


def test_a_broken_line_that_is_not_the_last_is_named_and_nothing_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 3)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * 40 + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=r"j:3: the line cannot be read") as caught:
        Journal(path, TEACHER)
    assert "after line 2" in caught.value.todo
    assert path.read_bytes() == b"".join(lines)


def test_another_teachers_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="another teacher"):
        Journal(written(tmp_path / "j", 1), OTHER)


def test_a_journal_that_mixes_teachers_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 1)
    with Journal(tmp_path / "k", OTHER) as journal:
        journal.append(journal_key(OTHER, "p", {}, 0), entry("foreign"))
    foreign = (tmp_path / "k").read_bytes().splitlines(keepends=True)[1]
    path.write_bytes(path.read_bytes() + foreign)
    with pytest.raises(RuleError, match="mixes teachers"):
        Journal(path, TEACHER)


def test_some_other_file_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a thought without an end of line")
    with pytest.raises(InputError, match="no teacher journal"):
        Journal(path, TEACHER)
    assert path.read_text() == "a thought without an end of line"


def test_a_journal_open_elsewhere_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 1)
    code = (
        "import sys; from pathlib import Path; from engine.teacher.journal import Journal\n"
        f"journal = Journal(Path({str(path)!r}), {TEACHER!r}); print('open', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(RuleError, match="another process"):
            Journal(path, TEACHER)
        other.kill()
    assert texts(path) == ["answer 0"]


def test_the_key_depends_on_everything_that_decides_an_answer() -> None:
    variants = [
        journal_key(TEACHER, "p", {"t": 0}, 0),
        journal_key(OTHER, "p", {"t": 0}, 0),
        journal_key(TEACHER, "q", {"t": 0}, 0),
        journal_key(TEACHER, "p", {"t": 1}, 0),
        journal_key(TEACHER, "p", {"t": 0}, 1),
    ]
    assert len(set(variants)) == len(variants)
