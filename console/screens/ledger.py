"""``gl``: the events, with actor and time; whether the chain is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from console.screens.look import LookRoom
from console.screens.queue import Opened, Row
from console.widgets.detail import Section

NEWEST = 2**40  # beyond any ledger: the last row


class Ledger(LookRoom):
    """Newest last, as they were written."""

    name_: ClassVar[str] = "ledger"

    def __init__(self) -> None:
        super().__init__()
        self.chain = ""

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        found = super()._open(wanted, old)
        chain = self.home.store.call("chain")
        self.chain = (
            f"chain of {chain['head'][0]:,} whole"
            if not chain["faults"]
            else f"CHAIN BROKEN: {chain['faults'][0]}"
        )
        return found

    def enter(self, *, position: int | None = None, **wanted: Any) -> None:
        """Newest in sight: a ledger is read from its end."""
        super().enter(position=NEWEST if position is None and not self.queue else position, **wanted)

    def _columns(self) -> list[str]:
        return ["kind", "actor", "payload"]

    def row_line(self, row: Row, width: int) -> str:
        seq, at_us, actor, kind, payload = row[3]
        del width
        return f"{seq:>8} {moment(at_us)} {actor:<12.12} {kind:<14} {payload}"

    def titles(self, width: int) -> str:
        del width
        return f"{'event':>8} {'time (UTC)':<19} {'who':<12} {'act':<14} payload"

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        who = detail["actor"] + (f" (claims to be {detail['claimed']})" if detail["claimed"] else "")
        about = f"{moment(detail['at_us'])} UTC by {who}\nid {detail['id']}\nprevious {detail['previous']}\nhash {detail['hash']}"
        return [
            Section(f"event {detail['seq']}: {detail['kind']}", about),
            Section("payload", detail["payload"]),
        ]

    def heading(self) -> str:
        return f"ledger · {self.queue['length']:,} events here · {self.chain} · {self.home.project}"


def moment(at_us: int | str) -> str:
    """A time to the second, UTC."""
    return datetime.fromtimestamp(int(at_us) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
