"""The trace of what rests on many judgements: a snapshot, a source, an annotator, a model, a win rate.

Such a node says how many judgements of whom it rests on, and holds the first of them.
"""

from __future__ import annotations

import json

from db.ids import Json
from db.queries import lineage
from db.queries.contests import contests
from db.queries.lineage import Of
from db.queries.reasons import reasons_of
from farm.tracing.facts import Facts
from farm.tracing.judgements import drawn_by, judgement_node
from farm.tracing.node import Node

UNREAD_KINDS = 3  # kinds of reasons of which one judgement each is shown


def resting(facts: Facts, name: str, about: dict[str, Json], of: Of) -> Node:
    """A node that rests on these judgements: it counts all of them, and holds the first `limit`."""
    shares = lineage.shares(facts.ledger, of)
    if shares:
        about["by"] = [
            f"{facts.annotator_names[each.annotator_id]}: {each.judgements:,} {each.status}"
            for each in shares
        ]
    first = lineage.judgements_of(facts.ledger, of, facts.limit)
    total = sum(each.judgements for each in shares)
    basis = tuple(judgement_node(facts, each) for each in first)
    return Node(name, about, basis=basis, hidden=total - len(basis))


def snapshot(facts: Facts, name: str) -> Node | None:
    """A snapshot, by its name."""
    card = next((each for each in facts.snapshots if each.name == name), None)
    if card is None:
        return None
    about: dict[str, Json] = {"key": card.key, "judgements": card.rows, "choice": json.loads(card.choice)}
    return resting(facts, f"snapshot:{name}", about, Of(snapshot_id=card.id))


def source(facts: Facts, name: str, key: str | None = None) -> Node | None:
    """The pairs of a source, by its name. key: of the annotator whose judgements alone count."""
    if name not in facts.sources:
        return None
    code = next((code for code, card in facts.cards.items() if card.key == key), None)
    return resting(
        facts, f"source:{name}", {"items": facts.sources[name]}, Of(annotator_id=code, source=name)
    )


def annotator(facts: Facts, name: str) -> Node | None:
    """An annotator, by the name that tells it apart."""
    code = next((each.code for each in facts.annotators if each.name == name), None)
    if code is None:
        return None
    card = facts.cards[code]
    about: dict[str, Json] = {"kind": str(card.kind), "key": card.key, "spec": card.spec}
    node = resting(facts, f"annotator:{name}", about, Of(annotator_id=code))
    unread = reasons_of(facts.ledger, code)[:UNREAD_KINDS]
    if not unread:
        return node
    about["without a verdict"] = [f"{each.judgements:,} {each.status}: {each.reason}" for each in unread]
    shown = {each.name for each in node.basis}
    examples = [lineage.judgements_of(facts.ledger, Of(id=each.example), 1)[0] for each in unread]
    more = [judgement_node(facts, each) for each in examples if f"annotation:{each.id}" not in shown]
    return Node(node.name, about, basis=(*more, *node.basis), hidden=node.hidden - len(more))


def win_rate(facts: Facts, name: str) -> Node | None:
    """MODEL/ANNOTATOR: the mean preference for a model over all models that it met."""
    producer, _, judge = name.rpartition("/")
    code = next((each.code for each in facts.annotators if each.name == judge), None)
    rows = contests(facts.ledger)
    sides = rows[["model_a", "model_b"]].to_numpy(object) == producer
    rows, sides = rows[sides.sum(axis=1) == 1], sides[sides.sum(axis=1) == 1]
    mine = (rows["annotator"] == code).to_numpy()
    rows, first = rows[mine], sides[mine][:, 0]
    if rows.empty or code is None:
        return None
    preference = rows["preference"].where(first, 1 - rows["preference"])
    against = rows["model_b"].where(first, rows["model_a"]).value_counts()
    about: dict[str, Json] = {
        "value": float(preference.mean()) if preference.notna().any() else None,
        "n": int(preference.notna().sum()),
        "n_failed": int(preference.isna().sum()),
        "against": {str(other): int(count) for other, count in against.items()},
    }
    return resting(facts, f"win-rate:{name}", about, Of(annotator_id=code, producer=producer))


def model(facts: Facts, name: str) -> Node | None:
    """A producer: how its outputs were drawn, by which checkpoints, and the judgements of its pairs."""
    mine = [each for each in facts.producers if each.producer == name]
    if not mine:
        return None
    decodings = [json.loads(each.decoding) if each.decoding else {} for each in mine]
    drawn: list[Json] = [
        {"outputs": each.outputs, "decoding": decoding or None}
        for each, decoding in zip(mine, decodings, strict=True)
    ]
    by = {node.name: node for decoding in decodings for node in drawn_by(facts, decoding)}
    node = resting(facts, f"model:{name}", {"drawn": drawn}, Of(producer=name))
    return Node(node.name, node.facts, basis=(*by.values(), *node.basis), hidden=node.hidden)
