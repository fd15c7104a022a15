"""``python -m benchmarks.longtail OUT [WORD ...]``: what helps rare genres, on all data at hand.

Runs ``experiments/grid_longtail.toml`` (and, on one of the data sets,
``experiments/grid_longtail_more.toml``) on repeated artist-disjoint splits, resumable in the folder
OUT; of all data sets, or of those whose name holds a word. Then it writes docs/longtail.md, with a
picture, from all runs that are finished there. The real FMA files are in the folder that the
environment variable MATT_SHARED_DATA names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import Progress as Bars

from matt.evaluation import style
from matt.evaluation.repeats import paired_over_splits, spread_of
from matt.evaluation.tables import Cell, Column, Table
from matt.files import write_text
from matt.grid.fitting import ALONE
from matt.grid.protocol import RepeatedSplits
from matt.grid.ranking import MAJORITY, Standing
from matt.grid.setups import read_grid
from matt.grid.study import Study, compare
from matt.provenance import versions
from matt.reproduce.sources import open_data
from matt.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "longtail.md"
PICTURE = ROOT / "docs" / "images" / "longtail.png"
RECIPES, MORE = (ROOT / "experiments" / f"grid_longtail{end}.toml" for end in ("", "_more"))
DRAWN = {
    "paper": "MATT as in the paper",
    "control: paper/mil": "control",
    "control: matt/default": "control + logit adjustment",
    "default": "default",
    "agreed": "agreed",
}
LOOKS = ("o-", "s--", "v-.", "^-", "D:")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A data set under one imbalance.

    Attributes
    ----------
    name : str
        In the text.
    data : str
        As `open_data` takes it.
    repeats : int
    imbalance : float
    keep : dict of str to int
    n_tracks : int, optional
        Of simulated data.
    grid : Path
    """

    name: str
    data: str
    repeats: int = 20
    imbalance: float = 1.0
    keep: Mapping[str, int] = field(default_factory=dict)
    n_tracks: int | None = None
    grid: Path = RECIPES

    @property
    def folder(self) -> str:
        """Below OUT."""
        kept = "".join(f"-{genre}-{n}" for genre, n in self.keep.items())
        return f"{self.data}-{self.imbalance:g}{kept}-{self.grid.stem}".replace(" ", "-")


SMALL = [
    Setting(
        name=f"FMA-small, 46 features, {how}", data="fma-small-46", imbalance=ratio, repeats=repeats
    )
    for ratio, how, repeats in (
        (1, "balanced", 20),
        (10, "training cut to 1:10", 10),
        (50, "training cut to 1:50", 20),
        (100, "training cut to 1:100", 10),
    )
]
MFCC = [
    Setting(
        name=f"FMA, 140 MFCC statistics, Rock and {n} training tracks of Hip-Hop",
        data="fma-mfcc",
        keep={"Hip-Hop": n},
        repeats=20 if n == 40 else 10,
    )
    for n in (10, 20, 40, 80, 160)
]
OTHERS = [
    Setting(name="Simulated FMA, 16 genres", data="simulated", n_tracks=4_000, repeats=5),
]
TRIED = Setting(
    name="What else was tried: FMA-small, training cut to 1:50",
    data="fma-small-46",
    imbalance=50,
    repeats=10,
    grid=MORE,
)


def run(setting: Setting, out: Path, jobs: int) -> Study:
    """Run or resume one comparison."""
    data = open_data(setting.data, n_tracks=setting.n_tracks)
    grid = read_grid(setting.grid, [f"bags={data.bags}"])
    (digest,) = {setup.features.spec().digest for setup in grid.setups}
    protocol = RepeatedSplits(
        repeats=setting.repeats, imbalance=setting.imbalance, keep=setting.keep
    )
    tracks = data.tracks.with_split(np.full(len(data.tracks), ""))
    with Bars(transient=True) as bars:
        bar = bars.add_task(setting.name)
        return compare(
            tracks,
            {digest: data.features(data.feature_sets[-1])},
            grid,
            out / setting.folder,
            protocol=protocol,
            jobs=jobs,
            test=True,
            notes=data.notes,
            progress=lambda now: bars.update(bar, total=now.total, completed=now.done),
        )


def best_control(study: Study) -> Standing:
    """The control that validation ranks first."""
    return next(row for row in study.standings if row.control and row.name != MAJORITY)


def difference(row: Standing, other: Standing, part: str = "test") -> tuple[float, float] | None:
    """Paired difference of macro-F1 on test."""
    if row.name == other.name:
        return None
    pairs = zip(row.values(part=part), other.values(part=part), strict=True)
    found = paired_over_splits([one - two for one, two in pairs])
    return found.mean, found.half_width


def table_of(setting: Setting, study: Study) -> Table:
    """Test scores of every row, ordered by validation."""
    control = best_control(study)
    rows: list[tuple[Cell, ...]] = []
    for row in study.standings:
        alone = row.scores.get(ALONE)
        lone = None if not alone else spread_of([s.macro_f1 for s in alone if s is not None])
        found = [spread_of(row.values(key, "test")) for key in KEYS]
        rows.append(
            (
                row.name,
                *((one.mean, one.sd) for one in found),
                None if lone is None else (lone.mean, lone.sd),
                difference(row, control),
            )
        )
    scored = [s.n for row in study.standings for s in row.scores["test"] if s is not None]
    rule = next(s for s in control.scores["test"] if s is not None).tail_rule
    of_tail = f"{rule[:1].upper()}{rule[1:]}"
    notes = (
        f"{setting.repeats} splits, {min(scored):,} to {max(scored):,} test tracks. {of_tail}.",
        f"Rows are ordered by macro-F1 of validation; the best control is {control.name!r}.",
    )
    return Table(setting.name, COLUMNS, tuple(rows), notes)


KEYS = ("accuracy", "macro_f1", "tail_recall")
COLUMNS = (
    Column("row"),
    Column("accuracy", "spread"),
    Column("macro-F1", "spread"),
    Column("tail recall", "spread"),
    Column("macro-F1, tracks alone", "spread"),
    Column("macro-F1 less best control", "difference"),
)


def picture(studies: Mapping[str, Study]) -> Figure:
    """Tail recall against the training tracks of the tail, and against the imbalance."""
    with style.settings():
        figure, (left, right) = style.panels(2, height=3.4)
        few = [(s, s.keep["Hip-Hop"]) for s in MFCC if s.folder in studies]
        _lines(left, few, studies)
        left.set(title="Rock and a Hip-Hop tail", xlabel="training tracks of Hip-Hop")
        cut = [(s, s.imbalance) for s in SMALL if s.folder in studies and s.imbalance > 1]
        _lines(right, cut, studies)
        right.set(title="FMA-small, eight genres", xlabel="largest genre against smallest")
        left.legend(fontsize=7.5, loc="lower right")
    return figure


def _lines(
    ax: Axes, settings: Sequence[tuple[Setting, float]], studies: Mapping[str, Study]
) -> None:
    places = [place for _, place in settings]
    for (name, told), look in zip(DRAWN.items(), LOOKS, strict=True):
        rows = [_row(studies[setting.folder], name) for setting, _ in settings]
        found = [spread_of(row.values("tail_recall", "test")) for row in rows]
        means, halves = [one.mean for one in found], [2 * one.sd / one.n**0.5 for one in found]
        ax.errorbar(places, means, yerr=halves, fmt=look, markersize=4, capsize=2, label=told)
    ax.set(xscale="log", ylim=(0, 1), ylabel="tail recall")
    ax.set_xticks(places, [f"{place:g}" for place in places])
    ax.minorticks_off()


def _row(study: Study, name: str) -> Standing:
    return next(row for row in study.standings if row.name == name)


ROWS = {
    "paper": (
        "MATT as the paper trains it: one query a genre, in training only the true one reads; "
        "plain cross-entropy"
    ),
    "mil": "the mean, plain cross-entropy",
    "matt": "one query a genre, all of them read; logit adjustment",
    "default": (
        "what `matt train` does: the mean, logit adjustment, random sub-bags, a loss of every "
        "segment beside that of the bag"
    ),
    "quantile": "the default, its inputs by their ranks among the training tracks",
    "averaged": "that, its weights averaged over steps (.99), learning rate 2e-3",
    "agreed": "that, and segments drawn towards what their bag says (`training.agreement` 0.2)",
    "agreed_dropout": "that, with a tenth of the inputs silenced in training",
    "control": (
        "the track model averaged over the bag, with the loss, inputs and training of the rows "
        "that its name tells"
    ),
}
TEXT = """\
# The long tail: the evidence

<!-- Written by `python -m benchmarks.longtail OUT`: change that, not this page. -->

Which recipe is best where some genres are rare? Every table is made from runs of
`experiments/grid_longtail.toml` with `matt compare`: repeated artist-disjoint splits (70, 10, 20 %
of the artists of each genre), the best epoch and the order of the rows chosen on validation, test
scored once. A number is the mean over splits ± its standard deviation; unit: each track under its
own label, with the prediction of its bag, or its own in the column of tracks alone. The last column
is paired by split, on test, ± half of the 95 % t interval. Splits share tracks, so true intervals
are wider.

"""


def page(tables: Iterable[Table], *, drawn: bool) -> str:
    """The text of docs/longtail.md."""
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    body = "\n".join(f"## {table.title}\n\n{_untitled(table)}" for table in tables)
    rows = "\n".join(f"| {name} | {told} |" for name, told in ROWS.items())
    legend = f"| row | what it is |\n|---|---|\n{rows}\n\n"
    return f"{TEXT}{legend}{CAPTION * drawn}{body}\nMeasured with {used}.\n"


CAPTION = """\
![Tail recall against the number of tail tracks](images/longtail.png)

*Tail recall on test: mean over splits, with twice its standard error. Left: training tracks of
Hip-Hop cut to so many. Right: eight genres, cut exponentially in an order that each split draws.*

"""


def _untitled(table: Table) -> str:
    return table.to_markdown().partition("\n\n")[2]


def main() -> None:
    """Run what is asked for, then write page and picture from what is finished."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.longtail")
    parser.add_argument("out", type=Path)
    parser.add_argument("words", metavar="WORD", nargs="*", type=str.lower)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    every = (*MFCC, *SMALL, *OTHERS, TRIED)
    for setting in every:
        if not options.words or any(word in setting.name.lower() for word in options.words):
            run(setting, options.out, options.jobs)
    finished = [setting for setting in every if is_finished(options.out / setting.folder)]
    studies = {s.folder: run(s, options.out, options.jobs) for s in finished}
    drawn = all(setting.folder in studies for setting in MFCC)
    if drawn:
        style.save(picture(studies), PICTURE)
    tables = [table_of(setting, studies[setting.folder]) for setting in finished]
    write_text(PAGE, page(tables, drawn=drawn))
    print(f"written to {PAGE}")


def is_finished(folder: Path) -> bool:
    """Whether a comparison was finished in a folder."""
    if not (folder / "run.json").exists():
        return False
    return bool(Run.open(folder).manifest["status"] == "finished")


if __name__ == "__main__":
    main()
