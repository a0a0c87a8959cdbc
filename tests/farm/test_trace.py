"""farm trace: a real chain, from a win rate over checkpoints and judgements to the prompts of the judge."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from db.queries import asking
from db.queries.outputs import Source
from db.records import Instruction, Item, Membership, Output, Pair, ProducerKind
from farm.annotate import annotate
from farm.config import Decoding
from farm.judging.provider import Provider, Task
from farm.pair import PairTask, pair
from farm.progress import silent
from farm.sample import SampleTask, sample
from farm.snapshot import Choice, snapshot
from farm.trace import trace
from farm.tracing.node import Node
from farm.train import TrainTask, train
from tests.support.command_line import farm_arguments

QUICK = {"max_steps": "2", "batch_size": "4", "max_length": "96", "log_every": "1"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, model_dir: str) -> tuple[Path, Path]:
    """Demonstrations -> sft -> dpo on a simulated judge's labels -> outputs judged against those of base."""
    folder = tmp_path_factory.mktemp("chain")
    path = folder / "farm.db"
    with Ledger.open(path, create=True) as ledger, Simulator(SimulatorConfig(judge=Judge())) as simulator:
        asked = [Instruction(f"Add {i} and 2.") for i in range(8)]
        pairs = [Pair.of(Output(each, "It is so.", "m"), Output(each, "No.", "n")) for each in asked]
        with ledger.writing() as writer:
            writer.items([Item("first", str(i), made, flip) for i, (made, flip) in enumerate(pairs)])
            writer.outputs([Output(each, "It is.", "reference", ProducerKind.REFERENCE) for each in asked])
            writer.memberships([Membership(each, "sums") for each in asked])
        provider = Provider(models=("judge",), base_url=simulator.base_url, concurrency=1)  # replies in order
        annotate(ledger, "plain", Task(PairFilter("first")), silent, provider)
        snapshot(ledger, "simulated", Choice())
        sft = train(ledger, "sft", TrainTask(model_dir, folder / "sft", set_name="sums"), None, QUICK)
        task = TrainTask(f"{sft.checkpoint}/model", folder / "dpo", snapshot="simulated")
        dpo = train(ledger, "dpo", task, None, QUICK)
        for model, name in ((f"{dpo.checkpoint}/model", "dpo"), (model_dir, "base")):
            sample(ledger, model, SampleTask("sums", name, decoding=Decoding(max_new_tokens=4)), silent)
        pair(ledger, PairTask("second", (Source("dpo"),), against=Source("base")))
        annotate(ledger, "plain", Task(PairFilter("second")), silent, provider)
    return path, Path(dpo.checkpoint)


@pytest.fixture
def ledger(chain: tuple[Path, Path]) -> Iterator[Ledger]:
    with Ledger.open(chain[0], read_only=True) as opened:
        yield opened


def names(node: Node) -> list[str]:
    """Every node of the tree, from the top."""
    return [node.name, *(name for each in node.basis for name in names(each))]


def below(node: Node, *way: str) -> Node:
    """The node at the end of a way of kinds."""
    for kind in way:
        node = next(each for each in node.basis if each.name.startswith(kind))
    return node


def test_a_checkpoint_leads_to_prompts_replies_and_the_model_before_it(ledger: Ledger) -> None:
    top = trace(ledger, "checkpoint:2")
    run = below(top, "run")
    assert run.facts["command"] == "farm train dpo"
    assert run.facts["seed"] == 0
    assert run.facts["config"]["max_steps"] == 2  # type: ignore[index, call-overload]
    frozen = below(run, "snapshot")
    assert frozen.facts["by"] == ["plain: 8 ok"]
    assert (len(frozen.basis), frozen.hidden) == (3, 5)
    reply = below(frozen, "annotation", "completion")
    said = asking.completions(ledger, [1])[1]
    assert reply.texts["reply"] == said.text
    assert reply.facts["prompt_tokens"] == said.prompt_tokens
    assert reply.facts["asked"]["model"] == "judge"  # type: ignore[index, call-overload]
    assert any("Add 0 and 2." in text for name, text in reply.texts.items() if name.startswith("prompt"))
    assert below(frozen, "annotation", "pair").texts["instruction"] == "Add 0 and 2."
    assert below(run, "checkpoint", "run").facts["command"] == "farm train sft"


def test_a_win_rate_leads_to_the_checkpoint_whose_weights_drew_the_outputs(ledger: Ledger) -> None:
    rate = trace(ledger, "win-rate:dpo/plain", limit=1)
    assert (rate.facts["n"], rate.facts["n_failed"], rate.facts["against"]) == (8, 0, {"base": 8})
    shown = trace(ledger, below(rate, "annotation", "pair").name)
    outputs = {each.facts["producer"]: each for each in shown.basis if each.name.startswith("output")}
    assert names(outputs["dpo"])[:3] == [outputs["dpo"].name, "checkpoint:2", "run:2"]
    assert names(outputs["base"]) == [outputs["base"].name]  # these weights are no checkpoint of ours
    assert names(trace(ledger, "model:dpo"))[:2] == ["model:dpo", "checkpoint:2"]


def test_every_kind_and_every_way_to_name_it(ledger: Ledger, chain: tuple[Path, Path]) -> None:
    key = trace(ledger, "annotator:plain").facts["key"]
    output = trace(ledger, "output:3").facts["key"]
    for wanted, name in (
        (str(chain[1]), "checkpoint:2"),
        (f"{chain[1]}/model", "checkpoint:2"),
        ("simulated", "snapshot:simulated"),
        ("plain", "annotator:plain"),
        (str(key)[:10], "annotator:plain"),
        (str(output), "output:3"),
        ("dpo", "model:dpo"),
        ("run:1", "run:1"),
        ("annotation:9", "annotation:9"),
        ("completion:4", "completion:4"),
        ("metric:2/loss", "metric:2/loss"),
    ):
        assert trace(ledger, wanted).name == name
    logged = trace(ledger, "metric:2/loss")
    assert logged.facts["step"] == 2
    assert isinstance(logged.facts["value"], float)


@pytest.mark.parametrize(
    "wanted",
    ["nothing", "run:9", "run:x", "run:" + "9" * 30, "annotation:0", "snapshot:x", "win-rate:dpo/nobody",
     "metric:1/x", "win-rate:dpo", "ffffff", "", ":", "pair:-1"],
)  # fmt: skip
def test_what_is_not_there_is_told(ledger: Ledger, wanted: str) -> None:
    with pytest.raises(ConfigError):
        trace(ledger, wanted)


def test_an_ambiguous_name_asks_back(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        asked = Instruction("x")
        made, _ = Pair.of(Output(asked, "long", "longest"), Output(asked, "s", "n"))
        with ledger.writing() as writer:
            writer.pairs([made])
        annotate(ledger, "longest", Task(), silent)
        with pytest.raises(ConfigError, match="annotator:longest, model:longest"):
            trace(ledger, "longest")


def test_a_trace_of_an_imported_judgement_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "x", "chosen": "a", "rejected": "b"}))
    farm = farm_arguments(tmp_path / "farm.db")
    given = ["--annotator", "ada", "--source", "s"]
    subprocess.run(
        [*farm, "import", "trl", str(tmp_path / "rows.jsonl"), *given], check=True, capture_output=True
    )
    done = subprocess.run([*farm, "trace", "ada", "--json"], check=True, capture_output=True, text=True)
    [judged] = json.loads(done.stdout)["basis"]
    assert judged["facts"]["file"].endswith("rows.jsonl")
    assert len(judged["facts"]["sha256"]) == 64
    tree = subprocess.run([*farm, "trace", "pair:1", "--content"], check=True, capture_output=True, text=True)
    assert "stands in: s/" in tree.stdout
