"""``make package``: build the wheel, install it as users do, and run it from there.

    python -m tests.package_walk [pip|uv|pipx|lowest …]

Everything but the wheel (which goes to ``dist/``) happens in a throw-away folder: environments, tools, caches of
uv and pipx, home, demo store. Needs a package index, so it is no part of the suite. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
TOOLS = ("uv>=0.9,<1", "pipx>=1.8,<2")
PATIENCE = 1800  # seconds for one command: an install may have to fetch 300 MB


def run(*words: object, cwd: Path, **env: str) -> str:
    """Run a command to its end, shown first; its standard output. Raises where it fails."""
    print("  $", *words, flush=True)
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "VIRTUAL_ENV", "SPIRITSAFE"))
    }
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, env=clean | env, check=False, text=True, timeout=PATIENCE,
        capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def environment(folder: Path) -> Path:
    """A fresh virtual environment; its Python."""
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def build(work: Path) -> Path:
    """The wheel of a copy of the sources, so that no stale ``build/`` gets into it; in ``dist/``."""
    sources = work / "sources"
    skipped = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "tests")
    shutil.copytree(ROOT, sources, ignore=skipped)
    python = environment(work / "build")
    (ROOT / "dist").mkdir(exist_ok=True)
    for old in (ROOT / "dist").glob("spiritsafe-*.whl"):
        old.unlink()
    run(python, "-m", "pip", "wheel", "-q", ".", "--no-deps", "-w", ROOT / "dist", cwd=sources)
    return next((ROOT / "dist").glob("spiritsafe-*.whl"))


def by_pip(work: Path, wheel: Path) -> Path:
    """pip, into an environment of its own."""
    python = environment(work / "pip")
    run(python, "-m", "pip", "install", "-q", "-c", CONSTRAINTS, wheel, cwd=work)
    return work / "pip" / "bin" / "spiritsafe"


def by_uv(work: Path, wheel: Path) -> Path:
    """``uv tool install``."""
    places = {
        "UV_TOOL_DIR": work / "uv-tools",
        "UV_TOOL_BIN_DIR": work / "uv-bin",
        "UV_CACHE_DIR": work / "uv-cache",
    }
    words = ("tool", "install", "--python", sys.executable, "-c", CONSTRAINTS, wheel)
    run(work / "tools/bin/uv", *words, cwd=work, **{name: str(at) for name, at in places.items()})
    return work / "uv-bin" / "spiritsafe"


def by_pipx(work: Path, wheel: Path) -> Path:
    """``pipx install``."""
    places = {
        "PIPX_HOME": work / "pipx",
        "PIPX_BIN_DIR": work / "pipx-bin",
        "PIPX_MAN_DIR": work / "pipx-man",
    }
    words = ("install", "--python", sys.executable, f"--pip-args=-c {CONSTRAINTS}", wheel)
    run(work / "tools/bin/pipx", *words, cwd=work, **{name: str(at) for name, at in places.items()})
    return work / "pipx-bin" / "spiritsafe"


def at_lowest(work: Path, wheel: Path) -> Path:
    """Every dependency at its lower bound: what pyproject.toml promises."""
    uv, place = (
        work / "tools/bin/uv",
        {"VIRTUAL_ENV": str(work / "low"), "UV_CACHE_DIR": str(work / "uv-cache")},
    )
    run(uv, "venv", "-q", "--python", sys.executable, work / "low", cwd=work)
    bounds = ("--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml", "--extra", "train")
    run(uv, "pip", "install", "-q", *bounds, cwd=work, **place)
    run(uv, "pip", "install", "-q", "--no-deps", wheel, cwd=work, **place)
    return work / "low" / "bin" / "spiritsafe"


WAYS: dict[str, Callable[[Path, Path], Path]] = {
    "pip": by_pip, "uv": by_uv, "pipx": by_pipx, "lowest": at_lowest,
}  # fmt: skip


def walk(command: Path, folder: Path) -> None:
    """What a new user does: version, doctor, the demo, a question, and leave."""
    folder.mkdir()
    here = {"HOME": str(folder), "SPIRITSAFE_IDLE_SECONDS": "30"}
    print("  ", run(command, "--version", cwd=folder, **here).strip())
    run(command, "doctor", cwd=folder, **here)
    screens = run(command, "demo", "--in", "desk", "--plain", cwd=folder, **here)
    assert "\naudit: " in screens, screens[-2000:]
    store = ("--store", "desk/spiritsafe.duckdb")
    assert "787" in run(command, *store, "sql", "select count(*) from arrivals", cwd=folder, **here)
    run(command, *store, "verify", cwd=folder, **here)
    run(command, *store, "doctor", cwd=folder, **here)
    run(command, *store, "stop", cwd=folder, **here)


def main(names: list[str]) -> int:
    """Walk every way that is named, else all."""
    ways = names or list(WAYS)
    with tempfile.TemporaryDirectory(prefix="spiritsafe-package-") as name:
        work = Path(name)
        wheel = build(work)
        print(f"{wheel.relative_to(ROOT)}  {wheel.stat().st_size:,} bytes")
        if set(ways) - {"pip"}:
            run(environment(work / "tools"), "-m", "pip", "install", "-q", *TOOLS, cwd=work)
        for way in ways:
            started = time.monotonic()
            print(f"{way}:")
            walk(WAYS[way](work, wheel), work / f"{way}-user")
            print(f"  {way} works, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
