"""Tags in the formats that PyAV decodes change neither the hash nor the samples."""

import hashlib

import mutagen.apev2
import mutagen.asf
import mutagen.id3
import mutagen.mp4
import mutagen.oggflac
import mutagen.wavpack
import numpy as np
import pytest
from audio_files import flip, make_pyav

from matt.audio import audio_hash, inspect, read_blocks

pytest.importorskip("av", reason="PyAV, of the extra [formats], is not installed")

BIG = "la " * 60_000


def decode(path):
    return np.concatenate(list(read_blocks(path, sr=None)))


def tag_mp4(path, text):
    file = mutagen.mp4.MP4(path)
    file["\xa9nam"] = text
    file["covr"] = [mutagen.mp4.MP4Cover(bytes(70_000))]
    file.save()


def tag_asf(path, text):
    file = mutagen.asf.ASF(path)
    file["Title"] = text[:9999]  # 16 bits of size
    file["WM/Picture"] = mutagen.asf.ASFByteArrayAttribute(bytes(60_000))
    file.save()


def tag_wavpack(path, text):
    file = mutagen.wavpack.WavPack(path)
    file["Title"] = text
    file.save()


def tag_id3(path, text):
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text=text))
    tags.save(path, v1=2)


def tag_ape(path, text):
    tags = mutagen.apev2.APEv2()
    tags["Title"] = text
    tags.save(path)


def tag_ogg(path, text):
    file = mutagen.oggflac.OggFLAC(path)
    file["title"] = text
    file.save()


@pytest.mark.parametrize(
    ("kind", "tag"),
    [
        ("aac", tag_mp4),
        ("alac", tag_mp4),
        ("adts", tag_id3),
        ("adts", tag_ape),
        ("wma", tag_asf),
        ("wavpack", tag_wavpack),
        ("wavpack", tag_id3),
        ("oggflac", tag_ogg),
    ],
)
def test_tags_change_neither_hash_nor_samples_but_audio_does(tmp_path, kind, tag):
    path = make_pyav(tmp_path, kind, 4.0)
    untagged, before, samples = path.read_bytes(), audio_hash(path), decode(path)
    for text in ("a title", BIG, "short again"):
        tag(path, text)
        assert path.read_bytes() != untagged
        assert audio_hash(path) == before
        file = inspect(path)
        assert (file.completeness, file.breaks) in (("complete", ()), ("undetectable", ()))
        assert (file.completeness == "undetectable") == (kind == "adts")
        np.testing.assert_array_equal(decode(path), samples)
    middle = len(untagged) // 2
    position = path.read_bytes().find(untagged[middle : middle + 100])
    assert position > 0
    assert audio_hash(flip(path, position + 50)) != before


def test_wma_is_hashed_by_its_data_object(tmp_path):
    path = make_pyav(tmp_path, "wma", 1.0)
    content = path.read_bytes()
    at = content.find(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"))
    size = int.from_bytes(content[at + 16 : at + 24], "little")
    expected = hashlib.sha256(content[at + 24 : at + size]).hexdigest()
    assert audio_hash(path) == expected
