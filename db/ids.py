"""Content identity: canonical JSON -> a versioned hash, and keyed draws made of such hashes.

Two things are the same thing when their hashes are equal; nothing here depends on row order, on the
process or on Python's own hash(). The version is part of what is hashed, so that a later scheme can
never collide with this one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

VERSION = 1
HEX_DIGITS = 32  # 128 bits: at 10^12 things the chance of one collision is about 10^-15


def canonical_json(value: Json) -> str:
    """The one text of a JSON value: sorted keys, no spaces, no NaN, non-ASCII as it is.

    Raises ValueError on NaN and infinities, TypeError on what JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(kind: str, value: Json) -> str:
    """The identity of a thing of this kind: 32 hex digits of SHA-256 over version, kind and canonical JSON.

    Lone surrogates are hashed as they stand (surrogatepass): hashing never fails on hostile text.
    """
    text = f"preference-farm/{VERSION}/{kind}\n{canonical_json(value)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HEX_DIGITS]


def keyed_uniform(purpose: str, *key: Json) -> float:
    """A number in [0, 1) that is a function of (purpose, key) alone: 52 bits of the content hash."""
    return int(content_hash(purpose, list(key))[:13], 16) / 16**13


def keyed_index(size: int, purpose: str, *key: Json) -> int:
    """An index in [0, size) that is a function of (purpose, key) alone, uniform to within size / 2^52."""
    if size < 1:
        raise ValueError(f"an index needs a size of 1 or more, not {size}")
    return int(content_hash(purpose, list(key))[:13], 16) * size // 16**13
