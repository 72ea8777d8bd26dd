"""Modules that are imported when one of their functions is called, so that the table of commands is quick to make."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Later:
    """A module as a table of commands sees it: its functions of one argument, none of it imported yet.

    Stands beside the true import under TYPE_CHECKING, so that a name that is not there fails in mypy.

    >>> length = Later("builtins").len
    >>> length("four")
    4
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        def called(argument: Any) -> Any:
            return getattr(importlib.import_module(self._module), name)(argument)

        return called
