"""``spiritsafe``: the command. Options, dispatch, and the one place where errors become text and exit codes.

Exit codes: 0 done; 1 done, and what was found is bad news (verify differs, a gate does not pass); 2 usage;
3 bad input; 4 refused by a rule; 5 store or hub; 6 endpoint; 130 stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from console.commands import COMMANDS, Command
from console.output import close_stores
from console.text import visible
from store.errors import InputError, SpiritsafeError, StoreError, UsageError

VERSION = "0.1.0"
VALUED = ("--store", "--project", "--as")  # options before the command that take a value


class Parser(argparse.ArgumentParser):
    """argparse with our error: where, what, what to do."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(
            message,
            where=self.prog.removeprefix("spiritsafe").strip(),
            todo=f"{self.prog} --help says what it takes.",
        )


def parser_for(argv: Sequence[str]) -> Parser:
    """The parser; only the command that ``argv`` names gets its options (its modules are imported for it)."""
    parser = Parser(
        prog="spiritsafe",
        description="Decide whether a small student model may replace a big teacher, and keep the proof.",
        epilog="Without a command it opens the console. Exit codes: 0 done, 1 bad news, 2 usage, 3 bad input, "
        "4 refused by a rule, 5 store, 6 endpoint, 130 stopped.",
    )
    parser.add_argument("--version", action="version", version=f"spiritsafe {VERSION}")
    _common(parser, top=True)
    subs = parser.add_subparsers(dest="command", metavar="COMMAND")
    named = command_in(argv)
    for command in COMMANDS.values():
        sub = subs.add_parser(command.name, help=command.help, description=command.help)
        _common(sub, top=False)
        if command.name == named:
            command.configure(sub)
    return parser


def command_in(argv: Sequence[str]) -> str | None:
    """The command's name in ``argv``: the first word that is neither an option nor an option's value.

    >>> command_in(["--project", "import", "--json", "queue", "audit"])
    'queue'
    """
    words = iter(argv)
    for word in words:
        if word in VALUED:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _common(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Options that may stand before or after the command."""
    default: Any = None if top else argparse.SUPPRESS
    off: Any = False if top else argparse.SUPPRESS
    group = parser.add_argument_group("everywhere")
    group.add_argument(
        "--store",
        metavar="PATH",
        default=default,
        help="the store (else SPIRITSAFE_STORE, else ./spiritsafe.duckdb upwards)",
    )
    group.add_argument(
        "--project",
        metavar="NAME",
        default=default,
        help="the project (else SPIRITSAFE_PROJECT, else the only one)",
    )
    group.add_argument(
        "--as",
        dest="claimed",
        metavar="NAME",
        default=default,
        help="your name on a shared account, recorded as claimed",
    )
    group.add_argument(
        "--json", action="store_true", default=off, help="one JSON document on standard output"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        options = parser_for(words).parse_args(words)
        command: Command = COMMANDS[options.command or "console"]
        return command.run(options)
    except SpiritsafeError as error:
        _tell(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ConnectionError, EOFError) as error:
        lost = StoreError(f"the hub went away: {error}", todo="See the log beside the store.")
        _tell(lost, as_json=as_json)
        return lost.exit_code
    except OSError as error:  # a file that cannot be written, a disk that is full
        failed = InputError(error.strerror or str(error), where=str(error.filename or ""))
        _tell(failed, as_json=as_json)
        return failed.exit_code
    finally:
        close_stores()


def _tell(error: SpiritsafeError, *, as_json: bool) -> None:
    if as_json:
        told = {"error": type(error).__name__, "what": error.what, "where": error.where, "todo": error.todo}
        print(msgspec.json.encode(told).decode(), file=sys.stderr)
    else:
        print(f"spiritsafe: {visible(str(error), lines=True)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
