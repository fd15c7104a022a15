"""`matt train --with-corrections`: what was decided in a review is learned, kept and told."""

import html
import json
import re
import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from matt import Bags
from matt.cli.app import app
from matt.comparison import FittedRow
from matt.datasets.folder import scan
from matt.datasets.synthetic import write_library
from matt.review.corrections import corrected
from matt.review.curve import BIAS
from matt.review.decisions import Decisions, ReviewDecision
from matt.runs import OUT_OF_FOLD, Run

FAST = ["--no-controls"]
for setting in ("recipe=single", "training.epochs=2", "training.threads=1", "features.duration=1.5"):  # fmt: skip
    FAST += ["--set", setting]
SOME_FAILED = 3  # the planted bad files
FOLK, ROCK = "Mock Folk", "Mock Rock"
GONE = 12345


def matt(*arguments):
    torch.set_num_threads(1)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def names_of(bags):
    return [bags.genres[label] if label >= 0 else "" for label in bags.labels.tolist()]


def of_albums(bags, ids):
    """Genre names of the bags of some tracks, by the first track of each bag."""
    named = dict(zip(bags.track_ids[bags.offsets[:-1]].tolist(), names_of(bags), strict=True))
    return {first: named[first] for first in ids if first in named}


def same_of(found, tracks):
    """What is said of these tracks elsewhere: those that cannot be heard are in no run."""
    return found.take(found.rows(tracks.track_id))


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """A library, and what somebody decided about it: the last decision about each album."""
    root = tmp_path_factory.mktemp("own") / "my music"
    write_library(root, seed=0, tracks=60, seconds=(1.0, 1.6), workers=1)
    found = scan(root)
    bags = Bags.from_tracks(found.tracks)
    ids = np.split(bags.track_ids, bags.offsets[1:-1])
    unknown = [bag for bag, name in enumerate(names_of(bags)) if not name]
    others = [bag for bag, name in enumerate(names_of(bags)) if name not in ("", FOLK)]
    says = [("changed", ("mock folk",)), *[("changed", (FOLK,))] * 7, ("rejected", ()), ("kept", (ROCK,))]  # fmt: skip
    chosen = dict(zip(others, says, strict=False))
    chosen[unknown[-1]] = ("accepted", (FOLK,))
    some = {
        bag: ReviewDecision(f"album {bag}", tuple(ids[bag].tolist()), *say, said=FOLK, sure=0.5, when=1.0)
        for bag, say in chosen.items()
    }  # fmt: skip
    lost = ReviewDecision("album gone", (GONE,), "accepted", (ROCK,), ROCK, 0.5, 2.0)
    firsts = {}
    for bag, (say, _) in chosen.items():
        firsts.setdefault(say, []).append(int(ids[bag][0]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MATT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patched.setenv("MATT_JOURNALS", str(tmp_path_factory.mktemp("journals")))
        kept = Decisions.open(root)
        first = next(iter(some.values()))
        kept.add(replace(first, verdict="rejected", genres=()))  # and changes their mind
        for one in [*some.values(), lost]:
            kept.add(one)
        with kept.path.open("ab") as file:
            file.write(b"nonsense\n")
        yield SimpleNamespace(
            root=root, found=found, firsts=firsts, some=[*some.values()], lost=lost, file=kept.path
        )


@pytest.fixture(scope="module")
def trained(music, tmp_path_factory):
    """A run with corrections, and the tracks of everything that was fitted for it."""
    out, seen, fit = tmp_path_factory.mktemp("runs") / "taught", [], FittedRow.of

    def of(row, features, tracks, **options):
        seen.append(tracks)
        return fit(row, features, tracks, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FittedRow, "of", of)
        result = matt("train", music.root, "--out", out, "--json", "--with-corrections", *FAST)
    assert result.exit_code == SOME_FAILED, result.output
    return SimpleNamespace(run=Run.open(out), result=result, seen=seen)


def test_what_was_decided_is_what_is_learned(music, trained):
    tracks = trained.run.tracks()
    now, before = (Bags.from_tracks(some) for some in (tracks, same_of(music.found.tracks, tracks)))
    ids = music.firsts
    assert set(of_albums(now, ids["changed"]).values()) == {FOLK}
    assert set(of_albums(now, ids["accepted"]).values()) == {FOLK}
    assert set(of_albums(now, ids["rejected"]).values()) == {""}
    given = {first for say in ("changed", "accepted", "rejected") for first in ids[say]}
    left = {*before.track_ids[before.offsets[:-1]].tolist()} - given
    assert of_albums(now, left) == of_albums(before, left)
    assert len(left) > 10


def test_the_run_keeps_the_decisions(music, trained):
    content = json.loads((trained.run.path / "corrections.json").read_text())
    facts = trained.run.manifest["corrections"]
    made = corrected(
        music.found.tracks, [*music.some, music.lost], music.found.vocabulary, root=music.root
    )
    assert content["digest"] == facts["digest"] == made.digest
    kept = [json.loads(json.dumps(asdict(one))) for one in music.some]
    assert content["used"] == kept
    assert [one["track_ids"] for one in content["lost"]] == [[GONE]]
    assert facts == json.loads(json.dumps(made.facts))
    assert facts["changed"] == {FOLK: 8}
    assert facts["new"] == {FOLK: 1}
    assert (facts["used"], facts["lost"], facts["removed"]) == (len(kept), 1, 1)


def test_lines_notes_and_report_tell_of_it(music, trained):
    told = json.loads(trained.result.stdout)
    assert told["lines"] == trained.run.manifest["lines"]
    line = told["lines"][-1]
    assert line.startswith(f"You decided {len(music.some)} albums, and 10 of the labels changed")
    # Said FOLK, which was decided nine times, rejected once, and not kept once.
    assert f"Of the {len(music.some)} that tell, matt had said 9 as you decided" in line
    notes = " ".join(told["data_notes"])
    assert f"your decisions about {len(music.some)} albums are used" in notes
    assert "1 decision matches no album any more" in notes
    assert "Mock Rock, album gone" in notes
    text = html.unescape(re.sub(r"<[^>]+>", " ", trained.run.report.read_text()))
    assert "Corrections" in text
    assert BIAS in text
    assert line in text
    shown = matt("train", music.root, "--out", trained.run.path, "--resume", *FAST)  # is finished
    assert line in shown.stdout


def test_damaged_lines_are_told(music, trained):
    said = " ".join(trained.result.stderr.split())
    assert f"1 line of {music.file} cannot be read, and is passed over" in said


def test_decided_albums_are_answered_by_who_has_not_heard_their_artists(music, trained):
    tracks, answers = trained.run.tracks(), trained.run.predictions(OUT_OF_FOLD)
    known = tracks.take(np.isin(tracks.split, ("training", "validation")) & tracks.labelled)
    ids = [*music.firsts["changed"], *music.firsts["accepted"]]
    learned = of_albums(Bags.from_tracks(known), ids)
    assert len(learned) >= 4
    assert of_albums(answers.bags, ids) == learned
    rejected = set(music.firsts["rejected"])
    assert not rejected & {*answers.bags.track_ids.tolist()}
    _, *folds = trained.seen  # after the model itself
    for first in learned:
        (own,) = [fold for fold in folds if first in fold.in_split("test").track_id]
        heard = own.take(own.split != "test")
        asked = own.in_split("test")
        named = [set(some.everybody(alike=True)[1].tolist()) for some in (heard, asked)]
        assert not named[0] & named[1]
    # What is learned for the others is what was decided, too.
    for fold in folds:
        there = of_albums(Bags.from_tracks(fold), learned)
        assert set(there.values()) <= {FOLK}


def test_no_artist_is_on_two_sides(trained):
    tracks = trained.run.tracks()
    for artist in {*tracks.artist_id.tolist()} - {-1}:
        assert len({*tracks.split[tracks.artist_id == artist].tolist()}) == 1


def test_a_prediction_answers_decided_albums_out_of_fold(music, trained):
    result = matt("predict", music.root, "--model", trained.run.path, "--json")
    assert result.exit_code == SOME_FAILED, result.output
    rows = {row["tracks"][0]["track_id"]: row for row in json.loads(result.stdout)["albums"]}
    answers = set(trained.run.predictions(OUT_OF_FOLD).bags.track_ids.tolist())
    mine = [first for first in music.firsts["changed"] if first in answers]
    assert mine
    assert all(rows[first]["in_training"] and rows[first]["out_of_fold"] for first in mine)
    assert not any(rows[first]["in_training"] for first in music.firsts["rejected"])


def test_without_the_option_nothing_of_it_is_used(music, trained, tmp_path):
    out = tmp_path / "plain"
    shutil.copytree(trained.run.path, out)
    refused = matt("train", music.root, "--out", out, *FAST)
    assert refused.exit_code == 2
    result = matt("train", music.root, "--out", out, "--json", "--force", "--no-out-of-fold", *FAST)
    assert result.exit_code == SOME_FAILED, result.output
    run = Run.open(out)
    assert not (out / "corrections.json").exists()
    assert "corrections" not in run.manifest
    assert "decided" not in " ".join([*run.manifest["lines"], *run.manifest["data_notes"]])
    assert "Corrections" not in run.report.read_text()
    now = run.tracks()
    before = same_of(music.found.tracks, now)
    assert names_of(Bags.from_tracks(now)) == names_of(Bags.from_tracks(before))
    np.testing.assert_array_equal(now.columns["genre_tags"], before.columns["genre_tags"])


# ---- what is refused, before anything is computed ----


@pytest.fixture
def journals(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))


def refused(source, out):
    result = matt("train", source, "--out", out / "run", "--with-corrections", "--json", *FAST)
    assert result.exit_code == 2, result.output
    assert not (out / "run" / "run.json").exists()
    return json.loads(result.stdout)["error"]


def test_decisions_about_another_library_are_not_used(music, tmp_path, journals):
    other = Decisions.open(tmp_path / "my music")  # of the same name
    for one in music.some:
        other.add(one)
    told = refused(music.root, tmp_path)
    assert "nobody has decided anything" in told
    assert f"matt review '{music.root}'" in told


def test_decisions_that_are_all_taken_back_are_none(music, tmp_path, journals):
    kept = Decisions.open(music.root)
    kept.add(music.some[0])
    kept.undo_last()
    assert "nobody has decided anything" in refused(music.root, tmp_path)


def test_decisions_that_match_nothing_are_told(music, tmp_path, journals):
    Decisions.open(music.root).add(music.lost)
    told = refused(music.root, tmp_path)
    assert "none of 1 decisions is of an album" in told
    assert "leave out --with-corrections" in told


def test_what_is_no_folder_has_no_decisions(music, tmp_path, journals):
    table = tmp_path / "tracks.parquet"
    music.found.tracks.save(table)
    assert "--with-corrections uses what was decided about a folder" in refused(table, tmp_path)


def test_decisions_that_leave_one_genre_are_refused(music, tmp_path, journals):
    kept, bags = Decisions.open(music.root), Bags.from_tracks(music.found.tracks)
    for n, ids in enumerate(np.split(bags.track_ids, bags.offsets[1:-1])):
        one = replace(music.some[0], album=f"album {n}", track_ids=tuple(ids.tolist()))
        kept.add(one)
    told = refused(music.root, tmp_path)
    assert "only one genre, mock folk" in told


def test_decisions_about_the_folder_above_are_named(music, tmp_path, journals):
    above = Decisions.open(music.root.parent)
    above.add(music.some[0])
    told = refused(music.root, tmp_path)
    assert f"or learn from {music.root.parent}, about which it was" in told
    above.undo_last()
    assert "or learn from" not in refused(music.root, tmp_path)
