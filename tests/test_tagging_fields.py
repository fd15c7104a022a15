"""Fields are written, and nothing else changes: every format, any text, damaged files."""

import io
import random
import shutil
import subprocess

import numpy as np
import pytest
from audio_files import make, make_pyav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen import File, apev2, flac, id3, mp4

from matt.audio.containers import audio_hash, examine
from matt.datasets.tags import read_tags
from matt.errors import AudioError, DataError
from matt.tagging.fields import FIELDS, kind_of, read_fields, rest_of, set_fields, stored

FFMPEG = shutil.which("ffmpeg")
_BY_FFMPEG = {  # suffix: arguments
    "spx": ["-ar", "16000", "-ac", "1", "-c:a", "libspeex"],
    "tta": [],
    "wav-info": ["-c:a", "pcm_s16le"],
    "m4a-faststart": ["-movflags", "+faststart"],
    "m4a-fragments": ["-movflags", "+frag_keyframe+empty_moov"],
    "rf64": ["-f", "wav", "-rf64", "always"],
    "aiff-id3": ["-write_id3v2", "1"],
    "mp2": [],
    "opus": ["-c:a", "libopus"],
}
_BY_PYAV = ["aac", "alac", "adts", "wma", "wavpack", "oggflac"]
_BY_SOUNDFILE = [".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff"]
KINDS = [*_BY_SOUNDFILE, *_BY_PYAV, *_BY_FFMPEG]
WRITTEN = [kind for kind in KINDS if kind not in ("m4a-fragments", "rf64")]
NOTE = "\U0001f3b5"
REFUSED = [".w64", ".caf", ".au", "matroska", "rf64"]
TEXTS = {"title": "Téa \u2603", "artist": "Bob", "album": "Air", "genre": "Old", "track": "3"}


def made(folder, kind, *, seconds=1.0):
    if kind.startswith("."):
        return make(folder, kind, seconds)
    if kind in ("matroska", *_BY_PYAV):
        return make_pyav(folder, kind, seconds)
    if FFMPEG is None:
        pytest.skip("ffmpeg is not installed, which makes this file")
    source = make(folder, ".wav", seconds)
    path = folder / f"by-ffmpeg-{kind}.{kind.split('-')[0]}"
    said = [part for key, value in TEXTS.items() for part in ("-metadata", f"{key}={value}")]
    command = [FFMPEG, "-loglevel", "error", "-y", "-i", source, *_BY_FFMPEG[kind], *said, path]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Files of all kinds, made once; nobody changes these."""
    folder = tmp_path_factory.mktemp("shelf")
    kept = {}

    def of(kind):
        if kind not in kept:
            kept[kind] = made(folder, kind)
        return kept[kind]

    return of


def copied(path, folder, name=None):
    return type(path)(shutil.copy(path, folder / (name or path.name)))


def samples(path):
    """What PyAV decodes, which is ffmpeg."""
    av = pytest.importorskip("av", reason="PyAV is not installed, which decodes")
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray().tobytes() for frame in container.decode(audio=0)]
    return b"".join(frames)


def checked(path, new, **options):
    """Set fields, and look that nothing else has changed; gives what is then read."""
    before = audio_hash(path), rest_of(path), examine(path).problems
    wanted = {**read_fields(path), **stored(path, new, **options)}
    set_fields(path, new, **options)
    assert (audio_hash(path), rest_of(path), examine(path).problems) == before
    found = read_fields(path)
    assert found == wanted
    return found


NEW = {"genre": ("Shoegaze", "Dream pop"), "mood": ("calm",), "grouping": ("Ünder\u2603",)}


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_format_keeps_its_sound_and_says_what_was_written(kind, shelf, tmp_path):
    path = copied(shelf(kind), tmp_path)
    heard = samples(path)
    title = read_tags(path).title
    checked(path, NEW)
    assert samples(path) == heard
    genres = read_tags(path, genre_separator="/").genres
    assert genres == NEW["genre"]
    assert read_tags(path).title == title
    longer = {"genre": tuple(f"genre {n} of many" for n in range(300))}  # more than any padding
    checked(path, longer)
    assert samples(path) == heard
    checked(path, {field: (NOTE * 9000,) for field in FIELDS})  # more than a page of Ogg
    assert samples(path) == heard
    checked(path, dict.fromkeys(FIELDS, ()))
    assert samples(path) == heard
    assert read_tags(path).genres == ()
    assert read_tags(path).title == title


@pytest.mark.parametrize("kind", REFUSED)
def test_formats_whose_tags_cannot_be_written_are_refused(kind, shelf, tmp_path):
    path = copied(shelf(kind), tmp_path)
    content = path.read_bytes()
    with pytest.raises(DataError, match="--sidecar"):
        set_fields(path, NEW)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "kind", [".mp3", ".flac", ".ogg", ".opus", "aac", "wavpack", "wma", ".aiff", "adts"]
)
@given(
    new=st.dictionaries(
        st.sampled_from(FIELDS),
        st.lists(
            st.text(
                st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
            ).filter(str.strip),
            max_size=4,
        ).map(tuple),
    )
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_is_read_as_it_was_written(kind, new, shelf, tmp_path):
    checked(copied(shelf(kind), tmp_path), new)


@pytest.mark.parametrize("value", ["", "  ", "a\0b", "\ud800"])
def test_what_is_no_text_is_refused(value, shelf, tmp_path):
    path = copied(shelf(".mp3"), tmp_path)
    with pytest.raises(DataError, match="text"):
        set_fields(path, {"genre": (value,)})
    with pytest.raises(DataError, match="artist"):
        set_fields(path, {"artist": ("Bob",)})


def odd_id3(version):
    """Frames that mutagen would drop, join or not read, and some that it knows."""

    def frame(name, content, flags=b"\0\0"):
        size = len(content)
        return name + size.to_bytes(4, "big") + flags + content

    frames = [
        frame(b"TIT2", b"\0One"),
        frame(b"TPE1", b"\0A/B"),
        frame(b"TIT2", b"\0Twice"),
        frame(b"COMM", b"\0eng\0same"),
        frame(b"COMM", b"\0eng\0other"),
        frame(b"XYZW", bytes(range(100))),
        frame(b"TYER", b"\0" + b"1999"),
        frame(b"APIC", b"\7broken"),
        frame(b"TCON", b"\0(17)"),
        frame(b"TCON", b"\0Twice"),
        frame(b"PRIV", b"owner\0" + b"\xff\xfb\xff\0" * 20),
    ]
    body = b"".join(frames) + bytes(30)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + size + body, frames


@pytest.mark.parametrize("version", [3, 4])
def test_frames_that_nobody_understands_stay(version, shelf, tmp_path):
    tag, frames = odd_id3(version)
    path = tmp_path / "odd.mp3"
    path.write_bytes(tag + shelf(".mp3").read_bytes())
    assert kind_of(path) == f"ID3v2.{version}"
    assert read_fields(path)["genre"] == ("(17)", "Twice")
    checked(path, NEW)
    content = path.read_bytes()
    for frame in frames:
        assert (frame in content) == (frame[:4] != b"TCON"), frame
    written = id3.ID3(path, translate=False)
    assert written.version[1] == version
    expected = NEW["genre"] if version == 4 else ("/".join(NEW["genre"]),)
    assert tuple(written["TCON"].text) == expected


def test_id3_of_the_second_version_stays_so(shelf, tmp_path):
    path = tmp_path / "old.mp3"
    frames = b"TT2\0\0\4\0One" + b"TCO\0\0\5\0(17)" + bytes(20)
    path.write_bytes(
        b"ID3\2\0\0" + bytes([0, 0, 0, len(frames)]) + frames + shelf(".mp3").read_bytes()
    )
    checked(path, NEW)
    tag = id3.ID3(path, translate=False)
    assert tag.version == (2, 2, 0)
    assert str(tag["TCON"]) == "Shoegaze/Dream pop"


def test_unsynchronised_tags_stay_so(shelf, tmp_path):
    path = tmp_path / "unsynchronised.mp3"
    private = b"owner\0" + b"\xff\xfb\xff\0\xff"
    raw = b"PRIV" + len(private).to_bytes(4, "big") + b"\0\0" + private
    body = raw.replace(b"\xff\0", b"\xff\0\0").replace(b"\xff\xfb", b"\xff\0\xfb") + b"\0" * 9
    head = b"ID3\3\0\x80" + bytes([0, 0, 0, len(body)])
    path.write_bytes(head + body + shelf(".mp3").read_bytes())
    before = id3.ID3(path, translate=False).getall("PRIV")
    assert before[0].data == private[6:]
    checked(path, NEW)
    assert id3.ID3(path, translate=False).getall("PRIV") == before


V1 = (
    b"TAG"
    + b"Name".ljust(30, b"\0")
    + b"Who".ljust(30, b"\0")
    + bytes(30)
    + b"1999"
    + b"note".ljust(28, b"\0")
    + b"\0\5"
    + bytes([17])
)


def test_old_tags_alone_get_a_new_one_with_their_texts(shelf, tmp_path):
    path = tmp_path / "old.mp3"
    path.write_bytes(shelf(".mp3").read_bytes() + V1)
    assert read_fields(path)["genre"] == ("Rock",)
    checked(path, {"genre": ("Metal",)})
    assert path.read_bytes()[-128:] == V1[:127] + bytes([9])
    tag = id3.ID3(path, load_v1=False)
    assert (str(tag["TIT2"]), str(tag["TPE1"]), str(tag["TDRC"])) == ("Name", "Who", "1999")
    checked(path, {"genre": ("Klezcore",)})
    assert path.read_bytes()[-1] == 255


def ape(**items):
    tag = apev2.APEv2()
    tag.update(items)
    buffer = io.BytesIO()
    tag.save(buffer)
    return buffer.getvalue()


def test_tags_of_several_families_agree_afterwards(shelf, tmp_path):
    path = tmp_path / "both.mp3"
    path.write_bytes(shelf(".mp3").read_bytes() + ape(Genre="Old", Title="T") + V1)
    checked(path, {"genre": ("Metal", "Folk")})
    assert not path.read_bytes().startswith(b"ID3"), "a tag is written where there is one"
    assert apev2.APEv2(path)["genre"][:] == ["Metal", "Folk"]
    tag = id3.ID3()
    tag.add(id3.TIT2(encoding=3, text=["T"]))
    tag.save(path, v1=0)
    path.write_bytes(path.read_bytes() + V1)
    checked(path, {"genre": ("Jazz",)})
    assert apev2.APEv2(path)["genre"][:] == ["Jazz"]
    assert str(id3.ID3(path, load_v1=False)["TCON"]) == "Jazz"
    assert path.read_bytes()[-1] == 8


def test_comments_keep_order_vendor_and_pictures(shelf, tmp_path):
    path = copied(shelf(".flac"), tmp_path)
    file = flac.FLAC(path)
    file["title"], file["GeNre"], file["rating"] = "T", ["a", "b"], ["5"]
    picture = flac.Picture()
    picture.data, picture.type, picture.mime = b"\1" * 70_000, 3, "image/png"
    file.add_picture(picture)
    file.save()
    vendor = flac.FLAC(path).tags.vendor
    checked(path, {"genre": tuple("xyz")})
    file = flac.FLAC(path)
    assert (file.tags.vendor, file["genre"], file["rating"]) == (vendor, ["x", "y", "z"], ["5"])
    assert file.pictures[0].data == picture.data
    # Behind an ID3 tag, too.
    path.write_bytes(odd_id3(3)[0] + path.read_bytes())
    checked(path, {"genre": ("both",)})
    assert id3.ID3(path)["TCON"].text == ["both"]


def test_numbers_of_mp4_become_texts(shelf, tmp_path):
    path = copied(shelf("aac"), tmp_path)
    file = mp4.MP4(path)
    file["\xa9nam"] = "T"
    file["----:com.example:X"] = [b"\0\1", b"\2"]
    file.save()
    file["\xa9gen"] = "ab"  # as long as a number, in whose place it stands
    file.save()
    content = path.read_bytes()
    data = b"\0\0\0\x12data\0\0\0%c\0\0\0\0"
    text = b"\0\0\0\x1a\xa9gen" + data % 1 + b"ab"
    assert content.count(text) == 1
    path.write_bytes(content.replace(text, b"\0\0\0\x1agnre" + data % 0 + b"\0\x12"))
    assert read_fields(path)["genre"] == ("Rock",)
    checked(path, {"genre": ("Metal",)})
    file = mp4.MP4(path)
    assert file["\xa9gen"] == ["Metal"]
    assert b"gnre" not in path.read_bytes()
    assert [bytes(one) for one in file["----:com.example:X"]] == [b"\0\1", b"\2"]


def test_a_wrong_suffix_does_not_matter(shelf, tmp_path):
    for kind, wrong in ((".flac", "a.mp3"), ("aac", "a.flac"), (".mp3", "a.ogg")):
        path = copied(shelf(kind), tmp_path, wrong)
        checked(path, {"genre": ("New",)})
        assert read_tags(path).genres == ("New",)


def test_a_list_of_texts_before_the_sound_is_changed_in_place(shelf, tmp_path):
    path = copied(shelf(".wav"), tmp_path)
    content = path.read_bytes()
    texts = b"LIST" + (4 + 8 + 5 + 1 + 8 + 4).to_bytes(4, "little") + b"INFO"
    texts += b"IART\5\0\0\0Who?\0\0" + b"IGNR\4\0\0\0Old\0"
    odd = b"cue \3\0\0\0abc\0"
    body = content[12:36] + texts + odd + content[36:]
    path.write_bytes(b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WAVE" + body)
    heard = samples(path)
    checked(path, {"genre": ("New", "Newer")})
    assert read_fields(path)["genre"] == ("New/Newer",)
    assert b"id3" not in path.read_bytes()
    checked(path, {"mood": ("calm",)})
    assert File(path).tags["TMOO"].text == ["calm"]
    checked(path, {"genre": ("Folk",)})
    assert samples(path) == heard
    assert read_tags(path).genres == ("Folk",)


def damaged(path, seed):
    rng = random.Random(seed)
    content = bytearray(path.read_bytes())
    where = rng.choice(["cut", "head", "anywhere", "holes"])
    if where == "cut":
        del content[rng.randrange(len(content)) :]
    elif where == "holes":
        at = rng.randrange(len(content))
        del content[at : at + rng.randrange(1, 300)]
    else:
        most = min(len(content), 600) if where == "head" else len(content)
        for _ in range(rng.randrange(1, 6)):
            content[rng.randrange(most)] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return path


def survive(shelf, folder, numbers):
    """Whatever is damaged, it is refused, or nothing else changes."""
    n_written = 0
    for number in numbers:
        source = shelf(KINDS[number % len(KINDS)])
        path = damaged(copied(source, folder, f"{number}{source.suffix}"), number)
        try:
            before = audio_hash(path), rest_of(path)
        except (AudioError, DataError):
            continue
        content = path.read_bytes()
        for new in ({"genre": ("x",)}, NEW, {"genre": ("long " * 1500,)}, {"genre": ()}):
            try:
                set_fields(path, new)
            except (AudioError, DataError):
                assert path.read_bytes() == content
                continue
            assert (audio_hash(path), rest_of(path)) == before, number
            content = path.read_bytes()
            n_written += 1
        path.unlink()
    return n_written


def test_damaged_files_are_refused_or_lose_nothing(shelf, tmp_path):
    assert survive(shelf, tmp_path, range(200)) > 100


@pytest.mark.slow
def test_a_thousand_damaged_files_are_refused_or_lose_nothing(shelf, tmp_path):
    assert survive(shelf, tmp_path, range(200, 1200)) > 500


def test_fragments_are_refused_where_they_would_move(shelf, tmp_path):
    path = copied(shelf("m4a-fragments"), tmp_path)
    content = path.read_bytes()
    with pytest.raises(DataError, match=r"fragments.*--sidecar"):
        set_fields(path, {"genre": ("x" * 5000,)})
    assert path.read_bytes() == content


def test_chained_ogg_is_changed_in_its_first_stream_alone(shelf, tmp_path):
    path = tmp_path / "chained.ogg"
    second = make(tmp_path, ".ogg", 0.5).read_bytes()
    path.write_bytes(shelf(".ogg").read_bytes() + second)
    checked(path, {field: (NOTE * 9000,) for field in FIELDS})
    assert path.read_bytes().endswith(second)
    assert len(path.read_bytes()) > len(second) + 100_000


def test_flac_that_has_no_comments_gets_some(shelf, tmp_path):
    path = tmp_path / "bare.flac"
    content = shelf(".flac").read_bytes()
    at, last = 4, False
    while not last:
        last, at = content[at] >= 0x80, at + 4 + int.from_bytes(content[at + 1 : at + 4], "big")
    path.write_bytes(b"fLaC\x80" + content[5:42] + content[at:])
    heard = samples(path)
    checked(path, NEW)
    assert flac.FLAC(path)["genre"] == list(NEW["genre"])
    assert samples(path) == heard


def invented(magic, size=5000):
    """Something that begins as a format does that nothing here can write."""
    return magic + np.random.default_rng(3).bytes(size)


@pytest.mark.parametrize("magic", [b"MAC ", b"MPCK", b"MP+\x07"])
def test_formats_with_apev2_get_it_before_old_tags(magic, tmp_path):
    path = tmp_path / "some.audio"
    path.write_bytes(invented(magic) + V1)
    checked(path, NEW)
    content = path.read_bytes()
    assert content.startswith(invented(magic))
    assert content[-128:-1] == V1[:127]
    tag = apev2.APEv2(path)
    assert (tag["Genre"][:], str(tag["Title"])) == (list(NEW["genre"]), "Name")


def test_dsf(tmp_path):
    path = tmp_path / "some.dsf"
    sound = bytes(range(256)) * 32
    about = b"".join(n.to_bytes(4, "little") for n in (1, 0, 2, 2, 2_822_400, 1))
    about += (len(sound) * 4).to_bytes(8, "little") + (4096).to_bytes(4, "little") + bytes(4)
    chunk = b"fmt " + (52).to_bytes(8, "little") + about
    chunk += b"data" + (12 + len(sound)).to_bytes(8, "little") + sound
    head = b"DSD " + (28).to_bytes(8, "little") + (28 + len(chunk)).to_bytes(8, "little") + bytes(8)
    path.write_bytes(head + chunk)
    checked(path, NEW)
    assert File(path).tags["TCON"].text == list(NEW["genre"])
    assert read_tags(path).genres == NEW["genre"]
    checked(path, {"genre": tuple(f"genre {n} of many" for n in range(300))})
    checked(path, dict.fromkeys(FIELDS, ()))
    assert path.read_bytes()[28:].startswith(chunk)
