"""A classifier student: multinomial logistic regression on TF-IDF, trained on a teacher's labels.

Hard targets are the teacher's labels. Soft targets are its top-k label probabilities, tempered and
renormalised (Hinton, Vinyals and Dean 2015, section 2): each text pulls towards every label as much as the
teacher did. On banking77 with 1,000 texts soft targets at T = 2 are worth +7 points of accuracy, and they
ruin calibration: calibrate before any threshold. Saved without pickle, so that a weights file from a
stranger can hold wrong numbers but no code.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from store.canonical import canonical, digest
from store.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

FORMAT = 1
MOST_BYTES = 1 << 30  # of a weights file, unpacked
# What numpy and zipfile raise for bytes that are no such file; RuntimeError: encrypted, or a later zip version.
UNREADABLE = (
    ValueError, KeyError, EOFError, OSError, RuntimeError, zlib.error, zipfile.BadZipFile, msgspec.MsgspecError,
)  # fmt: skip
MEMBERS = ("weights", "bias", "idf", "vocabulary", "labels", "params")


@dataclass(frozen=True, slots=True)
class TrainParams:
    """How a student is trained; ``limit`` texts are drawn by ``seed``, training itself has no randomness."""

    mode: Literal["hard", "soft"] = "soft"
    temperature: float = 2.0  # soft only; below 20 top logprobs try 1.0 first
    top_k: int = 20  # soft only: labels kept of each distribution
    C: float = 10.0  # inverse L2 strength, as in scikit-learn
    ngrams: tuple[int, int] = (1, 2)  # of words
    seed: int = 1
    limit: int | None = None
    most_features: int = 50_000
    most_steps: int = 300  # of L-BFGS

    def __post_init__(self) -> None:
        if self.mode not in {"hard", "soft"}:
            raise InputError(f"is neither hard nor soft: {self.mode!r}", where="train.mode")
        if not (self.temperature > 0 and self.C > 0 and math.isfinite(self.temperature * self.C)):
            raise InputError("temperature and C must be above 0", where="train")
        low, high = self.ngrams
        if not 1 <= low <= high or self.top_k < 1 or (self.limit is not None and self.limit < 1):
            raise InputError("ngrams, top_k and limit must be positive and in order", where="train")


class Target(NamedTuple):
    """What the teacher said of a text: its label and, for soft training, (label, logprob) of its top labels."""

    label: str
    top: tuple[tuple[str, float], ...] = ()


class Prediction(NamedTuple):
    """A student's answer: label, its probability (uncalibrated), and the top (label, logprob), best first."""

    label: str
    confidence: float
    top: tuple[tuple[str, float], ...]


def target_of(text: str, logprobs: str | None, codes: Mapping[str, str]) -> Target:
    """A target from a teacher's answer; ``codes`` maps what it writes (one token a label) to labels.

    ``logprobs`` is an output's canonical JSON. Tokens that are no code are left out; several spellings of
    one code (" a", "a") add up. The label is what the answer's text says, not the likeliest token.

    Raises:
        InputError: the text is no code.

    >>> target_of(" a ", '{"content":[{"token":"a","logprob":-0.1,"top_logprobs":'
    ...   '[{"token":"a","logprob":-0.1},{"token":"b","logprob":-2.5},{"token":"?","logprob":-9}]}]}',
    ...   {"a": "refund", "b": "top_up"})
    Target(label='refund', top=(('refund', -0.1), ('top_up', -2.5)))
    """
    label = codes.get(text.strip())
    if label is None:
        raise InputError(f"the answer is no label: {text[:80]!r}", todo="Drop it or mend the prompt's codes.")
    content = msgspec.json.decode(logprobs)["content"] if logprobs is not None else []
    mass: dict[str, float] = {}
    for token in content[0]["top_logprobs"] if content else []:
        other = codes.get(token["token"].strip())
        if other is not None:
            mass[other] = mass.get(other, 0.0) + math.exp(token["logprob"])
    top = sorted(((k, round(math.log(v), 12)) for k, v in mass.items() if v > 0), key=lambda pair: -pair[1])
    return Target(label, tuple(top))


def train(
    texts: Sequence[str],
    targets: Sequence[Target],
    params: TrainParams | None = None,
    *,
    sample_weights: Sequence[float] | None = None,
) -> Classifier:
    """A student that answers as ``targets`` say; one target, and one weight above 0 where given, a text.

    Weights are brought to a mean of 1, so that the regularisation keeps its strength.

    Raises:
        InputError: lengths differ, nothing to train on, a single label, or soft training without logprobs.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    params = params or TrainParams()
    if len(texts) != len(targets):
        raise InputError(f"{len(texts)} texts with {len(targets)} targets")
    if sample_weights is not None and (len(sample_weights) != len(texts) or min(sample_weights) <= 0):
        raise InputError(f"{len(sample_weights)} weights for {len(texts)} texts, each to be above 0")
    chosen = np.random.default_rng(params.seed).permutation(len(texts))[: params.limit]
    used = [targets[i] for i in chosen]
    labels, wanted = _wanted(used, params)
    words = TfidfVectorizer(ngram_range=params.ngrams, max_features=params.most_features)
    try:
        rows = words.fit_transform([texts[i] for i in chosen])
    except ValueError:
        raise InputError("the texts hold no word of two letters or more", where="train") from None
    heavy = np.ones(len(used)) if sample_weights is None else np.asarray(sample_weights)[chosen]
    solved = _solve(rows, wanted, heavy / heavy.mean(), params)
    return Classifier(
        weights=solved[:-1].astype(np.float32),
        bias=solved[-1].astype(np.float32),
        idf=words.idf_.astype(np.float32),
        vocabulary=tuple(str(word) for word in words.get_feature_names_out()),
        labels=labels,
        params=params,
    )


def _wanted(targets: Sequence[Target], params: TrainParams) -> tuple[tuple[str, ...], Floats]:
    """Labels in order, and the distribution wanted of each text: float64 (texts, labels), rows sum to 1."""
    import numpy as np

    soft = params.mode == "soft"
    bare = sum(not target.top for target in targets)
    if soft and bare:
        todo = "Train hard, or generate with logprobs and top_logprobs."
        raise InputError(
            f"{bare} of {len(targets)} targets carry no label logprobs", where="train", todo=todo
        )
    kept = [
        sorted(target.top, key=lambda pair: -pair[1])[: params.top_k] if soft else [(target.label, 0.0)]
        for target in targets
    ]
    labels = tuple(sorted({label for pairs in kept for label, _ in pairs}))
    if len(labels) < 2:
        raise InputError(
            f"{len(labels)} label(s) in {len(targets)} targets: nothing to tell apart", where="train"
        )
    place = {label: index for index, label in enumerate(labels)}
    wanted = np.zeros((len(targets), len(labels)))
    for row, pairs in zip(wanted, kept, strict=True):
        highest = pairs[0][1]
        for label, logprob in pairs:
            row[place[label]] += math.exp((logprob - highest) / params.temperature) if soft else 1.0
    return labels, wanted / wanted.sum(axis=1, keepdims=True)


def _solve(rows: Any, wanted: Floats, heavy: Floats, params: TrainParams) -> Floats:
    """Weights and, as last row, bias: float64 (features + 1, labels), by L-BFGS from zero.

    The optimum of scikit-learn's multinomial LogisticRegression on every row repeated once a label with
    ``wanted`` as sample weights (the test's oracle), without the repetition: cross-entropy against a
    distribution has the gradient softmax - wanted. Weights are penalised, the bias is not. ``heavy``: how much each
    text counts, mean 1.
    """
    import numpy as np
    from scipy.optimize import minimize

    texts, features = rows.shape
    columns, l2, share = rows.T.tocsr(), 1.0 / (params.C * texts), (heavy / texts)[:, None]

    def loss(flat: Floats) -> tuple[float, Floats]:
        point = flat.reshape(features + 1, -1)
        logs = _log_softmax(rows @ point[:-1] + point[-1])
        gap = (np.exp(logs) - wanted) * share
        slope = np.empty_like(point)
        slope[:-1] = columns @ gap + l2 * point[:-1]
        slope[-1] = gap.sum(axis=0)
        value = -(wanted * logs * share).sum() + 0.5 * l2 * (point[:-1] ** 2).sum()
        return float(value), slope.ravel()

    start = np.zeros((features + 1) * wanted.shape[1])
    options = {"maxiter": params.most_steps, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps, "maxls": 50}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(features + 1, -1)


def _log_softmax(scores: Any) -> Any:
    import numpy as np

    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A trained student: float32 weights (features, labels), bias (labels,), idf (features,)."""

    weights: Floats
    bias: Floats
    idf: Floats
    vocabulary: tuple[str, ...]
    labels: tuple[str, ...]
    params: TrainParams

    def log_probabilities(self, texts: Sequence[str]) -> Floats:
        """float64 of shape (texts, labels), in the order of ``labels``. A text without a known word gets the bias."""
        import numpy as np
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.preprocessing import normalize

        counter = CountVectorizer(ngram_range=self.params.ngrams, vocabulary=list(self.vocabulary))
        counts = counter.transform(list(texts)).astype(np.float64)
        rows = normalize(counts.multiply(self.idf.astype(np.float64)).tocsr(), copy=False)
        scores = rows @ self.weights.astype(np.float64) + self.bias
        logs: Floats = _log_softmax(scores)
        return logs

    def predict(self, texts: Sequence[str], *, top: int = 5) -> list[Prediction]:
        """One prediction a text, with its ``top`` labels. Ties go to the label first in order."""
        import numpy as np

        if not texts:
            return []
        logs = self.log_probabilities(texts)
        order = np.argsort(-logs, axis=1, kind="stable")[:, : max(top, 1)]
        best = np.take_along_axis(logs, order, axis=1).tolist()
        predictions = []
        for places, values in zip(order.tolist(), best, strict=True):
            pairs = tuple((self.labels[p], v) for p, v in zip(places, values, strict=True))
            predictions.append(Prediction(pairs[0][0], math.exp(pairs[0][1]), pairs[:top]))
        return predictions

    def to_bytes(self) -> bytes:
        """An .npz without objects, the same bytes for the same student; its SHA-256 names it."""
        import numpy as np

        told = {"format": FORMAT} | asdict(self.params)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            weights=self.weights,
            bias=self.bias,
            idf=self.idf,
            vocabulary=np.frombuffer(canonical(self.vocabulary), dtype=np.uint8),
            labels=np.frombuffer(canonical(self.labels), dtype=np.uint8),
            params=np.frombuffer(canonical(told), dtype=np.uint8),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, *, sha256: str | None = None) -> Classifier:
        """The student in ``data``; with ``sha256``, only that very one.

        Raises:
            InputError: another digest, not such a file, too large, or arrays that do not fit each other.
        """
        if sha256 is not None and digest(data) != sha256:
            raise InputError(f"the weights are not those recorded: SHA-256 {digest(data)}, not {sha256}")
        try:
            return _checked(_arrays(data))
        except UNREADABLE as error:
            raise InputError(f"this is no classifier of ours: {error}", where="weights") from error


def _arrays(data: bytes) -> dict[str, Any]:
    """The members of an .npz, each header checked against its size before anything is allocated."""
    import numpy as np

    arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if sorted(members) != sorted(MEMBERS) or len(archive.infolist()) != len(MEMBERS):
            raise ValueError(f"its members are {', '.join(sorted(members))}")
        if sum(info.file_size for info in members.values()) > MOST_BYTES:
            raise ValueError("it unpacks to more than a student needs")
        for name, info in members.items():
            body = io.BytesIO(archive.read(info))
            if np.lib.format.read_magic(body) != (1, 0):
                raise ValueError(f"{name} is of another npy version")
            shape, fortran, kind = np.lib.format.read_array_header_1_0(body)
            expected = np.float32 if name in MEMBERS[:3] else np.uint8
            rest = body.read()
            if kind != expected or fortran or math.prod(shape) * kind.itemsize != len(rest):
                raise ValueError(f"{name} is {kind} of shape {shape} in {len(rest)} bytes")
            arrays[name] = np.frombuffer(rest, dtype=kind).reshape(shape)
    return arrays


def _checked(arrays: Mapping[str, Any]) -> Classifier:
    """A classifier whose parts fit each other and whose numbers are finite."""
    import numpy as np

    vocabulary = msgspec.json.decode(arrays["vocabulary"].tobytes(), type=tuple[str, ...])
    labels = msgspec.json.decode(arrays["labels"].tobytes(), type=tuple[str, ...])
    told = msgspec.json.decode(arrays["params"].tobytes(), type=dict[str, Any])
    if told.pop("format", None) != FORMAT:
        raise ValueError("its format is not known")
    params = msgspec.convert(told, TrainParams)
    shapes = {"weights": (len(vocabulary), len(labels)), "bias": (len(labels),), "idf": (len(vocabulary),)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if not vocabulary or len(labels) < 2 or len(set(vocabulary)) < len(vocabulary):
        raise ValueError("a word or label is missing or doubled")
    if len(set(labels)) < len(labels):
        raise ValueError("a label is doubled")
    return Classifier(arrays["weights"], arrays["bias"], arrays["idf"], vocabulary, labels, params)
