"""A model on disk: ``model.json`` says what it is, ``weights.safetensors`` holds its arrays.

Networks have their graph beside these, ``model.onnx``. Nothing is pickled, so opening a model runs
none of its content. ``model.json`` is written last and holds the checksums of the others: a folder
without it, or with another one's weights or graph, is no model.

Every fitted classifier keeps what it knows of its data in the same words, and asks the same of bags
before: labels, two genres, disjoint tracks, one order of genres.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..bags import Bags
from ..calibration.coverage import Coverage
from ..calibration.priors import TrainedPrior
from ..errors import ConfigError, DataError, check_arguments, first_few
from ..features.blocks import check_spec
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..files import read_arrays, read_json, replacing, write_json
from ..predictions import check_thresholds
from ..tracks import Tracks, genres_in_words, relabel
from .registry import POOLINGS
from .settings import ModelSettings, TrainingSettings

SCHEMA = "matt.model/1"
MODEL, WEIGHTS, GRAPH = "model.json", "weights.safetensors", "model.onnx"
_MOST = 2**23  # bytes of model.json
_MOST_GRAPH = 2**24  # bytes of model.onnx beside its weights


def write_model(
    path: Path | str,
    kind: str,
    content: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    graph: bytes | None = None,
) -> None:
    """Write a model folder; each file is whole or absent.

    Parameters
    ----------
    path : path
        The folder, made if it is missing; a model that it holds is replaced.
    kind : str
        Which classifier reads it.
    content : mapping
        What JSON can hold.
    arrays : mapping of str to array
    graph : bytes, optional
        Of networks, as ONNX.
    """
    from safetensors.numpy import save

    check_arguments(path=(path, str | PathLike))
    path = Path(path)
    data = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    with replacing(path / WEIGHTS) as temporary:
        temporary.write_bytes(data)
    head = {"schema": SCHEMA, "kind": kind, "weights_sha256": hashlib.sha256(data).hexdigest()}
    if graph is None:
        (path / GRAPH).unlink(missing_ok=True)  # of a model that was here before
    else:
        with replacing(path / GRAPH) as temporary:
            temporary.write_bytes(graph)
        head["graph_sha256"] = hashlib.sha256(graph).hexdigest()
    write_json(path / MODEL, {**head, **content})


def read_model(path: Path | str, *, kind: str | None = None) -> dict[str, Any]:
    """Content of ``model.json``, with its ``kind``.

    Raises
    ------
    DataError
        If the folder is no model, one of another version of the layout, or of another kind.
    """
    check_arguments(path=(path, str | PathLike))
    path = Path(path)
    if not (path / MODEL).is_file():
        raise DataError(
            f"{path} is not a model folder (no {MODEL}); give the folder that a model was saved to"
        )
    content = read_json(path / MODEL, most=_MOST)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"{path / MODEL} has the schema {schema!r}, expected {SCHEMA!r}; "
            "open it with the version of matt that wrote it, or train again"
        )
    if not isinstance(content.get("kind"), str):
        raise DataError(f"{path / MODEL} names no kind of classifier; save the model again")
    if kind not in (None, content["kind"]):
        raise DataError(
            f"{path} holds a model of kind {content['kind']!r}, not {kind!r}; "
            "open it with GenreClassifier.load"
        )
    return dict(content)


def read_weights(path: Path | str, content: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Arrays of a model, by name.

    Parameters
    ----------
    path : path
    content : mapping
        What `read_model` gave.

    Raises
    ------
    DataError
        If the file is missing, broken, not the one that ``model.json`` was written for, or holds
        a number that is not finite.
    """
    file = _checked(path, WEIGHTS, content.get("weights_sha256"))
    arrays, _ = read_arrays(file, remedy="save the model again")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and (bad := int((~np.isfinite(array)).sum())):
            raise DataError(
                f"{file}: {bad} of {array.size} numbers of {name!r} are NaN or infinite, and would "
                "be so in what it predicts; copy the whole model folder again, or train again"
            )
    return arrays


def read_graph(path: Path | str, content: Mapping[str, Any]) -> bytes:
    """Graph of a model's networks, as it is in the file; it is not trusted by this.

    Parameters
    ----------
    path : path
    content : mapping
        What `read_model` gave.

    Raises
    ------
    DataError
        If the file is missing, larger than its weights let it be, or not the one that
        ``model.json`` was written for.
    """
    file = Path(path) / GRAPH
    most = (Path(path) / WEIGHTS).stat().st_size + _MOST_GRAPH
    if file.is_file() and file.stat().st_size > most:
        raise DataError(
            f"{file} has {file.stat().st_size:,} bytes, more than {most:,}, which its weights "
            "could explain; copy the whole model folder again, or train again"
        )
    return _checked(path, GRAPH, content["graph_sha256"]).read_bytes()


def _checked(path: Path | str, name: str, digest: object) -> Path:
    """File of a model folder, once it is known to be the one that belongs there."""
    file = Path(path) / name
    if not file.is_file():
        raise DataError(f"{path} has no {name}; copy the whole model folder, or train again")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != digest:
        raise DataError(
            f"{file} is not the file that {MODEL} was written for; copy the whole model folder "
            "again, or train again"
        )
    return file


class Fitted:
    """Base of all classifiers: the attributes that they share, see `GenreClassifier`."""

    def __init__(self) -> None:
        self.genres: tuple[str, ...] = ()
        self.train_counts: NDArray[np.int64] = np.array([], np.int64)
        self.spec: FeatureSpec | None = None
        self.link = "softmax"
        self.prior: TrainedPrior | None = None
        self.coverage: Coverage | None = None
        self.thresholds: NDArray[np.float64] | None = None
        self.history: list[dict[str, float]] = []
        self.notes: tuple[str, ...] = ()


def fitted_in_words(model: Fitted) -> str:
    """What a classifier reads and gives, for its line in a notebook."""
    if model.spec is None or not model.genres:
        return "not fitted"
    genres, n = genres_in_words(model.genres, 0), int(model.train_counts.sum())
    return f"from {model.spec.name!r} to {genres}, {n:,} training tracks"


def check_fit(features: FeatureStore, bags: Bags, valid: Bags | None) -> None:
    """Refuse arguments of `fit` that are swapped.

    Raises
    ------
    ArgumentError
    """
    check_arguments(
        features=(features, FeatureStore), bags=(bags, Bags), valid=(valid, Bags | None)
    )


def check_fitted(spec: FeatureSpec | None, learned: Sized) -> FeatureSpec:
    """Return the spec of a classifier that has learned something.

    Raises
    ------
    DataError
    """
    if spec is None or not len(learned):
        raise DataError("this model is not fitted; call fit(...), or load a saved one")
    return spec


def readied(
    model: Fitted, learned: Sized, features: FeatureStore, tracks: Tracks, bags: Bags
) -> tuple[Tracks, Bags]:
    """Return the tracks of bags, in bag order, and the bags, both in the genres of a model.

    Raises
    ------
    ArgumentError
        If arguments are swapped.
    DataError
        If the model is not fitted, features are of another spec, or a track is not in the table.
    """
    check_arguments(features=(features, FeatureStore), tracks=(tracks, Tracks), bags=(bags, Bags))
    spec = check_fitted(model.spec, learned)
    check_spec(features.spec, spec, f"the given store {features.spec.name!r}")
    rows = tracks.take(tracks.rows(bags.track_ids)).with_genres(model.genres, unknown="drop")
    return rows, align(bags, model.genres, model.train_counts)


def described(model: Fitted, spec: FeatureSpec, versions: Mapping[str, str]) -> dict[str, Any]:
    """What JSON can hold of a fitted model.

    Parameters
    ----------
    model : Fitted
    spec : FeatureSpec
        Of the features that it takes.
    versions : mapping of str to str
        Of the library that fitted it; those of matt and NumPy are added.
    """
    limits = model.thresholds
    return {
        "genres": list(model.genres),
        "train_counts": model.train_counts.tolist(),
        "link": model.link,
        "prior": None if model.prior is None else model.prior.to_json(),
        "coverage": None if model.coverage is None else model.coverage.to_json(),
        **({} if limits is None else {"thresholds": limits.tolist()}),
        "spec_digest": spec.digest,
        "spec": spec.to_json(),
        "notes": list(model.notes),
        "versions": {"matt": __version__, **versions, "numpy": np.__version__},
    }


def restore(model: Fitted, content: Mapping[str, Any], *, links: Sequence[str]) -> FeatureSpec:
    """Give a model what `described` wrote, and return its spec.

    Parameters
    ----------
    model : Fitted
    content : mapping
        As read from a file; call this within `telling_damage`.
    links : sequence of str
        Those that it may have.

    Raises
    ------
    DataError
        If parts do not fit each other.
    """
    spec = FeatureSpec.from_json(content["spec"])
    model.genres = tuple(str(genre) for genre in content["genres"])
    model.train_counts = np.array(content["train_counts"], np.int64)
    model.spec, model.link = spec, str(content["link"])
    model.notes = tuple(str(note) for note in content["notes"])
    if spec.digest != content["spec_digest"]:
        raise DataError("the digest of its spec differs")
    if model.train_counts.shape != (len(model.genres),):
        raise DataError("genres and training counts do not fit each other")
    if model.link not in links:
        raise DataError(f"unknown link {model.link!r}")
    prior, coverage = content["prior"], content["coverage"]
    n_genres = len(model.genres)
    model.prior = None if prior is None else TrainedPrior.from_json(prior, n_genres=n_genres)
    model.coverage = None if coverage is None else Coverage.from_json(coverage)
    limits = content.get("thresholds")
    model.thresholds = None if limits is None else np.array(limits, np.float64)
    if model.thresholds is not None:
        check_thresholds(model.thresholds, model.link, n_genres)
    return spec


@contextmanager
def telling_damage(place: Path) -> Iterator[None]:
    """Whatever is wrong with the content of a file means that it is damaged.

    Raises
    ------
    DataError
        Naming the file.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"{place} is damaged ({why}); copy the model again, or train again"
        ) from error


def check_bags(bags: Bags, valid: Bags | None, model: ModelSettings) -> None:
    """Refuse training bags that cannot be learned from.

    Parameters
    ----------
    bags, valid : Bags
        For training and, optionally, for validation.
    model : ModelSettings

    Raises
    ------
    DataError
        If a bag has no known genre, fewer than two genres have a training bag, or the two kinds of
        bags share tracks or differ in genres.
    ConfigError
        If the model needs one genre a bag and bags may have several.
    """
    for name, given in {"training": bags, "validation": valid}.items():
        if given is not None and not given.known.all():
            raise DataError(
                f"{int((~given.known).sum())} of {len(given)} {name} bags have no known genre; "
                "leave them out with bags.labelled()"
            )
    here = np.flatnonzero(bags_per_genre(bags))
    if len(here) < 2:
        names = first_few(bags.genres[genre] for genre in here)
        raise DataError(
            f"training bags of only {len(here)} genre ({names}): there is nothing to tell apart; "
            "add bags of another genre"
        )
    if bags.multi_label and model.query == "true":
        raise ConfigError(
            "query='true' reads a bag with its one true genre, but these bags may have several; "
            "use query='all'"
        )
    if bags.multi_label and model.tanh_pooled:
        raise ConfigError(
            "tanh_pooled takes its scores from a softmax over the genres, but these bags may have "
            "several; use tanh_pooled=false"
        )
    if valid is None:
        return
    if valid.genres != bags.genres or valid.multi_label != bags.multi_label:
        raise DataError(
            f"validation bags know the genres {first_few(valid.genres)}, training bags "
            f"{first_few(bags.genres)}; make both from one table of tracks"
        )
    both = np.intersect1d(bags.track_ids, valid.track_ids)
    if both.size:
        raise DataError(
            f"{both.size} tracks are both in training and in validation (first: "
            f"{first_few(both)}); split the tracks with matt.splits"
        )


def check_training(
    bags: Bags,
    valid: Bags | None,
    model: ModelSettings,
    training: TrainingSettings,
    *,
    n_processes: int = 1,
) -> None:
    """Refuse settings of training that these bags, or this model, cannot have.

    Raises
    ------
    ConfigError
        Naming every such setting.
    """
    problems = []
    if bags.multi_label:
        for name, wrong, use in (
            ("loss", "class_balanced", "'cross_entropy' or 'focal'"),
            ("sampler", "sqrt", "'natural'"),
            ("sampler", "balanced", "'natural'"),
            ("head_tuning", "crt", "'none'"),
            ("head_tuning", "tau_norm", "'none'"),
        ):
            if getattr(training, name) == wrong:
                problems.append(
                    f"{name}={wrong!r} goes by the one genre of a bag, but these bags may have "
                    f"several; use {name}={use}"
                )
    if training.head_tuning == "tau_norm" and valid is None:
        problems.append(
            "head_tuning='tau_norm' is chosen on validation bags, but there are none; give valid, "
            "or use head_tuning='crt'"
        )
    if training.head_tuning != "none" and (
        model.pooling == "max" or POOLINGS.trait(model.pooling, "reads_logits")
    ):
        problems.append(
            f"pooling={model.pooling!r} reads the very head that head_tuning changes; use another "
            "pooling, or head_tuning='none'"
        )
    if training.head_tuning != "none" and model.tanh_pooled:
        problems.append(
            "tanh_pooled makes no logits that a head could be tuned by; use tanh_pooled=false, or "
            "head_tuning='none'"
        )
    if training.mix and n_processes > 1:
        problems.append(
            f"mix pairs the bags of a step, whichever of {n_processes} processes has them; use "
            "mix=0, or one process"
        )
    if problems:
        raise ConfigError("; ".join(problems))


def link_of(bags: Bags, model: ModelSettings) -> str:
    """Link of a model that is fitted to labelled bags, see `Predictions`."""
    if model.tanh_pooled:
        return "none"
    return "sigmoid" if bags.multi_label else "softmax"


def fit_notes(
    bags: Bags, history: Iterable[Mapping[str, float]], max_segments: int
) -> tuple[str, ...]:
    """What is worth knowing of a fit: genres without a training bag, bags shown in part."""
    notes = []
    for many, text in ((0, "no training bag"), (1, "one training bag alone")):
        those = np.flatnonzero(bags_per_genre(bags) == many)
        if those.size:
            names = first_few(bags.genres[genre] for genre in those)
            notes.append(f"{those.size} of {len(bags.genres)} genres have {text}: {names}")
    capped = int(max((row["capped_bags"] for row in history), default=0))
    if capped:
        notes.append(
            f"{capped} training bags have more than {max_segments} segments; "
            "each epoch showed random tracks of them"
        )
    return tuple(notes)


def bags_per_genre(bags: Bags) -> NDArray[np.int64]:
    """Bags of each genre, shape (G,); all have a known one."""
    if bags.multi_label:
        summed: NDArray[np.int64] = bags.labels.sum(axis=0, dtype=np.int64)
        return summed
    return np.bincount(bags.labels, minlength=len(bags.genres))


def align(bags: Bags, genres: tuple[str, ...], train_counts: NDArray[np.int64]) -> Bags:
    """Return the same bags with labels in another order of genres, matched by name.

    A genre that is not wanted becomes an unknown label.

    Examples
    --------
    >>> bags = Bags([5, 7, 9], [0, 1, 2, 3], [0, 1, -1], genres=("Folk", "Rock"))
    >>> align(bags, ("Rock", "Jazz"), np.array([8, 3])).labels
    array([-1,  0, -1])
    """
    labels = relabel(bags.labels, bags.genres, genres)
    return replace(bags, labels=labels, genres=genres, train_counts=train_counts, track_labels=None)
