"""The reads of suggestions by meaning: the pairs, what people said of them, and what a pass needs to know besides.

No stage that leaves something out may ask these: a suggestion is verified by nobody. A test holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from store.question import Question


@dataclass(frozen=True, slots=True)
class SuggestionRow:
    """A pair that may mean the same."""

    suggestion_key: int
    field: str
    left_id: str
    right_id: str
    left_text: str
    right_text: str
    cosine: float
    near: bool
    leak: bool


@dataclass(frozen=True, slots=True)
class Apart:
    """A pair that somebody told apart, in either queue of pairs."""

    queue: str
    subject: str


@dataclass(frozen=True, slots=True)
class Sides:
    """Where a prompt stands: in the test split, in another one, or in both."""

    prompt_id: str
    test: bool
    other: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """An output, by its id."""

    output_id: str


SUGGESTIONS = Question(
    "suggestions",
    SuggestionRow,
    """select s.suggestion_key, s.field, s.left_id, s.right_id, coalesce(a.text, o.text), coalesce(b.text, p.text),
        s.cosine, s.near, s.leak
    from suggestions s
    left join arrival a on s.field = 'prompt' and a.arrival_key = s.left_key
    left join arrival b on s.field = 'prompt' and b.arrival_key = s.right_key
    left join output o on s.field = 'output' and o.output_key = s.left_key
    left join output p on s.field = 'output' and p.output_key = s.right_key
    where s.project = $project and s.run_no = $run_no order by s.suggestion_key""",
)
TOLD_APART = Question(
    "told_apart",
    Apart,
    "select distinct queue, subject from current_verdict where project = $project and verdict = 'distinct'"
    " and queue in ('duplicates', 'semantic') order by all",
)
SIDES = Question(
    "sides",
    Sides,
    "select prompt_id, bool_or(split = 'test'), bool_or(split <> 'test') from arrivals where project = $project"
    " group by prompt_id order by prompt_id",
)
# A prompt's answers by a model, of those that may be trained on: of prompts that models were compared on it would tell
# whoever judges these answers blind which one is whose.
ANSWERS_OF = Question(
    "answers_of",
    Answer,
    "select distinct output_id from outputs where project = $project and model = $model and prompt_id = $prompt_id"
    " and prompt_id not in (select prompt_id from scores where project = $project) order by output_id",
)
QUESTIONS = (SUGGESTIONS, TOLD_APART, SIDES, ANSWERS_OF)
