"""Settings of a neural classifier, checked when they are made.

The defaults belong to the best recipe found on real data, see `matt.models.training_settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ..errors import ConfigError, did_you_mean
from .setting_checks import (
    check_all,
    check_choice,
    check_flag,
    check_fraction,
    check_whole,
)

ENCODER_NAMES = ("mlp", "identity", "crnn", "crnn_tf", "lstm")
MAP_ENCODERS = ("crnn", "crnn_tf", "lstm")  # those that read (F, T)
POOLING_NAMES = ("mean", "max", "shared", "abmil", "dot", "additive", "scalar")
QUERY_POOLINGS = ("dot", "additive", "scalar")  # those with one query a genre
HEAD_NAMES = ("linear", "mlp")
INPUT_NAMES = ("auto", "standard", "quantile")
QUERIES = ("all", "true")
SCALES = ("learned", "fixed")

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What the network is.

    Attributes
    ----------
    inputs : {"auto", "standard", "quantile"}
        What features go through first: ``"standard"`` takes mean and deviation of the training
        segments away, of each band of a map; ``"quantile"`` makes a normal score of the rank among
        them, which no outlier moves. ``"auto"`` takes ranks of vectors, and standardises maps.
    input_dropout : float, 0 <= input_dropout < 1
        Share of the entries of each segment that are silenced in training, behind ``inputs`` and
        before ``"mlp"`` or ``"identity"``; the other encoders have none.
    encoder : {"mlp", "identity", "crnn", "crnn_tf", "lstm"}
        What turns a segment into an embedding; ``"identity"`` takes its features as they are. The
        last three read maps (F, T), such as log-mels.
    hidden : tuple of int, each >= 1
        Units of each layer of the MLP; the other encoders ignore them.
    recurrent_units : int >= 1
        Units of each GRU of ``"crnn"`` and ``"crnn_tf"``, 32 in the paper, and of each direction of
        ``"lstm"``; ``"mlp"`` and ``"identity"`` have none and ignore them.
    dropout : float, 0 <= dropout < 1
        Share of units silenced in training: after each layer of the MLP, of the embedding of
        ``"crnn"`` (0.3 in the paper) and ``"lstm"``, before the last layer of ``"crnn_tf"`` (0.5 in
        the paper).
    block_dropout : float, 0 <= block_dropout < 1
        Share of values silenced after each convolution block of ``"crnn"`` and ``"crnn_tf"``: 0 in
        the paper's networks, 0.1 in the one that they go back to.
    channel_dropout : bool
        There silence whole channels of a segment instead of single values: cheaper, without a
        random number for every value, but a stronger regulariser.
    pooling : {"mean", "max", "shared", "abmil", "dot", "additive", "scalar"}
        How the segments of a bag are weighed: all alike; the one with the highest logit of each
        genre; by one query, or one gated attention, for all genres; or by one query a genre, with
        a dot product (the paper's attention, as released), eq. (1) with a weight matrix, or eq. (1)
        to the letter (the fault `scalar_score`).
    query : {"all", "true"}
        Which query reads a bag in training: every genre's, as in prediction, or only the true
        genre's, as in the paper (the fault `true_query`). ``"true"`` needs one query a genre and
        one genre a bag.
    scale : {"learned", "fixed"}
        The factor of all scores: learned from 0, so that training starts from the mean, or 1.
        ``"mean"``, ``"max"`` and ``"scalar"`` have none.
    spread : bool
        Read beside the pooled segments of a bag how far they are apart, see `matt.models.spread`.
        Encoders of maps have none of it, nor has ``tanh_pooled``.
    attention_dim : int >= 1
        Hidden units of the scores of ``"abmil"`` and ``"additive"``.
    pooled_dropout : float, 0 <= pooled_dropout < 1
        Share of embedding dimensions silenced behind the attention, alike in a whole bag.
    head : {"linear", "mlp"}
        What makes logits of an embedding: one linear layer, or one behind a hidden layer, a reading
        of +MIL. Only the linear one has exact contributions of tracks.
    head_hidden : int >= 1
        Units of the hidden layer of the head ``"mlp"``.
    frozen_queries : bool
        Fault: queries are never trained, and training and inference read with different random
        ones. Needs one query a genre and ``scale="fixed"``.
    tanh_pooled : bool
        Fault: a tanh on the pooled embedding and, in prediction, of the softmax of each query only
        the entry of its own genre: scores that are no probabilities.

    Raises
    ------
    ConfigError
        Naming the setting, its value and what would do.
    """

    inputs: str = "auto"
    input_dropout: float = 0.0
    encoder: str = "mlp"
    hidden: tuple[int, ...] = (128,)
    recurrent_units: int = 32
    dropout: float = 0.3
    block_dropout: float = 0.0
    channel_dropout: bool = False
    pooling: str = "mean"
    query: str = "all"
    scale: str = "learned"
    spread: bool = True
    attention_dim: int = 128
    pooled_dropout: float = 0.0
    head: str = "linear"
    head_hidden: int = 128
    frozen_queries: bool = False
    tanh_pooled: bool = False

    def __post_init__(self) -> None:
        check_all(
            lambda: check_choice("inputs", self.inputs, INPUT_NAMES),
            lambda: check_fraction("input_dropout", self.input_dropout),
            lambda: check_choice("encoder", self.encoder, ENCODER_NAMES),
            lambda: check_choice("pooling", self.pooling, POOLING_NAMES),
            lambda: check_choice("query", self.query, QUERIES),
            lambda: check_choice("scale", self.scale, SCALES),
            lambda: check_choice("head", self.head, HEAD_NAMES),
            lambda: check_whole("recurrent_units", self.recurrent_units, at_least=1),
            lambda: check_fraction("dropout", self.dropout),
            lambda: check_fraction("block_dropout", self.block_dropout),
            lambda: check_flag("channel_dropout", self.channel_dropout),
            lambda: check_flag("spread", self.spread),
            lambda: check_fraction("pooled_dropout", self.pooled_dropout),
            lambda: check_whole("attention_dim", self.attention_dim, at_least=1),
            lambda: check_whole("head_hidden", self.head_hidden, at_least=1),
            lambda: check_flag("frozen_queries", self.frozen_queries),
            lambda: check_flag("tanh_pooled", self.tanh_pooled),
            self._check_hidden,
        )
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_all(self._check_query, self._check_frozen, self._check_inputs)

    @property
    def chosen_inputs(self) -> str:
        """What ``inputs`` comes to with this encoder.

        >>> ModelSettings().chosen_inputs, ModelSettings(encoder="crnn").chosen_inputs
        ('quantile', 'standard')
        """
        if self.inputs != "auto":
            return self.inputs
        return "standard" if self.encoder in MAP_ENCODERS else "quantile"

    @property
    def reads_spread(self) -> bool:
        """Whether there is a spread to be read with this encoder."""
        return self.spread and self.encoder not in MAP_ENCODERS and not self.tanh_pooled

    def _check_hidden(self) -> None:
        if not isinstance(self.hidden, (tuple, list)) or (
            not self.hidden and self.encoder == "mlp"
        ):
            raise ConfigError(
                f"hidden must be a list of layer sizes such as [128], got {self.hidden!r}; "
                "for no layer at all use encoder='identity'"
            )
        for size in self.hidden:
            check_whole("hidden", size, at_least=1)

    def _check_inputs(self) -> None:
        if self.input_dropout and self.encoder in MAP_ENCODERS:
            raise ConfigError(
                f"input_dropout silences entries of vectors, but encoder {self.encoder!r} reads "
                "maps; use input_dropout=0, or encoder='mlp' or 'identity'"
            )

    def _check_query(self) -> None:
        if self.query == "true" and self.pooling not in QUERY_POOLINGS:
            raise ConfigError(
                f"query='true' needs one query a genre, but pooling is {self.pooling!r}; "
                "use pooling='dot' or query='all'"
            )

    def _check_frozen(self) -> None:
        if not self.frozen_queries:
            return
        if self.pooling not in QUERY_POOLINGS:
            raise ConfigError(
                f"frozen_queries needs one query a genre, but pooling is {self.pooling!r}; "
                "use pooling='dot' or frozen_queries=false"
            )
        if self.scale != "fixed":
            raise ConfigError(
                f"frozen_queries needs a scale that is not trained either, but scale is "
                f"{self.scale!r}; use scale='fixed'"
            )


def read_settings(cls: type[S], content: Mapping[str, Any]) -> S:
    """Settings of a plain dictionary, e.g. of a JSON file.

    Raises
    ------
    ConfigError
        If a key is unknown or a value impossible.

    Examples
    --------
    >>> read_settings(ModelSettings, {"pooling": "dot", "hidden": [64]}).hidden
    (64,)
    """
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for key in content:
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}; {did_you_mean(key, known)}")
    return cls(**content)
