"""Outputs drawn into the ledger: by a real small model here, and by a model behind a real HTTP server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from db.errors import ConfigError
from db.ledger import Ledger
from db.queries import outputs
from db.queries.outputs import Source
from db.records import Instruction, Membership, Output, Turn, TurnRole
from farm.config import Decoding, ModelConfig
from farm.judging.provider import Provider
from farm.models.hub import ModelError
from farm.models.loading import load_codec
from farm.models.tokens import Prompt
from farm.progress import silent
from farm.sample import SampleReport, SampleTask, sample
from tests.support.command_line import farm, farm_arguments
from tests.support.completions_server import completions_server
from tests.support.tiny_models import ModelMaker

SHORT = Decoding(max_new_tokens=6)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Thirty instructions in the set `sums`."""
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        asked = [Instruction(f"Add {i} and 2.", "Quickly." if i % 3 else "") for i in range(30)]
        writer.memberships([Membership(each, "sums") for each in asked])
    return path


def drawn(path: Path, model: str, **task: object) -> tuple[SampleReport, list[Output]]:
    chosen = SampleTask("sums", **{"decoding": SHORT, **task})  # type: ignore[arg-type]
    with Ledger.open(path) as opened:
        report = sample(opened, model, chosen, silent)
        return report, list(outputs.outputs_of(opened, report.source))


def test_every_instruction_is_answered_once_and_again_is_free(ledger: Path, model_dir: str) -> None:
    first, there = drawn(ledger, model_dir, n=2, producer="tiny")
    assert (first.new, first.known, first.instructions) == (60, 0, 30)
    assert sorted({each.sample for each in there}) == [0, 1]
    assert len({(each.instruction.key, each.sample) for each in there}) == 60
    again, same = drawn(ledger, model_dir, n=2, producer="tiny")
    assert (again.new, again.known) == (0, 60)
    assert same == there


def test_more_draws_are_added_to_those_there_are(ledger: Path, model_dir: str) -> None:
    _, one = drawn(ledger, model_dir, n=1)
    more, three = drawn(ledger, model_dir, n=3)
    assert (more.new, more.known) == (60, 30)
    assert [each for each in three if each.sample == 0] == one


def test_an_output_depends_on_its_instruction_and_not_on_its_batch_mates(
    ledger: Path, model_dir: str
) -> None:
    _, few = drawn(ledger, model_dir, limit=4)
    _, all_of_them = drawn(ledger, model_dir)
    texts = {each.instruction.key: each.text for each in all_of_them}
    assert [texts[each.instruction.key] for each in few] == [each.text for each in few]


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"decoding": Decoding(max_new_tokens=5)}, {"best_of": 4, "reward": "scorer"}]
)
def test_what_can_change_an_output_is_part_of_whose_it_is(
    ledger: Path, model_dir: str, change: dict[str, object], scorer_dir: str
) -> None:
    if change.get("reward"):
        change = change | {"reward": scorer_dir}
    before, _ = drawn(ledger, model_dir, producer="tiny")
    after, _ = drawn(ledger, model_dir, producer="tiny", **change)
    assert after.new == 30
    assert after.decoding != before.decoding
    with Ledger.open(ledger) as opened:
        assert outputs.latest(opened, "tiny") == after.source


def test_retrained_weights_under_the_same_name_are_another_source(
    ledger: Path, make_model: object, tmp_path: Path
) -> None:
    first, _ = drawn(ledger, str(make_model(seed=0)), producer="policy")  # type: ignore[operator]
    second, _ = drawn(ledger, str(make_model(seed=1)), producer="policy")  # type: ignore[operator]
    assert second.new == 30
    assert first.source != second.source


def test_the_best_of_n_is_the_draw_that_the_reward_model_likes_best(
    ledger: Path, model_dir: str, scorer_dir: str
) -> None:
    from farm.config import ModelConfig
    from farm.models.scorer import Scorer, ScorerReward
    from farm.models.tokens import Prompt

    _, all_four = drawn(ledger, model_dir, n=4)
    _, best = drawn(ledger, model_dir, best_of=4, reward=scorer_dir)
    reward = ScorerReward(Scorer.load(scorer_dir, ModelConfig()))
    for chosen in best[:8]:
        prompt = Prompt(chosen.instruction.text, chosen.instruction.input)
        rivals = [each.text for each in all_four if each.instruction == chosen.instruction]
        scores = reward([prompt] * 4, rivals)
        assert reward([prompt], [chosen.text]).item() == pytest.approx(scores.max().item(), abs=1e-5)


def test_bad_options_are_said_before_anything_is_loaded(ledger: Path, model_dir: str) -> None:
    with pytest.raises(ConfigError, match="both --best-of and --reward"):
        SampleTask("sums", best_of=4)
    with pytest.raises(ConfigError, match="one output"):
        SampleTask("sums", best_of=4, reward="x", n=2)
    with Ledger.open(ledger) as opened:
        with pytest.raises(ConfigError, match="no instructions in this set"):
            sample(opened, model_dir, SampleTask("nowhere"), silent)
        with pytest.raises(ModelError, match="no such folder"):
            sample(opened, "no/such/model", SampleTask("sums"), silent)
        assert opened.counts()["output"] == 0


def served(path: Path, simulator: Simulator, **provider: object) -> SampleReport:
    task = SampleTask("sums", n=2, decoding=SHORT, max_words=50)
    asked = Provider((), simulator.base_url, **provider)  # type: ignore[arg-type]
    with Ledger.open(path) as opened:
        return sample(opened, "judge", task, silent, asked)


def test_a_served_model_is_asked_for_what_is_missing_and_for_no_more(ledger: Path) -> None:
    with Simulator(SimulatorConfig(judge=Judge())) as simulator:
        report = served(ledger, simulator)
        assert (report.new, report.failures, simulator.stats().hits) == (60, {}, 60)
        again = served(ledger, simulator)
        assert (again.new, again.known, simulator.stats().hits) == (0, 60, 60)


def test_what_a_server_fails_to_answer_is_counted_and_asked_again(ledger: Path) -> None:
    faults = FaultPlan(script=("refusal",))  # met by the first asking of each request
    with Simulator(SimulatorConfig(judge=Judge(), faults=faults)) as simulator:
        report = served(ledger, simulator)
        assert (report.new, report.failures) == (0, {"refusal": 60})
        again = served(ledger, simulator)
        assert (again.known, again.new, again.failures) == (0, 60, {})


def test_instructions_of_one_prompt_get_their_outputs_in_one_run(tmp_path: Path) -> None:
    """Instruction and input of one make the instruction of another, which is near it or in another window."""
    once = [Instruction(f"Add {i}.") for i in range(100)]
    near = [Instruction("Add 7.", "Now."), Instruction("Add 7.\n\nNow.")]
    far = [Instruction("Add 8.", "Now."), Instruction("Add 8.\n\nNow.")]
    asked = [*near, far[0], *once, far[1]]  # 104, of 102 prompts
    path = tmp_path / "twins.db"
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        writer.memberships([Membership(each, "sums") for each in asked])
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as simulator:
        report = served(path, simulator)
        assert (report.new, report.known, report.elsewhere, report.failures) == (2 * len(asked), 0, 0, {})
        assert simulator.stats().hits in range(2 * len(once) + 4, 2 * len(asked) + 1)
    with Ledger.open(path) as opened:
        texts = {
            (each.instruction, each.sample): each.text for each in outputs.outputs_of(opened, report.source)
        }
    assert len(texts) == 2 * len(asked)
    assert all(texts[near[0], k] == texts[near[1], k] for k in range(2))
    failing = SimulatorConfig(judge=Judge(), faults=FaultPlan(rate=1.0, names=("refusal",)))
    with Ledger.open(tmp_path / "more.db", create=True) as opened, opened.writing() as writer:
        writer.memberships([Membership(each, "sums") for each in asked])
    with Simulator(failing) as simulator:
        assert served(tmp_path / "more.db", simulator).failures == {"refusal": 2 * len(asked)}


def test_a_served_model_is_asked_to_be_brief_where_told_so_and_is_then_another_source(
    ledger: Path, model_dir: str
) -> None:
    with completions_server(model_dir) as (url, bodies), Ledger.open(ledger) as opened:
        asked = Provider((), url)
        free, brief = (
            sample(opened, "judge", SampleTask("sums", limit=1, decoding=SHORT, max_words=cap), silent, asked)
            for cap in (None, 50)
        )
    question = {"role": "user", "content": "Add 0 and 2."}
    cap = {"role": "system", "content": "Keep every answer to 50 words at most."}
    assert [body["messages"] for body in bodies] == [[question], [cap, question]]
    assert free.source != brief.source


def test_a_conversation_is_sent_as_messages_and_read_as_turns(tmp_path: Path, make_model: ModelMaker) -> None:
    """What a tool said goes as the user's: our calls of tools are texts, and no server knows their ids."""
    said = [Turn(TurnRole.SYSTEM, "Be exact."), Turn(TurnRole.USER, "1+1?"), Turn(TurnRole.TOOL, "2")]
    asked = Instruction.of_turns(said)
    model = make_model(end_bias=0.0)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    tokenizer.save_pretrained(model)
    with Ledger.open(tmp_path / "farm.db", create=True) as opened:
        with opened.writing() as writer:
            writer.memberships([Membership(asked, "sums")])
        with completions_server(str(model)) as (url, bodies):
            for cap in (None, 50):
                task = SampleTask("sums", "m", decoding=SHORT, max_words=cap)
                sample(opened, "m", task, silent, Provider((), url))
            task = SampleTask("sums", "m", decoding=SHORT, tokenizer=str(model))
            sample(opened, "m", task, silent, Provider((), url))
    rest = [{"role": "user", "content": "1+1?"}, {"role": "user", "content": "Tool: 2"}]
    brief = "Be exact.\n\nKeep every answer to 50 words at most."
    assert [each["messages"] for each in bodies[:2]] == [
        [{"role": "system", "content": text}, *rest] for text in ("Be exact.", brief)
    ]
    assert tokenizer.decode(bodies[2]["prompt"]) == "<system>Be exact.<user>1+1?<tool>2<assistant>"


def test_a_served_policy_reads_the_tokens_that_it_would_read_here_and_answers_the_same(
    ledger: Path, model_dir: str
) -> None:
    greedy = Decoding(temperature=0, max_new_tokens=6)
    _, here = drawn(ledger, model_dir, decoding=greedy)
    codec = load_codec(model_dir, ModelConfig())
    task = SampleTask("sums", "served", decoding=greedy, tokenizer=model_dir)
    with completions_server(model_dir) as (url, bodies), Ledger.open(ledger) as opened:
        report = sample(opened, "policy", task, silent, Provider((), url))
        there = list(outputs.outputs_of(opened, report.source))
    texts = {each.instruction.key: each.text for each in here}
    written = {key: text for key, text in texts.items() if text.strip()}  # the rest is a failure by name
    assert len(written) > 10
    assert {each.instruction.key: each.text for each in there} == written
    assert sum(report.failures.values()) == len(texts) - len(written)
    prompts = [codec.prompt_ids(Prompt(each.instruction.text, each.instruction.input)) for each in here]
    assert {tuple(body["prompt"]) for body in bodies} == set(map(tuple, prompts))
    assert json.loads(report.decoding)["tokenizer"] == codec.fingerprint()


def test_token_ids_are_for_served_models_and_leave_no_room_for_words(ledger: Path, model_dir: str) -> None:
    with pytest.raises(ConfigError, match="no room for --max-words"):
        SampleTask("sums", tokenizer=model_dir, max_words=50)
    with pytest.raises(ConfigError, match="tokenizer of its own"):
        drawn(ledger, model_dir, tokenizer=model_dir)


@pytest.mark.slow
def test_the_command_line_goes_on_after_a_kill(ledger: Path, model_dir: str) -> None:
    with Ledger.open(ledger) as opened, opened.writing() as writer:
        writer.memberships([Membership(Instruction(f"Count to {i}."), "counts") for i in range(3_000)])
    command = farm_arguments(ledger, "sample", model_dir, "--set", "counts", "--json")
    command += ["--max-new-tokens", "4"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with Ledger.open(ledger) as opened:
        while opened.counts()["output"] == 0 and process.poll() is None:
            time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert done["known"] > 0
    assert done["known"] + done["new"] == 3_000
    with Ledger.open(ledger) as opened:
        made = list(outputs.outputs_of(opened, Source(Path(model_dir).name), "counts"))
    assert len({each.instruction.key for each in made}) == len(made) == 3_000


def test_outputs_are_in_the_ledger_before_the_end_of_a_run_that_is_stopped(
    ledger: Path, model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Responses are written as they end, and only the missing draws of an instruction are drawn later."""
    from farm.producers import local

    class Stopped(Exception):
        pass

    def stop_after_two(writes: list[int]) -> Callable[..., None]:
        def progress(producer: str, done: int, total: int | None = None, /) -> None:
            writes.append(done)
            if len(writes) == 2:
                raise Stopped

        return progress

    monkeypatch.setattr(local, "FLUSH", 10)
    writes: list[int] = []
    task = SampleTask("sums", decoding=SHORT, n=2)
    with Ledger.open(ledger) as opened:
        with pytest.raises(Stopped):
            sample(opened, model_dir, task, stop_after_two(writes))
        assert writes[:2] == [10, 20]
        assert 20 <= opened.counts()["output"] < 60
    rest, there = drawn(ledger, model_dir, n=2)
    assert rest.known == writes[-1]
    assert rest.known + rest.new == 60
    whole = {(each.instruction.key, each.sample): each.text for each in there}
    assert len(whole) == 60


def test_the_best_of_n_is_written_before_the_end_of_a_run_that_is_stopped(
    ledger: Path, model_dir: str, scorer_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from farm.producers import local

    class Stopped(Exception):
        pass

    def stop(producer: str, done: int, total: int | None = None, /) -> None:
        raise Stopped

    _, whole = drawn(ledger, model_dir, best_of=4, reward=scorer_dir, producer="undisturbed")
    monkeypatch.setattr(local, "FLUSH", 10)
    task = SampleTask("sums", decoding=SHORT, best_of=4, reward=scorer_dir, producer="stopped")
    with Ledger.open(ledger) as opened, pytest.raises(Stopped):
        sample(opened, model_dir, task, stop)
    rest, there = drawn(ledger, model_dir, best_of=4, reward=scorer_dir, producer="stopped")
    assert 3 <= rest.known < 30
    assert rest.known + rest.new == 30
    assert [each.text for each in there] == [each.text for each in whole]


def test_how_a_model_is_loaded_can_be_chosen_and_is_part_of_whose_an_output_is(
    ledger: Path, model_dir: str
) -> None:
    ways = [ModelConfig(), ModelConfig(template="Q: {instruction}"), ModelConfig(dtype="bfloat16")]
    found = [drawn(ledger, model_dir, limit=2, loading=each)[0] for each in ways]
    assert [report.new for report in found] == [2, 2, 2]
    assert len({report.source for report in found}) == 3
    eager = ModelConfig(attention="eager", device="cpu")
    assert drawn(ledger, model_dir, limit=2, loading=eager)[0].known == 2, "rounding alone"
    with Ledger.open(ledger) as opened, pytest.raises(ConfigError, match="the server loads the model"):
        task = SampleTask("sums", loading=eager)
        sample(opened, "served", task, silent, Provider((), "http://127.0.0.1:9/v1"))
    flags = ("--dtype", "bfloat16", "--device", "cpu", "--attention", "eager", "--template", "plain")
    said = farm(ledger, "sample", model_dir, "--set", "sums", "--limit", 1, "--max-new-tokens", 2, *flags)
    assert said.code == 0, said.error
