"""Content identity: a versioned hash of canonical JSON, and pseudo-random draws made from such hashes.

Two things are the same when their hashes are equal. No hash depends on the order of rows, on the process
or on Python's own hash(). The version is part of the hashed text, so that a later scheme cannot collide
with this one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

VERSION = 1
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
HEX_DIGITS = 32  # 128 bits: at 10^12 things the chance of one collision is about 10^-15


def canonical_json(value: Json) -> str:
    """A JSON value as text in its one canonical form: keys sorted, no spaces, non-ASCII left as it is.

    Raises ValueError on NaN and infinities, and TypeError on types that JSON does not have.
    """
    return _ENCODER.encode(value)


def content_hash(kind: str, value: Json) -> str:
    """The identity of a value of this kind: 32 hex digits of SHA-256 over version, kind and canonical JSON.

    Lone surrogates are hashed as they are (surrogatepass), so that hashing never fails on hostile text.
    """
    text = f"preference-farm/{VERSION}/{kind}\n{canonical_json(value)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HEX_DIGITS]


def keyed_uniform(purpose: str, *key: Json) -> float:
    """A number in [0, 1) that depends on (purpose, key) alone: 52 bits of their content hash."""
    return int(content_hash(purpose, list(key))[:13], 16) / 16**13


def keyed_index(size: int, purpose: str, *key: Json) -> int:
    """An index in [0, size) that depends on (purpose, key) alone; uniform up to an error of size / 2^52.

    Raises ValueError where size is below 1.
    """
    if size < 1:
        raise ValueError(f"an index needs a size of 1 or more, not {size}")
    return int(content_hash(purpose, list(key))[:13], 16) * size // 16**13
