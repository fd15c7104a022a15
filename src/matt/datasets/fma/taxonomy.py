"""Genres of the simulated FMA: the 16 real top genres with their ids, and made-up genres below."""

from __future__ import annotations

import numpy as np

from .parameters import apportion, parameters
from .simulated_catalogue import Catalogue
from .tables import Genre

N_GENRES = 163  # as many as FMA has
FIRST_MADE_UP_ID = 2001  # FMA's own ids end below


def taxonomy() -> tuple[Genre, ...]:
    """All genres, the top genres first; every third made-up genre lies below another one.

    Their numbers of tracks are 0: these depend on the catalogue.
    """
    known = parameters()["genres"]
    tops = [Genre(genre["id"], genre["title"], 0, genre["id"], 0) for genre in known]
    sizes = np.sqrt([float(genre["full"]) for genre in known])
    below = 1 + apportion(N_GENRES - 2 * len(tops), sizes)
    made_up: list[Genre] = []
    for top, number in zip(tops, below.tolist(), strict=True):
        for k in range(number):
            parent = made_up[-1].genre_id if k % 3 == 2 else top.genre_id
            genre_id = FIRST_MADE_UP_ID + len(made_up)
            title = f"Simulated {top.title} {k + 1}"
            made_up.append(Genre(genre_id, title, parent, top.genre_id, 0))
    return (*tops, *made_up)


def track_genres(catalogue: Catalogue, *, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Genre ids of each track, as given and with all that lie above.

    A track with one top genre has genres of that one only; a track without has genres of two, or,
    rarely, none at all. An artist keeps to one genre.

    Returns
    -------
    given, complete : list of list of int, length n
        Columns ``genres`` and ``genres_all`` of tracks.csv.
    """
    genres = taxonomy()
    above = {genre.genre_id: genre.parent for genre in genres}
    tops = [genre.genre_id for genre in genres if not genre.parent]
    below = {top: [g.genre_id for g in genres if g.top_level == top and g.parent] for top in tops}
    rng = np.random.default_rng([seed, 4])
    taste = rng.random(int(catalogue.artist.max()) + 1)[catalogue.artist]  # (n,)
    luck = rng.random((3, len(catalogue)))
    given, complete = [], []
    for sound, label, own, plain, second, other in zip(
        catalogue.sound.tolist(), catalogue.label.tolist(), taste.tolist(), *luck.tolist()
    ):
        top = tops[sound]
        mine = below[top][int(own * len(below[top]))]
        ids = [top] if plain < 0.3 else [mine]
        if label >= 0 and second < 0.2 and top not in ids:
            ids.append(top)
        if label < 0:
            ids.append(tops[(sound + 1 + int(other * (len(tops) - 1))) % len(tops)])
            ids = [] if second < 0.04 else ids
        all_ids = set(ids)
        for genre_id in ids:
            while genre_id := above[genre_id]:
                all_ids.add(genre_id)
        given.append(sorted(ids))
        complete.append(sorted(all_ids))
    return given, complete
