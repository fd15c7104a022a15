"""Predictions: what a classifier said of each bag, and everything needed to score or explain it.

Every result is computed from predictions, so they carry the tracks and the training counts with
them: a saved file can be scored years later, by anyone, without the model or the audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bags import Bags
from .errors import DataError, did_you_mean, first_few
from .files import as_array, read_parquet, reading, write_parquet
from .score_files import places_of, read_scores
from .tracks import Tracks

LINKS = ("softmax", "sigmoid", "none")
_SCHEMA = "matt.predictions/1"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Logits of bags, with the bags, their tracks and the training counts.

    Attributes
    ----------
    bags : Bags
        What was predicted; labels are in the order of ``genres``.
    tracks : Tracks
        The row of every track of the bags, in bag order, with labels in the same order.
    logits : float array, shape (b, G)
    link : {"softmax", "sigmoid", "none"}
        How logits become probabilities; ``"none"`` are scores that are no probabilities.
    segment_offsets : int array, shape (n + 1,), optional
        Where each track's segments start in the two arrays below.
    attention : float array, shape (N, G) or (N, 1), optional
        How much each segment counted; sums to 1 over each bag.
    segment_logits : float array, shape (N, G), optional
        Logits of each segment in its bag: attention times them sums to the bag's logits, unless
        the model's head is not linear. They are what the segment says alone, plus what the bag's
        spread adds, which its segments share.

    Raises
    ------
    DataError
        If shapes disagree or the link is unknown.
    """

    bags: Bags
    tracks: Tracks
    logits: NDArray[np.float32]
    link: str = "softmax"
    segment_offsets: NDArray[np.int64] | None = None
    attention: NDArray[np.float32] | None = None
    segment_logits: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        return f"Predictions({len(self):,} bags, {len(self.genres)} genres, {self.link})"

    def __post_init__(self) -> None:
        _check_link(self.link)
        if self.logits.shape != (len(self.bags), len(self.genres)):
            raise DataError(
                f"logits have shape {self.logits.shape} for {len(self.bags)} bags and "
                f"{len(self.genres)} genres; give one row a bag and one column a genre"
            )
        if not np.array_equal(self.tracks.track_id, self.bags.track_ids):
            raise DataError(
                "tracks must be the tracks of the bags, in bag order; "
                "use tracks.take(tracks.rows(bags.track_ids))"
            )
        if (
            len({self.segment_offsets is None, self.attention is None, self.segment_logits is None})
            > 1
        ):
            raise DataError(
                "segment_offsets, attention and segment_logits belong together; give all or none"
            )
        if self.tracks.genres != self.genres:
            raise DataError(
                f"tracks know the genres {first_few(self.tracks.genres)}, bags "
                f"{first_few(self.genres)}; use tracks.with_genres(bags.genres)"
            )

    def __len__(self) -> int:
        return len(self.bags)

    @property
    def genres(self) -> tuple[str, ...]:
        """Names, in the order of the columns."""
        return self.bags.genres

    @property
    def train_counts(self) -> NDArray[np.int64]:
        """Training tracks of each genre, shape (G,): what makes a genre rare."""
        return self.bags.train_counts

    @property
    def labels(self) -> NDArray[Any]:
        """True genre of each bag, as in `Bags`."""
        return self.bags.labels

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities, shape (b, G).

        Raises
        ------
        DataError
            If the link is ``"none"``.
        """
        return probabilities_of(self.logits, self.link)

    @property
    def best(self) -> NDArray[np.int64]:
        """Most likely genre of each bag, shape (b,)."""
        return np.asarray(self.logits.argmax(axis=1))

    def average_over(self, bags: Bags) -> Predictions:
        """Mean probability of the tracks of each bag: the control that the paper lacks.

        Parameters
        ----------
        bags : Bags
            Of tracks that are each predicted here as a bag of one.

        Raises
        ------
        DataError
            If these are not predictions of lone tracks, or a track is missing.
        """
        if (self.bags.sizes != 1).any():
            raise DataError(
                "only predictions of lone tracks can be averaged; "
                'predict Bags.from_tracks(tracks, by="track") first'
            )
        if bags.genres != self.genres:
            raise DataError(
                f"bags know the genres {first_few(bags.genres)}, these predictions "
                f"{first_few(self.genres)}; make the bags from tracks.with_genres(...)"
            )
        rows = self.tracks.rows(bags.track_ids)
        sums = np.add.reduceat(self.probabilities[rows], bags.offsets[:-1], axis=0)
        mean = (sums / bags.sizes[:, None]).clip(1e-12, None)
        odds = np.log(mean) if self.link == "softmax" else np.log(mean / (1 - mean).clip(1e-12))
        return Predictions(
            replace(bags, train_counts=self.train_counts),
            self.tracks.take(rows),
            odds.astype(np.float32),
            self.link,
        )

    def spread(self) -> Predictions:
        """One row a track, with its bag's logits, scored under the *track's own* label."""
        return Predictions(
            singletons(self.tracks, self.bags),
            self.tracks,
            np.repeat(self.logits, self.bags.sizes, axis=0),
            self.link,
        )

    def take(self, which: NDArray[np.int64] | Sequence[int]) -> Predictions:
        """Return the chosen bags, in the given order, without segment arrays."""
        bags = self.bags.take(which)
        if bags.genres != self.genres:
            raise DataError(
                f"bags know the genres {first_few(bags.genres)}, these predictions "
                f"{first_few(self.genres)}; make the bags from tracks.with_genres(...)"
            )
        rows = self.tracks.rows(bags.track_ids)
        return Predictions(bags, self.tracks.take(rows), self.logits[np.asarray(which)], self.link)

    def save(self, path: Path | str) -> None:
        """Write one Parquet file, one row a track in bag order, logits of its bag repeated."""
        sizes = self.bags.sizes
        labels = np.repeat(self.bags.labels, sizes, axis=0)
        columns: dict[str, Any] = {
            "bag": np.repeat(np.arange(len(self)), sizes),
            "bag_label": labels.tolist() if self.bags.multi_label else labels,
            "logits": list(np.repeat(self.logits.astype(np.float32), sizes, axis=0)),
        }
        columns |= {f"track.{name}": column for name, column in self.tracks.to_columns().items()}
        for name in ("attention", "segment_logits"):
            array = getattr(self, name)
            if array is not None and self.segment_offsets is not None:
                parts = np.split(array.astype(np.float32), self.segment_offsets[1:-1])
                columns[name] = [part.ravel() for part in parts]
        write_parquet(
            path,
            columns,
            schema=_SCHEMA,
            genres=self.genres,
            link=self.link,
            train_counts=self.train_counts.tolist(),
        )

    @classmethod
    def load(cls, path: Path | str) -> Predictions:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is missing or holds no predictions.
        """
        table, meta = read_parquet(path, schema=_SCHEMA)
        with reading(path, "holds no predictions ({})", "make it again"):
            genres = tuple(meta["genres"])
            prefix = "track."
            columns = {
                name.removeprefix(prefix): as_array(table[name])
                for name in table.column_names
                if name.startswith(prefix)
            }
            first = np.flatnonzero(np.diff(as_array(table["bag"]), prepend=-1))
            bags = Bags(
                columns["track_id"],
                np.append(first, len(table)),
                as_array(table["bag_label"])[first],
                genres,
                np.array(meta["train_counts"], np.int64),
            )
            segments: dict[str, NDArray[Any]] = {}
            for name, width in (("attention", None), ("segment_logits", len(genres))):
                if name in table.column_names:
                    parts = table[name].combine_chunks()
                    lengths = np.diff(parts.offsets.to_numpy())
                    if name == "segment_logits":
                        offsets = np.concatenate([[0], np.cumsum(lengths // len(genres))])
                        segments["segment_offsets"] = offsets
                    flat = parts.flatten().to_numpy(zero_copy_only=False)
                    segments[name] = flat.reshape(-1, width or 1)
            if "attention" in segments and "segment_logits" in segments:
                n_segments = len(segments["segment_logits"])
                segments["attention"] = segments["attention"].reshape(n_segments, -1)
            tracks = Tracks.from_columns(columns, genres)
            return cls(bags, tracks, as_array(table["logits"])[first], meta["link"], **segments)

    @classmethod
    def from_csv(cls, path: Path | str, tracks: Tracks, *, link: str | None = None) -> Predictions:
        """Read anyone's predictions, one row a track, schema ``matt.scores/1``.

        Parameters
        ----------
        path : path
            CSV with a header: ``track_id`` (or ``path``) and one column of scores a genre, matched
            by name, or a column ``genre`` with the best alone. Further columns are ignored.
        tracks : Tracks
            Gives labels and training counts.
        link : {"softmax", "sigmoid", "none"}, optional
            ``"softmax"`` (the default) and ``"sigmoid"`` read probabilities, ``"none"`` scores that
            are none; a file that names genres alone has none.

        Raises
        ------
        DataError
            If a column or a track is missing, or a value is not what the link says; the message
            names the line.
        """
        _check_link(link or "softmax")
        read = read_scores(path, tracks.genres, link=link)
        rows = places_of(read.keys, tracks.path) if read.by == "path" else tracks.rows(read.keys)
        chosen = tracks.take(rows)
        return cls(singletons(chosen, tracks), chosen, read.logits, read.link)


def probabilities_of(logits: NDArray[Any], link: str) -> NDArray[np.float64]:
    """Probabilities of logits, shape (b, G), by their link.

    Raises
    ------
    DataError
        If the link is ``"none"``.
    """
    logits = logits.astype(np.float64)
    if link == "softmax":
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True))
    if link == "sigmoid":
        return np.asarray(0.5 * (1 + np.tanh(logits / 2)))  # the logistic function, no overflow
    raise DataError(
        "these scores are no probabilities (link none), so only their order can be used; "
        "fit a model with a softmax or sigmoid link"
    )


def _check_link(link: str) -> None:
    if link not in LINKS:
        raise DataError(f"unknown link {link!r}; {did_you_mean(link, LINKS)}")


def singletons(tracks: Tracks, like: Bags | Tracks) -> Bags:
    """Every track as a bag of one, with the training counts of ``like``."""
    return replace(Bags.from_tracks(tracks, by="track"), train_counts=like.train_counts)
