"""One teacher endpoint and one call to it: what it is, what it answered, what went wrong.

Servers lie with HTTP 200: they drop logprobs, send a body without choices or a page of HTML. So an answer
is read field by field, and what is not there is None or a fault, never a default that looks like an answer.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from engine.teacher.journal import JournalEntry
from store.canonical import canonical_text, digest_of
from store.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

LOWEST_LOGPROB = -9999.0  # OpenAI's own mark for "very unlikely"; JSON has no -inf
MOST_TOP = 20  # top_logprobs that the protocol allows
MOST_REASON = 300  # characters of a server's own words that we repeat
OWN_FIELDS = frozenset(
    {"model", "messages", "n", "stream", "max_tokens", "temperature", "logprobs", "top_logprobs", "seed"}
)


@dataclass(frozen=True, slots=True)
class Teacher:
    """A pinned endpoint, model, version and parameters: never just a name.

    ``version`` is the model name that the endpoint itself reports in its answers (``client.reported_version``
    asks for it). ``extra`` goes into the request body as it is (``response_format``, ``top_p``,
    ``max_completion_tokens``) and into the fingerprint. No key, password or token belongs here.
    """

    endpoint: str  # base URL that ends before /chat/completions, as "http://127.0.0.1:8000/v1"
    model: str
    version: str
    max_tokens: int | None = None
    temperature: float = 0.0
    logprobs: bool = False
    top_logprobs: int | None = None  # 0 … 20
    seed: int | None = None  # sample i is asked with seed + i: one seed would repeat one answer
    extra: Mapping[str, object] = field(default_factory=dict)
    address: str = ""  # where the endpoint is reached today (a tunnel, a port); no part of who it is

    def __post_init__(self) -> None:
        for name, text in (("endpoint", self.endpoint), ("address", self.address or self.endpoint)):
            url, where = urlsplit(text), f"teacher.{name}"
            if url.scheme not in {"http", "https"} or not url.hostname:
                raise InputError("the endpoint is no http(s) URL", where=where)
            if url.username or url.password or url.query or url.fragment:
                todo = "Put the key into the environment: the endpoint's URL is stored with every answer."
                raise InputError("the endpoint's URL carries more than a path", where=where, todo=todo)
        if self.top_logprobs is not None and not (self.logprobs and 0 <= self.top_logprobs <= MOST_TOP):
            raise InputError("needs logprobs = true and 0 … 20", where="teacher.top_logprobs")
        if taken := OWN_FIELDS & set(self.extra):
            raise InputError(f"has a field of its own: {', '.join(sorted(taken))}", where="teacher.extra")
        object.__setattr__(self, "temperature", float(self.temperature))  # 0 and 0.0 are one teacher

    def params(self) -> dict[str, object]:
        """The request's parameters: what is sent beside model and messages (the seed of sample 0)."""
        own = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "logprobs": self.logprobs or None,
            "top_logprobs": self.top_logprobs,
            "seed": self.seed,
        }
        return {name: value for name, value in own.items() if value is not None} | dict(self.extra)

    def about(self) -> dict[str, object]:
        """Everything the fingerprint covers, for people."""
        return {"endpoint": self.endpoint.rstrip("/"), "model": self.model, "version": self.version} | {
            "params": self.params()
        }

    def fingerprint(self) -> str:
        """SHA-256 over endpoint, model, reported version and parameters."""
        return digest_of(["teacher", self.about()])


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attempt brought no answer, in words that carry no secret.

    ``busy``: asked to slow down (429); ``passing``: worth another try; ``prompt``: this prompt will never
    do; ``fatal``: no prompt will.
    """

    kind: Literal["busy", "passing", "prompt", "fatal"]
    reason: str
    wait_s: float | None = None  # what the server asked for
    reached: bool = True  # the server answered something


def open_client(teacher: Teacher, api_key: str | None, timeout_s: float) -> AsyncOpenAI:
    """An SDK client for ``teacher``; close it, or use it as a context manager."""
    from openai import AsyncOpenAI

    # an explicit stand-in: with None the SDK would send OPENAI_API_KEY to whatever endpoint this is
    key = api_key or "none"
    base_url = teacher.address or teacher.endpoint
    return AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=timeout_s)


async def ask(
    client: AsyncOpenAI,
    teacher: Teacher,
    messages: Sequence[Mapping[str, object]],
    *,
    sample_index: int = 0,
    timeout_s: float = 60.0,
    secret: str | None = None,
) -> JournalEntry | Fault:
    """One attempt, without retries: the entry it brought, or the fault in words without ``secret``."""
    import openai

    body = {"model": teacher.model, "messages": list(messages)} | teacher.params()
    if teacher.seed is not None:
        body["seed"] = teacher.seed + sample_index
    started = time.perf_counter_ns()
    try:
        async with asyncio.timeout(timeout_s):  # the SDK's own limit is per read: a dribble never ends
            answer = await client.post("/chat/completions", body=body, cast_to=object)
    except TimeoutError:
        return Fault("passing", f"no whole answer within {timeout_s:g} s", reached=False)
    except openai.APIStatusError as error:
        return _status_fault(error, secret)
    except openai.APIConnectionError as error:
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        return Fault("passing", _public(f"cannot be reached: {error}{cause}", secret), reached=False)
    except (openai.OpenAIError, ValueError) as error:
        return Fault("passing", _public(f"the answer cannot be read: {error}", secret))
    return read_answer(answer, (time.perf_counter_ns() - started) // 1000, secret)


def _status_fault(error: Any, secret: str | None) -> Fault:
    """Sort a 4xx or 5xx (an ``openai.APIStatusError``)."""
    status = int(error.status_code)
    told = str(error.message).removeprefix(f"Error code: {status} - ")
    reason = _public(f"HTTP {status}: {told}", secret)
    if status == 429:
        if error.code == "insufficient_quota":  # no waiting helps
            return Fault("fatal", reason)
        return Fault("busy", reason, wait_s=retry_after(error.response.headers))
    if status in {408, 409, 425} or status >= 500:
        return Fault("passing", reason, wait_s=retry_after(error.response.headers))
    return Fault("fatal" if status == 401 else "prompt", reason)


def retry_after(headers: Mapping[str, str], *, now_s: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (seconds or an HTTP date), or None.

    >>> retry_after({"retry-after": "1.5"}), retry_after({"retry-after-ms": "20"}), retry_after({})
    (1.5, 0.02, None)
    >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now_s=50.0)
    10.0
    """
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            wait = float(value) / divisor
        except ValueError:
            try:
                wait = parsedate_to_datetime(value).timestamp() - (time.time() if now_s is None else now_s)
            except ValueError:
                continue
        if math.isfinite(wait):
            return max(wait, 0.0)
    return None


def read_answer(answer: object, latency_us: int, secret: str | None = None) -> JournalEntry | Fault:
    """The entry in a chat completion's JSON, or a fault where it is none."""
    body = answer if isinstance(answer, dict) else {}
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        told = body.get("error") or answer
        return Fault("passing", _public(f"HTTP 200 without an answer: {told}", secret))
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    return JournalEntry(
        text=_clean(message.get("content")) or _clean(message.get("refusal")) or "",
        finish_reason=_clean(choice.get("finish_reason")),
        tokens_in=_count(usage, "prompt_tokens"),
        tokens_out=_count(usage, "completion_tokens"),
        latency_us=latency_us,
        logprobs=_logprobs(choice.get("logprobs")),
        reported_model=_clean(body.get("model")),
        system_fingerprint=_clean(body.get("system_fingerprint")),
    )


def _logprobs(told: object) -> str | None:
    """Canonical JSON ``{"content":[{token, logprob, top_logprobs}]}``, or None where there are none."""
    content = told.get("content") if isinstance(told, dict) else None
    if not isinstance(content, list):
        return None
    tokens = [_token(t) | {"top_logprobs": [_token(o) for o in t.get("top_logprobs") or []]} for t in content]
    return canonical_text({"content": tokens})


def _token(told: Mapping[str, Any]) -> dict[str, object]:
    logprob = told.get("logprob")
    known = isinstance(logprob, int | float) and math.isfinite(logprob)
    return {
        "token": _clean(told.get("token")) or "",
        "logprob": float(logprob or 0) if known else LOWEST_LOGPROB,
    }


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) else None


def _clean(told: object) -> str | None:
    """Text that UTF-8 can carry: a lone surrogate (half an emoji, cut by max_tokens) becomes U+FFFD."""
    if not isinstance(told, str):
        return None
    return told.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _public(reason: str, secret: str | None) -> str:
    """``reason`` without the key, whole or as servers abbreviate it, and not longer than a line or three."""
    if secret:
        reason = reason.replace(secret, "***")
    return re.sub(r"\b(sk|key)-[\w*.-]{4,}", "***", reason)[:MOST_REASON]
