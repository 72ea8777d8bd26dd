"""The house: console → engine → store, small files, short functions, and a console that opens without heavy libraries."""

from __future__ import annotations

import ast
import functools
import graphlib
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from console import actions

ROOT = Path(__file__).parents[1]
PACKAGES = ("console", "engine", "store")
ALLOWED = {
    "console": {"console", "engine", "store", "samples"},
    "engine": {"engine", "store"},
    "store": {"store"},
}
HEAVY = (
    "duckdb",
    "numpy",
    "scipy",
    "pandas",
    "sklearn",
    "pyarrow",
    "polars",
    "openai",
    "datasketch",
    "transformers",
    "torch",
)
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MOST_LINES, P90_LINES = 400, 35


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def top_level(tree: ast.Module) -> list[ast.stmt]:
    """Statements that run at import; ``if TYPE_CHECKING`` does not."""
    return [s for s in tree.body if not (isinstance(s, ast.If) and "TYPE_CHECKING" in ast.unparse(s.test))]


def imported(nodes: list[ast.AST]) -> set[str]:
    """Full names of the modules (or of what is taken from them) that these nodes import."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@functools.cache  # half a million nodes: parsed once for all that is asked of them
def parsed() -> dict[str, ast.Module]:
    return {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_the_arrow_goes_from_console_to_engine_to_store_also_inside_functions() -> None:
    wrong = []
    for name, tree in parsed().items():
        ours = {i.split(".")[0] for i in imported(list(ast.walk(tree)))} & {*PACKAGES, "samples", "tests"}
        wrong += [f"{name} imports {other}" for other in ours - ALLOWED[name.split(".")[0]]]
    for name in ("engine.stages", "console.screens.__init__"):  # tables that name modules in text
        tree = ast.parse((ROOT / (name.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        heads = {text.split(".")[0] for text in texts if "." in text and " " not in text} & set(PACKAGES)
        wrong += [f"{name} names {other}" for other in heads - ALLOWED[name.split(".")[0]]]
    assert wrong == []


def test_no_module_imports_itself_round_a_corner() -> None:
    trees = parsed()
    graph = {
        name: {other for other in imported(list(top_level(tree))) if other in trees and other != name}
        for name, tree in trees.items()
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the cycle


def test_no_file_is_longer_than_400_lines() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES
    }
    assert {name: size for name, size in sizes.items() if size > MOST_LINES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_nine_functions_of_ten_have_at_most_35_lines(package: str) -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for name, tree in parsed().items()
        if name.split(".")[0] == package
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.quantiles(lengths, n=10)[-1] <= P90_LINES


def test_the_console_and_the_command_open_without_heavy_libraries() -> None:
    rooms = [path.stem for path in (ROOT / "console" / "screens").glob("*.py") if path.stem != "__init__"]
    modules = ["console.app", "console.cli", *(f"console.screens.{name}" for name in sorted(rooms))]
    code = f"import sys, {', '.join(modules)}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_key_means_two_things_in_one_place() -> None:
    assert actions.conflicts() == []
