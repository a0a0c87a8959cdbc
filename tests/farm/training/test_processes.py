import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file

from farm.methods import METHODS, load
from farm.training import processes
from farm.training.checkpoint import whole_checkpoints
from farm.training.clock import StepPart
from farm.training.processes import Processes
from tests.support.tiny_models import ModelMaker

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "support" / "train_script.py"
OPTIONS = ["max_steps=4", "learning_rate=1e-3", "adam_epsilon=1e-3", "micro_batch=2"]
FRESH = ["max_new_tokens=8", "max_steps=1"]  # one rollout, which is one step
OWN_OUTPUTS = (
    *("ppo", "rloo", "grpo", "dapo", "quark", "pairwise_grpo", "pairwise_ppo", "pf_ppo", "a_star_po"),
    *("rto", "gdpo", "crpg", "codpo", "crraft"),
)
FEW_DRAWS = (
    "xpo",
    "nash_md",
    "hypo",
    "gkd",
    "on_policy_distillation",
)  # whose prompts or models differ from step to step
ON_POLICY = ["max_new_tokens=8", "rollout_epochs=2", "minibatches=2"]  # one rollout: rounding may turn a draw


def torchrun(count: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    many = ["-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    many += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    command = [sys.executable, *(many if count > 1 else []), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def launch(count: int, *arguments: object) -> None:
    out = torchrun(count, SCRIPT, *arguments)
    assert out.returncode == 0, out.stderr[-3000:]


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(whole_checkpoints(folder / "run")[-1] / "model" / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        pytest.param("sft", "ddp", marks=pytest.mark.slow),
        pytest.param("dpo", "fsdp", marks=pytest.mark.slow),
        ("ppo", "fsdp"),
        pytest.param("kto", "ddp", marks=pytest.mark.slow),
        pytest.param("aot", "ddp", marks=pytest.mark.slow),
        pytest.param("bco", "fsdp", marks=pytest.mark.slow),
        pytest.param("ppo", "ddp", marks=pytest.mark.slow),
        pytest.param("rloo", "ddp", marks=pytest.mark.slow),
        pytest.param("quark", "ddp", marks=pytest.mark.slow),
        pytest.param("quark", "fsdp", marks=pytest.mark.slow),
        pytest.param("grpo", "fsdp", marks=pytest.mark.slow),
        pytest.param("dapo", "ddp", marks=pytest.mark.slow),
        pytest.param("nash_md", "fsdp", marks=pytest.mark.slow),
        pytest.param("pairwise_grpo", "ddp", marks=pytest.mark.slow),
        pytest.param("pairwise_ppo", "ddp", marks=pytest.mark.slow),
        pytest.param("pf_ppo", "ddp", marks=pytest.mark.slow),
        pytest.param("a_star_po", "ddp", marks=pytest.mark.slow),
        pytest.param("rto", "ddp", marks=pytest.mark.slow),
        pytest.param("gdpo", "ddp", marks=pytest.mark.slow),
        pytest.param("crpg", "ddp", marks=pytest.mark.slow),
        pytest.param("crpg", "fsdp", marks=pytest.mark.slow),
        pytest.param("codpo", "ddp", marks=pytest.mark.slow),
        pytest.param("crraft", "ddp", marks=pytest.mark.slow),
        pytest.param("gkd", "fsdp", marks=pytest.mark.slow),
        pytest.param("on_policy_distillation", "fsdp", marks=pytest.mark.slow),
        pytest.param("hypo", "ddp", marks=pytest.mark.slow),
        pytest.param("sft", "fsdp", marks=pytest.mark.slow),
        pytest.param("dpo", "ddp", marks=pytest.mark.slow),
        pytest.param("reward_model", "ddp", marks=pytest.mark.slow),
        pytest.param("reward_model", "fsdp", marks=pytest.mark.slow),
    ],
)
def test_two_processes_are_one(
    name: str,
    how: str,
    tmp_path: Path,
    model_dir: str,
    make_model: ModelMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEACHER", str(make_model(seed=3)))
    options = OPTIONS + (ON_POLICY if name in OWN_OUTPUTS else FRESH if name in FEW_DRAWS else [])
    launch(1, name, model_dir, tmp_path / "one", *options)
    launch(2, name, model_dir, tmp_path / "two", *options, f"distribute={how}")
    assert_one_run(tmp_path / "one", tmp_path / "two")


def assert_one_run(alone: Path, shared: Path) -> None:
    """Metrics and weights of a run on one process are those of a run on two."""
    for one, two in zip(lines(alone), lines(shared), strict=True):
        assert two["step"] == one["step"]
        assert one.keys() == two.keys()
        others = {f"seconds/{part}" for part in (*get_args(StepPart), "step")} | {"tokens_per_second"}
        for metric in one.keys() - others:
            assert two[metric] == pytest.approx(one[metric], rel=1e-5, abs=1e-5), (alone.name, metric)
    of_one, of_two = weights(alone), weights(shared)
    assert of_one.keys() == of_two.keys()
    assert all(torch.allclose(of_one[key], of_two[key], atol=1e-6) for key in of_one), alone.name


OFFLINE = [name for name in METHODS if load(name).data_kind != "instructions" and name not in FEW_DRAWS]
EACH_KIND = [
    "f_sft",
    "wpo",
    "polar",
    "apo_zero_unpaired",
    "pl_dpo",
    "principle_model",
    "genrm",
    "implicit_prm",
]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "names"), [("ddp", OFFLINE), ("fsdp", EACH_KIND)])
def test_two_processes_are_one_for_every_method_of_data_at_hand(
    how: str, names: list[str], tmp_path: Path, model_dir: str
) -> None:
    """All in one start of the processes, which takes longer than the steps."""
    options = [*OPTIONS, "max_steps=3"]
    launch(1, ",".join(names), model_dir, tmp_path / "one", *options)
    launch(2, ",".join(names), model_dir, tmp_path / "two", *options, f"distribute={how}")
    for name in names:
        assert_one_run(tmp_path / "one" / name, tmp_path / "two" / name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "how"), [("sft", "ddp"), ("sft", "fsdp"), ("ppo", "ddp")])
def test_two_processes_resume_exactly(name: str, how: str, tmp_path: Path, model_dir: str) -> None:
    options = [*OPTIONS, f"distribute={how}", "save_every=2", "keep=3"]
    if name == "ppo":
        options += ["max_new_tokens=8", "rollout_epochs=1", "minibatches=2"]
    launch(2, name, model_dir, tmp_path / "whole", *options)
    launch(2, name, model_dir, tmp_path / "cut", *options)
    latest = whole_checkpoints(tmp_path / "cut" / "run")[-1]
    latest.rename(latest.parent / ".removed")
    launch(2, name, model_dir, tmp_path / "cut", *options)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "how"), [("ppo", "fsdp"), ("rloo", "ddp"), ("quark", "ddp")])
def test_an_error_in_one_process_ends_all_with_the_same_line(
    name: str, how: str, tmp_path: Path, model_dir: str
) -> None:
    """Nobody watches over the two: one that waited for the other would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "NAN_REWARD": "say 3"}
    shared |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    options = [*OPTIONS, *ON_POLICY, f"distribute={how}"]
    command = [sys.executable, str(SCRIPT), name, model_dir, str(tmp_path / "run"), *options]
    running = [
        subprocess.Popen(
            command,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [each.communicate(timeout=120)[1] for each in running]
    finally:
        for each in running:
            each.kill()
    assert [each.returncode for each in running] == [1, 1]
    first, second = (
        [line.partition(": ")[2] for line in each.splitlines() if "DataError: " in line][-1] for each in said
    )  # torch writes [rank0]: before
    assert first == second
    assert "instruction 'say 3': the reward of a response of" in first


WAITING = """
import sys, time
from datetime import timedelta
import torch.distributed as dist
from farm.training.processes import Processes
dist.init_process_group("gloo", timeout=timedelta(seconds=2))  # of all messages, but for those that wait
with Processes.joined() as processes:
    if {patient}:
        said = processes.told_by_first(lambda: time.sleep(6) or "a verdict")
    else:
        time.sleep(0 if processes.rank else 6)
        said = processes.sum(dist.torch.ones(1)).item()
print(said)
"""


@pytest.mark.slow
@pytest.mark.parametrize("patient", [True, False])
def test_the_others_wait_longer_for_one_process_than_for_a_message(tmp_path: Path, patient: bool) -> None:
    (tmp_path / "waiting.py").write_text(WAITING.format(patient=patient))
    out = torchrun(2, tmp_path / "waiting.py")
    if patient:
        assert (out.returncode, out.stdout.count("a verdict")) == (0, 2), out.stderr[-3000:]
    else:
        assert out.returncode == 1
        assert "timed out" in out.stderr.lower()


PAGES_TOUCHED = """
import ctypes, resource
from farm.training import processes
libc = ctypes.CDLL(None)
libc.malloc.restype, size = ctypes.c_void_p, 2**23
if {keep}: processes.keep_freed_memory()
pages = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    before, blocks = pages(), [libc.malloc(size) for _ in range(20)]
    for block in blocks: libc.memset(ctypes.c_void_p(block), 1, size)
    for block in blocks[::-1]: libc.free(ctypes.c_void_p(block))
print(pages() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_memory_that_a_step_frees_is_not_mapped_again_in_the_next() -> None:
    """160 MiB, freed from the last block to the first as a backward pass does it."""
    found = {}
    for keep in (True, False):
        command = [sys.executable, "-c", PAGES_TOUCHED.format(keep=keep)]
        found[keep] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found[True] < found[False] / 10


def test_training_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(processes, "keep_freed_memory", lambda: calls.append(1))
    with Processes.joined():
        assert calls == [1]
