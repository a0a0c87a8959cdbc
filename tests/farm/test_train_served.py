"""`farm train --rollout-url`: servers that die, come back, refuse, or are none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from db.errors import Paused
from db.ledger import Ledger
from examples.rollout_server import PolicyServer
from farm.options.train import RolloutOptions
from farm.train import TrainReport, TrainTask, train
from tests.support.command_line import farm
from tests.support.online_runs import same_bits
from tests.support.rollout_server import MortalServer, running, serving

QUICK = {
    "max_steps": "3",
    "batch_size": "4",
    "n": "2",
    "max_length": "128",
    "max_new_tokens": "6",
    "learning_rate": "1e-3",
    "log_every": "1",
}
"""Three rollouts of four prompts, a draw each."""

Learner = Callable[..., TrainReport]


@pytest.fixture
def learnt(judged: Path, tmp_path: Path, model_dir: str, scorer_dir: str) -> Learner:
    """A run of grpo: learnt(folder's name, address, **options of the server)."""

    def run(name: str, url: str, **given: float) -> TrainReport:
        task = TrainTask(
            model_dir,
            tmp_path / name,
            set_name="sums",
            reward=scorer_dir,
            held_out=0.0,
            rollouts=RolloutOptions(rollout_url=url, **given),  # type: ignore[arg-type]
        )
        with Ledger.open(judged) as ledger:
            return train(ledger, "grpo", task, None, QUICK)

    return run


def test_a_server_that_dies_in_the_middle_is_waited_for_then_the_run_stops_at_a_checkpoint(
    learnt: Learner, tmp_path: Path, model_dir: str
) -> None:
    """Whether it comes back or the run goes on at another server: it ends as without the death."""
    with serving(model_dir) as server:
        assert learnt("whole", server.url).steps == 3
    came_back(learnt, model_dir)
    stayed_away(learnt, model_dir)
    assert same_bits(tmp_path / "died", tmp_path / "whole")
    assert same_bits(tmp_path / "stopped", tmp_path / "whole")


def came_back(learnt: Learner, model_dir: str) -> None:
    """A server dies in the second rollout. One with the first weights takes its place."""
    first = MortalServer(model_dir, dies_at=6)
    port, back = first.server_port, list[PolicyServer]()

    def revive() -> None:
        while first.asked < 6 or first.socket.fileno() >= 0:
            time.sleep(0.05)
        time.sleep(0.5)
        back.append(PolicyServer(model_dir, port=port))
        back[0].serve_forever(0.02)

    reviver = threading.Thread(target=revive, daemon=True)
    reviver.start()
    with running(first):
        learnt("died", first.url, rollout_wait=60.0)
    assert [Path(folder).name for folder in first.pushed] == ["weights-0", "weights-1"]
    assert [Path(folder).name for folder in back[0].pushed] == ["weights-1", "weights-2"]
    assert first.asked + back[0].asked == 12
    back[0].shutdown()
    back[0].server_close()
    reviver.join()


def stayed_away(learnt: Learner, model_dir: str) -> None:
    """A server dies in the third rollout, for good. The run goes on at another address."""
    said = r"step 3: .*has not answered for 6 seconds: .*; the checkpoint is .*step-00000002"
    started = time.monotonic()
    with running(MortalServer(model_dir, dies_at=9)) as server, pytest.raises(Paused, match=said):
        learnt("stopped", server.url, rollout_wait=6.0)
    assert time.monotonic() - started < 120
    with serving(model_dir) as server:
        assert learnt("stopped", server.url).steps == 3
    assert [Path(folder).name for folder in server.pushed] == ["weights-2"]


def test_what_no_server_can_do_is_one_line(
    judged: Path, tmp_path: Path, model_dir: str, scorer_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_API_KEY", "sk-not-the-right-one")

    def said(method: str, *options: str) -> str:
        needed = ["--reward", scorer_dir, "--max_new_tokens", "6"] if method != "sft" else []
        shared = [part for name in ("batch_size", "max_length") for part in (f"--{name}", QUICK[name])]
        run = ["train", method, "--model", model_dir, "--out", tmp_path / "x", "--set", "sums"]
        found = farm(judged, *run, *needed, *shared, *options)
        assert found.code == 1, found
        assert [line for line in found.error.splitlines() if line.startswith("farm: ")], found
        assert "Traceback" not in found.error
        assert "not-the-right-one" not in found.error
        return found.error

    there = ("--rollout-url", "http://127.0.0.1:9/v1")
    assert "a server cannot draw for sft" in said("sft", *there)
    assert "a server cannot draw for a_star_po" in said("a_star_po", *there)
    assert "name it with --rollout-url" in said("grpo", "--rollout-every", "2")
    assert "leave top_p and top_k at 1 and 0" in said("grpo", *there, "--top_p", "0.9")
    assert "--rollout-url nowhere" in said("grpo", "--rollout-url", "nowhere")
    assert "clouds keep" in said("grpo", "--rollout-url", "http://user:pass@169.254.169.254/v1")
    assert "has not answered for 0.3 seconds" in said("grpo", *there, "--rollout-wait", "0.3")
    with running(PolicyServer(model_dir, key="another")) as server:
        assert "set FARM_API_KEY to a key that this server accepts" in said(
            "grpo", "--rollout-url", server.url
        )
    with serving(model_dir) as server:
        elsewhere = server.url.replace("/v1", "/api/v1")
        assert "VLLM_SERVER_DEV_MODE=1" in said("grpo", "--rollout-url", elsewhere)
