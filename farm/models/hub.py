"""Check that a model exists: a folder, an id in the cache, or an id on the hub.

transformers asks the hub for every file by itself, five times each over half a minute, and prints every
failure. Here the hub is asked once.
"""

from __future__ import annotations

from pathlib import Path

from db.errors import FarmError

SECONDS = 10.0  # for the hub's answer
REMEDY = "give a folder of weights, or the id of a model on the hub"


class ModelError(FarmError):
    """A model cannot be loaded, saved or used for what was asked."""


def check_found(source: str) -> None:
    """Raise ModelError if a model is no folder, is not in the cache, and cannot be found on the hub.

    transformers reports other problems: access that is not granted, a cache that is not complete.
    """
    if Path(source).exists():
        return
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.errors import HTTPError as ClientError  # type: ignore[attr-defined]  # httpx's or httpx2's

    try:
        if not try_to_load_from_cache(source, "config.json"):
            HfApi().model_info(source, timeout=SECONDS)
    except (RepositoryNotFoundError, HFValidationError):
        raise ModelError(
            "no such folder, and no such model on the hub", where=source, remedy=REMEDY
        ) from None
    except HfHubHTTPError:
        return
    except (OSError, ClientError) as error:
        what = f"no such folder, not in the cache, and the hub does not answer: {line_of(error, 200)}"
        raise ModelError(what, where=source, remedy=REMEDY) from None


def line_of(error: BaseException, most: int = 300) -> str:
    """The beginning of an error's text in one line: `most` characters."""
    return " ".join(str(error).split())[:most]
