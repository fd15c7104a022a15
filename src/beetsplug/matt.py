"""Genres in a beets library: ``beet matt``, and a stage of its imports.

What beets knows of its albums counts, not what files say; features are kept where the other
commands of matt keep those of the library. beets writes the files, where it is told to. matt itself
is imported when it is needed, so that ``beet ls`` does not wait for it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import confuse
from beets.dbcore import types
from beets.library import Album, Item
from beets.plugins import BeetsPlugin
from beets.ui import Subcommand, UserError, print_, should_write  # type: ignore[attr-defined]
from beets.util import displayable_path

if TYPE_CHECKING:
    from beets.importer import ImportSession, ImportTask
    from beets.library import Library

    from matt.datasets.folder import Told
    from matt.datasets.genres import Vocabulary
    from matt.features.extract import Decoders
    from matt.features.spec import FeatureSpec
    from matt.library.predict import AskedModel
    from matt.processes import Progress
    from matt.tagging.policy import Policy

_SETTINGS: dict[str, Any] = {
    "auto": True,
    "model": None,
    "genres": None,
    "mode": "fill-empty",
    "protect": [],
    "min_sure": None,
    "count": 1,
}
_LINE_EVERY = 30  # seconds
_UNHEARD, _KEPT = "not heard", "with genres that stay"


class _Options(Protocol):
    """Options of ``beet matt``."""

    pretend: bool
    force: bool
    model: str | None


class MattPlugin(BeetsPlugin):
    """Genres by ear: see docs/library/beets.md."""

    item_types: ClassVar[dict[str, types.Type[Any, Any]]] = {
        "matt_genre": types.STRING,
        "matt_sure": types.Float(2),
    }
    album_types = item_types

    def __init__(self) -> None:
        super().__init__()
        self.config.add(_SETTINGS)
        self._opened: dict[str | None, AskedModel] = {}
        self._decoders: Decoders | None = None
        # beets leaves out a plugin that fails here, so nothing does.
        said = self.config.first()[0]
        if not isinstance(said, Mapping):
            if said is not None:
                self._log.warning("matt is {!r}, and no settings; the usual ones count", said)
            self.config.set(_SETTINGS)
        auto = self._said("auto")
        if not isinstance(auto, bool):
            self._log.warning("matt.auto is {!r}; give yes or no. Imports are not heard", auto)
        elif auto:
            self.import_stages = [self.imported]
        self.register_listener("import", self._rest)
        self.register_listener("cli_exit", self._rest)

    def commands(self) -> Sequence[Subcommand]:
        """``beet matt``."""
        command = Subcommand("matt", help="give albums genres by their sound")
        option = command.parser.add_option
        option("-p", "--pretend", action="store_true", default=False, help="change nothing")
        option("-f", "--force", action="store_true", default=False, help="replace what is there")
        option("-m", "--model", help="run of 'matt train', model folder or packed model")
        command.func = self.command
        return [command]

    def command(self, lib: Library, opts: _Options, args: list[str]) -> None:
        """Give genres to every album with a track that matches, and to lone tracks that do."""
        from matt.errors import MattError

        asked = _asked(lib, lib.items(args))
        if not asked:
            print_("no album or track matches")
            return
        try:
            policy = self._policy(force=opts.force)
            heard = self._hear(lib, asked, policy, model=opts.model)
        except MattError as error:
            raise UserError(str(error)) from error
        left, refused = Counter[str](), 0
        for one in asked:
            changes = [*heard.changes(one, policy)]
            for line in _lines(one, changes):
                print_(line)
            if all(change.genres is None for change in changes):
                left[changes[0].kept] += 1
                self._log.debug("{}: left alone, {}", one, changes[0].told)
            if not opts.pretend:
                refused += _apply(changes, write=should_write())
        n, verb = len(asked) - left.total(), "would get" if opts.pretend else "got"
        rest = ", ".join(f"{times:,} {reason}" for reason, times in left.most_common())
        print_(
            f"{n:,} of {len(asked):,} albums and lone tracks {verb} new genres"
            + (f"; left alone: {rest}" if rest else "")
        )
        if refused:
            self._log.warning(
                "{:,} files could not be written; mend that, and 'beet write' writes what the "
                "database has",
                refused,
            )

    def imported(self, session: ImportSession, task: ImportTask) -> None:
        """Give genres to what is being imported; beets writes them. No fault stops an import."""
        try:
            policy = self._policy()
            asked = _asked(session.lib, task.imported_items())
            heard = self._hear(session.lib, asked, policy)
            for one in asked:
                changes = [*heard.changes(one, policy)]
                for line in _lines(one, changes):
                    self._log.info("{}", line)
                _apply(changes, write=False)
        except Exception as error:  # whatever it is
            self._rest()
            names = ", ".join(map(displayable_path, task.paths))
            self._log.warning(
                "{} imported without genres by ear: {}; 'beet matt' gives them afterwards",
                names,
                error,
            )

    def _policy(self, *, force: bool = False) -> Policy:
        from matt.errors import ConfigError
        from matt.tagging.policy import MOST, Policy

        count, protect = self._said("count"), self._said("protect")
        if type(count) is not int or not 1 <= count <= MOST:
            raise ConfigError(f"matt.count is {count!r}; give a whole number from 1 to {MOST}")
        genres = [protect] if isinstance(protect, str) else protect
        if not isinstance(genres, list) or not all(isinstance(one, str) for one in genres):
            raise ConfigError(
                f"matt.protect is no list of genres ({protect!r}); write one, e.g. [Christmas]"
            )
        mode = str(self._said("mode"))
        try:
            return Policy(
                "replace" if force else mode, tuple(genres), self._said("min_sure"), most=count
            )
        except ConfigError as error:
            raise ConfigError(f"matt.{error}") from None

    def _said(self, key: str) -> Any:
        """A setting as it is written; the usual one where nothing is."""
        said = self.config[key].get()
        return _SETTINGS[key] if said is None or said == "" else said

    def _hear(
        self, lib: Library, asked: Sequence[_Asked], policy: Policy, *, model: str | None = None
    ) -> _Heard:
        """Have all that is asked for heard; what was heard before is not heard again."""
        from matt.datasets.folder import scan_told
        from matt.datasets.tags import printable
        from matt.library.cache import library_of, name_folder, store_of
        from matt.library.predict import predict_library

        opened = self._model(model)
        music = Path(os.fsdecode(lib.directory))
        within = library_of(music, opened.spec)
        told = [file for one in asked for file in one.told()]
        scan = scan_told(told, within, genres=self._path("genres") or _own_genres(music))
        for problem in scan.problems:
            self._log.warning("{}", f"{scan.root / problem.path}: {problem.reason}")
        if gone := sum(not os.path.lexists(file.path) for file in told):
            self._log.warning(
                "{:,} files are gone; 'beet update' has beets forget those that are", gone
            )
        name_folder(within)
        found = predict_library(
            scan,
            opened.model,
            store_of(within, opened.spec),
            bar=opened.bar if policy.min_sure is None else policy.min_sure,
            top=max(3, policy.most),
            learned=opened.learned,
            alone=False,
            decoders=self._kept(opened.spec),
            progress=self._teller(),
        )
        report = found.extraction
        for failure in (*report.failures, *report.silent, *report.partial):
            self._log.warning("{}", printable(f"{failure.path}: {failure.reason}"))
        rows = {track["path"]: row for row in found.rows for track in row["tracks"]}
        mixed = scan.tracks.path[scan.tracks.columns["compilation"]]
        return _Heard(rows, scan.vocabulary, frozenset(mixed.tolist()))

    def _kept(self, spec: FeatureSpec) -> Decoders:
        """Processes that decode, one album after the other."""
        from matt.features.extract import Decoders

        if self._decoders is None:
            self._decoders = Decoders([spec])
        return self._decoders

    def _rest(self, **_: object) -> None:
        """End the processes that decode, if there are any."""
        if self._decoders is not None:
            self._decoders.close()
            self._decoders = None

    def _model(self, named: str | None) -> AskedModel:
        from matt.library.predict import AskedModel

        place = named or self._path("model")
        if place not in self._opened:
            self._opened[place] = AskedModel.open(place)
        return self._opened[place]

    def _path(self, key: str) -> str | None:
        """A path of the settings, relative to their folder."""
        if self._said(key) is None:
            return None
        return str(self.config[key].get(confuse.Filename()))

    def _teller(self) -> Callable[[Progress], None]:
        """Who is told of progress: the log, now and then."""
        next_line = time.monotonic() + _LINE_EVERY

        def tell(progress: Progress) -> None:
            nonlocal next_line
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + _LINE_EVERY
                left = "" if progress.left is None else f", about {progress.left / 60:.0f} min left"
                self._log.info("{0.stage}: {0.done:,} of {0.total:,}{1}", progress, left)

        return tell


def _own_genres(music: Path) -> str | None:
    """The vocabulary in the music folder, if it has one: features may be kept of one around it."""
    from matt.datasets.genres import FILE

    own = music / FILE
    return str(own) if own.is_file() else None


@dataclass(frozen=True)
class _Asked:
    """An album of beets with all of its tracks, or a track that is in none."""

    items: tuple[Item, ...]
    album: Album | None = None

    def __str__(self) -> str:
        from matt.datasets.tags import printable

        name = str(self.items[0] if self.album is None else self.album)
        if not any(map(str.isalnum, name)):  # nobody said who or what it is
            name = displayable_path(self.items[0].path if self.album is None else self.album.path)
        return printable(name)

    def told(self) -> Iterator[Told]:
        """What beets knows of the files."""
        from matt.datasets.folder import Told
        from matt.datasets.tags import Tags

        album = self.album
        for item in self.items:
            tags = Tags(
                title=item.title,
                artist=item.artist,
                album_artist="" if album is None else album.albumartist,
                album="" if album is None else album.album,
                genres=tuple(item.genres or ()),
                disc=item.disc or -1,
                track_number=item.track or -1,
                compilation=album is not None and bool(album.comp),
                duration=item.length,
                year=item.year or -1,
            )
            yield Told(os.fsdecode(item.path), tags, "" if album is None else str(album.id))


def _asked(lib: Library, items: Iterable[Item]) -> list[_Asked]:
    """The albums and lone tracks that items are of, each album whole."""
    found: dict[tuple[str, int | None], _Asked] = {}
    for item in items:
        if ("album", item.album_id) in found:
            continue
        album = None if item.album_id is None else lib.get_album(item.album_id)
        if album is None:
            found["item", item.id] = _Asked((item,))
        else:
            found["album", album.id] = _Asked(tuple(album.items()), album)
    return [*found.values()]


@dataclass(frozen=True)
class _Change:
    """What a track, or an album itself, is about to be given.

    Attributes
    ----------
    of : Item or Album
    row : mapping or None
        What matt says of it, as `matt.library.albums.album_rows` does; None if it could not hear.
    genre : str
        The likeliest genre, be it given or not.
    genres : tuple of str or None
        All that it has then; None where it stays as it is.
    kept : str
        Why it stays as it is, if it does.
    mixed : bool
        Whether it is a track of a compilation, heard with those of its artist alone.
    heard : bool
        Whether it was heard itself, and not only others of its album.
    """

    of: Item | Album
    row: Mapping[str, Any] | None
    genre: str
    genres: tuple[str, ...] | None
    kept: str
    mixed: bool = False
    heard: bool = False

    @property
    def told(self) -> str:
        """The likeliest genre, and how sure it is."""
        return _UNHEARD if self.row is None else f"{self.genre} {self.row['probability']:.0%}"

    def put(self) -> set[str]:
        """Put it where beets will store it; gives the fields that are other than before."""
        if self.row is None:
            return set()
        new: dict[str, Any] = {"matt_genre": self.genre, "matt_sure": self.row["probability"]}
        if self.genres is not None:
            new["genres"] = [*self.genres]
        # Fields of its own: those of its album show through in a track.
        own = {"with_album": False} if isinstance(self.of, Item) else {}
        changed = {name for name, value in new.items() if self.of.get(name, **own) != value}
        self.of.update({name: new[name] for name in changed})
        return changed


@dataclass(frozen=True)
class _Heard:
    """Answers by the paths of files, and which of these are of compilations."""

    rows: Mapping[str, Mapping[str, Any]]
    vocabulary: Vocabulary
    mixed: frozenset[str] = frozenset()

    def changes(self, one: _Asked, policy: Policy) -> Iterator[_Change]:
        """What becomes of each track, and then of their album itself.

        The album, and a track that could not be heard, have the answer of all others, if it is one.
        """
        own = [self.rows.get(os.fsdecode(item.path)) for item in one.items]
        known = [row for row in own if row is not None]
        common = None
        if len({(row["genre"], row["top"][0]["genre"]) for row in known}) == 1:
            common = min(known, key=lambda row: float(row["probability"]))
        for item, row in zip(one.items, own, strict=True):
            yield self._change(item, row or common, policy)
        if one.album is not None:
            yield self._change(one.album, common, policy)

    def _change(self, of: Item | Album, row: Mapping[str, Any] | None, policy: Policy) -> _Change:
        from matt.tagging.plan import heard, refusal

        if row is None:
            return _Change(of, None, "", None, _UNHEARD)
        likely = row["genre"] or row["top"][0]["genre"]
        genre = "; ".join(self.vocabulary.read(likely)) or likely
        given = () if row["genre"] is None else heard(row, policy, self.vocabulary)["genre"]
        new = policy.values(tuple(of.genres or ()), given, self.vocabulary) if given else None
        kept = _KEPT if given and new is None else refusal(row, policy)
        new = None if kept else new
        place = os.fsdecode(of.path) if isinstance(of, Item) else ""
        return _Change(of, row, genre, new, kept, place in self.mixed, place in self.rows)


def _lines(one: _Asked, changes: Sequence[_Change]) -> Iterator[str]:
    """What changes, for people: what, from, to, how sure."""
    from matt.datasets.tags import printable

    told = Counter[str]()
    for change in changes:
        track = isinstance(change.of, Item)
        if change.genres is None or change.row is None or (told and not track):
            continue  # of an album itself its tracks have told
        old, new = map(printable, map("; ".join, (change.of.genres or (), change.genres)))
        whose = f" [compilation: {change.row['artist'] or 'unknown artist'}]" * change.mixed
        sure = f"{change.row['probability']:.0%}"
        told[f"{one}{whose}: {old or '(none)'} -> {new} ({sure})"] += track
    for line, n in told.items():
        whole = n in (0, len(one.items))
        yield line if whole else f"{line}, {n} of {len(one.items)} tracks"


def _apply(changes: Sequence[_Change], *, write: bool) -> int:
    """Have beets store what changes, and write it into files if that is wanted.

    A file that could not be heard may be damaged, and is left as it is. Gives how many files beets
    could not write.
    """
    refused = 0
    for change in changes:
        if not (fields := change.put()):
            continue
        if isinstance(change.of, Item):
            wanted = write and change.heard and "genres" in fields
            refused += wanted and not change.of.try_write()
            change.of.store()
        else:
            change.of.store(inherit=False)
    return refused
