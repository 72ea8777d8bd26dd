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
        case acts.GiveVerdict(subject=subject):
            earlier = (
                "select count(*) from verdict_event"
                " where project = ? and queue = ? and subject = ? and actor = ?"
            )
            first = not database.scalar(earlier, [project, act.queue, subject, who])
            values = [seq, project, who, at_us, act.queue, subject, act.verdict, act.reason, first]
            con.execute(
                "insert into verdict_event values (?,?,?,?,?,?,?,?,?,false,?)", [*values, act.revealed]
            )
        case acts.GiveVerdicts(subjects=subjects):
            _copy_bulk(con, event, act, subjects, who)
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


def _copy_bulk(
    con: DuckDBPyConnection, event: Event, act: acts.GiveVerdicts, subjects: list[str], who: str
) -> None:
    """One row a subject; ``first``: this person's first verdict on it, undone or not."""
    con.execute(
        "insert into verdict_event select $seq, $project, $who, $at_us, $queue, s.subject, $verdict, $reason::integer,"
        " not exists (select 1 from verdict_event v where v.project = $project and v.queue = $queue"
        "   and v.subject = s.subject and v.actor = $who), true, false"
        " from (select unnest($subjects::varchar[]) as subject) s",
        {
            "seq": event.seq,
            "project": event.project,
            "who": who,
            "at_us": event.at_us,
            "queue": act.queue,
            "verdict": act.verdict,
            "reason": act.reason,
            "subjects": subjects,
        },
    )
