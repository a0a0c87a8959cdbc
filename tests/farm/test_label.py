"""farm label without a browser: which pairs, what is written, and who is refused at the door."""

from __future__ import annotations

import re
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from db.queries.contests import contests
from db.queries.given import given_by
from db.records import AnnotationStatus, Instruction, Item, Output, Pair
from farm.audit import AuditOptions, audit_ledger
from farm.evaluation import attacks
from farm.evaluation.label_order import by_doubt
from farm.label import LabelTask, chosen_pairs, label
from farm.leaderboard import LeaderboardOptions, leaderboard
from farm.pages.guard import host_is_ours, is_local
from farm.pages.labelling.questions import Place, QuestionKind, places, questions
from farm.pages.labelling.sitting import Outcome, Sitting, VerdictKey, person
from tests.support.label_page import Labelling, labelling


def pairs_of(count: int) -> list[Pair]:
    made = []
    for i in range(count):
        asked = Instruction(f"question {i}")
        made.append(Pair.of(Output(asked, f"good {i}", "m"), Output(asked, f"bad {i}", "n"))[0])
    return made


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """Forty pairs of the source `crossed`, and one attack."""
    with Ledger.open(ledger_url, create=True) as opened:
        asked = Instruction("attacked")
        attack = Pair.of(Output(asked, "x", "m"), Output(asked, "y", f"{attacks.PREFIX}null"))[0]
        items = [Item("crossed", str(i), pair, False) for i, pair in enumerate(pairs_of(40))]
        with opened.writing() as writer:
            writer.items([*items, Item(attacks.SOURCE, "0", attack, False)])
        yield opened


def sitting(ledger: Ledger, name: str = "ada", count: int = 20, catch: float = 0.1) -> Sitting:
    card = person(name, "guideline")
    pairs = chosen_pairs(ledger, LabelTask((name,), "crossed", limit=count))
    return Sitting(ledger, card, questions(pairs, catch, card.key))


def likes_good(at: Sitting) -> VerdictKey:
    """What somebody says who wants the good one."""
    question = at.shown().question
    assert question
    first = question.pair.output_b if question.swapped else question.pair.output_a
    if question.kind is QuestionKind.IDENTICAL:
        return VerdictKey.TIE
    return VerdictKey.FIRST if first.text.startswith("good") else VerdictKey.SECOND


def answer(at: Sitting, verdict: VerdictKey | None = None) -> str:
    question = at.shown().question
    assert question
    assert at.answer(question.key, verdict or likes_good(at), 1.5) is Outcome.SAVED
    return question.key


def test_catch_items_are_as_many_as_asked_for_and_repeats_come_from_the_block_before() -> None:
    for person_key in ("a", "b", "c"):
        shown = places(100, 0.1, person_key)
        kinds = Counter(place.kind for place in shown)
        assert kinds == {QuestionKind.PAIR: 100, QuestionKind.IDENTICAL: 5, QuestionKind.REPEAT: 5}
        assert [p.pair for p in shown if p.kind is QuestionKind.PAIR] == list(range(100))
        for at, place in enumerate(shown):
            if place.kind is QuestionKind.REPEAT:
                before = shown.index(Place(place.pair, QuestionKind.PAIR))
                assert before < at
                assert place.pair // 10 == shown[at - 1].pair // 10 - 1
    assert places(100, 0.1, "a") != places(100, 0.1, "b")
    assert places(100, 0.1, "a")[:50] == places(60, 0.1, "a")[:50]  # a higher limit goes on where one stopped
    assert [p.kind for p in places(5, 0, "a")] == [QuestionKind.PAIR] * 5


def test_people_see_the_same_pairs_in_one_order_with_the_outputs_in_their_own() -> None:
    pairs = pairs_of(200)
    ada, ben = (questions(pairs, 0, person(name, "").key) for name in ("ada", "ben"))
    assert [q.pair for q in ada] == [q.pair for q in ben] == pairs
    assert 60 < sum(q.swapped for q in ada) < 140
    assert 60 < sum(x.swapped != y.swapped for x, y in zip(ada, ben, strict=True)) < 140


def test_what_is_said_lands_in_canonical_order_and_the_audit_takes_it(ledger: Ledger) -> None:
    for name in ("ada", "ben"):
        at = sitting(ledger, name)
        while at.shown().question:
            answer(at)
        summary = at.summary()
        assert (summary.judged, summary.left) == (22, 0)
        assert summary.seconds == pytest.approx(0, abs=1.5)
        assert (summary.identical, summary.identical_ties, summary.repeats, summary.repeats_same) == (1,) * 4
    rows = contests(ledger, "crossed")
    assert len(rows) == 2 * 21
    assert (rows["preference"] == (rows["model_a"] == "m").astype(float)).all()  # m wrote the good ones
    assert (rows["label"] == rows["preference"]).all()
    places = leaderboard(ledger, LeaderboardOptions("ada", reference="n", controls=(), draws=0)).places
    assert [(each.model, each.rate.value) for each in places] == [("m", 1.0)]  # catch items are no model's
    report = audit_ledger(ledger, AuditOptions(draws=50))
    assert {each.name: each.n for each in report.whole.annotators} == {"ada": 21, "ben": 21}
    assert report.whole.reference.measures["agreement"].value == 1
    assert report.whole.annotators[0].seconds_per_1000 is not None


def test_an_undo_is_a_later_attempt_and_the_ledger_keeps_both(ledger: Ledger) -> None:
    at = sitting(ledger)
    first = answer(at)
    second = answer(at, VerdictKey.TIE)
    assert at.undo() is Outcome.UNDONE
    assert at.shown().question.key == second  # type: ignore[union-attr]
    assert at.undo() is Outcome.UNDONE
    assert at.shown().question.key == first  # type: ignore[union-attr]
    assert at.undo() is Outcome.NOTHING
    assert ledger.counts()["annotation"] == 4
    assert contests(ledger, "crossed").empty
    assert answer(at) == first
    assert [each.attempt for each in given_by(ledger, 1)] == [1, 2]
    assert len(contests(ledger, "crossed")) == 1


def test_an_undo_that_is_sent_twice_takes_one_judgement_back(ledger: Ledger) -> None:
    at = sitting(ledger)
    answer(at)
    answer(at)
    page = at.shown()
    assert page.question is not None
    assert at.undo(page.last, page.question.key) is Outcome.UNDONE
    assert at.undo(page.last, page.question.key) is Outcome.TAKEN  # a double click, another tab
    assert at.undo(None, page.question.key) is Outcome.TAKEN
    answer(at)
    assert at.undo(page.last, page.question.key) is Outcome.TAKEN  # judged anew: another judgement
    assert {each.status for each in given_by(ledger, 1)} == {AnnotationStatus.OK}
    assert at.undo(at.shown().last) is Outcome.UNDONE


def test_a_question_is_answered_once_whoever_presses(ledger: Ledger) -> None:
    at, other = sitting(ledger), sitting(ledger)  # two processes of one person
    key = answer(at)
    assert at.answer(key, VerdictKey.SECOND) is Outcome.STALE
    assert other.answer(key, VerdictKey.SECOND) is Outcome.STALE
    assert ledger.counts()["annotation"] == 1
    assert other.shown().question == at.shown().question


def test_what_was_skipped_is_asked_again_in_the_next_sitting_and_last(ledger: Ledger) -> None:
    at = sitting(ledger, count=3, catch=0)
    skipped = answer(at, VerdictKey.SKIP)
    answer(at), answer(at)
    assert at.shown().question is None
    assert (at.summary().judged, at.summary().skipped) == (2, 1)
    again = sitting(ledger, count=4, catch=0)
    assert again.shown().question.key != skipped  # type: ignore[union-attr]
    answer(again)
    assert answer(again) == skipped
    statuses = [each.status for each in given_by(ledger, 1)]
    assert statuses.count(AnnotationStatus.OK) == 4
    assert again.summary().skipped == 0


def test_time_is_the_pages_but_never_more_than_passed_here(ledger: Ledger) -> None:
    now = 100.0
    card = person("ada", "")
    pairs = chosen_pairs(ledger, LabelTask(("ada",), "crossed", limit=4))
    at = Sitting(ledger, card, questions(pairs, 0, card.key), clock=lambda: now)
    for claimed in (2.5, 99.0, -1.0, None):
        question = at.shown().question
        now += 7.0
        assert question
        at.answer(question.key, VerdictKey.TIE, claimed)
    assert [each.seconds for each in given_by(ledger, 1)] == [2.5, 7.0, 0.0, 7.0]


def test_which_pairs(ledger: Ledger) -> None:
    everything = chosen_pairs(ledger, LabelTask(("ada",)))
    assert len(everything) == 40  # the attack is not among them
    some = chosen_pairs(ledger, LabelTask(("ada",), limit=7))
    assert some == everything[:7]
    assert [pair.id for pair in everything] != sorted(pair.id for pair in everything)
    answer(sitting(ledger, catch=0.5))  # writes an output beside itself sooner or later
    at = sitting(ledger, catch=0.5)
    while at.shown().question:
        answer(at)
    assert len(list(ledger.pairs(PairFilter("catch")))) > 0
    assert chosen_pairs(ledger, LabelTask(("ada",))) == everything


def test_doubt_leads_where_it_is_asked_for(ledger: Ledger) -> None:
    judge = sitting(ledger, "ben", count=40, catch=0)
    while judge.shown().question:
        answer(judge)
    chosen = chosen_pairs(ledger, LabelTask(("ada",), "crossed", limit=9, doubt="ben"))
    assert [pair.id for pair in chosen] == [int(i) for i in by_doubt(ledger, "ben")["pair_id"][:9]]


@pytest.mark.parametrize(
    ("task", "what"),
    [
        (LabelTask(("ada",), "nowhere"), "no pair to judge"),
        (LabelTask(("ada", " ada ")), "two people of one name"),
        (LabelTask(("",)), "no name"),
        (LabelTask(("a\x1b[31m",)), "no name"),
        (LabelTask(("ada",), guideline=Path("/nowhere")), "guideline cannot be read"),
        (LabelTask(("ada",), host="no such host"), "cannot listen"),
        (LabelTask(("ada",), doubt="nobody"), "judgement fits|no annotator"),
    ],
)
def test_a_wrong_wish_is_told(ledger: Ledger, task: LabelTask, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        label(ledger, task, print)


@pytest.mark.parametrize("catch", [-0.1, 0.9])
def test_a_share_of_catch_items_has_limits(catch: float) -> None:
    with pytest.raises(ConfigError, match=r"--catch is .* \(a share between 0 and 0\.5\)"):
        LabelTask(("ada",), catch=catch)


def test_a_port_that_is_taken_is_told(ledger: Ledger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        task = LabelTask(("ada",), port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="another --port"):
            label(ledger, task, print)


def test_names_that_are_ours() -> None:
    for header in ("127.0.0.1:8765", "localhost:1", "[::1]:8765", "localhost"):
        assert host_is_ours(header, "127.0.0.1")
    for header in ("evil.example:8765", "", "192.168.0.7:8765", "127.0.0.1.evil.example", "localhost.evil"):
        assert not host_is_ours(header, "127.0.0.1")
    assert host_is_ours("192.168.0.7:8765", "0.0.0.0")
    assert host_is_ours(f"{socket.gethostname()}:1", "0.0.0.0")
    assert not host_is_ours("evil.example", "0.0.0.0")
    assert is_local("127.0.0.1")
    assert is_local("::1")
    assert not is_local("0.0.0.0")
    assert not is_local("")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Labelling, Path]]:
    path = tmp_path_factory.mktemp("label") / "farm.db"
    with Ledger.open(path, create=True) as made, made.writing() as writer:
        writer.items([Item("crossed", str(i), pair, False) for i, pair in enumerate(pairs_of(3))])
    with labelling(path, "--annotator", "ada") as page:
        yield page, path


class Browser:
    """A visitor with a link, who may say of himself what he likes."""

    def __init__(self, running: Labelling) -> None:
        link = running.link("ada")
        self.address, _, self.token = link.partition("/?token=")
        self.client = httpx2.Client(base_url=self.address)
        self.entered = self.client.get("/", params={"token": self.token})

    def fields(self) -> dict[str, str]:
        page = self.client.get("/").text
        return dict(re.findall(r'name="(token|question)" value="([^"]+)"', page))

    def judge(self, fields: dict[str, str], **headers: str) -> httpx2.Response:
        told = {"origin": self.address} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/judge", data=fields, headers={k: v for k, v in told.items() if v})


@pytest.fixture
def browser(running: tuple[Labelling, Path]) -> Iterator[Browser]:
    visitor = Browser(running[0])
    yield visitor
    visitor.client.close()


def judged(path: Path) -> int:
    with Ledger.open(path) as opened:
        return opened.counts()["annotation"]


def test_a_link_opens_once(browser: Browser) -> None:
    assert browser.entered.status_code == 303
    cookie = browser.entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.client.get("/").status_code == 200
    again = httpx2.get(f"{browser.address}/?token={browser.token}")
    assert again.status_code == 403
    assert "set-cookie" not in again.headers
    assert "used already" in again.text


def test_nobody_comes_in_without_a_link(browser: Browser) -> None:
    for path in ("/", "/?token=", "/?token=guess", "/?said=1"):
        assert httpx2.get(browser.address + path).status_code == 403
    stranger = httpx2.post(
        browser.address + "/judge",
        data=browser.fields() | {"verdict": "1"},
        headers={"origin": browser.address},
    )
    assert stranger.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"host": "evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"content_type": "text/plain"},
        {"content_type": "application/json"},
    ],
    ids=str,
)
def test_a_judgement_from_elsewhere_is_refused(
    running: tuple[Labelling, Path], browser: Browser, headers: dict[str, str]
) -> None:
    before = judged(running[1])
    response = browser.judge(browser.fields() | {"verdict": "1"}, **headers)
    assert response.status_code == 403, response.text
    assert response.text.startswith("Refused: ")
    assert judged(running[1]) == before


def test_forged_forms_are_refused(running: tuple[Labelling, Path], browser: Browser) -> None:
    before, fields = judged(running[1]), browser.fields()
    assert browser.judge(fields | {"verdict": "1", "token": "é"}).status_code == 403
    assert browser.judge({"question": fields["question"], "verdict": "1"}).status_code == 403
    assert browser.judge(fields | {"verdict": "1", "question": "f" * 32}).status_code == 400
    assert browser.judge(fields | {"verdict": "1", "question": "1"}).status_code == 400
    assert browser.judge(fields | {"verdict": "9"}).status_code == 400
    assert browser.judge(fields | {"verdict": "1", "seconds": "x" * 5_000}).status_code == 403
    assert browser.judge(fields | {str(i): "x" for i in range(9)}).status_code == 403
    assert browser.client.request("PUT", "/", headers={"origin": browser.address}).status_code == 403
    assert browser.client.get("/judge").status_code == 405
    assert browser.client.get("/../etc/passwd").status_code == 404
    assert judged(running[1]) == before


def test_every_answer_carries_the_policy(browser: Browser) -> None:
    answers = [browser.client.get("/"), browser.client.get("/nowhere"), httpx2.get(browser.address)]
    for response in answers:
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_judgement_from_the_page_is_taken_and_time_that_is_no_number_is_not(
    running: tuple[Labelling, Path], browser: Browser
) -> None:
    before, fields = judged(running[1]), browser.fields()
    assert browser.judge(fields | {"verdict": "1", "seconds": "nan"}).status_code == 303
    assert browser.judge(fields | {"verdict": "2"}).headers["location"] == "/?said=stale"
    assert judged(running[1]) == before + 1


def test_a_ledger_that_cannot_be_written_is_told_and_nothing_is_lost(
    running: tuple[Labelling, Path], browser: Browser
) -> None:
    fields = browser.fields()
    holder = sqlite3.connect(running[1])
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("CREATE TRIGGER refuse BEFORE INSERT ON annotation BEGIN SELECT RAISE(ABORT, 'full'); END")
    holder.commit()
    try:
        response = browser.judge(fields | {"verdict": "1"})
        assert response.status_code == 503
        assert response.text.startswith("Nothing was saved: ")
    finally:
        holder.execute("DROP TRIGGER refuse")
        holder.close()
    assert browser.judge(fields | {"verdict": "1"}).headers["location"] == "/?said=1"
