"""The rows of the study of faults: corrected, each fault alone, then one added to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..bags import Bags
from ..datasets.fma.checking import TYPED_TAIL
from ..datasets.fma.loading import ALL
from ..faults import FAULTS, PROTOCOLS, Parts, check_names, fault_texts
from ..models.settings import BaselineSettings, ModelSettings, TrainingSettings
from .data import Data
from .plan import make_row

NETWORK, BASELINES = "MLP+MATT", ("LR", "SVM")
CORRECTED, ALONE, ADDED, RELEASE = "corrected", "alone", "added", "release"
_SCORING = ("typed_tail",)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A row of the table.

    Attributes
    ----------
    model : str
    how : {"corrected", "alone", "added", "release"}
    faults : tuple of str
        All that are on.
    fault : str
        The one that is new; of the release, its name.
    """

    model: str
    how: str
    faults: tuple[str, ...] = ()
    fault: str = ""

    @property
    def fitted(self) -> tuple[str, ...]:
        """Faults that are fitted, not only scored."""
        return tuple(name for name in self.faults if name not in _SCORING)

    @property
    def called(self) -> str:
        """Name of the model that has them; equal where the fitted faults are."""
        if self.how == RELEASE:
            return f"{self.model} [released]"
        return f"{self.model} [{' + '.join(self.fitted) or CORRECTED}]"

    @property
    def part(self) -> str:
        """What is scored: bags, or of baselines, as the paper has it, lone tracks."""
        return "alone" if self.model in BASELINES else "test"

    @property
    def red(self) -> bool:
        """Whether scores are chosen by what they score."""
        return bool(fault_texts(self.faults, red=True))


def steps_of(
    model: str, *, genres: Sequence[str], feature_set: str, n_bags: int | None = None
) -> tuple[Step, ...]:
    """Rows of one model: corrected, each fault alone, then one added to the other.

    Faults are added in the order of `FAULTS`, without those that the release does not have, so that
    the last row has the faults of the release.

    Parameters
    ----------
    model : str
    genres : sequence of str
        Of the data: the typed-in tail needs those that it names.
    feature_set : str
        The tripled chroma needs ``"1-9"``.
    n_bags : int, optional
        Of training, where it is known: a batch that is dropped must not be the only one.

    Examples
    --------
    >>> [step.fault for step in steps_of("SVM", genres=("Rock",), feature_set="mfcc")]
    ['', 'unscaled']
    """
    parts = _parts(model)
    there = [name for name, fault in FAULTS.items() if fault.possible(parts)]
    if parts.baseline is not None:
        there = ["unscaled"]
    if not set(TYPED_TAIL) <= set(genres) and "typed_tail" in there:
        there.remove("typed_tail")
    if feature_set != ALL and "triple_chroma" in there:
        there.remove("triple_chroma")
    if n_bags is not None and n_bags < parts.training.max_bags and "dropped_batch" in there:
        there.remove("dropped_batch")
    steps = [Step(model=model, how=CORRECTED)]
    steps += [Step(model=model, how=ALONE, faults=(name,), fault=name) for name in there]
    chain = [name for name in there if name in PROTOCOLS["released"]]
    for n in range(1, len(chain) + 1) if len(chain) > 1 else ():
        faults = check_names(chain[:n])
        steps.append(Step(model=model, how=ADDED, faults=faults, fault=chain[n - 1]))
    if parts.baseline is None:
        steps.append(Step(model=model, how=RELEASE, faults=check_names(chain), fault="released"))
    return tuple(steps)


def study(data: Data) -> tuple[Step, ...]:
    """Rows of the network and of the baselines on some data."""
    genres, feature_set, n_bags = data.tracks.genres, data.fullest, None
    if data.official:
        n_bags = len(Bags.from_tracks(data.tracks, by=data.bags, split="training"))
    every = (
        steps_of(model, genres=genres, feature_set=feature_set, n_bags=n_bags)
        for model in (NETWORK, *BASELINES)
    )
    return tuple(step for steps in every for step in steps)


def _parts(model: str) -> Parts:
    row = make_row(model)
    if isinstance(row.model, BaselineSettings):
        return Parts(ModelSettings(), TrainingSettings(), row.model)
    return Parts(row.model, row.training, bags="track" if row.lone else "album")
