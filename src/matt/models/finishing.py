"""What is done once training is over: the head tuned, and how sure the network may be found out.

Embeddings are learned best from natural bags; it is the last layer that leans towards frequent
genres [1]_. Both remedies keep encoder and attention as they are:

- **cRT** fits the layer anew with all genres seen alike: each bag counts 1 / n with n bags of its
  genre, which is what balanced sampling comes to. It is fitted to its optimum on the embeddings of
  all training bags, so nothing is drawn and no epoch is chosen; the weight of its L2 penalty is, by
  macro-F1 on the validation bags.
- **tau-normalisation** takes from each genre's weights their length, ``M_g / |M_g|^tau``, and the
  biases; tau is chosen on the validation bags, 0 leaving all as it was.

Where a bag may have several genres each is a question of its own, and no genre gains from another's
being rare: logit adjustment moves its logits by a constant there and nothing else. So the prior is
put back into the biases, the probabilities are those of the training bags, the order of bags by a
genre stays as it is, and thresholds say from which probability on a genre is given.

References
----------
.. [1] Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR
   2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..bags import Bags
from ..calibration.coverage import Coverage, coverage_of
from ..calibration.priors import TrainedPrior, as_logits
from ..calibration.temperature import fit_temperature
from ..calibration.thresholds import choose_thresholds
from ..predictions import probabilities_of
from .arrays import segment_counts
from .decision import balanced_tau
from .distributed import current
from .losses import BagLoss, cross_entropy, trained_prior
from .members import say
from .network import BagNetwork, pool_embeddings
from .pooling import bag_index
from .reading import Reader, encode, most_segments
from .settings import TrainingSettings
from .training import judge, output_of, units_of

TAUS = tuple(round(0.1 * step, 1) for step in range(11))
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
USUAL_PENALTY = 1e-3  # where nothing can be chosen
_STEPS = 200


def tune_head(
    network: BagNetwork,
    reader: Reader,
    bags: Bags,
    valid: Bags | None,
    settings: TrainingSettings,
) -> tuple[TrainedPrior, tuple[str, ...]]:
    """Tune the last layer of a trained network in place, as ``head_tuning`` says.

    Parameters
    ----------
    network : BagNetwork
        Set to evaluation.
    reader : Reader
        Of all tracks of both kinds of bags.
    bags, valid : Bags
        Labelled.
    settings : TrainingSettings

    Returns
    -------
    prior : TrainedPrior
        What the outputs assume now.
    notes : tuple of str
        What was chosen, and by which scores.
    """
    counts = segment_counts(reader.features, bags.track_ids)
    n_segments = np.add.reduceat(counts, bags.offsets[:-1])
    prior = trained_prior(bags, n_segments, settings)
    if settings.head_tuning == "none":
        return prior, ()
    objective = BagLoss.of(bags, n_segments, settings).to(reader.device)
    most = most_segments(settings, network)
    with _embeddings(network):
        encoded = None
        if valid is not None:
            encoded, starts = encode(network, reader, valid.track_ids, max_segments=most)
            unit = torch.from_numpy(starts[units_of(valid, settings)]).to(reader.device)

        def score() -> float:
            if valid is None or encoded is None:
                return math.nan
            output = output_of(network, encoded, unit)
            judged = bag_index(unit), valid, objective, settings, bags.train_counts
            return judge(output, *judged)["valid_macro_f1"]

        if settings.head_tuning == "tau_norm":
            before = score()
            tau, after = normalise(network.classifier, score)
            if tau:
                prior = replace(prior, assumed=None)
            name = f"tau {tau:g}"
        else:
            before = score()
            known, track_offsets = encode(network, reader, bags.track_ids, max_segments=most)
            offsets = torch.from_numpy(track_offsets[bags.offsets]).to(reader.device)
            attention = network.pooling.attention(known.scores, offsets)
            pooled = pool_embeddings(attention, known.values, offsets)
            labels = torch.from_numpy(bags.labels).to(reader.device)
            whole = Fixed(pooled, labels, network.spread_logits(known, offsets).detach())
            alone = Fixed(known.values[:, None], labels[bag_index(offsets)], 0.0)
            penalty, after = retrain(
                network, whole, alone, settings.segment_loss, score, seed=settings.seed
            )
            even = replace(
                settings,
                sampler="balanced",
                loss="cross_entropy",
                loss_settings=None,
                logit_adjustment=0.0,
            )
            prior = trained_prior(bags, n_segments, even)
            name = f"penalty {penalty:g}"
    scored = "" if valid is None else f", validation macro-F1 {after:.3f} (before: {before:.3f})"
    return prior, (f"head tuned by {settings.head_tuning}: {name}{scored}",)


def normalise(head: nn.Module, score: Callable[[], float]) -> tuple[float, float]:
    """Scale the last layer's rows to ``M_g / |M_g|^tau``, with the tau of the highest score.

    Parameters
    ----------
    head : nn.Module
        Its last layer is linear.
    score : callable
        Of the network as it is; of equal scores the lowest tau counts.

    Returns
    -------
    tau, score : float
    """
    last = _last(head)
    weight, bias = last.weight.detach().clone(), last.bias.detach().clone()
    found: list[tuple[float, float]] = []
    for tau in TAUS:
        _scale(last, weight, bias, tau)
        found.append((score(), -tau))
    best, negative = max(found)
    _scale(last, weight, bias, -negative)
    return -negative, best


@torch.no_grad()
def _scale(last: nn.Linear, weight: Tensor, bias: Tensor, tau: float) -> None:
    lengths = weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    last.weight.copy_(weight / lengths**tau)
    last.bias.copy_(torch.zeros_like(bias) if tau else bias)


class Fixed(NamedTuple):
    """What a head is fitted to.

    Attributes
    ----------
    embeddings : Tensor, shape (b, K, D)
        Pooled ones of bags; (N, 1, D) of segments.
    labels : int Tensor, shape (b,)
    logits : Tensor, shape (b, G), or float
        What is added to the head's logits, whatever it is: of the spread of a bag.
    """

    embeddings: Tensor
    labels: Tensor
    logits: Tensor | float


def retrain(
    network: BagNetwork,
    bags: Fixed,
    segments: Fixed,
    segment_weight: float,
    score: Callable[[], float],
    *,
    seed: int,
) -> tuple[float, float]:
    """Fit the head anew on embeddings, each genre counting alike.

    Parameters
    ----------
    network : BagNetwork
        Of which the head alone changes.
    bags, segments : Fixed
    segment_weight : float >= 0
        Of the loss of segments.
    score : callable
        Of the network as it is; of equal scores the strongest penalty counts. If it is NaN there is
        nothing to choose by, and the usual penalty is taken.
    seed : int
        Of the first weights of a head with a hidden layer.

    Returns
    -------
    penalty, score : float
    """
    found: list[tuple[float, float]] = []
    penalties = (USUAL_PENALTY,) if math.isnan(score()) else PENALTIES
    for penalty in penalties:
        _fit(network, bags, segments, segment_weight, penalty, seed)
        found.append((score(), penalty))
    best, penalty = max(found)
    if penalty != penalties[-1]:
        _fit(network, bags, segments, segment_weight, penalty, seed)
    return penalty, best


def _fit(
    network: BagNetwork,
    bags: Fixed,
    segments: Fixed,
    segment_weight: float,
    penalty: float,
    seed: int,
) -> None:
    """Minimise the balanced loss plus penalty / 2 times the squared weights, by L-BFGS."""
    head = network.classifier
    _restart(head, seed)
    weights = [value for value in head.parameters() if value.ndim > 1]
    solver = torch.optim.LBFGS(
        head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-6
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = _balanced(network, bags)
        if segment_weight:
            loss = loss + segment_weight * _balanced(network, segments)
        loss = loss + penalty / 2 * torch.stack([value.square().sum() for value in weights]).sum()
        torch.autograd.backward(loss)
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    solver.zero_grad()


def _balanced(network: BagNetwork, fixed: Fixed) -> Tensor:
    """Mean over the genres that are there of the mean loss of each."""
    labels, logits = fixed.labels, network.classify(fixed.embeddings) + fixed.logits
    counts = torch.bincount(labels)
    share = 1 / (counts[labels] * (counts > 0).sum())  # (B,), sums to 1
    return (share * cross_entropy(logits, labels)).sum()


def _restart(head: nn.Module, seed: int) -> None:
    """A linear head from 0, where its convex loss needs no other start; hidden layers drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
    last = _last(head)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def _last(head: nn.Module) -> nn.Linear:
    return [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1]


@contextmanager
def _embeddings(network: BagNetwork) -> Iterator[None]:
    """Let the network keep embeddings instead of logits, on its second path; both agree."""
    was = network.pooled_first
    network.pooled_first = True
    try:
        yield
    finally:
        network.pooled_first = was


class Finished(NamedTuple):
    """What a finished network has besides its weights, as in `NeuralClassifier`."""

    prior: TrainedPrior
    temperature: float
    coverage: Coverage | None
    thresholds: NDArray[np.float64] | None
    notes: tuple[str, ...]


def finish(
    networks: Sequence[BagNetwork],
    reader: Reader,
    bags: Bags,
    valid: Bags | None,
    settings: TrainingSettings,
    *,
    link: str,
) -> Finished:
    """Tune the heads of trained networks as ``head_tuning`` says, then calibrate them together.

    Of several processes the first one does so for all.

    Parameters
    ----------
    networks : sequence of BagNetwork
        Set to evaluation; their heads may change.
    reader : Reader
        Of all tracks of both kinds of bags.
    bags, valid : Bags
        Labelled. Without validation bags nothing is calibrated.
    settings : TrainingSettings
    link : {"softmax", "sigmoid", "none"}
    """
    heads = [network.classifier for network in networks]

    def compute() -> dict[str, Any]:
        tuned = [tune_head(network, reader, bags, valid, settings) for network in networks]
        prior = tuned[0][0]
        if any(one.assumed is None for one, _ in tuned):
            prior = replace(prior, assumed=None)
        notes = [note for _, notes in tuned for note in notes]
        temperature, found, limits = 1.0, None, None
        if valid is not None and link != "none":
            raw = _logits(networks, reader, valid, settings, link=link)
            temperature = fit_temperature(raw, valid.labels, link, assumed=prior.assumed)
        if link == "none":
            prior = replace(prior, tracks=None)
        if link == "sigmoid" or prior.tracks is not None:
            prior = put_back(networks, prior, temperature, link=link)
        if valid is not None and link != "none":
            logits = _logits(networks, reader, valid, settings, link=link) / temperature
            probabilities = probabilities_of(logits, link)
            if link == "sigmoid":
                limits = choose_thresholds(probabilities, valid.labels)
                notes += limits.notes(bags.genres)
            else:
                found = coverage_of(probabilities, valid.labels)
            if prior.decision is not None:
                alike = logits - as_logits(prior.bags, link)
                prior = replace(prior, tau=balanced_tau(alike, prior.decision.tracks, valid))
        return {
            "prior": prior.to_json(),
            "temperature": temperature,
            "coverage": None if found is None else found.to_json(),
            "thresholds": None if limits is None else limits.values.tolist(),
            "notes": notes,
            "heads": [[value.tolist() for value in head.parameters()] for head in heads],
        }

    told = current().first(compute)
    with torch.no_grad():
        for head, weights in zip(heads, told["heads"], strict=True):
            for value, new in zip(head.parameters(), weights, strict=True):
                value.copy_(torch.tensor(new, dtype=value.dtype))
    curve, limits = told["coverage"], told["thresholds"]
    return Finished(
        TrainedPrior.from_json(told["prior"], n_genres=len(bags.genres)),
        told["temperature"],
        None if curve is None else Coverage.from_json(curve),
        None if limits is None else np.array(limits),
        tuple(told["notes"]),
    )


def _logits(
    networks: Sequence[BagNetwork],
    reader: Reader,
    bags: Bags,
    settings: TrainingSettings,
    *,
    link: str,
) -> NDArray[np.float32]:
    """What networks say together of bags, (b, G), as they are."""
    most = most_segments(settings, networks[0])
    said = say(networks, reader, bags, link=link, max_segments=most)
    return np.asarray(said.logits, np.float32)


@torch.no_grad()
def put_back(
    networks: Sequence[BagNetwork], prior: TrainedPrior, temperature: float, *, link: str
) -> TrainedPrior:
    """Let the outputs of networks assume the shares of the training bags.

    Their biases get the difference, times the temperature, by which logits are divided. Attention
    sums to 1 over a bag, so what each segment gets the bag gets, too.

    Returns
    -------
    TrainedPrior
        What the outputs assume now.
    """
    if prior.assumed is None:
        return prior
    shift = as_logits(prior.bags, link) - as_logits(prior.assumed, link)
    for network in networks:
        bias = _last(network.classifier).bias
        bias.add_(torch.from_numpy(temperature * shift).to(bias))
    return replace(prior, assumed=prior.bags)
