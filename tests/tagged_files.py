"""One real file of each kind that tags are written into, with tags that must not change."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from audio_files import make, make_pyav
from mutagen import id3
from mutagen.apev2 import APEv2
from mutagen.asf import ASF
from mutagen.flac import FLAC, Picture
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

TITLE, ARTIST = "Träume ☂", "Ann"
COVER = np.random.default_rng(0).bytes(9_000)


def frames(version, title=TITLE):
    """Frames of an ID3 tag, among them some that a careless writer changes or loses."""
    tag = id3.ID3()
    for frame in (
        id3.TIT2(encoding=1, text=[title]),
        id3.TPE1(encoding=1, text=[ARTIST, "Bea"]),  # several, in 2.3 parted by a zero, too
        id3.TXXX(encoding=0, desc="ReplayGain", text=["-3 dB"]),
        id3.COMM(encoding=0, lang="eng", desc="", text=["a/b; c"]),
        id3.APIC(encoding=0, mime="image/png", type=3, desc="", data=COVER),
        id3.PRIV(owner="somebody", data=bytes(range(256))),
        id3.UFID(owner="x", data=b"1234"),
        id3.TYER(encoding=0, text=["1999"])
        if version == 3
        else id3.TDRC(encoding=0, text=["1999-02"]),
    ):
        tag.add(frame)
    return tag


def in_front(path, version, *, v1=0, title=TITLE):
    tag = frames(version, title)
    tag.add(id3.TCON(encoding=0, text=["Rock"]))
    tag.save(path, v1=v1, v2_version=version, v23_sep=None)
    return path


def behind(path, genre=("Rock",)):
    tag = APEv2()
    tag.update({"Title": TITLE, "Artist": [ARTIST, "Bea"], "Genre": list(genre)})
    tag.save(path)
    return path


def comments(path, kind):
    file = kind(path)
    file.tags.update(
        {"title": [TITLE], "artist": [ARTIST, "Bea"], "GENRE": ["Rock"], "x": ["1", "2"]}
    )
    if kind is FLAC:
        picture = Picture()
        picture.data, picture.mime, picture.type = COVER, "image/png", 3
        file.add_picture(picture)
    file.save()
    return path


def v1_alone(path):
    in_front(path, 3, v1=2, title="Dreams")
    id3.ID3(path, load_v1=False).delete(path, delete_v1=False)
    return path


def info(path):
    """A WAV with an INFO list in front of its samples, one text of odd length."""
    content = path.read_bytes()
    texts = b"".join(
        name + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2)
        for name, text in ((b"INAM", b"abc\0"), (b"IGNR", b"Rock\0"), (b"IART", b"Ann\0"))
    )
    chunk = b"LIST" + (4 + len(texts)).to_bytes(4, "little") + b"INFO" + texts
    at = content.index(b"data")
    new = content[:at] + chunk + content[at:]
    path.write_bytes(new[:4] + (len(new) - 8).to_bytes(4, "little") + new[8:])
    return path


def chunked(path):
    from mutagen.aiff import AIFF
    from mutagen.wave import WAVE

    file = (WAVE if path.suffix == ".wav" else AIFF)(path)
    file.add_tags()
    for frame in frames(4).values():
        file.tags.add(frame)
    file.tags.add(id3.TCON(encoding=0, text=["Rock"]))
    file.save()
    return path


def m4a(path):
    file = MP4(path)
    file["\xa9nam"], file["\xa9gen"], file["trkn"] = [TITLE], ["Rock"], [(3, 9)]
    file["covr"] = [MP4Cover(COVER, imageformat=MP4Cover.FORMAT_PNG)]
    file["----:com.apple.iTunes:LABEL"] = [b"one", b"two"]
    file.save()
    return path


def wma(path):
    file = ASF(path)
    file["Title"], file["WM/Genre"], file["WM/Year"] = [TITLE], ["Rock"], ["1999"]
    file.save()
    return path


def unsynchronise(data):
    """As section 5 of ID3v2.3 has it: a zero after each 0xFF that a decoder might stumble on."""
    out = bytearray()
    for at, byte in enumerate(data):
        out.append(byte)
        if byte == 0xFF and (at + 1 == len(data) or data[at + 1] == 0 or data[at + 1] >= 0xE0):
            out.append(0)
    return bytes(out)


def by_hand(frames, way="plain", padding=64, major=3):
    """An ID3v2.2 or 2.3 of names and contents, in one of three ways.

    ``"before"``: unsynchronised, with sizes as they were before, as the specification has it;
    ``"after"``: with those afterwards, as some programs write.
    """
    n = 3 if major == 2 else 4
    body = b""
    for name, content in frames:
        told = unsynchronise(content) if way == "after" else content
        body += name + len(told).to_bytes(n, "big") + bytes(0 if major == 2 else 2) + told
    body = (unsynchronise(body) if way == "before" else body) + bytes(padding)
    sizes = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([major, 0, 0 if way == "plain" else 0x80]) + sizes + body


def id3_before_flac(path):
    comments(path, FLAC)
    tag = io.BytesIO()
    in_tag = frames(4)
    in_tag.save(tag)
    path.write_bytes(tag.getvalue() + path.read_bytes())
    return path


MAKERS = {
    "mp3 2.3": lambda d: in_front(make(d, ".mp3", 1.0), 3),
    "mp3 2.4": lambda d: in_front(make(d, ".mp3", 1.0), 4),
    "mp3 2.4 and v1": lambda d: in_front(make(d, ".mp3", 1.0), 4, v1=2),
    "mp3 v1": lambda d: v1_alone(make(d, ".mp3", 1.0)),
    "mp3 ape": lambda d: behind(make(d, ".mp3", 1.0)),
    "mp3 2.4 and ape": lambda d: in_front(behind(make(d, ".mp3", 1.0)), 4),
    "mp3 bare": lambda d: make(d, ".mp3", 1.0),
    "flac": lambda d: comments(make(d, ".flac", 0.5), FLAC),
    "flac behind id3": lambda d: id3_before_flac(make(d, ".flac", 0.5)),
    "flac bare": lambda d: make(d, ".flac", 0.5),
    "ogg": lambda d: comments(make(d, ".ogg", 1.0), OggVorbis),
    "opus": lambda d: comments(make(d, ".opus", 1.0), OggOpus),
    "wav info": lambda d: info(make(d, ".wav", 0.3)),
    "wav id3": lambda d: chunked(make(d, ".wav", 0.3)),
    "wav both": lambda d: chunked(info(make(d, ".wav", 0.3))),
    "wav bare": lambda d: make(d, ".wav", 0.3),
    "aiff": lambda d: chunked(make(d, ".aiff", 0.3)),
    "aiff bare": lambda d: make(d, ".aiff", 0.3),
}
WITH_PYAV = {
    "m4a": lambda d: m4a(make_pyav(d, "aac", 0.5)),
    "alac": lambda d: m4a(make_pyav(d, "alac", 0.5)),
    "m4a bare": lambda d: make_pyav(d, "aac", 0.5),
    "wma": lambda d: wma(make_pyav(d, "wma", 0.5)),
    "wavpack": lambda d: behind(make_pyav(d, "wavpack", 0.5)),
    "oggflac": lambda d: comments(make_pyav(d, "oggflac", 0.5), OggFLAC),
    "adts": lambda d: in_front(make_pyav(d, "adts", 0.5), 4),
}
try:
    import av
except ImportError:
    ALL = MAKERS
else:
    ALL = {**MAKERS, **WITH_PYAV}
    assert av
KINDS = sorted(ALL)


@cache
def content(kind):
    """Suffix and bytes of a file, made once."""
    with TemporaryDirectory() as folder:
        path = ALL[kind](Path(folder))
        return path.suffix, path.read_bytes()


def put(folder, kind, name=None):
    """Write a file of a kind."""
    suffix, bytes_ = content(kind)
    path = Path(folder) / f"{name or kind}{suffix}"
    path.write_bytes(bytes_)
    return path
