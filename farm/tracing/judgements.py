"""The trace of one judgement: prompt, reply and price of its completion, its pair, the outputs of the pair.

An output leads on to the checkpoint whose weights drew it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count

from db.ids import Json
from db.queries import asking, lineage
from db.queries.aspects import aspects_of
from db.queries.lineage import Of, TracedJudgement
from db.records import Output
from farm.tracing.facts import Facts
from farm.tracing.node import Node, known

PAID = (
    "failure",
    "finish_reason",
    "model",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "sendings",
    "unmetered",
    "cost",
    "seconds",
    "warnings",
)


def annotation(facts: Facts, number: int) -> Node | None:
    """A judgement, by the id of its annotation."""
    found = lineage.judgements_of(facts.ledger, Of(id=number), 1)
    return judgement_node(facts, found[0]) if found else None


def judgement_node(facts: Facts, found: TracedJudgement, with_pair: bool = True) -> Node:
    """A judgement with its completion, or what it was made of. with_pair: with its pair too."""
    about: dict[str, Json] = {
        "annotator": facts.annotator_names[found.annotator_id],
        "preference": found.preference,
        "label": found.label,
        "swapped": found.swapped,
        "status": str(found.status),
        "reason": found.reason,
        "replicate": found.replicate,
        "attempt": found.attempt,
        "slot": found.slot,
    }
    if aspects := aspects_of(facts.ledger, [found.id]).get(found.id):
        about["aspects"] = {each.name: each.preference for each in aspects}
    texts = {}
    if found.origin:
        about |= {"file": found.origin.name, "format": found.origin.format, "sha256": found.origin.sha256}
        texts = {"reply": found.origin.raw} if found.origin.raw else {}
    basis = [pair(facts, found.pair_id, judged=False)] if with_pair else []
    basis += [completion(facts, found.claim_id)] if found.claim_id is not None else []
    parts = lineage.parts_of(facts.ledger, found.id)
    basis += [judgement_node(facts, each, with_pair=False) for each in parts]
    return Node(f"annotation:{found.id}", known(about), texts, tuple(filter(None, basis)))


def completion(facts: Facts, number: int) -> Node | None:
    """What a claim asked, and what came of it. The number is the id of the claim."""
    claim = asking.claims(facts.ledger, [number]).get(number)
    if claim is None:
        return None
    reply = asking.completions(facts.ledger, [number]).get(number)
    body = json.loads(claim.request)
    messages = body.pop("messages", [])
    about: dict[str, Json] = {"asked": body, "by": claim.run, "attempt": claim.attempt}
    texts = _numbered("prompt", [(each["role"], each["content"]) for each in messages])
    if reply:
        about |= {name: getattr(reply, name) for name in PAID}
        texts |= {"thinking": reply.thinking} if reply.thinking else {}
        texts["reply"] = reply.text
    return Node(f"completion:{number}", known(about), texts)


def _numbered(name: str, said: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Messages of role and text, by a name with the role; where there are several, with the place too."""
    several = len(said) > len({role for role, _ in said})
    places = (f" {place}" if several else "" for place in count(1))
    return {f"{name}{place} ({role})": text for place, (role, text) in zip(places, said, strict=False)}


def pair(facts: Facts, number: int, judged: bool = True) -> Node | None:
    """A pair with its outputs. judged: with its judgements, and the checkpoints that drew the outputs."""
    ids = lineage.output_ids(facts.ledger, number)
    if ids is None:
        return None
    found = lineage.outputs_by_id(facts.ledger, ids)
    outputs = [output_node(facts, i, found[i], drawn=judged) for i in dict.fromkeys(ids)]
    of = Of(pair_id=number)
    said = lineage.judgements_of(facts.ledger, of, facts.limit) if judged else []
    total = sum(each.judgements for each in lineage.shares(facts.ledger, of)) if judged else 0
    items: list[Json] = [
        "/".join(filter(None, (each.source, each.subset, each.name)))
        for each in lineage.places_of(facts.ledger, number)
    ]
    asked = found[ids[0]].instruction
    texts = {"instruction": asked.text} | ({"input": asked.input} if asked.input else {})
    if asked.turns:
        told = [(f"{each.role} {each.tool}".strip(), each.content) for each in asked.turns]
        texts = _numbered("turn", told)
    basis = (*outputs, *(judgement_node(facts, each, with_pair=False) for each in said))
    about: dict[str, Json] = {"stands in": items} if items else {}
    return Node(name=f"pair:{number}", facts=about, texts=texts, basis=basis, hidden=total - len(said))


def output(facts: Facts, number: int) -> Node | None:
    """An output, by its id."""
    found = lineage.outputs_by_id(facts.ledger, [number]).get(number)
    return output_node(facts, number, found) if found else None


def output_node(facts: Facts, number: int, found: Output, drawn: bool = True) -> Node:
    """An output. drawn: with the checkpoint that drew it; to find it, model files may have to be hashed."""
    decoding = json.loads(found.decoding) if found.decoding else {}
    about: dict[str, Json] = {
        "producer": found.producer or None,
        "kind": str(found.producer_kind),
        "sample": found.sample,
        "decoding": decoding or None,
        "key": found.key,
    }
    basis = drawn_by(facts, decoding) if drawn else ()
    thought = lineage.thinking_of(facts.ledger, number)
    texts = ({"thinking": thought} if thought else {}) | {"text": found.text}
    return Node(f"output:{number}", known(about), texts, basis)


def drawn_by(facts: Facts, decoding: Mapping[str, Json]) -> tuple[Node, ...]:
    """The checkpoint whose weights a decoding names; empty where it is no checkpoint of this ledger."""
    weights = decoding.get("weights")
    number = facts.checkpoints_by_weights.get(str(weights)) if weights else None
    node = facts.kinds["checkpoint"](facts, str(number)) if number is not None else None
    return (node,) if node else ()
