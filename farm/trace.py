"""From anything in the ledger back to what it rests on: `farm trace ID`.

A checkpoint leads to its run, the run to its snapshot and to the model that it began with, the snapshot to
annotators and judgements, a judgement to prompt, reply, price and the pair, the pair to its outputs, an
output to the checkpoint whose weights drew it. Nothing is stored for this: all of it is read from the facts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from db.queries import asking, history, lineage, training
from db.queries.contests import contests
from db.queries.lineage import Of, TracedJudgement
from db.queries.outputs import producers
from db.records import AnnotatorCard, Output
from farm.evaluation.references import named

MODEL = "model"  # the folder of a checkpoint that others can load
KEY = re.compile(r"[0-9a-f]{6,32}")
KINDS = (
    "checkpoint", "run", "snapshot", "annotator", "model", "annotation", "completion", "pair", "output",
    "metric", "win-rate",
)  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A fact. facts: what is known of it; texts: what people and models wrote; basis: what it rests on.

    hidden: how many more of the last kind of basis there are.
    """

    name: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    basis: tuple[Node, ...] = ()
    hidden: int = 0

    def to_json(self, content: bool) -> dict[str, Json]:
        """content: with the texts, else with their lengths."""
        texts: dict[str, Json] = {
            key: text if content else {"characters": len(text)} for key, text in self.texts.items()
        }
        basis: list[Json] = [each.to_json(content) for each in self.basis]
        return {
            "name": self.name,
            "facts": dict(self.facts),
            "texts": texts,
            "basis": basis,
            "hidden": self.hidden,
        }


def trace(ledger: Ledger, wanted: str, limit: int = 3) -> Node:
    """The tree under KIND:ID, a name, a checkpoint's folder, or the beginning of a content hash.

    limit: how many judgements are shown under what rests on many. Raises ConfigError where there is no such
    thing, or several.
    """
    tracer = Tracer(ledger, limit)
    kind, colon, name = wanted.partition(":")
    if colon and kind in KINDS:
        return tracer.of(kind, name)
    found = list(tracer.meant(wanted))
    if len(found) > 1:
        some = ", ".join(f"{kind}:{name}" for kind, name in found[:6])
        raise ConfigError(f"{wanted!r} names several things", where="ID", remedy=f"say which: {some}")
    if not found:
        remedy = f"KIND:ID, where KIND is one of {', '.join(KINDS)}; or a name, a folder, a content hash"
        raise ConfigError(f"there is nothing that is called {wanted!r}", where="ID", remedy=remedy)
    return tracer.of(*found[0])


class Tracer:
    """Reads the ledger once for what is small, and row by row for what is not."""

    def __init__(self, ledger: Ledger, limit: int) -> None:
        self._ledger = ledger
        self._limit = limit

    def of(self, kind: str, name: str) -> Node:
        """The tree of one thing. Raises ConfigError where there is none."""
        numbered: dict[str, Callable[[int], Node | None]] = {
            "checkpoint": self._checkpoint,
            "run": self._run,
            "annotation": self._annotation,
            "completion": self._completion,
            "pair": self._pair,
            "output": self._output,
        }
        by_name: dict[str, Callable[[str], Node | None]] = {
            "snapshot": self._snapshot,
            "annotator": self._annotator,
            "model": self._model,
            "metric": self._metric,
            "win-rate": self._win_rate,
        }
        if kind in numbered:
            node = numbered[kind](int(name)) if name.isdecimal() and len(name) < 19 else None
        else:
            node = by_name[kind](name)
        if node is None:
            raise ConfigError(
                f"there is no {kind} {name!r}", where=str(self._ledger.address), remedy="see `farm status`"
            )
        return node

    def meant(self, wanted: str) -> Iterator[tuple[str, str]]:
        """What a bare name may stand for: (kind, name)."""
        path = Path(wanted)
        yield from (("checkpoint", str(each.id)) for each in self._saved if _is_of(path, Path(each.path)))
        yield from (("snapshot", card.name) for card in self._snapshots if card.name == wanted)
        yield from (("annotator", each.name) for each in self._who if each.name == wanted)
        if any(each.producer == wanted for each in self._producers):
            yield "model", wanted
        if KEY.fullmatch(wanted):
            for row in lineage.by_key(self._ledger, wanted):
                if row.kind == "snapshot":
                    yield "snapshot", next(card.name for card in self._snapshots if card.id == row.id)
                elif row.kind == "annotator":
                    yield "annotator", self._names[row.id]
                elif row.kind in ("pair", "output"):
                    yield row.kind, str(row.id)

    # What is small

    @cached_property
    def _saved(self) -> list[lineage.Saved]:
        return lineage.checkpoints(self._ledger)

    @cached_property
    def _runs(self) -> dict[int, history.Trained]:
        return {each.id: each for each in history.runs(self._ledger)}

    @cached_property
    def _snapshots(self) -> list[training.SnapshotCard]:
        return training.snapshots(self._ledger)

    @cached_property
    def _cards(self) -> dict[int, AnnotatorCard]:
        return {card.id: card for card in self._ledger.annotators()}

    @cached_property
    def _who(self):  # type: ignore[no-untyped-def]
        return named(list(self._cards.values()))

    @cached_property
    def _names(self) -> dict[int, str]:
        return {each.code: each.name for each in self._who}

    @cached_property
    def _producers(self):  # type: ignore[no-untyped-def]
        return producers(self._ledger)

    @cached_property
    def _by_weights(self) -> dict[str, int]:
        """Checkpoints by what their outputs call their weights; of those whose folder is still there."""
        folders = {each.id: Path(each.path) / MODEL for each in self._saved}
        there = {i: str(folder) for i, folder in folders.items() if any(folder.glob("*.safetensors"))}
        if not there:
            return {}
        from farm.config import ModelConfig
        from farm.models.identity import fingerprint
        from farm.models.policy import Policy

        config = ModelConfig()
        return {
            fingerprint(path, config, lambda path=path: Policy.load(path, config)): number  # type: ignore[misc]
            for number, path in there.items()
        }

    # Training

    def _checkpoint(self, number: int, above: frozenset[int] = frozenset()) -> Node | None:
        found = next((each for each in self._saved if each.id == number), None)
        if found is None:
            return None
        facts: dict[str, Json] = {
            "path": found.path, "step": found.step, "there": Path(found.path).exists()
        }  # fmt: skip
        run = self._run(found.run_id, above)
        return Node(f"checkpoint:{number}", facts, basis=(run,) if run else ())

    def _run(self, number: int, above: frozenset[int] = frozenset()) -> Node | None:
        found = self._runs.get(number)
        if found is None:
            return None
        run = found.run
        facts: dict[str, Json] = {
            "command": f"farm {run.command}",
            "model": run.model,
            "started": run.started,
            "seed": run.seed,
            "version": run.version,
            "folder": run.folder,
            "config": json.loads(run.config),
        }
        if run.set_name:
            facts["set"] = run.set_name
        basis = [self._snapshot(found.snapshot)] if found.snapshot else []
        basis += [
            self._checkpoint(each.id, above | {number})
            for each in self._saved
            if _is_of(Path(run.model), Path(each.path)) and each.run_id not in above | {number}
        ]
        return Node(f"run:{number}", facts, basis=tuple(filter(None, basis)))

    def _metric(self, name: str) -> Node | None:
        """RUN/NAME: the last value of a figure that a run logged."""
        number, _, figure = name.partition("/")
        run = self._run(int(number)) if number.isdecimal() else None
        logged = history.metrics(self._ledger)
        mine = logged[(logged["run"] == (int(number) if run else -1)) & (logged["name"] == figure)]
        if run is None or mine.empty:
            return None
        last = mine.iloc[-1]
        facts: dict[str, Json] = {"value": float(last["value"]), "step": int(last["step"])}
        return Node(f"metric:{name}", facts, basis=(run,))

    def _snapshot(self, name: str) -> Node | None:
        card = next((each for each in self._snapshots if each.name == name), None)
        if card is None:
            return None
        facts: dict[str, Json] = {"key": card.key, "judgements": card.rows, "choice": json.loads(card.choice)}
        return self._resting(f"snapshot:{name}", facts, Of(snapshot_id=card.id))

    # Judging

    def _annotator(self, name: str) -> Node | None:
        code = next((each.code for each in self._who if each.name == name), None)
        if code is None:
            return None
        card = self._cards[code]
        facts: dict[str, Json] = {"kind": str(card.kind), "key": card.key, "spec": card.spec}
        return self._resting(f"annotator:{name}", facts, Of(annotator_id=code))

    def _win_rate(self, name: str) -> Node | None:
        """MODEL/ANNOTATOR: the mean preference for a model, over all that it met."""
        model, _, annotator = name.rpartition("/")
        code = next((each.code for each in self._who if each.name == annotator), None)
        rows = contests(self._ledger)
        sides = rows[["model_a", "model_b"]].to_numpy(object) == model
        rows, sides = rows[sides.sum(axis=1) == 1], sides[sides.sum(axis=1) == 1]
        mine = (rows["annotator"] == code).to_numpy()
        rows, first = rows[mine], sides[mine][:, 0]
        if rows.empty or code is None:
            return None
        preference = rows["preference"].where(first, 1 - rows["preference"])
        against = rows["model_b"].where(first, rows["model_a"]).value_counts()
        facts: dict[str, Json] = {
            "value": float(preference.mean()) if preference.notna().any() else None,
            "n": int(preference.notna().sum()),
            "n_failed": int(preference.isna().sum()),
            "against": {str(other): int(count) for other, count in against.items()},
        }
        return self._resting(f"win-rate:{name}", facts, Of(annotator_id=code, producer=model))

    def _resting(self, name: str, facts: dict[str, Json], of: Of) -> Node:
        """Something that rests on judgements: how many of whom, and the first of them whole."""
        shares = lineage.shares(self._ledger, of)
        if shares:
            facts["by"] = [
                f"{self._names[each.annotator_id]}: {each.judgements:,} {each.status}" for each in shares
            ]
        first = lineage.judgements_of(self._ledger, of, self._limit)
        total = sum(each.judgements for each in shares)
        basis = tuple(self._judgement(each) for each in first)
        return Node(name, facts, basis=basis, hidden=total - len(basis))

    def _annotation(self, number: int) -> Node | None:
        found = lineage.judgements_of(self._ledger, Of(id=number), 1)
        return self._judgement(found[0]) if found else None

    def _judgement(self, found: TracedJudgement, with_pair: bool = True) -> Node:
        facts: dict[str, Json] = {
            "annotator": self._names[found.annotator_id],
            "preference": found.preference,
            "label": found.label,
            "swapped": found.swapped,
            "status": str(found.status),
            "reason": found.reason,
            "replicate": found.replicate,
            "attempt": found.attempt,
            "slot": found.slot,
        }
        texts = {}
        if found.origin:
            facts |= {"file": found.origin.name, "format": found.origin.format, "sha256": found.origin.sha256}
            texts = {"reply": found.origin.raw} if found.origin.raw else {}
        basis = [self._pair(found.pair_id, judged=False)] if with_pair else []
        basis += [self._completion(found.claim_id)] if found.claim_id is not None else []
        return Node(f"annotation:{found.id}", _known(facts), texts, tuple(filter(None, basis)))

    def _completion(self, number: int) -> Node | None:
        """What was asked, and what came of it."""
        claim = asking.claims(self._ledger, [number]).get(number)
        if claim is None:
            return None
        reply = asking.completions(self._ledger, [number]).get(number)
        body = json.loads(claim.request)
        messages = body.pop("messages", [])
        facts: dict[str, Json] = {"asked": body, "by": claim.run, "attempt": claim.attempt}
        texts = {f"prompt ({each['role']})": each["content"] for each in messages}
        if reply:
            facts |= {
                name: getattr(reply, name)
                for name in (
                    "failure", "finish_reason", "model", "prompt_tokens", "completion_tokens",
                    "cached_tokens", "sendings", "unmetered", "cost", "seconds", "warnings",
                )
            }  # fmt: skip
            texts["reply"] = reply.text
        return Node(f"completion:{number}", _known(facts), texts)

    # What was judged

    def _pair(self, number: int, judged: bool = True) -> Node | None:
        ids = lineage.output_ids(self._ledger, number)
        if ids is None:
            return None
        found = lineage.outputs_by_id(self._ledger, ids)
        outputs = [self._output_node(i, found[i], whole=judged) for i in dict.fromkeys(ids)]
        of = Of(pair_id=number)
        said = lineage.judgements_of(self._ledger, of, self._limit) if judged else []
        total = sum(each.judgements for each in lineage.shares(self._ledger, of)) if judged else 0
        places: list[Json] = [
            "/".join(filter(None, (each.source, each.subset, each.name)))
            for each in lineage.places_of(self._ledger, number)
        ]
        asked = found[ids[0]].instruction
        texts = {"instruction": asked.text} | ({"input": asked.input} if asked.input else {})
        basis = (*outputs, *(self._judgement(each, with_pair=False) for each in said))
        facts: dict[str, Json] = {"stands in": places} if places else {}
        return Node(f"pair:{number}", facts, texts, basis, total - len(said))

    def _output(self, number: int) -> Node | None:
        found = lineage.outputs_by_id(self._ledger, [number]).get(number)
        return self._output_node(number, found) if found else None

    def _output_node(self, number: int, output: Output, whole: bool = True) -> Node:
        """whole: with the checkpoint that drew it, which may take a while to find."""
        decoding = json.loads(output.decoding) if output.decoding else {}
        facts: dict[str, Json] = {
            "producer": output.producer or None,
            "kind": str(output.producer_kind),
            "sample": output.sample,
            "decoding": decoding or None,
            "key": output.key,
        }
        drawn = self._drawn_by(decoding) if whole else ()
        return Node(f"output:{number}", _known(facts), {"text": output.text}, drawn)

    def _drawn_by(self, decoding: Mapping[str, Json]) -> tuple[Node, ...]:
        weights = decoding.get("weights")
        number = self._by_weights.get(str(weights)) if weights else None
        node = self._checkpoint(number) if number is not None else None
        return (node,) if node else ()

    def _model(self, name: str) -> Node | None:
        """A producer: how its outputs were drawn, by which checkpoints, and who judged them."""
        mine = [each for each in self._producers if each.producer == name]
        if not mine:
            return None
        decodings = [json.loads(each.decoding) if each.decoding else {} for each in mine]
        drawn: list[Json] = [
            {"outputs": each.outputs, "decoding": decoding or None}
            for each, decoding in zip(mine, decodings, strict=True)
        ]
        by = {node.name: node for decoding in decodings for node in self._drawn_by(decoding)}
        node = self._resting(f"model:{name}", {"drawn": drawn}, Of(producer=name))
        return Node(node.name, node.facts, basis=(*by.values(), *node.basis), hidden=node.hidden)


def _known(facts: Mapping[str, Json]) -> dict[str, Json]:
    """Without what is not known or not said."""
    return {name: value for name, value in facts.items() if value is not None and value != ""}


def _is_of(path: Path, checkpoint: Path) -> bool:
    """Whether a path leads to a checkpoint, or to the model in it."""
    return checkpoint.absolute() in (path.absolute(), path.absolute().parent)
