"""Commands about the hub itself: SQL, serving and stopping it, what it holds, who one is to it."""

from __future__ import annotations

import argparse
import sys

from console.doctor_store import size_on_disk
from console.output import as_table, emit, open_store
from store.address import find_store
from store.errors import StoreError

Options = argparse.Namespace


def configure_sql(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="one SELECT over the store's views")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)


def sql(options: Options) -> int:
    """One SELECT, read-only; a table for people, every value whole as JSON."""
    found = open_store(options).call("sql", text=options.text, limit=options.limit, seconds=options.seconds)
    if options.json:
        return emit(options, found)
    sys.stdout.write(as_table(found["columns"], found["rows"]))
    if found["more"]:
        sys.stdout.write(f"… and more: --limit {options.limit} was reached\n")
    return 0


def configure_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", help="the store (else --store)")


def serve(options: Options) -> int:
    """Serve the store in the foreground, until stopped."""
    from store import address, hub

    path = address.find_store(options.path or options.store)
    return hub.main([str(path), "--stay"])


def whoami(options: Options) -> int:
    """Say who the hub takes the caller for."""
    store = open_store(options)
    told = {"actor": store.welcome.actor, "claimed": options.claimed, "signs_as": store.who}
    return emit(options, told | {"role": store.welcome.role, "store": str(store.path)})


def status(options: Options) -> int:
    """Say what the hub of the store holds."""
    store = open_store(options)
    w = store.welcome
    told = {
        "version": w.version,
        "schema": w.schema,
        "store": w.store_id,
        "pid": w.pid,
        "you": w.actor,
        "role": w.role,
    }
    data, wal = size_on_disk(store.path)
    size = {"bytes": data + wal, "wal_bytes": wal}
    return emit(options, store.call("status") | size | told)


def stop(options: Options) -> int:
    """Stop the hub of the store; the next command starts one again."""
    from store.hub_process import stop_hub

    path = find_store(options.store)
    pid = stop_hub(path)  # also one of another version
    if pid is None:
        raise StoreError("no hub is running", where=str(path))
    return emit(options, {"stopped": pid})
