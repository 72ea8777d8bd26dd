"""Contracts and standards slipped past the command onto the ledger: ``verify`` names them, by the standards of their time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import contract, standards
from engine.verify import verify_store
from store.canonical import digest_of
from store.client import Client
from store.standards_rules import WHOLE_STORE
from tests.engine.shell import Shell
from tests.engine.test_contract_page import WHOLE
from tests.engine.test_standards import STANDARDS


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A store with a project and the team's standards, and a client that asks no stage for leave."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    shell = Shell(tmp_path / "f.duckdb")
    shell("init", "p", "--contract", tmp_path / "template.toml")
    with Client(shell.store) as client:
        lock_standards(client, STANDARDS)
        yield client
    shell.close()


def lock_standards(desk: Client, text: str) -> None:
    said = standards.as_payload(standards.parse(text.replace("ME", desk.who)))
    desk.act("standards.lock", WHOLE_STORE, {"hash": digest_of(said), "standards": said})


def lock(desk: Client, text: str) -> None:
    """As somebody locks who does not go through ``spiritsafe contract lock``."""
    said: dict[str, Any] = contract.as_payload(contract.parse(text))
    desk.act("contract.lock", "p", {"hash": digest_of(said), "contract": said})


def faults(desk: Client) -> list[str]:
    return [str(difference) for difference in verify_store(desk).differences]


def test_a_contract_that_comes_up_to_the_standards_of_its_time_stays_sound_when_they_get_stricter(
    desk: Client,
) -> None:
    lock(desk, WHOLE)
    lock_standards(desk, STANDARDS.replace("attempts = 3", "attempts = 1"))
    assert faults(desk) == []
    lock(desk, WHOLE.replace("margin = 0.03", "margin = 0.02"))
    (fault,) = faults(desk)
    assert "3 attempts are above 1" in fault


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("margin = 0.03", "margin = 0.30", "an overall margin of at most 0.03"),
        ("critical = true", "critical = false", "no critical slice 'urgent'"),
        ('model = "big-1"', 'model = "another"', "none of those pinned"),
        ('backup = "bob"', 'backup = ""', "people.backup is open"),
        ("attempts = 3", "attempts = 30", "30 attempts are above 3"),
    ],
)
def test_a_contract_below_the_standards_is_named_wherever_it_falls_short(
    desk: Client, old: str, new: str, what: str
) -> None:
    lock(desk, WHOLE.replace(old, new, 1))
    (fault,) = faults(desk)
    assert "below the standards" in fault
    assert what in fault
    lock(desk, WHOLE)  # a good one after it does not heal it
    assert len(faults(desk)) == 1


def test_standards_that_nobody_can_read_are_named_since_no_contract_could_be_held_against_them(
    desk: Client,
) -> None:
    said = {"stewards": [desk.who], "magic": 1}
    desk.act("standards.lock", WHOLE_STORE, {"hash": digest_of(said), "standards": said})
    lock(desk, WHOLE.replace("attempts = 3", "attempts = 30"))
    (fault,) = faults(desk)
    assert "are no standards" in fault
