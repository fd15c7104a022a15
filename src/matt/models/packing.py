"""A model as one file: what it is, its card and licences, and a digest of every part.

The file is a zip of a model folder, uncompressed, whose first entry ``pack.json`` names every other
one with its size and SHA-256. It is opened without trust: nothing is written before all names and
sizes are checked, no part is used whose digest differs, and there is nothing in it that could run
but graphs of onnxruntime's own operators.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import ConfigError, DataError
from ..features.spec import ENCODED
from ..files import check_new, replacing
from .classifier import GenreClassifier
from .saving import GRAPH, MODEL, WEIGHTS, read_model, telling_damage
from .tagger import Tagger
from .tagger import card as tagger_card

SCHEMA = "matt.pack/1"
MANIFEST, CARD, LICENCE = "pack.json", "card.md", "LICENCE.md"
ENCODER_LICENCE = "musicnn.LICENSE.md"
_PART = re.compile(r"([\w-]{1,60}/){0,3}[\w-][\w.-]{0,59}\.(json|safetensors|onnx)", re.ASCII)
_TEXTS = (CARD, LICENCE, ENCODER_LICENCE)
_MOST_PARTS, _MOST_BYTES, _MOST_MANIFEST = 200, 2**31, 2**20
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that equal models are equal files


def pack(
    folder: Path | str, file: Path | str, *, about: str, licence: str = "", force: bool = False
) -> str:
    """Write a model folder into one file.

    Parameters
    ----------
    folder : path
        As `GenreClassifier.save` writes it.
    file : path
        Ends in ``.zip``.
    about : str
        What its maker says of it: who, on what music, for what. It heads the card.
    licence : str
        Text of the licence under which it is given away; ``""`` if none is granted.
    force : bool
        Whether a file that is there is replaced.

    Returns
    -------
    str
        SHA-256 of the file, to be published beside it.

    Raises
    ------
    DataError
        If the folder is no model, or the file is there.
    ConfigError
        If the file has another suffix.
    """
    folder, file = Path(folder), Path(file)
    if file.suffix.lower() != ".zip":
        raise ConfigError(f"cannot pack into {file}: its name must end in .zip")
    check_new(file, force=force)
    model = GenreClassifier.load(folder)  # whatever is wrong with it is said now
    parts = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
    parts[CARD] = card_of(model, about).encode()
    if licence:
        parts[LICENCE] = licence.encode()
    if model.spec is not None and model.spec.kind in ENCODED:
        parts[ENCODER_LICENCE] = encoder_licence().encode()
    content = {
        "schema": SCHEMA,
        "parts": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in parts.items()
        },
    }
    manifest = json.dumps(content, indent=1).encode()
    with replacing(file) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in {MANIFEST: manifest, **parts}.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), data)
    return digest_of(file)


def _files(folder: Path) -> list[Path]:
    """Files of a model, and of those inside it; whatever else lies there is not of it."""
    content = read_model(folder)
    names = [MODEL, WEIGHTS, *([GRAPH] if "graph_sha256" in content else [])]
    inner = [folder / member["name"] for member in content.get("members", ())]
    return [folder / name for name in names] + [file for one in inner for file in _files(one)]


@contextmanager
def unpacked(file: Path | str) -> Iterator[Path]:
    """Folder with the parts of a packed model, while it is needed.

    Raises
    ------
    DataError
        If it is no such file, or a part is missing, strange, too large or not what it was.
    """
    file = Path(file)
    with TemporaryDirectory(prefix="matt-model-") as name:
        try:
            _check_count(file)
            with zipfile.ZipFile(file) as archive:
                for part, data in _parts(archive):
                    place = Path(name) / part
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(data)
        except OSError as error:
            raise DataError(
                f"{file} cannot be unpacked ({error.strerror or error}); check that it may be read "
                f"and that {name} has room"
            ) from error
        except (*_BROKEN, _Strange) as error:
            raise DataError(
                f"{file} is not a whole packed model ({error}); get it again, from whom you trust"
            ) from error
        try:
            yield Path(name)
        except DataError as error:  # of a part, whose place nobody knows
            raise DataError(str(error).replace(name, str(file))) from error


class _Strange(Exception):
    """What a packed model does not hold."""


_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, KeyError, TypeError, AttributeError),
)
"""What reading bytes of anybody's raises."""


def _check_count(file: Path) -> None:
    """Refuse so many entries that to list them takes long; where none are told, `zipfile` does."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL))
        tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if (
        0 <= at <= len(tail) - 12
        and (n := struct.unpack("<H", tail[at + 10 : at + 12])[0]) > _MOST_PARTS
    ):
        raise _Strange(f"it holds {n:,} parts")


_TAIL = 2**16 + 22  # bytes in which the end of a zip is told


def _parts(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """Parts of an archive, each checked; nothing is read before all names and sizes are."""
    entries = archive.infolist()
    if len(entries) > _MOST_PARTS:
        raise _Strange(f"it holds {len(entries):,} parts")
    if not entries or entries[0].filename != MANIFEST:
        raise _Strange(f"it does not begin with {MANIFEST}")
    for entry in entries:
        packed = entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size
        if packed or entry.flag_bits & 1:
            raise _Strange(f"{entry.filename!r} is compressed or encrypted")
    if entries[0].file_size > _MOST_MANIFEST:
        raise _Strange(f"its {MANIFEST} has {entries[0].file_size:,} bytes")
    if sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise _Strange("it is larger than 2 GB")
    content = json.loads(archive.read(entries[0]))
    if content["schema"] != SCHEMA:
        raise _Strange(f"its schema is {content['schema']!r:.60}, expected {SCHEMA!r}")
    told: Mapping[str, Mapping[str, Any]] = content["parts"]
    names = [entry.filename for entry in entries[1:]]
    if sorted(names) != sorted(told):
        raise _Strange("its parts are not those that it names")
    for name in names:
        if name not in _TEXTS and not _PART.fullmatch(name):
            raise _Strange(f"{name!r} is no part of a model")
    for entry in entries[1:]:
        part = told[entry.filename]
        if entry.file_size != part["bytes"]:
            raise _Strange(f"{entry.filename} has {entry.file_size:,} bytes")
        data = archive.read(entry)
        if hashlib.sha256(data).hexdigest() != part["sha256"]:
            raise _Strange(f"{entry.filename} is not what was packed")
        yield entry.filename, data


@contextmanager
def folder_of(path: Path) -> Iterator[Path]:
    """Folder of a model that is a folder already, or a packed file."""
    if path.is_file():
        with unpacked(path) as folder:
            yield folder
        return
    yield path


def digest_of(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def encoder_licence() -> str:
    """Licence of the weights of musicnn."""
    kernels = resources.files("matt.features.kernels")
    return kernels.joinpath(ENCODER_LICENCE).read_text("utf-8")


def card_of(model: GenreClassifier, about: str) -> str:
    """Model card, in Markdown: what its maker says, then what the model knows of itself.

    Parameters
    ----------
    model : GenreClassifier
        Fitted.
    about : str
    """
    if isinstance(model, Tagger):
        return "\n\n".join(filter(None, [about.strip(), tagger_card()]))
    spec, counts = model.spec, dict(zip(model.genres, model.train_counts.tolist(), strict=True))
    genres = ", ".join(f"{name} ({n:,})" for name, n in sorted(counts.items(), key=_most_first))
    lines = [
        "# Model card",
        about.strip(),
        f"**Trained on** {sum(counts.values()):,} tracks of {len(counts)} genres: {genres}.",
        f"**Hears** {spec.kind if spec else '?'}, digest {spec.digest if spec else '?'}.",
        f"**How often it was right.** {_right(model)}",
    ]
    if spec is not None and spec.kind in ENCODED:
        lines.append(
            "**Built on** musicnn, weights © 2019 Music Technology Group, UPF, ISC licence, which "
            "was trained on the Million Song Dataset with the tags of last.fm."
        )
    if model.notes:
        lines.append("**Notes of its training**\n\n" + "\n".join(f"- {n}" for n in model.notes))
    return "\n\n".join(filter(None, lines)) + "\n"


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _right(model: GenreClassifier) -> str:
    known = model.coverage
    if known is None or not len(known.right):
        return "Not known: there were no validation albums of one genre each."
    return (
        f"{known.right[-1]:,} of {known.n:,} validation albums, on which it was tuned: on other "
        "music it will be right less often."
    )


def shown(path: Path) -> dict[str, Any]:
    """What can be said of a model before it is used.

    Returns
    -------
    dict
        ``sha256`` of a packed file, else None; ``made_with``, versions; ``parts``; ``licence``,
        whether it has one; ``facts``, what the model itself says, in Markdown; ``card``, what
        whoever packed it says, which nobody has checked, ``""`` of a folder.

    Raises
    ------
    DataError
        If it is no model.
    """
    with folder_of(path) as folder:
        content, card = read_model(folder), folder / CARD
        with telling_damage(folder / MODEL):
            versions = {str(name): str(value) for name, value in dict(content["versions"]).items()}
            told = card.read_text("utf-8") if card.is_file() else ""
        parts = (file for file in folder.rglob("*") if file.is_file())
        return {
            "sha256": digest_of(path) if path.is_file() else None,
            "made_with": versions,
            "parts": sorted(part.relative_to(folder).as_posix() for part in parts),
            "licence": (folder / LICENCE).is_file(),
            "facts": card_of(GenreClassifier.load(folder), ""),
            "card": told,
        }
