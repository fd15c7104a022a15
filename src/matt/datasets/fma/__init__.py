"""The Free Music Archive data set (FMA): from download to tracks, features and bags.

``matt fma fetch`` brings the archives, ``matt fma index`` reads their tables once, and from then on

>>> from matt.datasets import fma
>>> tracks = fma.load_tracks("data/fma", subset="medium")  # doctest: +SKIP
>>> features = fma.load_features("data/fma", "1-9")  # doctest: +SKIP

Source: Defferrard, Benzi, Vandergheynst, Bresson, "FMA: A Dataset For Music Analysis", ISMIR 2017.
"""

from __future__ import annotations

from .checking import check as check
from .checking import count_faults as count_faults
from .checking import exact_duplicates as exact_duplicates
from .checking import known_faults as known_faults
from .checking import verify as verify
from .checking import without_faults as without_faults
from .fetching import ARCHIVES as ARCHIVES
from .fetching import fetch as fetch
from .indexing import Index as Index
from .indexing import index as index
from .indexing import open_index as open_index
from .loading import load_echonest as load_echonest
from .loading import load_features as load_features
from .loading import load_genres as load_genres
from .loading import load_tracks as load_tracks
from .tables import GenreTree as GenreTree
