"""Make pairs of the outputs in the ledger: `farm pair NAME`.

The name is the source of the pairs, by which other commands select them. Which outputs meet is a function of
their content and the seed. So a second call adds nothing, and later outputs add new pairs. Two outputs with
equal texts are no pair, because neither can be preferred. Against a baseline they are a pair, and a tie.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from types import MappingProxyType

from db.errors import ConfigError, did_you_mean
from db.ids import Json, keyed_uniform
from db.ledger import Ledger
from db.queries import outputs
from db.queries.holdings import names_of
from db.queries.outputs import Source
from db.records import Item, Output, Pair
from farm.options.pair import PairTask as PairTask

Ordered = tuple[Output, Output]
BATCH = 5_000


@dataclass(frozen=True)
class PairReport:
    """What was made. alone: instructions without a pair, because they have too few outputs or equal texts.

    They count in the denominator of an estimate only where its evaluation set is named.
    """

    name: str
    instructions: int
    pairs: int
    new: int
    alone: int

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return asdict(self)


def pair(ledger: Ledger, task: PairTask) -> PairReport:
    """Make the pairs. Raises ConfigError where a source has no outputs."""
    groups = _grouped(ledger, task.sources, task.set_name)
    rivals = _grouped(ledger, (task.against,), task.set_name) if task.against else None
    items: list[Item] = []
    alone = 0
    for key, group in groups.items():
        met = _against(rivals.get(key, ()), group) if rivals is not None else WAYS[task.how](group, task)
        made = [_item(task, first, second) for first, second in met]
        items += made
        alone += not made
    new = 0
    for at in range(0, len(items), BATCH):
        with ledger.writing() as writer:
            new += writer.new_facts(writer.items, items[at : at + BATCH])
    return PairReport(name=task.name, instructions=len(groups), pairs=len(items), new=new, alone=alone)


def _grouped(ledger: Ledger, sources: Sequence[Source], set_name: str | None) -> dict[str, list[Output]]:
    """Outputs by instruction, in the order of the ledger."""
    groups: defaultdict[str, list[Output]] = defaultdict(list)
    for source in sources:
        before = sum(map(len, groups.values()))
        for output in outputs.outputs_of(ledger, source, set_name):
            groups[output.instruction.key].append(output)
        if sum(map(len, groups.values())) == before:
            raise ConfigError(
                f"there are no outputs of {source.producer!r}" + (f" in {set_name!r}" if set_name else ""),
                where=str(ledger.address),
                remedy=did_you_mean(
                    source.producer,
                    names_of(ledger, "producer") - {source.producer},
                    "`farm sample` makes some; `farm status` names the producers there are",
                ),
            )
    return dict(groups)


def _derangement(group: Sequence[Output], task: PairTask) -> Iterator[Ordered]:
    """Shuffle the outputs into a cycle and pair neighbours. Disjoint pairs come first."""
    cycle = sorted(group, key=lambda each: keyed_uniform("derangement", each.key, task.seed))
    size = len(cycle)
    starts = [*range(0, size - 1, 2), *range(1, size, 2), *([size - 1] if size % 2 and size > 1 else [])]
    met = ((cycle[start], cycle[(start + 1) % size]) for start in starts)
    return islice(filter(_differ, met), 1 if size == 2 else task.per_instruction)


def _all(group: Sequence[Output], task: PairTask) -> Iterator[Ordered]:
    return filter(_differ, combinations(group, 2))


def _differ(met: Ordered) -> bool:
    first, second = met
    return first.text != second.text


def _against(rivals: Sequence[Output], group: Sequence[Output]) -> Iterator[Ordered]:
    """Pair the k-th output with the rival's k-th. The rival is first, as the baseline is in AlpacaEval."""
    if rivals:
        for i, output in enumerate(group):
            yield rivals[i % len(rivals)], output


def _item(task: PairTask, first: Output, second: Output) -> Item:
    made, flipped = Pair.of(first, second)
    subset = second.producer if task.against else None
    return Item(source=task.name, name=made.key, pair=made, flipped=flipped, subset=subset)


WAYS: Mapping[str, Callable[[Sequence[Output], PairTask], Iterator[Ordered]]] = MappingProxyType(
    {"derangement": _derangement, "all": _all}
)
