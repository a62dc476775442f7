"""One measured number, beside the bar it is held to."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """What was measured, in which unit, and the bar it should keep to where there is one."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False
    """Whether the value should reach the bar rather than stay below it."""
    note: str = ""
    """What people are told beside the value."""
    more: dict[str, Any] = field(default_factory=dict)
    """What else is known, for programs."""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def stated(self) -> dict[str, Any]:
        """Return the row as keys and values."""
        stated = {"row": self.name, "value": self.value, "unit": self.unit}
        return stated | {"bar": self.bar, "met": self.met} | self.more

    def texts(self) -> tuple[str, str, str, str]:
        """Return the row as people read it: what, measured, bar, met."""
        measured = f"{_three_digits(self.value)} {self.unit}".rstrip()
        if self.note:
            measured += f" ({self.note})"
        if self.bar is None:
            return self.name, measured, "–", "–"
        bar = f"{'≥' if self.at_least else '≤'} {self.bar:,g}"
        return self.name, measured, bar, "yes" if self.met else "no"


def _three_digits(value: float) -> str:
    """Write a number with three digits, or all of those before the point."""
    places = 2 if value == 0 else 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, places)}f}"
