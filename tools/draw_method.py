"""Draw docs/images/bag.png and workflow.png: real bags of the tracks inside the package.

python tools/draw_method.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matt import Bags, splits
from matt.datasets.embedded import fma_mfcc
from matt.errors import DataError
from matt.evaluation import style
from matt.evaluation.style import COMMON, FAINT, INK, TAIL
from matt.models.neural import NeuralClassifier
from matt.models.settings import ModelSettings, TrainingSettings
from matt.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (5, 3, 1)  # tracks of the bags of the example
CHOSEN = (0, 2, 4)  # of the bags of that size, so that both genres are there
BAG = 5  # tracks of the bag of the workflow
MOST = 8  # tracks of a bag that are drawn
_HEAT: dict[str, Any] = {
    "aspect": "auto",
    "cmap": "RdBu_r",
    "vmin": -2.5,
    "vmax": 2.5,
    "interpolation": "nearest",
}


@dataclass(frozen=True)
class Album:
    """One bag, as it is drawn.

    Attributes
    ----------
    title : str
        Which album and artist.
    tracks : sequence of str, length n
        Titles.
    values : array, shape (n, F)
        Features of each track, standardised.
    genre : str
        Of the bag.
    genres : sequence of str, length n
        Of each track.
    """

    title: str
    tracks: Sequence[str]
    values: NDArray[np.floating]
    genre: str
    genres: Sequence[str]

    def __post_init__(self) -> None:
        n = len(self.tracks)
        if not 1 <= n <= MOST or len(self.values) != n or len(self.genres) != n:
            raise DataError(
                f"bag {self.title!r} has {n} titles, {len(self.values)} rows of features and "
                f"{len(self.genres)} genres; give one each a track, of 1 to {MOST} tracks"
            )


def bag_example(albums: Sequence[Album]) -> Figure:
    """Fig. 2: bags, the tracks in them as strips of their features, and the label of each bag.

    Parameters
    ----------
    albums : sequence of Album
    """
    from matplotlib.patches import FancyBboxPatch

    with style.settings():
        n_rows = sum(len(album.tracks) for album in albums) + 1.3 * len(albums)
        figure, ax = style.axes(height=0.35 + 0.2 * n_rows, width=style.WIDTH)
        ax.set_axis_off()
        ax.set_xlim(0, 10)
        ax.set_ylim(n_rows, -0.1)
        top = 0.0
        for album in albums:
            n = len(album.tracks)
            ax.add_patch(
                FancyBboxPatch(
                    (0.05, top + 0.05),
                    7.3,
                    n + 1.0,
                    boxstyle="round,pad=0,rounding_size=0.15",
                    facecolor="#F3F6F9",
                    edgecolor=FAINT,
                    linewidth=0.8,
                )
            )
            ax.text(0.2, top + 0.5, style.label(album.title, most=52), va="center", weight="bold")
            for k, (track, genre) in enumerate(zip(album.tracks, album.genres, strict=True)):
                middle = top + 1.4 + k
                ax.text(0.25, middle, style.label(track, most=34), va="center", fontsize=8)
                _strip(ax, album.values[k], left=3.75, right=6.3, top=middle - 0.32, height=0.64)
                ax.text(6.4, middle, style.label(genre, most=14), va="center", fontsize=8)
            centre = top + 0.05 + (n + 1.0) / 2
            ax.annotate(
                "",
                xy=(8.05, centre),
                xytext=(7.4, centre),
                arrowprops={"arrowstyle": "-|>", "color": INK},
            )
            told = f"{style.label(album.genre, most=18)}\n{n} track{'s' * (n != 1)}"
            ax.text(8.15, centre, told, va="center", color=COMMON, weight="bold")
            top += n + 1.3
    return figure


def workflow(
    predictions: Predictions, values: NDArray[np.floating], *, title: str, encoder: str
) -> Figure:
    """Fig. 3: one bag through the network, with the numbers that it computed.

    Parameters
    ----------
    predictions : Predictions
        Of one bag of 2 to 8 lone segments, with attention and the logits of segments.
    values : array, shape (n, F)
        Features of the tracks, standardised.
    title, encoder : str
        Which bag it is, and what encodes it.

    Raises
    ------
    DataError
        If it is another bag.
    """
    attention, logits = predictions.attention, predictions.segment_logits
    n, n_genres = len(values), len(predictions.genres)
    if attention is None or logits is None or len(predictions) != 1 or len(attention) != n:
        raise DataError(
            f"a workflow shows one bag with its attention and the logits of its segments, one a "
            f"track; got {len(predictions)} bags for {n} rows of features"
        )
    attention = np.broadcast_to(attention, (n, n_genres))
    genres = [style.label(genre, most=12) for genre in predictions.genres]
    with style.settings():
        ratios = [3.2, 1.4, 0.55 * n_genres + 0.5, 0.55 * n_genres + 0.5, 1.6]
        figure, panes = style.panels(5, height=1.35 + 0.3 * n, ratios=ratios)
        first, arrow, weights, scores, last = panes
        first.imshow(values, **_HEAT)
        first.set_title(f"1  features\n{n} tracks x {values.shape[1]}", loc="left")
        first.set_yticks(range(n), labels=[str(t) for t in predictions.bags.track_ids])
        first.set_ylabel("track id")
        first.set_xticks([])
        arrow.set_axis_off()
        arrow.set_title("2  encoder", loc="left")
        arrow.annotate(
            "",
            xy=(1, 0.5),
            xytext=(0, 0.5),
            xycoords="axes fraction",
            arrowprops={"arrowstyle": "-|>", "color": INK},
        )
        arrow.text(0.5, 0.56, style.label(encoder, most=18), ha="center", fontsize=8)
        arrow.text(0.5, 0.38, "$h_k$", ha="center", transform=arrow.transAxes)
        _cells(weights, attention, "Blues", (0, 1), ".2f", genres)
        weights.set_title("3  attention\n$a_{kg}$", loc="left")
        most = float(np.abs(logits).max()) or 1.0
        _cells(scores, logits, "PuOr_r", (-most, most), "+.1f", genres)
        scores.set_title("4  logits\n$l_{kg}$", loc="left")
        shares = predictions.probabilities[0]
        found = int(shares.argmax())
        colours = [TAIL if g == found else COMMON for g in range(n_genres)]
        style.bar_values(last, shares.tolist(), colours, ".2f", space=0.6)
        last.set_title("5  softmax of\n$\\Sigma_k\\, a_{kg} l_{kg}$", loc="left")
        style.names(last.yaxis, list(predictions.genres), most=12)
        last.set_xticks([])
        figure.suptitle(style.label(title, most=80), x=0.01, ha="left", fontsize=9, weight="bold")
    return figure


def _strip(
    ax: Axes, values: NDArray[np.floating], *, left: float, right: float, top: float, height: float
) -> None:
    """Draw the features of one track as a strip of colours."""
    ax.imshow(
        values[None, :],
        **_HEAT,
        extent=(left, right, top + height, top),
        zorder=3,
    )


def _cells(
    ax: Axes,
    values: NDArray[np.floating],
    cmap: str,
    ends: tuple[float, float],
    layout: str,
    genres: Sequence[str],
) -> None:
    """Draw numbers in coloured cells, a row a track and a column a genre."""
    ax.imshow(values, aspect="auto", cmap=cmap, vmin=ends[0], vmax=ends[1], alpha=0.8)
    low, high = ends
    for (k, g), value in np.ndenumerate(values):
        place = (value - low) / (high - low)
        dark = place > 0.7 if low >= 0 else abs(place - 0.5) > 0.35
        text = format(value, layout).replace("0.", ".", 1).replace("-", "\u2212")
        ax.text(g, k, text, ha="center", va="center", color="white" if dark else INK, fontsize=8)
    ax.set_xticks(range(len(genres)), labels=genres, fontsize=7.5)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def main() -> None:
    """Draw both."""
    images = Path(__file__).parents[1] / "docs/images"
    tracks, features = fma_mfcc()
    tracks = splits.by_artist(tracks, seed=0)
    everything, _ = features.read(tracks.track_id)
    values = (everything - everything.mean(axis=0)) / everything.std(axis=0)
    bags = Bags.from_tracks(tracks, by="artist_run", split="test")
    albums = []
    for size, place in zip(SIZES, CHOSEN, strict=True):
        bag = np.flatnonzero(bags.sizes == size)[place]
        rows = tracks.rows(bags.take([bag]).track_ids)
        there = tracks.take(rows)
        albums.append(
            Album(
                title=f"{there.columns['artist'][0]} (artist {there.artist_id[0]})",
                tracks=[
                    f"{n}  {title}"
                    for n, title in zip(there.track_id, there.columns["title"], strict=True)
                ],
                values=values[rows],
                genre=tracks.genres[bags.labels[bag]],
                genres=[tracks.genres[label] for label in there.labels],
            )
        )
    style.save(bag_example(albums), images / "bag.png")
    settings = ModelSettings(pooling="dot", spread=False)  # attention times logits is all there is
    network = NeuralClassifier(settings, TrainingSettings(epochs=60))
    train = Bags.from_tracks(tracks, by="artist_run", split="training")
    valid = Bags.from_tracks(tracks, by="artist_run", split="validation")
    network.fit(features, train, valid=valid)
    some = bags.take(np.flatnonzero(bags.sizes == BAG))
    made = network.predict(features, tracks, some, explain=True)
    # The bag whose attention differs most between its tracks: the others would show less.
    spread = [made.attention[i * BAG : (i + 1) * BAG].max() for i in range(len(some))]
    bag = some.take([int(np.argmax(spread))])
    found = network.predict(features, tracks, bag, explain=True)
    there = tracks.take(tracks.rows(bag.track_ids))
    figure = workflow(
        found,
        values[tracks.rows(bag.track_ids)],
        title=f"{there.columns['artist'][0]}, {BAG} tracks, {tracks.genres[bag.labels[0]]}",
        encoder="128 ReLU",
    )
    style.save(figure, images / "workflow.png")
    sys.stdout.write(f"{images / 'bag.png'}\n{images / 'workflow.png'}\n")


if __name__ == "__main__":
    main()
