"""Every fault alone, and one after the other: what each does to the scores, with intervals.

The reference is the same model without any fault, on the same test tracks and with the same seeds.
Faults of the model, its training or its features are fitted anew; the typed-in tail changes only
what is scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from ..comparison import Row
from ..datasets.fma.checking import TYPED_TAIL
from ..datasets.fma.loading import ALL
from ..evaluation.intervals import AGREES, ARTISTS, DIFFERS, EQUAL, MeanScore, Repeated, verdict_of
from ..evaluation.plots import Interval, forest
from ..evaluation.tables import Cell, Table
from ..evaluation.tally import HEADINGS, KS
from ..faults import FAULTS, PROTOCOLS, Parts, check_names, fault_texts
from ..models.settings import BaselineSettings, ModelSettings, TrainingSettings
from .data import Data
from .measures import Bench, difference, mean
from .plan import DROPPED, Request, Results, make_row, matt
from .targets import Made, counted, measured, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK, BASELINES = matt("MLP+MATT", "dot"), ("LR", "SVM")
CORRECTED, ALONE, ADDED, RELEASE = "corrected", "alone", "added", "release"
_SCORING = ("typed_tail",)
METRICS = ("accuracy", "macro_f1", "micro_ap", "tail_recall")
GUESSES = tuple(f"tail_top_{k}" for k in KS)
"""What is compared."""

_HOW = {ALONE: "alone", ADDED: "and above", RELEASE: "all, release's settings"}


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
        Of training, at least, where it is known: a batch that is dropped must not be the only one.

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
    if (
        parts.baseline is None
        and not make_row(model, [DROPPED], n_bags=n_bags).training.dropped_batch
    ):
        there.remove(DROPPED)
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
    genres, feature_set = data.tracks.genres, data.fullest
    n_bags = data.fewest_bags(feature_set)
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

    def of(self, metric: str) -> MeanScore:
        """Difference of a metric."""
        return mean(self.differences, metric)


def effects(bench: Bench, steps: Sequence[Step], *, feature_set: str) -> tuple[Effect, ...]:
    """Difference of every step to the corrected one of its model, which has no row itself."""
    plain = {step.model: step for step in steps if step.how == CORRECTED}
    made = []
    for step in (step for step in steps if step.how != CORRECTED):
        tail = TYPED_TAIL if "typed_tail" in step.faults else None
        row = bench.row(feature_set, step.called, part=step.part, tail=tail)
        reference = bench.row(feature_set, plain[step.model].called, part=step.part)
        found = difference(row, reference)
        missing = [name for name, r in ((step.called, row), ("corrected", reference)) if r is None]
        reason = "" if found is not None else f"no result of {', '.join(missing) or step.called}"
        made.append(Effect(step, found, reason))
    return tuple(made)


def effect_table(
    made: Sequence[Effect],
    metrics: Sequence[str] = METRICS,
    *,
    title: str = "Faults: differences to the corrected model",
    notes: Sequence[str] = (),
) -> Table:
    """One row a step: its differences with their intervals.

    Parameters
    ----------
    made : sequence of Effect
    metrics : sequence of str
    title : str
    notes : sequence of str
    """

    def effect_on(metric: str) -> Callable[[Effect], Cell]:
        return lambda effect: effect.of(metric).effect

    first = metrics[0]
    reasons = dict.fromkeys(
        f"{_named(effect.step)} ({_HOW[effect.step.how]}): {effect.reason}."
        for effect in made
        if effect.reason
    )
    return Table.of(
        f"{title}{_sizes(made)}",
        made,
        ("fault", "text", lambda effect: _named(effect.step)),
        ("on", "text", lambda effect: _HOW[effect.step.how]),
        *((HEADINGS[metric], "effect", effect_on(metric)) for metric in metrics),
        (f"{HEADINGS[first]} is", "text", lambda effect: _verdict(effect.of(first))),
        ("on test", "alarm", lambda effect: effect.step.red),
        notes=(*reasons, *notes),
    )


def _verdict(difference: MeanScore) -> str:
    if math.isnan(difference.value):
        return ""
    found = verdict_of(difference)
    return {AGREES: EQUAL, DIFFERS: "higher" if difference.sign > 0 else "lower"}.get(found, found)


def effect_picture(made: Sequence[Effect]) -> Figure:
    """Accuracy, macro-F1 and tail recall of the table; what is chosen on the test split is red."""
    starts = [i for i, e in enumerate(made) if i and _part(e.step) != _part(made[i - 1].step)]
    panels = {
        HEADINGS[metric]: [
            Interval(_drawn(effect.step), effect.of(metric), effect.step.red, i in starts)
            for i, effect in enumerate(made)
        ]
        for metric in ("accuracy", "macro_f1", "tail_recall")
    }
    return forest(panels, label="difference to the corrected model, 95 %")


def corrected_table(bench: Bench, steps: Sequence[Step], *, feature_set: str) -> Table:
    """Scores without any fault, from which the differences are taken."""
    plain = [step for step in steps if step.how == CORRECTED]
    lines = [(s.model, bench.row(feature_set, s.called, part=s.part)) for s in plain]
    row = itemgetter(1)
    return Table.of(
        f"Without a fault, features {feature_set}",
        lines,
        ("model", "text", itemgetter(0)),
        *counted(row, "unit", "repeats", "n"),
        *(column for metric in METRICS for column in measured(metric, HEADINGS[metric], row)),
    )


def _how_read(made: Sequence[Effect]) -> tuple[str, ...]:
    found = [effect.differences for effect in made if effect.differences is not None]
    over = (
        "resamples of the artists of the test split"
        if all(row.method == ARTISTS for row in found)
        else "splits, which have other test tracks (t, widened as Nadeau & Bengio propose)"
    )
    on = (
        "On: alone; and above, which is added to the faults of the row above, in the order of the "
        "first rows (the first is added to the corrected model); or all that the release has, with "
        "its optimiser, learning rate and encoder, too. On test: chosen on the test split, so no "
        "score at all."
    )
    paired = (
        f"Of {NETWORK}, where no other model is named. Mean of paired differences over repeats "
        f"(seeds or splits) on the same test tracks, with its 95 % interval over {over}. Below 0 "
        "the fault makes the score lower. Unit: each track under its own label, with its bag's "
        "prediction or, of baselines, alone."
    )
    mind = (
        "A typed-in tail is another set of genres, so its differences in tail recall and Top@K "
        "compare two sets of tracks. Average precision of scores that are no probabilities mixes "
        "bags."
    )
    verdicts = (
        f"{EQUAL}: the whole 95 % interval lies within ± that; higher, lower: it lies on one side "
        "of 0, and not within; else it is undecided. Where neither model has any score above 0, "
        "there is nothing to compare and no difference."
    )
    return paired, on, verdicts, mind


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Every step of the study, whatever the protocol is."""
    rows: dict[str, Row] = {}
    n_bags = data.fewest_bags(data.fullest)
    for step in study(data):
        rows[step.called] = make_row(
            step.model,
            step.fitted,
            features=data.fullest,
            bags=data.bags,
            released=step.how == RELEASE,
            epochs=request.epochs,
            called=step.called,
            n_bags=n_bags,
        )
    return tuple(rows.values())


def make(results: Results, bench: Bench, folder: Path) -> Made:
    """Differences as a table and a picture, and the scores that they are from."""
    steps, feature_set = study(results.data), results.data.fullest
    made = effects(bench, steps, feature_set=feature_set)
    named = dict.fromkeys(name for effect in made for name in effect.step.faults)
    lacking = [name for name in FAULTS if name not in named]
    left_out = (f"This data cannot show: {', '.join(lacking)}.",) if lacking else ()
    told = (*_how_read(made), *fault_texts(named), *left_out, *results.data.notes)
    drawn = [effect for effect in made if effect.differences is not None]
    tables = {
        "faults": effect_table(made, notes=told),
        "faults_corrected": corrected_table(bench, steps, feature_set=feature_set),
    }
    if any(not math.isnan(effect.of(name).value) for effect in made for name in GUESSES):
        tables["faults_top_k"] = effect_table(made, GUESSES, title="Faults: tail Top@K")
    saved = {}
    if drawn:
        saved["faults"] = folder / "faults.png"
        save_picture(effect_picture(drawn), saved["faults"], results.data)
    red = tuple(dict.fromkeys(text for e in made for text in fault_texts(e.step.faults, red=True)))
    return Made(tables=tables, pictures=saved, notes=red)


def _named(step: Step) -> str:
    return step.fault if step.model == NETWORK else f"{step.model}: {step.fault}"


def _sizes(made: Sequence[Effect]) -> str:
    """How many items and repeats; of several sizes, from the least to the most."""
    found = [effect.differences for effect in made if effect.differences is not None]
    if not found:
        return ""
    n, repeats = (sorted({size(row) for row in found}) for size in (lambda r: r.n, len))
    told = [" to ".join(f"{x:,}" for x in dict.fromkeys((v[0], v[-1]))) for v in (n, repeats)]
    return f" (n = {told[0]} tracks, repeats: {told[1]})"


def _part(step: Step) -> tuple[str, bool]:
    return step.model, step.how == ALONE


def _drawn(step: Step) -> str:
    sign = {ALONE: "", ADDED: "+ ", RELEASE: "= "}[step.how]
    return f"{sign}{_named(step)}"
