"""The catalogue of annotators, loaded once for all tests of a process."""

from __future__ import annotations

from annotators import catalogue
from annotators.pool import Pool
from annotators.spec import AnnotatorSpec
from db.records import AnnotatorKind

LOADED = {name: catalogue.load(name) for name in catalogue.names()}
ANNOTATORS = {name: spec for name, spec in LOADED.items() if isinstance(spec, AnnotatorSpec)}
JUDGES = {name: spec for name, spec in ANNOTATORS.items() if spec.kind is AnnotatorKind.LLM}
POOLS = {name: pool for name, pool in LOADED.items() if isinstance(pool, Pool)}
