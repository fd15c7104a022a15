"""A blend: a network of bags and classifiers of other kinds, whose probabilities are averaged.

A support vector machine, boosted trees and a logistic regression see lone tracks and no bags, and
are wrong about other albums than a network is: docs/longtail.md has what each says alone, and all
together.
Each is first made as sure as it may be, by a temperature. Then each gets a weight: together they
make the validation bags as likely as can be, of each genre alike.

The network alone says which tracks decided: what the others add is shared by the segments of a bag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.coverage import coverage_of
from ..calibration.priors import Prior, as_logits, decision_of, reprior
from ..calibration.temperature import fit_temperature
from ..calibration.thresholds import choose_thresholds
from ..errors import ConfigError, DataError, check_arguments, first_few
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..predictions import Predictions, logits_of, probabilities_of
from ..processes import Child, Pool, ProcessDied
from ..tracks import Tracks
from .baselines import BaselineClassifier
from .decision import balanced_tau
from .neural import NeuralClassifier
from .saving import (
    MODEL,
    Fitted,
    check_fit,
    check_fitted,
    described,
    fitted_in_words,
    read_model,
    read_weights,
    restore,
    telling_damage,
    write_model,
)
from .settings import BaselineSettings, ModelSettings, StrongName, TrainingSettings

KIND = "blend"
NETWORK: Literal["network"] = "network"
BESIDE = BaselineSettings(inputs="quantile", decision="balanced", search=True)
"""What the others have in common, and the controls with them, which are of the same kinds."""
CALLED: dict[StrongName, str] = {
    "svm_stacked": "SVM",
    "lr": "logistic regression",
    "hgb": "boosted trees",
}
_KNOWN = f"give a list of {', '.join(map(repr, CALLED))}"
LONGEST: tuple[StrongName, ...] = ("hgb", "svm_stacked", "lr")  # to fit, of many tracks
WORTH_PROCESSES = 2_000  # training tracks from which on the start of a process is worth it
_UNSTARTABLE = (
    "the processes beside the network cannot be started; use one worker, or in a script, which has "
    "to be a file, call this under `if __name__ == '__main__':`"
)
_ROUNDS = 200  # of weights, which no longer change then
_DOUBT = 1.0  # validation bags that speak for each classifier alike


def usable(
    names: Sequence[StrongName], shape: Sequence[int], *, several: bool
) -> tuple[tuple[StrongName, ...], dict[StrongName, str]]:
    """Which of some classifiers can learn from such tracks, and why not, by name, the others.

    Parameters
    ----------
    names : sequence of str
    shape : sequence of int
        Of a segment.
    several : bool
        Whether a track may have several genres.
    """
    why: dict[StrongName, str] = {}
    for name in names:
        if len(shape) != 1:
            why[name] = "features are maps"
        elif several and name != "lr":
            why[name] = "a track may have several genres"
    return tuple(name for name in names if name not in why), why


def blendable(model: ModelSettings, training: TrainingSettings) -> bool:
    """Whether a network makes probabilities of which it is known what they assume."""
    return training.decision == "balanced" and not model.tanh_pooled


class Weights(NamedTuple):
    """How classifiers are put together, the network first.

    Attributes
    ----------
    share : array, shape (K,)
        How much each counts; sums to 1.
    temperature : array, shape (K,)
        By which the logits of each are divided.
    together : float > 0
        By which those of all together are.
    """

    share: NDArray[np.float64]
    temperature: NDArray[np.float64]
    together: float

    def of(self, said: Sequence[Predictions]) -> NDArray[np.float64]:
        """Logits of bags, (b, G), that take genres for equally frequent where a bag has one."""
        mean = np.tensordot(self.share, _probabilities(said, self.temperature), 1)
        return np.asarray(logits_of(mean, said[0].link).astype(np.float64) / self.together)


def _probabilities(
    said: Sequence[Predictions], temperature: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of each classifier, (K, b, G), taking genres for equally frequent where a bag has one."""
    each = zip(said, temperature, strict=True)
    return np.stack([probabilities_of(one.likelihoods / t, one.link) for one, t in each])


def weigh(said: Sequence[Predictions]) -> Weights:
    """Choose how classifiers are put together, on what they said of labelled bags.

    Where a bag has one genre, all genres count alike. The shares of the highest likelihood are
    found by EM, as if some bags more had spoken for each classifier alike, so that few bags leave
    them nearly equal. A genre without a training bag is left out, as some classifiers know nothing
    of it; without any other bag all count alike.

    Parameters
    ----------
    said : sequence of Predictions
        Of the same bags, with labels.
    """
    link, n_genres = said[0].link, len(said[0].genres)
    if link == "softmax":
        learned = np.flatnonzero(said[0].train_counts[said[0].labels] > 0)
        if not learned.size:
            return Weights(np.full(len(said), 1 / len(said)), np.ones(len(said)), 1.0)
        said = [one.take(learned) for one in said]
    labels, even = said[0].labels, None if link == "sigmoid" else np.full(n_genres, 1 / n_genres)
    temperature = np.array(
        [fit_temperature(one.likelihoods, labels, link, assumed=even) for one in said]
    )
    found = _probabilities(said, temperature)
    if link == "sigmoid":
        truth = np.where(labels, found, 1 - found).reshape(len(said), -1)
        each = np.full(truth.shape[1], 1 / n_genres)
    else:
        truth = found[:, np.arange(len(labels)), labels]
        counts = np.bincount(labels, minlength=n_genres)
        each = (len(labels) / np.maximum(counts, 1) / (counts > 0).sum())[labels]
    share = np.full(len(said), 1 / len(said))
    for _ in range(_ROUNDS):
        told = share[:, None] * np.maximum(truth, np.finfo(np.float64).tiny)
        share = (told / told.sum(axis=0) * each).sum(axis=1) + _DOUBT
        share /= share.sum()
    weights = Weights(share, temperature, 1.0)
    return weights._replace(together=fit_temperature(weights.of(said), labels, link, assumed=even))


class BlendClassifier(Fitted):
    """A network, and classifiers of scikit-learn beside it: see the module.

    Parameters
    ----------
    network : NeuralClassifier
        Fitted by `fit`. Of several networks each has a weight of its own.
    beside : sequence of str
        Names of classifiers of other kinds, as in `matt.models.settings.BaselineSettings`.

    Attributes
    ----------
    genres, train_counts, spec, link, prior, coverage, thresholds, history, notes
        As in `NeuralClassifier`; history is the network's.
    network : NeuralClassifier
    others : dict of str to BaselineClassifier
        Those beside the network, by name.
    weights : Weights or None

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(80) % 2
    >>> tracks = Tracks(np.arange(80), labels, ("Rock", "Folk"))
    >>> values = labels[:, None] + rng.standard_normal((80, 3))
    >>> store = FeatureStore.from_arrays("toy", tracks.track_id, values)
    >>> bags = Bags.from_tracks(tracks, by="track")
    >>> train, valid = bags.take(range(60)), bags.take(range(60, 80))
    >>> model = BlendClassifier(NeuralClassifier(), ["lr"]).fit(store, train, valid=valid)
    >>> bool(0 < model.weights.share[1] < 1)
    True
    """

    def __init__(self, network: NeuralClassifier, beside: Sequence[StrongName]) -> None:
        check_arguments(network=(network, NeuralClassifier))
        unknown = [name for name in beside if name not in CALLED]
        if unknown or isinstance(beside, str):
            raise ConfigError(f"unknown member {first_few(unknown or [beside])}; {_KNOWN}")
        super().__init__()
        self.network = network
        settings = replace(BESIDE, seed=network.training.seed)
        self.others: dict[StrongName, BaselineClassifier] = {
            name: BaselineClassifier(replace(settings, classifier=name))
            for name in CALLED
            if name in beside
        }
        self.weights: Weights | None = None

    def __repr__(self) -> str:
        return f"BlendClassifier({' + '.join(self._called)}; {fitted_in_words(self)})"

    def fit(
        self,
        features: FeatureStore,
        bags: Bags,
        *,
        valid: Bags | None = None,
        lone: Bags | None = None,
        progress: Callable[[Mapping[str, float]], None] | None = None,
        checkpoint: Path | str | None = None,
        workers: int = 1,
        fitting: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Learn from labelled bags; of several processes the first fits what is no network.

        Parameters
        ----------
        features, bags, progress, checkpoint
            As in `NeuralClassifier.fit`.
        valid : Bags
            Has to be given: weights are chosen by them.
        lone : Bags, optional
            The tracks of the bags, each alone with its own genre; by default each has its bag's.
        workers : int >= 1
            Processes of one thread that fit what is no network, while this one trains; few tracks
            are not worth them. With 1 all is done here, one after the other. With more, a script
            has to call this under ``if __name__ == "__main__":``.
        fitting : callable, optional
            Called, once the network is trained, with how many of the others are done and how many
            there are, and after each.

        Raises
        ------
        DataError, ConfigError
            As in `NeuralClassifier.fit`; also without validation bags, or with a network whose
            probabilities assume nothing that is known, see `blendable`; or if a process died.
        MattError
            If processes cannot be started.
        """
        check_fit(features, bags, valid)
        if workers < 1:
            raise ConfigError(f"workers must be at least 1, got {workers}; 1 fits all in turn")
        self.weights = None
        if valid is None:
            raise DataError(
                "a blend is weighed by validation bags, but there are none; give valid, or fit its "
                "network alone"
            )
        if not blendable(self.network.model, self.network.training):
            raise ConfigError(
                "decision='argmax' and tanh_pooled make no probabilities that could be averaged "
                "with others; use decision='balanced', or fit the network alone"
            )
        from .distributed import current

        is_first, tell = current().is_first, fitting or (lambda done, total: None)
        with ExitStack() as ended:
            waiting: dict[StrongName, Callable[[], BaselineClassifier]] = {}
            if is_first:
                waiting = self._begun(
                    ended, workers, features, bags if lone is None else lone, valid
                )
            network = self.network.fit(
                features, bags, valid=valid, progress=progress, checkpoint=checkpoint
            )
            self.genres, self.train_counts = network.genres, network.train_counts
            self.spec, self.link, self.prior = network.spec, network.link, network.prior
            self.history, self.notes = network.history, network.notes
            self.coverage, self.thresholds = network.coverage, network.thresholds
            for n_fitted, (name, fitted) in enumerate(waiting.items()):
                tell(n_fitted, len(waiting))
                try:
                    self.others[name] = fitted()
                except ProcessDied as error:
                    raise DataError(
                        f"the process that fitted the {CALLED[name]} ended ({error}), perhaps for "
                        "want of memory; use one worker"
                    ) from error
        if is_first:
            tell(len(waiting), len(waiting))
            self._weigh(features, bags, valid)
        return self

    def _begun(
        self, ended: ExitStack, workers: int, features: FeatureStore, lone: Bags, valid: Bags
    ) -> dict[StrongName, Callable[[], BaselineClassifier]]:
        """What waits for each classifier beside the network; or fits it, if nobody else does."""
        fits = {
            name: partial(other.fit, features, lone, valid=valid)
            for name, other in self.others.items()
        }
        if workers == 1 or not fits or len(lone.track_ids) < WORTH_PROCESSES:
            return {name: partial(_by_one_thread, fit) for name, fit in fits.items()}
        child = partial(Child, unstartable=_UNSTARTABLE)
        pool = ended.enter_context(Pool(min(workers, len(fits)), child))
        pool.submit(Child.ready).result()  # where none can be started, now and not after training
        longest = sorted(fits, key=LONGEST.index)
        begun = {name: pool.submit(Child.call, fits[name]) for name in longest}
        return {name: begun[name].result for name in fits}

    def _weigh(self, features: FeatureStore, bags: Bags, valid: Bags) -> None:
        """Choose weights, and what else is chosen of all together."""
        rows = Tracks(valid.track_ids, np.full(len(valid.track_ids), -1), self.genres)
        _, *said = self._said(features, rows, valid)
        self.weights = weigh(said)
        logits = self.weights.of(said)
        notes = [*self.notes, f"blend of {self._shares(self.weights)}"]
        for name, other in self.others.items():
            notes += [f"{CALLED[name]}: {note}" for note in other.notes if note not in self.notes]
        if self.link == "sigmoid":
            limits = choose_thresholds(probabilities_of(logits, self.link), valid.labels)
            self.thresholds = limits.values
            notes += [note for note in limits.notes(self.genres) if note not in notes]
        elif self.prior is not None:
            shares = decision_of(bags)
            tau = balanced_tau(logits, shares.tracks, valid)
            self.prior = replace(
                self.prior, bags=shares.bags, assumed=shares.bags, tracks=shares.tracks, tau=tau
            )
            logits = logits + as_logits(shares.bags, self.link)
            self.coverage = coverage_of(probabilities_of(logits, self.link), valid.labels)
        self.notes = tuple(notes)

    def predict(
        self,
        features: FeatureStore,
        tracks: Tracks,
        bags: Bags,
        *,
        explain: bool = False,
        prior: Prior | None = None,
    ) -> Predictions:
        """Predict bags of any size, as every `GenreClassifier` does.

        Parameters
        ----------
        features, tracks, bags, explain, prior
            As in `NeuralClassifier.predict`. Logits of segments hold what the others add to their
            bag, which all of its segments share.
        """
        _, weights = self._fitted()
        first, *said = self._said(features, tracks, bags, explain=explain)
        logits, decision = weights.of(said), None
        if self.prior is not None and self.link == "softmax":
            logits, decision = logits + as_logits(self.prior.bags, self.link), self.prior.decision
        together = replace(
            first,
            logits=logits.astype(np.float32),
            thresholds=self.thresholds,
            decision=decision,
        )
        attention, alone, offsets = first.attention, first.segment_logits, first.segment_offsets
        if attention is not None and alone is not None and offsets is not None:
            offsets = offsets[first.bags.offsets]
            summed = np.add.reduceat(attention * alone, offsets[:-1], axis=0)
            added = np.repeat(together.logits - summed, np.diff(offsets), axis=0)
            together = replace(together, segment_logits=alone + added)
        return together if prior is None else reprior(together, prior, trained=self.prior)

    def save(self, path: Path | str) -> None:
        """Write a model folder, with a folder of each classifier in it.

        Raises
        ------
        DataError
            If the model is not fitted.
        """
        spec, weights = self._fitted()
        members = []
        for name, one in self._members.items():
            one.save(Path(path) / name)
            members.append({"name": name, "sha256": _digest(Path(path) / name)})
        content = {**described(self, spec, {}), "members": members}
        arrays = {
            "share": weights.share,
            "temperature": weights.temperature,
            "together": np.array([weights.together]),
        }
        write_model(path, KIND, content, arrays)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a model folder; nothing is fitted again.

        Raises
        ------
        DataError
            If the folder is no model of this kind, or its parts do not fit each other.
        """
        content, place = read_model(path, kind=KIND), Path(path) / MODEL
        with telling_damage(place):
            first, *names = (str(member["name"]) for member in content["members"])
            if first != NETWORK or len({*names} & CALLED.keys()) < len(names):
                raise DataError(f"its members are {first_few([first, *names])}")
        model = cls(NeuralClassifier.load(Path(path) / NETWORK), ())
        model.others = {
            name: BaselineClassifier.load(Path(path) / name) for name in CALLED if name in names
        }
        arrays = read_weights(path, content)
        with telling_damage(place):
            for member in content["members"]:
                if _digest(Path(path) / member["name"]) != member["sha256"]:
                    raise DataError(f"its member {member['name']!r} is of another model")
            restore(model, content, links=("softmax", "sigmoid"))
            for one in model._members.values():
                if (one.genres, one.spec, one.link) != (model.genres, model.spec, model.link):
                    raise DataError("its members differ in genres, features or link")
            if model.link == "softmax" and (model.prior is None or model.prior.decision is None):
                raise DataError("it has no shares of training")
            model.weights = _weights(arrays, len(model._called))
        return model

    def _fitted(self) -> tuple[FeatureSpec, Weights]:
        return check_fitted(self.spec, self.weights or ()), cast(Weights, self.weights)

    @property
    def _members(self) -> dict[str, NeuralClassifier | BaselineClassifier]:
        return {NETWORK: self.network} | {str(name): one for name, one in self.others.items()}

    @property
    def _called(self) -> list[str]:
        n = self.network.training.n_networks
        networks = [f"{NETWORK} {number}" for number in range(1, n + 1)] if n > 1 else [NETWORK]
        return [*networks, *(CALLED[name] for name in self.others)]

    def _shares(self, weights: Weights) -> str:
        shares = zip(self._called, weights.share, strict=True)
        return ", ".join(f"{name} {share:.2f}" for name, share in shares)

    def _said(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, *, explain: bool = False
    ) -> list[Predictions]:
        """What all networks say together, what each of them does, and what the others do."""
        others = (other.predict(features, tracks, bags) for other in self.others.values())
        return [*self.network.each(features, tracks, bags, explain=explain), *others]


def _by_one_thread(fit: Callable[[], BaselineClassifier]) -> BaselineClassifier:
    """Fit as a process beside the network does; threads would wait for each other on busy cores."""
    import sklearn.ensemble  # noqa: F401  what is loaded later would not be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return fit()


def _digest(folder: Path) -> str:
    """Of what a member says it is, which holds the digest of its weights."""
    return hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()


def _weights(arrays: Mapping[str, NDArray[Any]], n: int) -> Weights:
    share, temperature, together = (arrays[name] for name in ("share", "temperature", "together"))
    shapes = (share.shape, temperature.shape, together.shape)
    if shapes != ((n,), (n,), (1,)) or len(arrays) != 3:
        raise DataError(f"its weights have the shapes {shapes}")
    sound = (share >= 0).all() and abs(share.sum() - 1) < 1e-6
    if not (sound and (temperature > 0).all() and together[0] > 0):
        raise DataError("its weights are none")
    return Weights(share, temperature, float(together[0]))
