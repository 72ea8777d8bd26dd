"""Every error a user can meet, as one tree.

    SpiritsafeError                 exit
    ├── UsageError                  2    the command line or a key cannot mean that
    ├── InputError                  3    a file, row, expression or contract is wrong
    │   └── GrammarError            3    … an expression, with the column where it breaks
    ├── RuleError                   4    a rule refuses: not locked, not frozen, not allowed
    │   ├── RoleError               4    … because of who asks
    │   └── ReusedIdError           4    … one act id with two payloads
    ├── StoreError                  5    the store or its hub cannot be reached or used
    │   └── WireError               5    … what came over the socket is not our protocol
    ├── EndpointError               6    a model endpoint failed or lied
    └── Cancelled                   130  the user asked to stop

Exit 1 is no error: the command worked and what it found is bad news (verify differs, a gate fails).
An error says where (``prompts.jsonl:17``), what, and what to do. It is caught once, in ``console/cli.py``
and ``console/app.py``.
"""

from __future__ import annotations


class SpiritsafeError(Exception):
    """Base: ``where: what. todo``, with the exit code of the command that met it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.todo = what, where, todo

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.todo}" if self.todo else head


class UsageError(SpiritsafeError):
    """The command line or a key cannot mean that."""

    exit_code = 2


class InputError(SpiritsafeError):
    """A file, a row, an expression or a contract is wrong."""

    exit_code = 3


class GrammarError(InputError):
    """A filter, slice or derived column does not parse; ``column`` is 0-based in its text."""

    def __init__(self, what: str, *, where: str = "", todo: str = "", column: int = 0) -> None:
        super().__init__(what, where=where, todo=todo)
        self.column = column


class RuleError(SpiritsafeError):
    """A rule of the house or of the contract refuses."""

    exit_code = 4


class RoleError(RuleError):
    """The caller's role does not allow it."""


class ReusedIdError(RuleError):
    """An act id came twice with different payloads."""


class StoreError(SpiritsafeError):
    """The store or its hub cannot be reached or used."""

    exit_code = 5


class WireError(StoreError):
    """Bytes on the socket that are not our protocol."""


class EndpointError(SpiritsafeError):
    """A model endpoint failed, or answered what it was not asked."""

    exit_code = 6


class Cancelled(SpiritsafeError):  # noqa: N818 - it is no fault
    """The user asked to stop; what was closed until then is kept."""

    exit_code = 130
