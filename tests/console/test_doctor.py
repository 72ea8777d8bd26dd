"""``spiritsafe doctor``: what is wrong is said with where and what to do, and looking changes nothing."""

from __future__ import annotations

import ast
import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import duckdb
import pytest

from console.doctor_stages import MAKES, PACKAGES
from console.doctor_terminal import look_at_terminal
from engine.stages import STAGES
from store import address
from tests.engine.shell import ROOT, Shell
from tests.factories import stop_hub
from tests.test_packaging import BASE, installed_closure

NOBODY = 65534


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    for name in ("SPIRITSAFE_PROJECT", "SPIRITSAFE_STORE", "TMUX", "STY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    found = Shell(tmp_path / "desk" / "d.duckdb")
    found.store.parent.mkdir(mode=0o750)
    yield found
    if found.store.exists():
        stop_hub(found.store)


@pytest.fixture
def made(shell: Shell, tmp_path: Path) -> Shell:
    """A store with a project, its hub running."""
    shell("init", "p", "--contract", tmp_path / "c.toml")
    return shell


def doctor(shell: Shell, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by where."""
    told = shell("doctor", *words, code=code)
    assert all(set(f) == {"state", "part", "where", "what", "todo"} for f in told["findings"])
    assert all(f["todo"] for f in told["findings"] if f["state"] != "ok" and f["where"] != "tmux Esc"), told
    assert code == int(told["problems"] > 0)
    return {f["where"]: f for f in told["findings"]}


def beside(store: Path) -> dict[str, tuple[int, int]]:
    """What stands in the store's folder: name, size, time of the last change."""
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in store.parent.iterdir()}


# ---- the store
def test_without_a_store_all_may_be_well_and_nothing_is_made(shell: Shell) -> None:
    found = doctor(shell, "--start")
    assert found["file"]["state"] == "warning", "a store that was named is missed"
    assert "spiritsafe init" in found["file"]["todo"]
    assert found["project"]["what"] == "not looked at: no hub was asked"
    assert beside(shell.store) == {}
    shell.store = shell.store.parent / "nowhere" / "d.duckdb"
    assert "no such folder" in doctor(shell, code=1)["file"]["what"]


def test_a_running_hub_tells_its_version_its_chain_and_what_each_stage_misses(made: Shell) -> None:
    found = doctor(made)
    status = made("status")
    assert f"pid {status['pid']}" in found["hub"]["what"]
    assert f"schema {status['schema']}" in found["hub"]["what"]
    assert found["chain"]["what"].startswith("whole: 1 event, head ")
    assert (found["generate"]["what"], found["generate"]["todo"]) == ("waits for contract", MAKES["contract"])
    assert found["import"]["what"] == "can run"
    assert set(STAGES) <= set(found)
    assert str(status["bytes"]).isdigit()


def test_a_store_that_nobody_serves_is_looked_at_from_outside_and_left_as_it_is(made: Shell) -> None:
    stop_hub(made.store)
    before = beside(made.store)
    found = doctor(made)
    assert found["hub"]["what"].startswith("none runs")
    assert "chain" not in found
    assert beside(made.store) == before
    assert doctor(made, "--start")["chain"]["state"] == "ok"


def test_somebody_elses_store_is_never_served_by_looking(made: Shell) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    stop_hub(made.store)
    os.chown(made.store, NOBODY, NOBODY)
    before = beside(made.store)
    found = doctor(made, "--start")
    owner = address.user_name(NOBODY)
    assert found["hub"]["state"] == "warning"
    assert found["hub"]["todo"] == f"Ask {owner} to run: spiritsafe serve {made.store}"
    assert beside(made.store) == before


def test_what_is_no_store_is_a_problem_and_no_hub_is_tried_on_it(shell: Shell) -> None:
    shell.store.write_text("some notes\n", encoding="utf-8")
    assert "no DuckDB file" in doctor(shell, "--start", code=1)["file"]["what"]
    assert list(beside(shell.store)) == [shell.store.name]


def test_a_hub_that_cannot_start_says_why(shell: Shell) -> None:
    with duckdb.connect(str(shell.store)) as other:
        other.execute("create table mine (a int)")
    found = doctor(shell, "--start", code=1)
    assert "no spiritsafe store" in found["hub"]["what"]
    assert "no spiritsafe store" in doctor(shell)["log"]["what"], "and its log keeps it"


def test_a_lock_that_is_held_without_a_hub_names_its_holder(made: Shell) -> None:
    stop_hub(made.store)
    with address.lock_path(made.store).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = doctor(made, code=1)
    assert found["hub"]["what"] == f"does not answer, and its lock is held by pid {os.getpid()}"
    assert doctor(made)["hub"]["state"] == "ok"


def test_a_store_open_to_everybody_is_a_warning(made: Shell) -> None:
    made.store.chmod(0o664)
    found = doctor(made)
    assert found["file"]["state"] == "warning"
    assert found["file"]["todo"] == f"chmod o-rwx {made.store}"


def test_a_chain_that_was_tampered_with_is_a_problem(made: Shell) -> None:
    made("why", "this", "that")
    stop_hub(made.store)
    with duckdb.connect(str(made.store)) as con:
        con.execute("update event set at_us = at_us + 1 where seq = 1")
    found = doctor(made, "--start", code=1)
    assert found["chain"]["state"] == "problem"
    assert "first: " in found["chain"]["what"]


def test_the_newest_error_of_the_log_is_shown_with_its_cause(made: Shell) -> None:
    with address.log_path(made.store).open("a") as log:
        log.write("2026-01-02 03:04:05,678 ERROR append\nTraceback (most recent call last):\n  File …\n")
        log.write("OSError: No space left\n2026-01-02 03:04:06,000 INFO stopped\n")
    found = doctor(made)["log"]
    assert (found["state"], found["what"]) == (
        "warning",
        "2026-01-02 03:04:05 append: OSError: No space left",
    )
    os.utime(address.log_path(made.store), (0, 0))
    assert doctor(made)["log"]["state"] == "ok", "what was long ago is only said"


# ---- environment and versions
def test_a_key_is_set_or_not_and_never_shown(made: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    for words in (("doctor",), ("--json", "doctor")):
        told = made.try_(*words)
        assert "OPENAI_API_KEY set" in told.out
        assert "sk-secret" not in told.out + told.err


def test_the_contracts_key_is_missed_by_name(
    made: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESK_KEY", raising=False)
    text = (ROOT / "samples/support_desk/contract.toml").read_text(encoding="utf-8")
    (tmp_path / "c.toml").write_text(text.replace('api_key_env = ""', 'api_key_env = "DESK_KEY"'))
    made("contract", "lock", tmp_path / "c.toml")
    assert doctor(made)["DESK_KEY"]["what"] == "not set, and generate needs it"
    monkeypatch.setenv("DESK_KEY", "sk-secret")
    assert doctor(made)["DESK_KEY"]["what"] == "set"


def test_an_idle_time_that_is_no_number_is_a_problem(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "soon")
    assert doctor(shell, code=1)["SPIRITSAFE_IDLE_SECONDS"]["state"] == "problem"


def test_what_an_installation_misses_is_said_with_the_command_that_brings_it(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "spiritsafe-0.dist-info"
    info.mkdir(parents=True)
    needs = [
        "no-such-thing<2,>=1",
        "duckdb<1,>=0.1",
        'scipy<9,>=1; extra == "train"',
        'none-such<2,>=1; extra == "lm"',
    ]
    lines = [
        "Metadata-Version: 2.4",
        "Name: spiritsafe",
        "Version: 0",
        *(f"Requires-Dist: {n}" for n in needs),
    ]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(info.parent))
    found = doctor(shell, code=1)
    missing, old = found["no-such-thing"], found["duckdb"]
    assert (missing["state"], missing["todo"]) == ("problem", "pip install 'no-such-thing<2,>=1'")
    assert (old["state"], old["todo"]) == ("problem", "pip install 'duckdb<1,>=0.1'")
    assert found["[lm]"] | {"state": "ok", "todo": "pip install 'spiritsafe[lm]'"} == found["[lm]"]
    assert found["[train]"]["what"].startswith("scipy ")


def imports_of(module: str, seen: set[str]) -> set[str]:
    """Top-level names outside the house that a module and the modules of ours that it imports need at run time."""
    if module in seen:
        return set()
    seen.add(module)
    found: set[str] = set()
    for name in names_in(module):
        head = name.split(".", maxsplit=1)[0]
        found |= imports_of(name, seen) if head in ("engine", "store") else {head}
    return found


@functools.cache
def names_in(module: str) -> frozenset[str]:
    """What a module of ours itself imports at run time, and what it takes from there; nothing where it is none."""
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.exists() else ROOT / module.replace(".", "/") / "__init__.py"
    if not path.exists():
        return frozenset()
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    typing_only = [n for n in nodes if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    skipped = {inner for block in typing_only for inner in ast.walk(block)}
    names: set[str] = set()
    for node in nodes:
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
    return frozenset(names)


def test_what_a_stage_imports_beyond_the_base_is_in_doctors_table() -> None:
    brings, base = metadata.packages_distributions(), installed_closure(BASE)
    for stage in STAGES.values():
        heads = imports_of(stage.module, set()) - set(sys.stdlib_module_names) - {"engine", "store"}
        needed = {dist.lower().replace("_", "-") for head in heads for dist in brings.get(head, [head])}
        assert needed - base == {need.package for need in PACKAGES.get(stage.name, ())}, stage.name
    assert set(MAKES) == {stage.needs for stage in STAGES.values()} - {""}


# ---- the terminal
def test_a_locale_that_is_not_utf8_and_a_dumb_terminal_are_told(tmp_path: Path) -> None:
    env = os.environ | {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "TERM": "dumb"}
    words = [sys.executable, "-m", "console.cli", "--store", str(tmp_path / "x.duckdb"), "doctor", "--json"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, cwd=ROOT)
    found = {f["where"]: f for f in json.loads(done.stdout)["findings"]}
    assert found["TERM"]["what"] == "TERM is dumb"
    assert found["encoding"]["todo"] == "export LC_ALL=C.UTF-8"


def test_screen_is_said_to_drop_what_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("STY", "1234.desk")
    (found,) = [f for f in look_at_terminal() if f.where == "screen"]
    assert found.state == "warning"


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_tmux_is_asked_what_it_lets_through(tmp_path: Path) -> None:
    def tmux(*words: str) -> None:
        subprocess.run(["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null", *words], check=True, env=env)

    def looked() -> dict[str, dict[str, Any]]:
        store, told = tmp_path / "x.duckdb", tmp_path / "told.json"
        command = (
            f"{sys.executable} -m console.cli --store {store} doctor --json > {told}; tmux wait-for -S looked"
        )
        tmux("respawn-pane", "-k", "-t", "desk", "-c", str(ROOT), command)
        tmux("wait-for", "looked")
        return {f["where"]: f for f in json.loads(told.read_text(encoding="utf-8"))["findings"]}

    env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "STY")} | {
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm",
    }
    tmux("new-session", "-d", "-s", "desk", "-x", "70", "-y", "20", "cat")
    try:
        tmux("set", "-g", "remain-on-exit", "on")
        tmux("set", "-s", "escape-time", "500")
        tmux("set", "-g", "allow-passthrough", "off")
        found = looked()
        assert found["tmux"]["what"].startswith("tmux ")
        assert found["tmux copy"]["todo"] == "in ~/.tmux.conf: set -g allow-passthrough on"
        assert found["tmux Esc"]["todo"] == "in ~/.tmux.conf: set -sg escape-time 10"
        assert found["size"]["what"] == "70 × 20, and the screens want 80 × 24"
        tmux("set", "-s", "escape-time", "10")
        tmux("set", "-g", "allow-passthrough", "on")
        found = looked()
        assert (found["tmux copy"]["state"], found["tmux Esc"]["state"]) == ("ok", "ok")
    finally:
        tmux("kill-server")


def test_the_text_says_each_finding_once_and_what_to_do_below_it(shell: Shell) -> None:
    told = shell.try_("doctor")
    lines = told.out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")][:-1] == [
        "versions", "environment", "terminal", "store", "stages",
    ]  # fmt: skip
    assert lines[-1] == "1 warning"
