"""Settings of classifiers: what a network is, how it is trained, and what a baseline is.

Defaults are the best recipe found on real data, see docs/longtail.md: logit adjustment, random
sub-bags, a loss of every segment, segments drawn towards their bag, and averaged weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from ..errors import ConfigError
from ..settings import (
    AtLeastOne,
    AtLeastTwo,
    Checked,
    Fraction,
    NonNegative,
    Positive,
    Share,
    Sizes,
    Whole,
    checked_by,
    spelled,
)
from .registry import ENCODERS, LOSSES, POOLINGS, Choosing, PlugIn
from .registry import EncoderName as EncoderName
from .registry import LossName as LossName
from .registry import PoolingName as PoolingName

InputsName = Literal["auto", "standard", "quantile"]
HeadName = Literal["linear", "mlp"]
OptimizerName = Literal["adamw", "sgd"]
Schedule = Literal["constant", "cosine", "step"]
Sampler = Literal["natural", "sqrt", "balanced"]
HeadTuning = Literal["none", "crt", "tau_norm"]
DecisionName = Literal["balanced", "argmax"]
Precision = Literal["float32", "bfloat16", "float16"]
BaselineName = Literal["lr", "knn", "svm", "mlp_sklearn", "svm_stacked", "hgb"]
StrongName = Literal["svm_stacked", "hgb", "lr"]
BlendName = Literal["network", "svm_stacked", "hgb", "lr"]
BLEND: tuple[BlendName, ...] = ("network", "network", "svm_stacked", "hgb", "lr")
"""What stands beside a network by default."""
BaselineInputs = Literal["standard", "quantile"]
Device = Annotated[
    str,
    spelled(
        '{"cpu", "auto", "cuda", "cuda:0", ..., "mps"}', pattern=r"^(cpu|auto|mps|cuda(:\d+)?)$"
    ),
]


def _check_loss(name: object) -> None:
    if name == "balanced_softmax":  # one thing has one name
        raise ConfigError(
            "the balanced softmax is cross-entropy with the prior in it; use "
            "loss='cross_entropy' and logit_adjustment=1"
        )
    LOSSES.check(name)


MAP_ENCODERS = ("crnn", "crnn_tf", "lstm")  # those that read (F, T)
QUERY_POOLINGS = ("dot", "additive", "scalar")  # those with one query a genre
RELEASE: dict[str, dict[str, Any]] = {  # what the paper's release set for baselines
    "lr": {"max_iter": 100},
    "knn": {"n_neighbors": 5},
    "svm": {},
    "mlp_sklearn": {"hidden": (100,), "max_iter": 200},
}


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Choosing):
    """What the network is."""

    registries = (ENCODERS, POOLINGS)

    inputs: InputsName = "auto"
    """What features go through first: ``"standard"`` takes mean and deviation of the training
    segments away, of each band of a map; ``"quantile"`` makes a normal score of the rank among
    them, which no outlier moves. ``"auto"`` takes ranks of vectors, and standardises maps.
    """
    input_dropout: Fraction = 0.0
    """Share of the entries of each segment that are silenced in training, behind ``inputs`` and
    before ``"mlp"`` or ``"identity"``; the other encoders have none.
    """
    encoder: Annotated[EncoderName | PlugIn, checked_by(ENCODERS.check)] = "mlp"
    """What turns a segment into an embedding; ``"identity"`` takes its features as they are. The
    last three read maps (F, T), such as log-mels.
    """
    encoder_settings: Any | None = None
    """Those of an encoder that is not ours; `matt settings encoder.NAME` tells them."""
    hidden: Sizes = (128,)
    """Units of each layer of the MLP; the other encoders ignore them."""
    recurrent_units: AtLeastOne = 32
    """Units of each GRU of ``"crnn"`` and ``"crnn_tf"``, 32 in the paper, and of each direction of
    ``"lstm"``; ``"mlp"`` and ``"identity"`` have none and ignore them.
    """
    dropout: Fraction = 0.3
    """Share of units silenced in training: after each layer of the MLP, of the embedding of
    ``"crnn"`` (0.3 in the paper) and ``"lstm"``, before the last layer of ``"crnn_tf"`` (0.5 in the
    paper).
    """
    block_dropout: Fraction = 0.0
    """Share of values silenced after each convolution block of ``"crnn"`` and ``"crnn_tf"``: 0 in
    the paper's networks, 0.1 in the one that they go back to.
    """
    channel_dropout: bool = False
    """There silence whole channels of a segment instead of single values: cheaper, without a random
    number for every value, but a stronger regulariser.
    """
    pooling: Annotated[PoolingName | PlugIn, checked_by(POOLINGS.check)] = "mean"
    """How the segments of a bag are weighed: all alike; the one with the highest logit of each
    genre; by one query, or one gated attention, for all genres; or by one query a genre, with a dot
    product (the paper's attention, as released), eq. (1) with a weight matrix, or eq. (1) to the
    letter (the fault `scalar_score`).
    """
    pooling_settings: Any | None = None
    """Those of a pooling that is not ours; `matt settings pooling.NAME` tells them."""
    query: Literal["all", "true"] = "all"
    """Which query reads a bag in training: every genre's, as in prediction, or only the true
    genre's, as in the paper (the fault `true_query`). ``"true"`` needs one query a genre and one
    genre a bag.
    """
    scale: Literal["learned", "fixed"] = "learned"
    """The factor of all scores: learned from 0, so that training starts from the mean, or 1.
    ``"mean"``, ``"max"`` and ``"scalar"`` have none.
    """
    spread: bool = True
    """Read beside the pooled segments of a bag how far they are apart, see `matt.models.network`.
    Encoders of maps have none of it, nor has ``tanh_pooled``.
    """
    attention_dim: AtLeastOne = 128
    """Hidden units of the scores of ``"abmil"`` and ``"additive"``."""
    pooled_dropout: Fraction = 0.0
    """Share of embedding dimensions silenced behind the attention, alike in a whole bag."""
    head: HeadName = "linear"
    """What makes logits of an embedding: one linear layer, or one behind a hidden layer, a reading
    of +MIL. Only the linear one has exact contributions of tracks.
    """
    head_hidden: AtLeastOne = 128
    """Units of the hidden layer of the head ``"mlp"``."""
    frozen_queries: bool = False
    """Fault: queries are never trained, and training and inference read with different random ones.
    Needs one query a genre and ``scale="fixed"``.
    """
    tanh_pooled: bool = False
    """Fault: a tanh on the pooled embedding and, in prediction, of the softmax of each query only
    the entry of its own genre: scores that are no probabilities.
    """

    @property
    def chosen_inputs(self) -> str:
        """What ``inputs`` comes to with this encoder.

        >>> ModelSettings().chosen_inputs, ModelSettings(encoder="crnn").chosen_inputs
        ('quantile', 'standard')
        """
        if self.inputs != "auto":
            return self.inputs
        return "standard" if self.reads_maps else "quantile"

    @property
    def reads_maps(self) -> bool:
        """Whether the encoder reads maps (F, T), and not vectors."""
        return self.encoder in MAP_ENCODERS or ENCODERS.trait(self.encoder, "reads_maps")

    @property
    def reads_spread(self) -> bool:
        """Whether there is a spread to be read with this encoder."""
        return self.spread and not self.reads_maps and not self.tanh_pooled

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        if not self.hidden and self.encoder == "mlp":
            yield (
                "hidden must be a list of layer sizes such as [128], got (); for no layer at all "
                "use encoder='identity'"
            )
        of_genres = self.pooling in QUERY_POOLINGS
        if self.query == "true" and not of_genres:
            yield (
                f"query='true' needs one query a genre, but pooling is {self.pooling!r}; "
                "use pooling='dot' or query='all'"
            )
        if self.frozen_queries and not of_genres:
            yield (
                f"frozen_queries needs one query a genre, but pooling is {self.pooling!r}; "
                "use pooling='dot' or frozen_queries=false"
            )
        elif self.frozen_queries and self.scale != "fixed":
            yield (
                f"frozen_queries needs a scale that is not trained either, but scale is "
                f"{self.scale!r}; use scale='fixed'"
            )
        if self.input_dropout and self.reads_maps:
            yield (
                f"input_dropout silences entries of vectors, but encoder {self.encoder!r} reads "
                "maps; use input_dropout=0, or encoder='mlp' or 'identity'"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Choosing):
    """How the network is trained."""

    registries = (LOSSES,)

    optimizer: OptimizerName = "adamw"
    """SGD is plain, without momentum, as in the paper's release."""
    lr: Positive = 2e-3
    """Learning rate: 2e-3 suits AdamW with averaged weights, 1e-3 without, and 0.1 to 0.3 SGD."""
    schedule: Schedule = "constant"
    """How the learning rate goes on from ``lr``: as it is, down to 0 in half a cosine over
    ``epochs``, or times ``step_factor`` after every ``step_epochs`` epochs. A cosine that early
    stopping cuts off has not come down; choose ``epochs`` for it.
    """
    step_epochs: AtLeastOne = 30
    """Epochs between the steps of the schedule ``"step"``; the others have none."""
    step_factor: Share = 0.1
    """What each of those steps multiplies the learning rate by."""
    clip_norm: NonNegative = 0.0
    """The gradient of a step is scaled down to this Euclidean norm, over all weights, where it is
    longer; 0 leaves it as it is.
    """
    weight_decay: NonNegative = 1e-3
    """Pull of all weights towards 0: decoupled from the gradient in AdamW, part of it in SGD."""
    max_bags: AtLeastOne = 160
    """Bags a step, at most; lone tracks are bags of one."""
    max_segments: Whole = 0
    """Segments a step, at most, and segments encoded at once in prediction. In training a bag that
    exceeds it is seen through a random sub-bag; prediction is exact for any size. 0 chooses it by
    the encoder and the shape of the features: as many as take about 2 GB in training, but at most
    20,000. That is 23 log-mels of 96 x 1360 for ``"crnn"``.
    """
    epochs: AtLeastOne = 200
    """Passes over the training bags, at most."""
    patience: AtLeastOne = 25
    """Stop after so many epochs without a better one; needs validation bags."""
    loss: Annotated[LossName | PlugIn, checked_by(_check_loss)] = "cross_entropy"
    """What is made of logits and labels, see `matt.models.losses`. The next setting adjusts the
    logits of any; ``"class_balanced"`` makes up for rarity by itself, so give it 0.
    """
    loss_settings: Any | None = None
    """Those of a loss that is not ours; `matt settings loss.NAME` tells them."""
    logit_adjustment: NonNegative = 1.0
    """Factor tau of the log prior that the loss adds to the logits: 0 is plain cross-entropy, 1
    makes predictions as if every genre were equally frequent (the balanced softmax).
    """
    decision: DecisionName = "balanced"
    """``"balanced"`` keeps probability and decision apart: probabilities assume the shares of the
    genres in training, whatever the loss did about them, and beside the likely genre stands the one
    that is decided where rare genres are to be found, see `matt.predictions.Decision`.
    ``"argmax"`` is the paper's way: the largest output, as it was trained.
    """
    class_balanced_beta: Fraction = 0.999
    """Of ``"class_balanced"``: 0 weighs all bags alike, towards 1 each genre counts alike."""
    focal_gamma: NonNegative = 2.0
    """Of ``"focal"``: how little a bag counts that is predicted well; 0 is cross-entropy."""
    sampler: Sampler = "natural"
    """How often an epoch shows the bags of a genre: each once, or each genre as often as the square
    root of its bags, or all genres alike. Priors are counted in what is shown.
    """
    head_tuning: HeadTuning = "none"
    """What is done to the last layer once training is over, see `matt.models.finishing`."""
    dropped_batch: bool = False
    """Fault: leave out the last batch of each epoch if it has fewer than ``max_bags`` bags."""
    sub_bags: bool = True
    """Show each bag through a random non-empty subset of its tracks, another one every epoch."""
    segment_dropout: Fraction = 0.0
    """Share of the segments of each track that an epoch leaves out, but never all of them."""
    mix: NonNegative = 0.0
    """Mix each bag's logits with another's, in shares of Beta(mix, mix), and the loss of their
    labels alike; with a linear head that is mixing their pooled embeddings. 0 is off.
    """
    attention_entropy: NonNegative = 0.0
    """Weight, in the loss, of how far attention is from one vote a track, in nats. A pooling that
    learns no attention has nothing of it.
    """
    agreement: NonNegative = 0.2
    """Weight, in the loss, of how far the log probabilities of each segment alone are from those of
    its bag, squared: it draws tracks towards what their bag says, so that one network serves both.
    A loss that is much smaller, such as ``"focal"``, needs less of it.
    """
    weight_average: Fraction = 0.99
    """Decay, a step, of an exponential average of the weights, which is what is validated and kept;
    in the first steps it is lower. 0 keeps the weights themselves.
    """
    segment_loss: NonNegative = 0.5
    """Weight of the loss of every segment alone against its bag's label, beside the bag's loss."""
    validate: Literal["bags", "average"] = "bags"
    """What the best epoch is chosen by: predictions of the validation bags, or each of their tracks
    predicted alone and probabilities averaged over the bag.
    """
    n_networks: AtLeastOne = 1
    """Networks that are trained one after another, from other seeds, and whose probabilities are
    averaged. Training and prediction cost as many times as much.
    """
    seed: Whole = 0
    """Of everything random; on a CPU with the same number of threads, equal seeds give equal
    models.
    """
    device: Device = "cpu"
    """``"auto"`` is CUDA where there is one, else the CPU."""
    precision: Precision = "float32"
    """What convolutions and linear layers compute in while training; everything else, and all
    prediction, stays float32. ``"bfloat16"`` is faster on CPUs with matrix instructions for it and
    on GPUs; ``"float16"`` needs CUDA.
    """
    deterministic: bool = False
    """Have torch use deterministic algorithms alone, and refuse what has none: equal seeds then
    give equal models on a GPU too, at some speed. On a CPU they do anyway.
    """
    threads: AtLeastOne | None = 1
    """CPU threads of torch while training. A step of an MLP is too short to share out, and on a
    busy machine two threads wait for each other: hence 1. None leaves torch as it is set.
    """

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        if self.precision == "float16" and self.device in ("cpu", "mps"):
            yield (
                f"precision 'float16' needs a CUDA device, and device is {self.device!r}; use "
                "precision='bfloat16', which has the range of float32, or device='cuda'"
            )


@dataclass(frozen=True, kw_only=True)
class BaselineSettings(Checked):
    """What a scikit-learn baseline is; the defaults are FMA's."""

    classifier: BaselineName = "lr"
    """Logistic regression, nearest neighbours, a support vector machine with a Gaussian kernel,
    scikit-learn's MLP; and, stronger than any of FMA's, ``"svm_stacked"``, whose pairs of genres
    are weighed together by a logistic regression on held-out folds, and ``"hgb"``, boosted
    trees. Above 50,000 training tracks ``"svm"`` knows its kernel by landmarks, and above 12,000
    ``"svm_stacked"``.
    """
    n_neighbors: AtLeastOne = 200
    """Of ``"knn"``; all training tracks where there are fewer."""
    hidden: Sizes = (100,)
    """Units of each layer of ``"mlp_sklearn"``."""
    max_iter: AtLeastOne = 2000
    """Iterations of ``"lr"`` and epochs of ``"mlp_sklearn"``, at most."""
    inputs: BaselineInputs = "standard"
    """``"quantile"`` makes a normal score of each value's rank among the training tracks, as the
    networks' inputs are by default.
    """
    c: Positive = 1.0
    """Of ``"lr"`` and the support vector machines: how little their weights are held down."""
    trees: AtLeastOne = 150
    """Rounds of ``"hgb"``, each with one tree a genre; of more rounds each counts less."""
    leaves: AtLeastTwo = 12
    """Of each of those trees, at most."""
    search: bool = False
    """Choose ``c``, or ``leaves``, by macro-F1 on the validation bags, among three. Of more than
    12,000 training tracks they are compared on 6,000, and what is chosen learns from at most
    50,000: all tracks of rare genres, and some of a large one that stand for the rest of it.
    (``"svm"`` always has all.)
    """
    decision: DecisionName = "argmax"
    """As of a network: under ``"balanced"`` tracks are averaged as if all genres were equally
    frequent, and probabilities assume the shares of training.
    """
    unscaled: bool = False
    """A fault of the paper's release: features are not standardised, and its settings replace those
    above (5 neighbours; 100 iterations of ``"lr"``; one layer of 100 units and 200 epochs of
    ``"mlp_sklearn"``). What the paper prints of these baselines was measured so.
    """
    seed: Whole = 0
    """Of the weights and batches of ``"mlp_sklearn"``; the others draw nothing."""

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        if not self.hidden:
            yield (
                "hidden must be a list of layer sizes such as [100], got (); for no layer at all "
                "use classifier='lr'"
            )
        if self.unscaled and self.inputs != "standard":
            yield "unscaled leaves features as they are; use inputs='standard'"

    @property
    def effective(self) -> BaselineSettings:
        """Settings that count: under the fault ``unscaled`` those of the release.

        >>> BaselineSettings(classifier="knn", unscaled=True).effective.n_neighbors
        5
        """
        return replace(self, **RELEASE.get(self.classifier, {})) if self.unscaled else self
