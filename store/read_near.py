"""The reads of a near-duplicate pass that goes batch by batch: which texts there are, and texts by their keys."""

from __future__ import annotations

from dataclasses import dataclass

from store.question import Question
from store.read_dataset import Text


@dataclass(frozen=True, slots=True)
class TextSize:
    """A text to compare: its packed key, and how many code points it has."""

    key: int
    length: int


# As ``read_dataset.PROMPTS``: every distinct prompt once, by its first arrival.
PROMPT_SIZES = Question(
    "prompt_sizes",
    TextSize,
    "select min(arrival_key) as key, arg_min(length(text), arrival_key) as length from arrivals"
    " where project = $project group by prompt_id order by key",
)
ANSWER_SIZES = Question(
    "answer_sizes",
    TextSize,
    "select output_key as key, length(text) as length from outputs where project = $project and model = $model order by key",
)
# Arrivals, also of prompts that arrived before.
PROMPTS_BETWEEN = Question(
    "prompts_between",
    Text,
    "select arrival_key as key, prompt_id as id, text from arrivals"
    " where project = $project and arrival_key between $low and $high order by key",
)
ANSWERS_BETWEEN = Question(
    "answers_between",
    Text,
    "select output_key as key, output_id as id, text from outputs"
    " where project = $project and model = $model and output_key between $low and $high order by key",
)
PROMPTS_AT = Question(
    "prompts_at",
    Text,
    "select arrival_key as key, prompt_id as id, text from arrivals where project = $project"
    " and arrival_key between $low and $high and arrival_key in (select unnest($keys::bigint[])) order by key",
)
ANSWERS_AT = Question(
    "answers_at",
    Text,
    "select output_key as key, output_id as id, text from outputs where project = $project and model = $model"
    " and output_key between $low and $high and output_key in (select unnest($keys::bigint[])) order by key",
)
QUESTIONS = (PROMPT_SIZES, ANSWER_SIZES, PROMPTS_BETWEEN, ANSWERS_BETWEEN, PROMPTS_AT, ANSWERS_AT)
