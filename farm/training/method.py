"""What a method is: a feed of batches, and a loss on each. The shared loop does everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from torch import Tensor, nn

from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from farm.config import TrainConfig
    from farm.models.policy import Policy
    from farm.models.scorer import Scorer
    from farm.training.rollout_server import ServedDraws

DataKind: TypeAlias = Literal[
    "demonstrations", "pairs", "referenced", "judged", "attributes", "questions", "groups", "instructions"
]
"""The records that a method learns from, each a class in `farm.training.data`; instructions are prompts."""

Need: TypeAlias = Literal[
    "reference", "reward", "judge", "token_reward", "teacher", "demonstrations", "constraints"
]
"""What a method asks for beside its policy: a frozen reference, a reward model, a judge of pairs, a reward of
each token, a frozen policy to learn from, demonstrations beside its data (`Data.demonstrations`), judges that
permit responses. Of demonstrations and such judges there may be none."""

FROZEN: Mapping[Need, str] = {
    "reference": "reference model",
    "reward": "reward model",
    "token_reward": "reward of each token",
    "teacher": "teacher",
}
"""The frozen models that a method may need, each an option of the command."""

Stats: TypeAlias = Mapping[str, Tensor]
"""Name -> detached scalar. The loop averages them, weighted by the weights of their batches."""

B = TypeVar("B", bound=Batch)
B_co = TypeVar("B_co", bound=Batch, covariant=True)


class Loss(NamedTuple):
    """The mean loss over a batch's weight, and what to log about it."""

    loss: Tensor  # scalar
    stats: Stats


class RewardFn(Protocol):
    """Scores responses: a reward model, a gold reward model or a rule. Returns (B,), higher is better."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor: ...


class PairJudge(Protocol):
    """Judges two responses to each of B prompts: (B,) of P(first preferred) in [0, 1]; a tie is ½.

    NaN stands where there is no judgement. A method that needs judgements of fresh responses receives such a
    callable and knows nothing else of it.
    """

    def __call__(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str], /
    ) -> Tensor: ...


class Constraint(Protocol):
    """Says which responses are permitted: (B,) bool. It may have nothing to say of some prompts."""

    def accepts(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor: ...


class ComparedConstraint(Protocol):
    """Says which responses are permitted by comparing each with the baseline of its prompt."""

    @property
    def at_least(self) -> float:
        """P(response preferred to the baseline) from which on a response is permitted."""
        ...

    def of_rollout(self, number: int) -> PairJudge:
        """The judge of a rollout, by its number."""
        ...

    def accepts_baselines(self, prompts: Sequence[Prompt]) -> Tensor:
        """Whether the baseline of each prompt is permitted: (B,) bool."""
        ...


class TokenReward(Protocol):
    """Rates each response token, such as by a log-ratio of two policies: (B, T), 0 off the mask."""

    def token_rewards(self, tokens: Tokens, temperature: float = 1.0) -> Tensor:
        """temperature: of the policies' log-probabilities."""
        ...


class SequenceLogps(Protocol):
    """Sum of a frozen model's log-probabilities over each row's response tokens: Tokens -> (B,)."""

    def __call__(self, tokens: Tokens) -> Tensor: ...


class Product(Protocol):
    """The model that a run makes and saves; transformers loads it by itself."""

    def save(self, directory: Path | None) -> None:
        """Write it. None: only take part in gathering the weights, on a process other than the first."""
        ...


class Models(Protocol):
    """The models that a method may ask for. A trained one is new at each call, a frozen one is shared."""

    reference_source: str  # where the reference is

    def policy(self) -> Policy:
        """A new policy to train."""
        ...

    def reference(self) -> Policy:
        """The frozen policy that training starts from or is held to."""
        ...

    def reference_logps(self) -> SequenceLogps:
        """Log-probabilities under the reference: Tokens -> (B,)."""
        ...

    def scorer(self, outputs: int = 1, keeps: str | None = None) -> Scorer:
        """A new reward model to train, with so many outputs.

        keeps: a kind of reward.json. A model of this kind is trained on, with the head that it has.
        """
        ...

    def value(self) -> Scorer:
        """A new value model to train."""
        ...

    def reward(self) -> RewardFn:
        """The frozen function that scores responses. Raises ConfigError where none was named."""
        ...

    def token_reward(self) -> TokenReward:
        """The frozen reward of each token. Raises ConfigError where none was named."""
        ...

    def teacher(self) -> Policy:
        """The frozen policy to learn from. Raises ConfigError where none was named."""
        ...

    def constraints(self) -> Sequence[Constraint]:
        """The judges that permit a response or not; none where none was named."""
        ...

    def compared_constraints(self) -> Sequence[ComparedConstraint]:
        """The judges of pairs that permit what is no worse than a baseline; none where none was named."""
        ...

    def served(self) -> ServedDraws | None:
        """The server that draws rollouts; None where this process draws them."""
        ...

    def judge(self, rollout: int) -> PairJudge:
        """The judge of the pairs of a rollout, by its number. Raises ConfigError where none was named."""
        ...


class Feed(Protocol[B_co]):
    """The batches that a run learns from, one optimizer step at a time."""

    @property
    def steps(self) -> int:
        """Optimizer steps in the whole run."""
        ...

    @property
    def rollout_steps(self) -> int:
        """Optimizer steps from one rollout to the next; 1 without rollouts.

        A run can be resumed only between rollouts, so checkpoints are written only there.
        """
        ...

    def batches(self, start: int) -> Iterator[Sequence[B_co]]:
        """For each step, from step `start` on: the batches whose gradients are summed in it.

        It is lazy: nothing is drawn before the loop asks. So responses come from the policy as it is at that
        step. A function of (config, data, models, start) alone.
        """
        ...

    def held_out(self) -> Iterator[B_co]:
        """Batches on which the loss is evaluated during training; none if nothing was held out."""
        ...


class OwnDraws(NamedTuple):
    """What is drawn for a batch of rows at hand: n responses to the prompt of each row.

    share: of the steps in which this is done. beside: the responses are learnt from together with the rows at
    hand, else in their place.
    """

    n: int
    share: float
    beside: bool


class Method(Protocol[B]):
    """A method at work on one run. A class that implements it names it as its base."""

    trained: nn.Module  # what the optimizer sees; all that changes in training is in its state_dict
    product: Product  # what is saved for use
    feed: Feed[B]

    def loss(self, batch: B) -> Loss:
        """The mean loss over the batch's weight, with gradients."""
        ...

    def parts(self) -> Mapping[str, nn.Module]:
        """The models that `trained` is made of, by name, where it is made of several. By default: none.

        The loop clips the gradients of each by their own norm, and logs it as grad_norm/NAME.
        """
        return {}

    def summary(self) -> Mapping[str, float]:
        """Figures that a finished run logs beside its loss. By default there are none."""
        return {}


class Trainer(Protocol):
    """What a method's file offers under the registered name: a class, or an object made of functions."""

    @property
    def Config(self) -> type[TrainConfig]:  # noqa: N802
        """The method's options."""
        ...

    @property
    def data_kind(self) -> DataKind:
        """The records that `farm train` fetches for it."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """The frozen models that it asks for."""
        ...

    def __call__(self, config: Any, data: Any, models: Models) -> Method[Any]:
        """Build the method. config: a `Config`; data: a `Data` of records of the data kind."""
        ...
