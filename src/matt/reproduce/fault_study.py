"""Every fault alone, and one after the other: what each does to the scores, with intervals.

The reference is the same model without any fault, on the same test tracks and with the same seeds.
Faults of the model, its training or its features are fitted anew; the typed-in tail changes only
what is scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.fma.checking import TYPED_TAIL
from ..datasets.fma.feature_sets import ALL
from ..evaluation import style
from ..evaluation.forest import Interval, forest
from ..evaluation.repeated import ARTISTS, Mean, Repeated
from ..evaluation.tables import Cell, Column, Table
from ..faults import FAULTS, PROTOCOLS, Parts, check_names, fault_texts
from ..models.baseline_settings import BaselineSettings
from ..models.settings import ModelSettings
from ..models.training_settings import TrainingSettings
from .bench import Bench, bench_of, difference, fullest
from .plan import make_model
from .results import Results
from .sources import Data
from .targets import Made, Request, Target
from .work import Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK, BASELINES = "MLP+MATT", ("LR", "SVM")
METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_ap": "micro AP",
    "tail_recall": "tail recall",
    "tail_top_3": "tail Top@3",
}
"""What is compared, with the headings."""

CORRECTED, ALONE, ADDED, RELEASE = "corrected", "alone", "added", "release"
_SCORING = ("typed_tail",)
_HOW = {
    ALONE: "alone",
    ADDED: "with all above",
    RELEASE: "all of the release, and its optimiser and encoder",
}


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
    def red(self) -> bool:
        """Whether scores are chosen by what they score."""
        return bool(fault_texts(self.faults, red=True))


@dataclass(frozen=True, eq=False)
class Effect:
    """What a step changes, metric by metric.

    Attributes
    ----------
    step : Step
    differences : Repeated, or None
        To the corrected model; None where it could not be computed.
    reason : str
        Why not.
    """

    step: Step
    differences: Repeated | None
    reason: str = ""

    def of(self, metric: str) -> Mean:
        """Difference of a metric."""
        return Mean() if self.differences is None else self.differences.mean(metric)


def steps_of(model: str, *, genres: Sequence[str], feature_set: str) -> tuple[Step, ...]:
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
    steps = [Step(model=model, how=CORRECTED)]
    steps += [Step(model=model, how=ALONE, faults=(name,), fault=name) for name in there]
    chain = [name for name in there if name in PROTOCOLS["released"]]
    for n in range(2, len(chain) + 1):
        faults = check_names(chain[:n])
        steps.append(Step(model=model, how=ADDED, faults=faults, fault=chain[n - 1]))
    if parts.baseline is None:
        steps.append(Step(model=model, how=RELEASE, faults=check_names(chain), fault="released"))
    return tuple(steps)


def study(data: Data) -> tuple[Step, ...]:
    """Rows of the network and of the baselines on some data."""
    genres, feature_set = data.tracks.genres, fullest(data.feature_sets)
    models = (NETWORK, *BASELINES)
    every = (steps_of(model, genres=genres, feature_set=feature_set) for model in models)
    return tuple(step for steps in every for step in steps)


def effects(bench: Bench, steps: Sequence[Step], *, feature_set: str) -> tuple[Effect, ...]:
    """Difference of every step to the corrected one of its model, which has no row itself."""
    plain = {step.model: step for step in steps if step.how == CORRECTED}
    made = []
    for step in (step for step in steps if step.how != CORRECTED):
        tail = TYPED_TAIL if "typed_tail" in step.faults else None
        row = bench.row(feature_set, step.called, tail=tail)
        reference = bench.row(feature_set, plain[step.model].called)
        found = difference(row, reference)
        missing = [name for name, r in ((step.called, row), ("corrected", reference)) if r is None]
        reason = "" if found is not None else f"no result of {', '.join(missing) or step.called}"
        made.append(Effect(step, found, reason))
    return tuple(made)


def effect_table(made: Sequence[Effect], *, notes: Sequence[str] = ()) -> Table:
    """One row a step: its differences with their intervals."""
    columns = (
        Column("model"),
        Column("fault"),
        Column("switched on"),
        Column("repeats", "int"),
        Column("n", "int"),
        *(Column(heading, "effect") for heading in METRICS.values()),
        Column("chosen on the test split", "alarm"),
    )
    rows: list[tuple[Cell, ...]] = []
    for effect in made:
        step, found = effect.step, effect.differences
        sizes: tuple[Cell, ...] = (None, None) if found is None else (len(found), found.n)
        cells = [_cell(effect.of(metric)) for metric in METRICS]
        rows.append((step.model, step.fault, _HOW[step.how], *sizes, *cells, step.red))
    told = dict.fromkeys(name for effect in made for name in effect.step.faults)
    reasons = dict.fromkeys(
        f"{effect.step.fault} ({_HOW[effect.step.how]}): {effect.reason}."
        for effect in made
        if effect.reason
    )
    return Table(
        "Faults: differences to the corrected model",
        columns,
        tuple(rows),
        (*_how_read(made), *fault_texts(told), *reasons, *notes),
    )


def effect_picture(made: Sequence[Effect]) -> Figure:
    """Accuracy, macro-F1 and tail recall of the table; what is chosen on the test split is red."""
    starts = [i for i, e in enumerate(made) if i and _part(e.step) != _part(made[i - 1].step)]
    panels = {
        METRICS[metric]: [
            Interval(_drawn(effect.step), effect.of(metric), effect.step.red, i in starts)
            for i, effect in enumerate(made)
        ]
        for metric in ("accuracy", "macro_f1", "tail_recall")
    }
    return forest(panels, label="difference to the corrected model, 95 %")


def corrected_table(bench: Bench, steps: Sequence[Step], *, feature_set: str) -> Table:
    """Scores without any fault, from which the differences are taken."""
    columns = [Column("model"), Column("unit"), Column("repeats", "int"), Column("n", "int")]
    for heading in METRICS.values():
        columns += [Column(heading, "share"), Column(f"95 % of {heading}", "interval")]
    rows: list[tuple[Cell, ...]] = []
    for step in (step for step in steps if step.how == CORRECTED):
        row = bench.row(feature_set, step.called)
        if row is None:
            rows.append((step.model, "", None, None, *[None] * (2 * len(METRICS))))
            continue
        means = [row.mean(metric) for metric in METRICS]
        cells: list[Cell] = [part for mean in means for part in (mean.value, mean.interval)]
        rows.append((step.model, row.unit, len(row), row.n, *cells))
    return Table(f"Without a fault, features {feature_set}", tuple(columns), tuple(rows))


def _parts(model: str) -> Parts:
    row = make_model(model).row
    if isinstance(row.model, BaselineSettings):
        return Parts(ModelSettings(), TrainingSettings(), row.model)
    return Parts(row.model, row.training, bags="track" if row.lone else "album")


def _cell(mean: Mean) -> Cell:
    return None if math.isnan(mean.value) else (mean.value, mean.low, mean.high)


def _how_read(made: Sequence[Effect]) -> tuple[str, ...]:
    found = [effect.differences for effect in made if effect.differences is not None]
    over = (
        "resamples of the artists of the test split"
        if all(row.method == ARTISTS for row in found)
        else "splits, which have other test tracks (t, widened as Nadeau & Bengio propose)"
    )
    paired = (
        "Mean of paired differences over repeats (seeds or splits) on the same test tracks, with "
        f"its 95 % interval over {over}. Below 0 the fault makes the score lower. Unit: each track "
        "under its own label, with its bag's prediction."
    )
    mind = (
        "A typed-in tail is another set of genres, so its differences in tail recall and Top@K "
        "compare two sets of tracks. Average precision of scores that are no probabilities mixes "
        "bags."
    )
    return paired, mind


def _needs(data: Data, request: Request) -> tuple[Job, ...]:
    jobs: dict[str, Job] = {}
    for step in study(data):
        faults = "released" if step.how == RELEASE else step.fitted
        model = make_model(step.model, faults, epochs=request.epochs, called=step.called)
        jobs[step.called] = Job(feature_set=fullest(data.feature_sets), model=model)
    return tuple(jobs.values())


def _make(results: Results, request: Request, folder: Path) -> Made:
    steps, feature_set = study(results.data), fullest(results.data.feature_sets)
    bench = bench_of(results, rounds=request.rounds)
    made = effects(bench, steps, feature_set=feature_set)
    drawn = [effect for effect in made if effect.differences is not None]
    tables = {
        "faults": effect_table(made, notes=results.data.notes),
        "faults_corrected": corrected_table(bench, steps, feature_set=feature_set),
    }
    saved = {}
    if drawn:
        saved["faults"] = folder / "faults.png"
        style.save(effect_picture(drawn), saved["faults"])
    red = tuple(dict.fromkeys(text for e in made for text in fault_texts(e.step.faults, red=True)))
    return Made(tables=tables, pictures=saved, notes=red)


def _part(step: Step) -> tuple[str, bool]:
    return step.model, step.how == ALONE


def _drawn(step: Step) -> str:
    sign = {ALONE: "", ADDED: "+ ", RELEASE: "= "}[step.how]
    return f"{step.model}: {sign}{step.fault}"


FAULT_STUDY = Target("Faults, alone and one after the other", _needs, _make)
"""`matt reproduce --faults`."""
