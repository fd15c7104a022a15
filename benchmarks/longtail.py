"""``python -m benchmarks.longtail OUT``: what helps rare genres, on all data at hand.

Runs ``experiments/grid_longtail.toml`` (and, on one of the data sets,
``experiments/grid_longtail_more.toml``) on repeated artist-disjoint splits, resumable in the folder
OUT, and writes docs/longtail.md with its picture from the runs. The real FMA files are in the
folder that the environment variable MATT_SHARED_DATA names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "longtail.md"
PICTURE = ROOT / "docs" / "images" / "longtail.png"
RECIPES, MORE = (ROOT / "experiments" / f"grid_longtail{end}.toml" for end in ("", "_more"))
DEFAULT = "default"
DRAWN = {
    "paper": "MATT as in the paper",
    "control: paper/mil": "track model, averaged",
    "control: matt/default/attention": "the same with logit adjustment",
    DEFAULT: "default",
}


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
    tracks = data.tracks.with_split([""] * len(data.tracks))
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
    notes = (
        f"{setting.repeats} splits, {min(scored):,} to {max(scored):,} test tracks. "
        f"{rule[:1].upper()}{rule[1:]}. Rows are ordered by macro-F1 of validation; best control: "
        f"{control.name!r}.",
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
    panels = (
        (
            [s for s in MFCC if s.folder in studies],
            lambda s: s.keep["Hip-Hop"],
            "training tracks of Hip-Hop",
        ),
        (
            [s for s in SMALL if s.folder in studies and s.imbalance > 1],
            lambda s: s.imbalance,
            "largest genre against smallest",
        ),
    )
    looks = zip(("-", "--", "-.", "-"), "sov^", strict=True)
    styles = dict(zip(DRAWN, looks, strict=True))
    with style.settings():
        figure, axes = style.panels(2, height=3.4)
        for ax, (settings, number, label) in zip(axes, panels, strict=True):
            for name, told in DRAWN.items():
                found = [
                    spread_of(
                        next(r for r in studies[s.folder].standings if r.name == name).values(
                            "tail_recall", "test"
                        )
                    )
                    for s in settings
                ]
                line, mark = styles[name]
                half = [2 * one.sd / one.n**0.5 for one in found]
                ax.errorbar(
                    [number(s) for s in settings],
                    [one.mean for one in found],
                    yerr=half,
                    linestyle=line,
                    marker=mark,
                    markersize=4,
                    capsize=2,
                    label=told,
                    color=style.TAIL if name == DEFAULT else None,
                )
            ax.set(xscale="log", xlabel=label, ylim=(0, 1), ylabel="tail recall")
            ticks = [number(s) for s in settings]
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            ax.minorticks_off()
        axes[0].set_title("Rock and a Hip-Hop tail")
        axes[1].set_title("FMA-small, eight genres")
        axes[0].legend(fontsize=7.5, loc="lower right")
    return figure


TEXT = """\
# The long tail: the evidence

<!-- Written by `python -m benchmarks.longtail OUT`: change that, not this page. -->

Which recipe is best where some genres are rare? Every table below is made from runs of
`experiments/grid_longtail.toml` with `matt compare`: repeated artist-disjoint splits (70 / 10 / 20 % of the
artists of each genre), the best epoch and the order of the rows chosen on validation, test scored once.
Each number is the mean over splits ± its standard deviation; unit: each track under its own label, with the prediction
of its bag. The last column is paired by split, ± half of the 95 % t interval. Splits share tracks, so true intervals are wider.

![Tail recall against the number of tail tracks](images/longtail.png)

*Tail recall on test: mean over splits, with twice its standard error. Left: training tracks of Hip-Hop cut to so
many. Right: training tracks of eight genres cut exponentially, in an order that each split draws.*

The rows: `paper` is MATT as the paper trains it (one query a genre, of which the true one reads in training), `mil` the mean,
both with plain cross-entropy; `matt` has all queries and logit adjustment; `default` is what `matt train` does without a
configuration; `attention` the same with one learned attention, `three` the same with three networks, at three times the cost.
A control is the track model averaged over the bag, with the loss, inputs and number of networks of the rows that its name tells.

"""


def page(tables: Iterable[Table]) -> str:
    """The text of docs/longtail.md."""
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    body = "\n".join(f"## {table.title}\n\n{_untitled(table)}" for table in tables)
    return f"{TEXT}{body}\nMeasured with {used}.\n"


def _untitled(table: Table) -> str:
    return table.to_markdown().partition("\n\n")[2]


def main() -> None:
    """Run everything that is not there yet, then write page and picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.longtail")
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    studies, tables = {}, []
    for setting in (*MFCC, *SMALL, *OTHERS, TRIED):
        studies[setting.folder] = run(setting, options.out, options.jobs)
        tables.append(table_of(setting, studies[setting.folder]))
        print(tables[-1].to_markdown(), flush=True)
    style.save(picture(studies), PICTURE)
    write_text(PAGE, page(tables))
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
