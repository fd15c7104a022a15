"""Real audio files for the tests, made by libsndfile, and the same files damaged on purpose."""

import numpy as np
import soundfile as sf

ENCODINGS = {
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".wav": ("WAV", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
}
SR = 24_000  # one that every encoder takes


def music(seconds, *, sr=SR, channels=2, seed=0):
    """Tones and noise, different in each channel, which no encoder makes small."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr))[:, None] / sr
    tones = 0.2 * np.sin(2 * np.pi * sr * np.linspace(0.011, 0.05, channels) * t)
    return (tones + 0.05 * rng.standard_normal(tones.shape)).astype(np.float32)


def write(path, samples, *, sr=SR, **options):
    """Write in the encoding that belongs to the suffix."""
    container, subtype = ENCODINGS[path.suffix]
    sf.write(path, samples, sr, **{"format": container, "subtype": subtype, **options})
    return path


def make(folder, suffix, seconds=3.0, **options):
    return write(folder / f"music{suffix}", music(seconds), **options)


def flip(path, position, size=1):
    """Invert bytes; a position below 1 is a share of the file."""
    content = bytearray(path.read_bytes())
    at = int(position * len(content)) if position < 1 else position
    content[at : at + size] = bytes(byte ^ 0xFF for byte in content[at : at + size])
    path.write_bytes(content)
    return path


def cut(path, keep):
    """Keep the beginning: a share, or all but so many bytes where negative."""
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep > 0 else keep])
    return path


def without_length(path):
    """Strip the first frame of an MP3, which holds its Xing or Info header."""
    content = path.read_bytes()
    assert b"Xing" in content[:64] or b"Info" in content[:64], (
        "libsndfile's MP3s state their length"
    )
    path.write_bytes(content[content.find(content[:2], 4) :])
    return path
