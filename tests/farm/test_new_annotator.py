"""A new annotator as a new user adds it: two files from the page and no code, then a pool of it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.records import Instruction, Output, Pair
from tests.support.command_line import FARM, told
from tests.support.known_pools import write

PAGE = (Path(__file__).parents[2] / "docs" / "annotators.md").read_text(encoding="utf-8")
TEXT = "The town council voted to close the old bridge, because inspectors found cracks in two pillars."


def summaries(count: int) -> list[Pair]:
    """Pairs of summaries, of which the longer is the better one to the judge at the other end."""
    made = []
    for i in range(count):
        asked = Instruction(f"Summarise in {i + 3} words.", TEXT)
        one, other = Output(asked, "A bridge closes." * (i + 1), "m"), Output(asked, "Cracks.", "n")
        made.append(Pair.of(one, other)[0])
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the page says: a folder `mine` with two files, and the pool file, copied as they stand."""
    section = PAGE.split("## A new annotator: two files, no code", 1)[1]
    (tmp_path / "mine").mkdir()
    for name, fence in (("annotator.yaml", "yaml"), ("prompt.jinja", "jinja")):
        text = re.search(rf"```{fence}\n(.*?)```", section, re.S)
        assert text
        (tmp_path / "mine" / name).write_text(text[1])
    pool = re.search(r"```yaml\n(name: two-tempers\n.*?)```", PAGE, re.S)
    assert pool
    (tmp_path / "pool.yaml").write_text(pool[1])
    return tmp_path


def commands() -> list[str]:
    """The commands that the page tells a new user to run in that folder."""
    section = PAGE.split("## A new annotator: two files, no code", 1)[1].split("### annotator.yaml", 1)[0]
    return [line.strip()[2:] for line in section.splitlines() if line.strip().startswith("$ farm")]


def test_the_page_is_followed_to_the_letter(folder: Path) -> None:
    ledger = write(folder / "farm.db", summaries(6))
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as simulator:
        environment = os.environ | {"OPENAI_BASE_URL": simulator.base_url, "OPENAI_API_KEY": "none"}
        assert len(commands()) >= 3
        for command in commands():
            arguments = [str(FARM), *shlex.split(command)[1:]]
            done = subprocess.run(
                arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
        judged = told(ledger, "annotate", folder / "mine", "--base-url", simulator.base_url)
    assert (judged["annotator"], judged["already"]) == ("summary-judge", 6)
    shown: dict[str, Any] = told(ledger, "annotators", folder / "mine")
    assert shown["line"]["name"] == "summary-judge"
    assert "<output_A" in shown["prompt"][-1][1]
    assert TEXT in shown["prompt"][-1][1]


def test_its_verdicts_are_those_of_the_judge(folder: Path) -> None:
    ledger = write(folder / "farm.db", summaries(6))
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as simulator:
        asking = ("--base-url", simulator.base_url)
        assert told(ledger, "annotate", folder / "mine", *asking)["statuses"] == {"ok": 6}
        assert told(ledger, "annotate", folder / "pool.yaml", *asking)["statuses"] == {"ok": 6}
        told(ledger, "annotate", "longest")
    audit = told(ledger, "audit", "--reference", "longest", "--draws", 0)
    found = {each["annotator"]: each for each in audit["annotators"]}
    assert found["summary-judge"]["agreement"]["value"] == 1


def test_a_mistake_is_told_with_its_remedy(folder: Path) -> None:
    spec = folder / "mine" / "annotator.yaml"
    spec.write_text(spec.read_text().replace("decoding:", "decodng:"))
    done = subprocess.run([FARM, "annotators", folder / "mine"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unknown key, did you mean 'decoding'?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
