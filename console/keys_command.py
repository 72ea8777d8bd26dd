"""``spiritsafe keys``: the console's keys as text or JSON, a keymap to start from; and how the console is told of one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from console import keymap
from console.output import emit


def configure_keymap(parser: argparse.ArgumentParser) -> None:
    """The option that names a keymap."""
    parser.add_argument(
        "--keymap",
        metavar="FILE",
        help="keys of your own (else SPIRITSAFE_KEYMAP, else spiritsafe/keymap.toml in the configuration folder)",
    )


def configure_looks(parser: argparse.ArgumentParser) -> None:
    """How the console looks and answers: keys, colours, only looking."""
    parser.add_argument(
        "--read-only", action="store_true", help="only look: nothing is recorded, started or undone"
    )
    parser.add_argument(
        "--theme",
        default="",
        help="default, light, dark, colour-blind, 16 (else SPIRITSAFE_THEME, else the last chosen)",
    )
    configure_keymap(parser)


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of ``spiritsafe keys``."""
    configure_keymap(parser)
    parser.add_argument("--write", metavar="FILE", type=Path, help="write a commented keymap to start from")


def keys(options: argparse.Namespace) -> int:
    """List the console's actions and their keys, and what is wrong in the keymap; exit 1 where something is."""
    if options.write is not None:
        return emit(options, {"written": str(keymap.write(options.write))})
    found = keymap.load(options.keymap)
    if options.json:
        problems = [{"where": p.where, "what": p.what, "todo": p.todo} for p in found.problems]
        emit(
            options,
            {"keymap": found.path or None, "actions": keymap.listed(found), "problems": problems},
        )
    else:
        sys.stdout.write("\n".join(keymap.as_lines(found)) + "\n")
    return 1 if found.problems else 0
