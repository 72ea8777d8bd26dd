"""What a reviewer comes back to: a small file that no crash can leave half written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from console.state import Place, State, load, save, state_path


def test_what_was_saved_is_what_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    state = State(project="p", screen="audit", toured=True)
    place = state.place("p", "audit")
    place.filter, place.position, place.length = "tier = vip", 16, 1319
    save(path, state)
    assert load(path) == state
    assert load(path).place("p", "audit") == Place("tier = vip", 0, 16, 1319)
    assert load(path).place("p", "ledger") == Place()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"places": 3}', b"\xff\xfe", b'{"project": "p", "unknown": 1}']
)
def test_a_file_that_cannot_be_read_loses_a_place_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert load(path).screen == "home"


def test_it_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.json"
    save(path, State(project="one"))
    save(path, State(project="two"))
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_person_on_each_store_has_a_file_below_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    paths = {state_path(store, who) for store in ("s1", "s2") for who in ("root", "root/anna", "root/ben")}
    assert len(paths) == 6
    assert {p.parent for p in paths} == {tmp_path / "spiritsafe"}
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_path("s1", "root").is_relative_to(tmp_path / "home" / ".local" / "state")
    assert os.sep not in state_path("s1", "root/anna").name


def test_a_place_that_cannot_be_kept_leaves_no_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "place.json"
    path.mkdir()  # nothing can be put in its place
    with pytest.raises(OSError, match=r"place\.json"):
        save(path, State())
    assert [p.name for p in tmp_path.iterdir()] == ["place.json"]
