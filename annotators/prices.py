"""What a completion costs: a table of prices with dates, which a user's file may override.

A model's name has to match exactly, since the prices of gpt-4 and gpt-4o-mini differ by a factor of 200. An
unknown model has no price. Its cost is None, and never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from annotators.families import Families
from annotators.strict_yaml import Reader, read_yaml

_HIGHEST = 1e6  # US dollars per million tokens: a higher price is a typing error


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them. cached: how many of the prompt tokens came from its prompt cache."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt, self.completion + other.completion, self.cached + other.cached
        )

    @property
    def total(self) -> int:
        """Tokens of prompt and completion together."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. checked: the month in which it was compared with a source; or
    unverified.
    """

    input: float
    output: float
    cached_input: float | None = None  # None: as input
    checked: str = ""

    def cost(self, usage: Usage) -> float:
        """US dollars."""
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = usage.prompt - usage.cached
        return (fresh * self.input + usage.cached * cached + usage.completion * self.output) / 1e6

    def scaled(self, factor: float) -> Price:
        """The price times a factor, such as that of the Batch API."""
        cached = None if self.cached_input is None else self.cached_input * factor
        return Price(self.input * factor, self.output * factor, cached, self.checked)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by exact model name. checked: when they were compared with the providers' pages last.

    families: which models one maker trained.
    """

    models: Mapping[str, Price]
    checked: str
    batch_factor: float
    families: Families = field(default_factory=Families)

    def price(self, model: str) -> Price | None:
        """The price of a model, None where it is unknown."""
        return self.models.get(model)

    @classmethod
    def load(cls, override: Path | None = None) -> PriceTable:
        """The package's table. A line of the user's file replaces the line of the same model or family.

        Raises ConfigError with all that is wrong, where the file is not such a table.
        """
        own = _shipped()
        if override is None:
            return own
        theirs = _read(override, own)
        models = MappingProxyType({**own.models, **theirs.models})
        return replace(theirs, models=models, families=own.families | theirs.families)


def no_price(model: str) -> Price | None:
    """A price list that knows no model."""
    return None


@cache
def _shipped() -> PriceTable:
    nothing = PriceTable(MappingProxyType({}), checked="unknown", batch_factor=1.0)
    return _read(Path(__file__).with_name("prices.yaml"), nothing)


def _read(path: Path, base: PriceTable) -> PriceTable:
    """The table in a file. What the file leaves out is taken from `base`."""
    reader = Reader(read_yaml(path))
    checked = reader.text("checked", base.checked)
    factor = reader.number("batch_factor", base.batch_factor, 0.0, 1.0)
    lines = reader.reader("models")
    models = {}
    for name in lines.rest():
        line = lines.reader(name)
        for key in ("input", "output"):
            if key not in line:
                line.complain(key, "is required")
        models[name] = Price(
            line.number("input", 0.0, 0.0, _HIGHEST),
            line.number("output", 0.0, 0.0, _HIGHEST),
            line.maybe_number("cached_input", 0.0, _HIGHEST),
            line.text("checked", checked),
        )
        line.close()
    families = Families.read(reader.reader("families"))
    reader.finish(str(path), "see the form in docs/providers.md")
    return PriceTable(MappingProxyType(models), checked, factor, families)
