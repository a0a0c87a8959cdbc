"""What every test shares: no network beyond this machine, ledgers of both kinds, the real data, a study."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from farm.quickstart import Quickstart

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell put in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else the processes we start ignore Ctrl-C

settings.register_profile("same", derandomize=not os.environ.get("FARM_FULL"))
settings.load_profile("same")  # the same examples in every run of the suite; new ones in `make prove`

LOOPBACK = ("127.", "::1", "localhost")
_connect = socket.socket.connect


def _local_connect(self: socket.socket, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else ""
    if isinstance(address, tuple) and not str(host).startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {host}: tests stay on this machine")
    _connect(self, address)  # type: ignore[arg-type]


def pytest_configure(config: pytest.Config) -> None:
    """Exact values are a CPU's: a GPU is hidden, from tests' processes too, but for its own tests."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


MODELS = {"made", "trained", "studied", "make_model", "model_dir", "pad_is_eos_dir", "scorer_dir"}
TRAINERS = tuple(f"tests/farm/{each}" for each in ("methods", "training", "test_train", "test_quickstart"))

LENGTHY = (
    "tests/attacks/test_addresses.py::test_a_wrong_environment_is_one_line",
    "tests/attacks/test_addresses.py::test_no_proxy_sees_what_is_sent_to_this_machine",
    "tests/attacks/test_addresses.py::test_what_belongs_to_openai_goes_nowhere_else",
    "tests/attacks/test_bodies.py",
    "tests/attacks/test_files.py",
    "tests/attacks/test_secrets.py",
    "tests/attacks/test_hostile_replies.py",
    "tests/annotators/clients/test_batch.py::test_a_process_killed_on_the_way_is_continued_by_the_next",
    "tests/annotators/clients/test_budget.py::test_no_cap_is_ever_passed",
    "tests/annotators/clients/test_budget.py::test_the_worst_case_is_never_below_the_guess",
    "tests/annotators/clients/test_limits.py::test_a_limit_that_nobody_told_us_is_found",
    "tests/annotators/clients/test_online.py::test_some_failures_stop_the_run_at_once",
    "tests/annotators/clients/test_run.py::test_every_request_that_was_sent_is_accounted_for_within_seconds",
    "tests/annotators/clients/test_secrets.py::test_the_key_is_in_no_completion_error_log_or_repr",
    "tests/annotators/clients/test_storm.py",
    "tests/annotators/parsers/test_parsers.py::test_time_is_linear_in_the_length",
    "tests/annotators/simulator/test_judges.py::test_replicates_are_independent_draws",
    "tests/annotators/simulator/test_judges.py::test_the_share_of_replies_off_the_form",
    "tests/annotators/simulator/test_server.py::test_a_process_of_its_own_ends_with_its_owner",
    "tests/annotators/simulator/test_server.py::test_the_command_serves_until_it_is_interrupted",
    "tests/annotators/test_pool.py::test_member_order_and_noise_decided_by_pythons_hash",
    "tests/db/test_ledger.py::test_any_text_survives",
    "tests/farm/evaluation/test_rankings.py::test_a_good_judge_ranks_as_people_do_and_a_blind_one_does_not",
    "tests/farm/evaluation/test_rankings.py::test_shown_order_and_the_draw_are_told_apart",
    "tests/farm/judging/test_runs.py::test_two_machines_pay_for_nothing_twice_and_the_dead_are_inherited",
    "tests/farm/judging/test_language_model.py::test_generated_nonsense_is_unreadable",
    "tests/farm/models/test_forward.py::test_activations_that_are_computed_again",
    "tests/farm/models/test_generation.py::test_a_sample_is_a_function_of_prompt_seed_and_index_alone",
    "tests/farm/models/test_policy.py::test_saved_policies_load_by_transformers_alone",
    "tests/farm/statistics/test_coverage.py",
    "tests/farm/statistics/test_ranking.py::test_holm_equals_statsmodels",
    "tests/farm/studies/test_work.py",
    "tests/farm/test_annotate.py::test_a_killed_batch_is_found_again_and_not_paid_twice",
    "tests/farm/test_annotate.py::test_a_plan_asks_nothing_and_is_near_the_bill",
    "tests/farm/test_annotate.py::test_a_storm_of_faults_ends_as_a_calm_run",
    "tests/farm/test_annotate.py::test_batched_prompts_are_read_again_as_they_were_composed",
    "tests/farm/test_annotate.py::test_label_noise_stands_beside_the_preference",
    "tests/farm/test_annotate.py::test_no_key_is_left_anywhere",
    "tests/farm/test_annotate.py::test_the_batch_api_gives_the_same_judgements_at_half_the_price",
    "tests/farm/test_annotate_books.py",
    "tests/farm/test_annotate_cli.py::test_a_cap_on_the_cost_is_kept_and_the_run_goes_on_under_a_higher_one",
    "tests/farm/test_annotate_cli.py::test_a_dry_run_is_near_the_bill_of_both_orders_and_replicates",
    "tests/farm/test_annotate_cli.py::test_a_server_that_is_not_there_is_one_clear_line",
    "tests/farm/test_annotators.py::test_annotators_lists_the_catalogue_and_shows_one_whole",
    "tests/farm/test_audit.py::test_exchanging_the_outputs_changes_nothing",
    "tests/farm/test_audit.py::test_measures_equal_their_definitions",
    "tests/farm/test_audit.py::test_the_json_is_json",
    "tests/farm/test_audit.py::test_the_order_of_the_rows_changes_nothing",
    "tests/farm/test_audit_tries.py",
    "tests/farm/test_bad_input.py",
    "tests/farm/test_browse.py::test_a_missing_ledger_is_told",
    "tests/farm/test_calibrate.py",
    "tests/farm/test_evaluate.py::test_another_reference_is_another_evaluation",
    "tests/farm/test_evaluate.py::test_several_samples_are_clustered_by_instruction",
    "tests/farm/test_evaluate.py::test_what_is_missing_is_sampled",
    "tests/farm/test_hostile_outputs.py::test_a_strange_reply_is_a_judgement_or_has_a_reason",
    "tests/farm/test_hostile_outputs.py::test_an_output_of_a_megabyte",
    "tests/farm/test_hostile_outputs.py::test_no_output_decides_its_verdict",
    "tests/farm/test_merge.py::test_what_is_no_ledger_is_not_merged",
    "tests/farm/test_new_annotator.py::test_a_mistake_is_told_with_its_remedy",
    "tests/farm/test_new_annotator.py::test_the_page_is_followed_to_the_letter",
    "tests/farm/test_over_optimisation.py::test_a_flat_curve_rarely_turns",
    "tests/farm/test_pair.py::test_the_command_line_makes_pairs_that_a_judge_can_be_told_of",
    "tests/farm/test_people.py::test_labels_chosen_by_doubt_are_weighed_by_their_chances",
    "tests/farm/test_people.py::test_next_pairs_favour_doubt_and_leave_out_what_is_labelled",
    "tests/farm/test_people.py::test_priority_samples_cover",
    "tests/farm/test_pool_theory.py",
    "tests/farm/test_report.py::test_a_study_has_its_chapters_and_survives_its_file",
    "tests/farm/test_report.py::test_the_command_line_writes_page_and_figures",
    "tests/farm/test_report.py::test_the_nearest_simulator_is_named",
    "tests/farm/test_robustness.py::test_a_judge_that_cannot_be_fooled_is_not",
    "tests/farm/test_robustness.py::test_a_second_call_costs_nothing_and_says_the_same",
    "tests/farm/test_robustness.py::test_each_weakness_shows",
    "tests/farm/test_robustness.py::test_fake_verdicts",
    "tests/farm/test_sample.py::test_the_command_line_goes_on_after_a_kill",
    "tests/farm/test_serve_simulator.py::test_it_judges_as_its_configuration_says",
    "tests/farm/test_trace.py::test_a_checkpoint_leads_to_prompts_replies_and_the_model_before_it",
    "tests/farm/test_trace.py::test_a_trace_of_an_imported_judgement_names_its_file",
    "tests/farm/test_train.py::test_help_shows_every_option_of_the_method",
    "tests/farm/training/test_processes.py::test_memory_that_a_step_frees_is_not_mapped_again_in_the_next",
    "tests/farm/world/test_crowd.py::test_everybody_gets_a_like_share_of_the_work",
    "tests/farm/world/test_families.py::test_there_are_far_more_than_fifty_thousand_instructions",
    "tests/farm/world/test_fit.py",
    "tests/farm/world/test_gold.py::test_nobody_but_the_evaluation_asks_gold",
    "tests/farm/world/test_judges.py::test_a_crowd_of_thirteen_and_a_quiet_judge",
    "tests/farm/world/test_pretraining.py",
    "tests/faults/",
    "tests/real/",
    "tests/test_cli.py::test_wrong_usage_and_no_ledger",
    "tests/test_docs.py::test_every_flag_of_every_command_has_help",
    "tests/test_docs.py::test_the_tour_gives_the_output_it_shows",
    "tests/test_docs_run.py::test_what_a_page_tells_its_reader_to_do_works",
    "tests/test_help.py::test_the_old_spelling_of_robustness_works_and_says_so",
    "tests/test_moved.py::test_a_script_from_before_runs",
    "tests/test_notebook.py",
    "tests/test_security.py::test_commands_show_hostile_texts_harmlessly",
    "tests/test_security.py::test_names_do_not_leave_their_folder",
    "tests/test_security.py::test_texts_are_told_only_on_demand",
)
"""Files and tests that take about a second of a core or more: many start processes of their own."""


def marks_of(item: pytest.Item) -> Iterator[str]:
    """What a test needs, by its place and its fixtures, so that `make quick` can leave it out."""
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if "browser" in fixtures:
        yield "browser"
    if "postgres_url" in fixtures or parameters.get("ledger_url") == "postgresql":
        yield "postgres"
    if "studied" in fixtures or (item.nodeid.startswith(TRAINERS) and fixtures & MODELS):
        yield "training"
    if "site" in fixtures or item.nodeid.startswith(LENGTHY):
        yield "lengthy"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in marks_of(item):
            item.add_marker(name)


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    socket.socket.connect = _local_connect  # type: ignore[method-assign, assignment]
    yield
    socket.socket.connect = _connect  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real preference data; the test skips where there is none."""
    folder = os.environ.get("FARM_REAL_DATA")
    if not folder:
        pytest.skip("FARM_REAL_DATA is not set: no real data here")
    return Path(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a ledger that does not exist yet: a file, or a fresh database on the server."""
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.db")
        return
    yield from _fresh_database()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    yield from _fresh_database()


def _fresh_database() -> Iterator[str]:
    server = os.environ.get("FARM_POSTGRES_URL")
    if not server:
        pytest.skip("FARM_POSTGRES_URL is not set: no PostgreSQL server here")
    import psycopg

    name = f"farm_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield server.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made once for all processes of a run of the tests; no test changes it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made := folder.with_suffix(".made")).exists():
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    """A finished quickstart of seconds, with what it found as a file of its own gives it back."""
    from farm.quickstart import Quickstart
    from farm.studies.results import StudyResults
    from tests.support.tiny_study import study

    def make(folder: Path) -> None:
        with ThreadPoolExecutor(1) as aside:  # an open browser keeps an event loop in this thread
            aside.submit(study, folder).result()[0].results.write(folder / "found.json")

    folder = once(tmp_path_factory, "studied", make)
    return Quickstart(folder / "farm.db", folder / "report.html", StudyResults.read(folder / "found.json"))


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 1,200 judgements of five people and judges on 240 pairs."""

    def make(folder: Path) -> None:
        folder.mkdir()
        script = Path(__file__).parent.parent / "examples" / "make_preferences.py"
        subprocess.run([sys.executable, str(script), str(folder / "preferences.jsonl")], check=True)

    return once(tmp_path_factory, "sums", make) / "preferences.jsonl"


@pytest.fixture(scope="session")
def sums_ledger(sums: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of these judgements; who writes to it copies it first."""
    from tests.support.command_line import told

    def make(folder: Path) -> None:
        folder.mkdir()
        told(folder / "farm.db", "import", "preferences", sums)

    return once(tmp_path_factory, "sums_ledger", make) / "farm.db"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as a site, built strictly; the test skips where its builder is not installed."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed: no site is built")

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
        built = subprocess.run(
            command,
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        )
        assert built.returncode == 0, built.stdout + built.stderr

    return once(tmp_path_factory, "site", make)
