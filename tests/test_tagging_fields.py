"""Genre, mood and grouping of every format: what is asked for is said, and nothing else changes."""

import json
import random
import shutil
import subprocess
from io import BytesIO

import mutagen
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3
from tagged_files import ARTIST, COVER, KINDS, TITLE, by_hand, content, put

from matt import AudioError, DataError
from matt.audio.containers import audio_hash
from matt.audio.decoder import read_blocks
from matt.datasets.tags import read_tags
from matt.tagging.families import FIELDS
from matt.tagging.fields import everything, family_of, read_fields, write_copy

SEVERAL = {"genre": ("Indie Rock", "Folk"), "mood": ("calm",), "grouping": ("Rock",)}
ONE_TEXT = ("ID3v2.3", "RIFF")  # families that know one text a field


def wanted(path):
    return {"genre": SEVERAL["genre"]} if family_of(path) == "RIFF" else SEVERAL


def samples(path):
    return np.concatenate(list(read_blocks(path, sr=None)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_says_what_is_asked_for_and_all_else_as_before(tmp_path, kind):
    path, copy = put(tmp_path, kind, "a"), tmp_path / "copy"
    before, new = path.read_bytes(), wanted(path)
    stored = write_copy(path, copy, new)
    assert path.read_bytes() == before
    copy = copy.rename(copy.with_suffix(path.suffix))
    family = family_of(path)
    for name, values in new.items():
        told = read_fields(copy)[name]
        assert told == values or (family in ONE_TEXT and len(told) == 1 and len(values) > 1)
        assert everything(copy).fields[name] == stored[name]
    assert everything(copy).rest == everything(path).rest
    assert audio_hash(copy) == audio_hash(path)
    np.testing.assert_array_equal(samples(copy), samples(path))
    assert set(read_tags(copy).genres) == set(read_fields(copy)["genre"])
    for name in ("title", "artist", "album"):
        assert getattr(read_tags(copy), name) == getattr(read_tags(path), name)


@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_open_the_copy(tmp_path, kind):
    path, copy = put(tmp_path, kind, "a"), tmp_path / f"b{content(kind)[0]}"
    write_copy(path, copy, wanted(path))
    file = None if kind == "adts" else mutagen.File(copy)  # it takes AAC behind ID3 for an MP3
    if file is not None and file.tags is not None and "bare" not in kind:
        shown = repr(dict(file.tags) if not isinstance(file.tags, ID3) else file.tags.pprint())
        assert "Indie Rock" in shown or "Indie Rock/Folk" in shown
    by_libsndfile = path.suffix in (".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff")
    if by_libsndfile and kind != "flac behind id3":  # it reads none of these
        np.testing.assert_array_equal(sf.read(copy)[0], sf.read(path)[0])


def test_frames_of_others_are_there_by_an_independent_reading(tmp_path):
    for version in (3, 4):
        path, copy = put(tmp_path, f"mp3 2.{version}", "a"), tmp_path / "b.mp3"
        write_copy(path, copy, SEVERAL)
        tag = ID3(copy, translate=False)
        assert tag.version[1] == version
        assert tag["TIT2"].text == [TITLE]
        assert tag["TPE1"].text == [ARTIST, "Bea"]
        assert tag["APIC:"].data == COVER
        assert tag["PRIV:somebody:" + bytes(range(256)).decode("latin-1")].data == bytes(range(256))
        assert tag["TCON"].text == (["Indie Rock/Folk"] if version == 3 else ["Indie Rock", "Folk"])
        assert ("TXXX:MOOD" in tag, "TMOO" in tag) == (version == 3, version == 4)


def test_the_last_bytes_keep_all_but_the_number_of_the_genre(tmp_path):
    path, copy = put(tmp_path, "mp3 2.4 and v1", "a"), tmp_path / "b.mp3"
    write_copy(path, copy, {"genre": ("Folk",)})
    assert copy.read_bytes()[-128:-1] == path.read_bytes()[-128:-1]
    assert (path.read_bytes()[-1], copy.read_bytes()[-1]) == (17, 80)
    write_copy(path, copy, {"genre": ("Gabba Folk",)})
    assert copy.read_bytes()[-1] == 255
    write_copy(path, copy, {"mood": ("calm",)})
    assert copy.read_bytes()[-128:] == path.read_bytes()[-128:]


def test_texts_that_stood_in_the_last_bytes_alone_are_taken_over(tmp_path):
    path, copy = put(tmp_path, "mp3 v1", "a"), tmp_path / "b.mp3"
    assert family_of(path) == "ID3v2.4"
    write_copy(path, copy, {"genre": ("Folk",)})
    tag = ID3(copy, load_v1=False)
    assert (tag["TPE1"].text, tag["TCON"].text) == ([ARTIST], ["Folk"])


def test_every_tag_that_says_something_says_the_same(tmp_path):
    path, copy = put(tmp_path, "mp3 2.4 and ape", "a"), tmp_path / "b.mp3"
    write_copy(path, copy, {"genre": ("Folk",)})
    assert dict(everything(copy).fields["genre"]) == {"ID3v2.4": ("Folk",), "APEv2": ("Folk",)}
    path = put(tmp_path, "wav both", "c")
    write_copy(path, copy, {"genre": ("Folk", "Soul")})
    assert dict(everything(copy).fields["genre"]) == {
        "ID3v2.4": ("Folk", "Soul"),
        "RIFF": ("Folk; Soul",),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_removes_a_field(tmp_path, kind):
    path, copy = put(tmp_path, kind, "a"), tmp_path / f"b{content(kind)[0]}"
    write_copy(path, copy, {"genre": ()})
    assert read_fields(copy)["genre"] == ()
    assert everything(copy).rest == everything(path).rest


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40
).filter(lambda text: text.strip() and not text.isdigit() and "(" not in text)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    new=st.dictionaries(
        st.sampled_from(FIELDS), st.lists(texts, max_size=4, unique=True).map(tuple)
    ),
)
def test_any_texts_are_read_back(tmp_path, kind, new):
    path, copy = put(tmp_path, kind, "a"), tmp_path / f"b{content(kind)[0]}"
    if family_of(path) == "RIFF" and set(new) - {"genre"}:
        return
    stored = write_copy(path, copy, new)
    after = everything(copy)
    # "" is what an own reading leaves out; a text that ends in spaces is kept as it is
    assert {name: after.fields[name] for name in new} == stored
    assert after.rest == everything(path).rest
    assert audio_hash(copy) == audio_hash(path)


def damaged(kind, seed):
    """A file with bytes that are cut off, turned or put in."""
    rng = random.Random(f"{kind} {seed}")
    bytes_ = bytearray(content(kind)[1])
    for _ in range(rng.randint(1, 6)):
        at = rng.choice([rng.randrange(len(bytes_)), rng.randrange(min(400, len(bytes_)))])
        how = rng.randrange(4)
        if how == 0:
            bytes_[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            bytes_[at : at + rng.randrange(1, 20)] = rng.randbytes(rng.randrange(1, 20))
        elif how == 2:
            bytes_[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)])
        elif len(bytes_) > 2_000:
            del bytes_[max(at, 1_000) :]
    return bytes(bytes_)


def check_damaged(folder, seeds):
    n_written = 0
    for seed in seeds:
        kind = KINDS[seed % len(KINDS)]
        path, copy = folder / f"{seed}{content(kind)[0]}", folder / f"copy{content(kind)[0]}"
        path.write_bytes(damaged(kind, seed))
        try:
            new = wanted(path)
            stored = write_copy(path, copy, new)
            told = everything(copy)
        except (DataError, AudioError):
            continue
        finally:
            assert path.read_bytes() == damaged(kind, seed)
        # Whoever writes compares these, and leaves the file alone where they differ.
        same = audio_hash(copy) == audio_hash(path) and told.rest == everything(path).rest
        n_written += same and all(told.fields[name] == stored[name] for name in new)
    return n_written


def test_a_thousand_damaged_files_are_refused_or_written_well(tmp_path):
    assert check_damaged(tmp_path, range(1_000)) > 300


@pytest.mark.parametrize(
    "bytes_", [b"", b"no audio at all, but some text that goes on for a while"]
)
def test_what_cannot_be_written_is_refused_with_a_remedy(tmp_path, bytes_):
    (tmp_path / "a.mp3").write_bytes(bytes_)
    with pytest.raises((DataError, AudioError), match=r"--sidecar|is empty"):
        read_fields(tmp_path / "a.mp3")


def by_libsndfile(kind):
    file = BytesIO()
    sf.write(file, np.zeros(4_800), 48_000, format=kind, subtype="PCM_16")
    return file.getvalue()


DSD = b"DSD " + b"".join(n.to_bytes(8, "little") for n in (28, 180, 0))
REFUSED = {
    "RF64": lambda: by_libsndfile("RF64"),
    "W64": lambda: by_libsndfile("W64"),
    "CAF": lambda: by_libsndfile("CAF"),
    "AU": lambda: by_libsndfile("AU"),
    "DSF": lambda: DSD + b"fmt " + (52).to_bytes(8, "little") + bytes(40) + b"data" + bytes(96),
    "Matroska": lambda: b"\x1a\x45\xdf\xa3" + bytes(100),
    "AC-3": lambda: b"\x0b\x77\0\0\0\x40" + bytes(100),
    "DTS": lambda: b"\x7f\xfe\x80\x01" + bytes(100),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_that_are_not_written_are_named_with_a_remedy(tmp_path, kind):
    path = tmp_path / "a.mp3"  # what it holds decides, not what it is called
    path.write_bytes(REFUSED[kind]())
    for refused in (read_fields, family_of, everything):
        with pytest.raises(DataError) as caught:
            refused(path)
        assert str(caught.value).startswith(f"{path} cannot be written: nothing is written into ")
        assert kind in str(caught.value)
        assert "--sidecar" in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no regular file"):
        read_fields(tmp_path)
    with pytest.raises(DataError, match="no regular file"):
        read_fields(tmp_path / "gone.mp3")


def test_frames_that_mutagen_cannot_read_are_missed(tmp_path):
    """It drops them when it writes, so that a copy without them differs from the file."""
    path, copy = put(tmp_path, "mp3 2.4", "a"), tmp_path / "b.mp3"
    path.write_bytes(
        path.read_bytes().replace(
            b"UFID\0\0\0\x06\0\0x\x001234", b"TDLY\0\0\0\x06\0\0\x09\xff\xfe\xff\xfe\xff"
        )
    )
    assert b"TDLY" in path.read_bytes()
    write_copy(path, copy, {"genre": ("Folk",)})
    assert b"TDLY" in copy.read_bytes() or everything(copy).rest != everything(path).rest


# ---- unsynchronisation of a whole tag ----

PICTURE = (
    b"\xff\xd8\xff\xe0"
    + COVER[:400]
    + b"\xff\x00\xff\xe1\xff\xff\x00"
    + COVER[400:900]
    + b"\xff\xd9"
)
FRAMES = [
    (b"TIT2", b"\1" + "Tr\xe4ume \xff \u2602".encode("utf-16")),
    (b"APIC", b"\0image/jpeg\0\3\0" + PICTURE),
    (b"TPE1", b"\0Ann\xff"),
    (b"TALB", b"\0One"),
    (b"TCON", b"\0Rock"),
    (b"PRIV", b"x\0\xff\0\xff\xff\0\xe0"),
]  # fmt: skip


def mp3(path, tag):
    path.write_bytes(tag + content("mp3 bare")[1])
    return path


def by_mutagen(bytes_):
    """Frames but the genre."""
    tag = ID3(BytesIO(bytes_), translate=False)
    assert not tag._header.f_unsynch
    return {key: repr(frame) for key, frame in tag.items() if key != "TCON"}


def by_ffprobe(path):
    """Texts but the genre, and what the pictures hold."""
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", "-show_packets", "-select_streams", "v",
         "-show_data_hash", "sha256", "-of", "json", path], capture_output=True, check=True,
    )  # fmt: skip
    told = json.loads(shown.stdout)
    texts = {key: text for key, text in told["format"]["tags"].items() if key != "genre"}
    return texts, [packet["data_hash"] for packet in told["packets"]]


@pytest.mark.parametrize("way", ["before", "after"])
def test_an_unsynchronised_tag_is_the_same_without(tmp_path, way):
    path, copy = mp3(tmp_path / "a.mp3", by_hand(FRAMES, way)), tmp_path / "b.mp3"
    assert read_fields(path)["genre"] == ("Rock",)
    write_copy(path, copy, {"genre": ("Folk",)})
    assert by_mutagen(copy.read_bytes()) == by_mutagen(by_hand(FRAMES))
    assert ID3(copy)["TCON"].text == ["Folk"]
    assert everything(copy).rest == everything(path).rest
    assert audio_hash(copy) == audio_hash(path)


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not here")
def test_ffprobe_reads_of_the_copy_what_it_reads_where_nothing_was_unsynchronised(tmp_path):
    plain = by_ffprobe(mp3(tmp_path / "plain.mp3", by_hand(FRAMES)))
    for way in ("before", "after"):
        path, copy = mp3(tmp_path / f"{way}.mp3", by_hand(FRAMES, way)), tmp_path / "copy.mp3"
        # It takes sizes for those afterwards whatever the specification says.
        assert way == "before" or by_ffprobe(path) == plain
        write_copy(path, copy, {"genre": ("Folk",)})
        assert by_ffprobe(copy) == plain


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.lists(
        st.lists(st.sampled_from([b"\xff", b"\0", b"\xe0", b"a"]), max_size=8).map(b"".join),
        max_size=4,
    ),
    way=st.sampled_from(["before", "after"]),
    padding=st.sampled_from([0, 1, 40]),
    major=st.sampled_from([2, 3]),
)
def test_frames_of_any_bytes_are_kept_or_the_file_is_refused(
    tmp_path, contents, way, padding, major
):
    name = b"UFI" if major == 2 else b"UFID"
    frames = [(name, b"%d\0" % at + told) for at, told in enumerate(contents)]
    path = mp3(tmp_path / "a.mp3", by_hand(frames, way, padding, major))
    try:
        write_copy(path, tmp_path / "b.mp3", {"genre": ("Folk",)})
    except DataError:  # a last frame may, or may not, end in zeros
        assert padding or contents[-1].endswith(b"\0")
        return
    tag = ID3(tmp_path / "b.mp3", translate=False)
    found = {int(frame.owner): frame.data for frame in tag.getall("UFID")}
    assert found == dict(enumerate(contents))


def test_sizes_that_make_no_sense_either_way_are_refused(tmp_path):
    tag = by_hand(FRAMES, "after").replace(b"TALB\0\0\0\4", b"TALB\0\0\0\3")
    with pytest.raises(DataError, match=r"in no way; .*--sidecar"):
        read_fields(mp3(tmp_path / "a.mp3", tag))


def test_frames_of_no_known_name_stay_unsynchronised_where_the_whole_tag_was(tmp_path):
    """In version 2.4, which may say so in each frame as well."""
    frame = b"XYZW\0\0\0\7\0\0" + b"a\xff\0\xe0\xff\0b"
    tag = b"ID3\4\0\x80\0\0\0" + bytes([len(frame)]) + frame
    write_copy(mp3(tmp_path / "a.mp3", tag), tmp_path / "b.mp3", {"genre": ("Folk",)})
    copy = (tmp_path / "b.mp3").read_bytes()
    assert copy[5] == 0
    assert frame[:9] + b"\2" + frame[10:] in copy
