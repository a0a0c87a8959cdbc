import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from farm.config import TrainConfig
from farm.models.codec import Codec
from farm.models.tokens import Prompt, Tokens
from farm.training.curriculum import Shuffled, epoch_order
from farm.training.data import (
    Data,
    DataError,
    Demonstration,
    JudgedOutput,
    OutputGroup,
    PreferencePair,
    check_pairs,
    decided,
    judged_outputs,
)
from farm.training.feed import PreparedFeed, demonstrations, groups, instructions, judged, pairs, split
from farm.training.processes import Processes

CPU = torch.device("cpu")
lengths_strategy = st.lists(st.integers(1, 200), min_size=1, max_size=100)


@pytest.fixture
def codec(model_dir: str) -> Codec:
    return Codec(AutoTokenizer.from_pretrained(model_dir))


def demos(n: int) -> list[Demonstration]:
    return [Demonstration(Prompt(f"say {i}"), "x" * (1 + i % 7)) for i in range(n)]


@given(lengths_strategy, st.integers(1, 16), st.integers(1, 40), st.integers(0, 99), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_an_epoch_meets_every_row_once_in_an_order_that_seed_and_epoch_give(
    lengths: list[int], batch: int, window: int, seed: int, epoch: int
) -> None:
    order = epoch_order(lengths, batch, window, seed=seed, epoch=epoch)
    assert sorted(i for step in order for i in step) == list(range(len(lengths)))
    assert order == epoch_order(lengths, batch, window, seed=seed, epoch=epoch)
    assert all(len(step) <= batch for step in order)
    assert sum(len(step) < batch for step in order) <= 1


def test_orders_differ_between_seeds_and_epochs() -> None:
    orders = [epoch_order([1] * 50, 4, 1, seed=seed, epoch=epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@given(lengths_strategy, st.integers(1, 16), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_lengths_do_not_decide_which_rows_a_step_has_by_default(
    lengths: list[int], batch: int, seed: int
) -> None:
    config = TrainConfig(batch_size=batch, seed=seed)
    shuffled, of_one_length = Shuffled(lengths, config), Shuffled([1] * len(lengths), config)
    for step in range(2 * shuffled.steps_per_epoch):
        assert set(shuffled.choose(step)) == set(of_one_length.choose(step))


def spread(lengths: list[int], window: int) -> float:
    """By how much the lengths of a step's rows differ, in the mean over the steps of 20 epochs."""
    steps = [step for epoch in range(20) for step in epoch_order(lengths, 8, window, seed=0, epoch=epoch)]
    found = [max(lengths[i] for i in step) - min(lengths[i] for i in step) for step in steps]
    return sum(found) / len(found)


def test_the_rows_of_a_step_are_of_like_length_in_a_longer_window_alone() -> None:
    lengths = list(range(64)) * 4  # 32 steps of 8
    assert spread(lengths, 32) <= 3  # two neighbouring numbers stand 4 times each
    at_random = 64 * 7 / 9  # the expected range of 8 uniform draws from (0, 64)
    assert spread(lengths, 1) == pytest.approx(at_random, rel=0.03)
    assert spread(lengths, 32) < spread(lengths, 8) < spread(lengths, 1)


def test_the_window_is_that_of_the_configuration() -> None:
    lengths = list(range(64)) * 4
    for window in (1, 4, 32):
        shuffled = Shuffled(lengths, TrainConfig(batch_size=8, seed=3, length_window=window))
        assert [shuffled.choose(step) for step in range(32, 64)] == epoch_order(
            lengths, 8, window, seed=3, epoch=1
        )


@given(
    lengths_strategy, st.integers(1, 20) | st.none(), st.integers(200, 2000) | st.none(), st.integers(1, 3)
)
@settings(max_examples=80, deadline=None)
def test_a_step_is_split_within_its_limits_and_nothing_is_lost(
    lengths: list[int], micro: int | None, budget: int | None, processes: int
) -> None:
    config = TrainConfig(micro_batch=micro, token_budget=budget)
    rows = list(range(len(lengths)))
    if len(rows) < processes:
        with pytest.raises(DataError, match="rows for"):
            split(rows, lengths, config, processes)
        return
    try:
        parts = split(rows, lengths, config, processes)
    except DataError:
        assert len(rows) % processes, "only where single rows do not divide"
        return
    assert sorted(i for part in parts for i in part) == rows
    assert len(parts) % processes == 0
    assert all(parts)
    assert all(len(part) <= (micro or len(rows)) for part in parts)
    if budget:
        assert all(len(p) == 1 or len(p) * max(lengths[i] for i in p) <= budget for p in parts)


def test_batches_from_a_step_on_are_those_of_the_whole_run(codec: Codec) -> None:
    config = TrainConfig(batch_size=4, epochs=2.5, micro_batch=2)
    source = demonstrations(Data(demos(10)), codec, config, CPU)
    whole = list(source.batches(0))
    assert source.steps == 8  # 2.5 epochs of 3 steps
    for start in range(8):
        rest = list(source.batches(start))
        assert len(rest) == len(whole) - start
        assert all(
            torch.equal(a.ids, b.ids)
            for x, y in zip(rest, whole[start:], strict=True)
            for a, b in zip(x, y, strict=True)
        )
    assert demonstrations(Data(demos(10)), codec, TrainConfig(batch_size=4, max_steps=2), CPU).steps == 2


def test_processes_share_a_step_without_overlap(codec: Codec) -> None:
    config = TrainConfig(batch_size=4, micro_batch=1)
    alone = next(demonstrations(Data(demos(8)), codec, config, CPU).batches(0))
    shares = [
        next(demonstrations(Data(demos(8), (), Processes(rank, 2)), codec, config, CPU).batches(0))
        for rank in (0, 1)
    ]
    assert [len(share) for share in shares] == [2, 2]
    found = sorted(tuple(batch.ids[0].tolist()) for share in shares for batch in share)
    assert found == sorted(tuple(batch.ids[0].tolist()) for batch in alone)


def test_pairs_have_the_preferred_output_first(codec: Codec) -> None:
    records = [
        PreferencePair(Prompt("q"), "a", "b", 0.2, 0.5),
        PreferencePair(Prompt("q"), "cc", "dd", 0.75),
        PreferencePair(Prompt("q"), "eee", "fff", 0.5),
    ]
    source = pairs(Data(records), codec, TrainConfig(batch_size=3), CPU)
    (batch,) = next(source.batches(0))
    text = [
        codec.text(ids[mask].tolist()) for ids, mask in zip(batch.chosen.ids, batch.chosen.mask, strict=True)
    ]
    assert text == ["eee", "cc", "b"]
    assert batch.preference.tolist() == pytest.approx([0.5, 0.75, 0.8])
    assert batch.strength.tolist() == [0.0, 0.0, 0.5]
    assert batch.weight == 3


def test_ties_are_left_out_only_aloud(caplog: pytest.LogCaptureFixture) -> None:
    records = [PreferencePair(Prompt("q"), "a", "b", p) for p in (0.0, 0.5, 1.0)]
    with caplog.at_level(logging.WARNING):
        kept = decided(records)
    assert [(r.output_a, r.output_b, r.preference) for r in kept] == [("b", "a", 1.0), ("a", "b", 1.0)]
    assert "1 of 3 pairs are ties" in caplog.text


def test_nothing_to_learn_from_is_a_clear_error(codec: Codec) -> None:
    for make in (demonstrations, pairs):
        with pytest.raises(DataError, match="nothing to learn from"):
            make(Data([]), codec, TrainConfig(), CPU)
    with pytest.raises(DataError, match="nothing to learn from"):
        instructions(Data([]), codec, TrainConfig())


@pytest.mark.parametrize("preference", [float("nan"), 1.5, -1.0])
def test_preferences_outside_0_and_1_are_a_clear_error(preference: float) -> None:
    with pytest.raises(DataError, match="expected P"):
        check_pairs([PreferencePair(Prompt("q"), "a", "b", preference)])


def test_pairs_with_identical_outputs_are_a_clear_error(codec: Codec) -> None:
    records = [PreferencePair(Prompt("q"), "a", "a", 1.0), PreferencePair(Prompt("q"), "a", "b", 1.0)]
    with pytest.raises(DataError, match="1 of 2 pairs have two identical outputs"):
        pairs(Data(records), codec, TrainConfig(), CPU)


def test_overlong_rows_are_an_error_or_left_out_aloud(codec: Codec, caplog: pytest.LogCaptureFixture) -> None:
    records = [*demos(3), Demonstration(Prompt("q"), "x" * 600)]
    with pytest.raises(DataError, match="1 of 4 rows are longer than max_length, 512 tokens"):
        demonstrations(Data(records), codec, TrainConfig(), CPU)
    with caplog.at_level(logging.WARNING):
        source = demonstrations(Data(records), codec, TrainConfig(overlong="drop"), CPU)
    assert len(source.rows) == 3
    assert "left out: 1 of 4 rows" in caplog.text


def test_rows_beyond_the_models_context_are_named_so(codec: Codec) -> None:
    short = replace(codec, context=100)
    records = [*demos(3), Demonstration(Prompt("q"), "x" * 200)]
    with pytest.raises(DataError, match="1 of 4 rows are longer than the model's context, 100 tokens"):
        demonstrations(Data(records), short, TrainConfig(), CPU)
    assert len(demonstrations(Data(records), short, TrainConfig(overlong="drop"), CPU).rows) == 3


def test_held_out_rows_come_in_order(codec: Codec) -> None:
    config = TrainConfig(batch_size=2)
    source = instructions(Data([Prompt("a")], [Prompt("b"), Prompt("c"), Prompt("d")]), codec, config)
    assert [batch.prompts for batch in source.held_out()] == [[Prompt("b"), Prompt("c")], [Prompt("d")]]
    assert [batch.prompts for (batch,) in source.batches(0)] == [[Prompt("a")]]


def texts(codec: Codec, tokens: Tokens) -> list[str]:
    return [codec.text(ids[mask].tolist()) for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]


def test_judged_outputs_of_pairs_have_the_preferred_one_first() -> None:
    records = [PreferencePair(Prompt("q"), "a", "b", 0.25), PreferencePair(Prompt("r"), "c", "d", 0.5)]
    assert judged_outputs(records) == [
        JudgedOutput(Prompt("q"), "b", 0.75),
        JudgedOutput(Prompt("q"), "a", 0.25),
        JudgedOutput(Prompt("r"), "c", 0.5),
        JudgedOutput(Prompt("r"), "d", 0.5),
    ]


def test_batches_of_judged_outputs(codec: Codec) -> None:
    records = [JudgedOutput(Prompt("q"), "a" * (i + 1), i / 4) for i in range(5)]
    feed = judged(Data(records[:3], records[3:]), codec, TrainConfig(batch_size=3), CPU)
    (batch,) = next(feed.batches(0))
    found = dict(zip(texts(codec, batch.tokens), batch.label.tolist(), strict=True))
    assert found == {"a": 0.0, "aa": 0.25, "aaa": 0.5}
    assert batch.weight == 3
    (held_out,) = feed.held_out()
    assert held_out.label.tolist() == [0.75, 1.0]


def test_a_group_is_never_divided(codec: Codec) -> None:
    """Two groups of 3 and 2 outputs; a part counts groups by rows, and their outputs by tokens."""
    records = [
        OutputGroup(Prompt("q"), ("a", "b", "c"), (1.0, 0.0, 0.5)),
        OutputGroup(Prompt("r"), ("dd", "ee"), (2.0, -2.0)),
    ]
    (whole,) = next(groups(Data(records), codec, TrainConfig(batch_size=2), CPU).batches(0))
    assert whole.weight == 2
    assert texts(codec, whole.tokens) == ["a", "b", "c", "dd", "ee"]
    assert whole.score.tolist() == [1.0, 0.0, 0.5, 2.0, -2.0]
    assert whole.group.tolist() == [0, 0, 0, 1, 1]
    width = whole.tokens.ids.shape[1]
    for micro_batch, token_budget in ((1, None), (None, 3 * width), (None, 1)):
        config = TrainConfig(batch_size=2, micro_batch=micro_batch, token_budget=token_budget)
        first, second = next(groups(Data(records), codec, config, CPU).batches(0))
        assert texts(codec, first.tokens) + texts(codec, second.tokens) == texts(codec, whole.tokens)
        assert first.weight.item() == second.weight.item() == 1
        assert second.group.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("outputs", "scores", "message"),
    [
        (("a",), (1.0,), "fewer than two outputs"),
        (("a", "b"), (1.0,), "2 outputs and 1 scores"),
        (("a", "b"), (1.0, float("nan")), "scores of a group are"),
    ],
)
def test_a_group_that_cannot_be_learnt_from_is_a_clear_error(
    codec: Codec, outputs: tuple[str, ...], scores: tuple[float, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        groups(Data([OutputGroup(Prompt("q"), outputs, scores)]), codec, TrainConfig(), CPU)


def test_a_label_outside_0_and_1_is_a_clear_error(codec: Codec) -> None:
    with pytest.raises(DataError, match=r"a label is 1.5, expected a number in \[0, 1\]"):
        judged(Data([JudgedOutput(Prompt("q"), "a", 1.5)]), codec, TrainConfig(), CPU)


def test_batches_are_prepared_when_they_are_asked_for(codec: Codec) -> None:
    """A step's batches together, held-out ones one by one."""
    seen: list[int] = []

    def prepare(step: Sequence[Tokens]) -> Sequence[Tokens]:
        seen.append(len(step))
        return step

    config = TrainConfig(batch_size=4, micro_batch=2)
    source = demonstrations(Data(demos(8), demos(4)), codec, config, CPU)
    feed = PreparedFeed(source, prepare)
    assert (feed.steps, feed.rollout_steps) == (source.steps, 1)
    batches = feed.batches(0)
    assert seen == []
    assert len(next(batches)) == 2
    assert seen == [2]
    assert len(list(feed.held_out())) == 2
    assert seen == [2, 1, 1]


def test_a_curriculum_chooses_the_rows_of_a_step(codec: Codec) -> None:
    class Last:
        """Step 0 has the last prompt, step 1 the one before."""

        def __init__(self, prompts: Sequence[Prompt]) -> None:
            self.count = len(prompts)

        def choose(self, step: int) -> list[int]:
            return [self.count - 1 - step]

    data = Data([Prompt("a"), Prompt("b"), Prompt("c")])
    feed = instructions(data, codec, TrainConfig(batch_size=1), Last)
    assert [batch.prompts for (batch,) in feed.batches(1)] == [[Prompt("b")], [Prompt("a")]]


def test_held_out_batches_heed_the_token_budget(model_dir: str) -> None:
    codec, cpu = Codec(AutoTokenizer.from_pretrained(model_dir)), torch.device("cpu")
    rows = [Demonstration(Prompt("x" * n), "y") for n in (5, 60, 7, 30, 9, 11)]  # and 27 tokens more
    data = Data(rows[:1], rows)
    for budget in (1, 150, 200, None):
        config = TrainConfig(token_budget=budget, batch_size=4)
        found = [batch.ids for batch in demonstrations(data, codec, config, cpu).held_out()]
        assert sum(map(len, found)) == 6
        assert all(len(ids) == 1 or ids.numel() <= (budget or 10_000) for ids in found)
        assert max(map(len, found)) == {1: 1, 150: 2, 200: 3, None: 4}[budget]
