"""The server of a review: lists, albums, their covers and tracks, and what is decided.

Albums and tracks are known by keys and numbers that the server gave out; no path is ever taken from
an address. Everything works by links and forms; the script only makes it quicker.
"""

from __future__ import annotations

import os
import shlex
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category
from urllib.parse import parse_qs, urlencode

from ..datasets.genres import Vocabulary
from ..errors import ConfigError, MattError
from ..evaluation.style import png
from ..evaluation.tables import plain
from ..files import read_json, write_json
from .albums import PAGE, SHOWS, TEACHES, Albums, AskedAlbums, ReviewAlbum
from .covers import Cover, Covers, cover_of, stand_in
from .curve import BIAS, curve, curve_picture, in_words
from .decisions import MOST_GENRES, VERDICTS, Decisions, ReviewDecision
from .guard import MOST_BODY, Guard
from .pages import STATICS, render, static, told
from .writing import DecidedFiles, WriteRun, mode_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


_AUDIO = {
    ".mp3": "audio/mpeg",
    ".mp2": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".mp4": "audio/mp4",
    ".aac": "audio/aac",
    ".mka": "audio/x-matroska",
    ".wma": "audio/x-ms-wma",
}
_MODES = {
    "fill-empty": "Leave it: only files without a genre get one",
    "append": "Keep it, and add what you decided",
    "replace": "Put what you decided in its place",
}
_MOST_SHOWN = 500  # changes of a plan on a page
_SOON = 1.0  # seconds for what is written at once
_EXPLAINED = 200  # albums whose explanation is kept
_NO_STORE = {"cache-control": "no-store"}
_KEPT = {"cache-control": "private, max-age=3600"}


@dataclass(frozen=True, eq=False)
class Review:
    """What is reviewed, and what was decided.

    Attributes
    ----------
    root : Path
        The library; nothing outside of it is served.
    albums : Albums
    decisions : Decisions
    genres : tuple of str
        Offered where one is typed.
    vocabulary : Vocabulary
        By which typed genres are read.
    explain : callable or None
        Gives what `matt.library.explained.explained_row` tells of the album with a first track.
    place : Path or None
        File that remembers which album was looked at last.
    """

    root: Path
    albums: Albums
    decisions: Decisions
    genres: tuple[str, ...] = ()
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    explain: Callable[[int], Mapping[str, Any]] | None = None
    place: Path | None = None
    _explained: OrderedDict[str, Mapping[str, Any]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def explained(self, album: ReviewAlbum) -> Mapping[str, Any] | None:
        """What each track did; None where nobody can be asked."""
        if self.explain is None:
            return None
        with self._lock:  # one at a time: a model takes all cores
            if album.key not in self._explained:
                self._explained[album.key] = self.explain(album.tracks[0].track_id)
                while len(self._explained) > _EXPLAINED:
                    self._explained.popitem(last=False)
            return self._explained[album.key]

    def stopped_at(self) -> tuple[ReviewAlbum, AskedAlbums] | None:
        """The album that was looked at last, and in which list."""
        if self.place is None or not self.place.is_file():
            return None
        with suppress(MattError, KeyError, TypeError, AttributeError):
            found = read_json(self.place, most=MOST_BODY)
            album = self.albums.get(found["album"])
            asked = AskedAlbums(plain(found["show"]), plain(found["text"]))
            latest = self.decisions.latest()
            if album is not None and album.key in latest:
                album = self.albums.left_after(album.key, asked, latest)
            return None if album is None else (album, asked)
        return None

    def stops_at(self, album: ReviewAlbum, asked: AskedAlbums) -> None:
        """Remember it; where that cannot be written, nobody is kept from looking."""
        if self.place is not None:
            with suppress(MattError, OSError):
                write_json(self.place, {"album": album.key, "show": asked.show, "text": asked.text})

    def file_of(self, album: ReviewAlbum, number: int) -> str | None:
        """The real path of a track inside the library; None of anything else."""
        if not 0 <= number < len(album.tracks):
            return None
        root, path = os.path.realpath(self.root), os.path.realpath(album.tracks[number].path)
        with suppress(OSError, ValueError):  # another drive, a file that is gone
            inside = os.path.commonpath([root, path]) == root
            if inside and stat.S_ISREG(os.stat(path).st_mode):
                return path
        return None

    def meant(self, text: str) -> tuple[str, ...]:
        """Genres that somebody typed, several between semicolons, as the vocabulary writes them.

        Raises
        ------
        ConfigError
            If there is none.
        """
        said = [plain(part).strip() for part in text.split(";")][: MOST_GENRES + 1]
        genres: dict[str, None] = {}
        for part in filter(None, said):
            if not any(category(char)[0] in "LNPS" for char in part):  # nobody would see it
                continue
            known = self.vocabulary.read(part) if self.vocabulary.knows(part) else ()
            genres |= dict.fromkeys(known or (part,))
        if not genres:
            raise ConfigError("no genre was named; type one")
        return tuple(genres)


def review_app(review: Review, guard_port: int, *, token: str | None = None) -> Guard:
    """Make the application of a review, behind its guard.

    Parameters
    ----------
    review : Review
    guard_port : int
        Where it is going to listen.
    token : str, optional
        As in `Guard`.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    desk = _Desk(review)
    app = Starlette(
        routes=[
            Route("/", desk.listing),
            Route("/curve.png", desk.curve),
            Route("/album/{key}", desk.album),
            Route("/album/{key}/why", desk.why),
            Route("/album/{key}/cover", desk.cover),
            Route("/album/{key}/track/{number}", desk.track),
            Route("/album/{key}/decide", desk.posted(desk.decide), methods=["POST"]),
            Route("/undo", desk.posted(desk.undo), methods=["POST"]),
            Route("/write", desk.plan),
            Route("/write", desk.posted(desk.write), methods=["POST"]),
            Route("/write/stop", desk.posted(desk.stop), methods=["POST"]),
            Route("/undo/{name}", desk.posted(desk.undo_run), methods=["POST"]),
            Route("/static/{name}", desk.static),
        ],
        exception_handlers={
            HTTPException: desk.refused,
            MattError: desk.failed,
            OSError: desk.failed,
        },
        lifespan=desk.while_open,
    )
    desk.guard = Guard(app, guard_port, token)
    return desk.guard


class _Desk:
    """What answers each address."""

    guard: Guard

    def __init__(self, review: Review) -> None:
        self.review, self.covers = review, Covers()
        self.files = DecidedFiles(review.root, review.albums, review.decisions, review.vocabulary)

    @asynccontextmanager
    async def while_open(self, app: Starlette) -> AsyncIterator[None]:
        """Leave no file half done, and begin no other, when the server ends."""
        yield
        self.files.stop()

    # ---- looking ----

    def listing(self, request: Request) -> Response:
        """Albums that are asked for, a page of them."""
        albums, latest = self.review.albums, self.review.decisions.latest()
        asked, number = _asked(request.query_params), _number(request.query_params.get("page"))
        found = albums.listed(asked, latest)
        pages = max(-(-len(found) // PAGE), 1)
        if (at := request.query_params.get("at")) and "page" not in request.query_params:
            places = (place for place, one in enumerate(found) if one.key == at)
            number = next(places, 0) // PAGE + 1
        number = min(max(number, 1), pages)
        shown, below = found[(number - 1) * PAGE :][:PAGE], found[number * PAGE :][:1]
        stopped = self.review.stopped_at() if not request.query_params else None
        teaches = asked.show == TEACHES
        return self._page(
            "list",
            request,
            asked=asked,
            albums=shown,
            below=below[0] if below else None,
            n=len(found),
            number=number,
            pages=pages,
            counts=albums.counts(latest),
            latest=latest,
            stopped=stopped,
            reasons=albums.reasons(shown, latest) if teaches else {},
            growth=in_words(curve(latest.values())) if teaches else "",
            bias=BIAS,
            folder=_in_shell(self.review.root),
        )

    def curve(self, request: Request) -> Response:
        """How often the model was right, as decisions were made: a picture."""
        from starlette.responses import Response

        points = curve(self.review.decisions.latest().values())
        return Response(png(curve_picture(points)), media_type="image/png", headers=_NO_STORE)

    def album(self, request: Request) -> Response:
        """One album."""
        album, asked = self._named(request), _asked(request.query_params)
        latest = self.review.decisions.latest()
        self.review.stops_at(album, asked)
        why = self.review.explained(album) if "why" in request.query_params else None
        return self._page(
            "album",
            request,
            asked=asked,
            album=album,
            latest=latest,
            decision=latest.get(album.key),
            before=self.review.albums.after(album.key, asked, latest, step=-1),
            after=self.review.albums.after(album.key, asked, latest),
            counts=self.review.albums.counts(latest),
            genres=self.review.genres,
            can_explain=self.review.explain is not None,
            playable=[self.review.file_of(album, n) is not None for n in range(len(album.tracks))],
            why=why,
            marks_of=_marks(why),
        )

    def why(self, request: Request) -> Response:
        """What each track of an album did, to be put into its page."""
        album = self._named(request)
        why = self.review.explained(album)
        if why is None:
            raise _http(404, "No model can be asked here.")
        return self._page("why", request, album=album, why=why, marks_of=_marks(why))

    def cover(self, request: Request) -> Response:
        """The picture of an album."""
        from starlette.responses import Response

        album = self._named(request)

        def make() -> Cover:
            if "drawn" in request.query_params:  # the browser cannot show the other one
                return stand_in(album.name, album.artist)
            inside = (self.review.file_of(album, n) for n in range(len(album.tracks)))
            return cover_of(filter(None, inside)) or stand_in(album.name, album.artist)

        cover = make() if request.query_params else self.covers.get(album.key, make)
        own = {**_KEPT, "content-security-policy": "default-src 'none'; sandbox"}
        return Response(cover.content, media_type=cover.kind, headers=own)

    def track(self, request: Request) -> Response:
        """The file of a track, or the parts of it that are asked for."""
        from starlette.responses import FileResponse

        album = self._named(request)
        path = self.review.file_of(album, _number(request.path_params["number"], default=-1))
        kind = path and _AUDIO.get(os.path.splitext(path)[1].lower(), "application/octet-stream")
        if not path or not os.access(path, os.R_OK):
            raise _http(404, "That file cannot be read, or leads out of the library.")
        return FileResponse(path, media_type=kind, headers={"cache-control": "private, no-cache"})

    def static(self, request: Request) -> Response:
        """A file of the pages."""
        from starlette.responses import Response

        if (name := request.path_params["name"]) not in STATICS:
            raise _http(404, "There is no such file.")
        return Response(static(name), media_type=STATICS[name], headers=_NO_STORE)

    # ---- deciding ----

    def posted(self, work: Callable[[Request, Mapping[str, str]], Response]) -> Any:
        """Make an endpoint of what answers a form, for forms of ours alone."""
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import ClientDisconnect

        async def endpoint(request: Request) -> Response:
            try:
                text = (await request.body())[:MOST_BODY].decode()
                pairs = parse_qs(text, keep_blank_values=True, max_num_fields=40, errors="strict")
            except ClientDisconnect:  # nobody waits for what is said here
                raise _http(400, "That broke off.") from None
            except ValueError:
                raise _http(400, "That is no form.") from None
            form = {name: values[-1] for name, values in pairs.items()}
            if not self.guard.fits(form.get("form", "")):
                raise _http(403, "That form is of another session; load the page again.")
            return await run_in_threadpool(work, request, form)

        return endpoint

    def decide(self, request: Request, form: Mapping[str, str]) -> Response:
        """Keep what was said of an album, then go on with the next."""
        album, asked = self._named(request), _asked(form)
        decision, latest = self._decision(album, form), self.review.decisions.latest()
        stands = latest.get(album.key)
        if not stands or (stands.verdict, stands.genres) != (decision.verdict, decision.genres):
            self.review.decisions.add(decision)
            latest = self.review.decisions.latest()
        self.review.stops_at(album, asked)
        if "x-row" in request.headers:
            return self._row(request, album, asked, form, told(decision, album.title))
        after = self.review.albums.left_after(album.key, asked, latest)
        query = {"show": asked.show, "q": asked.text, "done": "1"}
        if form.get("back") == "list":
            query["page"] = str(_number(form.get("page")))
            return _see(f"/?{urlencode(query)}#album-{(after or album).key}")
        return _see(f"{f'/album/{after.key}' if after else '/'}?{urlencode(query)}")

    def _decision(self, album: ReviewAlbum, form: Mapping[str, str]) -> ReviewDecision:
        pick, verdict = form.get("pick"), form.get("verdict", "")
        if pick is not None:
            place = _number(pick, default=-1)
            if not 0 <= place < len(album.others):
                raise _http(400, "There is no such choice.")
            return album.decided("changed", (album.others[place].genre,), time.time())
        if verdict not in VERDICTS:
            raise _http(400, "Nothing was decided.")
        genres = self.review.meant(form.get("genre", "")) if verdict == "changed" else ()
        return album.decided(verdict, genres, time.time())

    def undo(self, request: Request, form: Mapping[str, str]) -> Response:
        """Take the last decision back, and show its album."""
        asked, last = _asked(form), self.review.decisions.undo_last()
        album = None if last is None else self.review.albums.get(last.album)
        key = last.album if last else ""
        if "x-row" in request.headers:
            return self._row(request, album, asked, form, self._taken_back(key))
        query = {"show": asked.show, "q": asked.text, "undone": key}
        if album is not None and form.get("back") != "list":
            return _see(f"/album/{key}?{urlencode(query)}")
        return _see(f"/?{urlencode({**query, 'at': key})}#album-{key}")

    def _taken_back(self, key: str) -> str:
        """Which decision that was, in a sentence."""
        album = self.review.albums.get(key)
        if not key:
            return "There is nothing to take back."
        return f"Taken back: {album.title if album else 'an album that is not listed here'}"

    # ---- writing ----

    def plan(self, request: Request) -> Response:
        """What would be written, and what was; or how far that is."""
        mode, run = mode_of(request.query_params.get("mode", "")), self.files.run
        if run is not None and not run.over:
            return self._page("writing", request, run=run, again=_written(mode))
        shown, root = self.files.plan(mode), self.review.root
        return self._page(
            "write",
            request,
            shown=shown,
            modes=_MODES,
            summary=shown.plan.summary,
            most=_MOST_SHOWN,
            relative=lambda path: os.path.relpath(path, root),
            n_decided=len(shown.plan.changes) + len(shown.plan.left),
            journals=self.files.journals(),
            run=run if "written" in request.query_params else None,
        )

    def write(self, request: Request, form: Mapping[str, str]) -> Response:
        """Write the plan that was shown."""
        mode = mode_of(form.get("mode", ""))
        return self._begun(self.files.write(mode, form.get("plan", "")), mode)

    def undo_run(self, request: Request, form: Mapping[str, str]) -> Response:
        """Take back what was written by one run."""
        mode = mode_of(form.get("mode", ""))
        return self._begun(self.files.undo(request.path_params["name"]), mode)

    def stop(self, request: Request, form: Mapping[str, str]) -> Response:
        """Write no further file."""
        self.files.stop()
        return _see(_written(mode_of(form.get("mode", ""))))

    def _begun(self, run: WriteRun, mode: str) -> Response:
        """Show what came of it, or how far it is where it takes long."""
        run.wait(_SOON)
        return _see(_written(mode))

    # ---- answering ----

    def _named(self, request: Request) -> ReviewAlbum:
        album = self.review.albums.get(request.path_params["key"])
        if album is None:
            raise _http(404, "There is no such album; the library has changed since.")
        return album

    def _row(
        self,
        request: Request,
        album: ReviewAlbum | None,
        asked: AskedAlbums,
        form: Mapping[str, str],
        note: str,
    ) -> Response:
        latest = self.review.decisions.latest()
        return self._page(
            "row",
            request,
            album=album,
            asked=asked,
            latest=latest,
            note=note,
            number=_number(form.get("page")),
            counts=self.review.albums.counts(latest),
        )

    def _page(self, template: str, request: Request, **given: Any) -> Response:
        from starlette.responses import HTMLResponse

        note = given.pop("note", None)
        if note is None:
            note = self._note(request)
        text = render(
            template,
            shows=SHOWS,
            library=self.review.root.name or str(self.review.root),
            form_token=self.guard.form_token,
            note=note,
            **given,
        )
        status = given.get("status", 200)
        return HTMLResponse(text, status, headers=_NO_STORE)

    def _note(self, request: Request) -> str:
        """What was done last, where that was just done."""
        query = request.query_params
        if "done" in query and (log := self.review.decisions.log()):
            album = self.review.albums.get(log[-1].album)
            return told(log[-1], album.title if album else "an album that is gone")
        return self._taken_back(query["undone"]) if "undone" in query else ""

    def refused(self, request: Request, error: Exception) -> Response:
        """Answer what cannot be."""
        status = getattr(error, "status_code", 400)
        return self._page(
            "refused", request, status=status, why=str(getattr(error, "detail", error)), note=""
        )

    def failed(self, request: Request, error: Exception) -> Response:
        """Answer what went wrong, and say what to do."""
        status = 400 if isinstance(error, ConfigError) else 500
        return self._page("refused", request, status=status, why=str(error), note="")


def _marks(why: Mapping[str, Any] | None) -> dict[int, Mapping[str, Any]]:
    """What is told of each track, by its id."""
    return {} if why is None else {track["track_id"]: track for track in why["tracks"]}


def _in_shell(folder: Path) -> str:
    """A folder as somebody types it."""
    with suppress(ValueError, RuntimeError):  # it is no part of the home, or there is none
        return f"~/{shlex.quote(folder.relative_to(Path.home()).as_posix())}"
    return shlex.quote(str(folder))


def _asked(query: Mapping[str, str]) -> AskedAlbums:
    return AskedAlbums(query.get("show", ""), plain(query.get("q", "")))


def _number(text: str | None, *, default: int = 1) -> int:
    """A whole number that somebody sent."""
    usable = text is not None and text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if usable and text is not None else default


def _written(mode: str) -> str:
    """Where it is told what was written."""
    return f"/write?{urlencode({'mode': mode, 'written': '1'})}"


def _http(status: int, why: str) -> Exception:
    from starlette.exceptions import HTTPException

    return HTTPException(status, why)


def _see(place: str) -> Response:
    """Have the browser look at another page, which it may load again."""
    from starlette.responses import RedirectResponse

    return RedirectResponse(place, 303, headers=_NO_STORE)
