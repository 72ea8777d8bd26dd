"""What is installed: bounded and free dependencies, one version, and a wheel that works alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from console import cli
from store import wire
from store.address import DEFAULT_NAME
from tests.factories import stop_hub

ROOT = Path(__file__).parents[1]
PACKAGES = ("console", "engine", "store", "samples")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BASE = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
COPYLEFT = re.compile(r"\b[AL]?GPL|\bGNU (Affero |Lesser )?General Public", re.IGNORECASE)


def all_requirements() -> list[Requirement]:
    texts = [*PROJECT["build-system"]["requires"], *BASE, *(r for extra in EXTRAS.values() for r in extra)]
    return [r for r in map(Requirement, texts) if r.name != "spiritsafe"]


def licence_of(name: str) -> str:
    """Everything that a distribution's metadata says of its licence, but for the text itself."""
    about = metadata.metadata(name)
    classifiers = [c for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    stated = [about.get("License-Expression"), (about.get("License") or "")[:100], *classifiers]
    return "; ".join(text for text in stated if text)


def installed_closure(texts: list[str]) -> set[str]:
    """The distributions that these requirements bring, with all that those bring, as far as they are installed."""
    found: set[str] = set()
    todo = [Requirement(text) for text in texts]
    while todo:
        wanted = todo.pop()
        if wanted.name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        try:
            further = metadata.requires(wanted.name) or ()
        except metadata.PackageNotFoundError:
            continue
        found.add(wanted.name)
        todo += map(Requirement, further)
    return found


@pytest.mark.parametrize("wanted", all_requirements(), ids=lambda r: r.name)
def test_every_dependency_has_a_lower_bound_and_an_upper_one_at_the_next_breaking_version(
    wanted: Requirement,
) -> None:
    bounds = {s.operator: Version(s.version) for s in wanted.specifier}
    assert set(bounds) == {">=", "<"}, "a dependency states >= and <, and nothing else"
    low, high = bounds[">="].release, bounds["<"].release
    assert low < high
    if low[0] > 0:
        assert len(high) == 1, "the upper bound is a major version"
    else:
        assert high[0] == 0, "before 1.0 every minor version may break: the bound is one of these"


def test_nothing_that_users_install_is_under_a_gpl() -> None:
    names = installed_closure([*BASE, *EXTRAS["train"], *EXTRAS["lm"], *EXTRAS["semantic"]])
    assert {Requirement(text).name for text in BASE} <= names
    assert {name: licence_of(name) for name in names if COPYLEFT.search(licence_of(name))} == {}


def test_the_licence_travels_in_full() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / PROJECT["project"]["license-files"][0]).read_text(encoding="utf-8")


def test_the_version_stands_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "store.wire.VERSION"}
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"spiritsafe {wire.VERSION}\n"
    files = [ROOT / "pyproject.toml", *(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))]
    quoted = f'"{wire.VERSION}"'
    where = [p.relative_to(ROOT) for p in files if quoted in p.read_text(encoding="utf-8")]
    assert where == [Path("store/wire.py")]
    assert f"## {wire.VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# ---- the wheel
@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources by the setuptools that is here: no network, no isolation."""
    if Version(metadata.version("setuptools")) < Version("77"):
        pytest.skip("setuptools here is older than 77: pip install -e '.[dev]' brings one that builds wheels")
    sources, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"import setuptools.build_meta as b; print(b.build_wheel({str(out)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=sources, check=True, capture_output=True, text=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def alone(unpacked: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``spiritsafe`` from the unpacked wheel, in a folder elsewhere, with this interpreter's dependencies."""
    return python(unpacked, "-m", "console.cli", *words, cwd=cwd)


def python(unpacked: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with the unpacked wheel before everything else that is installed."""
    env = os.environ | {"PYTHONPATH": str(unpacked), "SPIRITSAFE_IDLE_SECONDS": "5"}
    return subprocess.run(
        [sys.executable, "-P", *words],
        cwd=cwd, env=env, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_wheel_holds_every_source_sql_file_and_sample_and_nothing_else(wheel: Path) -> None:
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.suffix in (".py", ".sql") or path.parent.name == "support_desk"
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == wanted | {"samples/README.md"}
    assert {"store/schema/0001.sql", "store/views/0_runs.sql", "samples/support_desk/contract.toml"} <= inside
    assert wheel.name == f"spiritsafe-{wire.VERSION}-py3-none-any.whl"
    assert wheel.stat().st_size < 2_000_000


def test_the_wheel_says_what_it_is_and_brings_its_command_and_licence(unpacked: Path) -> None:
    (info,) = unpacked.glob("*.dist-info")
    about = metadata.Distribution.at(info)
    assert about.version == wire.VERSION
    assert [(e.name, e.value) for e in about.entry_points] == [("spiritsafe", "console.cli:main")]
    assert (info / "licenses" / "LICENSE").exists()
    assert {"train", "fast", "language", "semantic", "lm", "dev"} == set(
        about.metadata.get_all("Provides-Extra") or ()
    )


def test_the_wheel_works_from_elsewhere(unpacked: Path, tmp_path: Path) -> None:
    where = python(
        unpacked, "-c", "import console, store; print(console.__file__, store.__file__)", cwd=tmp_path
    )
    assert where.stdout.count(str(unpacked)) == 2, "it is the wheel's code that runs"
    assert alone(unpacked, "--version", cwd=tmp_path).stdout == f"spiritsafe {wire.VERSION}\n"
    assert "projects" in alone(unpacked, "--help", cwd=tmp_path).stdout
    assert "current_verdict" in alone(unpacked, "sql", "--help", cwd=tmp_path).stdout
    assert "complete" in alone(unpacked, "completion", "bash", cwd=tmp_path).stdout
    sample = str(unpacked / "samples" / "support_desk" / "contract.toml")
    assert alone(unpacked, "contract", "check", sample, cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_wheels_hub_finds_its_schema_and_views(unpacked: Path, tmp_path: Path) -> None:
    made = alone(unpacked, "init", "alone", cwd=tmp_path)
    try:
        assert made.returncode == 0, made.stderr
        found = alone(unpacked, "--json", "sql", "select project from project", cwd=tmp_path)
        assert '[["alone"]]' in found.stdout, found.stderr
    finally:
        stop_hub(tmp_path / DEFAULT_NAME)
