"""The nine invented styles of the synthetic library, from the most common to the rarest.

A style has four parts: rhythm, harmony, timbre and mix. The rare styles are near relatives of
common ones (`Style.near`), as in real music.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rhythm:
    """Patterns of one bar in steps of a quarter beat: ``x`` is a hit, ``o`` a soft one.

    Attributes
    ----------
    tempo : float
        Beats a minute.
    kick, snare, hat, chord, bass : str
        All of one length: 16 steps, or 12 in three-four time.
    """

    tempo: float
    kick: str
    snare: str
    hat: str
    chord: str
    bass: str


@dataclass(frozen=True)
class Harmony:
    """Chords, one a bar, in semitones above the tonic; ``register`` is the tonic's MIDI pitch."""

    chords: tuple[tuple[int, ...], ...]
    register: float


@dataclass(frozen=True)
class Timbre:
    """The chord instrument.

    Attributes
    ----------
    brightness : float
        0 nearly a sine, 1 nearly a saw.
    hollow : float
        How much the even harmonics lack, 0 to 1.
    metal : float
        Level of inharmonic partials, 0 to 1.
    attack, sustain : float
        Rise and decay, in seconds.
    drive : float
        Distortion, 0 to 1.
    """

    brightness: float
    hollow: float
    metal: float
    attack: float
    sustain: float
    drive: float


@dataclass(frozen=True)
class Mix:
    """Levels of the three layers (1 is usual) and the share of reverberation, 0 to 1."""

    drums: float
    bass: float
    chords: float
    reverb: float


@dataclass(frozen=True)
class Style:
    """One synthetic genre; ``near`` is the style that it is most easily taken for."""

    name: str
    near: str
    rhythm: Rhythm
    harmony: Harmony
    timbre: Timbre
    mix: Mix


_MINOR, _MAJOR, _MINOR7, _FIFTH = (0, 3, 7), (0, 4, 7), (0, 3, 7, 10), (0, 7, 12)
_REST = "." * 16


def _on(chord: tuple[int, ...], *degrees: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(degree + note for note in chord) for degree in degrees)


STYLES = (
    Style(
        "Mock House",
        "Mock Techno",
        Rhythm(
            122,
            "x...x...x...x...",
            "....x.......x...",
            "..x...x...x...x.",
            "..x..x..x.....x.",
            "x..x..x...x..x..",
        ),
        Harmony(_on(_MINOR7, 0, 5, -4, -2), 57),
        Timbre(0.55, 0.2, 0.0, 0.004, 0.22, 0.1),
        Mix(1.0, 0.8, 0.8, 0.15),
    ),
    Style(
        "Mock Rock",
        "Mock Punk",
        Rhythm(
            122,
            "x.....x.x.......",
            "....x.......x...",
            "x.x.x.x.x.x.x.x.",
            "x...x...x..x..x.",
            "x.x.x.x.x.x.x.x.",
        ),
        Harmony(_on(_FIFTH, 0, 5, 7, 5), 52),
        Timbre(0.75, 0.0, 0.0, 0.005, 0.7, 0.7),
        Mix(0.9, 0.7, 1.0, 0.12),
    ),
    Style(
        "Mock Techno",
        "Mock House",
        Rhythm(
            129,
            "x...x...x...x...",
            "............x...",
            "x.xxx.xxx.xxx.xx",
            "x..x..x..x..x.x.",
            "..x...x...x...x.",
        ),
        Harmony(_on(_MINOR, 0, 0, 0, 1), 55),
        Timbre(0.5, 0.5, 0.05, 0.003, 0.12, 0.3),
        Mix(1.2, 0.9, 0.5, 0.2),
    ),
    Style(
        "Mock Folk",
        "Mock Waltz",
        Rhythm(98, _REST, _REST, "o...o...o...o...", "x.xxx.xxx.xxx.xx", "x.......x......."),
        Harmony(_on(_MAJOR, 0, 5, 7, 0), 57),
        Timbre(0.4, 0.1, 0.05, 0.003, 0.45, 0.0),
        Mix(0.3, 0.5, 1.0, 0.12),
    ),
    Style(
        "Mock Punk",
        "Mock Rock",
        Rhythm(
            172,
            "x...x..xx...x...",
            "..x...x...x...x.",
            "xxxxxxxxxxxxxxxx",
            "x.x.x.x.x.x.x.x.",
            "x.x.x.x.x.x.x.x.",
        ),
        Harmony(_on(_FIFTH, 0, 5, 7, 3), 52),
        Timbre(0.85, 0.0, 0.0, 0.004, 0.5, 0.85),
        Mix(1.0, 0.7, 1.0, 0.05),
    ),
    Style(
        "Mock Dub",
        "Mock House",
        Rhythm(
            74,
            "........x.......",
            "........x.......",
            "x.o.x.o.x.o.x.o.",
            "....x.......x...",
            "x..x..x.....x...",
        ),
        Harmony(_on(_MINOR, 0, -2, 0, 5), 57),
        Timbre(0.45, 0.3, 0.0, 0.004, 0.15, 0.05),
        Mix(0.8, 1.5, 0.7, 0.45),
    ),
    Style(
        "Mock Drone",
        "Mock Bells",
        Rhythm(60, _REST, _REST, _REST, "x...............", "x..............."),
        Harmony(_on((0, 7, 14), 0, 0, -2, 0), 48),
        Timbre(0.3, 0.2, 0.1, 0.8, 5.0, 0.0),
        Mix(0.0, 0.6, 1.0, 0.55),
    ),
    Style(
        "Mock Waltz",
        "Mock Folk",
        Rhythm(106, "o...........", "............", "....o...o...", "x...x...x...", "x..........."),
        Harmony(_on(_MAJOR, 0, 5, 0, 7), 59),
        Timbre(0.6, 0.5, 0.0, 0.03, 0.6, 0.0),
        Mix(0.3, 0.6, 1.0, 0.2),
    ),
    Style(
        "Mock Bells",
        "Mock Drone",
        Rhythm(88, _REST, _REST, _REST, "x..x..x.x..x....", "x..............."),
        Harmony(_on((0, 5, 12), 0, 2, 7, 5), 64),
        Timbre(0.2, 0.3, 0.8, 0.002, 1.2, 0.0),
        Mix(0.1, 0.3, 1.0, 0.45),
    ),
)
GENRES = tuple(style.name for style in STYLES)
