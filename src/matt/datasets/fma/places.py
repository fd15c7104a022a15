"""Where FMA's files lie under a folder, and what it looks like when the wrong folder is named."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import DataError, did_you_mean
from ...tracks import SPLITS

METADATA = "fma_metadata"
INDEX = "matt-index"
SIMULATED = "SIMULATED.json"  # beside tables that are made up
SUBSETS = ("small", "medium", "large", "full")

# Folders that hold the clips of a subset, the smallest first. Whole tracks are another thing.
_AUDIO = {
    "small": ("fma_small", "fma_medium", "fma_large"),
    "medium": ("fma_medium", "fma_large"),
    "large": ("fma_large",),
    "full": ("fma_full",),
}


def check_subset(subset: str) -> None:
    """Refuse an unknown subset.

    Raises
    ------
    DataError
        With what was perhaps meant.
    """
    if subset not in SUBSETS:
        raise DataError(f"FMA has no subset {subset!r}; {did_you_mean(subset, SUBSETS)}")


def check_split(split: str | None) -> None:
    """Refuse an unknown split.

    Raises
    ------
    DataError
        With what was perhaps meant.
    """
    if split is not None and split not in SPLITS:
        raise DataError(f"FMA has no split {split!r}; {did_you_mean(split, SPLITS)}")


def root_of(directory: Path | str) -> Path:
    """Folder that holds FMA's folders, also if ``fma_metadata`` itself was named.

    Raises
    ------
    DataError
        If it is no folder, or one of audio.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory} is no folder; name the one that holds {METADATA}")
    if directory.name == METADATA and not (directory / METADATA).exists():
        return directory.parent
    here = (METADATA, INDEX, "tracks.csv")
    if _holds_audio(directory) and not any((directory / name).exists() for name in here):
        raise DataError(
            f"{directory} holds audio, not FMA's tables; name the folder above it, the one that "
            f"holds {METADATA}"
        )
    return directory


def metadata_of(root: Path) -> Path:
    """Folder with tracks.csv: ``fma_metadata``, or the root itself.

    Raises
    ------
    DataError
        If neither holds it.
    """
    for folder in (root / METADATA, root):
        if (folder / "tracks.csv").is_file():
            return folder
    raise DataError(
        f"{root} holds no {METADATA}/tracks.csv; get it with 'matt fma fetch metadata --to {root}'"
    )


def audio_of(root: Path, subset: str, audio: Path | str | None) -> Path | None:
    """Folder with the clips of a subset; None if there is none.

    Parameters
    ----------
    audio : path or None
        The folder itself, or one that holds it; by default the smallest that is there.

    Raises
    ------
    DataError
        If a folder is named that holds no clips.
    """
    for name in _AUDIO[subset]:
        folder = (root if audio is None else Path(audio)) / name
        if folder.is_dir():
            return folder
    if audio is None:
        return None
    audio = Path(audio)
    if not audio.is_dir():
        raise DataError(f"{audio} is no folder; check the path of the audio")
    if _holds_audio(audio):
        return audio
    tables = (audio / "tracks.csv").exists() or (audio / METADATA).exists()
    raise DataError(
        f"{audio} holds {'tables' if tables else 'no folders 000, 001, ... of clips'}, where audio "
        f"is expected; name the folder {' or '.join(_AUDIO[subset])}"
    )


def clip(track_id: int) -> str:
    """Where the clip of a track lies in its folder.

    >>> clip(2)
    '000/000002.mp3'
    """
    return f"{track_id // 1000:03d}/{track_id:06d}.mp3"


def _holds_audio(folder: Path) -> bool:
    return any(re.fullmatch(r"\d{3}", entry.name) and entry.is_dir() for entry in folder.iterdir())
