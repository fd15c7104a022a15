"""Tags in and around files: every family is read, the richer first, each filling what it lacks."""

import io
import struct
from contextlib import suppress

import mutagen
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.oggvorbis
import numpy as np
import pytest
import soundfile
from audio_files import make, make_pyav
from hypothesis import example, given
from hypothesis import strategies as st
from mutagen.id3 import TALB, TCON, TIT2, TPE1

from matt.datasets.folder import scan
from matt.datasets.genres import parted
from matt.datasets.tags import read_tags
from matt.errors import AudioError

NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 4000)
SAID = {"title": "A Title", "artist": "Ärtist", "album": "An Album", "genre": "Rock"}
FIELDS = ("title", "artist", "album", "genre")
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "Nd"]), min_size=1, max_size=40)


def sound(path, **options):
    kinds = {".mp3": "MP3", ".flac": "FLAC", ".ogg": "OGG", ".wav": "WAV", ".aiff": "AIFF"}
    soundfile.write(path, NOISE, 8000, format=kinds[path.suffix], **options)
    return path.read_bytes()


def told(path):
    tags = read_tags(path)
    genre = tags.genres[0] if tags.genres else ""
    return dict(zip(FIELDS, (tags.title, tags.artist, tags.album, genre), strict=True))


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(name, content, *, order="<", pad=True):
    return name + struct.pack(f"{order}I", len(content)) + content + bytes(pad and len(content) % 2)


def info(said, *, encoding="utf-8", pad=True):
    names = {"title": b"INAM", "artist": b"IART", "album": b"IPRD", "genre": b"IGNR"}
    texts = (chunk(names[k], v.encode(encoding) + b"\0", pad=pad) for k, v in said.items())
    return chunk(b"LIST", b"INFO" + b"".join(texts), pad=pad)


def id3(said, version=4):
    kinds = {"title": TIT2, "artist": TPE1, "album": TALB, "genre": TCON}
    tags = mutagen.id3.ID3()
    for name, value in said.items():
        tags.add(kinds[name](encoding=1, text=value))
    out = io.BytesIO()
    tags.save(out, v2_version=version, padding=lambda _: 0)
    return out.getvalue()


def ape(said):
    tags = mutagen.apev2.APEv2()
    tags.update({name.title(): value for name, value in said.items()})
    out = io.BytesIO()
    tags.save(out)
    return out.getvalue()


def id3v1(said, number=255):
    texts = (said.get(name, "").encode("latin-1", "replace")[:30] for name in FIELDS[:3])
    return b"TAG" + b"".join(text.ljust(30, b"\0") for text in texts) + bytes(34) + bytes([number])


def wav_parts(path):
    content = sound(path)
    at = content.find(b"data")
    return content[12:at], content[at:]


@pytest.mark.parametrize("pad", [True, False], ids=["padded", "unpadded"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_info_of_a_wav(tmp_path, place, encoding, pad):
    path = tmp_path / "a.wav"
    described, data = wav_parts(path)
    said = info(SAID, encoding=encoding, pad=pad)
    path.write_bytes(riff(described, *((said, data) if place == "before" else (data, said))))
    assert told(path) == SAID
    assert read_tags(path).duration == 0.5


@given(
    st.dictionaries(st.sampled_from(FIELDS), NAMES), st.dictionaries(st.sampled_from(FIELDS), NAMES)
)
def test_info_fills_what_id3_lacks(tmp_path_factory, in_id3, in_info):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    described, data = wav_parts(path)
    for name in (b"id3 ", b"ID3 "):
        path.write_bytes(riff(described, info(in_info), data, chunk(name, id3(in_id3))))
        expected = dict.fromkeys(FIELDS, "") | in_info | in_id3
        found = told(path)
        for field in FIELDS:
            number = field == "genre" and expected[field].isdigit()
            assert number or found[field] == expected[field]


@given(
    st.lists(st.dictionaries(st.sampled_from(FIELDS), NAMES, min_size=1), min_size=2, max_size=2)
)
@example([{"title": "0"}, {"title": "0" * 5, "artist": "0" * 7, "album": "0" * 12}])  # 131 bytes
def test_an_mp3_is_told_by_id3v2_then_apev2_then_id3v1(tmp_path_factory, tags):
    path = tmp_path_factory.mktemp("mp3") / "a.mp3"
    audio = sound(path)
    short = {"title": "T", "artist": "Short", "album": "A"}
    path.write_bytes(id3(tags[0]) + audio + ape(tags[1]) + id3v1(short, 17))
    expected = short | {"genre": "Rock"} | tags[1] | tags[0]
    found = told(path)
    for field in FIELDS:
        number = field == "genre" and expected[field].isdigit()
        assert number or found[field] == expected[field]


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_id3_before_another_format_fills_what_that_lacks(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    sound(path)
    file = mutagen.File(path)
    file.update({"artist": SAID["artist"], "album": SAID["album"]})
    file.save()
    content = path.read_bytes()
    path.write_bytes(id3({**SAID, "artist": "Other"}) + content + id3v1({"title": "Last"}))
    assert told(path) == SAID
    assert read_tags(path).duration == pytest.approx(0.5, abs=0.1)


def test_id3_twice_and_a_damaged_one(tmp_path):
    path = tmp_path / "a.mp3"
    audio = sound(path)
    path.write_bytes(
        id3({"artist": "Ärtist", "title": "A Title"}) + id3(SAID | {"artist": "B"}) + audio
    )
    assert told(path) == SAID
    path.write_bytes(audio + b"APETAGEX" + bytes(100) + ape(SAID)[:-40] + id3v1(SAID, 17))
    assert told(path)["album"] == "An Album"


def test_texts_of_an_aiff(tmp_path):
    path = tmp_path / "a.aiff"
    content = sound(path)
    texts = chunk(b"NAME", b"A Title", order=">") + chunk(b"AUTH", "Ärtist".encode(), order=">")
    notes = chunk(b"ANNO", b"a note, and no genre", order=">")
    for body in (content[12:] + texts + notes, texts + notes + content[12:]):
        path.write_bytes(b"FORM" + struct.pack(">I", len(body) + 4) + b"AIFF" + body)
        assert told(path) == {**SAID, "album": "", "genre": ""}
        assert read_tags(path).duration == 0.5
        path.write_bytes(path.read_bytes() + chunk(b"ID3 ", id3(SAID), order=">"))
        assert told(path) == SAID


def element(name, content):
    return bytes.fromhex(name) + (len(content) | 1 << 28).to_bytes(4, "big") + content


def simple(name, value):
    return element("67c8", element("45a3", name.encode()) + element("4487", value.encode()))


@pytest.mark.parametrize("of_album", [False, True])
def test_tags_of_matroska(tmp_path, of_album):
    track = [simple("ARTIST", "Ärtist"), simple("GENRE", "17")]
    track += [] if of_album else [simple("ALBUM", "An Album")]
    tags = element("7373", element("63c0", b"") + b"".join(track))
    if of_album:
        level = element("63c0", element("68ca", b"\x32"))
        tags += element("7373", level + simple("TITLE", "An Album") + simple("ARTIST", "Band"))
    about = element("2ad7b1", (10**6).to_bytes(3, "big")) + element("4489", struct.pack(">d", 2500))
    about += element("7ba9", b"A Title")
    path = tmp_path / "a.mka"
    for clusters in (b"", element("1f43b675", bytes(100_000)) * 3):
        body = element("1549a966", about) + clusters + element("1254c367", tags)
        path.write_bytes(element("1a45dfa3", bytes(20)) + element("18538067", body))
        assert told(path) == SAID
        assert read_tags(path).album_artist == ("Band" if of_album else "")
        assert read_tags(path).duration == 2.5


@pytest.mark.parametrize("number", [0, 17, 79, 191])
@pytest.mark.parametrize("written", ["{}", "({})", "({}){}"])
@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".wav"])
def test_numbers_are_genres_in_every_format(tmp_path, suffix, written, number):
    path = tmp_path / f"a{suffix}"
    name = TCON.GENRES[number]
    text = written.format(number, name)
    if suffix == ".wav":
        described, data = wav_parts(path)
        path.write_bytes(riff(described, info({"genre": text}), data))
    else:
        content = sound(path)
        if suffix == ".mp3":
            path.write_bytes(content + ape({"genre": text}))
        else:
            file = mutagen.File(path)
            file["genre"] = text
            file.save()
    assert read_tags(path).genres == (name,)


@pytest.mark.parametrize(
    ("texts", "separator", "genres"),
    [
        (["255"], "", ()),
        (["(255)"], "", ()),
        (["(17)(20)"], "", ("Rock", "Alternative")),
        (["80s", "1990s"], "", ("80s", "1990s")),
        (["Rock/Pop", "17", "Folk"], "", ("Rock/Pop", "Rock", "Folk")),
        (["Folk; Rock;17"], "", ("Folk; Rock;17",)),
        (["Folk; Rock;9", "Jazz"], ";", ("Folk", "Rock", "Metal", "Jazz")),
    ],
)
def test_genres_keep_their_order_and_are_separated_where_somebody_says(
    tmp_path, texts, separator, genres
):
    path = tmp_path / "a.flac"
    sound(path)
    file = mutagen.flac.FLAC(path)
    file["genre"] = texts
    file.save()
    assert read_tags(path, genre_separator=separator).genres == genres
    found = scan(tmp_path, genre_separator=separator).tracks
    assert found.columns["genre_written"].tolist() == ["; ".join(genres)]
    as_written = scan(tmp_path, genre_separator=separator, merge=False).tracks
    assert parted(as_written.columns["genre_tags"][0]) == genres
    assert as_written.genres == genres[:1]


def test_an_empty_id3v1_says_nothing_of_the_genre(tmp_path):
    path = tmp_path / "a.mp3"
    audio = sound(path)
    path.write_bytes(id3({"artist": "A", "album": "B"}) + audio + id3v1({}, number=0))
    assert read_tags(path).genres == ()
    path.write_bytes(id3({"artist": "A", "album": "B"}) + audio + id3v1({"title": "T"}, number=17))
    assert read_tags(path).genres == ("Rock",)


@given(st.data())
def test_no_damage_to_chunks_and_elements_breaks_anything(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "a.wav"
    described, sounds = wav_parts(path)
    tags = element("1254c367", element("7373", simple("ARTIST", "A") * 3))
    whole = data.draw(
        st.sampled_from(
            [
                riff(described, info(SAID), chunk(b"id3 ", id3(SAID)), sounds[:200]),
                element("1a45dfa3", bytes(20)) + element("18538067", tags),
            ]
        )
    )
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with suppress(AudioError):
        read_tags(path)


def test_what_is_no_audio_is_counted_by_suffix(tmp_path):
    sound(tmp_path / "a.flac")
    for name in ("a.jpg", "b.JPG", "c.txt", "README", "d.jpg", "e.cue"):
        (tmp_path / name).write_bytes(b"x")
    found = scan(tmp_path)
    assert list(found.left_out.items()) == [(".jpg", 3), (".cue", 1), (".txt", 1), ("no suffix", 1)]
    assert found.counts["not audio"] == sum(found.left_out.values())


@pytest.mark.parametrize("kind", [".mp3", ".flac", ".ogg", ".wav", "adts", "wavpack", "aac", "wma"])
@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".m4a", ".wma", ".ape", ".aac", ".wv"])
@pytest.mark.parametrize("before", [b"", id3(SAID)])
def test_a_wrong_suffix_does_not_outvote_the_content(tmp_path, kind, suffix, before):
    made = make(tmp_path, kind) if kind[0] == "." else make_pyav(tmp_path, kind)
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(before + made.read_bytes())
    tags = read_tags(path)
    assert tags.artist == (SAID["artist"] if before else "")
    if kind not in ("adts", ".wav"):
        assert tags.duration == pytest.approx(3, abs=0.2)
