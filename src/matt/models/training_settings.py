"""Settings of the training of a neural classifier, checked when they are made.

Defaults are the best recipe found on real data, see docs/longtail.md: logit adjustment, random
sub-bags, a loss of every segment, segments drawn towards their bag, and averaged weights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigError
from .setting_checks import check_choice, check_flag, check_fraction, check_number, check_whole

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "cosine", "step")
UNITS = ("bags", "average")
PRECISIONS = ("float32", "bfloat16", "float16")
LOSS_NAMES = ("cross_entropy", "class_balanced", "focal")
SAMPLERS = ("natural", "sqrt", "balanced")
HEAD_TUNINGS = ("none", "crt", "tau_norm")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the network is trained.

    Attributes
    ----------
    optimizer : {"adamw", "sgd"}
        SGD is plain, without momentum, as in the paper's release.
    lr : float > 0
        Learning rate: 2e-3 suits AdamW with averaged weights, 1e-3 without, and 0.1 to 0.3 SGD.
    schedule : {"constant", "cosine", "step"}
        How the learning rate goes on from ``lr``: as it is, down to 0 in half a cosine over
        ``epochs``, or times ``step_factor`` after every ``step_epochs`` epochs. A cosine that early
        stopping cuts off has not come down; choose ``epochs`` for it.
    step_epochs : int >= 1
        Epochs between the steps of the schedule ``"step"``; the others have none.
    step_factor : float, 0 < step_factor <= 1
        What each of those steps multiplies the learning rate by.
    clip_norm : float >= 0
        The gradient of a step is scaled down to this Euclidean norm, over all weights, where it is
        longer; 0 leaves it as it is.
    weight_decay : float >= 0
        Pull of all weights towards 0: decoupled from the gradient in AdamW, part of it in SGD.
    max_bags : int >= 1
        Bags a step, at most; lone tracks are bags of one.
    max_segments : int >= 0
        Segments a step, at most, and segments encoded at once in prediction. In training a bag
        that exceeds it is seen through a random sub-bag; prediction is exact for any size. 0
        chooses it by the encoder and the shape of the features: as many as take about 2 GB in
        training, but at most 20,000. That is 23 log-mels of 96 x 1360 for ``"crnn"``.
    epochs : int >= 1
        Passes over the training bags, at most.
    patience : int >= 1
        Stop after so many epochs without a better one; needs validation bags.
    loss : {"cross_entropy", "class_balanced", "focal"}
        What is made of logits and labels, see `matt.models.losses`. The next setting adjusts the
        logits of any; ``"class_balanced"`` makes up for rarity by itself, so give it 0.
    logit_adjustment : float >= 0
        Factor tau of the log prior that the loss adds to the logits: 0 is plain cross-entropy,
        1 makes predictions as if every genre were equally frequent (the balanced softmax).
    class_balanced_beta : float, 0 <= beta < 1
        Of ``"class_balanced"``: 0 weighs all bags alike, towards 1 each genre counts alike.
    focal_gamma : float >= 0
        Of ``"focal"``: how little a bag counts that is predicted well; 0 is cross-entropy.
    sampler : {"natural", "sqrt", "balanced"}
        How often an epoch shows the bags of a genre: each once, or each genre as often as the
        square root of its bags, or all genres alike. Priors are counted in what is shown.
    head_tuning : {"none", "crt", "tau_norm"}
        What is done to the last layer once training is over, see `matt.models.finishing`.
    dropped_batch : bool
        Fault: leave out the last batch of each epoch if it has fewer than ``max_bags`` bags.
    sub_bags : bool
        Show each bag through a random non-empty subset of its tracks, another one every epoch.
    segment_dropout : float, 0 <= rate < 1
        Share of the segments of each track that an epoch leaves out, but never all of them.
    mix : float >= 0
        Mix each bag's logits with another's, in shares of Beta(mix, mix), and the loss of their
        labels alike; with a linear head that is mixing their pooled embeddings. 0 is off.
    attention_entropy : float >= 0
        Weight, in the loss, of how far attention is from one vote a track, in nats. A pooling that
        learns no attention has nothing of it.
    agreement : float >= 0
        Weight, in the loss, of how far the log probabilities of each segment alone are from those
        of its bag, squared: it draws tracks towards what their bag says, so that one network serves
        both. A loss that is much smaller, such as ``"focal"``, needs less of it.
    weight_average : float, 0 <= weight_average < 1
        Decay, a step, of an exponential average of the weights, which is what is validated and
        kept; in the first steps it is lower. 0 keeps the weights themselves.
    segment_loss : float >= 0
        Weight of the loss of every segment alone against its bag's label, beside the bag's loss.
    validate : {"bags", "average"}
        What the best epoch is chosen by: predictions of the validation bags, or each of their
        tracks predicted alone and probabilities averaged over the bag.
    n_networks : int >= 1
        Networks that are trained one after another, from other seeds, and whose probabilities are
        averaged. Training and prediction cost as many times as much.
    seed : int >= 0
        Of everything random; on a CPU with the same number of threads, equal seeds give equal
        models.
    device : {"cpu", "auto", "cuda", "cuda:0", ..., "mps"}
        ``"auto"`` is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16", "float16"}
        What convolutions and linear layers compute in while training; everything else, and all
        prediction, stays float32. ``"bfloat16"`` is faster on CPUs with matrix instructions for it
        and on GPUs; ``"float16"`` needs CUDA.
    deterministic : bool
        Have torch use deterministic algorithms alone, and refuse what has none: equal seeds then
        give equal models on a GPU too, at some speed. On a CPU they do anyway.
    threads : int >= 1, optional
        CPU threads of torch while training. A step of an MLP is too short to share out, and on a
        busy machine two threads wait for each other: hence 1. None leaves torch as it is set.

    Raises
    ------
    ConfigError
        Naming the setting, its value and what would do.
    """

    optimizer: str = "adamw"
    lr: float = 2e-3
    schedule: str = "constant"
    step_epochs: int = 30
    step_factor: float = 0.1
    clip_norm: float = 0.0
    weight_decay: float = 1e-3
    max_bags: int = 160
    max_segments: int = 0
    epochs: int = 200
    patience: int = 25
    loss: str = "cross_entropy"
    logit_adjustment: float = 1.0
    class_balanced_beta: float = 0.999
    focal_gamma: float = 2.0
    sampler: str = "natural"
    head_tuning: str = "none"
    dropped_batch: bool = False
    sub_bags: bool = True
    segment_dropout: float = 0.0
    mix: float = 0.0
    attention_entropy: float = 0.0
    agreement: float = 0.2
    weight_average: float = 0.99
    segment_loss: float = 0.5
    validate: str = "bags"
    n_networks: int = 1
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    deterministic: bool = False
    threads: int | None = 1

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("validate", self.validate, UNITS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("sampler", self.sampler, SAMPLERS)
        check_choice("head_tuning", self.head_tuning, HEAD_TUNINGS)
        if self.loss == "balanced_softmax":  # one thing has one name
            raise ConfigError(
                "the balanced softmax is cross-entropy with the prior in it; use "
                "loss='cross_entropy' and logit_adjustment=1"
            )
        check_choice("loss", self.loss, LOSS_NAMES)
        for name in ("class_balanced_beta", "segment_dropout", "weight_average"):
            check_fraction(name, getattr(self, name))
        check_number("lr", self.lr)
        if self.lr == 0:
            raise ConfigError("lr must be above 0, got 0; 2e-3 suits AdamW")
        check_number("step_factor", self.step_factor)
        if not 0 < self.step_factor <= 1:
            raise ConfigError(
                f"step_factor must be above 0 and at most 1, got {self.step_factor}; 0.1 is usual"
            )
        for name in ("clip_norm", "weight_decay", "logit_adjustment", "segment_loss"):
            check_number(name, getattr(self, name))
        for name in ("focal_gamma", "mix", "attention_entropy", "agreement"):
            check_number(name, getattr(self, name))
        for name in ("max_bags", "epochs", "patience", "step_epochs", "n_networks"):
            check_whole(name, getattr(self, name), at_least=1)
        check_whole("max_segments", self.max_segments, at_least=0)
        check_whole("seed", self.seed, at_least=0)
        if self.threads is not None:
            check_whole("threads", self.threads, at_least=1)
        check_flag("sub_bags", self.sub_bags)
        check_flag("dropped_batch", self.dropped_batch)
        check_flag("deterministic", self.deterministic)
        device = self.device
        if not isinstance(device, str) or not re.fullmatch(r"cpu|auto|mps|cuda(:\d+)?", device):
            raise ConfigError(
                f"unknown device {device!r}; use 'cpu', 'auto', 'cuda', 'cuda:0' or 'mps'"
            )
        if self.precision == "float16" and device in ("cpu", "mps"):
            raise ConfigError(
                f"precision 'float16' needs a CUDA device, and device is {device!r}; use "
                "precision='bfloat16', which has the range of float32, or device='cuda'"
            )
