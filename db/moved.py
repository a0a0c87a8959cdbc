"""Old names of modules: they still import for one release, with a warning that says the new name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

REMOVED_IN = "0.2.0"


class OldNames(MetaPathFinder, Loader):
    """Finds modules under their old names. moved: old name -> the modules that hold its contents now."""

    def __init__(self, moved: Mapping[str, Sequence[str]]) -> None:
        self.moved = moved

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See importlib."""
        return ModuleSpec(fullname, self) if fullname in self.moved else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the old module with the public names of the new ones."""
        names = self.moved[module.__name__]
        now = " and ".join(names)
        warnings.warn(
            f"{module.__name__} is now {now}; the old name goes with {REMOVED_IN}",
            DeprecationWarning,
            stacklevel=2,
        )
        for name in names:
            found = vars(import_module(name))
            module.__dict__.update({key: value for key, value in found.items() if not key.startswith("_")})


def install(moved: Mapping[str, Sequence[str]]) -> None:
    """Let the old names be imported."""
    sys.meta_path.append(OldNames(moved))
