"""The sample project: one small real distillation that the README, the tests and the screenshots all use."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def support_desk() -> Path:
    """Folder of the support-desk project: ``contract.toml``, ``mapping.toml``, ``support_desk.jsonl`` and more."""
    return Path(str(files("samples"))) / "support_desk"
