"""Genre, mood and grouping of every format: what is asked for is said, and nothing else changes."""

import json
import random
import shutil
import subprocess
from io import BytesIO
from struct import pack

import mutagen
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mutagen.asf._util import guid2bytes
from mutagen.id3 import ID3
from tagged_files import (
    ARTIST,
    COVER,
    KINDS,
    TITLE,
    ape,
    blocks_of,
    box,
    by_hand,
    comments_of,
    content,
    flac,
    frames_of,
    ilst_of,
    items_of,
    mp4,
    ogg_packet,
    put,
    v1,
    vorbis,
)

from matt import AudioError, DataError
from matt.audio.containers import audio_hash
from matt.audio.decoder import read_blocks
from matt.datasets.genres import vocabulary
from matt.datasets.tags import read_tags
from matt.tagging.families import FIELDS, said_in
from matt.tagging.fields import everything, family_of, read_fields, write_copy
from matt.tagging.policy import Policy

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
).filter(
    lambda text: (
        text.strip() and not text.isdigit() and "(" not in text and text not in ("RX", "CR")
    )
)


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
    with pytest.raises(DataError, match=r"make no sense behind .*--sidecar"):
        read_fields(mp3(tmp_path / "a.mp3", tag))


def test_frames_of_no_known_name_stay_unsynchronised_where_the_whole_tag_was(tmp_path):
    """In version 2.4, which may say so in each frame as well."""
    frame = b"XYZW\0\0\0\7\0\0" + b"a\xff\0\xe0\xff\0b"
    tag = b"ID3\4\0\x80\0\0\0" + bytes([len(frame)]) + frame
    write_copy(mp3(tmp_path / "a.mp3", tag), tmp_path / "b.mp3", {"genre": ("Folk",)})
    copy = (tmp_path / "b.mp3").read_bytes()
    assert copy[5] == 0x80  # of both frames: what is new has no 0xFF
    assert frame in copy
    assert ID3(tmp_path / "b.mp3")["TCON"].text == ["Folk"]


# ---- pieces of others ----


FOLK = {"genre": ("Folk",)}
few_bytes = st.binary(max_size=12)


def written(tmp_path, bytes_, new=FOLK, suffix=".mp3"):
    """What is written in the place of some bytes; None where they are refused."""
    path, copy = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    path.write_bytes(bytes_)
    try:
        stored = write_copy(path, copy, new)
    except DataError:
        return None
    assert everything(copy, new).rest == everything(path, new).rest
    assert all(everything(copy).fields[name] == told for name, told in stored.items())
    assert audio_hash(copy) == audio_hash(path)
    return copy.read_bytes()


def anybodys(major):
    """Names of frames, some of which mutagen merges, drops or knows nothing of, and their bytes."""
    names = "USLT GEOB WXXX POPM UFID PCNT TXXX COMM APIC TPE1 TALB CHAP SEEK XYZW abcd"
    if major == 2:
        names = "ULT GEO WXX POP UFI CNT TXX COM PIC TP1 TAL CRM XYZ abc"
    name = st.sampled_from([one.encode() for one in names.split()])
    flags = st.just(b"") if major == 2 else st.binary(min_size=2, max_size=2)
    frames = st.tuples(name, st.one_of(few_bytes, st.just(b"\0eng\0x")), flags)
    return st.lists(frames, max_size=8).flatmap(lambda some: st.permutations(some + some[:2]))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), major=st.sampled_from([2, 3, 4]), padding=st.sampled_from([0, 7, 900]))
def test_frames_of_others_stay_whatever_they_are(tmp_path, data, major, padding):
    others, at = data.draw(anybodys(major)), data.draw(st.integers(0, 8))
    own = (b"TCO" if major == 2 else b"TCON", b"\0Rock", b"" if major == 2 else bytes(2))
    frames = [*others[:at], *data.draw(st.sampled_from([[], [own], [own, own]])), *others[at:]]
    tag = by_hand(frames, padding=padding, major=major)
    new = data.draw(st.sampled_from([FOLK, {"mood": ("calm",)}, SEVERAL]))
    copy = written(tmp_path, tag + content("mp3 bare")[1], new)
    if copy is None:  # one that might say a mood
        return
    mine = {b"TCON", b"TCO"} if "genre" in new else set()
    kept = [one for one in frames if one[0] not in mine]
    moods = (b"TMOO", b"TIT1", b"TT1") if major == 4 else (b"TIT1", b"TT1")
    found = [one for one in frames_of(copy) if one[0] not in {*mine, *moods}]
    if "mood" in new and major < 4:
        found.remove(next(one for one in found if one[1] == b"\0MOOD\0calm"))
    assert found == kept
    assert copy[3] == major


@pytest.mark.parametrize("way", ["plain", "after"])
def test_sizes_of_seven_and_of_eight_bits_are_told_apart(tmp_path, way):
    frames = [
        (b"TIT2", b"\0" + b"x" * 200, bytes(2)),
        (b"APIC", b"\0image/png\0\3\0" + COVER, bytes(2)),
        (b"TPE1", b"\0Ann", bytes(2)),
    ]
    tag = by_hand(frames, way, major=4)
    copy = written(tmp_path, tag + content("mp3 bare")[1])
    *kept, own = frames_of(copy, safe=way == "plain")
    assert kept == frames
    assert own == (b"TCON", b"\0Folk", bytes(2))
    assert ID3(BytesIO(copy))["APIC:"].data == COVER


def test_an_end_that_could_be_a_name_is_no_second_reading(tmp_path):
    """159 bytes are told as 00 00 01 1f; taken for eight bits each, that leads to a "100"."""
    frames = [
        (b"TXXX", b"\0a\0".ljust(0x9F, b"x"), bytes(2)),
        (b"TSSE", b"\3Lavf57.63.".ljust(0x11F - 0x9F - 10, b"y") + b"100\0", bytes(2)),
    ]
    tag = by_hand(frames, major=4)
    assert tag[20 + 0x11F :].startswith(b"100\0")
    assert not any(tag[20 + 0x11F + 3 :])
    copy = written(tmp_path, tag + content("mp3 bare")[1])
    assert copy is not None
    assert frames_of(copy)[:2] == frames


@pytest.mark.parametrize("genre", ["x" * n for n in range(50, 57)])
def test_no_ape_tag_is_written_that_looks_like_an_id3v1(tmp_path, genre):
    bytes_ = content("mp3 bare")[1] + ape([(b"Genre", b"Other", 0)])
    copy = written(tmp_path, bytes_, {"genre": (genre,)})
    assert copy is None or copy[-128:-125] != b"TAG"


@pytest.mark.parametrize("field", FIELDS)
def test_of_two_texts_of_a_grouping_the_work_stays(tmp_path, field):
    frames = [(b"TIT1", b"\0Work"), (b"GRP1", b"\0Group"), (b"TCON", b"\0Rock")]
    path = mp3(tmp_path / "a.mp3", by_hand(frames))
    assert read_fields(path)["grouping"] == ("Group",)
    tag = ID3(BytesIO(written(tmp_path, path.read_bytes(), {field: ("Folk",)})), translate=False)
    assert tag["TIT1"].text == ["Work"]
    assert tag["GRP1"].text == (["Folk"] if field == "grouping" else ["Group"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(
        st.tuples(
            st.sampled_from([b"Title", b"TITLE", b"title", b"Cover Art (Front)", b"x", b"Genre"]),
            few_bytes,
            st.sampled_from([0, 1, 2, 4]),
        ),
        max_size=8,
    )
)
def test_items_of_others_stay_whatever_they_are(tmp_path, items):
    copy = written(tmp_path, content("mp3 bare")[1] + ape(items))
    kept = [one for one in items if one[0] != b"Genre"]
    if copy is None:
        assert len(kept) < len(items)
        return
    found = items_of(copy)
    assert [one for one in found if one[0] != b"Genre"] == kept
    assert [one for one in found if one[0] == b"Genre"] == [(b"Genre", b"Folk", 0)]


any_comments = st.lists(
    st.one_of(
        few_bytes,
        st.sampled_from([b"T=\xff\xfe", b"no equals", b"t=1", b"T=1", b"~\0=x", b"GENREs=x"]),
    ).filter(lambda one: one.lower()[:6] != b"genre="),
    max_size=8,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    comments=any_comments,
    blocks=st.lists(
        st.tuples(st.sampled_from([1, 2, 6, 77]), st.sampled_from([b"", b"abc", bytes(90)])),
        max_size=5,
    ),
    data=st.data(),
)
def test_comments_and_blocks_of_others_stay_whatever_they_are(tmp_path, comments, blocks, data):
    told = [*comments, b"genre=Rock", *comments[:1]]
    at = data.draw(st.integers(0, len(blocks)))
    before = [*blocks[:at], (4, vorbis(told)), *blocks[at:]]
    copy = written(tmp_path, flac(before), suffix=".flac")
    found, frames = blocks_of(copy)
    assert frames == blocks_of(flac(before))[1]
    assert [one for one in found[1:] if one[0] not in (1, 4)] == [
        one for one in before if one[0] not in (1, 4)
    ]
    (held,) = (block for code, block in found if code == 4)
    assert comments_of(held) == [b"vendor", *comments, b"GENRE=Folk", *comments[:1]]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    comments=any_comments, kind=st.sampled_from(["ogg", "opus"]), more=st.sampled_from([0, 9_000])
)
def test_comments_of_others_stay_in_ogg_whatever_they_are(tmp_path, comments, kind, more):
    suffix, bytes_ = content(kind)
    start, end = (b"\3vorbis", b"\1") if kind == "ogg" else (b"OpusTags", b"")
    told = [b"x=" + b"y" * more, *comments]
    bytes_ = ogg_packet(bytes_, start + vorbis([*told, b"genre=Rock"]) + end)
    copy = written(tmp_path, bytes_, suffix=suffix)
    packet = ogg_packet(copy)
    assert packet.startswith(start)
    assert comments_of(packet[len(start) :]) == [b"vendor", *told, b"GENRE=Folk"]


def data(text, kind=1):
    return box(b"data", kind.to_bytes(4, "big") + bytes(4) + text)


ITEMS = [
    (b"\xa9nam", data(b"One")),
    (b"\xa9nam", data(b"T\xefx")),
    (b"\xa9ART", data(b"Art", 0) + data("Tïx".encode("utf-16-be"), 2)),
    (b"trkn", data(bytes(8), 0)),
    (b"trkn", data(bytes(6), 0)),
    (b"rtng", data(bytes(4), 21)),
    (b"covr", data(COVER, 0)),
    (b"xxxx", data(b"hm", 0)),
    (b"----", box(b"mean", bytes(4) + b"x") + box(b"name", bytes(4) + b"y") + data(b"1")),
    (b"----", box(b"mean", bytes(4) + b"x") + box(b"name", bytes(4) + b"y") + data(b"\xff", 0)),
]


@pytest.mark.skipif("m4a" not in KINDS, reason="PyAV is not here")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(st.sampled_from(ITEMS), max_size=8), at=st.integers(0, 8))
@example(items=ITEMS, at=4)
def test_items_of_mp4_stay_whatever_they_are(tmp_path, items, at):
    own = [(b"gnre", data(b"\0\x12", 0)), (b"\xa9gen", data(b"Jazz"))]
    bytes_ = mp4([*items[:at], *own, *items[at:]])
    copy = written(tmp_path, bytes_, suffix=".m4a")
    assert read_fields(tmp_path / "a.m4a")["genre"] == ("Rock", "Jazz")
    told = [one for one in ilst_of(copy) if one[0] != b"\xa9gen"]
    assert sorted(told) == sorted(items)
    assert dict(ilst_of(copy))[b"\xa9gen"] == data(b"Folk")
    np.testing.assert_array_equal(samples(tmp_path / "b.m4a"), samples(tmp_path / "a.m4a"))


@pytest.mark.skipif("m4a" not in KINDS, reason="PyAV is not here")
def test_what_holds_positions_that_nobody_moves_is_refused(tmp_path):
    bytes_ = content("m4a")[1]
    for more, told in ((box(b"moof", bytes(8)), "moof"), (box(b"moov", bytes(8)), "several")):
        (tmp_path / "a.m4a").write_bytes(bytes_ + more)
        with pytest.raises(DataError, match=f"{told}.*--sidecar"):
            read_fields(tmp_path / "a.m4a")


def attribute(name, value, kind=0, library=False):
    name = name.encode("utf-16-le") + b"\0\0"
    if not library:
        return pack("<H", len(name)) + name + pack("<HH", kind, len(value)) + value
    return pack("<HHHHI", 0, 0, len(name), kind, len(value)) + name + value


def asf_objects(data):
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 16 : at + 24], "little")
        found.append((data[at : at + 16], data[at + 24 : at + size]))
        at += size
    return found


FIRST = guid2bytes("D2D0A440-E307-11D2-97F0-00A0C95EA850")
EMPTY = guid2bytes("1806D474-CADF-4509-A4BA-9AABCB96AAE8")
VALUES = [
    attribute(name, value, kind)
    for name in ("Author", "Description", "WM/Composer")
    for value, kind in (
        (b"a\0b\0\0\0", 0),
        (b"\x00\xd8", 0),
        (b"", 0),
        (b"\1\0\0\0", 2),
        (COVER, 1),
    )
]


@pytest.mark.skipif("wma" not in KINDS, reason="PyAV is not here")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.sampled_from(VALUES), max_size=8))
def test_attributes_of_others_stay_whatever_they_are(tmp_path, values):
    bytes_ = content("wma")[1]
    size = int.from_bytes(bytes_[16:24], "little")
    held = [*values, attribute("WM/Genre", "Rock".encode("utf-16-le")), *values[:1]]
    new = pack("<H", len(held)) + b"".join(held)
    objects = [
        (guid, new if guid == FIRST else told) for guid, told in asf_objects(bytes_[30:size])
    ]
    body = b"".join(guid + pack("<Q", 24 + len(told)) + told for guid, told in objects)
    head = bytes_[:16] + pack("<Q", 30 + len(body)) + bytes_[24:30] + body
    copy = written(tmp_path, head + bytes_[size:], {"genre": ("Folk", "Soul")}, suffix=".wma")
    size = int.from_bytes(copy[16:24], "little")
    found = asf_objects(copy[30:size])
    assert int.from_bytes(copy[24:28], "little") == len(found)
    assert copy[size:] == bytes_[int.from_bytes(bytes_[16:24], "little") :]
    own = attribute("WM/Genre", "Folk\0".encode("utf-16-le"))
    told = pack("<H", len(held)) + b"".join([*values, own, *values[:1]])
    assert dict(found)[FIRST] == told
    mine = (FIRST, EMPTY, guid2bytes("5FBF03B5-A92E-11CF-8EE3-00C00C205365"))
    assert [one for one in found if one[0] not in mine] == [
        one for one in objects if one[0] not in mine
    ]


# ---- all that a file says ----

GENRES = ["Rock", "rock", "Jazz", "Other", "Rock/Pop", "Folk/Rock", "Shoegaze", "Jazz; Folk"]
some_genres = st.lists(st.sampled_from(GENRES), max_size=3, unique=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    major=st.sampled_from([2, 3, 4]), tcon=some_genres, item=some_genres,
    number=st.sampled_from([None, 8, 17, 255]), mode=st.sampled_from(["fill-empty", "append"]),
)  # fmt: skip
def test_no_tag_loses_a_genre_unless_all_are_replaced(tmp_path, major, tcon, item, number, mode):
    name, path = b"TCO" if major == 2 else b"TCON", tmp_path / "a.mp3"
    texts = ["/".join(tcon)] if major < 4 else tcon
    frames = [(name, b"\0" + "\0".join(texts).encode())] if tcon else [(name[:-1] + b"M", b"\0x")]
    behind = ape([(b"Genre", "\0".join(item).encode(), 0)]) if item else b""
    behind += v1(number) if number is not None else b""
    path.write_bytes(by_hand(frames, major=major) + content("mp3 bare")[1] + behind)
    said = read_fields(path)["genre"]
    each = everything(path).fields["genre"]
    named = {part for value in said for part in said_in(value)}
    for value in (value for _, values in each for value in values):
        assert value.casefold() in named or said_in(value) - {value.casefold()} <= named
    words = vocabulary()
    if (new := Policy(mode).values(said, ("Techno",), words)) is None:
        assert said
        return
    stored = dict(write_copy(path, tmp_path / "b.mp3", {"genre": new})["genre"])
    told = dict(everything(tmp_path / "b.mp3").fields["genre"])
    assert told == stored
    for family, values in each:
        now = {part for value in told[family] for part in said_in(value)}
        lost = [one for one in values if one != "Other" and one.casefold() not in now]
        # What one tag says in one text another may have said, and now says, in several.
        assert all(said_in(one) - {one.casefold(), "other"} <= now != set() for one in lost)


def test_texts_of_no_known_alphabet_are_not_taken_over(tmp_path):
    bare = content("mp3 bare")[1]
    assert written(tmp_path, bare + v1(255, "Три".encode("cp1251"))) is None
    tag = ID3(
        BytesIO(written(tmp_path, bare + v1(255, b"Three")[:97] + b"so" + bytes(26) + b"\0\7\x11"))
    )
    assert (tag["TIT2"].text, tag["TRCK"].text, tag["COMM::XXX"].text) == (["Three"], ["7"], ["so"])


CANNOT = {
    "TCON": lambda: by_hand([(b"TIT2", b"\0x"), (b"TCON", b"\x09Rock")]),
    "ID3v2.3 .*TIT2": lambda: by_hand([(b"TIT2", b"\0x"), (b"T\0\0\0", b"x")]),
    "ID3v2.3 .*extended": lambda: b"ID3\3\0\x40\0\0\0\x0a" + bytes(3) + b"\6" + bytes(6),
    "ID3v2.3 .*behind TIT2": lambda: by_hand([(b"TIT2", b"\0x")])[:-10] + b"\xff" * 10,
}


@pytest.mark.parametrize("told", CANNOT)
def test_a_refusal_names_the_tag_or_the_frame(tmp_path, told):
    path = mp3(tmp_path / "a.mp3", CANNOT[told]())
    with pytest.raises(DataError, match=f"{told}.*--sidecar"):
        read_fields(path)


@pytest.mark.parametrize(
    ("told", "behind"),
    [
        ("long ID3v1", b"TAG+" + bytes(223) + v1(8)),
        ("APE tag", ape([(b"Genre", b"Rock", 0)]).replace(b"\xd0\7\0\0", b"\xe8\3\0\0")),
        ("item Genre", ape([(b"Genre", b"\xff", 0)])),
        (
            "behind its header",
            ape([(b"Title", b"x", 0)]).replace(b"\1\0\0\0\0\0\0\0T", b"\2\0\0\0\0\0\0\0T"),
        ),
    ],
)
def test_a_refusal_names_the_tag_or_the_item(tmp_path, told, behind):
    path = tmp_path / "a.mp3"
    path.write_bytes(content("mp3 bare")[1] + behind)
    with pytest.raises(DataError, match=f"({told}).*--sidecar"):
        read_fields(path)


def test_a_genre_that_is_no_utf_8_is_not_written_anew(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(flac([(4, vorbis([b"GENRE=Fran\xe7ais"]))]))
    with pytest.raises(DataError, match=r"comment GENRE is no UTF-8.*--sidecar"):
        read_fields(path)
    path.write_bytes(flac([(4, vorbis([])), (4, vorbis([b"GENRE=Jazz"]))]))
    with pytest.raises(DataError, match=r"two blocks of Vorbis comments.*--sidecar"):
        read_fields(path)
