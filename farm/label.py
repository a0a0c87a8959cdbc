"""Let people judge pairs in the browser: `farm label`.

Every judgement is in the ledger before the next pair is shown. A person who comes back goes on where they
stopped. The page itself is in farm/pages/labelling.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.queries.composites import contested_pairs
from db.records import Pair
from farm.evaluation import attacks
from farm.evaluation.label_order import by_doubt
from farm.evaluation.references import annotators_named, named
from farm.evaluation.scope import Scope
from farm.options.label import LabelTask as LabelTask
from farm.pages.guard import is_local, listening, serve
from farm.pages.labelling.app import FOLDER, Page, app
from farm.pages.labelling.door import Door
from farm.pages.labelling.questions import in_random_order, questions
from farm.pages.labelling.sitting import Sitting, Summary, person


@dataclass(frozen=True)
class LabelReport:
    """What each person has judged."""

    people: tuple[Summary, ...]

    def to_json(self) -> Json:
        """The summaries as a JSON object."""
        return {"people": [each.to_json() for each in self.people]}


def label(ledger: Ledger, task: LabelTask, announce: Callable[[str], None]) -> LabelReport:
    """Serve the page until Ctrl-C. announce: called with each link, and each notice, as a line of text.

    Raises ConfigError where two people have one name, no pair fits, the guideline cannot be read, or the
    address cannot be used.
    """
    guideline = _guideline(task.guideline)
    people = (person(name, guideline, task.scale, task.aspects) for name in task.annotators)
    cards = {card.name: card for card in people}
    if len(cards) != len(task.annotators):
        raise ConfigError("two people of one name", where="--annotator", remedy="name each once")
    pairs = chosen_pairs(ledger, task)
    sittings = {
        name: Sitting(ledger, card, questions(pairs, task.catch, card.key), task.scale, aspects=task.aspects)
        for name, card in cards.items()
    }
    with listening(task.host, task.port) as socket_:
        port = int(socket_.getsockname()[1])
        if not is_local(task.host):
            announce("Others on this network can read along: there is no encryption. `ssh -L` would have it.")
        address = f"http://{_shown_host(task.host)}:{port}"
        door = Door(sittings, lambda name, token: announce(f"{name}: {address}/?token={token}"))
        serve(app(Page(sittings, door, guideline, port), task.host), socket_)
    return LabelReport(tuple(sitting.summary() for sitting in sittings.values()))


def chosen_pairs(ledger: Ledger, task: LabelTask) -> list[Pair]:
    """The pairs to judge, in order.

    Attacks are left out unless the source names them. Raises ConfigError where no pair fits.
    """
    keys = ledger.pair_keys(PairFilter(task.source, task.subset))
    if task.source is None:
        keys = {i: keys[i] for i in keys.keys() - ledger.pair_keys(PairFilter(attacks.SOURCE)).keys()}
    if task.contested is not None:
        keys = {i: keys[i] for i in keys.keys() & _contested(ledger, task.contested)}
    order = in_random_order(keys)
    if task.doubt is not None:
        doubted = by_doubt(ledger, task.doubt, Scope(task.source, task.subset))
        order = [number for number in doubted["pair_id"].drop_duplicates() if number in keys]
    wanted = [int(number) for number in order[: task.limit]]
    if not wanted:
        raise ConfigError(
            "there is no pair to judge", where=str(ledger.address), remedy="`farm status` lists the sources"
        )
    found = {pair.id: pair for pair in ledger.pairs(PairFilter(ids=tuple(wanted)))}
    return [found[number] for number in wanted]


def _contested(ledger: Ledger, name: str) -> set[int]:
    """The pairs that a panel or a cascade left open. Raises ConfigError where nothing of the name judged."""
    who = annotators_named(named(ledger.annotators()), (name,))
    return contested_pairs(ledger, [each.code for each in who])


def _guideline(path: Path | None) -> str:
    """The text that tells people how to judge. Without a file it is the default one."""
    try:
        text = (path or FOLDER / "guideline.txt").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the guideline cannot be read: {error}", where=str(path)) from None
    return text


def _shown_host(host: str) -> str:
    """The host as it stands in a link."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
