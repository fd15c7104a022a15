"""What `matt train` says of a folder before it computes anything."""

import numpy as np
import pytest

from matt import ConfigError, DataError, Tracks, config
from matt.cli.console import Output
from matt.cli.sources import Source
from matt.cli.training import TESTABLE, _asks_out_of_fold, _check_teachable

SETTINGS = config.load()


def folder(tmp_path, labels, artists=None):
    """One album an artist, of three tracks."""
    label = np.repeat(labels, 3)
    artist = np.repeat(np.arange(len(labels)) if artists is None else artists, 3)
    album = np.repeat(np.arange(len(labels)), 3)
    tracks = Tracks(
        np.arange(len(label)), label, ("Folk", "Rock"), artist_id=artist, album_id=album
    )
    return Source(tmp_path / "my music", tracks, folder=True)


@pytest.mark.parametrize(
    ("labels", "artists", "told"),
    [
        ([-1, -1, -1], None, "has no genre in its tags, so there is nothing to tell apart"),
        ([1, 1, 1, -1], None, "has only one genre, Rock, in its tags"),
        ([0, 1], None, "nothing could be said of the model"),
        ([0, 0, 1], [4, 4, 5], "nothing could be said of the model"),
    ],
)
def test_what_teaches_nothing_is_refused_with_what_needs_no_training(
    tmp_path, labels, artists, told
):
    with pytest.raises(DataError, match=told) as caught:
        _check_teachable(folder(tmp_path, labels, artists), SETTINGS, Output())
    assert str(caught.value).endswith(
        f"the tagger that comes with matt needs no training: matt predict '{tmp_path}/my music'"
    )


@pytest.mark.parametrize("n", [5, 100])
def test_few_albums_to_test_on_are_told_once(tmp_path, capsys, n):
    found = folder(tmp_path, np.arange(n) % 2)
    _check_teachable(found, SETTINGS, Output())
    said = " ".join(capsys.readouterr().err.split())
    few = round(0.2 * n) < TESTABLE
    assert bool(said) == few
    if few:
        assert f"{n} albums have a genre, and " in said
        assert said.count("needs no training: matt predict") == 1


def test_answers_out_of_fold_are_for_folders_or_asked_for(tmp_path, monkeypatch, capsys):
    mine, table = folder(tmp_path, [0, 1]), Source(tmp_path, folder(tmp_path, [0]).tracks)
    assert _asks_out_of_fold(None, mine, Output())
    assert not _asks_out_of_fold(None, table, Output())
    assert _asks_out_of_fold(True, table, Output())
    assert not _asks_out_of_fold(False, mine, Output())
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not _asks_out_of_fold(None, mine, Output())
    assert "for one process" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="start it without torchrun"):
        _asks_out_of_fold(True, table, Output())
