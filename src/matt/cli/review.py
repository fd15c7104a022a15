"""The command ``review``: albums looked at and decided in a browser."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from .albums import Model
from .console import Output, command
from .library import Asked, predict_named
from .sources import (
    Extraction,
    Folder,
    Reading,
    default_store,
    tell_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..datasets.genres import Vocabulary
    from ..library.predict import AskedModel, LibraryPrediction


@command
def review(
    output: Output,
    folder: Folder,
    model: Model = None,
    port: Annotated[
        int, Option(help="Of this computer's own address; by default a free one.", min=0, max=65535)
    ] = 0,
    browser: Annotated[bool, Option(help="Open the page in a browser.")] = True,
    *,
    asked: Asked,
    reading: Reading,
    how: Extraction,
) -> None:
    """Look at albums in a browser, hear them, and accept, change or reject their genres.

    The page is seen from this computer alone. What you decide is kept at once; files change only
    where you say so, and that can be undone. Example: [bold]matt review ~/Music[/bold]
    """
    from ..library.predict import AskedModel
    from ..review.albums import Albums
    from ..review.decisions import Decisions
    from ..review.server import Review
    from ..review.serving import bound, check_review, serve

    check_review()
    with bound(port) as listening:  # before any work
        opened = AskedModel.open(model)
        found, result = predict_named(
            [folder],
            opened,
            output,
            asked=asked,
            reading=reading,
            how=how,
            bar=opened.bar,
            alone=False,
        )
        place = how.store or default_store(found.root, opened.spec)
        files = tell_files(found, result.extraction, output)
        decisions = Decisions.open(found.root)
        reviewed = Review(
            root=found.root,
            albums=Albums(result.rows, found.root),
            decisions=decisions,
            genres=tuple(dict.fromkeys([*opened.model.genres, *found.vocabulary.genres])),
            vocabulary=found.vocabulary,
            explain=_explaining(opened, result, place, found.vocabulary),
            place=decisions.path.with_suffix(".place.json"),
        )
        if n := len(decisions.latest()):
            output.note(f"{n:,} album{'s are' if n > 1 else ' is'} decided already")
        if n := decisions.damaged:
            lines = "lines of {} are" if n > 1 else "line of {} is"
            output.warn(f"{n:,} {lines.format(decisions.path)} damaged and left out")

        def ready(url: str, once: str) -> None:
            output.say(f"Review {len(reviewed.albums):,} albums at {url}")
            output.note("the address lets in whoever has it; Ctrl-C ends, what was decided is kept")
            output.document(
                {"schema": "matt.review/1", "url": url, "albums": len(reviewed.albums), **files}
            )
            if browser:
                threading.Thread(target=_show, args=(once, output), daemon=True).start()

        serve(reviewed, listening, ready)


def _show(url: str, output: Output) -> None:
    """Open a page; a browser of the terminal returns when it is closed."""
    import webbrowser

    if not webbrowser.open(url):
        output.note("no browser was found; open the address in one")


def _explaining(
    asked: AskedModel, result: LibraryPrediction, place: Path, vocabulary: Vocabulary
) -> Callable[[int], Mapping[str, Any]] | None:
    """What says of the album with a first track which of its tracks decided."""
    from ..features.store import FeatureStore
    from ..library.explained import explained_rows

    if not result.rows:
        return None
    said, features = result.predictions, FeatureStore.open(place)
    firsts = said.bags.track_ids[said.bags.offsets[:-1]].tolist()
    bags = {first: bag for bag, first in enumerate(firsts)}

    def explain(first: int) -> Mapping[str, Any]:
        return explained_rows(
            asked.model,
            features,
            said.tracks,
            said.bags.take([bags[first]]),
            bar=asked.bar,
            vocabulary=vocabulary,
            learned=asked.learned,
        )[0]

    return explain
