"""A spec is what changes values, no more and no less."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError
from matt.audio import SegmentPolicy
from matt.features.spec import FeatureSpec

policies = st.builds(
    SegmentPolicy,
    st.sampled_from(["first", "middle", "all"]),
    duration=st.floats(0.5, 60),
    short=st.sampled_from(["pad", "tile"]),
)
logmels = st.builds(
    FeatureSpec.logmel,
    sr=st.integers(8_000, 48_000),
    n_fft=st.sampled_from([512, 1024, 2048]),
    hop_length=st.integers(64, 1024),
    n_mels=st.integers(8, 128),
    segments=policies,
)
specs = st.one_of(
    logmels,
    st.builds(FeatureSpec.summary, segments=policies),
    st.builds(FeatureSpec.embedding, st.text(), st.tuples(st.integers(1, 9), st.integers(1, 9))),
)


def test_the_papers_log_mel_and_fmas_summary():
    logmel, summary = FeatureSpec.logmel(), FeatureSpec.summary()
    assert (logmel.shape, logmel.dtype, logmel.sr) == ((96, 1360), "float16", 12_000)
    assert (summary.shape, summary.dtype, summary.sr) == ((518,), "float32", None)
    assert (logmel.n_bytes, summary.n_bytes) == (96 * 1360 * 2, 518 * 4)


@given(specs)
def test_json_is_the_way_there_and_back(spec):
    again = FeatureSpec.from_json(spec.to_json())
    assert again == spec
    assert again.digest == spec.digest
    assert again.differences(spec) == []


@given(specs, specs)
def test_equal_digests_and_no_differences_are_the_same_thing(one, other):
    assert (one.digest == other.digest) == (one.differences(other) == [])


@given(specs, st.text())
def test_a_name_is_for_people_except_of_an_embedding(spec, name):
    renamed = replace(spec, name=name)
    same = spec.kind != "embedding" or name == spec.name
    assert (renamed.digest == spec.digest) == same


def test_differences_name_the_settings():
    wider = FeatureSpec.logmel(n_mels=128, segments=SegmentPolicy("middle", duration=29))
    found = "; ".join(FeatureSpec.logmel().differences(wider))
    assert "n_mels: 96 / 128" in found
    assert "'first'" in found
    assert "sr" not in found.split("segments")[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "summery"}, "did you mean 'summary'"),
        ({"dtype": "float64"}, "float32 or float16, got 'float64'"),
        ({"segments": None}, "needs a segment policy"),
        ({"kind": "embedding"}, "takes no segment policy"),
    ],
)
def test_nonsense_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        replace(FeatureSpec.summary(), **settings)


def test_a_log_mel_has_a_fixed_width():
    with pytest.raises(ConfigError, match="use 'pad' or 'tile'"):
        FeatureSpec.logmel(segments=SegmentPolicy("first", duration=3.0, short="keep"))
    with pytest.raises(ConfigError, match="give its segments a duration"):
        FeatureSpec.logmel(segments=SegmentPolicy("first", duration=None))


def test_an_unknown_key_is_refused_with_a_guess():
    with pytest.raises(ConfigError, match="unknown key 'n_mel'; did you mean 'n_mels'"):
        FeatureSpec.from_json({**FeatureSpec.logmel().to_json(), "n_mel": 5})
