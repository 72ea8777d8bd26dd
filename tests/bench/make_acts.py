"""Verdicts by the hundred thousand, written as the hub would have, only at once: for measuring what reads the ledger.

python -m tests.bench.make_acts PATH --events 100000      (no hub may run)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa

from store.database import Database
from store.ledger import reviewer

PROJECT, ACTOR, REVIEWERS, SUBJECTS = "demo", "root", 16, 50_000


def main() -> None:
    """Extend the ledger to so many events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    database = Database(options.path.absolute(), ACTOR)
    if not database.ledger.seq:
        database.apply("first", PROJECT, "project.create", {"title": "x"}, actor=ACTOR, claimed=None)
    extend(database, options.events)
    database.close()


def extend(database: Database, events: int) -> None:
    """Verdicts up to event number ``events``, chained and copied."""
    ledger, seen = database.ledger, set()
    rows, copies = [], []
    for i in range(ledger.seq, events):
        claimed, subject = f"r{i % REVIEWERS}", f"{i % SUBJECTS:032x}"
        payload = {"queue": "audit", "subject": subject, "verdict": "ok"}
        event = ledger.next_event(f"{i:032x}", PROJECT, "verdict", payload, actor=ACTOR, claimed=claimed)
        ledger.record(event)
        rows.append({name: getattr(event, name) for name in event.__slots__})
        who = reviewer(ACTOR, claimed)
        first = (who, subject) not in seen
        seen.add((who, subject))
        copies.append({
            "seq": event.seq, "project": PROJECT, "actor": who, "at_us": event.at_us, "queue": "audit",
            "subject": subject, "verdict": "ok", "reason": None, "first": first, "bulk": False, "revealed": False,
        })  # fmt: skip
    cursor = database.cursor()
    cursor.execute("begin")
    for table, values in (("event", rows), ("verdict_event", copies)):
        cursor.register("incoming", pa.Table.from_pylist(values))
        cursor.execute(f"insert into {table} by name select * from incoming")  # noqa: S608 - our names
        cursor.unregister("incoming")
    cursor.execute("commit")


if __name__ == "__main__":
    main()
