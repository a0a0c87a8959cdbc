"""The scripts of benchmarks/ as modules: some tests measure with the same code, in small."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "benchmarks"


def benchmark(name: str) -> ModuleType:
    """The script of benchmarks/ of this name, loaded without being run."""
    return script(FOLDER / f"{name}.py", f"{name}_benchmark")


def script(path: Path, name: str) -> ModuleType:
    """The script as a module of this name, loaded without being run."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
