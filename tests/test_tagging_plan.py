"""What is to be written into which file: policies, plans, plans made to do harm, lists beside the music."""

import errno
import json
import math
import os
from pathlib import Path

import pytest
from audio_files import make
from hypothesis import given
from hypothesis import strategies as st
from mutagen.flac import FLAC

from matt.datasets.genres import folded, vocabulary
from matt.errors import ConfigError, DataError
from matt.library.export import write_rows
from matt.tagging.families import FIELDS
from matt.tagging.journal import SIDECAR
from matt.tagging.plan import SCHEMA, TagPlan
from matt.tagging.policy import MODES, Policy
from matt.tagging.predicted import read_predictions
from matt.tagging.sidecar import mp3tag_format, write_mp3tag, write_sidecars
from matt.tagging.writing import apply
from matt.tracks import stable_id

WORDS = vocabulary()
NAMES = st.sampled_from(
    ["Rock", "rock", "Hip Hop", "Hip-Hop", "Rap", "Rock/Pop", "Gabba Folk", "gabba-folk", "Other", "", " ", "R&B"]
)  # fmt: skip
SEVERAL = st.lists(NAMES, max_size=4).map(tuple)
EMPTY = dict.fromkeys(FIELDS, ())


def row(*paths, **changed):
    """What 'matt predict' says of an album."""
    told = {"artist": "Ann", "album": "One", "title": None, "year": None, "tagged": None, "genre": "Rock",
            "genre_path": ["Rock"], "probability": 0.8, "status": "new", "unsure": False, "tag_unknown": False,
            "in_training": False, "out_of_fold": False, "if_rare": None,
            "top": [{"genre": "Rock", "probability": 0.8}, {"genre": "Punk", "probability": 0.5}],
            "path": os.path.dirname(paths[0]) if paths else "", "n_tracks": len(paths),
            "tracks": [{"track_id": i, "path": str(path)} for i, path in enumerate(paths)]}  # fmt: skip
    return {**told, **changed}


@given(old=SEVERAL, heard=SEVERAL, mode=st.sampled_from(MODES), most=st.integers(1, 4))
def test_a_policy_comes_to_rest_loses_nothing_and_repeats_nothing(old, heard, mode, most):
    policy = Policy(mode, most=most)
    new = policy.values(old, heard, WORDS)
    if new is None:
        return
    assert new
    assert new != old
    assert policy.values(new, heard, WORDS) is None
    assert policy.values((policy.separator.join(new),), heard, WORDS) is None  # as ID3v2.3 has it
    told = [value for value in old if value.strip() and value != "Other"]
    if mode == "fill-empty":
        assert not told
    if mode == "append":
        assert list(new[: len(told)]) == told
    added = [folded(WORDS.read(value)[0]) for value in new[len(told) :] if mode == "append"]
    assert len(added) == len(set(added))


@given(old=SEVERAL, heard=SEVERAL, mode=st.sampled_from(MODES))
def test_what_holds_a_protected_genre_stays_as_it_is(old, heard, mode):
    assert Policy(mode, protected=("Hip-Hop",)).values((*old, "rap"), heard, WORDS) is None


def test_a_vocabulary_protects(tmp_path):
    (tmp_path / "genres.toml").write_text('protect = ["Christmas"]\nignore = ["Christmas"]\n')
    own = vocabulary(tmp_path / "genres.toml")
    assert Policy("replace").values(("christmas",), ("Rock",), own) is None
    assert Policy("replace").values(("christmas",), ("Rock",), WORDS) == ("Rock",)


def test_a_genre_that_is_ignored_is_still_somebodys():
    assert Policy().values(("Compilation",), ("Rock",), WORDS) is None
    assert Policy().values(("Unknown",), ("Rock",), WORDS) == ("Rock",)


@pytest.mark.parametrize(
    ("given", "told"),
    [({"mode": "fill"}, "fill-empty"), ({"fields": ()}, "no field"), ({"fields": ("genres",)}, "'genre'"),
     ({"most": 0}, "from 1"), ({"min_sure": math.nan}, "min_sure"), ({"min_sure": 7}, "min_sure"),
     ({"protected": (" ",)}, "empty name"), ({"separator": "\n"}, "separator"), ({"separator": ""}, "separator")],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        Policy(**given)


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "Music" / "One"
    folder.mkdir(parents=True)
    return [make(folder, suffix, 0.3) for suffix in (".flac", ".wav", ".mp3")]


def plan(music, policy=None, *, library=None, **changed):
    rows = [row(*music, **changed)]
    return TagPlan.of(rows, policy or Policy(), WORDS, library=library or music[0].parents[1])


def test_a_plan_names_old_new_and_why(music):
    made = plan(music)
    assert [change.path for change in made.changes] == music
    assert {change.new for change in made.changes} == {("Rock",)}
    assert {(change.why, change.sure, change.album) for change in made.changes} == {
        ("new", 0.8, "Ann - One")
    }
    assert made.changes[0].stamp == (music[0].stat().st_size, music[0].stat().st_mtime_ns)


@pytest.mark.parametrize(
    ("mode", "changed", "written"),
    [("fill-empty", {"unsure": True}, False), ("replace", {"genre": None}, False),
     ("fill-empty", {"status": "disagrees"}, False), ("append", {"status": "disagrees"}, True),
     ("replace", {"status": "disagrees"}, True), ("fill-empty", {"status": "agrees"}, True),
     ("replace", {"status": "unsure", "in_training": True}, False),
     ("replace", {"status": "unsure", "tag_unknown": True}, False),
     ("append", {"status": "unsure", "tag_unknown": True}, True)],
)  # fmt: skip
def test_unsure_albums_and_those_that_disagree_are_left_alone(music, mode, changed, written):
    made = plan(music, Policy(mode), **changed)
    assert bool(made.changes) == written
    assert len(made.left) == (0 if written else 3)
    assert not made.failures


def test_min_sure_is_the_bar(music):
    assert not plan(music, Policy(min_sure=0.81)).changes
    assert plan(music, Policy(min_sure=0.8), unsure=True).changes


def test_fields_and_several_genres(music):
    policy = Policy(fields=FIELDS, most=2)
    made = plan(music[:1], policy, genre_path=["Guitar", "Rock"], mood="calm")
    told = {change.field: change.new for change in made.changes}
    assert told == {"genre": ("Rock", "Punk"), "mood": ("calm",), "grouping": ("Guitar",)}
    low = [{"genre": "Rock", "probability": 0.8}, {"genre": "Punk", "probability": 0.3}]
    assert plan(music[:1], Policy(most=2), top=low).changes[0].new == (
        "Rock",
    )  # less than half as likely
    assert plan(music[:1], Policy(most=3), genres=["Folk", "Pop"]).changes[0].new == ("Folk", "Pop")


def test_a_field_of_which_nothing_was_said_is_not_called_full(music):
    made = plan(music[:1], Policy(fields=("mood",)))
    assert made.changes == ()
    assert dict(made.reasons) == {"nothing was said of its mood": 1}


def test_what_cannot_be_written_costs_itself_only(music):
    music[1].write_bytes(b"no music at all")
    gone = music[0].with_name("gone.flac")
    made = plan([*music, gone])
    assert [change.path for change in made.changes] == [music[0], music[2]]
    assert [one.path for one in made.failures] == [music[1], gone]
    assert made.failures[1].why == os.strerror(errno.ENOENT)  # the file is named beside it


@pytest.mark.parametrize("n", [19, 20])
@pytest.mark.parametrize("length", [10, 201])
def test_what_is_planned_can_be_read_as_a_plan(music, tmp_path, n, length):
    said = tuple(f"{i} ".ljust(length, "x") for i in range(n))
    rows = [row(*music)]
    made = TagPlan.of(
        rows, Policy("append"), WORDS, library=music[0].parents[1], read=lambda _: {"genre": said}
    )
    made.save(tmp_path / "p.jsonl")
    assert TagPlan.open(tmp_path / "p.jsonl").changes == made.changes
    fits = n == 19 and length == 10
    assert len(made.changes) == 3 * fits
    assert len(made.left) == 3 * (not fits)
    assert not made.failures


def test_a_file_in_two_rows_gets_the_first_answer(music):
    rows = [row(*music), row(*music, genre="Punk")]
    made = TagPlan.of(rows, Policy(), WORDS, library=music[0].parents[1])
    assert {change.new for change in made.changes} == {("Rock",)}


def test_nothing_outside_the_library_is_planned(music, tmp_path):
    other = tmp_path / "Other"
    other.mkdir()
    link = music[0].with_name("link.flac")
    outside = make(other, ".flac", 0.3)
    link.symlink_to(outside)
    linked = music[0].parent / "album"
    linked.symlink_to(other)
    some = [
        outside,
        link,
        linked / outside.name,
        music[0].parent / ".." / ".." / "Other" / outside.name,
    ]
    made = plan([music[0], *some])
    assert [change.path for change in made.changes] == music[:1]
    assert [one.path for one in made.left] == some


def test_a_folder_that_led_elsewhere_when_the_plan_was_shown_is_not_written(music, tmp_path):
    made, moved = plan(music), tmp_path / "out"
    music[0].parent.rename(moved)
    music[0].parent.symlink_to(moved)
    before = [path.read_bytes() for path in music]
    outcomes, journal = apply(made.wishes(), journals=tmp_path / "journals")
    assert len(outcomes) == len(music)
    assert all("outside of the library" in one.reason for one in outcomes)
    assert journal is None
    assert [path.read_bytes() for path in music] == before
    outcomes, journal = write_sidecars(made, journals=tmp_path / "journals")
    assert all("outside of the library" in one.reason for one in outcomes)
    assert (journal, (moved / SIDECAR).exists()) == (None, False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(music):
    pipe = music[0].with_name("pipe.mp3")
    os.mkfifo(pipe)
    made = plan([music[0], pipe])
    assert [change.path for change in made.changes] == music[:1]
    assert [(one.path, one.why) for one in made.failures] == [(pipe, "it is no regular file")]


# ---- plans in files ----


def test_a_plan_in_a_file_is_the_same_plan(music, tmp_path):
    strange = music[0].rename(music[0].with_name(os.fsdecode(b"n\xff\xe9\xe2\x80\xa8.flac")))
    made = plan([strange, *music[1:]], Policy(fields=("genre", "grouping")))
    made.save(tmp_path / "p.jsonl")
    assert TagPlan.open(tmp_path / "p.jsonl").changes == made.changes


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def rewritten(path, said):
    path.write_text("".join(json.dumps(line) + "\n" for line in said))
    return path


@pytest.mark.parametrize(
    "changed",
    [{"path": "../../outside.flac"}, {"path": "/etc/passwd"}, {"path": ""}, {"path": "."}, {"path": 7}, {"path": None},
     {"path": "One/../../x"}, {"path": "a\0b"}, {"field": "title"}, {"field": ["genre"]}, {"new": []}, {"new": "Rock"},
     {"new": ["a\nb"]}, {"new": ["\x1b[2J"]}, {"new": ["\u202eRock"]}, {"new": [" "]}, {"new": [3]}, {"new": ["x" * 201]},
     {"new": ["x"] * 21}, {"new": ["\ud800"]}, {"old": None}, {"sure": math.nan}, {"sure": math.inf}, {"sure": "0.5"},
     {"sure": True}, {"sure": 2}, {"size": 1.5}, {"size": True}, {"mtime_ns": None}, {"size": -1},
     {"path": "x" * 5_000}, {"path": "x/" * 2_500 + "x"}],
    ids=lambda changed: str(changed)[:30],
)  # fmt: skip
def test_a_line_made_to_do_harm_is_named_and_nothing_counts(music, tmp_path, changed):
    place = tmp_path / "p.jsonl"
    plan(music).save(place)
    head, one, *rest = lines(place)
    rewritten(place, [head, one | changed, *rest])
    with pytest.raises(DataError, match=r"p\.jsonl, line 2: .*correct the line or leave it out"):
        TagPlan.open(place)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n", b"[]\n", b"\xff\xfe\n", b"[" * 60_000 + b"\n", b"x" * 70_000, b'{"schema": "matt.plan/2", "library": "/"}\n',
     b'{"schema": "matt.plan/1"}\n', b'{"schema": "matt.plan/1", "library": 7}\n'],
)  # fmt: skip
def test_what_is_no_plan_is_refused(tmp_path, content):
    (tmp_path / "p.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.jsonl"):
        TagPlan.open(tmp_path / "p.jsonl")


def test_a_link_out_of_the_library_and_two_lines_for_one_field_are_refused(music, tmp_path):
    place = tmp_path / "p.jsonl"
    plan(music).save(place)
    head, one, *_ = lines(place)
    rewritten(place, [head, one, one])
    with pytest.raises(DataError, match=r"line 3: .* has another line for its genre"):
        TagPlan.open(place)
    (music[0].parent / "away").symlink_to(tmp_path)
    rewritten(place, [head, one | {"path": "One/away/x.flac"}])
    with pytest.raises(DataError, match="line 2: a link leads out of the library"):
        TagPlan.open(place)


def test_two_lines_of_a_file_tell_of_one_file(music, tmp_path):
    place = tmp_path / "p.jsonl"
    plan(music[:1], Policy(fields=("genre", "grouping"))).save(place)
    head, one, two = lines(place)
    for key in ("size", "mtime_ns"):
        rewritten(place, [head, one, two | {key: two[key] + 1}])
        with pytest.raises(DataError, match=r"line 3: .* has another size or mtime_ns"):
            TagPlan.open(place)


@pytest.mark.parametrize("way", ["root", "home", "above", "link", "dots"])
def test_a_plan_alone_does_not_make_a_home_or_a_disk_a_library(music, tmp_path, monkeypatch, way):
    home = tmp_path / "home" / "ann"
    home.mkdir(parents=True)
    music[0].parents[1].rename(home / "Music")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    (tmp_path / "link").symlink_to(home)
    library = {
        "root": Path(home.anchor),
        "home": home,
        "above": home.parent,
        "link": tmp_path / "link",
        "dots": home / "Music" / "..",
    }[way]
    place = tmp_path / "p.jsonl"
    one = {"field": "genre", "old": [], "new": ["x"], "sure": None, "size": 1, "mtime_ns": 1}
    one["path"] = os.path.relpath(home / "Music" / "One" / "a.flac", os.path.realpath(library))
    rewritten(place, [{"schema": SCHEMA, "library": str(library)}, one])
    with pytest.raises(DataError, match=r"p\.jsonl has .* --library DIR"):
        TagPlan.open(place)
    assert len(TagPlan.open(place, library=library).changes) == 1  # where a person says so
    below = home / "Music"
    rewritten(place, [{"schema": SCHEMA, "library": str(below)}, one | {"path": "One/a.flac"}])
    assert len(TagPlan.open(place).changes) == 1


def test_a_library_that_is_given_holds_what_a_plan_may_name(music, tmp_path):
    place = tmp_path / "p.jsonl"
    plan(music, library=tmp_path).save(place)
    assert json.loads(place.read_text().splitlines()[0])["schema"] == SCHEMA
    elsewhere = tmp_path / "Elsewhere"
    elsewhere.mkdir()
    made = TagPlan.open(place, library=elsewhere)
    assert all(change.path.is_relative_to(elsewhere) for change in made.changes)


# ---- predictions in files ----


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
@pytest.mark.parametrize("root", [0, 1], ids=["the folder of the album", "a folder above"])
def test_every_format_of_predictions_makes_the_same_plan(music, tmp_path, suffix, root):
    library = music[0].parents[root]
    told = row(*music)
    told["tracks"] = [
        {"track_id": stable_id(path.relative_to(library).as_posix()), "path": str(path)}
        for path in music
    ]
    write_rows(tmp_path / f"said{suffix}", [told])
    level, rows = read_predictions(tmp_path / f"said{suffix}")
    assert level == "album"
    made = TagPlan.of(rows, Policy(), WORDS, library=library)
    assert sorted(change.path for change in made.changes) == sorted(music)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_predictions_of_tracks_name_their_files(music, tmp_path, suffix):
    rows = [row(path, path=str(path), alone=True, track_id=i) for i, path in enumerate(music)]
    write_rows(tmp_path / f"said{suffix}", rows, level="track")
    level, rows = read_predictions(tmp_path / f"said{suffix}")
    assert (level, [one["path"] for one in rows]) == ("track", [str(path) for path in music])


@pytest.mark.parametrize(
    "changed",
    [{"probability": math.nan}, {"probability": "x"}, {"probability": 2}, {"status": "odd"}, {"unsure": 1},
     {"genre": 7}, {"genre_path": "Rock"}, {"top": [{}]}, {"top": 3}, {"tracks": [{"path": "rel.flac"}]},
     {"tracks": [{}]}, {"tracks": None}, {"genres": ["a", 3]}],
    ids=str,
)  # fmt: skip
def test_predictions_made_to_do_harm_are_refused(music, tmp_path, changed):
    place = tmp_path / "said.json"
    place.write_text(json.dumps({"schema": "matt.albums/2", "albums": [row(*music) | changed]}))
    with pytest.raises(DataError, match=r"said\.json, album 1: .*make it again"):
        read_predictions(place)


# ---- beside the music ----


@pytest.fixture
def journals(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))


def test_sidecars_keep_what_they_say_besides(music, journals):
    place = music[0].with_name(SIDECAR)
    (outcome,), journal = write_sidecars(plan(music[:1], Policy(fields=("genre", "grouping"))))
    assert (outcome.path, outcome.done, len(journal.records())) == (place, True, 1)
    said = json.loads(place.read_text())
    said |= {"mine": [1], "files": {"gone.mp3": {"stars": 5}, **said["files"]}}
    said["files"][music[0].name]["stars"] = 4
    place.write_text(json.dumps(said))
    write_sidecars(plan(music[1:]))
    write_sidecars(plan(music[:1], Policy(most=2)))
    now = json.loads(place.read_text())
    assert now["mine"] == [1]
    assert now["files"].pop("gone.mp3") == {"stars": 5}
    assert {name: one["genre"] for name, one in now["files"].items()} == {
        path.name: ["Rock", "Punk"] if path == music[0] else ["Rock"] for path in music
    }
    assert now["files"][music[0].name].keys() == {"genre", "grouping", "stars", "why", "sure"}
    assert now["files"][music[0].name]["stars"] == 4
    (again,), nothing = write_sidecars(plan(music[1:]))
    assert (again.done, again.failed, nothing) == (False, False, None)


@pytest.mark.parametrize(
    ("there", "told"),
    [("{}", "move it away"), ("[]", "move it away"), ('{"schema": "matt.sidecar/1"}', "move it"),
     ('{"schema": "matt.sidecar/1", "files": [1]}', "move it away"),
     ('{"schema": "matt.sidecar/1", "files": {"a.mp3": 1}}', "move it away"),
     ('{"schema": "matt.sidecar/1", "files": {}, "x": 1e999}', "could not be kept"),
     ('{"schema": "matt.sidecar/1", "files": {}, "x": "\\udcff"}', "could not be kept"),
     ("no JSON", "is not JSON"), ("\xff", "is not JSON")],
)  # fmt: skip
def test_what_has_the_name_of_a_sidecar_and_is_something_else_stays(music, journals, there, told):
    place = music[0].with_name(SIDECAR)
    place.write_text(there)
    (refused,), nothing = write_sidecars(plan(music))
    assert (refused.failed, nothing, place.read_text()) == (True, None, there)
    assert told in refused.reason


def test_a_file_that_a_sidecar_cannot_tell_of_costs_itself_only(music, journals):
    strange = music[0].rename(music[0].with_name(os.fsdecode(b"n\xff.flac")))
    made = plan([strange, *music[1:]])
    music[1].unlink()
    outcomes, journal = write_sidecars(made)
    assert [(one.path, one.done) for one in outcomes] == [
        (music[0].with_name(SIDECAR), True), (strange, False), (music[1], False)
    ]  # fmt: skip
    assert all(one.failed for one in outcomes[1:])
    assert "no Unicode" in outcomes[1].reason
    assert "no such file" in outcomes[2].reason
    assert json.loads(outcomes[0].path.read_text())["files"].keys() == {music[2].name}
    assert len(journal.records()) == 1


def test_no_folder_is_made_for_a_sidecar(music, journals, tmp_path):
    place = tmp_path / "p.jsonl"
    plan(music[:1]).save(place)
    head, one = lines(place)
    rewritten(place, [head, one | {"path": "new/deep/x.mp3"}])
    outcomes, journal = write_sidecars(TagPlan.open(place))
    assert [one.failed for one in outcomes] == [True]
    assert journal is None
    assert not (music[0].parents[1] / "new").exists()


def test_mp3tag_gets_a_line_a_file(music, tmp_path):
    barred = music[1].rename(music[1].with_name("a|b.wav"))
    made = plan([music[0], barred, music[2]], Policy(most=2))
    failures = write_mp3tag(made, tmp_path / "list.csv")
    assert (tmp_path / "list.csv").read_bytes().decode("utf-8-sig").splitlines() == [
        f"{music[0]}|Rock\\\\Punk", f"{music[2]}|Rock\\\\Punk"]  # fmt: skip
    assert mp3tag_format(made) == "%_path%|%genre%"
    assert [path for path, _ in failures] == [barred]


def test_planning_writes_nothing(music):
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in music]
    plan(music, Policy("replace"))
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in music] == before
    assert "genre" not in FLAC(music[0])
