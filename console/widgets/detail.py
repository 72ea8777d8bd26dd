"""stub"""
from __future__ import annotations
from dataclasses import dataclass
from textual.widget import Widget
@dataclass
class Section:
    title: str
    text: str
class Detail(Widget):
    def show(self, *a): ...
