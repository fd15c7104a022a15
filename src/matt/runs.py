"""Run folders: their layout and manifest, written and read here only.

::

    RUN/run.json              manifest: what, when, with which versions, seed, settings and data
    RUN/settings.toml         the resolved settings, to be given to another run
    RUN/tracks.parquet        the tracks with their splits
    RUN/corrections.json      the decisions of a person that are labels in it
    RUN/model/                the classifier
    RUN/history.csv           one row an epoch
    RUN/checkpoints/          states of its trainings, until it is finished
    RUN/predictions/*.parquet
    RUN/scores.json           what was measured
    RUN/plots/*.png
    RUN/report.html
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import DataError, first_few
from .files import lock, read_json, unlock, write_json, write_text
from .predictions import Predictions
from .provenance import commit, versions
from .tracks import Tracks

_SCHEMA = "matt.run/1"
_RESULTS = (
    *("predictions", "plots", "model", "history", "history.csv"),
    *("scores.json", "report.html", "tracks.parquet", "settings.toml", "corrections.json"),
)
_CHECKPOINTS = "checkpoints"
OUT_OF_FOLD = "out-of-fold"
"""Name of the predictions of what was learned from, each by a network that has heard none of its
artists, see `matt.folds`."""


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes
    ----------
    path : Path
    manifest : dict
        Content of ``run.json``.
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        kind: str,
        settings: Mapping[str, Any],
        seed: int,
        resume: bool = False,
        **facts: Any,
    ) -> Run:
        """Start a run folder.

        Parameters
        ----------
        path : path
            A new or empty folder, or one that holds an earlier run, whose results are removed:
            nothing of it can be taken for this run's. Other files in it stay.
        kind : str
            What made it: ``"train"``, ``"demo"``, ...
        settings : mapping
            The resolved settings, JSON-serialisable.
        seed : int
        resume : bool
            Keep the checkpoints of an unfinished run of the same kind, settings, seed and data; its
            other results are removed. Where there is no run, one is started.
        **facts
            Further JSON-serialisable entries of the manifest, e.g. the digest of the data.

        Raises
        ------
        DataError
            If the folder holds files of something else, a run that cannot be resumed, or one that
            another process is at.
        """
        path = check_free(path)
        lock(path)
        given = {"kind": kind, "settings": dict(settings), "seed": seed, "data": facts.get("data")}
        if resume:
            check_resumable(path, **given)
        for name in _RESULTS if resume else (*_RESULTS, _CHECKPOINTS):
            target = path / name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        manifest = {
            "schema": _SCHEMA,
            "kind": kind,
            "status": "started",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": seed,
            "settings": dict(settings),
            "versions": versions(),
            "commit": commit(),
            **facts,
        }
        run = cls(path, manifest)
        run.write()
        return run

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open an existing run folder.

        Raises
        ------
        DataError
            If it is not a run folder, or of another version.
        """
        file = Path(path) / "run.json"
        if not file.exists():
            if (Path(path) / "model.json").exists():
                raise DataError(
                    f"{path} is a model, and test results lie in runs; use it with "
                    f"'matt predict FOLDER --model {path}', or name a run of 'matt train'"
                )
            raise DataError(f"{path} is not a run folder (no run.json); make one with 'matt train'")
        manifest = read_json(file)
        schema = manifest.get("schema") if isinstance(manifest, dict) else None
        if schema != _SCHEMA:
            raise DataError(
                f"{file} has schema {schema!r}, expected {_SCHEMA!r}; "
                "it is damaged or from another version of matt, train again"
            )
        return cls(Path(path), manifest)

    def check_finished(self) -> Run:
        """Refuse a run that was interrupted or failed, whose files may be incomplete.

        Raises
        ------
        DataError
        """
        if self.manifest.get("status") != "finished":
            how = ", with --resume to go on" if self.manifest.get("kind") == "train" else ""
            raise DataError(
                f"the run {self.path} was not finished; run the same command again{how}"
            )
        return self

    def check_same(self, **given: Any) -> None:
        """Refuse to go on with a run that has other entries in its manifest.

        Raises
        ------
        DataError
        """
        now = json.loads(json.dumps(given))  # as the manifest was read: lists for tuples
        other = [name for name, value in now.items() if self.manifest.get(name) != value]
        if other:
            done = self.manifest.get("status") == "finished"
            raise DataError(
                f"the {'' if done else 'un'}finished run {self.path} differs in "
                f"{first_few(other)}; go on with the command that started it, or start anew with "
                "--force instead of --resume"
            )

    def write(self, **facts: Any) -> None:
        """Add facts to the manifest and write it."""
        self.manifest.update(facts)
        write_json(self.path / "run.json", self.manifest)
        if self.manifest["status"] != "started":
            unlock(self.path)

    def finish(self, *, failed: bool = False, **facts: Any) -> None:
        """Mark the run as complete, or as partial; checkpoints have served and are removed."""
        self.write(status="partial" if failed else "finished", **facts)
        shutil.rmtree(self.path / _CHECKPOINTS, ignore_errors=True)

    @property
    def settings(self) -> Path:
        """The resolved settings as TOML."""
        return self.path / "settings.toml"

    @property
    def model(self) -> Path:
        """Folder of the classifier."""
        return self.path / "model"

    def checkpoint(self, name: str) -> Path:
        """Folder of the state of one training, e.g. of ``"bag model"``."""
        return self.path / _CHECKPOINTS / name.replace(" ", "-")

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.path / "report.html"

    def plot(self, name: str) -> Path:
        """File of a picture."""
        return self.path / "plots" / f"{name}.png"

    def save_tracks(self, tracks: Tracks) -> None:
        """Keep the tracks with their splits."""
        tracks.save(self.path / "tracks.parquet")

    def tracks(self) -> Tracks:
        """Tracks with their splits."""
        return Tracks.load(self.path / "tracks.parquet")

    def save_corrections(self, content: Mapping[str, Any]) -> None:
        """Keep the decisions that became labels."""
        write_json(self.path / "corrections.json", content)

    def save_predictions(self, name: str, predictions: Predictions) -> None:
        """Keep predictions under a name, e.g. ``"test"``."""
        predictions.save(self.path / "predictions" / f"{name}.parquet")

    def has_predictions(self, name: str) -> bool:
        """Whether predictions were saved under a name."""
        return (self.path / "predictions" / f"{name}.parquet").exists()

    def predictions(self, name: str) -> Predictions:
        """Predictions saved under a name."""
        return Predictions.load(self.path / "predictions" / f"{name}.parquet")

    def save_scores(self, scores: Mapping[str, Any]) -> None:
        """Keep what was measured."""
        write_json(self.path / "scores.json", scores)

    def scores(self) -> dict[str, Any]:
        """What was measured."""
        content: dict[str, Any] = read_json(self.path / "scores.json")
        return content

    def save_history(self, rows: Sequence[Mapping[str, Any]], name: str = "history") -> None:
        """Keep one row an epoch as CSV."""
        text = io.StringIO()
        if rows:
            writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        write_text(self.path / f"{name}.csv", text.getvalue())


def check_free(path: Path | str, *, kind: str | None = None, replaces: bool = True) -> Path:
    """Refuse a folder that a run must not be written to, before any work is done for it.

    Parameters
    ----------
    path : path
    kind : str, optional
        Only runs of this kind may be there.
    replaces : bool
        Whether a run that is there may be replaced.

    Raises
    ------
    DataError
        If it is a file, or holds files of something that is no run, or a run of another kind or
        one that is to stay.
    """
    path = Path(path)
    if path.is_file():
        raise DataError(f"{path} is a file; choose another name for the run folder")
    holds_run = (path / "run.json").exists()
    if path.is_dir() and not holds_run and any(entry.name[0] != "." for entry in path.iterdir()):
        raise DataError(f"{path} is not empty and is no run folder; choose another folder")
    if kind is not None and holds_run:
        there = Run.open(path).manifest["kind"]
        if there != kind:
            raise DataError(f"{path} holds a run of 'matt {there}'; choose another folder")
    if holds_run and not replaces:
        finished = Run.open(path).manifest.get("status") == "finished"
        raise DataError(
            f"{path} holds a run that is {'finished' if finished else 'not finished'}; "
            f"{'' if finished else 'go on with it by --resume, '}choose another folder, or "
            "replace it with --force"
        )
    return path


def is_finished(path: Path | str, *, kind: str) -> bool:
    """Whether a folder holds a finished run of a kind."""
    if not (Path(path) / "run.json").exists():
        return False
    manifest = Run.open(path).manifest
    return manifest.get("status") == "finished" and manifest.get("kind") == kind


def check_resumable(path: Path | str, **given: Any) -> None:
    """Refuse to resume a run that is finished or has other entries in its manifest; none is fine.

    Raises
    ------
    DataError
    """
    path = Path(path)
    if not (path / "run.json").exists():
        return
    manifest = Run.open(path).manifest
    if manifest.get("status") == "finished":
        raise DataError(
            f"the run {path} is finished, so there is nothing to resume; make it anew with --force "
            "instead of --resume, or choose another folder"
        )
    Run(path, manifest).check_same(**given)
