"""A library in the formats of iTunes and Windows, from tags to features."""

import sys

import mutagen
import mutagen.apev2
import mutagen.asf
import mutagen.id3
import mutagen.mp4
import mutagen.oggflac
import numpy as np
import pytest
from audio_files import make_pyav

from matt import FeatureStore
from matt.audio import SegmentPolicy, decoder_version, read_segments
from matt.cli.formats import try_formats
from matt.datasets.folder import scan
from matt.features.extract import extract
from matt.features.kernels.frames import logmel
from matt.features.plan import Plan
from matt.features.spec import FeatureSpec

pytest.importorskip("av", reason="PyAV, of the extra [formats], is not installed")

SR = 8_000
SPEC = FeatureSpec.logmel(
    "small", sr=SR, n_fft=256, hop_length=128, n_mels=17, segments=SegmentPolicy("first", 0.5)
)


def tag(path, **tags):
    """Tags as each format keeps them, by mutagen."""
    if path.suffix == ".m4a":
        file = mutagen.mp4.MP4(path)
        names = {"title": "\xa9nam", "artist": "\xa9ART", "album": "\xa9alb", "genre": "\xa9gen"}
    elif path.suffix == ".wma":
        file = mutagen.asf.ASF(path)
        names = {
            "title": "Title",
            "artist": "Author",
            "album": "WM/AlbumTitle",
            "genre": "WM/Genre",
        }
    elif path.suffix == ".aac":
        file = mutagen.id3.ID3()
        for frame, name in zip(("TIT2", "TPE1", "TALB", "TCON"), tags, strict=True):
            file.add(getattr(mutagen.id3, frame)(encoding=3, text=tags[name]))
        file.save(path)
        return
    else:
        file = mutagen.oggflac.OggFLAC(path) if path.suffix == ".oga" else mutagen.File(path)
        names = {name: name for name in tags}
    for name, text in tags.items():
        file[names[name]] = text
    file.save()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """One track each in six formats; their kinds in the order of the scan, by path."""
    root = tmp_path_factory.mktemp("music")
    kinds = ["aac", "adts", "alac", "oggflac", "wavpack", "wma"]
    for number, kind in enumerate(kinds):
        path = make_pyav(root, kind, 1.1 + number / 10, sr=16_000)
        tag(path, title=f"Töne {kind}", artist="Ärtist", album="Albüm", genre="Dub")
    return root, kinds


def test_tags_of_all_formats_are_scanned(library):
    root, kinds = library
    found = scan(root)
    assert found.problems == ()
    assert found.tracks.columns["title"].tolist() == [f"Töne {kind}" for kind in kinds]
    assert set(found.tracks.columns["artist"].tolist()) == {"Ärtist"}
    assert set(found.tracks.columns["album"].tolist()) == {"Albüm"}
    assert found.tracks.genres == ("Dub",)
    assert len(set(found.tracks.album_id.tolist())) == 1
    expected = 1.1 + np.arange(len(kinds)) / 10
    np.testing.assert_allclose(found.tracks.columns["duration"], expected, atol=0.2)


def test_features_of_all_formats_are_extracted(library, tmp_path):
    root, kinds = library
    tracks = scan(root).tracks
    report = extract(tracks, SPEC, tmp_path / "store", workers=1)
    assert (report.extracted, report.failures) == (len(kinds), ())
    values, offsets = FeatureStore.open(tmp_path / "store").read(tracks.track_id)
    assert offsets.tolist() == list(range(len(kinds) + 1))
    for row, path in enumerate(tracks.path):
        (segment,) = read_segments(str(path), sr=SR, policy=SPEC.segments)
        expected = logmel(segment.samples, sr=SR, n_fft=256, hop_length=128, n_mels=17)
        np.testing.assert_allclose(values[row], expected, atol=0.1)
    provenance = Plan.load(tmp_path / "store", 0).provenance
    assert provenance["decoder"] == decoder_version()
    assert "PyAV" in provenance["decoder"]


def test_doctor_writes_and_reads_every_format():
    checks = {check.name: check for check in try_formats()}
    for name in ("AAC in MP4", "ALAC in MP4", "WMA", "WavPack", "FLAC in Ogg"):
        assert (checks[name].reads, checks[name].truncation) == ("yes", "yes")
        assert checks[name].decoder.startswith("PyAV")
    assert (checks["AAC (ADTS)"].reads, checks["AAC (ADTS)"].truncation) == ("yes", "undetectable")
    assert checks["Monkey's Audio"].reads == "not tried: no encoder"
    assert checks["FLAC"].decoder.startswith("libsndfile")


def test_doctor_without_pyav_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    checks = {check.name: check for check in try_formats()}
    for name in ("AAC in MP4", "WMA", "WavPack", "Monkey's Audio"):
        assert checks[name].reads == "no: pip install 'matt-mgc[formats]'"
    assert checks["MP3"].reads == "yes"
