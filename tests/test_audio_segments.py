"""Several ways to cut a file from one decode: each gets what it would get alone."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
from audio_files import ENCODINGS, SR, cut, flip, make, music, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from matt.audio import Cut, SegmentPolicy, read_blocks, read_cuts, read_segments
from matt.audio.segments import QUIETEST, audible, planned
from matt.errors import AudioError, ConfigError

NATIVE = 100  # Hz; small, so that whole files are drawn quickly


def segments(path, policy, **options):
    return list(read_segments(path, **{"sr": None, **options}, policy=policy))


def expected_starts(n_samples, n, hop, policy, n_segments=3):
    """The rule of the module's docstring, for audio of a known length."""
    if policy == "first":
        return [0]
    if policy == "spread":
        parts = max(min(n_segments, n_samples // n), 1)
        each = n_samples // parts
        return [part * each + max(each - n, 0) // 2 for part in range(parts)]
    if policy == "middle":
        return [max(n_samples - n, 0) // 2]
    starts = [s for s in range(0, n_samples, hop) if s + n <= n_samples]
    following = len(starts) * hop
    if n_samples - following >= n / 2 or not starts:
        starts.append(following)
    return starts


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_samples=st.integers(1, 1900),
    n=st.integers(1, 700),
    hop=st.none() | st.integers(1, 900),
    policy=st.sampled_from(["first", "middle", "spread", "all"]),
    short=st.sampled_from(["pad", "tile", "keep"]),
    n_segments=st.integers(1, 9),
)
def test_segments_are_slices_of_the_whole(tmp_path, n_samples, n, hop, policy, short, n_segments):
    if hop is not None and n_samples / hop > 50:
        hop = n_samples // 50
    samples = np.random.default_rng(n_samples).uniform(-1, 1, n_samples).astype(np.float32)
    path = write(tmp_path / "a.wav", samples, sr=NATIVE, subtype="FLOAT")
    settings = {"hop": hop / NATIVE} if hop and policy == "all" else {}
    if policy == "spread":
        settings["n_segments"] = n_segments
    got = segments(path, SegmentPolicy(policy, n / NATIVE, short=short, silence="keep", **settings))
    starts = expected_starts(n_samples, n, hop or n, policy, n_segments)
    assert [round(segment.start * NATIVE) for segment in got] == starts
    where = planned(SegmentPolicy(policy, n / NATIVE, **settings), n_samples / NATIVE)
    apart = (n_segments + 1.01) / NATIVE  # parts are whole samples, of which a second has few here
    np.testing.assert_allclose([at for at, _ in where], [one.start for one in got], atol=apart)
    ends = [min(start + n, n_samples) / NATIVE for start in starts]
    np.testing.assert_allclose([end for _, end in where], ends, atol=apart)
    for start, segment in zip(starts, got, strict=True):
        piece = samples[start : start + n]
        if short == "pad":
            piece = np.append(piece, np.zeros(n - len(piece), np.float32))
        elif short == "tile":
            piece = np.tile(piece, -(-n // len(piece)))[:n]
        np.testing.assert_array_equal(segment.samples, piece)
        assert segment.samples.dtype == np.float32
        assert segment.sr == NATIVE


@pytest.mark.parametrize(("left", "count"), [(14, 3), (15, 4), (16, 4)])
def test_half_a_segment_is_enough_at_the_end(tmp_path, left, count):
    path = write(tmp_path / "a.wav", music(0.9 + left / NATIVE, sr=NATIVE), sr=NATIVE)
    assert len(segments(path, SegmentPolicy("all", 0.3))) == count


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff"])
@pytest.mark.parametrize("sr", [None, 11_025])
@pytest.mark.parametrize("policy", ["first", "middle", "spread", "all"])
def test_segments_of_every_format_are_slices_of_a_whole_decode(tmp_path, suffix, sr, policy):
    path = make(tmp_path, suffix, 7.3)
    whole = np.concatenate(list(read_blocks(path, sr=sr)))
    rate = sr or SR
    n = round(1.1 * rate)
    got = segments(path, SegmentPolicy(policy, 1.1), sr=sr)
    starts = expected_starts(len(whole), n, n, policy)
    assert [round(segment.start * rate) for segment in got] == starts
    for start, segment in zip(starts, got, strict=True):
        piece = whole[start : start + n]
        np.testing.assert_array_equal(segment.samples[: len(piece)], piece)
        assert not segment.samples[len(piece) :].any()


def test_the_whole_file_as_one_segment(tmp_path):
    path = make(tmp_path, ".flac", 2.7)
    whole = np.concatenate(list(read_blocks(path, sr=16_000)))
    for policy in ("first", "middle", "all"):
        (segment,) = segments(path, SegmentPolicy(policy, None), sr=16_000)
        assert (segment.start, segment.sr) == (0.0, 16_000)
        np.testing.assert_array_equal(segment.samples, whole)


def test_a_long_file_is_refused_as_one_segment(tmp_path):
    path = write(tmp_path / "long.wav", np.zeros(16 * 60 * NATIVE, np.float32), sr=NATIVE)
    with pytest.raises(AudioError, match=r"16 minutes are too long .*give .* a duration"):
        segments(path, SegmentPolicy("first", None))


def test_three_hours_need_no_more_memory_than_half_an_hour(tmp_path):
    peaks = []
    for hours in (3.0, 0.5, 3.0):  # the first fills what libraries keep, once, of many calls
        samples = np.zeros(round(hours * 3600 * NATIVE), np.float32)
        path = write(tmp_path / "long.wav", samples, sr=NATIVE)
        del samples
        tracemalloc.start()
        policy = SegmentPolicy("all", 30.0, hop=20.0, silence="keep")
        count = sum(1 for _ in read_segments(path, sr=50, policy=policy))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == hours * 180
    assert peaks[2] < 1.1 * peaks[1] + 10_000


@pytest.mark.parametrize(("policy", "most"), [("first", 6.1), ("middle", 20.1), ("spread", 26.2)])
def test_decoding_stops_when_there_is_enough(tmp_path, policy, most):
    """A salvaged file tells how far it was read: blocks have 5 s."""
    path = cut(make(tmp_path, ".wav", 30.0), 0.99)
    damages = []
    stream = read_segments(
        path, sr=None, policy=SegmentPolicy(policy, 1.0), on_damage="salvage", damages=damages
    )
    assert len(list(stream)) == (3 if policy == "spread" else 1)
    (damage,) = damages
    assert damage.kept < most
    assert not damage.finished
    assert str(damage).startswith(f"kept at least {damage.kept:.1f} of 30.0 s: truncated")


def test_the_middle_of_a_salvaged_file_is_the_middle_of_what_decodes(tmp_path):
    path = cut(make(tmp_path, ".mp3", 8.0), 0.5)
    damages = []
    (segment,) = segments(path, SegmentPolicy("middle", 1.0), on_damage="salvage", damages=damages)
    whole = np.concatenate(list(read_blocks(path, sr=None, on_damage="salvage")))
    start = (len(whole) - SR) // 2
    assert segment.start == start / SR
    np.testing.assert_array_equal(segment.samples, whole[start : start + SR])
    assert len(damages) == 1


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_a_tenth_of_a_second_is_one_segment(tmp_path, suffix):
    path = make(tmp_path, suffix, 0.1)
    for policy in ("first", "middle", "all"):
        (segment,) = segments(path, SegmentPolicy(policy, 2.0), sr=12_000)
        assert segment.samples.shape == (24_000,)
        assert segment.samples[:1_200].any()
        assert not segment.samples[1_200:].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "midle", "duration": 1}, "did you mean 'middle'"),
        ({"policy": "all", "duration": 1, "short": "crop"}, "unknown short='crop'"),
        ({"policy": "all", "duration": 0}, "duration must be a positive number"),
        ({"policy": "all", "duration": float("nan")}, "duration must be a positive number"),
        ({"policy": "all", "duration": float("inf")}, "duration must be a positive number"),
        ({"policy": "all", "duration": "30"}, "duration must be a positive number"),
        ({"policy": "all", "duration": 1, "hop": -1}, "hop must be a positive number"),
        ({"policy": "first", "duration": 1, "hop": 1}, "hop=1.0 has no meaning for policy 'first'"),
        ({"policy": "all", "duration": None, "hop": 1}, "or use policy 'all' with a duration"),
        ({"policy": "spread", "duration": None}, "'spread' needs a duration"),
        ({"policy": "spread", "duration": 1, "n_segments": 0}, "from 1 on, got 0"),
        ({"policy": "spread", "duration": 1, "n_segments": True}, "from 1 on, got True"),
        ({"policy": "middle", "duration": 1, "n_segments": 3}, "no meaning for policy 'middle'"),
    ],
)
def test_impossible_policies(arguments, message):
    with pytest.raises(ConfigError, match=message):
        SegmentPolicy(**arguments)


def test_equal_policies_are_equal():
    assert SegmentPolicy("first", 30) == SegmentPolicy("first", 30.0)
    assert isinstance(SegmentPolicy("first", 30).duration, float)


def test_samples_are_those_that_were_written(tmp_path):
    samples = music(2.0, channels=1)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    (segment,) = segments(path, SegmentPolicy("first", 1.5))
    np.testing.assert_array_equal(segment.samples, samples[:36_000, 0])


policies = st.builds(
    SegmentPolicy,
    st.sampled_from(["first", "middle", "spread", "all"]),
    duration=st.floats(0.2, 8),
    short=st.sampled_from(["pad", "tile", "keep"]),
)
cuts = st.lists(
    st.builds(Cut, st.sampled_from([None, 7_000, SR]), policies), min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return write(tmp_path_factory.mktemp("long") / "a.flac", music(17.3))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Damage in the middle, which only decoding shows, and the end is missing."""
    path = write(tmp_path_factory.mktemp("damaged") / "a.flac", music(17.3))
    return cut(flip(path, 0.4, 300), 0.8)


def together(path, wanted, **options):
    damages = []
    found = [[] for _ in wanted]
    for number, segment in read_cuts(path, wanted, damages=damages, **options):
        found[number].append(segment)
    return found, damages


def assert_as_alone(path, wanted, **options):
    found, damages = together(path, wanted, **options)
    for one, segments, damage in zip(wanted, found, damages, strict=True):
        alone = []
        expected = read_segments(path, sr=one.sr, policy=one.policy, damages=alone, **options)
        for segment, other in zip(segments, expected, strict=True):
            assert (segment.start, segment.sr) == (other.start, other.sr)
            np.testing.assert_array_equal(segment.samples, other.samples)
        assert [damage] == (alone or [None])


@settings(max_examples=30)
@given(wanted=cuts)
def test_each_gets_what_it_would_get_alone(long, wanted):
    assert_as_alone(long, wanted)


@settings(max_examples=20)
@given(wanted=cuts)
def test_so_it_does_of_a_salvaged_file_with_its_own_damage(damaged, wanted):
    assert_as_alone(damaged, wanted, on_damage="salvage")


def test_a_cut_that_has_all_it_needs_does_not_tell_of_damage_behind_it(damaged):
    short, whole = (Cut(None, SegmentPolicy("first", d)) for d in (1.0, 17.0))
    _, (early, late) = together(damaged, [short, whole], on_damage="salvage")
    assert not early.finished
    assert late.finished
    assert early.kept < late.kept


def test_an_error_of_one_ends_all(damaged):
    short, whole = (Cut(None, SegmentPolicy("first", d)) for d in (1.0, 17.0))
    with pytest.raises(AudioError, match="salvage"):
        together(damaged, [short, whole])


def test_memory_does_not_grow_with_the_file(tmp_path):
    """The same segments of a file that is eight times as long; a stream that is done is let go."""
    wanted = [
        Cut(None, SegmentPolicy("first", 2.0)),
        Cut(9_000, SegmentPolicy("all", 3.0)),
        Cut(None, SegmentPolicy("all", 5.0, hop=2.0)),
    ]
    peaks = []
    for seconds in (30, 240):
        path = make(tmp_path, ".wav", seconds)
        tracemalloc.start()
        for _ in read_cuts(path, wanted):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


MOMENT = 10  # samples of a tenth of a second
PIECE = 5 * MOMENT  # samples, of sound or of silence


def played(pieces, *, seed=0):
    """Noise or silence, piece by piece."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.uniform(-0.3, 0.3, PIECE) if sounds else np.zeros(PIECE) for sounds in pieces]
    ).astype(np.float32)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.booleans(), min_size=1, max_size=30),
    length=st.integers(1, 12),
    policy=st.sampled_from(["first", "middle", "all"]),
)
@example(
    pieces=[True, *[False] * 6, True, False, True, False], length=10, policy="middle"
)  # half a moment apart
@example(
    pieces=[*[False] * 4, True, False, True, False, True, False, False], length=6, policy="middle"
)  # heard in half of the moments, and not in half of the samples
@example(pieces=[*[True] * 5, *[False] * 7], length=6, policy="middle")  # heard in a third
def test_silence_is_no_segment_and_sound_is_found(tmp_path, pieces, length, policy):
    samples = played(pieces)
    path = write(tmp_path / "a.wav", samples, sr=NATIVE, subtype="FLOAT")
    seconds = length * PIECE / NATIVE
    plain = segments(path, SegmentPolicy(policy, seconds, short="keep", silence="keep"))
    got = segments(path, SegmentPolicy(policy, seconds, short="keep"))

    def sounding(segment):
        return np.count_nonzero(segment.samples)

    def heard(samples):
        """Moments in which there is any sound."""
        return np.count_nonzero(np.add.reduceat(samples != 0, np.arange(0, len(samples), MOMENT)))

    if policy == "all":  # the same segments, without those in which nothing is
        assert [s.start for s in got] == [s.start for s in plain if sounding(s)]
        return
    assert len(got) == any(pieces)
    for segment, usual in zip(got, plain):
        begin = round(segment.start * NATIVE)
        np.testing.assert_array_equal(segment.samples, samples[begin:][: length * PIECE])
        if 2 * heard(usual.samples) >= heard(np.ones_like(usual.samples)):
            assert segment.start == usual.start
        else:  # no place of its length has more sound in it
            most = max(sum(pieces[at : at + length]) for at in range(len(pieces)))
            assert sounding(segment) == pytest.approx(most * PIECE, abs=1)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.booleans(), min_size=1, max_size=30),
    length=st.integers(1, 6),
    n_segments=st.integers(1, 5),
)
@example(pieces=[False, True, False, False, False], length=1, n_segments=3)
@example(pieces=[True] + [False] * 5 + [True] * 2 + [False] * 7, length=1, n_segments=3)
def test_each_of_spread_segments_goes_to_the_sound_of_its_own_part(
    tmp_path, pieces, length, n_segments
):
    samples = played(pieces)
    path = write(tmp_path / "a.wav", samples, sr=NATIVE, subtype="FLOAT")
    n = length * PIECE
    policy = SegmentPolicy("spread", n / NATIVE, short="keep", n_segments=n_segments)
    plain = segments(path, replace(policy, silence="keep"))
    got = segments(path, policy)
    each = len(samples) // len(plain)
    by_part = {round(segment.start * NATIVE) // each: segment for segment in got}
    assert len(by_part) == len(got)  # no two in one part
    moment = NATIVE // 10
    for part, usual in enumerate(plain):
        here = samples[part * each :] if part + 1 == len(plain) else samples[part * each :][:each]
        sounding = np.count_nonzero(usual.samples)
        if not np.any(here):
            assert part not in by_part
        elif 2 * sounding >= n:  # the usual place is good enough
            assert by_part[part].start == usual.start
        elif part in by_part:  # no other place has more, but for what is within a moment
            most = np.convolve(here != 0, np.ones(min(n, len(here))), "valid").max()
            found = np.count_nonzero(by_part[part].samples)
            moments = [np.any(usual.samples[i : i + moment]) for i in range(0, n, moment)]
            enough = by_part[part].start == usual.start and 2 * sum(moments) >= len(moments)
            assert enough or found >= max(sounding, most - 2 * moment)
        else:  # nearly nothing is heard
            assert np.count_nonzero(here) < PIECE


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tenths=st.integers(1, 400),
    heard=st.lists(st.integers(0, 399), max_size=9, unique=True),
    policy=st.sampled_from(["first", "middle", "all", "whole"]),
)
def test_of_a_segment_half_a_second_or_one_in_twenty_is_heard(tmp_path, tenths, heard, policy):
    heard = [at for at in heard if at < tenths]
    samples = np.zeros((tenths, NATIVE // 10))
    samples[heard, ::2] = 0.5
    path = write(tmp_path / "a.wav", samples.ravel(), sr=NATIVE)
    cut = SegmentPolicy("first", None) if policy == "whole" else SegmentPolicy(policy, tenths / 10)
    enough = len(heard) >= 5 or 20 * len(heard) >= tenths
    assert len(segments(path, cut)) == (heard != [] and enough)
    assert len(segments(path, replace(cut, silence="keep"))) == 1


def test_two_samples_in_a_minute_of_silence_are_no_segment_wherever_it_is_cut(tmp_path):
    samples = np.zeros((60 * NATIVE, 2))
    samples[1234:1236] = 0.9
    path = write(tmp_path / "a.wav", samples, sr=NATIVE)
    for policy in ("first", "middle", "all"):
        assert segments(path, SegmentPolicy(policy, 30.0)) == []


@pytest.mark.parametrize("policy", ["first", "middle", "spread", "all"])
@pytest.mark.parametrize(
    "silent",
    {
        "digital": np.zeros((300, 1)),
        "dither": np.random.default_rng(0).integers(-1, 2, (300, 2)) / 2**15,
        "an offset": np.full((300, 1), 0.25),
        "an offset with dither": 0.1 + np.random.default_rng(1).integers(-2, 3, (300, 3)) / 2**15,
        "three channels that cancel in silence": np.zeros((300, 3)),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_cannot_be_heard_is_no_segment(tmp_path, silent, policy):
    path = write(tmp_path / "a.wav", silent[1], sr=NATIVE)
    assert segments(path, SegmentPolicy(policy, 1.0)) == []
    if policy != "spread":
        assert segments(path, SegmentPolicy(policy, None)) == []
    assert len(segments(path, SegmentPolicy(policy, 1.0, silence="keep"))) > 0


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("wav", "PCM_U8"),
        ("aiff", "PCM_S8"),
        ("wav", "PCM_16"),
        ("flac", "PCM_24"),
        ("wav", "FLOAT"),
    ],
)
def test_dither_of_eight_bits_is_not_heard_whatever_it_is_stored_as(
    tmp_path, suffix, subtype, channels
):
    dither = np.random.default_rng(0).integers(-1, 2, (300, channels)) / 2**7
    path = write(tmp_path / f"a.{suffix}", dither, sr=NATIVE, subtype=subtype)
    for sr in (None, NATIVE // 2):
        assert segments(path, SegmentPolicy("first", 1.0), sr=sr) == []
    finer = dither + (subtype == "PCM_16") / 2**10  # steps between those of 8 bits: it is noise
    path = write(tmp_path / f"b.{suffix}", finer, sr=NATIVE, subtype=subtype)
    assert len(segments(path, SegmentPolicy("first", 1.0))) == (subtype == "PCM_16")


def test_music_behind_dither_of_eight_bits_is_found(tmp_path):
    dither = np.random.default_rng(0).integers(-1, 2, 300) / 2**7
    music = np.random.default_rng(1).normal(scale=0.1, size=300)
    path = write(tmp_path / "a.wav", np.concatenate([dither, music]), sr=NATIVE, subtype="PCM_16")
    (found,) = segments(path, SegmentPolicy("first", 1.0))
    assert found.start == 300 / NATIVE


@pytest.mark.parametrize("subtype", ["ALAW", "ULAW", "IMA_ADPCM", "MS_ADPCM", "G721_32"])
def test_zeros_are_silence_in_codecs_of_speech(tmp_path, subtype):
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros(9_000), 8_000, subtype=subtype)
    assert segments(path, SegmentPolicy("first", 1.0)) == []


def test_music_of_eight_bits_is_heard(tmp_path):
    loud = np.random.default_rng(0).integers(-90, 90, 300) / 2**7
    path = write(tmp_path / "a.wav", loud, sr=NATIVE, subtype="PCM_U8")
    assert len(segments(path, SegmentPolicy("first", 1.0))) == 1


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("policy", ["first", "middle", "spread", "all"])
@pytest.mark.parametrize("before", [0, 1])
def test_channels_that_cancel_are_heard_by_one_of_them(tmp_path, suffix, policy, before):
    """Also if the first of them is silent."""
    sound = music(6.0, channels=1)
    stereo = np.concatenate([*[0 * sound] * before, sound, -sound], axis=1)
    if suffix == ".mp3" and before:
        pytest.skip("MP3 has two channels")
    path = write(tmp_path / f"a{suffix}", stereo)
    alone = write(tmp_path / f"alone{suffix}", sound)
    cut = SegmentPolicy(policy, 2.0)
    got, wanted = segments(path, cut), segments(alone, cut)
    assert [s.start for s in got] == [s.start for s in wanted]
    for one, other in zip(got, wanted, strict=True):
        close = np.corrcoef(one.samples, other.samples)[0, 1]
        assert close > (0.99 if suffix == ".mp3" else 1 - 1e-6)


def test_each_cut_of_a_silent_middle_goes_where_it_finds_most(tmp_path):
    """Cut together as alone, and with the damage of what they read."""
    samples = played([True] * 10 + [False] * 30 + [True] * 3)
    path = write(tmp_path / "a.wav", samples, sr=NATIVE, subtype="FLOAT")
    cuts = [
        Cut(None, SegmentPolicy("middle", 2.0)),
        Cut(50, SegmentPolicy("middle", 2.0)),
        Cut(None, SegmentPolicy("middle", 2.0, silence="keep")),
        Cut(None, SegmentPolicy("all", 2.0)),
    ]
    together = [[] for _ in cuts]
    for number, segment in read_cuts(path, cuts):
        together[number].append(segment)
    for one_cut, found in zip(cuts, together, strict=True):
        alone = segments(path, one_cut.policy, sr=one_cut.sr)
        assert [s.start for s in found] == [s.start for s in alone]
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one.samples, other.samples)
    assert [s.start for s in together[0]] == [1.5]  # amid the longest stretch of sound
    assert [s.start for s in together[2]] == [9.75]


@given(sr=st.integers(1, 400), n=st.integers(1, 500), gain=st.sampled_from([0.5, 2.0]))
def test_a_moment_is_heard_by_its_root_mean_square(sr, n, gain):
    samples = np.where(np.arange(n) % 2, 1, -1).astype(np.float32) * np.float32(gain * QUIETEST)
    heard = audible(samples, sr)
    assert len(heard) == -(-n // max(sr // 10, 2))
    whole = heard[: n // max(sr // 10, 2)] if max(sr // 10, 2) % 2 == 0 else heard[:0]
    assert (whole == (gain > 1)).all()
    assert not audible(samples * 0 + 0.7, sr).any()


@pytest.mark.parametrize("sr", [None, 22_050, 16_000, 12_000])
def test_what_rings_across_an_edge_is_no_sound_of_the_segment(tmp_path, sr):
    """Music in every other second; resampled, it rings into those between."""
    rng = np.random.default_rng(0)
    second = np.zeros(44_100)
    loud = second.copy()
    loud[:8_820] = rng.uniform(-0.8, 0.8, 8_820)
    ends = second.copy()
    ends[-8_820:] = rng.uniform(-0.8, 0.8, 8_820)
    samples = np.concatenate([loud, second, ends, second, second])
    path = write(tmp_path / "a.wav", samples, sr=44_100)
    assert [s.start for s in segments(path, SegmentPolicy("all", 1.0), sr=sr)] == [0, 2]


def test_a_whole_file_is_planned_as_one_segment():
    assert planned(SegmentPolicy("first", None), 61.25) == [(0.0, 61.25)]
