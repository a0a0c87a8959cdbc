"""`farm.toml`: what the commands of one project share, found in the working folder or in one above it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from db.errors import ConfigError
from farm.settings.checked import Config, build
from farm.settings.fields import fields_of

NAME = "farm.toml"
MAX_BYTES = 64 * 1024  # the time that tomllib takes grows with the square of some lines


class Project(Config):
    """What a farm.toml can say. A flag goes before it, and so does a variable of the environment."""

    ledger: str | None = None
    """The ledger; a path counts from the folder of the file."""
    base_url: str | None = None
    """The OpenAI-compatible server of judges."""
    model: tuple[str, ...] = ()
    """The model of judges, or SLOT=MODEL."""
    prices: Path | None = None
    """A price table; a path counts from the folder of the file."""
    max_cost: float | None = None
    """US dollars for a command, at most."""
    concurrency: int | None = None
    """Requests in flight."""
    file: Path | None = None

    @classmethod
    def refusal(cls, problems: Sequence[str]) -> ConfigError:
        """One ConfigError that lists every problem, and the keys that there are."""
        known = ", ".join(name for name in fields_of(cls) if name != "file")
        return ConfigError("; ".join(problems), remedy=f"the keys are {known}")


def find_project(folder: Path) -> Project:
    """The project of a folder: the farm.toml in it or in the nearest folder above; without one, an empty one.

    Raises ConfigError where the file cannot be read, says what it cannot say, or is not the user's alone.
    """
    for place in (folder, *folder.parents):
        if (place / NAME).is_file():
            _require_own(place / NAME)
            return _read(place / NAME)
    return Project()


def _require_own(file: Path) -> None:
    """Raise ConfigError where somebody else could have written the file: it says where a key is sent.

    The file must be the user's own or root's, and nobody else may write it. Systems without owners are not
    checked.
    """
    if not hasattr(os, "getuid"):
        return
    facts = file.stat()
    if facts.st_uid not in (os.getuid(), 0):
        fault, remedy = "this file is somebody else's", "move it away, or copy it: the copy is yours"
    elif facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        fault, remedy = "others can write this file", f"chmod go-w {shlex.quote(str(file))}"
    else:
        return
    raise ConfigError(f"{fault}, and it says where your key goes", where=str(file), remedy=remedy)


def _read(file: Path) -> Project:
    import tomllib  # only where there is a file

    try:
        if (size := file.stat().st_size) > MAX_BYTES:
            raise ValueError(f"{size:,} bytes are too many for such a file")
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = f"not readable TOML: {' '.join(str(error).split())}"
        raise ConfigError(what, where=str(file), remedy='write lines such as `ledger = "farm.db"`') from None
    if "file" in said:
        raise Project.refusal([f"{file}: unknown option 'file'"])
    for key in ("ledger", "prices"):
        if isinstance(path := said.get(key), str) and not (key == "ledger" and "://" in path):
            said[key] = str(file.parent / os.path.expanduser(path))
    return build(Project, said, {"file": str(file)}, where=[str(file)])
