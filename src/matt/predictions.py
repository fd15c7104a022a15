"""Predictions: what a classifier said of each bag, and everything needed to score or explain it.

Every result is computed from predictions, so they carry the tracks and the training counts with
them: a saved file can be scored years later, by anyone, without the model or the audio.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .bags import Bags
from .errors import DataError, check_arguments, did_you_mean, first_few, in_a_line
from .files import as_array, not_text, read_parquet, reading, write_parquet
from .tracks import Tracks, genres_in_words, named, pandas

if TYPE_CHECKING:
    import pandas as pd

LINKS = ("softmax", "sigmoid", "none")
_SCHEMA = "matt.predictions/1"
_SCORES = "matt.scores/1"  # anyone's CSV, see docs/evaluation.md
_KEYS = ("track_id", "path")
_LABEL = "genre"
_LEAST = 1e-12  # probability: a logit is finite
_HALF = 0.5  # a genre that is more likely than not is given


@dataclass(frozen=True, eq=False)
class Decision:
    """What probabilities assume of genres, and how one is decided that gives rare ones a chance.

    The *likely* genre has the highest probability. The *balanced* one has the highest of
    ``logits - tau * log(shares)``, with the shares of the unit that is decided: with tau = 1 as if
    all genres were equally frequent.

    Attributes
    ----------
    bags : array, shape (G,)
        Share of each genre among bags, which the logits of bags assume.
    tracks : array, shape (G,)
        Among tracks, which the logits of `Predictions.per_track` assume.
    tau : float >= 0
    """

    bags: NDArray[np.float64]
    tracks: NDArray[np.float64]
    tau: float = 1.0

    __repr__ = in_a_line

    def __post_init__(self) -> None:
        for name in ("bags", "tracks"):
            shares = getattr(self, name)
            if not (shares.shape == self.bags.shape and ((shares >= 0) & (shares <= 1)).all()):
                raise DataError(
                    f"the shares of {name} are {first_few(shares)}; give one in [0, 1] a genre"
                )
        check_tau(self.tau)

    def take(self, genres: Sequence[int]) -> Decision:
        """Return the same with genres in another order."""
        return Decision(self.bags[genres], self.tracks[genres], self.tau)


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
    thresholds : float array, shape (G,), optional
        From which probability on each genre is given, where a bag may have several; one half by
        default.
    decision : Decision, optional
        What the logits assume and how a genre is decided, where a bag has one and that is known.

    Raises
    ------
    DataError
        If shapes disagree, the link is unknown, a logit is not finite, or there are thresholds of
        what is no probability of several genres.
    """

    bags: Bags
    tracks: Tracks
    logits: NDArray[np.float32]
    link: str = "softmax"
    segment_offsets: NDArray[np.int64] | None = None
    attention: NDArray[np.float32] | None = None
    segment_logits: NDArray[np.float32] | None = None
    thresholds: NDArray[np.float64] | None = None
    decision: Decision | None = None

    def __repr__(self) -> str:
        known = genres_in_words(self.genres, int((~self.bags.known).sum()))
        parts = "" if self.attention is None else f", explained by {len(self.attention):,} segments"
        tracks = f"{len(self):,} bags of {len(self.tracks):,} tracks"
        return f"Predictions({tracks}; {known}; link {self.link}{parts})"

    def __post_init__(self) -> None:
        check_arguments(bags=(self.bags, Bags), tracks=(self.tracks, Tracks))
        _check_link(self.link)
        if self.logits.shape != (len(self.bags), len(self.genres)):
            raise DataError(
                f"logits have shape {self.logits.shape} for {len(self.bags)} bags and "
                f"{len(self.genres)} genres; give one row a bag and one column a genre"
            )
        bad = np.flatnonzero(~np.isfinite(self.logits).all(axis=1))
        if bad.size:
            tracks = self.bags.track_ids[self.bags.offsets[bad[:1]]]
            raise DataError(
                f"the logits of {bad.size} of {len(self.bags)} bags are NaN or infinite (first: "
                f"that of track {first_few(tracks)}); their model or features are damaged: train "
                "again, or leave these bags out"
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
        if self.thresholds is not None:
            check_thresholds(self.thresholds, self.link, len(self.genres))
        if self.tracks.genres != self.genres:
            raise DataError(
                f"tracks know the genres {first_few(self.tracks.genres)}, bags "
                f"{first_few(self.genres)}; use tracks.with_genres(bags.genres)"
            )
        if self.decision is not None and (
            self.link != "softmax" or len(self.decision.bags) != len(self.genres)
        ):
            raise DataError(
                f"the decision is about {len(self.decision.bags)} genres that exclude each other; "
                f"these are {len(self.genres)}, link {self.link!r}: leave it out"
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

    @property
    def balanced(self) -> NDArray[np.int64]:
        """Genre of each bag where rare ones are given a chance, shape (b,); see `Decision`.

        Where no decision is known it is the most likely one.
        """
        if self.decision is None:
            return self.best
        kept = (1 - self.decision.tau) * logits_of(self.decision.bags, "softmax")
        return np.asarray((self.likelihoods + kept).argmax(axis=1))

    @property
    def likelihoods(self) -> NDArray[np.float64]:
        """Logits as if all genres were equally frequent, shape (b, G), where that is known."""
        assumed = 0.0 if self.decision is None else logits_of(self.decision.bags, "softmax")
        return np.asarray(self.logits.astype(np.float64) - assumed)

    @property
    def given(self) -> NDArray[np.bool_]:
        """Which genres are given to each bag, shape (b, G): those that reach their threshold.

        Raises
        ------
        DataError
            If the link is not ``"sigmoid"``: a bag has one genre then, see `best`.
        """
        if self.link != "sigmoid":
            raise DataError(
                f"several genres are given by the link 'sigmoid', not by {self.link!r}; use best"
            )
        return self.probabilities >= self.limits

    @property
    def limits(self) -> NDArray[np.float64]:
        """Thresholds, or one half for each genre where there are none, shape (G,)."""
        return np.full(len(self.genres), _HALF) if self.thresholds is None else self.thresholds

    def to_pandas(self) -> pd.DataFrame:
        """One row a bag: ``bag`` (its number), ``n_tracks``, ``bag_label``, ``best``, then numbers.

        Where there are thresholds, the genres that are ``given`` stand behind ``best``, as tuples.
        The numbers are ``probability.GENRE`` for every genre, unless the link is ``"none"``, and
        ``logit.GENRE``. Labels are genre names, as in `Tracks.to_pandas`, and ``attrs`` holds
        ``genres``, ``train_counts`` and ``link``. ``bags.to_pandas()`` says by ``bag`` which tracks
        are in it, and ``tracks.to_pandas()`` whose they are. Needs pandas.

        Raises
        ------
        ConfigError
            If pandas is not installed.
        """
        columns: dict[str, Any] = {
            "bag": np.arange(len(self)),
            "n_tracks": self.bags.sizes,
            "bag_label": named(self.labels, self.genres),
            "best": named(self.best, self.genres),
        }
        if self.thresholds is not None:
            columns["given"] = named(self.given, self.genres)
        if self.link != "none":
            columns |= _by_genre("probability", self.probabilities, self.genres)
        columns |= _by_genre("logit", self.logits, self.genres)
        frame: pd.DataFrame = pandas().DataFrame(columns)
        frame.attrs = {**self.bags.take([]).to_pandas().attrs, "link": self.link}
        return frame

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
        check_arguments(bags=(bags, Bags))
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
        alone = probabilities_of(self.likelihoods[rows], self.link)
        sums = np.add.reduceat(alone, bags.offsets[:-1], axis=0)
        logits = logits_of(sums / bags.sizes[:, None], self.link)
        if self.decision is not None:
            logits = (logits + logits_of(self.decision.bags, "softmax")).astype(np.float32)
        bags = replace(bags, train_counts=self.train_counts)
        tracks = self.tracks.take(rows)
        return Predictions(
            bags, tracks, logits, self.link, thresholds=self.thresholds, decision=self.decision
        )

    def per_track(self) -> Predictions:
        """One row a track, with its bag's logits, scored under the *track's own* label.

        A genre whose bags are large has more tracks than bags: where that is known, logits assume
        the shares of tracks.
        """
        logits, decision = np.repeat(self.logits, self.bags.sizes, axis=0), self.decision
        if decision is not None:
            shift = logits_of(decision.tracks, "softmax") - logits_of(decision.bags, "softmax")
            logits = (logits + shift).astype(np.float32)
            decision = replace(decision, bags=decision.tracks)
        return Predictions(
            singletons(self.tracks, self.bags),
            self.tracks,
            logits,
            self.link,
            thresholds=self.thresholds,
            decision=decision,
        )

    def take(self, which: NDArray[np.int64] | Sequence[int]) -> Predictions:
        """Return the chosen bags, in the given order, without segment arrays."""
        bags = self.bags.take(which)
        tracks, logits = self.tracks.take(self.tracks.rows(bags.track_ids)), self.logits
        logits = logits[np.asarray(which)]
        return Predictions(
            bags, tracks, logits, self.link, thresholds=self.thresholds, decision=self.decision
        )

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
        told: dict[str, Any] = {}
        if self.thresholds is not None:
            told["thresholds"] = self.thresholds.tolist()
        if self.decision is not None:
            shares = {name: getattr(self.decision, name).tolist() for name in ("bags", "tracks")}
            told["decision"] = {**shares, "tau": self.decision.tau}
        write_parquet(
            path,
            columns,
            schema=_SCHEMA,
            genres=self.genres,
            link=self.link,
            train_counts=self.train_counts.tolist(),
            **told,
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
            made: dict[str, Any] = dict(segments)
            if (given := meta.get("thresholds")) is not None:
                made["thresholds"] = np.array(given, np.float64)
            if (told := meta.get("decision")) is not None:
                shares = {name: np.array(told[name], np.float64) for name in ("bags", "tracks")}
                made["decision"] = Decision(**shares, tau=float(told["tau"]))
            logits = as_array(table["logits"])[first]
            return cls(bags, tracks, logits, meta["link"], **made)

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
        check_arguments(path=(path, Path | str), tracks=(tracks, Tracks))
        _check_link(link or "softmax")
        read = read_scores(path, tracks.genres, link=link)
        try:
            rows = read.rows_in(tracks)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
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


def logits_of(scores: NDArray[np.float64], link: str) -> NDArray[np.float32]:
    """Logits of probabilities by their link, all finite; scores that are none are left alone."""
    if link == "softmax":
        scores = np.log(scores.clip(_LEAST))
    elif link == "sigmoid":
        scores = np.log(scores.clip(_LEAST) / (1 - scores).clip(_LEAST))
    return scores.astype(np.float32)


def _by_genre(name: str, values: NDArray[Any], genres: Sequence[str]) -> dict[str, NDArray[Any]]:
    return {f"{name}.{genre}": values[:, column] for column, genre in enumerate(genres)}


def _check_link(link: str) -> None:
    if link not in LINKS:
        raise DataError(f"unknown link {link!r}; {did_you_mean(link, LINKS)}")


def check_tau(tau: float) -> None:
    """Refuse what is no tau of a decision.

    Raises
    ------
    DataError
    """
    if not 0 <= tau < math.inf:
        raise DataError(f"tau must be finite and at least 0, got {tau}; 1 is usual")


def check_thresholds(thresholds: NDArray[np.float64], link: str, n_genres: int) -> None:
    """Refuse thresholds that are none of ``n_genres`` probabilities.

    Raises
    ------
    DataError
    """
    if link != "sigmoid":
        raise DataError(
            f"thresholds are of probabilities of several genres, but the link is {link!r}; leave "
            "them out"
        )
    if thresholds.shape != (n_genres,) or not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise DataError(
            f"thresholds of shape {thresholds.shape}, from {thresholds.min(initial=1):g} to "
            f"{thresholds.max(initial=0):g}; give one in [0, 1] for each of {n_genres} genres"
        )


def singletons(tracks: Tracks, like: Bags | Tracks) -> Bags:
    """Every track as a bag of one, with the training counts of ``like``."""
    return replace(Bags.from_tracks(tracks, by="track"), train_counts=like.train_counts)


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """What a file of scores holds, one row a track.

    Attributes
    ----------
    keys : str array, shape (n,)
        Ids or paths of the tracks, as they are written.
    by : {"track_id", "path"}
        Which of the two.
    scores : float array, shape (n, G)
        In the order of the genres that were asked for; 1 for the named genre of hard labels.
    link : {"softmax", "sigmoid", "none"}
        What scores are.
    ignored : tuple of str
        Columns that are none of the schema.
    """

    keys: NDArray[np.str_]
    by: str
    scores: NDArray[np.float64]
    link: str
    ignored: tuple[str, ...]

    def rows_in(self, tracks: Tracks) -> NDArray[np.int64]:
        """Row of each track in a table, shape (n,): under what the table calls it, or by its path.

        Raises
        ------
        DataError
            If a track is not there, or is meant by several rows.
        """
        if self.by == "track_id":
            rows = tracks.rows_known_as(self.keys.tolist())
        else:
            paths = tracks.path if (tracks.path != "").any() else tracks.known_as.astype(np.str_)
            rows = places_of(self.keys, paths)
        different, times = np.unique(rows, return_counts=True)
        if (twice := different[times > 1]).size:
            ways = self.keys[rows == twice[0]].tolist()
            raise DataError(
                f"{twice.size} tracks have several rows (first: {first_few(ways)} are one); give "
                "every track one row"
            )
        return rows

    @property
    def logits(self) -> NDArray[np.float32]:
        """Scores as logits of the link, shape (n, G)."""
        return logits_of(self.scores, self.link)


def read_scores(path: Path | str, genres: Sequence[str], *, link: str | None = None) -> ScoreFile:
    """Read scores by the names of the genres; further columns are ignored.

    Parameters
    ----------
    path : path
        CSV in UTF-8 with a header.
    genres : sequence of str, length G
    link : {"softmax", "sigmoid", "none"}, optional
        ``"softmax"`` by default, ``"none"`` for hard labels. With the first two, values must be
        probabilities, and those of a softmax sum to 1, give or take 0.02 times the root of G, which
        is more than rounding to two digits does.

    Raises
    ------
    DataError
        If the file cannot be read, is of another schema, lacks a column, names a track twice or an
        unknown genre, or a value is no number or no probability; the message names the line.
    """
    header, rows, lines = _lines_of(Path(path))
    twice = [name for name, times in Counter(header).items() if times > 1 and name]
    if twice:
        raise DataError(f"{path}: the column {twice[0]!r} occurs twice; rename or drop one")
    hard = _LABEL in header and not any(genre in header for genre in genres if genre != _LABEL)
    by = next((key for key in _KEYS if key in header), _KEYS[0])
    absent = [name for name in (by, *(() if hard else genres)) if name not in header]
    if absent:
        raise DataError(
            f"{path}: {len(absent)} columns are missing (first: {first_few(absent)}); columns are "
            f"matched by name, one a genre, or {_LABEL!r} for the best alone: "
            f"{did_you_mean(absent[0], header or [_KEYS[0]])}"
        )
    if hard and link not in (None, "none"):
        raise DataError(
            f"{path} names genres and has no scores, so its link is 'none', not {link!r}; give one "
            "column of probabilities a genre, or leave the link out"
        )
    used = (by, _LABEL) if hard else (by, *genres)
    places = [header.index(name) for name in used]
    keys: list[str] = []
    scores = np.zeros((len(rows), len(genres)), np.float64)
    number = {genre: g for g, genre in enumerate(genres)}
    for i, row in enumerate(rows):
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} values for {len(header)} columns")
            key, *given = (row[place] for place in places)
            keys.append(key.strip() if by == "track_id" else key)
            if not hard:
                scores[i] = [float(value) for value in given]
            elif given[0] in number:
                scores[i, number[given[0]]] = 1
            else:
                raise ValueError(
                    f"unknown genre {given[0]!r}, {did_you_mean(given[0], genres).rstrip('?')}"
                )
        except ValueError as error:
            raise DataError(f"{path}, line {lines[i]}: {error}; correct that line") from error
    found = ScoreFile(
        np.array(keys, np.str_),
        by,
        scores,
        "none" if hard else link or "softmax",
        tuple(name for name in header if name not in used),
    )
    _check_scores(path, found, lines)
    return found


def _lines_of(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows, and the line that each row ends on."""
    try:
        content = path.read_bytes()
        if told := not_text(content):
            raise DataError(f"{path} {told}")
        text = content.decode("utf-8-sig")
        skipped = 0
        if text.startswith("#"):
            said, _, text = text.partition("\n")
            skipped, schema = 1, said.strip("#\r ").removeprefix("schema:").strip()
            if schema != _SCORES:
                raise DataError(
                    f"{path} has schema {schema!r}, expected {_SCORES!r}; is it from another "
                    "version of matt?"
                )
        reader = csv.reader(io.StringIO(text, newline=""))
        header = [name.strip() for name in next(reader, [])]
        numbered = [(row, skipped + reader.line_num) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot read {path} ({error}); give a CSV file in UTF-8 with a header"
        ) from error
    return header, [row for row, _ in numbered], [line for _, line in numbered]


def _check_scores(path: Path | str, found: ScoreFile, lines: Sequence[int]) -> None:
    """Refuse tracks that repeat and values that are not what the link says."""
    keys, place = np.unique(found.keys, return_index=True)
    if len(keys) < len(found.keys):
        again = int(np.setdiff1d(np.arange(len(found.keys)), place)[0])
        raise DataError(
            f"{path}, line {lines[again]}: {found.by} {found.keys[again]} was there before "
            f"({len(found.keys) - len(keys)} rows repeat a track); give every track one row"
        )
    scores = found.scores
    bad = ~np.isfinite(scores).all(axis=1)
    remedy = "values must be finite numbers; correct that line"
    if found.link != "none":
        bad |= ((scores < 0) | (scores > 1)).any(axis=1)
        remedy = "values must be probabilities in [0, 1]; for scores that are none use link='none'"
    if not bad.any() and found.link == "softmax":
        sums = scores.sum(axis=1)
        bad = np.abs(sums - 1) > 0.02 * math.sqrt(scores.shape[1])
        total = f"{sums[bad][0]:.3g}" if bad.any() else ""
        others = f" (columns left out: {first_few(found.ignored)})" if found.ignored else ""
        remedy = (
            f"probabilities sum to {total}, not 1; are they of other genres{others}? If several "
            "genres may be true use link='sigmoid', for scores that are no probabilities 'none'"
        )
    if bad.any():
        raise DataError(f"{path}, line {lines[int(np.flatnonzero(bad)[0])]}: {remedy}")


def places_of(keys: NDArray[np.str_], paths: NDArray[np.str_]) -> NDArray[np.int64]:
    """Row of each path in a table, shape (n,): the whole path, or as much of its end as is given.

    Raises
    ------
    DataError
        If a path is not there, or is the end of several.
    """
    ends: dict[str, int] = {}
    wanted = {str(key): 0 for key in keys}
    for row, path in enumerate(paths.tolist()):
        parts = path.replace("\\", "/").split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if end in wanted:
                wanted[end] += 1
                ends[end] = row
    absent = [key for key, times in wanted.items() if not times]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(keys)} paths are not in the table (first: "
            f"{first_few(absent, most=2)}); write them as the table does, or use track_id"
        )
    vague = [key for key, times in wanted.items() if times > 1]
    if vague:
        raise DataError(
            f"{len(vague)} paths are the end of several in the table (first: "
            f"{first_few(vague, most=2)}); give more of each path, or use track_id"
        )
    return np.array([ends[str(key)] for key in keys], np.int64)
