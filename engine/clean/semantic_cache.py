"""Embeddings kept beside the store, by the hash of their text: a pass that stopped goes on, a second one is quick.

One folder a model, one file a part: ``keys`` (n x 16 bytes) and ``vectors`` (n x d, float32) as numpy writes them,
read without pickle. It is no evidence and may be thrown away; whoever can read it learns about texts, and whoever can
write to it decides what is found alike: so it is one account's own, and nobody else's folder or link is used.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import StoreError

if TYPE_CHECKING:
    from engine.clean.semantic_pairs import Vectors

KEY_BYTES = 16


def key_of(text: str) -> bytes:
    """The key of a text: 128 bits of its SHA-256; lone surrogates as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def folder_for(store: Path, model: str) -> Path:
    """Where this account's vectors of a model (its hash) lie beside a store."""
    return store.with_name(f".{store.name}.embeddings.{os.geteuid()}") / model[:32]


class Cache:
    """The vectors of one model."""

    def __init__(self, folder: Path, dimensions: int) -> None:
        self.folder, self.dimensions = folder, dimensions

    def known(self, wanted: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The vectors that are here of these keys. A part that is cut short or of another shape is thrown away.

        Raises StoreError where the folder is not this account's own.
        """
        if not _is_there(self.folder.parent):
            return {}
        found: dict[bytes, Vectors] = {}
        asked = set(wanted)
        for path in sorted(self.folder.glob("part-*.npz")):
            part = self._read(path)
            if part is None:
                path.unlink(missing_ok=True)
                continue
            for at, key in enumerate(part[0]):
                if key in asked:
                    found[key] = part[1][at]
        return found

    def _read(self, path: Path) -> tuple[list[bytes], Vectors] | None:
        import numpy as np

        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as part:
                keys, vectors = part["keys"], part["vectors"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        n = len(keys)
        fits = keys.dtype == np.uint8 and keys.shape == (n, KEY_BYTES)
        if not fits or vectors.dtype != np.float32 or vectors.shape != (n, self.dimensions):
            return None
        packed = keys.tobytes()
        return [packed[i : i + KEY_BYTES] for i in range(0, len(packed), KEY_BYTES)], vectors

    def keep(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Write one more part; it has its name only when it is whole. Raises StoreError where it cannot be written."""
        try:
            self._keep(keys, vectors)
        except OSError as error:
            todo = "Make room, or keep the store in a folder that you may write to."
            raise StoreError(
                f"vectors cannot be kept: {error.strerror}", where=str(self.folder), todo=todo
            ) from error

    def _keep(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        import numpy as np

        if not _is_there(self.folder.parent):
            self.folder.parent.mkdir(mode=0o700)
        self.folder.parent.chmod(0o700)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        name = f"part-{keys[0].hex()}-{len(keys)}.npz"
        new = self.folder / f".{name}.{os.getpid()}"
        packed = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), KEY_BYTES)
        try:
            with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                np.savez(file, keys=packed, vectors=vectors)
            new.replace(self.folder / name)
        finally:
            new.unlink(missing_ok=True)


def _is_there(folder: Path) -> bool:
    """Whether there is a folder of this account's own; raises StoreError for anything else of that name."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        return True
    what = "belongs to somebody else" if stat.S_ISDIR(found.st_mode) else "is no folder"
    raise StoreError(f"{what}, and is not used", where=str(folder), todo="Remove it.")
