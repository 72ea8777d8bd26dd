"""The counts of a check run: per model and check, per slice of the gate; and how a part's counts go on in the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.clean.outcome import UNKNOWN, YES, Said
from engine.statistics import wilson

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]

Place = tuple[str, str, str]  # model, check, slice ("": all)


@dataclass(slots=True)
class Tally:
    """Passed and total by model, check and slice."""

    passed: Counter[Place] = field(default_factory=Counter)
    total: Counter[Place] = field(default_factory=Counter)

    def add(self, model: str, check: str, said: Said, slices: Mapping[str, Bools]) -> None:
        """Count what a check said of a batch; which of its outputs lie in which slice."""
        import numpy as np

        passed = np.frombuffer(said.passed, np.uint8)
        known, good = passed != UNKNOWN, passed == YES
        self._add((model, check, ""), int(good.sum()), int(known.sum()))
        for name, inside in slices.items():
            self._add((model, check, name), int((good & inside).sum()), int((known & inside).sum()))

    def outputs(self) -> dict[str, int]:
        """Outputs by model that were counted."""
        found: dict[str, int] = {}
        for (model, _, slice_), n in self.total.items():
            if not slice_:
                found[model] = max(n, found.get(model, 0))
        return found

    def _add(self, place: Place, passed: int, total: int) -> None:
        self.passed[place] += passed
        self.total[place] += total

    def told(self, *, sample: bool) -> dict[str, Any]:
        """``checks`` and ``slices``, as a run records them; with Wilson's 95 % interval where it was a sample."""
        rows: list[dict[str, Any]] = [
            {"model": model, "check": check, "slice": name, "passed": self.passed[place], "total": total}
            | (_interval(self.passed[place], total) if sample else {})
            for place, total in self.total.items()
            for model, check, name in (place,)
        ]
        checks = [{k: v for k, v in row.items() if k != "slice"} for row in rows if not row["slice"]]
        slices = [row | {"failed": row["total"] - row["passed"]} for row in rows if row["slice"]]
        return {"checks": checks, "slices": slices}

    @classmethod
    def of(cls, result: dict[str, Any]) -> Tally:
        """The counts that an earlier part recorded."""
        tally = cls()
        for row in [*result["checks"], *result["slices"]]:
            tally._add((row["model"], row["check"], row.get("slice", "")), row["passed"], row["total"])
        return tally


def _interval(passed: int, total: int) -> dict[str, str]:
    if not total:
        return {}
    low, high = wilson(passed, total)
    return {"low": f"{low:.4f}", "high": f"{high:.4f}"}
