"""What a classifier student says, as an output like a teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from store.canonical import canonical_text, output_id_of
from store.records import Output

if TYPE_CHECKING:
    from engine.students.classifier import Prediction


def answer_row(
    prompt: tuple[int, str],
    model: str,
    prediction: Prediction,
    spelling: Mapping[str, str],
    latency_us: int | None = None,
) -> Output:
    """An output of ``model`` to ``prompt`` (arrival key, prompt id), written by ``spelling`` (label → the teacher's text),
    its top labels as logprobs of the one token that it is."""
    arrival_key, prompt_id = prompt
    text = spelling.get(prediction.label, prediction.label)
    top = [
        {"token": spelling.get(label, label), "logprob": round(value, 6)} for label, value in prediction.top
    ]
    logprobs = canonical_text({"content": [{**top[0], "top_logprobs": top}]})
    return Output(
        0, 0, arrival_key, prompt_id, output_id_of(prompt_id, model, 0, text), model, 0,
        text, "stop", None, None, None, latency_us, logprobs,
    )  # fmt: skip
