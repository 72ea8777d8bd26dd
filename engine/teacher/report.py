"""What goes into a teacher run and what comes out of it: requests, answers, failures, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from store.errors import InputError


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """One question: the caller's own key for it, chat messages, and the how-manieth sample it is."""

    key: int | str
    messages: Sequence[Mapping[str, object]]
    sample_index: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A durable answer to a request; ``replayed`` came from the journal and cost nothing now."""

    key: int | str
    sample_index: int
    text: str
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    latency_us: int
    logprobs: str | None  # canonical JSON, OpenAI chat shape
    reported_model: str | None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer, and why. It is asked again by the next run."""

    key: int | str
    sample_index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did so far (for ``progress``) or in all."""

    answered: int = 0  # handed to on_answer: called + replayed
    called: int = 0  # answers paid for in this run
    replayed: int = 0  # answers from the journal
    attempts: int = 0  # HTTP requests sent, retries included
    tokens_in: int = 0
    tokens_out: int = 0
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()
    system_fingerprints: tuple[str, ...] = ()  # backends that answered: a changed one is worth a note
    cancelled: bool = False
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard to press, and when to stop."""

    in_flight: int = 16
    retries: int = 8  # further attempts for one prompt after its first
    timeout_s: float = 60.0  # of one attempt, wall clock
    longest_wait_s: float = 60.0  # a server that asks for more is given up for this prompt
    breaker: int | None = None  # consecutive failed attempts that stop the run; default 3 x in_flight

    def __post_init__(self) -> None:
        if self.in_flight < 1 or self.retries < 0 or self.timeout_s <= 0:
            raise InputError("needs in_flight >= 1, retries >= 0 and a timeout above 0", where="limits")

    @property
    def breaks_at(self) -> int:
        """Consecutive failed attempts that stop the run."""
        return self.breaker if self.breaker is not None else 3 * self.in_flight
