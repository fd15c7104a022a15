"""The one training loop: AdamW or SGD, early stopping on validation macro-F1, best weights kept.

It starts from a network that knows the moments of its inputs, and ends with the epoch that says
most of the validation bags.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..bags import Bags
from ..errors import ConfigError, DataError
from ..evaluation import metrics
from ..features.store import FeatureStore
from .arrays import segment_counts
from .augmentation import SegmentDropout, cap_bags, draw_shares, sample_bags, sub_bags
from .checkpoint import Checkpoint, State
from .distributed import current
from .losses import BagLoss, Mix, attention_divergence, disagreement
from .network import BagNetwork, BagOutput, Encoded, build_network
from .optimisation import (
    WeightAverage,
    autocast,
    learning_rate,
    make_optimizer,
    make_scaler,
    restore_scaler,
    scaler_state,
    set_learning_rate,
    step,
)
from .pooling import bag_index, segment_sum
from .reading import (
    Reader,
    encode_bags,
    log_counts,
    moments,
    quantiles,
    room_notes,
    settled,
)
from .settings import ModelSettings, TrainingSettings


@torch.no_grad()
def validate(
    network: BagNetwork,
    reader: Reader,
    valid: Bags | None,
    objective: BagLoss,
    settings: TrainingSettings,
    train_counts: NDArray[np.int64],
) -> dict[str, float]:
    """Loss, macro-F1 and tail recall of the validation bags, weighted by their tracks.

    Parameters
    ----------
    network : BagNetwork
        Set to evaluation.
    reader : Reader
    valid : Bags, optional
        Without any, everything is NaN.
    objective : BagLoss
    settings : TrainingSettings
        Of which ``validate`` says how the bags are predicted.
    train_counts : int array, shape (G,)
        Which make a genre rare.

    Returns
    -------
    dict
        ``valid_loss``, ``valid_macro_f1``, ``valid_tail_recall``.
    """
    if valid is None:
        return dict.fromkeys(("valid_loss", "valid_macro_f1", "valid_tail_recall"), math.nan)
    tracks = units_of(valid, settings)
    ids, most = valid.track_ids, settings.max_segments
    said = [
        output_of(network, *some)
        for some in encode_bags(network, reader, ids, tracks, max_segments=most)
    ]
    output = BagOutput(*(torch.cat(column) for column in zip(*said, strict=True)))
    ends = np.concatenate([[0], np.cumsum(reader.features.counts(ids))])[tracks]
    bag = bag_index(torch.from_numpy(ends).to(reader.device))
    return judge(output, bag, valid, objective, settings, train_counts)


def units_of(bags: Bags, settings: TrainingSettings) -> NDArray[np.int64]:
    """Where what is predicted in validation starts among the tracks: each bag, or each track."""
    return np.arange(len(bags.track_ids) + 1) if settings.validate == "average" else bags.offsets


def output_of(network: BagNetwork, encoded: Encoded, offsets: Tensor) -> BagOutput:
    """What a network says of bags whose segments are encoded, and of each segment alone."""
    logits, attention = network.pool(encoded, offsets)
    return BagOutput(logits, network.segment_logits(encoded.values), attention)


@torch.no_grad()
def judge(
    output: BagOutput,
    bag: Tensor,
    valid: Bags,
    objective: BagLoss,
    settings: TrainingSettings,
    train_counts: NDArray[np.int64],
) -> dict[str, float]:
    """Return what `validate` does, of what a network said.

    Parameters
    ----------
    output : BagOutput
        Of the validation bags, or of each of their tracks: `units_of`.
    bag : int Tensor, shape (N,)
        Which of them each segment belongs to.
    valid, objective, settings, train_counts
        As in `validate`.
    """
    lone = settings.validate == "average"
    truth = np.repeat(valid.labels, valid.sizes, axis=0) if lone else valid.labels
    loss = objective(output, torch.from_numpy(truth).to(bag.device), bag)
    logits = output.logits
    probabilities = logits.sigmoid() if valid.multi_label else logits.softmax(1)
    if lone:
        bag_offsets = torch.from_numpy(valid.offsets).to(bag.device)
        probabilities = segment_sum(probabilities, bag_offsets) / bag_offsets.diff()[:, None]
    rare = metrics.tail(train_counts)
    f1, recall = agreement(valid, probabilities.cpu().numpy(), rare)
    return {"valid_loss": float(loss), "valid_macro_f1": f1, "valid_tail_recall": recall}


def agreement(
    bags: Bags, probabilities: NDArray[np.float32], rare: NDArray[np.bool_]
) -> tuple[float, float]:
    """Macro-F1 and tail recall of bags, each bag weighted by its tracks.

    With several genres a bag each genre is given from the threshold of its best F1 on, because a
    probability of one half is one that a rare genre may never reach.

    Parameters
    ----------
    bags : Bags
        All labelled.
    probabilities : array, shape (b, G)
    rare : bool array, shape (G,)
    """
    sizes = bags.sizes.astype(np.float64)
    if not bags.multi_label:
        best = probabilities.argmax(axis=1)
        confusion = metrics.confusion_matrix(bags.labels, best, len(bags.genres), sizes)
        return metrics.macro_f1(confusion), metrics.tail_recall(confusion, rare)
    truth = bags.labels
    order = np.argsort(-probabilities, axis=0, kind="stable")  # (b, G)
    falling = np.take_along_axis(probabilities, order, axis=0)
    last = np.append(falling[1:] != falling[:-1], np.ones_like(truth[:1]), axis=0)
    weights = sizes[order]
    hits = np.cumsum(weights * np.take_along_axis(truth, order, axis=0), axis=0)
    given, true = np.cumsum(weights, axis=0), sizes @ truth
    each = np.where(last, 2 * hits / (given + true), 0)  # at every threshold
    best = each.argmax(axis=0)[None]
    there = true > 0
    f1, found = (np.take_along_axis(values, best, axis=0)[0] for values in (each, hits))
    f1, recall = f1[there], (found / true.clip(1))[there & rare]
    return float(metrics.mean_defined(f1)), float(metrics.mean_defined(recall))


def prepare(
    features: FeatureStore,
    bags: Bags,
    valid: Bags | None,
    model: ModelSettings,
    device: torch.device,
) -> tuple[BagNetwork, Reader]:
    """Network with random weights, and the reader of its tracks, on a device.

    Parameters
    ----------
    features : FeatureStore
    bags : Bags
        To learn from. What the network's inputs need to know of their segments, the first of
        several processes computes for all.
    valid : Bags, optional
        What the training reads besides.
    model : ModelSettings
    device : torch.device

    Raises
    ------
    DataError
        If a track has no features, or a value of a training track is not finite.
    ConfigError
        If the encoder cannot read such features, or cannot be trained by several processes.
    """
    ranks = current()
    every = bags.track_ids if valid is None else np.append(bags.track_ids, valid.track_ids)
    with ranks.together():
        reader = Reader.open(features, every, device)
        network = build_network(model, features.spec.shape, len(bags.genres))
        network = ranks.adapt(network, device)

    learn = quantiles if model.chosen_inputs == "quantile" else moments

    def compute() -> list[list[float]]:
        return [value.tolist() for value in learn(reader, bags.track_ids)]

    for buffer, found in zip(network.inputs.buffers(), ranks.first(compute), strict=True):
        buffer.copy_(torch.tensor(found, dtype=torch.float64))
    return network.to(device), reader


Row = dict[str, float]
Progress = Callable[[Mapping[str, float]], None]


def train(
    network: BagNetwork,
    reader: Reader,
    bags: Bags,
    *,
    settings: TrainingSettings,
    history: list[Row],
    valid: Bags | None = None,
    true_query: bool = False,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[str, ...]:
    """Train a network in place and leave it with its best weights, set to evaluation.

    The best epoch has the highest macro-F1 of the validation bags, each counting as many times as
    it has tracks; of equals, the lowest validation loss. Without validation bags nothing is chosen:
    training runs for all epochs and the last one counts. With ``weight_average`` it is the average
    of the weights that is judged and kept.

    Parameters
    ----------
    network : BagNetwork
    reader : Reader
        Of all tracks of both kinds of bags.
    bags : Bags
        All labelled.
    settings : TrainingSettings
    history : list
        Gets one row an epoch: ``epoch`` (from 1), ``loss``, ``valid_loss``, ``valid_macro_f1``,
        ``valid_tail_recall``, ``scale`` (tau of the attention), ``capped_bags`` (bags of more
        than ``max_segments``), ``seconds`` since the start. What does not exist is NaN.
    valid : Bags, optional
        All labelled, in the same genres.
    true_query : bool
        Read each training bag with the query of its own genre alone.
    progress : callable, optional
        Called with each row of this call, in the first of several processes.
    checkpoint : Checkpoint, optional
        Written after every epoch. If there is one, training goes on after its epoch and ends with
        the same weights as if it had never stopped; ``history`` gets its rows too.

    Returns
    -------
    tuple of str
        Notes: how many segments a step holds, if memory decided it; and if training ended because
        the loss or a weight was no longer finite, in which epoch, whose weights are kept, and what
        to try.

    Raises
    ------
    DataError
        If that happens before any epoch was good. Also if the checkpoint is damaged, or of another
        training.
    ConfigError
        If ``dropped_batch`` would leave no batch at all.
    """
    notes = room_notes(settings, network)
    settings = settled(settings, network)
    if settings.dropped_batch and len(bags) < settings.max_bags:
        raise ConfigError(
            f"dropped_batch leaves nothing of {len(bags)} training bags in batches of "
            f"{settings.max_bags}; lower max_bags"
        )
    counts = segment_counts(reader.features, bags.track_ids)
    n_segments = np.add.reduceat(counts, bags.offsets[:-1])
    objective = BagLoss.of(bags, n_segments, settings).to(reader.device)
    optimizer = make_optimizer(network, settings)
    scaler = make_scaler(settings, reader.device)
    best_epoch, best_weights = 0, _copy(network)
    average = WeightAverage(network, decay=settings.weight_average)
    ranks = current()
    state = None if checkpoint is None else checkpoint.read(network, optimizer, average)
    if state is not None:
        history += state.history
        best_epoch, best_weights = state.best_epoch, state.best_weights
        restore_scaler(scaler, state.scaler)
    ranks.agree("checkpoint", len(history))
    best = _reached(history[best_epoch - 1]) if best_epoch else (-math.inf, -math.inf)
    judged = average.network, reader, valid, objective, settings, bags.train_counts
    started = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
    for epoch in range(len(history) + 1, settings.epochs + 1):
        if valid is not None and epoch - 1 - best_epoch >= settings.patience:
            break
        set_learning_rate(optimizer, learning_rate(settings, epoch=epoch))
        loss, n_capped = _epoch(
            network,
            reader,
            bags,
            objective,
            optimizer,
            settings,
            average=average,
            scaler=scaler,
            epoch=epoch,
            true_query=true_query,
        )
        row = {"epoch": epoch, "loss": loss}
        row |= ranks.first(partial(validate, *judged))
        row |= {"scale": _scale(average.network), "capped_bags": n_capped}
        row["seconds"] = time.perf_counter() - started
        broken = not math.isfinite(loss + (0.0 if valid is None else row["valid_loss"]))
        # Their average is finite as long as they have been.
        if broken or not all(bool(value.isfinite().all()) for value in network.parameters()):
            kept = f"so the weights of epoch {best_epoch} are kept" if best_epoch else "the first"
            note = (
                f"training broke down in epoch {epoch}, {kept} (loss {loss:g}, validation "
                f"{row['valid_loss']:g}); lower lr (now {settings.lr:g}), "
                "clip gradients (clip_norm), or look for extreme values in the features"
            )
            if not best_epoch:
                _restore(network, best_weights)
                with ranks.together():  # one message is enough
                    raise DataError(note)
            notes += (note,)
            break
        history.append(row)
        if valid is None or _reached(row) > best:
            best, best_epoch, best_weights = _reached(row), epoch, _copy(average.network)
        if checkpoint is not None and ranks.is_first:
            state = State(history, best_epoch, best_weights, scaler_state(scaler))
            checkpoint.write(network, optimizer, average, state)
        if progress is not None and ranks.is_first:
            progress(row)
    _restore(network, best_weights)
    return notes


def _reached(row: Row) -> tuple[float, float]:
    """What the best epoch has most of."""
    return row["valid_macro_f1"], -row["valid_loss"]


def _epoch(
    network: BagNetwork,
    reader: Reader,
    bags: Bags,
    objective: BagLoss,
    optimizer: torch.optim.Optimizer,
    settings: TrainingSettings,
    *,
    average: WeightAverage,
    scaler: torch.amp.GradScaler,
    epoch: int,
    true_query: bool,
) -> tuple[float, int]:
    """One pass over the training bags: mean loss, and how many bags were too large.

    Of several processes all draw the same batches, whose bags are then dealt to them.
    """
    ranks = current()
    rng = np.random.default_rng([settings.seed, epoch])
    shown = sample_bags(bags, settings.sampler, rng)
    shown = sub_bags(shown, rng) if settings.sub_bags else shown
    counts, count = reader.features.counts(shown.track_ids), reader.features.counts
    shown, n_capped = cap_bags(shown, counts, max_segments=settings.max_segments, rng=rng)
    counts = count(shown.track_ids) if n_capped else counts
    dropout = None
    if settings.segment_dropout:
        rate = settings.segment_dropout
        dropout = SegmentDropout.draw(shown.track_ids, counts, rate=rate, rng=rng)
        count = dropout.counts
    mixed = draw_shares(len(shown), settings.mix, rng) if settings.mix else None
    batches = list(
        shown.batches(
            max_bags=settings.max_bags,
            max_segments=settings.max_segments,
            counts=counts,
            rng=rng,
        )
    )
    if settings.dropped_batch and len(batches[-1]) < settings.max_bags:
        batches.pop()
    # Dropout of an epoch depends on nothing before it, and is another one on each rank.
    torch.manual_seed(int(rng.integers(2**63)) + ranks.rank)
    network.train()
    total = torch.zeros((), dtype=torch.float64)
    shares = [ranks.deal(batch, count) for batch in batches]
    values = reader.each([share.bags.track_ids for share in shares])
    for batch, share, (x, track_offsets) in zip(batches, shares, values, strict=True):
        if dropout is not None:
            rows, track_offsets = dropout.of(share.bags.track_ids)
            x = x[torch.from_numpy(rows).to(reader.device)]
        mix = None
        if mixed is not None:  # bags are shuffled: the one before is as good as any
            own, mixed = np.split(mixed, [len(batch)])
            before = torch.arange(len(batch), device=reader.device).roll(1)
            mix = Mix(before, torch.from_numpy(own).to(reader.device))
        offsets = torch.from_numpy(track_offsets[share.bags.offsets]).to(reader.device)
        labels = torch.from_numpy(share.bags.labels).to(reader.device)
        log_sizes = log_counts(track_offsets, reader.device)
        with autocast(settings, reader.device):
            output = network(x, offsets, log_sizes, genre=labels if true_query else None)
        shared = share.of_bags, share.of_segments
        of_each = _own_labels(share.bags, track_offsets, reader.device)
        loss = objective(output, labels, bag_index(offsets), share=shared, mix=mix, own=of_each)
        if settings.attention_entropy and len(labels):
            apart = attention_divergence(output.attention, log_sizes, offsets)
            loss = loss + settings.attention_entropy * share.of_bags * apart
        if settings.agreement and len(labels):
            said = output.logits, output.segment_logits, bag_index(offsets)
            apart = disagreement(*said, objective.segments)
            loss = loss + settings.agreement * share.of_segments * apart
        step(loss, network, optimizer, clip_norm=settings.clip_norm, scaler=scaler)
        average.update(network)
        total += loss.detach().cpu().double() * len(batch)
    return ranks.total(total) / sum(len(batch) for batch in batches), n_capped


def _own_labels(
    bags: Bags, track_offsets: NDArray[np.int64], device: torch.device
) -> Tensor | None:
    """Labels of each segment's track, (N, G), where they are known apart from those of its bag."""
    if bags.track_labels is None:
        return None
    known = bags.track_labels.any(axis=1, keepdims=True)
    labels = np.where(known, bags.track_labels, np.repeat(bags.labels, bags.sizes, axis=0))
    return torch.from_numpy(np.repeat(labels, np.diff(track_offsets), axis=0)).to(device)


def _scale(network: BagNetwork) -> float:
    scale = getattr(network.pooling, "scale", None)
    return float(scale.detach()) if isinstance(scale, Tensor) else math.nan


def _copy(network: BagNetwork) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _restore(network: BagNetwork, weights: Mapping[str, Tensor]) -> None:
    network.load_state_dict(weights)
    network.eval()
