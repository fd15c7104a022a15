import numpy as np
import pytest
import soundfile as sf
from audio_files import ENCODINGS, SR, cut, flip, make, music, without_length, write
from mutagen.ogg import OggPage

from matt.audio import inspect, mpeg, quiet_decoders, read_blocks
from matt.audio.mpeg import parse_frame
from matt.audio.ogg import checksum
from matt.errors import AudioError

DETECT_DAMAGE = [".mp3", ".flac", ".ogg", ".opus"]


@pytest.fixture(autouse=True)
def _silence():
    with quiet_decoders():
        yield


def salvage(path):
    damages = []
    blocks = list(read_blocks(path, sr=None, on_damage="salvage", damages=damages))
    return np.concatenate(blocks), damages


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_sound_files_are_complete(tmp_path, suffix):
    path = make(tmp_path, suffix)
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("complete", ())
    assert (file.path, file.sr, file.channels, file.duration) == (path, SR, 2, 3.0)
    samples, damages = salvage(path)
    assert (len(samples), damages) == (3 * SR, [])


@pytest.mark.parametrize("suffix", [s for s in ENCODINGS if s != ".caf"])
@pytest.mark.parametrize("keep", [0.98, -1], ids=["2 percent", "one byte"])
def test_a_file_cut_short_is_seen_fails_and_can_be_salvaged(tmp_path, suffix, keep):
    path = make(tmp_path, suffix, 10.0)
    whole = np.concatenate(list(read_blocks(path, sr=None)))
    cut(path, keep)
    file = inspect(path)
    assert file.completeness == "truncated"
    with pytest.raises(AudioError, match=r"truncated: .*; restore the file, or .* --salvage") as e:
        list(read_blocks(path, sr=None))
    assert str(path) in str(e.value)
    assert file.decoder in str(e.value)
    samples, (damage,) = salvage(path)
    assert 0.8 * len(whole) < len(samples) < len(whole)
    assert damage.finished
    assert damage.kept == len(samples) / SR
    if suffix in (".ogg", ".opus"):  # the length is stated by the last page
        assert damage.stated is None
        assert str(damage).startswith(f"kept {damage.kept:.1f} s: truncated")
    else:
        assert damage.stated == pytest.approx(10.0, abs=0.01)
        assert str(damage).startswith(f"kept {damage.kept:.1f} of 10.0 s: truncated")
    n = len(samples) - 5000  # what is kept is what was there; codecs differ in the last frame
    np.testing.assert_allclose(samples[:n], whole[:n], atol=1e-4)


def test_a_caf_cut_short_fails(tmp_path):
    """libsndfile does not open one that lacks more than a few bytes, so nothing is salvaged."""
    path = cut(make(tmp_path, ".caf"), 0.9)
    with pytest.raises(AudioError, match=r"cannot be opened: truncated: .* bytes that its data"):
        list(read_blocks(path, sr=None, on_damage="salvage"))


@pytest.mark.parametrize("suffix", DETECT_DAMAGE)
def test_damage_in_the_middle_fails_and_can_be_salvaged(tmp_path, suffix):
    path = make(tmp_path, suffix, 20.0)
    flip(path, 0.5, 4000)
    with pytest.raises(AudioError, match="restore the file, or keep what decodes with --salvage"):
        list(read_blocks(path, sr=None))
    samples, (damage,) = salvage(path)
    assert 0.8 < len(samples) / (20 * SR) <= 1  # both sides of the damage
    assert suffix == ".opus" or len(samples) < 20 * SR  # Opus conceals what is missing
    assert damage.kept == len(samples) / SR
    assert damage.stated == 20.0
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus"])
def test_a_single_flipped_byte_of_audio_is_seen_where_there_are_checksums(tmp_path, suffix):
    path = flip(make(tmp_path, suffix, 10.0), 0.6)
    with pytest.raises(AudioError, match=r"checksum|decoder failed"):
        list(read_blocks(path, sr=None))


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".w64", ".caf", ".au"])
def test_damaged_pcm_cannot_be_seen(tmp_path, suffix):
    path = flip(make(tmp_path, suffix), 0.5, 40)
    assert inspect(path).completeness == "complete"
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) == 3 * SR


def test_what_lies_behind_damage_is_still_the_audio(tmp_path):
    path = make(tmp_path, ".flac", 20.0)
    whole = np.concatenate(list(read_blocks(path, sr=None)))
    samples, _ = salvage(flip(path, 0.4, 9000))
    np.testing.assert_array_equal(samples[-5 * SR :], whole[-5 * SR :])
    np.testing.assert_array_equal(samples[: 5 * SR], whole[: 5 * SR])


def test_mp3_without_a_length_is_undetectable(tmp_path):
    path = without_length(make(tmp_path, ".mp3", 10.0))
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason == "no Xing, Info or VBRI header says how many frames there should be"
    cut(path, 0.5)
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason.endswith("its last frame is cut")
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) > 4 * SR


def test_mp3_bytes_missing_from_the_middle(tmp_path):
    path = make(tmp_path, ".mp3", 10.0)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + content[middle + 3001 :])
    file = inspect(path)
    assert file.completeness == "truncated"
    assert len(file.breaks) == 1
    assert "MPEG sync is lost after" in file.breaks[0]


@pytest.mark.parametrize("junk", [b"\0" * 700, b"junk" * 500], ids=["zeros", "text"])
def test_junk_around_the_frames_of_an_mp3_is_no_damage(tmp_path, junk):
    path = make(tmp_path, ".mp3")
    whole = np.concatenate(list(read_blocks(path, sr=None)))
    path.write_bytes(junk + path.read_bytes() + junk)
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("complete", ())
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(path, sr=None))), whole)


def test_two_mp3_files_joined_are_read_to_the_end(tmp_path):
    path = make(tmp_path, ".mp3")
    path.write_bytes(path.read_bytes() + b"ID3\4\0\0\0\0\0\x05hello" + path.read_bytes())
    assert inspect(path).breaks == ()
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) == pytest.approx(6 * SR, abs=3000)


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF], ids=["sox", "ffmpeg"])
def test_wav_of_a_stream_does_not_state_its_length(tmp_path, size):
    path = make(tmp_path, ".wav")
    content = bytearray(path.read_bytes())
    at = content.find(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason == "its data chunk does not state its size"
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) == 3 * SR


def test_rf64_states_its_size_elsewhere(tmp_path):
    path = write(tmp_path / "long.wav", music(3.0), format="RF64")
    assert path.read_bytes()[:4] == b"RF64"
    assert inspect(path).completeness == "complete"
    assert inspect(cut(path, 0.9)).completeness == "truncated"


def test_ogg_pages_that_are_missing_or_repeated(tmp_path):
    path = make(tmp_path, ".ogg", 10.0)
    content = path.read_bytes()
    starts = [at for at in range(len(content)) if content[at : at + 5] == b"OggS\0"]
    assert len(starts) > 5
    third, fourth, fifth = starts[3:6]
    path.write_bytes(content[:fourth] + content[fifth:])
    assert "page 4 is missing" in inspect(path).breaks[0]
    path.write_bytes(content[:fourth] + content[third:])
    assert "page 4 is missing" in inspect(path).breaks[0]


def test_ogg_whose_last_page_is_missing_altogether(tmp_path):
    path = make(tmp_path, ".ogg", 10.0)
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS\0")])
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("truncated", ())
    assert file.reason == "no page says that it is the last"


def test_ogg_streams_one_after_the_other(tmp_path):
    path = make(tmp_path, ".ogg")
    other = write(tmp_path / "other.ogg", music(2.0))
    path.write_bytes(path.read_bytes() + other.read_bytes())
    with pytest.raises(AudioError, match="2 streams one after the other, only the first"):
        list(read_blocks(path, sr=None))
    samples, (damage,) = salvage(path)
    assert len(samples) == 3 * SR
    assert str(damage).startswith("kept 3.0 s: 2 streams")


def test_ogg_checksum_is_that_of_mutagen():
    """An independent implementation writes pages; ours must agree on their checksum."""
    for size in (0, 1, 255, 3000):
        page = OggPage()
        page.packets = [bytes(range(256)) * 12][:1]
        page.packets = [page.packets[0][:size]]
        content = page.write()
        stated = int.from_bytes(content[22:26], "little")
        assert checksum(content[:22] + bytes(4) + content[26:]) == stated


@pytest.mark.parametrize(
    ("n_samples", "channels"), [(1, 1), (17, 2), (4096, 1), (4097, 2), (100_003, 1)]
)
@pytest.mark.parametrize("signal", ["silence", "noise"])
def test_the_last_frame_of_a_flac_is_found(tmp_path, n_samples, channels, signal):
    rng = np.random.default_rng(n_samples)
    shape = (n_samples, channels)
    samples = rng.uniform(-1, 1, shape) if signal == "noise" else np.zeros(shape)
    path = write(tmp_path / "a.flac", samples.astype(np.float32), sr=44_100)
    file = inspect(path)
    assert file.completeness == "complete"
    assert file.reason == (
        f"the last frame ends at sample {n_samples} of the {n_samples} that STREAMINFO states"
    )
    assert inspect_safely(cut(path, -1)) == "truncated"


def inspect_safely(path):
    """Completeness, also where the decoder cannot even open what is left."""
    try:
        return inspect(path).completeness
    except AudioError as error:
        return "truncated" if "truncated" in str(error) else str(error)


@pytest.mark.parametrize(
    ("header", "length", "samples", "sr", "layer"),
    [  # worked by hand from the tables of ISO 11172-3 and 13818-3
        ("fffb9000", 417, 1152, 44_100, 3),  # MPEG-1 layer III, 128 kb/s: 144 * 128000 / 44100
        ("fffb9200", 418, 1152, 44_100, 3),  # with padding
        ("fffa94c0", 384, 1152, 48_000, 3),  # 48 kHz, mono, with a checksum
        ("fff380c4", 208, 576, 22_050, 3),  # MPEG-2 layer III, 64 kb/s: 72 * 64000 / 22050
        ("ffe38800", 576, 576, 8_000, 3),  # MPEG-2.5, 64 kb/s
        ("fffdc000", 835, 1152, 44_100, 2),  # MPEG-1 layer II, 256 kb/s
        ("ffffc000", 416, 384, 44_100, 1),  # MPEG-1 layer I, 384 kb/s: 4 * (12 * 384000 // 44100)
    ],
)
def test_mpeg_headers(header, length, samples, sr, layer):
    frame = parse_frame(bytes.fromhex(header))
    assert (frame.length, frame.samples, frame.sr, frame.layer) == (length, samples, sr, layer)


@pytest.mark.parametrize(
    "header", ["00000000", "fffbf000", "fffb0000", "fffb9c00", "fff99000", "ff"]
)
def test_what_is_no_mpeg_header(header):
    assert parse_frame(bytes.fromhex(header)) is None


def test_libsndfile_would_hide_the_damage(tmp_path):
    """Why the container is examined: the decoder alone goes on without a word."""
    path = flip(make(tmp_path, ".ogg", 10.0), 0.5, 50)
    samples, _ = sf.read(path)
    assert len(samples) < 10 * SR


@pytest.mark.parametrize("size", [5, 418, 1_000, 4_099])
def test_mpeg_frames_are_counted_wherever_a_read_ends(tmp_path, monkeypatch, size):
    whole, short = make(tmp_path, ".mp3", 2.0), tmp_path / "short.mp3"
    content = whole.read_bytes()
    at = len(content) // 2
    short.write_bytes(content[:at] + bytes(1_500) + content[at + 700 : -100])
    at_once = [mpeg_structure(path) for path in (whole, short)]
    assert at_once[0].completeness == "complete"
    assert at_once[1].completeness == "truncated"
    assert len(at_once[1].breaks) == 1
    monkeypatch.setattr(mpeg, "CHUNK", size)
    assert [mpeg_structure(path) for path in (whole, short)] == at_once


def mpeg_structure(path):
    with path.open("rb") as stream:
        return mpeg.examine(stream, 0, path.stat().st_size)
