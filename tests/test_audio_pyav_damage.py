"""Files that PyAV decodes, damaged: what is seen, and what is kept."""

import mutagen.apev2
import numpy as np
import pytest
from audio_files import SR, cut, flip, make_pyav, tones, write_pyav
from hypothesis import given
from hypothesis import strategies as st

from matt.audio import audio_hash, inspect, quiet_decoders, read_blocks
from matt.audio.containers import examine
from matt.audio.mpeg import parse_adts
from matt.errors import AudioError

av = pytest.importorskip("av", reason="PyAV, of the extra [formats], is not installed")

KINDS = ["aac", "alac", "adts", "wma", "wavpack", "oggflac", "matroska"]


def decode(path, **options):
    return np.concatenate(list(read_blocks(path, **{"sr": None, **options})))


def salvage(path):
    damages = []
    return decode(path, on_damage="salvage", damages=damages), damages


def untag(path):
    """Take away what ffmpeg writes behind the audio of WavPack: the name of the encoder."""
    if path.suffix == ".wv":
        mutagen.apev2.APEv2(path).delete()


def index_first(path):
    """Write an MP4 anew with its index before the audio, as it is written for streaming."""
    moved = path.with_name("first.m4a")
    with (
        av.open(str(path)) as source,
        av.open(str(moved), "w", format="mp4", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return moved


@pytest.mark.parametrize("kind", ["aac", "alac", "wma", "wavpack"])
@pytest.mark.parametrize("keep", [0.7, -1], ids=["30 percent", "one byte"])
def test_a_file_cut_short_is_seen_fails_and_can_be_salvaged(tmp_path, kind, keep):
    path = make_pyav(tmp_path, kind, 10.0)
    path = index_first(path) if kind in ("aac", "alac") else path
    untag(path)
    whole = decode(path)
    cut(path, keep)
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("truncated", ())
    with pytest.raises(AudioError, match=r"truncated: .*; restore the file, or .* --salvage") as e:
        decode(path)
    assert str(path) in str(e.value)
    assert file.decoder in str(e.value)
    samples, (damage,) = salvage(path)
    assert 0.5 * len(whole) < len(samples) <= len(whole)
    assert keep < 0 or len(samples) < 0.8 * len(whole)
    assert damage.finished
    assert damage.kept == len(samples) / SR
    assert damage.stated == pytest.approx(10.0, abs=0.1)
    n = len(samples) - 8192
    np.testing.assert_allclose(samples[:n], whole[:n], atol=1e-4)


def test_an_mp4_that_lost_its_index_cannot_be_opened(tmp_path):
    path = cut(make_pyav(tmp_path, "aac", 10.0), 0.5)
    for on_damage in ("fail", "salvage"):
        with pytest.raises(
            AudioError,
            match=r"cannot be opened: truncated: \d+ of the \d+ bytes that its mdat box states are "
            r"there, and it has no moov box; .*; restore the file or leave it out",
        ):
            decode(path, on_damage=on_damage)


def test_a_matroska_file_cut_short_is_seen_by_its_length(tmp_path):
    path = cut(make_pyav(tmp_path, "matroska", 10.0), 0.7)
    with pytest.raises(AudioError, match=r"only [67]\.\d of 10\.0 s decode; restore"):
        decode(path)
    samples, (damage,) = salvage(path)
    assert len(samples) == pytest.approx(7 * SR, abs=SR)
    assert "only" in damage.reason


def test_a_cut_adts_stream_is_undetectable(tmp_path):
    path = make_pyav(tmp_path, "adts", 10.0)
    assert inspect(path).completeness == "undetectable"
    cut(path, -10)
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason.endswith("its last frame is cut")


@pytest.mark.parametrize("kind", ["aac", "alac", "adts", "wma", "wavpack", "oggflac"])
def test_damage_in_the_middle_fails_and_can_be_salvaged(tmp_path, kind):
    path = make_pyav(tmp_path, kind, 20.0)
    whole = decode(path)
    size = path.stat().st_size
    flip(path, 0.5, size // 20)
    with pytest.raises(AudioError, match="restore the file, or keep what decodes with --salvage"):
        decode(path)
    samples, (damage,) = salvage(path)
    assert 0.8 * len(whole) < len(samples) <= len(whole)
    assert damage.kept == len(samples) / SR
    assert np.isfinite(samples).all()
    quarter = len(whole) // 4  # both sides of the damage are kept
    np.testing.assert_allclose(samples[:quarter], whole[:quarter], atol=1e-4)
    np.testing.assert_allclose(samples[-quarter:], whole[-quarter:], atol=1e-4)


@pytest.mark.parametrize("position", [0.2, 0.5, 0.9])
def test_a_single_flipped_byte_of_wavpack_is_seen(tmp_path, position):
    path = flip(make_pyav(tmp_path, "wavpack", 10.0), position)
    with pytest.raises(AudioError, match="the decoder failed after"):
        decode(path)


def test_wavpack_blocks_that_are_missing(tmp_path):
    path = make_pyav(tmp_path, "wavpack", 10.0)
    content = path.read_bytes()
    starts = [at for at in range(len(content)) if content[at : at + 4] == b"wvpk"]
    assert len(starts) > 7
    path.write_bytes(content[: starts[3]] + content[starts[4] :])
    file = inspect(path)
    assert file.completeness == "complete"
    assert len(file.breaks) == 1
    assert file.breaks[0].endswith("are missing")
    path.write_bytes(content[: starts[-1]])
    assert inspect(path).completeness == "truncated"


def test_wavpack_of_unknown_length_is_read_to_its_end(tmp_path):
    path = make_pyav(tmp_path, "wavpack", 4.0)
    content = bytearray(path.read_bytes())
    content[12:16] = b"\xff" * 4  # the total, in the first block
    path.write_bytes(content)
    file = inspect(path)
    assert (file.completeness, file.duration) == ("undetectable", 4.0)
    assert len(decode(path)) == 4 * SR


@pytest.mark.parametrize(("sr", "channels"), [(2 * SR, 2), (SR, 1)], ids=["rate", "channels"])
def test_a_stream_that_changes_within_is_damage(tmp_path, sr, channels):
    path = make_pyav(tmp_path, "adts", 2.0)
    n = len(decode(path))
    other = write_pyav(tmp_path / "b.aac", "adts", tones(1.0, sr=sr, channels=channels), sr=sr)
    path.write_bytes(path.read_bytes() + other.read_bytes())
    what = "the sampling rate changes from 24000 to 48000 Hz"
    if channels == 1:
        what = "the number of channels changes from 2 to 1"
    with pytest.raises(AudioError, match=what):
        decode(path)
    samples, (damage,) = salvage(path)
    assert len(samples) == pytest.approx(n, abs=1024)
    assert what in damage.reason


def test_what_monkeys_audio_states_is_compared(tmp_path):
    """Nothing here can encode it: a descriptor by hand, with sections that add up."""
    sections = [52, 24, 12, 44, 4321, 0, 5]
    sizes = b"".join(n.to_bytes(4, "little") for n in sections)
    descriptor = b"MAC " + (3990).to_bytes(2, "little") + bytes(2) + sizes
    path = tmp_path / "a.ape"
    path.write_bytes(descriptor.ljust(sum(sections), b"x"))
    assert examine(path).completeness == "complete"
    tags = mutagen.apev2.APEv2()
    tags["Title"] = "title"
    before = audio_hash(path)
    tags.save(path)
    assert examine(path).completeness == "complete"
    assert audio_hash(path) == before
    path.write_bytes(descriptor.ljust(sum(sections) - 1, b"x"))
    structure = examine(path)
    assert structure.completeness == "truncated"
    assert structure.reason == "4457 of the 4458 bytes that its descriptor states are there"
    with pytest.raises(AudioError, match=r"Monkey's Audio, PyAV .* cannot be opened: truncated"):
        decode(path)


@pytest.mark.parametrize(
    ("header", "length"),
    [  # bits 30 to 42 of ISO 14496-3, 1.A.2.2
        ("fff150800d1ffc", 104),
        ("fff94c40ffffe0", 2047),
    ],
)
def test_adts_headers(header, length):
    assert parse_adts(bytes.fromhex(header)).length == length


@pytest.mark.parametrize("header", ["fffb90640d1ffc", "fff17c800d1ffc", "fff15080001ffc", "fff150"])
def test_what_is_no_adts_header(header):
    assert parse_adts(bytes.fromhex(header)) is None


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return {kind: make_pyav(folder, kind, 0.7).read_bytes() for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_nothing_but_our_errors_from_damaged_bytes(tmp_path_factory, originals, kind, data):
    """Flip and cut anywhere: a file decodes, or fails as an AudioError."""
    content = bytearray(originals[kind])
    keep = data.draw(st.one_of(st.just(len(content)), st.integers(20, len(content))), "keep")
    reach = data.draw(st.sampled_from([100, 700, keep]), "reach")  # headers, or anywhere
    for _ in range(data.draw(st.integers(0, 4), "flips")):
        at = data.draw(st.integers(0, min(reach, keep) - 1), "at")
        content[at] = data.draw(st.integers(0, 255), "byte")
    path = tmp_path_factory.mktemp("damaged") / "music"
    path.write_bytes(content[:keep])
    assert len(audio_hash(path)) == 64
    with quiet_decoders():
        for on_damage in ("fail", "salvage"):
            try:
                assert np.isfinite(decode(path, sr=16_000, on_damage=on_damage)).all()
            except AudioError as error:
                assert str(path) in str(error)  # noqa: PT017
                assert "; " in str(error)  # noqa: PT017
