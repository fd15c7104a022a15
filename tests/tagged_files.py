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
from mutagen.ogg import OggPage
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


def syncsafe(n):
    return bytes(n >> shift & 127 for shift in (21, 14, 7, 0))


def by_hand(frames, way="plain", padding=64, major=3):
    """An ID3v2 of names, contents and perhaps flags, in one of three ways.

    ``"before"``: 2.2 or 2.3 unsynchronised, with sizes as they were before, as the specification
    has it; ``"after"``: with those afterwards, as some programs write; as some others do, 2.4 has
    sizes in eight bits a byte.
    """
    n = 3 if major == 2 else 4
    body = b""
    for name, content, *flags in frames:
        told = unsynchronise(content) if way == "after" and major < 4 else content
        size = len(told).to_bytes(n, "big")
        if major == 4 and way == "plain":
            size = syncsafe(len(told))
        body += name + size + (b"" if major == 2 else b"".join(flags) or bytes(2)) + told
    body = (unsynchronise(body) if way == "before" else body) + bytes(padding)
    head = bytes([major, 0, 0 if way == "plain" or major == 4 else 0x80])
    return b"ID3" + head + syncsafe(len(body)) + body


def frames_of(content, *, safe=True):
    """Name, flags and content of each frame of an ID3v2 that is not unsynchronised."""
    major, n = content[3], 3 if content[3] == 2 else 4
    at, found = 10, []
    stop = 10 + sum(byte << 7 * place for place, byte in enumerate(content[9:5:-1]))
    while at < stop and content[at]:
        size = content[at + n : at + 2 * n]
        bits = 7 if major == 4 and safe else 8
        n_held = sum(byte << bits * place for place, byte in enumerate(size[::-1]))
        begin = at + 2 * n + (0 if n == 3 else 2)
        flags = content[at + 2 * n : begin]
        found.append((content[at : at + n], content[begin : begin + n_held], flags))
        at = begin + n_held
    assert not any(content[at:stop])
    return found


def ape(items):
    """An APEv2 of keys, values and flags."""
    body = b"".join(
        len(value).to_bytes(4, "little") + flags.to_bytes(4, "little") + key + b"\0" + value
        for key, value, flags in items
    )
    told = (len(body) + 32).to_bytes(4, "little") + len(items).to_bytes(4, "little")
    head, foot = (
        b"APETAGEX" + (2000).to_bytes(4, "little") + told + bytes([0, 0, 0, flag]) + bytes(8)
        for flag in (0xA0, 0x80)
    )
    return head + body + foot


def items_of(content):
    """Key, value and flags of each item of an APEv2 at the end of a file."""
    stop = len(content) - 32
    at = stop + 32 - int.from_bytes(content[stop + 12 : stop + 16], "little")
    found = []
    while at < stop:
        size, flags = (int.from_bytes(content[at + n : at + n + 4], "little") for n in (0, 4))
        end = content.index(b"\0", at + 8)
        found.append((content[at + 8 : end], content[end + 1 : end + 1 + size], flags))
        at = end + 1 + size
    assert len(found) == int.from_bytes(content[stop + 16 : stop + 20], "little")
    return found


def v1(genre, title=b"Title"):
    return b"TAG" + title.ljust(30, b"\0") + bytes(94) + bytes([genre])


def vorbis(comments, vendor=b"vendor"):
    """Vorbis comments of any bytes."""
    return b"".join(
        len(one).to_bytes(4, "little")
        + one
        + (len(comments).to_bytes(4, "little") if not at else b"")
        for at, one in enumerate([vendor, *comments])
    )


def comments_of(content):
    """Vendor and comments at the beginning of some bytes."""
    found, at, n = [], 0, 1
    while len(found) < n:
        size = int.from_bytes(content[at : at + 4], "little")
        found.append(content[at + 4 : at + 4 + size])
        at += 4 + size
        if len(found) == 1:
            n, at = 1 + int.from_bytes(content[at : at + 4], "little"), at + 4
    return found


def flac(blocks):
    """A FLAC file with other metadata blocks behind the first."""
    bytes_ = content("flac bare")[1]
    at, ends = 4, False
    while not ends:
        ends, at = bytes_[at] & 0x80, at + 4 + int.from_bytes(bytes_[at + 1 : at + 4], "big")
    told = [(0, bytes_[8:42]), *blocks]
    heads = [bytes([code | 0x80 * (one == len(told) - 1)]) for one, (code, _) in enumerate(told)]
    return (
        b"fLaC"
        + b"".join(
            head + len(block).to_bytes(3, "big") + block
            for head, (_, block) in zip(heads, told, strict=True)
        )
        + bytes_[at:]
    )


def blocks_of(content):
    """Kind and content of each metadata block of a FLAC file, and its frames."""
    found, at, ends = [], 4, False
    while not ends:
        size = int.from_bytes(content[at + 1 : at + 4], "big")
        found.append((content[at] & 0x7F, content[at + 4 : at + 4 + size]))
        ends, at = content[at] & 0x80, at + 4 + size
    return found, content[at:]


def ogg_packet(content, new=None):
    """The second packet of an Ogg file; or a file with another."""
    file = io.BytesIO(content)
    first, pages = OggPage(file), []
    while not pages or not (pages[-1].complete or len(pages[-1].packets) > 1):
        pages.append(OggPage(file))
    packets = OggPage.to_packets(pages, strict=False)
    if new is None:
        return packets[0]
    told = OggPage.from_packets([new, *packets[1:]], first.sequence + 1)
    OggPage.replace(file, pages, told)
    return file.getvalue()


def box(name, content):
    return (8 + len(content)).to_bytes(4, "big") + name + content


def boxes_of(content):
    found, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + size]))
        at += size
    return found


def ilst_of(content):
    """The items of the tags of an MP4 file."""
    for name in (b"moov", b"udta", b"meta", b"ilst"):
        content = dict(boxes_of(content))[name]
        content = content[4:] if name == b"meta" else content
    return boxes_of(content)


def mp4(items):
    """An MP4 file with other tags, whose index lies behind its audio and so moves nothing."""
    told = boxes_of(content("m4a bare")[1])
    assert [name for name, _ in told][-1] == b"moov"
    kept = [pair for pair in boxes_of(told[-1][1]) if pair[0] != b"udta"]
    heading = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    list_ = box(b"ilst", b"".join(box(*item) for item in items))
    tags = (b"udta", box(b"meta", bytes(4) + heading + list_))
    index = (b"moov", b"".join(box(*pair) for pair in (*kept, tags)))
    return b"".join(box(*pair) for pair in (*told[:-1], index))


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
