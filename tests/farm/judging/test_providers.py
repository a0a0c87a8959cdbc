"""The judge `plain` gets the same verdicts from servers with the habits of known providers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotators.clients.failures import FieldRefused, ProviderDown
from annotators.draws import Orders
from db.ledger import Ledger
from db.maintenance import merge
from db.queries import asking, lineage, outputs
from db.records import AnnotationStatus, Completion, Instruction, Membership, Output, Pair, Use
from farm.annotate import AnnotateReport, annotate
from farm.config import Decoding
from farm.judging.provider import Provider, Task
from farm.options.sample import SampleTask
from farm.sample import SampleReport, sample
from farm.trace import trace
from tests.support.habits import PROVIDERS, Asked, Turn, served
from tests.support.judging_runs import silent, verdicts

PAIRS = 2
OWN_PRICE = "checked: '2026-11'\nmodels:\n  m: {input: 1.0, output: 10.0}\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of pairs of which one output is good."""
    (tmp_path / "prices.yaml").write_text(OWN_PRICE)
    with Ledger.open(tmp_path / "x.db", create=True) as opened:
        with opened.writing() as writer:
            for number in range(PAIRS):
                asked = Instruction(f"Name a colour, number {number}.")
                texts = (f"GOOD: red {number}", f"a chair {number}")
                writer.pairs([Pair.of(*(Output(asked, text, text[:4]) for text in texts))[0]])
        yield opened


def judge(ledger: Ledger, asked: Asked, name: str = "plain", **options: object) -> AnnotateReport:
    settings = {"models": ("m",), "base_url": asked.url, "concurrency": 1, **options}
    task = Task(orders=Orders.STORED)
    return annotate(ledger, name, task, silent, Provider(**settings))  # type: ignore[arg-type]


def replies(ledger: Ledger) -> list[Completion]:
    return list(asking.completions(ledger, range(1, 100)).values())


@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("name", PROVIDERS)
def test_plain_gets_the_same_verdicts_from_every_provider(ledger: Ledger, name: str, thinks: bool) -> None:
    with served(PROVIDERS[name], thinks) as asked:
        if name == "azure":
            asked.url = asked.url.replace("/v1", "/openai/deployments/m?api-version=2024-10-21")
        prices = Path(str(ledger.address)).with_name("prices.yaml")
        report = judge(ledger, asked, thinking=100, prices=prices)
    assert report.statuses == {"ok": PAIRS}
    good = {pair.id: float("GOOD" in pair.output_a.text) for pair in ledger.pairs()}
    assert Counter(verdicts(ledger).values()) == Counter(good.values())
    assert report.tokens == asked.tokens
    kept = replies(ledger)
    assert sum(each.prompt_tokens + each.completion_tokens for each in kept) == asked.tokens
    cost = sum(each.prompt_tokens + 10 * each.completion_tokens for each in kept) / 1e6
    assert report.cost == pytest.approx(cost)
    assert {each.text for each in kept} <= {"A", "B"}
    if thinks and name not in ("openai", "azure"):
        assert all(each.thinking.startswith("The better output is") for each in kept)


@pytest.mark.parametrize(("name", "sent"), [("azure", "k" * 20), ("vllm", None)])
def test_azure_gets_the_key_in_a_header_of_its_own(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, name: str, sent: str | None
) -> None:
    monkeypatch.setenv("FARM_API_KEY", "k" * 20)
    with served(PROVIDERS[name]) as asked:
        if name == "azure":
            asked.url = asked.url.replace("/v1", "/openai/deployments/m?api-version=2024-10-21")
        assert judge(ledger, asked).statuses == {"ok": PAIRS}
    assert set(asked.keys) == {sent}


def refusing(*fields: str, words: str = "Unsupported parameter: '{}'") -> object:
    """A server that refuses these fields, one at a time."""

    def habit(turn: Turn) -> tuple[int, dict[str, object]]:
        for name in fields:
            if name in turn.body:
                return 400, {"error": {"message": words.format(name)}}
        return PROVIDERS["vllm"](turn)

    return habit


def test_a_field_that_is_refused_is_left_out_for_the_run_and_said_once(ledger: Ledger) -> None:
    with served(refusing("temperature", "max_tokens")) as asked:  # type: ignore[arg-type]
        report = judge(ledger, asked)
        assert report.statuses == {"ok": PAIRS}
        assert len(asked.bodies) == PAIRS + 2
        assert set(report.refused or {}) == {"temperature", "max_tokens"}
        assert report.warnings == {"without_temperature": PAIRS}
        assert {each.warnings for each in replies(ledger)} == {"without_temperature"}
        assert judge(ledger, asked).known == PAIRS  # asked once: the next run knows the answers
        assert len(asked.bodies) == PAIRS + 2


def test_a_field_can_be_left_out_from_the_beginning(ledger: Ledger) -> None:
    with served(refusing("temperature")) as asked:  # type: ignore[arg-type]
        report = judge(ledger, asked, without=("temperature",))
    assert len(asked.bodies) == PAIRS
    assert report.warnings == {"without_temperature": PAIRS}


def test_a_field_whose_loss_changes_what_is_measured_ends_the_run(ledger: Ledger) -> None:
    habit = refusing("logprobs", words="This model does not support logprobs")
    with served(habit) as asked, pytest.raises(FieldRefused, match="does not support logprobs"):  # type: ignore
        judge(ledger, asked, "logprob")
    assert len(asked.bodies) == 1


def test_a_run_in_which_all_was_refused_says_the_servers_words(ledger: Ledger) -> None:
    habit = refusing("messages", words="Your organization must be verified.")
    with served(habit) as asked, pytest.raises(ProviderDown, match="must be verified"):  # type: ignore[arg-type]
        judge(ledger, asked)


def cutting(turn: Turn) -> tuple[int, dict[str, object]]:
    """Reads a part of the prompt alone, and says so by its count."""
    status, reply = PROVIDERS["vllm"](turn)
    return status, {**reply, "usage": {"prompt_tokens": 64, "completion_tokens": 1}}


def test_a_prompt_that_the_server_cut_is_no_judgement_unless_wanted(ledger: Ledger) -> None:
    with served(cutting) as asked:
        with pytest.raises(ProviderDown, match="prompt_cut the server read 64 tokens"):
            judge(ledger, asked)
        report = judge(ledger, asked, cut_prompts=True)
    assert report.statuses == {"ok": PAIRS}
    assert report.warnings == {"prompt_cut": PAIRS}


def hesitating(turn: Turn) -> tuple[int, dict[str, object]]:
    """Says nothing of use, with another figure each time."""
    return PROVIDERS["vllm"](Turn(turn.body, turn.path, f"I give them {len(str(turn.body))} and 3.", ""))


def test_unreadable_replies_are_told_by_their_commonest_reason(ledger: Ledger) -> None:
    with served(hesitating) as asked:
        report = judge(ledger, asked)
    [told] = report.unreadable
    assert (told.reason, told.times) == ("no verdict is declared", PAIRS)
    assert told.reply.startswith("I give them")


def test_thinking_without_an_answer_is_unreadable_with_its_reason(ledger: Ledger) -> None:
    def habit(turn: Turn) -> tuple[int, dict[str, object]]:
        return PROVIDERS["vllm"](
            Turn(turn.body, turn.path, f"<think>\nThe better output is {turn.verdict}.", "")
        )

    with served(habit) as asked:
        report = judge(ledger, asked)
    assert Counter(report.statuses) == {AnnotationStatus.UNREADABLE.value: PAIRS}
    assert [each.reason for each in report.unreadable] == ["thinking without an answer"]
    assert report.warnings == {"only_thinking": PAIRS}


@pytest.fixture
def questions(ledger: Ledger) -> Ledger:
    """The same ledger with a set of instructions to answer."""
    with ledger.writing() as writer:
        asked = [pair.instruction for pair in ledger.pairs()]
        writer.memberships([Membership(each, "q", Use.EVAL) for each in asked])
    return ledger


def draw(ledger: Ledger, asked: Asked, **options: object) -> SampleReport:
    task = SampleTask(set_name="q", decoding=Decoding(max_new_tokens=50, temperature=0.7))
    provider = Provider(base_url=asked.url, **options)  # type: ignore[arg-type]
    return sample(ledger, "m", task, silent, provider)


def test_an_output_is_stored_without_its_thinking_which_is_kept_beside_it(questions: Ledger) -> None:
    with served(PROVIDERS["lm_studio"], thinks=True) as asked:
        report = draw(questions, asked)
    assert report.new == PAIRS
    drawn = list(outputs.outputs_of(questions, report.source, "q"))
    assert {each.text for each in drawn} <= {"A", "B"}
    [number] = [row.id for row in lineage.by_key(questions, drawn[0].key)]
    assert lineage.thinking_of(questions, number).startswith("The better output is")
    assert "thinking" in trace(questions, f"output:{number}").texts


def test_a_ledger_that_is_merged_brings_the_thinking_along(questions: Ledger, tmp_path: Path) -> None:
    with served(PROVIDERS["sglang"], thinks=True) as asked:
        report = draw(questions, asked)
        judge(questions, asked, thinking=100)
    with Ledger.open(tmp_path / "other.db", create=True) as other:
        merge(other, questions)
        drawn = list(outputs.outputs_of(other, report.source, "q"))
        [number] = [row.id for row in lineage.by_key(other, drawn[0].key)]
        assert lineage.thinking_of(other, number).startswith("The better output is")
        assert all(each.thinking for each in replies(other))


def test_an_output_without_text_is_none(questions: Ledger) -> None:
    def habit(turn: Turn) -> tuple[int, dict[str, object]]:
        status, reply = PROVIDERS["vllm"](Turn(turn.body, turn.path, "", "hm"))
        return status, reply

    with served(habit) as asked, pytest.raises(ProviderDown, match="most often: only_thinking"):
        draw(questions, asked)
    assert questions.counts()["output"] == 2 * PAIRS  # those of the pairs alone


def test_sampling_without_its_temperature_is_refused_unless_it_is_chosen(questions: Ledger) -> None:
    with served(refusing("temperature")) as asked:  # type: ignore[arg-type]
        with pytest.raises(FieldRefused, match="--without temperature"):
            draw(questions, asked)
        report = draw(questions, asked, without=("temperature",))
    assert report.new == PAIRS
    assert json.loads(report.decoding)["without"] == ["temperature"]


def test_a_trace_of_an_annotator_shows_why_replies_could_not_be_read(ledger: Ledger) -> None:
    with served(hesitating) as asked:
        judge(ledger, asked)
    node = trace(ledger, "annotator:plain")
    assert node.facts["without a verdict"] == [f"{PAIRS} unreadable: no verdict is declared"]
    assert "I give them" in str(node.to_json(content=True))
