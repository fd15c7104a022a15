"""The paper's claims, each answered from results in a sentence with a number, or not at all.

Each says where a difference lies. It holds where the whole 95 % interval lies there, does not where
the whole interval lies elsewhere, and is undecided else; two scores are equal where the interval
lies within ± `MARGIN`. What the paper says of its attention is answered for each of the `SCORES`.
Beside what the paper compares stands the control that it lacks: the plain model, trained on lone
tracks, averaged over the bag.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..bags import Bags
from ..comparison import Row
from ..errors import DataError
from ..evaluation.intervals import (
    AGREES,
    EQUAL,
    MARGIN,
    NOTHING,
    OPEN,
    MeanScore,
    Repeated,
    verdict_of,
    wilson,
)
from ..evaluation.tables import Table
from ..evaluation.tally import HEADINGS
from ..tracks import Tracks
from .data import Data
from .measures import ALONE, TEST, Bench, difference, set_of
from .measures import mean as mean_of
from .plan import (
    AVERAGED,
    MODELS,
    SCORES,
    SCORES_NOTE,
    TRACK,
    Request,
    Results,
    matt,
    rows_of,
    rows_on,
    score_of,
)
from .published import THRESHOLDS
from .targets import Made

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be answered"
PLAIN, CONTROL = "paper", "control"
LITTLE = 0.0514
"""What the paper itself calls acceptable: it lost so much where tracks came without their album."""
# Where a claim says that a difference lies.
HIGHER, NOT_HIGHER = "higher", "not higher"
SLIGHTLY_LOWER, LITTLE_LOST = "slightly lower", "little lost"
_REGIONS = {
    HIGHER: (0.0, math.inf),
    SLIGHTLY_LOWER: (-LITTLE, 0.0),
    LITTLE_LOST: (-LITTLE, math.inf),
}
SAID_SHARE = 0.82
_BASES = ("MLP", "CRNN", "CRNN-TF")


@dataclass(frozen=True)
class Answer:
    """One answer to a claim.

    Attributes
    ----------
    claim : str
        What the paper says, and where.
    how : str
        `PLAIN`, as the paper compares, or `CONTROL`, against the control.
    sentence : str
        With the number, its interval, count and unit.
    verdict : str
    mean : MeanScore
        The number, and its interval.
    n : int, or None
    score : str
        Which of the `SCORES` the claim is answered for; empty where it is of no attention.
    """

    claim: str
    how: str
    sentence: str
    verdict: str
    mean: MeanScore = NOTHING
    n: int | None = None
    score: str = ""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a row of a bench.

    Attributes
    ----------
    name : str
        In sentences.
    feature_set, model, part : str
    """

    name: str
    feature_set: str
    model: str
    part: str = TEST

    def row(self, bench: Bench) -> Repeated | None:
        """Its metrics."""
        return bench.row(self.feature_set, self.model, part=self.part)


def of_genres(tracks: Tracks) -> Answer:
    """Say how many genres have few training tracks.

    Parameters
    ----------
    tracks : Tracks
        With splits.
    """
    claim = "nearly 82 % of the genres have only a few examples (I, Fig. 1)"
    counts = tracks.train_counts
    n = len(counts)
    shares = [int((counts < few).sum()) / n for few in THRESHOLDS]
    order = np.sort(counts)
    wanted = math.floor(SAID_SHARE * n)  # 13 of 16: 81.25 %, which is nearly 82 %
    told = ", ".join(
        f"{100 * share:.0f} % ({round(share * n)} of {n}) have fewer than {few}"
        for share, few in zip(shares, THRESHOLDS, strict=True)
    )
    if abs(wanted / n - SAID_SHARE) > 0.03:
        reach, verdict = f"no number of {n} genres is nearly 82 % of them", UNKNOWN
    else:
        reach = f"{wanted} of {n} genres are reached only below {int(order[wanted]):,}"
        verdict = HOLDS if shares[-1] >= wanted / n else FAILS
    sentence = f"Of training tracks, {told}; {reach}. These are counts, so they have no interval."
    return Answer(claim, PLAIN, sentence, verdict, MeanScore(shares[-1]), n)


def of_bags(tracks: Tracks, by: str) -> Answer:
    """Say how many bags of two tracks or more hold several genres.

    Parameters
    ----------
    tracks : Tracks
    by : str
        What a bag is; genres are no part of it, unlike in the paper's own count.
    """
    claim = "tracks of one album and artist always belong to the same genre (III-C)"
    bags = Bags.from_tracks(tracks.take(tracks.labelled), by=by)
    if bags.multi_label:
        told = "Tracks have several genres each here, so a bag is not of one genre or several."
        return Answer(claim, PLAIN, told, UNKNOWN)
    labels = tracks.labels[tracks.rows(bags.track_ids)]
    first = np.repeat(labels[bags.offsets[:-1]], bags.sizes)
    mixed = np.add.reduceat(labels != first, bags.offsets[:-1]) > 0
    several = bags.sizes > 1
    n, n_mixed = int(several.sum()), int((mixed & several).sum())
    if not n:
        return Answer(claim, PLAIN, "No bag holds two tracks of a known genre.", UNKNOWN)
    low, high = wilson(n_mixed, n)
    other = int((labels != np.repeat(bags.labels, bags.sizes)).sum())
    kind = "album-artist pairs" if by == "album" else f"bags by {by}"
    sentence = (
        f"{_percent(n_mixed / n)} of {n:,} {kind} with two known tracks or more hold several "
        f"genres (95 % of such bags: {_percent(low)} to {_percent(high)}, Wilson); "
        f"{_percent(other / len(labels))} of {len(labels):,} tracks have another genre than their "
        "bag."
    )
    share = MeanScore(n_mixed / n, low, high)
    # None of a few is not yet never.
    verdict = FAILS if n_mixed else HOLDS if share.within(-1, MARGIN) else OPEN
    return Answer(claim, PLAIN, sentence, verdict, share, n)


def judged(difference: MeanScore, says: str) -> str:
    """Say whether a difference lies where a claim says, by its interval.

    Parameters
    ----------
    difference : MeanScore
    says : {"higher", "not higher", "slightly lower", "little lost"}
        ``"slightly lower"`` and ``"little lost"`` are by less than `LITTLE`.

    Returns
    -------
    str
        `HOLDS`, `FAILS`, `EQUAL` or `OPEN`.
    """
    if says == NOT_HIGHER:
        found = judged(difference, HIGHER)
        return {HOLDS: FAILS, FAILS: HOLDS, EQUAL: HOLDS}.get(found, found)
    region = _REGIONS[says]
    if difference.within(*region):
        return HOLDS
    if difference.outside(*region):
        return FAILS
    return EQUAL if verdict_of(difference) == AGREES else OPEN


def compared(
    bench: Bench,
    first: Side,
    second: Side,
    metric: str,
    *,
    claim: str,
    how: str = PLAIN,
    says: str = HIGHER,
) -> Answer:
    """Answer a claim about two rows.

    Parameters
    ----------
    bench : Bench
    first, second : Side
    metric : str
        One of `tally.HEADINGS`.
    claim, how : str
    says : str
        Where the first lies beside the second, as in `judged`.
    """
    one, two = first.row(bench), second.row(bench)
    what = f"{first.name} less {second.name}, {HEADINGS[metric]}"
    missing = [side.name for side, row in ((first, one), (second, two)) if row is None]
    found, lacking = None, "undefined on these tracks"
    try:
        found = difference(one, two)
    except DataError:
        lacking = "the two were tested on other tracks, so they cannot be compared"
    if missing:
        lacking = f"there is no result of {' and '.join(missing)}"
    elif found is not None and mean_of(one, metric).value == mean_of(two, metric).value == 0:
        lacking = "0 for both, so there is nothing to compare"
    mean = mean_of(found, metric)
    score = score_of(first.model)
    if found is None or math.isnan(mean.value):
        return Answer(claim, how, f"{what}: {lacking}.", UNKNOWN, score=score)
    ends = "" if mean.interval is None else f" [{_signed(mean.low)}, {_signed(mean.high)}]"
    over = "no interval" if mean.interval is None else f"95 % over {found.method}"
    sentence = (
        f"{what}: {_signed(mean.value)}{ends} (n = {found.n:,}, each track under its own "
        f"label, {len(found)} repeat{'s' * (len(found) > 1)}, {over})."
    )
    return Answer(claim, how, sentence, judged(mean, says), mean, found.n, score)


def claim_table(made: Sequence[Answer], *, notes: Sequence[str] = ()) -> Table:
    """One row an answer."""
    before = ["", *(answer.claim for answer in made)]
    read = (
        "Differences are paired on equal test tracks and averaged over repeats. A claim holds "
        "where the whole 95 % interval lies where it says, and does not where all of it lies "
        f"elsewhere; {EQUAL}: the interval lies within ± that (an equivalence test); else it is "
        f"undecided. Slightly and little are up to {_plain(LITTLE)}, which the paper calls "
        "acceptable; of several, the best is chosen by what is then compared. Compared: as the "
        "paper does it, or with the control, the plain model of lone tracks averaged over the bag."
    )
    return Table.of(
        "The paper's claims",
        zip(made, before, strict=False),
        ("claim", "text", lambda row: "" if row[0].claim == row[1] else row[0].claim),
        ("score", "text", lambda row: row[0].score),
        ("compared", "text", lambda row: row[0].how),
        ("verdict", "text", lambda row: row[0].verdict),
        ("answer", "text", lambda row: row[0].sentence),
        ("number", "number", lambda row: row[0].mean.value),
        ("low", "number", lambda row: row[0].mean.low),
        ("high", "number", lambda row: row[0].mean.high),
        ("n", "int", lambda row: row[0].n),
        notes=(read, SCORES_NOTE, *notes),
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1)


def _plain(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def answers(bench: Bench, tracks: Tracks, *, by: str, feature_set: str) -> tuple[Answer, ...]:
    """Answer every claim, those about attention for each score.

    Parameters
    ----------
    bench : Bench
    tracks : Tracks
        Of a split, for what is said of the data.
    by : str
        What a bag is.
    feature_set : str
        Of the models that read features.
    """
    sides = _Sides(feature_set)
    made = (
        of_genres(tracks),
        of_bags(tracks, by),
        *_of_mil(bench, sides),
        *_of_matt(bench, sides),
        *_of_tail(bench, sides),
        *_of_best(bench, sides),
        *_of_singletons(bench, sides),
    )
    by_claim: dict[str, list[Answer]] = {}
    for answer in made:
        by_claim.setdefault(answer.claim, []).append(answer)
    # What cannot be answered in any way is said once.
    known = (
        some if any(a.verdict != UNKNOWN for a in some) else [replace(some[0], score="")]
        for some in by_claim.values()
    )
    return tuple(answer for some in known for answer in some)


@dataclass(frozen=True)
class _Sides:
    feature_set: str

    def plain(self, base: str) -> Side:
        """Every track predicted alone, as the paper has it."""
        return Side(f"{base} per track", set_of(base, self.feature_set), base, ALONE)

    def bags(self, model: str) -> Side:
        return Side(model, set_of(model, self.feature_set), model)

    def others(self, model: str) -> list[Side]:
        """All other models; of those with attention, the ones with its score."""
        names = [name for name in MODELS if score_of(name) in ("", score_of(model))]
        return [
            self.bags(name) if "+" in name else self.plain(name) for name in names if name != model
        ]

    def control(self, base: str) -> Side:
        """The plain model averaged over the bag; of MLPs the epoch is chosen so, too."""
        model = AVERAGED if base == "MLP" else base
        return Side(f"{base} averaged over the bag", set_of(base, self.feature_set), model)

    def alone(self, model: str) -> Side:
        return Side(f"{model} on lone tracks", set_of(model, self.feature_set), model, ALONE)


def _of_mil(bench: Bench, sides: _Sides) -> list[Answer]:
    made = []
    for base in _BASES:
        first = sides.bags(f"{base}+MIL")
        for metric in ("accuracy", "micro_ap"):
            claim, says = f"{base}+MIL is better than {base} (IV-B)", HIGHER
            if base == "CRNN-TF":  # of which the paper tells accuracy and curve apart
                claim = f"{base}+MIL: accuracy above {base} (IV-B)"
                if metric == "micro_ap":
                    claim, says = f"{base}+MIL: its curve not above {base} (IV-B)", NOT_HIGHER
            for how, second in ((PLAIN, sides.plain(base)), (CONTROL, sides.control(base))):
                made.append(compared(bench, first, second, metric, claim=claim, how=how, says=says))
    return made


def _of_matt(bench: Bench, sides: _Sides) -> list[Answer]:
    made = []
    for base in _BASES:
        mil, plain, control = sides.bags(f"{base}+MIL"), sides.plain(base), sides.control(base)
        models = [sides.bags(model) for model in rows_of([f"{base}+MATT"])]
        claim = f"{base}+MATT improves on {base} (IV-B)"
        for metric in ("accuracy", "micro_ap"):
            for first in models:
                made += _beside(bench, first, plain, control, metric, claim)
        for metric, told, says in (
            ("accuracy", "accuracy slightly below", SLIGHTLY_LOWER),
            ("micro_ap", "its curve above", HIGHER),
        ):
            claim = f"{base}+MATT: {told} {base}+MIL (IV-B)"
            made += [compared(bench, m, mil, metric, claim=claim, says=says) for m in models]
    return made


def _of_tail(bench: Bench, sides: _Sides) -> list[Answer]:
    claim = "neural models beat feature models on data-poor genres (IV-C)"
    features = [sides.plain(name) for name in ("LR", "KNN", "SVM", "MLP")]
    made = []
    for metric in ("tail_top_3", "tail_recall"):
        second = _best(bench, features, metric)
        for score in SCORES:
            neural = [sides.bags(matt(f"{base}+MATT", score)) for base in _BASES[1:]]
            neural += [sides.plain(base) for base in _BASES[1:]]
            first = _best(bench, neural, metric)
            if first is None or second is None:
                lacking = "log-mels" if first is None else "features"
                answers = [_unknown(claim, f"a model of {lacking}", metric)]
            else:
                answers = _beside(bench, first, second, sides.control("MLP"), metric, claim)
            made += [replace(answer, score=score) for answer in answers]
    return made


def _of_best(bench: Bench, sides: _Sides) -> list[Answer]:
    claim = "CRNN-TF+MATT is the best of all (IV-B)"
    made = []
    for metric in ("accuracy", "micro_ap", "tail_recall"):
        for model in rows_of(["CRNN-TF+MATT"]):
            second = _best(bench, sides.others(model), metric)
            if second is None:
                made.append(_unknown(claim, "another model", metric))
            else:
                first, control = sides.bags(model), sides.control("CRNN-TF")
                made += _beside(bench, first, second, control, metric, claim)
    return made


def _beside(
    bench: Bench, first: Side, second: Side, control: Side, metric: str, claim: str
) -> list[Answer]:
    """Beside what the paper compares with, then beside the control."""
    return [
        compared(bench, first, second, metric, claim=claim),
        compared(bench, first, control, metric, claim=claim, how=CONTROL),
    ]


def _unknown(claim: str, lacking: str, metric: str) -> Answer:
    told = f"There is no result of {lacking} ({HEADINGS[metric]})."
    return Answer(claim, PLAIN, told, UNKNOWN)


def _of_singletons(bench: Bench, sides: _Sides) -> list[Answer]:
    claim = "MATT loses little on lone tracks (IV-D)"
    above = "MATT on lone tracks is above the plain model (IV-D)"
    little: dict[str, Any] = {"claim": claim, "says": LITTLE_LOST}
    control = Side(f"{TRACK} on lone tracks", sides.feature_set, TRACK, ALONE)
    made = []
    for metric in ("accuracy", "micro_ap"):
        for model in rows_of(["MLP+MATT"]):
            first = sides.alone(model)
            made.append(compared(bench, first, sides.bags(model), metric, **little))
            made.append(compared(bench, first, sides.plain("MLP"), metric, claim=above))
        made.append(compared(bench, control, sides.control("MLP"), metric, how=CONTROL, **little))
    return sorted(made, key=lambda answer: answer.claim == above)


def _best(bench: Bench, sides: Sequence[Side], metric: str) -> Side | None:
    """The side with the highest mean; which it is was chosen by what is then compared."""
    scored = {side: row.mean(metric).value for side in sides if (row := side.row(bench))}
    defined = {side: value for side, value in scored.items() if not math.isnan(value)}
    return max(defined, key=defined.__getitem__, default=None)


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Every model on all features and, where there are any, log-mels; and the controls."""
    return rows_on(data, request, (*MODELS, TRACK, AVERAGED))


def make(results: Results, bench: Bench, folder: Path) -> Made:
    """The table of answers; the sentences are notes as well."""
    data = results.data
    feature_set = data.fullest
    tracks = results.divisions[0].tracks
    made = answers(bench, tracks, by=data.bags, feature_set=feature_set)
    notes = (*data.notes, *data.logmel_notes)
    return Made(
        tables={"claims": claim_table(made, notes=notes)},
        notes=tuple(f"{a.claim}: {a.verdict}. {a.sentence}" for a in made if a.how == PLAIN),
    )
