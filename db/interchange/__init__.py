"""The field's file formats: a reader for each, a writer for some, and their registry `FORMATS`.

rows            the records that readers return and writers take
opening         opens files: their bytes, unpacked, and their lines
csv_rows        reads CSV row by row, and refuses what is broken
json_values     reads one JSON value, or an array's values one at a time
json_files      reads the objects of JSON files
column_files    reads the rows of parquet, Arrow and Excel
files           reads the objects of a file, whichever way it stores them
writing         writes objects: JSON lines, a JSON array, parquet
fields          reads the fields of an object, or refuses them with a reason
turns           conversations in the field's spellings
verdicts        verdicts in the field's words and numbers
degrees         how much better, in steps from the tie
asked           the places that a row can fill, and what stands in them
places          the entries that a row with filled places gives
facts           the entries as the ledger's facts
table           any table, by a mapping of its columns
table_guess     a mapping for a table, guessed from names and values
guessing        the format and the mapping of files, where the user names none
preferences     our own format: one judgement a row
made_here       what our own format keeps of a judgement that the farm made
alpaca_eval     AlpacaEval's outputs, annotations and results folder
alpaca_farm     AlpacaFarm's preferences and outputs
arena           battles of two models with a winner
argilla         Argilla's chosen and rejected responses, generations with ratings
auto_j          Auto-J's pairwise test set, and its judges' labels
biggen          BiGGen-Bench's judged responses
conversations   rows that hold one conversation: messages, ShareGPT, ms-swift
helpsteer       HelpSteer 2 and 3
hh_rlhf         transcripts, chosen and rejected
instructions    instructions, and models' answers to them
judge_bench     JudgeBench's pairs and judgements
llama_factory   LLaMA-Factory's alpaca files
llm_bar         LLMBar's pairs
medical_gpt     MedicalGPT's preferences
mt_bench        MT-Bench's games in both orders
open_assistant  Open-Assistant's trees of ranked replies, and its flat messages
openai_preferences  OpenAI's preference fine-tuning
pandalm         PandaLM's test sets
ppe             Preference Proxy Evaluations' human preferences
prism           PRISM's scored answers
prometheus      Prometheus' collections and evaluation sets
reward_bench    RewardBench, RewardBench 2 and RM-Bench
reward_bench_results  what a model said of each item of RewardBench
shp             Stanford Human Preferences
sparse_feedback  rankings and ratings in CSV without a header
beside_trl      what a row of `trl` keeps beside TRL's own fields
trl             TRL's preference and unpaired rows
ultra_feedback  UltraFeedback's completions with ratings
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from db.errors import FormatError
from db.interchange import (
    alpaca_eval,
    alpaca_farm,
    arena,
    argilla,
    auto_j,
    biggen,
    conversations,
    helpsteer,
    hh_rlhf,
    instructions,
    judge_bench,
    llama_factory,
    llm_bar,
    medical_gpt,
    mt_bench,
    open_assistant,
    openai_preferences,
    pandalm,
    ppe,
    preferences,
    prism,
    prometheus,
    reward_bench,
    reward_bench_results,
    shp,
    sparse_feedback,
    table,
    trl,
    ultra_feedback,
)
from db.interchange.fields import UnlikeFormat
from db.interchange.rows import Entry, Placed, ReadOptions, Refusal

DATA = (
    ".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv", ".arrow", ".xlsx",
    ".jsonl.gz", ".json.gz", ".csv.gz", ".tsv.gz", ".txt",
)  # fmt: skip
BESIDE_ARROW = ("dataset_info.json", "dataset_dict.json", "state.json")  # a saved dataset's own notes


@dataclass(frozen=True)
class Format:
    """A file format, with its reader and, where there is one, its writer."""

    name: str
    summary: str
    marks: (
        frozenset[str] | tuple[frozenset[str], ...]
    )  # fields by which `guess` knows a row; any one suffices
    reader: Callable[[Path, ReadOptions], Iterator[Placed]]
    write: Callable[[Iterable[Any], Path], int] | None = None  # of PreferenceRow; returns how many rows
    writes_ratings: bool = False  # `write` takes RatedOutput too
    writes: tuple[str, ...] = (".jsonl", ".jsonl.gz", ".parquet")  # file endings that `write` supports
    fits: Callable[[Mapping[str, Any]], bool] | None = None  # what a row must hold beside the marks
    reads_folders: bool = False  # the reader takes a whole folder; else its files are read one by one

    def knows(self, row: Mapping[str, Any]) -> bool:
        """Whether the marks of this format are among an object's fields."""
        several = self.marks if isinstance(self.marks, tuple) else (self.marks,)
        known = any(marks <= row.keys() for marks in several) or (not several and self.fits is not None)
        return known and (self.fits is None or self.fits(row))

    def read(self, path: Path, options: ReadOptions) -> Iterator[Entry | Refusal]:
        """Stream what the rows of a file say, as `placed` does, without their places."""
        return (each.entry for each in self.placed(path, options))

    def placed(self, path: Path, options: ReadOptions) -> Iterator[Placed]:
        """Stream the rows of a file. Raises FormatError, which guesses the format, where it is of another."""
        try:
            yield from self.reader(path, options)
        except UnlikeFormat as error:
            looks = guess(error.row, tried=self.name)
            remedy = f"it looks like the format {looks}" if looks else error.remedy
            raise FormatError(error.what, where=error.where, remedy=remedy) from None


# `guess` tries them in this order. A format whose marks are a subset of another's must come after it.
_ALL = (
    Format(
        "preferences",
        summary="our own rows: one judgement each",
        marks=preferences.MARKS,
        reader=preferences.read,
        write=preferences.write,
    ),
    Format("pandalm", "PandaLM's test sets", pandalm.MARKS, pandalm.read),
    Format(
        "alpaca-eval",
        "AlpacaEval's outputs, annotations, results folder",
        alpaca_eval.MARKS,
        alpaca_eval.read,
        reads_folders=True,
    ),
    Format(
        "alpaca-farm",
        summary="AlpacaFarm's preferences and outputs",
        marks=alpaca_farm.MARKS,
        reader=alpaca_farm.read,
        write=alpaca_farm.write,
        writes=(".json", ".json.gz"),
    ),
    Format(
        "trl-unpaired",
        summary="prompt, completion, label",
        marks=trl.UNPAIRED_MARKS,
        reader=trl.read_unpaired,
        write=trl.write_unpaired,
        writes_ratings=True,
    ),
    Format("auto-j", "Auto-J's pairwise test set, judges' labels", (), auto_j.read, fits=auto_j.fits),
    Format("biggen", "BiGGen-Bench's judged responses", (), biggen.read, fits=biggen.fits),
    Format(
        "sparse-feedback",
        "rankings and ratings in CSV without a header",
        (),
        sparse_feedback.read,
        fits=sparse_feedback.fits,
    ),
    Format("ppe", "Preference Proxy Evaluations' human preferences", ppe.MARKS, ppe.read),
    Format("prism", "PRISM's scored answers", prism.MARKS, prism.read),
    Format("llmbar", "LLMBar's pairs", llm_bar.MARKS, llm_bar.read),
    Format("judgebench", "JudgeBench's pairs and judgements", judge_bench.MARKS, judge_bench.read),
    Format("shp", "Stanford Human Preferences", shp.MARKS, shp.read),
    Format("helpsteer3", "HelpSteer 3's preferences", helpsteer.MARKS_3, helpsteer.read),
    Format(
        "helpsteer2",
        "HelpSteer 2's preferences and scores",
        (helpsteer.MARKS_2, helpsteer.SCORED),
        helpsteer.read_2,
    ),
    Format("ultrafeedback", "UltraFeedback's completions", ultra_feedback.MARKS, ultra_feedback.read),
    Format("prometheus", "Prometheus' collections", prometheus.MARKS, prometheus.read),
    Format("oasst", "Open-Assistant's trees and messages", open_assistant.MARKS, open_assistant.read),
    Format("mt-bench", "MT-Bench's games of two models", mt_bench.MARKS, mt_bench.read),
    Format("medical-gpt", "MedicalGPT's preferences", medical_gpt.MARKS, medical_gpt.read),
    Format("argilla", "Argilla's preference sets", argilla.MARKS, argilla.read),
    Format("rewardbench", "RewardBench's pairs", reward_bench.MARKS, reward_bench.read),
    Format(
        "reward-lists",
        "RewardBench 2 and RM-Bench: lists of chosen and rejected texts",
        reward_bench.LISTED,
        reward_bench.read_lists,
        fits=reward_bench.holds_lists,
    ),
    Format(
        "rewardbench-results",
        "a model's scores of RewardBench's items, beside the set",
        reward_bench_results.MARKS,
        reward_bench_results.read,
        fits=reward_bench_results.fits,
    ),
    Format("orca", "Orca's DPO pairs: system, question, chosen, rejected", trl.ORCA, trl.read),
    Format(
        "openai",
        "OpenAI's preference fine-tuning: input, preferred_output, non_preferred_output",
        openai_preferences.MARKS,
        openai_preferences.read,
    ),
    Format(
        "arena",
        "battles of two models with their conversations: model_a, model_b, winner",
        arena.MARKS,
        arena.read,
    ),
    Format("arena-csv", "Chatbot Arena's CSV with JSON in its cells", arena.CSV, arena.read_csv),
    Format("battles", "battles of two models without texts", arena.BATTLES, arena.read_battles),
    Format("trl", summary="prompt, chosen, rejected", marks=trl.MARKS, reader=trl.read, write=trl.write),
    Format(
        "llama-factory",
        "LLaMA-Factory's alpaca files: instruction, chosen, rejected",
        llama_factory.MARKS,
        llama_factory.read,
    ),
    Format(
        "ms-swift",
        "ms-swift's preferences: messages, rejected_response",
        conversations.SWIFT,
        conversations.read,
    ),
    Format("sharegpt", "conversations of from and value", conversations.SHAREGPT, conversations.read),
    Format("messages", "conversations of role and content", conversations.MESSAGES, conversations.read),
    Format("hh-rlhf", "transcripts, chosen and rejected", hh_rlhf.MARKS, hh_rlhf.read),
    Format(
        "outputs", "models' answers to instructions", instructions.OUTPUT_MARKS, instructions.read_outputs
    ),
    Format(
        "instructions", "instructions, with reference answers perhaps", instructions.MARKS, instructions.read
    ),
    Format("table", "any table, by a mapping of its columns", (), table.read),
)
FORMATS = MappingProxyType({each.name: each for each in _ALL})


def guess(row: Mapping[str, Any], tried: str | None = None) -> str | None:
    """Name of the first format whose marks are among an object's fields; None where there is none.

    tried: a format that the object is not of.
    """
    return next((each.name for each in _ALL if each.name != tried and each.knows(row)), None)


def expand(paths: Iterable[Path], chosen: Format) -> Iterator[Path]:
    """Yield the files to read. A folder gives its data files, sorted by name.

    Raises FormatError for a folder without data files.
    """
    for path in paths:
        if not path.is_dir() or chosen.reads_folders:
            yield path
            continue
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(DATA))
        if chosen.name == "table":  # a plain text is no table, and may stand beside one
            files = [file for file in files if file.suffix not in instructions.PLAIN]
        if any(file.suffix == ".arrow" for file in files):
            files = [file for file in files if file.name not in BESIDE_ARROW]
        if not files:
            raise FormatError("the folder holds no data file", where=str(path), remedy=f"one of {DATA}")
        yield from files
