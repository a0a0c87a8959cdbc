"""The report: one page that needs nothing else, on which no output can run, with figures one can cite."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import ConfigError, FarmError
from db.ledger import Ledger
from db.records import (
    Annotation,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Instruction,
    Output,
    Pair,
    Question,
    Turn,
    TurnRole,
)
from farm.pages.report.content import LONGEST, marked
from farm.pages.report.drawing import as_csv
from farm.pages.report.figures import win_rates
from farm.report import ReportOptions, figures, report
from farm.studies.results import MethodWinRate, OverOptimisationPoint, RankAgreement, Rate, StudyResults
from tests.support.command_line import farm_arguments, refused, told
from tests.support.full_disk import full_disk

PAYLOADS = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=\"document.title='owned'\"><a xlink:href=\"javascript:document.title='owned'\">x</a></svg>",
    "<style>body{display:none}</style><link rel=stylesheet href=//evil.example/x.css>",
    '[link](javascript:document.title="owned")',
    "</script><script>document.title='owned'</script>",
    "</style></p></section></main><iframe srcdoc=\"<script>parent.document.title='owned'</script>\">",
    "<meta http-equiv=refresh content='0;url=//evil.example'><base href=//evil.example>",
    "{{ report.made }}{% for x in [] %}{{ 7 * 7 }}",
    '=HYPERLINK("//evil.example";"x")',
    "\x1b[31mred\x1b[0m \u202egnp.exe \x00 \ud800".encode("utf-8", "replace").decode("utf-8"),
    "x" * 200_000,
)


class Page(HTMLParser):
    """Every element with its attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return "".join(self.said)


def fill(path: Path, texts: tuple[str, ...] = PAYLOADS) -> Path:
    """Each text is an instruction, an output and a judge's name; people and judge differ on every pair."""
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        for number, text in enumerate(texts):
            asked = Instruction(f"{number} {text}", text)
            if number % 2:
                asked = Instruction.of_turns([Turn(role, f"{number} {text}") for role in TurnRole])
            pair, flipped = Pair.of(
                Output(asked, text, f"model {text[:40]}"), Output(asked, "hello you", "m")
            )
            cards = [AnnotatorCard(f"{text[:60]} {number}", AnnotatorKind.LLM)]
            cards += [AnnotatorCard(name, AnnotatorKind.HUMAN) for name in ("ada", "ben")]
            ids = writer.annotators(cards)
            [pair_id] = writer.pairs([pair])
            for annotator, preference in zip(ids, (1.0, 0.0, 0.0), strict=True):
                seen = 1 - preference if flipped else preference
                writer.annotations([Annotation(pair_id, annotator, seen, seen, False)])
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a ledger full of hostile_texts."""
    folder = tmp_path_factory.mktemp("hostile")
    with Ledger.open(fill(folder / "farm.db")) as ledger:
        summary = report(ledger, folder / "report.html", ReportOptions(subject=PAYLOADS[0]))
    assert summary.disagreements == len(PAYLOADS)
    return folder / "report.html"


def test_no_output_becomes_an_element_or_an_attribute(hostile: Path) -> None:
    page = Page(hostile.read_text())
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert tags.count("style") == 1
    assert not {"iframe", "link", "base", "img", "object", "embed", "form"} & set(tags)
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert "style" not in attributes, (tag, attributes)
        for name in ("href", "src", "xlink:href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:text/csv;base64,")), (tag, value)
    assert ("li", {"class": "tool"}) in page.elements  # payloads are turns of conversations too
    assert "{{ 7 * 7 }}" in page.text  # shown, not run
    assert "evil.example" in page.text


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(hostile: Path) -> None:
    text = hostile.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    rules = policy[1].replace("&#39;", "'")
    assert rules.startswith("default-src 'none'")
    assert "unsafe" not in rules
    for tag in ("script", "style"):
        [body] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in rules
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", text).replace("http-equiv", "").split("<main")[0]


def test_control_characters_and_turned_text_are_made_visible(hostile: Path) -> None:
    text = hostile.read_text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\x1b[31mred" in text
    assert r"\u202e" in text


def test_long_outputs_are_cut_with_a_note_and_the_page_stays_small(hostile: Path) -> None:
    assert hostile.stat().st_size < 5_000_000
    assert f"… ({200_000 - LONGEST:,} more characters)" in hostile.read_text()


def test_every_figure_has_words_and_its_data(hostile: Path) -> None:
    page = Page(hostile.read_text())
    drawn = [attributes for tag, attributes in page.elements if tag == "svg"]
    data = [attributes for tag, attributes in page.elements if tag == "a" and attributes.get("download")]
    assert len(drawn) == 2 * len(data) >= 2  # on a desk, on a phone
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawn)
    for attributes in data:
        rows = base64.b64decode((attributes["href"] or "").partition("base64,")[2]).decode()
        assert len(list(csv.reader(io.StringIO(rows)))) > 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_spreadsheet_is_not_made_to_run_a_formula() -> None:
    import pandas as pd

    text = as_csv(pd.DataFrame({"name": ["=1+1", "+1", "-x", "@y", "fine"], "n": [-1.5, 2, 3, 4, 5]}))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["'=1+1", "'+1", "'-x", "'@y", "fine"]
    assert rows[0]["n"] == "-1.5"


@settings(deadline=None, max_examples=80)
@given(first=st.text(max_size=60), second=st.text(max_size=60))
def test_marking_differences_loses_no_text_and_equal_texts_have_none(first: str, second: str) -> None:
    one, two = marked(first, second)
    assert "".join(run.text for run in one) == first
    assert "".join(run.text for run in two) == second
    assert not any(run.differs for side in marked(first, first) for run in side)


def test_the_pairs_that_differ_most_come_first(tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as ledger:
        with ledger.writing() as writer:
            people = writer.annotators([AnnotatorCard(f"p{k}", AnnotatorKind.HUMAN) for k in range(4)])
            [judge] = writer.annotators([AnnotatorCard("judge", AnnotatorKind.LLM)])
            for number, first in enumerate(
                (0, 3, 4, 2)
            ):  # people of four who prefer output_a; the judge does too
                asked = Instruction(f"ask {number}")
                pair, _ = Pair.of(Output(asked, "one", "a"), Output(asked, "two", "b"))
                [i] = writer.pairs([pair])
                facts = [
                    Annotation(i, p, float(k < first), float(k < first), False) for k, p in enumerate(people)
                ]
                writer.annotations([*facts, Annotation(i, judge, 1.0, 1.0, False)])
        from annotators.rules import has_list
        from db.queries.frames import judgements
        from farm.pages.report.disagreements import disagreements

        found = disagreements(ledger, judgements(ledger, has_list), 10)
    assert [each.instruction for each in found] == [
        "ask 0",
        "ask 3",
        "ask 1",
    ]  # gaps 1, .5, .25; none on ask 2
    assert (found[0].people, found[0].simulators) == (0.0, 1.0)
    assert [o.annotator for o in found[0].opinions] == ["p0", "p1", "p2", "p3", "judge"]


def test_the_nearest_simulator_is_named_beside_the_others_and_people_have_alpacafarms_price(
    tmp_path: Path,
) -> None:
    """Three people agree on ten pairs; quiet is with them on nine, noisy, at half a cent each, on five."""
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        with ledger.writing() as writer:
            people = writer.annotators([AnnotatorCard(name, AnnotatorKind.HUMAN) for name in "abc"])
            quiet, noisy = writer.annotators(
                [AnnotatorCard(name, AnnotatorKind.LLM) for name in ("quiet", "noisy")]
            )
            asked = [Instruction(f"ask {number}") for number in range(10)]
            pairs = writer.pairs([Pair.of(Output(a, "one", "x"), Output(a, "two", "y"))[0] for a in asked])
            claims = [Claim(f"k{pair}", "d", "r", "{}", (Question(pair, 0, False),)) for pair in pairs]
            replies = [reply for reply in writer.claims(claims) if reply is not None]
            writer.completions([Completion(reply, "A", cost=0.005) for reply in replies])
            for number, (pair, reply) in enumerate(zip(pairs, replies, strict=True)):
                facts = [Annotation(pair, person, 1.0, 1.0, False) for person in people]
                first, second = float(number < 9), float(number < 5)
                facts += [Annotation(pair, quiet, first, first, False)]
                facts += [Annotation(pair, noisy, second, second, False, completion_id=reply, slot=0)]
                writer.annotations(facts)
        report(ledger, tmp_path / "r.html", ReportOptions())
        figures(ledger, tmp_path, ReportOptions())
    said = " ".join(Page((tmp_path / "r.html").read_text()).text.split())
    assert "90 % Simulator quiet agrees with people the" in said
    assert "the highest of 2 simulated annotators, not told apart from 1 of the others" in said
    assert "Beside it noisy on 50 %." in said
    assert "judgements; simulated annotators: quiet on 90 %, not told apart from one person" in said
    assert "noisy on 50 %, less often than one person." in said
    assert "what AlpacaFarm paid its crowd, $300 for 1,000 judgements" in said
    rows = csv.DictReader(io.StringIO((tmp_path / "agreement-price.csv").read_text()))
    assert [(row["annotator"], float(row["price"]), float(row["agreement"])) for row in rows] == [
        ("noisy", pytest.approx(5), 0.5),
        ("people, at AlpacaFarm's price", 300.0, 1.0),
    ]


def results() -> StudyResults:
    rate = Rate(0.6, 0.5, 0.7)
    judged = tuple(
        MethodWinRate(method, world, world, Rate(value, value - 0.1, value + 0.1), 100, 0)
        for world, shift in (("people", 0.0), ("simulators", 0.05))
        for method, value in (("sft", 0.5 + shift), ("ppo", 0.6 + shift), ("dpo", 0.55 + shift))
    )
    points = tuple(
        OverOptimisationPoint("best-of-n", "people", n, n**0.5, rate, 1.0) for n in (1.0, 2.0, 4.0)
    )
    return StudyResults(
        "baseline", 0, judged, RankAgreement(Rate(1.0, 0.5, 1.0), 1.0, 3, 0.3, 0.3), points, 1.0
    )


def test_a_study_has_its_chapters_and_survives_its_file(hostile: Path, tmp_path: Path) -> None:
    made = results()
    made.write(tmp_path / "study.json")
    assert StudyResults.read(tmp_path / "study.json") == made
    with Ledger.open(hostile.parent / "farm.db") as ledger:
        options = ReportOptions(study=tmp_path / "study.json")
        summary = report(ledger, tmp_path / "r.html", options)
        assert {"methods", "over-optimisation"} <= set(summary.sections)
        folder = tmp_path / "figures"
        drawn = figures(ledger, folder, options)
    names = {Path(path).name for path in drawn.paths}
    assert {"ranking.pdf", "ranking.png", "ranking.csv", "win-rates.pdf"} <= names
    assert (folder / "ranking.pdf").read_bytes().startswith(b"%PDF")
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(ConfigError, match="no results of a study"):
        StudyResults.read(tmp_path / "study.json")


def test_an_empty_ledger_and_a_folder_that_cannot_be_written_are_said(tmp_path: Path, hostile: Path) -> None:
    with (
        Ledger.open(tmp_path / "empty.db", create=True) as ledger,
        pytest.raises(ConfigError, match="nothing to report"),
    ):
        report(ledger, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
    (tmp_path / "file").write_text("in the way")
    with (
        Ledger.open(hostile.parent / "farm.db") as ledger,
        pytest.raises(FarmError, match="cannot be written"),
    ):
        report(ledger, tmp_path / "file" / "r.html", ReportOptions())


def test_the_command_line_writes_page_and_figures(hostile: Path, tmp_path: Path) -> None:
    command = farm_arguments(hostile.parent / "farm.db", "report", tmp_path / "r.html")
    shown = subprocess.run(
        [*command, "--json", "--figures", str(tmp_path / "f")], capture_output=True, text=True, check=True
    )
    page, drawn = json.loads(shown.stdout)
    assert page["bytes"] == (tmp_path / "r.html").stat().st_size
    assert all(Path(path).exists() for path in drawn["paths"])
    wrong = subprocess.run([*command[:4]], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


def test_no_command_writes_over_a_ledger_or_over_what_is_not_its_own(hostile: Path, tmp_path: Path) -> None:
    ledger = Path(shutil.copy(hostile.parent / "farm.db", tmp_path / "farm.db"))
    other = Path(shutil.copy(ledger, tmp_path / "other.db"))
    (tmp_path / "mine.jsonl").write_text('{"mine": true}\n')
    before = {path: path.read_bytes() for path in (ledger, other, tmp_path / "mine.jsonl")}
    for path in before:
        what = "no earlier output" if path.suffix == ".jsonl" else "SQLite database"
        assert what in refused(ledger, "report", path)
        assert what in refused(ledger, "audit", "--draws", 0, "--csv", path)
    with pytest.raises(ConfigError, match="SQLite database"):
        results().write(other)
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "agreement.csv").write_text("my,own\n")
    assert "no earlier output" in refused(ledger, "report", "--figures", folder)
    assert [path.name for path in folder.iterdir()] == ["agreement.csv"]
    (folder / "agreement.csv").unlink()
    for _ in range(2):  # its own are replaced
        told(ledger, "report", tmp_path / "page.html", "--figures", folder)
        told(ledger, "audit", "--draws", 0, "--csv", tmp_path / "rows.csv")
        results().write(tmp_path / "study.json")
    with full_disk(36_000):
        for command in (("report", tmp_path / "new.html"), ("report", "--figures", tmp_path / "new")):
            assert "cannot be written" in refused(ledger, *command)
    assert not list(tmp_path.rglob(".*"))
    assert not (tmp_path / "new.html").exists()
    assert {path: path.read_bytes() for path in before} == before


def test_more_judges_than_three_take_another_row_of_panels() -> None:
    shown = [{"method": "dpo", "trained_on": "people", "win_rate": 0.6, "low": 0.5, "high": 0.7}]
    rows = [row | {"judged_by": f"judge {k}"} for row in shown for k in range(4)]
    made = win_rates(pd.DataFrame(rows))
    panels = [axes for axes in made.drawing.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [f"judged by judge {k}" for k in range(4)]
    assert made.is_broad
    assert made.drawing.get_figwidth() == pytest.approx(9.3)
    assert panels[3].get_position().y0 < panels[0].get_position().y0
