"""What can be read: one list of formats, for whoever looks for files, decodes them, or shows it.

Content decides what a file is, never its name; the suffixes only say which files are tried.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A format that can be decoded.

    Attributes
    ----------
    name : str
        As people call it.
    suffixes : tuple of str
        Lower case, with the dot; the usual one first.
    container : str
        `Structure.format` of such files.
    demuxer : str
        ffmpeg's, where PyAV decodes; empty where libsndfile does.
    """

    name: str
    suffixes: tuple[str, ...]
    container: str
    demuxer: str = ""


FORMATS = (
    Format("MP3", (".mp3",), "MP3"),
    Format("MPEG layer II", (".mp2",), "MP3"),
    Format("FLAC", (".flac",), "FLAC"),
    Format("Ogg Vorbis", (".ogg", ".oga"), "Ogg"),
    Format("Ogg Opus", (".opus",), "Ogg"),
    Format("WAV", (".wav", ".wave", ".bwf"), "WAV"),
    Format("RF64", (".rf64",), "WAV"),
    Format("AIFF", (".aiff", ".aif", ".aifc"), "AIFF"),
    Format("AU", (".au",), "AU"),
    Format("CAF", (".caf",), "CAF"),
    Format("Wave64", (".w64",), "Wave64"),
    Format("AAC in MP4", (".m4a", ".m4b", ".mp4"), "MP4", "mov"),
    Format("ALAC in MP4", (".m4a",), "MP4", "mov"),
    Format("AAC (ADTS)", (".aac",), "ADTS", "aac"),
    Format("WMA", (".wma",), "ASF", "asf"),
    Format("WavPack", (".wv",), "WavPack", "wv"),
    Format("Monkey's Audio", (".ape",), "Monkey's Audio", "ape"),
    Format("FLAC in Ogg", (".oga",), "FLAC in Ogg", "ogg"),
    Format("Speex in Ogg", (".spx",), "Speex in Ogg", "ogg"),
    Format("Matroska", (".mka",), "Matroska", "matroska"),
    Format("WebM", (".webm",), "Matroska", "matroska"),
    Format("True Audio", (".tta",), "True Audio", "tta"),
    Format("DSF", (".dsf",), "DSF", "dsf"),
    Format("AC-3", (".ac3",), "AC-3", "ac3"),
    Format("E-AC-3", (".eac3", ".ec3"), "E-AC-3", "eac3"),
    Format("DTS", (".dts",), "DTS", "dts"),
    Format("DTS in WAV", (".wav", ".dts"), "DTS in WAV", "wav"),
    Format("Musepack", (".mpc",), "Musepack", "mpc8"),
    Format("Musepack 7", (".mpc",), "Musepack 7", "mpc"),
)
"""What is decoded, and by which library."""

SUFFIXES = frozenset(suffix for f in FORMATS if not f.demuxer for suffix in f.suffixes)
"""Suffixes of files that are tried as audio."""

EXTRA_SUFFIXES = frozenset(suffix for f in FORMATS for suffix in f.suffixes) - SUFFIXES
"""Suffixes of files that are tried too, and decoded where PyAV is installed."""
