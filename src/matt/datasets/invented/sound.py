"""How invented music sounds: a small vectorised synthesiser that plays a `Style` into a file.

Artists, albums and tracks add a `Character` each, and may `borrow` a part from another style, so
that styles overlap and no classifier can be perfect.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float64]

MUSIC = tomllib.loads(files(__package__).joinpath("music.toml").read_text("utf-8"))
"""Content of ``music.toml``, which says what each number is."""
_TABLE = 2048  # samples of one period of a wave
_FADE = 0.03  # seconds, at both ends of a track
_BLOCK = 2**15  # frames; libsndfile's Vorbis encoder wants small writes
_KINDS = {".mp3": ("MP3", None), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}


@dataclass(frozen=True)
class Rhythm:
    """Beats a minute, and a pattern of one bar for each instrument."""

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
    """The chord instrument; ``attack`` and ``sustain`` in seconds, all else 0 to 1."""

    brightness: float
    hollow: float
    metal: float
    attack: float
    sustain: float
    drive: float


@dataclass(frozen=True)
class Mixdown:
    """Levels of the three layers (1 is usual) and the share of reverberation, 0 to 1."""

    drums: float
    bass: float
    chords: float
    reverb: float


@dataclass(frozen=True)
class Style:
    """One invented genre; ``near`` is the style that it is most easily taken for."""

    name: str
    near: str
    rhythm: Rhythm
    harmony: Harmony
    timbre: Timbre
    mix: Mixdown


STYLES = tuple(
    Style(
        known["name"],
        known["near"],
        Rhythm(**known["rhythm"]),
        Harmony(tuple(map(tuple, known["harmony"]["chords"])), known["harmony"]["register"]),
        Timbre(**known["timbre"]),
        Mixdown(**known["mix"]),
    )
    for known in MUSIC["style"]
)
"""From the most common to the rarest."""
GENRES = tuple(style.name for style in STYLES)
_PARTS = ("rhythm", "harmony", "timbre", "mix")


@dataclass(frozen=True)
class Character:
    """What an artist, an album or one track adds; characters add up (`+`).

    Attributes
    ----------
    tempo : float
        Natural logarithm of a factor.
    pitch, detune : float
        Semitones; distance between the two voices, cents.
    brightness, sustain, drums, bass, reverb : float
        Added to the brightness and the reverberation; the others are logarithms of factors.
    tilt : float
        Spectral tilt, -1 (dull) to 1 (thin).
    noise : float
        Logarithm of a factor of the noise floor.
    """

    tempo: float
    pitch: float
    detune: float
    brightness: float
    sustain: float
    drums: float
    bass: float
    reverb: float
    tilt: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, scale: float) -> Character:
        """A random character; ``scale`` 1 is a strong one."""
        spread = np.array([0.06, 2.5, 6.0, 0.12, 0.35, 0.35, 0.35, 0.1, 0.3, 0.9])
        return cls(*(scale * spread * rng.standard_normal(len(spread))).tolist())

    def __add__(self, other: Character) -> Character:
        names = self.__dataclass_fields__
        return Character(**{name: getattr(self, name) + getattr(other, name) for name in names})


def borrow(style: Style, rng: np.random.Generator, *, chance: float) -> Style:
    """Replace each part of a style, with the given chance, by that of its neighbour or another."""
    for part in _PARTS:
        lent, any_style = rng.random(2)
        if lent < chance:
            other = rng.integers(len(STYLES))
            donor = STYLES[GENRES.index(style.near)] if any_style < 0.65 else STYLES[other]
            style = replace(style, **{part: getattr(donor, part)})
    return style


def played_by(
    style: Style, levels: Iterable[tuple[tuple[int, ...], float, float | None]]
) -> tuple[Style, Character, np.random.Generator]:
    """A style as an artist, an album and a track have it: what `render` starts from.

    Parameters
    ----------
    style : Style
    levels : iterable of (seed, strength, chance)
        Of artist, album and track: what its random numbers depend on, the scale of its character,
        and the chance that it borrows a part of another style (None: nobody asks).
    """
    characters = []
    for seed, strength, chance in levels:
        rng = np.random.default_rng(seed)
        characters.append(Character.draw(rng, scale=strength))
        if chance is not None:
            style = borrow(style, rng, chance=chance)
    first, *others = characters
    return style, sum(others, first), rng


def write_audio(path: Path, samples: NDArray[np.int16], sr: int) -> None:
    """Encode samples, shape (n, channels), as the suffix says: MP3, FLAC, Ogg Vorbis or WAV."""
    import soundfile

    kind, subtype = _KINDS.get(path.suffix, ("WAV", "PCM_16"))
    if kind == "MP3":  # 16-bit stereo goes into its encoder differently from time to time
        samples = (samples / 32_768).astype(np.float32)
    with soundfile.SoundFile(
        path, "w", samplerate=sr, channels=samples.shape[1], format=kind, subtype=subtype
    ) as file:
        for start in range(0, len(samples), _BLOCK):
            file.write(samples[start : start + _BLOCK])


def render(
    style: Style,
    character: Character,
    rng: np.random.Generator,
    *,
    sr: int,
    seconds: float,
    channels: int,
) -> NDArray[np.int16]:
    """Play a style for a while.

    Parameters
    ----------
    style : Style
    character : Character
        Of the artist, the album and the track, added up.
    rng : numpy Generator
        What else varies: where the bar starts, missed and added hits, noise.
    sr : int
        Samples a second.
    seconds : float
        Duration.
    channels : {1, 2}

    Returns
    -------
    int16 array, shape (round(seconds * sr), channels)
        Rounded to 16 bits, so that the last bit of a sine does not matter.
    """
    n = round(seconds * sr)
    rhythm, mix = style.rhythm, style.mix
    step = 15 / (rhythm.tempo * np.exp(character.tempo)) * sr  # samples, a quarter of a beat
    per_bar = len(rhythm.chord)
    start = int(rng.integers(per_bar * len(style.harmony.chords)))
    steps = np.arange(start, start + int(n / step) + 1)
    onsets = ((steps - start) * step).astype(np.int64)

    def hits(pattern: str) -> Audio:
        """Strength of each step, with a few hits missed, added and uneven: (len(steps),)."""
        level = np.array([{"x": 1.0, "o": 0.5, ".": 0.0}[mark] for mark in pattern])
        some = level[steps % per_bar] * rng.uniform(0.7, 1.0, len(steps))
        some[rng.random(len(steps)) < 0.06] = 0
        if level.any():
            added = rng.random(len(steps)) < 0.03
            some[added] = rng.uniform(0.3, 0.8, added.sum())
        return some

    tonic = style.harmony.register + character.pitch
    chord_of_step = (steps // per_bar) % len(style.harmony.chords)
    bar = np.repeat(chord_of_step, np.diff(onsets, append=max(n, onsets[-1])))[:n]  # (n,)
    strummed = hits(rhythm.chord)
    strummed[0] = 1.0  # there is sound from the start, wherever in the bar that is
    chords = _chords(style, character, bar, tonic, _since(onsets, strummed, n, sr), sr)
    root = np.array([chord[0] for chord in style.harmony.chords]) + tonic - 12 - 12 * (tonic > 50)
    phase = np.cumsum(_hertz(root)[bar]) * (_TABLE / sr)
    wave = _wave(0.35, 0.0, _hertz(root).max(), sr)
    bass = wave[phase.astype(np.int64) & (_TABLE - 1)] * _pluck(
        *_since(onsets, hits(rhythm.bass), n, sr), 0.006, 0.3
    )
    drums = _drums([hits(p) for p in (rhythm.kick, rhythm.snare, rhythm.hat)], onsets, n, sr, rng)
    sound = mix.chords * chords  # (2, n): two voices, slightly apart
    sound = sound + 0.5 * mix.bass * np.exp(character.bass) * bass
    sound = sound + mix.drums * np.exp(character.drums) * drums
    sound = _room(sound, float(np.clip(mix.reverb + character.reverb, 0, 0.8)), sr, rng)
    sound = _tilt(sound, float(np.clip(character.tilt, -0.85, 0.85)))
    sound = sound / np.abs(sound).max()
    sound = sound + 0.002 * np.exp(character.noise) * rng.standard_normal((2, n))
    edge = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / (_FADE * sr))
    sound = sound * edge * 0.7 / np.abs(sound).max()
    if channels == 1:
        sound = sound.mean(axis=0, keepdims=True)
    samples: NDArray[np.int16] = np.round(sound.T * 32767).astype(np.int16)
    return samples


def _chords(
    style: Style,
    character: Character,
    bar: NDArray[np.int64],
    tonic: float,
    struck: tuple[Audio, Audio],
    sr: int,
) -> Audio:
    """The chord instrument in two voices a few cents apart, shape (2, n)."""
    timbre = style.timbre
    brightness = float(np.clip(timbre.brightness + character.brightness, 0.02, 1))
    sustain = timbre.sustain * np.exp(character.sustain)
    body = 0.5 * _pluck(*struck, timbre.attack, sustain)
    flash = 0.5 * _pluck(*struck, timbre.attack, sustain / 3)
    apart = (abs(character.detune) + 4) / 200  # semitones, to either side
    voices = np.zeros((2, len(bar)))
    for notes in zip(*style.harmony.chords, strict=True):
        pitch = np.array(notes) + tonic  # of each chord
        for voice, shift in zip(voices, (-apart, apart), strict=True):
            hertz = _hertz(pitch + shift)
            phase = np.cumsum(hertz[bar]) * (_TABLE / sr)
            place = phase.astype(np.int64) & (_TABLE - 1)
            voice += body * _wave(0.5 * brightness, timbre.hollow, hertz.max(), sr)[place]
            voice += flash * _wave(brightness, timbre.hollow, hertz.max(), sr)[place]
        if timbre.metal:
            angle = 2 * np.pi * np.cumsum(_hertz(pitch)[bar]) / sr
            ring = np.sin(2.756 * angle) + 0.5 * np.sin(5.404 * angle)
            voices += timbre.metal * flash * ring
    voices /= len(style.harmony.chords[0])
    if timbre.drive:
        gain = 1 + 12 * timbre.drive
        voices = np.tanh(gain * voices) / np.tanh(gain) * 0.6
    return voices


def _wave(brightness: float, hollow: float, highest: float, sr: int) -> Audio:
    """One period of harmonics h ** -p, free of aliasing up to the highest pitch: (_TABLE,)."""
    most = max(1, min(40, int(0.45 * sr / highest)))
    h = np.arange(1, most + 1)
    level = h ** -(3.2 - 2.2 * brightness)
    level[1::2] *= 1 - hollow
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex128)
    spectrum[1 : most + 1] = -0.5j * _TABLE * level / np.sqrt((level**2).sum())
    wave: Audio = np.fft.irfft(spectrum)
    return wave


def _since(onsets: NDArray[np.int64], hit: Audio, n: int, sr: int) -> tuple[Audio, Audio]:
    """Seconds since the last hit and its strength at every sample, each (n,)."""
    struck = np.flatnonzero(hit)
    if not struck.size:
        return np.full(n, np.inf), np.zeros(n)
    at = np.append(onsets[struck], max(n, onsets[-1]))
    run = np.diff(at)  # samples until the next hit
    silent = min(int(at[0]), n)
    since = np.full(n, np.inf)
    since[silent:] = (np.arange(silent, n) - np.repeat(at[:-1], run)[: n - silent]) / sr
    return since, np.append(np.zeros(silent), np.repeat(hit[struck], run)[: n - silent])


def _pluck(since: Audio, strength: Audio, attack: float, sustain: float) -> Audio:
    return strength * np.minimum(1, since / attack) * np.exp(-np.minimum(since, 99) / sustain)


def _drums(
    hits: list[Audio], onsets: NDArray[np.int64], n: int, sr: int, rng: np.random.Generator
) -> Audio:
    """Kick, snare and hat, the same on both sides, shape (n,)."""
    t = np.arange(int(0.25 * sr)) / sr
    noise = rng.standard_normal(len(t))
    thin = np.diff(noise, prepend=0)
    low, snap = rng.uniform(42, 58), rng.uniform(160, 220)
    kick = np.sin(2 * np.pi * (low * t + 6 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09)
    snare = (0.5 * noise + 0.5 * np.sin(2 * np.pi * snap * t)) * np.exp(-t / 0.06)
    hat = 0.3 * thin * np.exp(-t / rng.uniform(0.012, 0.04))
    track = np.zeros(n + len(t))
    for wave, strengths in zip((kick, 0.6 * snare, hat), hits, strict=True):
        for at in np.flatnonzero(strengths):
            track[onsets[at] : onsets[at] + len(t)] += strengths[at] * wave
    return track[:n]


def _room(sound: Audio, share: float, sr: int, rng: np.random.Generator) -> Audio:
    from scipy.signal import oaconvolve

    t = np.arange(int((0.15 + share) * sr)) / sr
    response = rng.standard_normal((2, len(t))) * np.exp(-4 * t / t[-1])
    response /= np.sqrt((response**2).sum(axis=1, keepdims=True))
    wet: Audio = oaconvolve(sound, response, axes=1)[:, : sound.shape[1]]
    return (1 - share) * sound + share * wet


def _tilt(sound: Audio, tilt: float) -> Audio:
    """First-order filter: a pole for a dull sound, a zero for a thin one."""
    from scipy.signal import lfilter

    b, a = ([1.0, -tilt], [1.0]) if tilt > 0 else ([1.0], [1.0, tilt])
    filtered: Audio = lfilter(b, a, sound, axis=1)
    return filtered


def _hertz(pitch: Audio) -> Audio:
    return 440 * 2 ** ((pitch - 69) / 12)
