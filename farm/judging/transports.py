"""Where the judges of a run are asked: the server or the weights, and the client that asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from annotators import catalogue
from annotators.clients.budget import Account
from annotators.clients.endpoint import Endpoint
from annotators.clients.limits import RateLimits
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.clients.request import BeforeSend, Transport
from annotators.pool import Pool, specs_of
from annotators.prices import PriceTable
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ledger import Ledger
from db.queries import asking
from db.records import AnnotatorKind
from farm.judging.in_process import ENDPOINT, Answerer, InProcess, named_models
from farm.judging.provider import Provider
from farm.judging.unasked import is_quiet


@dataclass(frozen=True)
class Whom:
    """Who is asked, and where. sources: name -> path of each model that runs in this process; else empty."""

    annotator: AnnotatorSpec | Pool
    endpoint: str
    sources: Mapping[str, str]


def with_thinking(spec: AnnotatorSpec, provider: Provider) -> AnnotatorSpec:
    """The annotator with the room and the effort for thinking that the provider gives a language model."""
    if spec.kind is not AnnotatorKind.LLM or is_quiet(spec):
        return spec
    return replace(spec, decoding=spec.decoding.with_thinking(provider.thinking, provider.effort))


def whom_of(annotator: AnnotatorSpec | Pool, provider: Provider) -> Whom:
    """Reward models run in this process. Language models run where the provider says."""
    if provider.local and (provider.base_url or provider.batch):
        remedy = "leave out --local, or --base-url and --batch"
        raise ConfigError("a model in this process has no server", where="--local", remedy=remedy)
    if provider.local:
        _refuse_provider_models(annotator)
    if provider.local or any(spec.kind is AnnotatorKind.REWARD_MODEL for spec in specs_of(annotator)):
        found = named_models(annotator)
        return Whom(found.annotator, ENDPOINT, found.sources)
    return Whom(annotator, Endpoint.from_environment(provider.base_url).name, {})


def _refuse_provider_models(annotator: AnnotatorSpec | Pool) -> None:
    """Raise ConfigError where a slot was left to the catalogue, whose models are a provider's."""
    usual = set(catalogue.default_slots().values())
    for name in sorted(usual & {spec.model for spec in specs_of(annotator)}):
        remedy = "name a folder of weights or a hub id with --model"
        raise ConfigError(f"{name} does not run in this process", where="--local", remedy=remedy)


def transport_of(
    ledger: Ledger,
    whom: Whom,
    provider: Provider,
    *,
    account: Account,
    before_send: BeforeSend,
    answerer: Callable[[], Answerer],
) -> Transport:
    """The client: in this process, online, or of the Batch API, which resumes what an earlier run sent.

    answerer: runs the weights; it is called only for a model in this process.
    """
    specs = specs_of(whom.annotator)
    if whom.sources:
        return InProcess(answerer(), provider.rows, account)
    prices = PriceTable.load(provider.prices)
    endpoint = Endpoint.from_environment(provider.base_url)
    if not provider.batch:
        rates = RateLimits(provider.requests_per_minute, provider.tokens_per_minute)
        weighed = any(spec.parser.name == "logprob" for spec in specs)
        options = OnlineOptions(
            concurrency=provider.concurrency,
            rates=rates,
            without=frozenset(provider.without),
            required=frozenset({"logprobs"} if weighed else ()),
            cut_prompts=provider.cut_prompts,
        )
        return OnlineClient(endpoint, options, price=prices.price, account=account, before_send=before_send)
    from annotators.clients.batch import BatchClient, BatchOptions  # they load the openai SDK

    return BatchClient(
        endpoint,
        BatchOptions(
            f"farm-{whom.annotator.fingerprint}", frozenset(provider.without), provider.poll_seconds
        ),
        price=prices.price,
        batch_factor=prices.batch_factor,
        account=account,
        before_send=before_send,
        open_claims=asking.open_keys(ledger, [spec.draw_key for spec in specs]),
    )


def answerer_of(specs: Sequence[AnnotatorSpec], sources: Mapping[str, str], provider: Provider) -> Answerer:
    """The object that runs the weights. torch is loaded here, not earlier."""
    if specs[0].kind is AnnotatorKind.REWARD_MODEL:
        from farm.judging.reward_model import RewardJudge

        return RewardJudge(sources[specs[0].model], provider.rows, provider.weights)
    from farm.judging.language_model import LocalJudge

    names = frozenset(name for spec in specs for name in spec.outputs)
    return LocalJudge(sources, names, provider.weights)
