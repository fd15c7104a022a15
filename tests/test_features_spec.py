"""A spec is what changes values, no more and no less."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from matt import ConfigError
from matt.audio import SegmentPolicy
from matt.features.spec import EXCERPT, FeatureSettings, FeatureSpec

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
precisions = st.sampled_from(["exact", "fast"])
encoders = st.builds(
    FeatureSpec.musicnn,
    layer=st.sampled_from(["penultimate", "pooled"]),
    segments=st.none()
    | st.builds(
        lambda n_segments, short: SegmentPolicy(
            "spread", EXCERPT, short=short, n_segments=n_segments
        ),
        st.integers(1, 99),
        st.sampled_from(["pad", "tile"]),
    )
    | st.builds(lambda hop: SegmentPolicy("all", EXCERPT, hop=hop), st.none() | st.floats(0.5, 9)),
)
sequences = st.builds(
    lambda make, **settings: make(**settings),
    st.sampled_from([FeatureSpec.mfcc, FeatureSpec.chroma, FeatureSpec.contrast]),
    sr=st.integers(16_000, 48_000),
    precision=precisions,
    segments=policies,
)
specs = st.one_of(
    logmels,
    sequences,
    encoders,
    st.builds(
        lambda make, **settings: make(**settings),
        st.sampled_from([FeatureSpec.summary, FeatureSpec.combined]),
        frequencies=st.sampled_from(["fma", "true"]),
        precision=precisions,
        segments=policies,
    ),
    st.builds(FeatureSpec.embedding, st.text(), st.tuples(st.integers(1, 9), st.integers(1, 9))),
)


def test_the_papers_log_mel_and_fmas_summary():
    logmel, summary = FeatureSpec.logmel(), FeatureSpec.summary()
    assert (logmel.shape, logmel.dtype, logmel.sr) == ((96, 1360), "float16", 12_000)
    assert (summary.shape, summary.dtype, summary.sr) == ((518,), "float32", None)
    assert (logmel.n_bytes, summary.n_bytes) == (96 * 1360 * 2, 518 * 4)


@given(encoders)
def test_musicnn_has_its_layer_and_the_tags_behind_it(spec):
    assert spec.shape == ({"penultimate": 200, "pooled": 1506}[spec.layer] + 50,)
    assert (spec.dtype, spec.sr, spec.segments.duration * spec.sr) == ("float32", 16_000, 48_128)


def test_specs_of_before_there_were_layers_and_windows_are_the_same_specs():
    for spec in (FeatureSpec.summary(), FeatureSpec.mfcc()):
        content = spec.to_json()
        assert "layer" not in content
        assert "n_segments" not in content["segments"]


@given(sequences)
def test_a_sequence_has_a_column_a_frame(spec):
    rows = {"mfcc": 20, "chroma": 12, "contrast": 7}
    assert spec.shape == (rows[spec.kind], 1 + round(spec.segments.duration * spec.sr) // 512)
    assert (spec.dtype, spec.frequencies) == ("float32", "true")


def test_precision_and_frequencies_are_part_of_the_identity():
    specs = [
        FeatureSpec.summary(frequencies=frequencies, precision=precision)
        for frequencies in ("fma", "true")
        for precision in ("exact", "fast")
    ]
    assert len({spec.digest for spec in specs}) == 4
    assert specs[0] == FeatureSpec.summary()
    assert specs[0].differences(specs[3]) == ["precision: exact / fast", "frequencies: fma / true"]


def test_without_a_word_frequencies_are_those_the_kind_is_known_for():
    """As in a spec that was written before there was a choice."""
    for spec in (FeatureSpec.summary(), FeatureSpec.logmel(), FeatureSpec.embedding("clap", (5,))):
        old = spec.to_json()
        del old["frequencies"], old["precision"]
        assert FeatureSpec.from_json(old) == spec


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
    assert "policy: first / middle" in found
    assert "sr" not in found


# Settings of ours that are the default or not.
usual = st.fixed_dictionaries(
    {"kind": st.sampled_from(["summary", "logmel", "mfcc"])},
    optional={
        "policy": st.sampled_from(["first", "middle", "spread", "all"]),
        "duration": st.sampled_from([10.0, 29.0, 30.0]),
        "short": st.sampled_from(["pad", "tile"]),
        "silence": st.sampled_from(["skip", "keep"]),
        "precision": precisions,
    },
)
whole = st.builds(
    lambda silence: {"kind": "summary", "policy": "whole", "silence": silence},
    st.sampled_from(["skip", "keep"]),
)


@hypothesis_settings(max_examples=300)
@given(usual | whole, usual | whole)
def test_what_is_asked_for_as_a_message_says_is_what_was_meant(one, other):
    """Whoever asked for one and adds what the message says asks for the other."""
    here, there = FeatureSettings(**one).spec(), FeatureSettings(**other).spec()
    told = there.asked(here)
    if here == there or here.kind != there.kind:
        assert told == ""
        return
    added = dict(re.findall(r"--(\w+) (\S+)", told))
    for name, value in added.items():
        assert re.search(rf"features.{name} = '?{value}", told)
    asked = {**one, **added}
    for name, kind in {"duration": float, "n_segments": int}.items():
        if name in added:
            asked[name] = kind(added[name])
    if added.get("policy") == "whole":
        asked.pop("duration", None)
    assert FeatureSettings(**asked).spec() == there


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "summery"}, "did you mean 'summary'"),
        ({"dtype": "float64"}, "float32 or float16, got 'float64'"),
        ({"segments": None}, "needs a segment policy"),
        ({"kind": "embedding"}, "takes no segment policy"),
        ({"precision": "exakt"}, "unknown precision 'exakt'; did you mean 'exact'"),
        ({"frequencies": "ture"}, "unknown frequencies 'ture'; did you mean 'true'"),
        (
            {"n_fft": 1024},
            "n_fft=1024 has no meaning for kind 'summary', which has 2048; leave it out",
        ),
        ({"hop_length": 256}, "hop_length=256 has no meaning"),
        ({"n_mels": 96}, "n_mels=96 has no meaning"),
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


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        (
            FeatureSpec.mfcc(),
            {"frequencies": "fma"},
            "frequencies='fma' has no meaning for kind 'mfcc'",
        ),
        (FeatureSpec.logmel(), {"frequencies": "fma"}, "no meaning for kind 'logmel'"),
        (FeatureSpec.chroma(), {"n_mels": 96}, "n_mels=96 has no meaning for kind 'chroma'"),
        (FeatureSpec.contrast(), {"sr": None}, "16000 to 48000 Hz, got sr=None"),
        (FeatureSpec.musicnn(), {"sr": 22_050}, "sr=22050 has no meaning for kind 'musicnn'"),
        (FeatureSpec.musicnn(), {"precision": "fast"}, "no meaning for kind 'musicnn'"),
        (FeatureSpec.musicnn(), {"layer": "pool"}, "unknown layer 'pool'; did you mean 'pooled'"),
        (FeatureSpec.mfcc(), {"layer": "pooled"}, "layer='pooled' has no meaning for kind 'mfcc'"),
        (
            FeatureSpec.musicnn(),
            {"segments": SegmentPolicy("all", 3.0)},
            "a segment of musicnn is 3.008 s long, got .*duration=3.0",
        ),
        (
            FeatureSpec.musicnn(),
            {"segments": SegmentPolicy("all", EXCERPT, short="keep")},
            "short audio cannot be kept",
        ),
        (
            FeatureSpec.embedding("clap", (5,)),
            {"precision": "fast"},
            "no meaning for kind 'embedding'",
        ),
    ],
)
def test_what_has_no_meaning_for_a_kind_is_refused(spec, settings, message):
    with pytest.raises(ConfigError, match=message):
        replace(spec, **settings)


@pytest.mark.parametrize("make", [FeatureSpec.mfcc, FeatureSpec.chroma, FeatureSpec.contrast])
def test_sequences_have_a_width_and_a_rate(make):
    with pytest.raises(ConfigError, match="use 'pad' or 'tile'"):
        make(segments=SegmentPolicy("first", duration=3.0, short="keep"))
    with pytest.raises(ConfigError, match="give its segments a duration"):
        make(segments=SegmentPolicy("all", duration=None))
    with pytest.raises(ConfigError, match="16000 to 48000 Hz, got sr=8000"):
        make(sr=8_000)
