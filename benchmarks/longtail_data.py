"""The data that recipes for rare genres are compared on, each under an imbalance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.progress import Progress as Bars

from matt.datasets.folder import scan
from matt.datasets.synthetic import write_library
from matt.features.extract import extract
from matt.features.spec import FeatureSettings
from matt.features.store import FeatureStore
from matt.grid.setups import read_grid
from matt.grid.study import RepeatedSplits, Study, compare
from matt.reproduce.data import open_data
from matt.tracks import Tracks

ROOT = Path(__file__).parents[1]
RECIPES, MORE, DEFAULTS = (
    ROOT / "experiments" / f"grid_{name}.toml"
    for name in ("longtail", "longtail_more", "longtail_default")
)
SYNTHETIC = "synthetic"
_HEARD = FeatureSettings(policy="middle", duration=8.0)  # of each synthetic track


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A data set under one imbalance.

    Attributes
    ----------
    name : str
        In the text.
    data : str
        As `open_data` takes it, or `SYNTHETIC`.
    repeats : int
    imbalance : float
    keep : dict of str to int
    n_tracks : int, optional
        Of what is simulated or synthetic.
    artists : int
        Not 0: labels are the finest genres that the file gives, of those with so many artists.
    features : str
        The feature set; by default the one that holds the most.
    grid : Path
    """

    name: str
    data: str
    repeats: int = 20
    imbalance: float = 1.0
    keep: Mapping[str, int] = field(default_factory=dict)
    n_tracks: int | None = None
    artists: int = 0
    features: str = ""
    grid: Path = RECIPES

    @property
    def folder(self) -> str:
        """Below OUT."""
        kept = "".join(f"-{genre}-{n}" for genre, n in self.keep.items())
        finest = f"-finest-{self.artists}" if self.artists else ""
        features = f"-{self.features}" if self.features else ""
        parts = f"{self.data}-{self.imbalance:g}{kept}{finest}{features}-{self.grid.stem}"
        return parts.replace(" ", "-")


SMALL = [
    Setting(
        name=f"FMA-small, 46 features, {f'training cut to 1:{cut}' if cut > 1 else 'balanced'}",
        data="fma-small-46",
        imbalance=cut,
    )
    for cut in (1, 10, 50, 100)
]
MFCC = [
    Setting(
        name=f"FMA, 140 MFCC statistics, Rock and {n} training tracks of Hip-Hop",
        data="fma-mfcc",
        keep={"Hip-Hop": n},
    )
    for n in (10, 20, 40, 80, 160)
]
OTHERS = [
    Setting(name="Simulated FMA, 16 genres", data="simulated", n_tracks=4_000),
    Setting(name="Synthetic library, 9 invented genres", data=SYNTHETIC, n_tracks=800),
]
TRIED = Setting(
    name="What else was tried: FMA-small, training cut to 1:50",
    data="fma-small-46",
    imbalance=50,
    repeats=10,
    grid=MORE,
)


NATURAL = Setting(
    name="FMA-small, 46 features, its finest genres as they are frequent",
    data="fma-small-46",
    artists=30,
)
SIMULATED = Setting(
    name="Simulated FMA, 16 genres, 140 MFCC statistics",
    data="simulated",
    n_tracks=4_000,
    features="mfcc",
)
AGAINST = [
    replace(setting, name=f"Strong controls: {setting.name}", grid=DEFAULTS)
    for setting in (*SMALL, *MFCC, NATURAL, SIMULATED)
    if setting.imbalance in (1, 50)
]


@dataclass(frozen=True, eq=False)
class Material:
    """What a setting is run on."""

    tracks: Tracks  # without splits
    features: FeatureStore
    bags: str
    notes: tuple[str, ...]


def load(setting: Setting, out: Path) -> Material:
    """Open the data of a setting; the synthetic library is written and heard below OUT."""
    if setting.data == SYNTHETIC:
        return _synthetic(setting.n_tracks or 400, out)
    data = open_data(setting.data, n_tracks=setting.n_tracks)
    tracks = data.tracks.with_split(np.full(len(data.tracks), ""))
    if setting.artists:
        tracks = finest(tracks, setting.artists)
    return Material(tracks, data.features(setting.features or data.fullest), data.bags, data.notes)


def finest(tracks: Tracks, artists: int) -> Tracks:
    """Tracks under the last of their genres in the file, of those with so many artists."""
    last = np.array([text.strip("[]").split(",")[-1].strip() for text in tracks.columns[GENRES]])
    pairs = np.unique(np.stack([last, tracks.artist_id.astype(str)], axis=1), axis=0)
    names, n_artists = np.unique(pairs[:, 0], return_counts=True)
    kept = [str(name) for name, n in zip(names, n_artists, strict=True) if name and n >= artists]
    found = np.flatnonzero(np.isin(last, kept))
    labels = np.searchsorted(kept, last[found])
    return replace(tracks.take(found), labels=labels, genres=tuple(kept))


GENRES = "table_genres"  # ids of FMA's genres, from coarse to fine


def _synthetic(n_tracks: int, out: Path) -> Material:
    library, store = out / f"library-{n_tracks}", out / f"features-{n_tracks}"
    write_library(library, tracks=n_tracks)
    found = scan(library).tracks
    extract(found, _HEARD.spec(), store)
    features = FeatureStore.open(store)
    kept = found.take(np.isin(found.track_id, features.track_ids))
    return Material(kept, features, "album", ("Invented music: nothing about real music follows.",))


def run(setting: Setting, out: Path, jobs: int) -> Study:
    """Run or resume one comparison."""
    data = load(setting, out)
    grid = read_grid(setting.grid, [f"bags={data.bags}"])
    (digest,) = grid.specs
    protocol = RepeatedSplits(
        repeats=setting.repeats, imbalance=setting.imbalance, keep=setting.keep
    )
    with Bars(transient=True) as bars:
        bar = bars.add_task(setting.name)
        return compare(
            data.tracks,
            {digest: data.features},
            grid,
            out / setting.folder,
            protocol=protocol,
            jobs=jobs,
            test=True,
            controls=setting.grid == DEFAULTS,
            notes=data.notes,
            progress=lambda now: bars.update(bar, total=now.total, completed=now.done),
        )
