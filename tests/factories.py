"""Records and hubs for tests: each factory states only what matters to the one who calls it."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

from store import address
from store.canonical import canonical_text, messages_of, output_id_of, prompt_id_of
from store.client import Client
from store.errors import StoreError
from store.records import Arrival, Output


def stop_hub(path: Path) -> None:
    """Stop the hub of a store, where one runs, and wait until it is gone."""
    try:
        client = Client(path, start=False)
    except StoreError:
        return
    with client:
        client.call("stop")
    with address.lock_path(path).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # granted once the hub has closed the file and is gone


def arrival(text: str = "Where is my parcel?", **values: Any) -> Arrival:
    """An arrival of a prompt; ``metadata`` is a dict here."""
    defaults: dict[str, Any] = {
        "run_no": 0, "arrival_key": 0, "prompt_id": prompt_id_of(messages_of(text)), "messages": None,
        "reference": None, "source": "production", "split": "test", "at_us": None, "file_id": "f" * 32, "file_row": 1,
    }  # fmt: skip
    metadata = canonical_text(values.pop("metadata", {}))
    return Arrival(**defaults | {"text": text, "metadata": metadata} | values)


def output(
    text: str = "On its way.", *, to: str = "Where is my parcel?", model: str = "teacher", **values: Any
) -> Output:
    """The output of ``model`` to the prompt ``to``."""
    prompt_id = prompt_id_of(messages_of(to))
    sample = values.get("sample_index", 0)
    defaults: dict[str, Any] = {
        "run_no": 0, "output_key": 0, "arrival_key": 0, "prompt_id": prompt_id, "sample_index": sample,
        "output_id": output_id_of(prompt_id, model, sample, text), "finish_reason": "stop", "tokens_in": None,
        "tokens_out": len(text), "cost_nano": None, "latency_us": None, "logprobs": None,
    }  # fmt: skip
    return Output(**defaults | {"model": model, "text": text} | values)
