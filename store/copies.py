"""The typed copies of events, written in the event's own transaction so that views need not parse JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from store import acts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from store.database import Database
    from store.records import Event


def write_copies(database: Database, con: DuckDBPyConnection, event: Event, act: acts.Act, who: str) -> None:
    """Write the typed copy of the event, where views need one."""
    seq, project, at_us = event.seq, event.project, event.at_us
    match act:
        case acts.GiveVerdict(queue=queue, subject=subject):
            earlier = (
                "select count(*) from verdict_event"
                " where project = ? and queue = ? and subject = ? and actor = ?"
            )
            first = not database.scalar(earlier, [project, queue, subject, who])
            values = [seq, project, who, at_us, queue, subject, act.verdict, act.reason, first]
            con.execute("insert into verdict_event values (?,?,?,?,?,?,?,?,?)", values)
        case acts.Undo():
            target = msgspec.json.decode(event.payload)["target"]
            con.execute("insert into undo_event values (?, ?)", [seq, target])
        case acts.OpenRun():
            run = [seq, database.next_run, act.run_id, project, act.stage, who, at_us]
            con.execute("insert into run_opened values (?,?,?,?,?,?,?)", run)
            database.next_run += 1
        case acts.CloseRun():
            con.execute("insert into run_closed values (?,?,?,?)", [seq, act.run_no, at_us, event.payload])
        case _:
            pass
