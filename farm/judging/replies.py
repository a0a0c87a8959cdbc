"""Totals over the replies of a run, and the error of a run that brought nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from annotators.clients.failures import FAILURES, ProviderDown, Remedy
from annotators.clients.request import Reply

_REFUSALS = frozenset({"bad_request", "forbidden", "redirected"})
_OUTCOMES = frozenset({"refusal", "content_filter", "prompt_filtered"})  # what a model or its filter said
_WHICH = "check --base-url (http or https?) and the server, then run the same command again"
_REMEDIES = {
    "bad_request": "do what the server asks: --without FIELD leaves a field of the request out",
    "forbidden": "check the key's rights, or --without FIELD to leave a field of the request out",
    "length": "raise decoding.max_tokens of the annotator, or give --thinking N to a model that thinks first",
    "only_thinking": "give --thinking N, or leave the thinking out by the server's own option",
    "context_length": "shorten the prompts, or let the server read longer ones",
    "unreachable": _WHICH,
    "connection_lost": _WHICH,
    "not_finite": "use another checkpoint of this model: its weights overflow",
    "too_large": "shorten the prompts, or raise the limit at the provider",
    "prompt_cut": "let the server read longer prompts, or accept such replies with --cut-prompts",
}
_REMEDY = "check --base-url and the server, then run the same command again"


@dataclass
class Replies:
    """Totals over the replies of a run. Costs are None where no reply came or a price is unknown."""

    count: int = 0
    cost: float | None = None
    cost_bound: float | None = None
    failures: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    outside: list[float] = field(default_factory=list)  # of the replies that were held to names
    words: dict[str, str] = field(default_factory=dict)  # failure -> what the server said, the last time

    def add(self, reply: Reply, outside: float | None = None) -> None:
        """Add a reply. outside: the probability that it would be no name, where it is held to names."""
        self.cost = self._more(self.cost, reply.cost)
        self.cost_bound = self._more(self.cost_bound, reply.cost_bound)
        self.count += 1
        self.warnings.update(reply.warnings)
        if outside is not None:
            self.outside.append(outside)
        if reply.failure:
            self.failures[reply.failure] += 1
            self.words[reply.failure] = reply.detail

    def _more(self, so_far: float | None, amount: float | None) -> float | None:
        known = so_far if self.count else 0.0
        return None if known is None or amount is None else known + amount

    def refuse_if_nothing_worked(self, where: str, others: int) -> None:
        """Raise ProviderDown where no reply was usable, with the server's words for the commonest failure.

        others: how many questions were answered before or otherwise. Where there are such, only failures that
        are the server's doing are an error: a few requests may never get a usable reply. A refusal by the
        model or its filter is an outcome, and no error.
        """
        if not self.count or self.failures.total() < self.count:
            return
        theirs = all(map(_is_theirs, self.failures))
        if (others and not theirs) or _OUTCOMES & self.failures.keys():
            return
        name = self.failures.most_common(1)[0][0]
        said = f"{name} {self.words[name]}".strip()
        raise ProviderDown(
            f"none of {self.count} requests brought a usable reply; most often: {said}",
            where=where,
            remedy=_REMEDIES.get(name, _REMEDY),
        )


def _is_theirs(name: str) -> bool:
    """Whether a failure is the server's doing, and not that of single requests."""
    kind = FAILURES.get(name)
    return name in _REFUSALS or (kind is not None and kind.remedy is Remedy.RETRY)
