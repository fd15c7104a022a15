"""Writing and undoing: whatever goes wrong, a file is the old one or the new one, and nothing is lost."""

import errno
import os
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from struct import pack
from types import SimpleNamespace

import mutagen
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.id3 import APIC, ID3
from tagged_files import KINDS, put

from matt import DataError
from matt.audio.containers import audio_hash
from matt.tagging import fields, writing
from matt.tagging import journal as journal_module
from matt.tagging.delta import Delta, digest_of
from matt.tagging.families import FIELDS
from matt.tagging.fields import family_of, read_fields
from matt.tagging.journal import SIDECAR, SUFFIX, Journal, Record, all_journals, prune
from matt.tagging.writing import Wish, WriteOptions, apply, clean_up, undo
from matt.tagging.writing import put as put_sidecars

FOLK = {"genre": ("Folk", "Soul")}
DATA = st.binary(max_size=3_000)


@pytest.fixture
def music(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def write(*paths, new=FOLK, **options):
    return apply([Wish(path, new) for path in paths], "test", options=WriteOptions(**options))


def last_run():
    return Journal.last()[0]


def stamp(path):
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def listed(folder):
    return sorted(os.listdir(os.fsencode(folder)))


# ---- deltas ----


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(DATA, max_size=6), others=st.lists(DATA, max_size=6), order=st.randoms())
def test_a_delta_leads_back(tmp_path, parts, others, order):
    new = [*parts, *others]
    order.shuffle(new)
    (tmp_path / "old").write_bytes(b"".join(parts))
    (tmp_path / "new").write_bytes(b"".join(new))
    delta = Delta.between(tmp_path / "old", tmp_path / "new")
    assert b"".join(delta.undone(tmp_path / "new")) == b"".join(parts)
    assert delta.digest(tmp_path / "new") == digest_of(tmp_path / "old")


def test_a_delta_of_much_that_moved_and_of_many_small_changes_is_small(tmp_path):
    old = bytearray(os.urandom(5_000_000))
    new = bytearray(old)
    for at in range(0, len(new), 4_300):  # numbers and sums of the pages of an Ogg file
        new[at : at + 8] = os.urandom(8)
    new[100:100] = os.urandom(700)
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(new)
    delta = Delta.between(tmp_path / "old", tmp_path / "new")
    assert sum(map(len, delta.pieces)) < 0.02 * len(old)
    assert delta.digest(tmp_path / "new") == digest_of(tmp_path / "old")


def test_a_piece_cannot_become_more_than_its_share(tmp_path):
    import zstandard

    (tmp_path / "new").write_bytes(b"abcdefgh")
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    with pytest.raises(DataError, match="another length"):
        list(Delta(0, 0, 100, 8, (bomb,)).undone(tmp_path / "new"))
    with pytest.raises(DataError, match="damaged"):
        list(Delta(0, 0, 100, 8, (b"nothing",)).undone(tmp_path / "new"))
    with pytest.raises(DataError, match="do not fit together"):
        Delta(5, 5, 8, 8, ())


# ---- all kinds ----


@pytest.mark.parametrize("kind", KINDS)
def test_undoing_gives_every_byte_back(music, kind):
    path = put(music, kind)
    before, at = path.read_bytes(), path.stat().st_mtime_ns
    (outcome,), journal = write(path)
    assert outcome.done, outcome
    assert path.read_bytes() != before
    told = read_fields(path)["genre"]
    assert told == FOLK["genre"] or family_of(path) in ("ID3v2.3", "RIFF")
    assert sum(len(piece) for piece in journal.records()[0].delta.pieces) < 3_000
    (again,), nothing = write(path)
    assert (again.done, again.failed, nothing) == (False, False, None)
    (undone,) = undo(last_run())
    assert undone.done
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == at
    assert listed(music) == [os.fsencode(path.name)]
    assert undo(journal) == []
    with pytest.raises(DataError, match="nothing to undo"):
        last_run()


def test_damaged_files_come_back_whole(music):
    from test_tagging_fields import damaged

    paths = [
        music / f"{seed}{put(music, KINDS[seed % len(KINDS)], 'x').suffix}" for seed in range(150)
    ]
    for seed, path in enumerate(paths):
        path.write_bytes(damaged(KINDS[seed % len(KINDS)], seed))
    before = {path: digest_of(path) for path in paths}
    outcomes, journal = write(*paths)
    assert sum(one.done for one in outcomes) > 50
    assert all(one.done or digest_of(one.path) == before[one.path] for one in outcomes)
    undo(journal)
    assert {path: digest_of(path) for path in paths} == before


# ---- killed, and full disks, at every step ----


class Steps:
    """Runs of one file that end at one line of the code after the other, forked from here."""

    def __init__(self, music, kind):
        self.music = music
        self.path = put(music, kind, "a")
        self.before = digest_of(self.path)
        self.bytes = self.path.read_bytes()
        self.ended = False  # in the child

    def end_at(self, k, what, how):
        """Fork, do the work, end it at the k-th line that is new; whether that was reached."""
        child = os.fork()
        if child == 0:
            try:
                self._work(k, what, how)
            finally:
                os._exit(3 if self.ended else 0)
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 3

    def _work(self, k, what, how):
        seen = set()

        def line(frame, event, _):
            here = frame.f_code.co_filename, frame.f_lineno
            if event == "line" and here not in seen:
                seen.add(here)
                if len(seen) == k:
                    if how == "kill":
                        os.kill(os.getpid(), signal.SIGKILL)
                    sys.settrace(None)
                    self.ended = True
                    raise OSError(errno.ENOSPC, "no space left on device")
            return line

        sys.settrace(lambda frame, *_: line if "tagging" in frame.f_code.co_filename else None)
        if what == "write":
            apply([Wish(self.path, FOLK)])
        else:
            undo(last_run())
        sys.settrace(None)


def killed_at(k, work):
    """End this process at the k-th line of the code that is new."""
    seen = set()

    def line(frame, event, _):
        here = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and here not in seen:
            seen.add(here)
            if len(seen) == k:
                os.kill(os.getpid(), signal.SIGKILL)
        return line

    try:
        sys.settrace(lambda frame, *_: line if "matt/tagging" in frame.f_code.co_filename else None)
        work()
    finally:
        os._exit(0)


linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, and kills itself")
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def new_digest(music, path, content):
    """SHA-256 of the file once it is written."""
    write(path)
    digest = digest_of(path)
    undo(last_run())
    path.write_bytes(content)
    for journal in all_journals():
        journal.path.unlink()
    return digest


@linux
@forks
@pytest.mark.parametrize("how", ["kill", "full"])
@pytest.mark.parametrize(
    "kind",
    [
        "ogg",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("mp3 2.4", "wav both", "flac")),
    ],
)
def test_a_write_that_ends_at_any_line_leaves_the_old_file_or_the_new_one(music, kind, how):
    steps = Steps(music, kind)
    after = new_digest(music, steps.path, steps.bytes)
    seen, k = set(), 1
    while steps.end_at(k, "write", how):
        now = digest_of(steps.path)
        assert now in (steps.before, after), k
        seen.add(now)
        left = [name for name in os.listdir(music) if name != steps.path.name]
        assert how == "kill" or left == [], "a full disk leaves nothing behind"
        # The next run cleans up, does what was to be done, and can be undone.
        write(steps.path)
        assert (digest_of(steps.path), os.listdir(music)) == (after, [steps.path.name]), k
        while any(journal.open_records() for journal in all_journals()):
            undo(last_run())
        assert digest_of(steps.path) == steps.before, k
        for journal in all_journals():
            journal.path.unlink()
        k += 1
    assert k > 100
    assert seen == {steps.before, after} or how == "full"


@linux
@forks
@pytest.mark.parametrize("how", ["kill", "full"])
def test_an_undo_that_ends_at_any_line_is_ended_by_another(music, how):
    steps = Steps(music, "ogg")
    write(steps.path)
    after, k, reached = digest_of(steps.path), 1, True
    while reached:
        reached = steps.end_at(k, "undo", how)
        assert digest_of(steps.path) in (steps.before, after), k
        while any(journal.open_records() for journal in all_journals()):
            undo(last_run())
        assert (digest_of(steps.path), os.listdir(music)) == (steps.before, [steps.path.name]), k
        for journal in all_journals():
            journal.path.unlink()
        write(steps.path)
        assert digest_of(steps.path) == after
        k += 1
    assert k > 50


def test_a_full_disk_ends_a_run_and_the_same_call_goes_on(music, monkeypatch):
    paths = [put(music, "flac", f"{n}") for n in range(4)]
    before = [digest_of(path) for path in paths]
    real, done = os.fsync, []

    def fsync(descriptor):
        if len(done) == 2:
            raise OSError(errno.ENOSPC, "no space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DataError, match=r"the disk .* is full, .*; free some space") as told:
        apply([Wish(path, FOLK) for path in paths], told=done.append)
    (journal,) = all_journals()
    assert told.value.__notes__ == [
        f"2 files were written, and 'matt undo {journal.name}' takes it back"
    ]
    monkeypatch.setattr(os, "fsync", real)
    assert len(listed(music)) == 4
    outcomes, _ = write(*paths)
    assert [one.done for one in outcomes] == [False, False, True, True]
    for journal in all_journals():
        undo(journal)
    assert [digest_of(path) for path in paths] == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("kind", ["flac", "mp3 2.4", "m4a"])
def test_a_full_disk_is_one_behind_the_error_of_a_parser(music, monkeypatch, number, kind):
    """By mutagen's own wrapping, of what a disk says when mutagen writes."""
    if kind not in KINDS:
        pytest.skip("PyAV is not here")
    first, second = put(music, "ogg", "1"), put(music, kind, "2")
    before, real = digest_of(second), fields._assemble

    @mutagen._util.convert_error(OSError, mutagen.MutagenError)
    def full():
        raise OSError(number, os.strerror(number))

    def assemble(found, file, *rest):
        if file.name == str(second):
            full()
        real(found, file, *rest)

    monkeypatch.setattr(fields, "_assemble", assemble)
    with pytest.raises(DataError, match=r"the disk is full at .*; free some space") as told:
        write(first, second)
    assert str(second) in str(told.value)
    assert told.value.__notes__[0].startswith("1 file was written, ")
    assert digest_of(second) == before
    assert len(listed(music)) == 2


@pytest.mark.parametrize("way", ["cause", "context"])
def test_only_what_comes_of_a_full_disk_ends_a_run(music, monkeypatch, way):
    paths = [put(music, "flac", f"{n}") for n in range(2)]

    def failing(number):
        def fail(*_):
            try:
                raise OSError(number, "of the disk")
            except OSError as error:
                if way == "cause":
                    raise mutagen.MutagenError from error
                raise mutagen.MutagenError  # noqa: B904

        return fail

    monkeypatch.setattr(fields, "_assemble", failing(errno.EIO))
    outcomes, _ = write(*paths)
    assert [one.failed for one in outcomes] == [True, True]
    monkeypatch.setattr(fields, "_assemble", failing(errno.ENOSPC))
    with pytest.raises(DataError, match="the disk is full at") as told:
        write(*paths)
    assert told.value.__notes__ == ["0 files were written"]


# ---- power that goes ----


class Disk:
    """What has happened to files, in order, and what of it a disk holds whatever happens then."""

    def __init__(self, monkeypatch):
        self.events = []
        self._fsync, self._replace, self._unlink = os.fsync, os.replace, os.unlink
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.replace)
        monkeypatch.setattr(os, "unlink", self.unlink)

    def fsync(self, descriptor):
        self._fsync(descriptor)
        found = os.fstat(descriptor)
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        folder = stat.S_ISDIR(found.st_mode)
        self.events.append(("sync", place, None if folder else Path(place).read_bytes()))

    def replace(self, source, target):
        self.events.append(("replace", str(target), Path(source).read_bytes(), str(source)))
        self._replace(source, target)

    def unlink(self, place, **options):
        self.events.append(("unlink", str(place)))
        self._unlink(place, **options)

    def changes(self, folder):
        """Each change of a file in a folder: what was synced before it, and what until the next."""
        at = [
            n
            for n, event in enumerate(self.events)
            if event[0] in ("replace", "unlink")
            and os.path.dirname(event[1]) == str(folder)
            and not os.path.basename(event[1]).startswith(".matt-")
        ]
        for n, end in zip(at, [*at[1:], len(self.events)], strict=True):
            synced = {event[1]: event[2] for event in self.events[:n] if event[0] == "sync"}
            yield self.events[n], synced, [one for one in self.events[n + 1 : end]]


@pytest.mark.skipif(sys.platform != "linux", reason="names of open files are asked of Linux")
def test_what_a_change_needs_is_on_the_disk_before_it_and_the_change_before_the_next(
    music, monkeypatch
):
    paths = [put(music, kind) for kind in ("flac", "mp3 2.3", "ogg")]
    journals = music.parent / "journals"
    disk = Disk(monkeypatch)
    _, journal = write(*paths)
    _, second = put_sidecars({music / SIDECAR: lambda: b"{}"})
    changes = list(disk.changes(music))
    assert [change[1] for change, _, _ in changes] == [*map(str, paths), str(music / SIDECAR)]
    for (_, target, content, copy), synced, after in changes:
        assert synced[copy] == content, "the copy, whole"
        assert {str(music.parent), str(journals)} <= set(synced), "the way to the journal"
        kept = Journal(music / "as the disk has it.jsonl")
        place = second.path if target.endswith(SIDECAR) else journal.path
        kept.path.write_bytes(synced[str(place)])
        (record,) = [one for one in kept.records() if one.path == target]
        assert record.after == sha256(content).hexdigest()
        assert ("sync", str(music), None) in after, "the change"
    disk.events.clear()
    (music / "as the disk has it.jsonl").unlink()
    undo(second)
    undo(journal)
    changes = list(disk.changes(music))[1:]  # the first is of this test
    assert [change[:2] for change, _, _ in changes] == [
        ("unlink", str(music / SIDECAR)),
        *(("replace", str(path)) for path in reversed(paths)),
    ]
    for change, synced, after in changes:
        if change[0] == "replace":
            assert synced[change[3]] == change[2]
        names = [one[1] for one in after if one[0] == "sync"]
        journals_own = [str(one.path) for one in (journal, second)]
        first_line = next(n for n, name in enumerate(names) if name in journals_own)
        assert str(music) in names[:first_line], "the change before the line that it is done"


# ---- files ----


def test_a_file_that_changed_since_the_plan_is_left_alone(music):
    path = put(music, "flac")
    wish = Wish(path, FOLK, stamp(path))
    os.utime(path, ns=(1, 1))
    before = digest_of(path)
    (outcome,), journal = apply([wish])
    assert (outcome.failed, journal) == (True, None)
    assert "changed since the plan" in outcome.reason
    assert digest_of(path) == before


def test_what_cannot_be_written_is_named_once(music):
    (music / "text.mp3").write_bytes(b"no audio, but some text that goes on for a while")
    (outcome,), _ = write(music / "text.mp3")
    assert outcome.failed
    assert outcome.reason.startswith("cannot be written: ")


def test_a_file_that_says_something_else_than_the_plan_thinks_is_left_alone(music):
    path = put(music, "flac")
    before = digest_of(path)
    (outcome,), _ = apply([Wish(path, FOLK, stamp(path), {"genre": ()})])
    assert outcome.failed
    assert "says something else" in outcome.reason
    assert digest_of(path) == before
    (outcome,), _ = apply([Wish(path, FOLK, stamp(path), {"genre": ("Rock",)})])
    assert outcome.done


@pytest.mark.parametrize("kind", KINDS)
def test_what_says_already_what_it_is_to_say_is_done_whatever_happened_to_it(music, kind):
    path = put(music, kind)
    wish = Wish(path, FOLK, stamp(path), {"genre": read_fields(path)["genre"]})
    (outcome,), _ = apply([wish])
    assert outcome.done
    now = digest_of(path)
    for change in (lambda: None, lambda: os.utime(path, ns=(1, 1))):
        change()
        (again,), journal = apply([wish])
        assert (again.done, again.failed, journal) == (False, False, None), again
        assert digest_of(path) == now
    assert len(listed(music)) == 1


def test_what_says_so_already_may_be_read_only_and_have_several_names(music):
    path = put(music, "flac")
    _, journal = write(path)
    os.link(path, music / "second")
    path.chmod(0o444)
    (outcome,), nothing = write(path)
    assert (outcome.done, outcome.failed, nothing) == (False, False, None)
    path.chmod(0o644)
    (music / "second").unlink()
    undo(journal)
    os.link(path, music / "second")
    path.chmod(0o444)
    once_more = Journal.create("test")
    for record in journal.records():
        once_more.add(record)
    (outcome,) = undo(once_more)
    assert (outcome.done, outcome.failed) == (False, False)


@pytest.mark.parametrize("step", ["write_copy", "audio_hash", "everything", "digest_of"])
def test_a_file_that_changes_while_it_is_written_is_left_as_it_is_then(music, monkeypatch, step):
    path = put(music, "flac")
    real = getattr(writing, step)

    def changing(*args, **options):
        done = real(*args, **options)
        path.write_bytes(path.read_bytes() + b"more")
        return done

    monkeypatch.setattr(writing, step, changing)
    (outcome,), _ = write(path)
    assert outcome.failed
    assert path.read_bytes().endswith(b"more")
    assert listed(music) == [os.fsencode(path.name)]


def test_a_file_that_changed_since_is_not_undone_and_the_others_are(music):
    one, two = put(music, "flac", "one"), put(music, "ogg", "two")
    before = digest_of(one)
    write(one, two)
    two.write_bytes(two.read_bytes() + b"x")
    later = digest_of(two)
    outcomes = {outcome.path: outcome for outcome in undo(last_run())}
    assert outcomes[one].done
    assert outcomes[two].failed
    assert "changed since" in outcomes[two].reason
    assert (digest_of(one), digest_of(two)) == (before, later)


def test_two_runs_are_undone_the_later_one_first(music):
    path = put(music, "flac")
    before = digest_of(path)
    _, first = write(path)
    _, second = write(path, new={"genre": ("Jazz",)})
    (early,) = undo(first)
    assert early.failed
    assert "later run first" in early.reason
    undo(second)
    undo(first)
    assert digest_of(path) == before


def test_what_is_gone_or_no_file_is_told(music):
    path = put(music, "flac")
    _, journal = write(path)
    path.unlink()
    (outcome,) = undo(journal)
    assert outcome.failed
    assert outcome.reason.startswith("it is gone; put it back")
    (music / "folder.mp3").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(music / "pipe.mp3")
    outcomes, _ = write(*sorted(music.iterdir()), music / "never.mp3")
    assert all(one.failed for one in outcomes)


def test_names_of_any_bytes(music):
    names = [
        b"\xff\xfe.flac",
        b"a\nb.flac",
        b"-rf.flac",
        "☂".encode() * 80 + b".flac",
        b"x" * 250 + b".flac",
    ]
    for name in names:
        content = put(music, "flac", "x").read_bytes()
        (music / "x.flac").unlink()
        path = Path(os.fsdecode(os.path.join(os.fsencode(music), name)))
        try:
            path.write_bytes(content)
        except OSError:
            pytest.skip("this file system has no such names")
        (outcome,), journal = write(path)
        assert outcome.done, outcome
        undo(Journal.open(journal.name))
        assert path.read_bytes() == content
        path.unlink()


def test_a_link_leads_to_the_file_that_is_written(music, tmp_path):
    path = put(tmp_path, "flac")
    (music / "link.flac").symlink_to(path)
    (music / "dangling.flac").symlink_to(tmp_path / "gone")
    before = digest_of(path)
    outcomes, _ = write(music / "link.flac", music / "dangling.flac")
    assert [one.done for one in outcomes] == [True, False]
    assert (music / "link.flac").is_symlink()
    assert digest_of(path) != before
    undo(last_run())
    assert digest_of(path) == before


def test_several_names_of_a_file_are_parted_only_if_that_is_asked_for(music):
    path = put(music, "flac")
    os.link(path, music / "second")
    before = digest_of(path)
    (outcome,), _ = write(path)
    assert outcome.failed
    assert "--break-links" in outcome.reason
    (outcome,), _ = write(path, break_links=True)
    assert outcome.done
    assert digest_of(music / "second") == before != digest_of(path)


def test_undo_parts_no_names_unless_asked(music):
    path = put(music, "flac")
    before = digest_of(path)
    _, journal = write(path)
    os.link(path, music / "second")
    now = digest_of(path)
    (outcome,) = undo(journal)
    assert outcome.failed
    assert "--break-links" in outcome.reason
    assert digest_of(path) == digest_of(music / "second") == now
    (outcome,) = undo(journal, break_links=True)
    assert outcome.done
    assert (digest_of(path), digest_of(music / "second")) == (before, now)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_undo_follows_no_link(music, tmp_path, what):
    folder = music / "album"
    folder.mkdir()
    path = put(folder, "flac")
    _, journal = write(path)
    now, moved = path if what == "file" else folder, tmp_path / "elsewhere"
    now.rename(moved)
    now.symlink_to(moved)
    before = digest_of(path)
    (outcome,) = undo(journal)
    assert outcome.failed
    assert "a link leads from there to" in outcome.reason
    assert digest_of(path) == before
    now.unlink()
    moved.rename(now)
    assert [one.done for one in undo(journal)] == [True]


def test_nothing_outside_of_the_library_is_written_or_undone(music, tmp_path):
    inside, outside = put(music, "flac"), put(tmp_path, "flac")
    (music / "link.flac").symlink_to(outside)
    before = digest_of(outside)
    outcomes, journal = apply(
        Wish(path, FOLK, library=music) for path in (inside, music / "link.flac")
    )
    assert [one.done for one in outcomes] == [True, False]
    assert "outside of the library" in outcomes[1].reason
    assert digest_of(outside) == before
    (record,) = journal.records()
    assert record.library == str(music)
    forged = Journal.create("test")
    forged.add(replace(record, path=str(outside)))
    write(outside)
    assert digest_of(outside) == record.after
    (outcome,) = undo(forged)
    assert "outside of the library" in outcome.reason
    assert digest_of(outside) == record.after


def forged(path, content, **told):
    """A journal that makes sense, and leads to other content than was ever there."""
    other = path.with_name("forged")
    other.write_bytes(content)
    delta = Delta.between(other, path)
    digest = digest_of(other)
    other.unlink()
    journal = Journal.create("test")
    journal.add(Record(str(path), digest, digest_of(path), 1, delta, {}, {}, **told))
    return journal


@pytest.mark.parametrize("kind", KINDS)
def test_a_forged_journal_changes_no_audio(music, kind):
    path = put(music, kind)
    write(path)
    content, audio = path.read_bytes(), audio_hash(path)
    changed = next(
        other
        for at in range(len(content) - 1, 0, -97)
        if (other := flipped(content, at)) and audio_of(path, other) != audio
    )
    (outcome,) = undo(forged(path, changed))
    assert outcome.failed
    assert path.read_bytes() == content
    assert listed(music) == [os.fsencode(path.name)]


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def audio_of(path, content):
    other = path.with_name("other")
    other.write_bytes(content)
    try:
        return audio_hash(other)
    finally:
        other.unlink()


def test_a_forged_journal_writes_no_file_of_another_kind(music):
    path = music / "profile"
    path.write_bytes(b"export A=1\n")
    tag = b"TAG\nexport A=2\n#".ljust(128, b"x")  # which is no part of the audio of anything
    (outcome,) = undo(forged(path, path.read_bytes() + tag))
    assert outcome.failed
    assert path.read_bytes() == b"export A=1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of files")
@pytest.mark.parametrize("what", ["write", "undo", "sidecar"])
def test_two_runs_with_other_journals_do_not_meet_on_a_file(music, tmp_path, monkeypatch, what):
    path, free = put(music, "flac", "a"), put(music, "flac", "b")
    _, journal = write(path, free) if what == "undo" else (None, None)
    place = music if what == "sidecar" else path
    program = (
        "import sys\nfrom pathlib import Path\nfrom matt.tagging import writing\n"
        "def everything(path, but):\n"
        "    print('reached', flush=True)\n    sys.stdin.readline()\n    sys.exit()\n"
        "writing.everything = everything\n"
        "writing.apply([writing.Wish(Path(sys.argv[1]), {'genre': ('Jazz',)})])\n"
        if what != "sidecar"
        else "import sys\nfrom pathlib import Path\nfrom matt.tagging.writing import put\n"
        "def content():\n"
        "    print('reached', flush=True)\n    sys.stdin.readline()\n    sys.exit()\n"
        "put({Path(sys.argv[1]) / 'matt-genres.json': content})\n"
    )
    elsewhere = {**os.environ, "MATT_JOURNALS": str(tmp_path / "others")}
    with subprocess.Popen(
        [sys.executable, "-c", program, place],
        env=elsewhere, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "reached\n"
        before = digest_of(path)

        def run():
            if what == "undo":
                return undo(journal)
            if what == "sidecar":
                return put_sidecars({music / SIDECAR: lambda: b"{}"})[0]
            return write(path, free)[0]

        outcomes = {one.path: one for one in run()}
        held = music / SIDECAR if what == "sidecar" else path
        assert outcomes[held].failed
        assert "another run is writing it" in outcomes[held].reason
        assert all(one.done for at, one in outcomes.items() if at != held)
        assert digest_of(path) == before
        other.communicate("\n")
    assert {one.path: one.done for one in run()}[held]


def test_without_locks_a_file_that_another_run_replaced_is_left_to_it(music, monkeypatch):
    path = put(music, "flac")
    monkeypatch.setattr(writing, "_held", lambda place: nullcontext())
    real, met = writing.write_copy, []

    def meeting(*args, **options):
        if not met:
            met.append(1)
            (other,), _ = apply([Wish(path, {"genre": ("Jazz",)})])
            assert other.done
        return real(*args, **options)

    monkeypatch.setattr(writing, "write_copy", meeting)
    (outcome,), _ = write(path)
    assert outcome.failed
    assert "another program" in outcome.reason
    assert read_fields(path)["genre"] == ("Jazz",)


def test_nothing_is_cleaned_up_but_what_a_run_noted(music):
    path = put(music, "flac")
    like = music / f".matt-{'0' * 32}.flac"
    like.write_bytes(b"a file of somebody's own")
    _, journal = write(path)
    undo(journal)
    assert like.read_bytes() == b"a file of somebody's own"
    note = journal.path.parent / ".copies"
    left = music / f".matt-{'1' * 32}.flac"
    for name in ("left", "own"):
        (music / name).write_bytes(b"x")
    left.write_bytes(b"a copy that was left")
    away = music / "away" / left.name
    names = [left, away, music / "own", like.name, "", music / f"{like.name}/.."]
    note.write_bytes(b"\0".join(os.fsencode(name) for name in names) + b"\0\xff\xfe\0")
    write(path)
    assert listed(music) == sorted(
        os.fsencode(name) for name in (path.name, like.name, "left", "own")
    )
    away.parent.mkdir()
    away.write_bytes(b"a copy on a disk that was away")
    undo(last_run())
    assert not away.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no modes")
@pytest.mark.parametrize("mode", [0o444, 0o555])
def test_what_is_read_only_stays_as_it_is(music, mode):
    path = put(music, "flac")
    before = digest_of(path)
    path.chmod(mode)
    (outcome,), _ = write(path)
    assert (outcome.failed, digest_of(path)) == (True, before)
    assert outcome.reason == f"it is read-only; chmod u+w {path} makes it writable"


def test_a_folder_that_cannot_be_written_is_told(music, monkeypatch):
    path = put(music, "flac")
    real = os.access
    monkeypatch.setattr(os, "access", lambda place, how: Path(place) != music and real(place, how))
    (outcome,), _ = write(path)
    assert outcome.reason.startswith(f"its folder is read-only; ls -ld {music} says")


@pytest.mark.skipif(sys.platform == "win32", reason="no file systems that are read-only")
def test_what_makes_a_read_only_file_writable_is_told(music, monkeypatch):
    path = put(music, "flac", "it's one")
    real = os.access
    monkeypatch.setattr(os, "access", lambda place, how: Path(place) != path and real(place, how))
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    (outcome,), _ = write(path)
    assert outcome.reason.startswith("it is read-only; ls -ld ")
    path.chmod(0o400)
    assert "chmod" not in write(path)[0][0].reason  # it is somebody else's
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid)
    (outcome,), _ = write(path)
    command = outcome.reason.removeprefix("it is read-only; ").removesuffix(" makes it writable")
    monkeypatch.undo()
    path.chmod(0o444)
    subprocess.run(command, shell=True, check=True)
    assert path.stat().st_mode & 0o200
    where = SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr(os, "access", lambda place, how: Path(place) != path and real(place, how))
    monkeypatch.setattr(os, "statvfs", lambda place: where)
    (outcome,), _ = write(path)
    assert "mount it for writing" in outcome.reason


def test_a_folder_of_journals_that_cannot_be_written_is_named_with_a_remedy(music, monkeypatch):
    path = put(music, "flac")
    journals = music.parent / "journals"
    real = os.access
    monkeypatch.setattr(os, "access", lambda at, how: Path(at) != journals and real(at, how))
    with pytest.raises(DataError, match=r"no journal can be written in .*MATT_JOURNALS"):
        write(path)


@pytest.mark.parametrize("what", ["file", "below a file"])
def test_a_folder_of_journals_that_is_none_is_named(music, tmp_path, what):
    path = put(music, "flac")
    place = tmp_path / "no folder"
    place.write_bytes(b"mine")
    journals = place if what == "file" else place / "journals"
    before = digest_of(path)
    with pytest.raises(DataError, match=r"no journal can be written in .*no folder.*MATT_JOURNALS"):
        apply([Wish(path, FOLK)], journals=journals)
    assert (digest_of(path), place.read_bytes()) == (before, b"mine")


@pytest.mark.skipif(sys.platform != "linux", reason="names of open files are asked of Linux")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("what", ["write", "undo", "sidecar"])
@pytest.mark.parametrize("name", [".copies", SUFFIX])
@pytest.mark.parametrize("n_done", [0, 1])
def test_a_disk_of_journals_that_fails_ends_the_run_and_is_named(
    music, monkeypatch, number, what, name, n_done
):
    paths = [put(music, "flac", "a"), put(music, "ogg", "b")]
    folder, real = music.parent / "journals", os.fsync
    if what == "undo":
        write(*paths)
    now, done = [digest_of(path) for path in paths], []
    n_journals = len(all_journals())

    def fsync(descriptor):
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        if place.startswith(f"{folder}/") and place.endswith(name) and len(done) == n_done:
            raise OSError(number, "of the disk")
        real(descriptor)

    def run():
        if what == "write":
            return apply([Wish(path, FOLK) for path in paths], told=done.append)
        if what == "undo":
            return undo(last_run(), told=done.append)
        places = [music / SIDECAR, music.parent / SIDECAR]
        return put_sidecars({place: lambda: b"{}" for place in places}, told=done.append)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DataError, match="journal") as error:
        run()
    told = str(error.value)
    assert str(folder) in told
    assert not any(str(path) in told for path in paths)
    assert "command" not in told, "it is shown in a page, too"
    assert ("is full" in told) == (number != errno.EIO)
    assert error.value.__notes__[0].startswith("1 file was" if n_done else "0 files were")
    assert len(all_journals()) == n_journals + (n_done and what != "undo"), "none without a file"
    if what == "write":
        assert [digest_of(path) == old for path, old in zip(paths, now, strict=True)] == [
            not n_done, True
        ]  # fmt: skip
    monkeypatch.setattr(os, "fsync", real)
    assert not [one for one in listed(music) if one.startswith(b".")]
    done.clear()
    run()
    while any(journal.n_left for journal in all_journals()):
        undo(last_run())
    assert what == "undo" or [digest_of(path) for path in paths] == now


def test_what_a_killed_run_has_left_goes_though_nothing_can_be_undone(music):
    path = put(music, "flac")
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom matt.tagging import writing\n"
        "real = writing.write_copy\n"
        "def write_copy(*args, **options):\n    real(*args, **options)\n    os._exit(9)\n"
        "writing.write_copy = write_copy\n"
        "writing.apply([writing.Wish(Path(sys.argv[1]), {'genre': ('Jazz',)})])\n"
    )
    assert subprocess.run([sys.executable, "-c", program, path]).returncode == 9
    assert len(listed(music)) == 2
    clean_up()
    assert listed(music) == [os.fsencode(path.name)]


def test_mode_times_and_attributes(music):
    path = put(music, "flac")
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18))
    attribute = hasattr(os, "setxattr")
    if attribute:
        try:
            os.setxattr(path, "user.rating", b"5")
        except OSError:
            attribute = False
    write(path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_mtime_ns > 10**18
    assert not attribute or os.getxattr(path, "user.rating") == b"5"
    write(path, new={"genre": ("Jazz",)}, keep_times=True)
    at = path.stat().st_mtime_ns
    write(path, new={"genre": ("Soul",)}, keep_times=True)
    assert path.stat().st_mtime_ns == at


def access(*entries):
    """An access list as Linux keeps it: of tags, permissions and ids."""
    return pack("<I", 2) + b"".join(pack("<HHI", *entry) for entry in entries)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no access lists there")
def test_what_a_folder_gives_to_new_files_is_not_given_to_old_ones(music):
    """A file moved into such a folder has no list of its own; a copy made in it gets one."""
    path, nobody = put(music, "flac"), 0xFFFFFFFF
    os.chmod(path, 0o640)
    owner, group, others = (1, 7, nobody), (4, 5, nobody), (0x20, 0, nobody)
    inherited = access(owner, (2, 6, 1234), group, (0x10, 7, nobody), others)
    try:
        os.setxattr(music, "system.posix_acl_default", inherited)
    except OSError:
        pytest.skip("this file system has no access lists")
    (music / "new").touch()
    assert "system.posix_acl_access" in os.listxattr(music / "new")
    (outcome,), _ = write(path)
    assert outcome.done, outcome
    assert "system.posix_acl_access" not in os.listxattr(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_cover_of_50_mb_makes_no_journal_of_50_mb(music):
    path = put(music, "mp3 2.4")
    tag = ID3(path)
    tag.add(APIC(encoding=0, mime="image/png", type=4, desc="large", data=os.urandom(50_000_000)))
    tag.save(path)
    before = digest_of(path)
    (outcome,), journal = write(path)
    assert outcome.done, outcome
    assert journal.n_bytes < 100_000
    undo(journal)
    assert digest_of(path) == before


@contextmanager
def other_process(work):
    """Another process that does something, and ends when this does."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom matt.files import lock\n"
        "from matt.tagging.journal import journals_folder\n"
        f"{work}\nprint('done', flush=True)\nsys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "done\n"
        try:
            yield
        finally:
            other.communicate("\n")


def test_two_runs_at_once(music):
    path = put(music, "flac")
    before = digest_of(path)
    with (
        other_process("lock(journals_folder())"),
        pytest.raises(DataError, match="being written by another process"),
    ):
        write(path)
    assert digest_of(path) == before
    (outcome,), _ = write(path)
    assert outcome.done


# ---- sidecars ----


def test_sidecars_come_back_or_go_again(music):
    place = music / SIDECAR
    (outcome,), first = put_sidecars({place: lambda: b"one"})
    assert outcome.done
    at = place.stat().st_mtime_ns
    (again,), nothing = put_sidecars({place: lambda: b"one"})
    assert (again.done, again.failed, nothing) == (False, False, None)
    _, second = put_sidecars({place: lambda: b"another"})
    (early,) = undo(first)
    assert early.failed
    assert "later run first" in early.reason
    assert place.read_bytes() == b"another"
    assert [one.done for one in undo(second)] == [True]
    assert (place.read_bytes(), place.stat().st_mtime_ns) == (b"one", at)
    assert [one.done for one in undo(first)] == [True]
    assert listed(music) == []
    assert undo(first) == []


def test_a_sidecar_that_changed_since_stays(music):
    place = music / SIDECAR
    _, journal = put_sidecars({place: lambda: b"one"})
    place.write_bytes(b"mine")
    (outcome,) = undo(journal)
    assert (outcome.path, outcome.failed) == (place, True)
    assert "changed since" in outcome.reason
    assert place.read_bytes() == b"mine"
    place.unlink()
    (outcome,) = undo(journal)
    assert (outcome.done, outcome.failed) == (False, False)


def test_sidecars_are_written_into_no_link_and_not_out_of_the_library(music, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    (music / SIDECAR).symlink_to(elsewhere)
    (music / "out").symlink_to(tmp_path)
    outcomes, journal = put_sidecars(
        {music / SIDECAR: lambda: b"x", music / "out" / SIDECAR: lambda: b"x"}, library=music
    )
    assert all(one.failed for one in outcomes)
    assert journal is None
    assert elsewhere.read_bytes() == b"mine"
    assert not (tmp_path / SIDECAR).exists()


def test_nothing_but_a_sidecar_is_taken_away(music):
    path = put(music, "flac")
    _, journal = write(path)
    line = journal.records()[0].line()
    other = Journal.create("test")
    size = path.stat().st_size
    other._append({**line, "before": None, "sizes": [0, size, 0, 0], "pieces": []})
    assert not any(one.done for one in undo(other))
    assert path.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_of_the_name_of_a_sidecar_is_left_alone(music):
    os.mkfifo(music / SIDECAR)
    (outcome,), journal = put_sidecars({music / SIDECAR: lambda: pytest.fail("it is read")})
    assert (outcome.failed, outcome.reason, journal) == (True, "it is no regular file", None)


def test_a_sidecar_that_came_about_meanwhile_stays(music):
    place = music / SIDECAR

    def content():
        place.write_bytes(b"mine")
        return b"x"

    (outcome,), _ = put_sidecars({place: content})
    assert outcome.failed
    assert listed(music) == [os.fsencode(SIDECAR)]
    assert place.read_bytes() == b"mine"


@linux
@forks
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("what", ["put", "undo"])
def test_sidecars_of_a_run_that_ends_at_any_line_are_the_old_or_the_new(music, there, what):
    place = music / SIDECAR
    put_back = (lambda: place.write_bytes(b"old")) if there else place.unlink
    if there:
        put_back()
    before, k, reached = there and b"old", 1, True

    def now():
        return place.exists() and place.read_bytes()

    while reached:
        if what == "undo":
            put_sidecars({place: lambda: b"new"})
        child = os.fork()
        if child == 0:
            killed_at(
                k,
                lambda: (
                    put_sidecars({place: lambda: b"new"}) if what == "put" else undo(last_run())
                ),
            )
        _, status = os.waitpid(child, 0)
        reached = os.WIFSIGNALED(status)
        assert now() in (before, b"new"), k
        put_sidecars({place: lambda: b"new"})
        while any(journal.open_records() for journal in all_journals()):
            undo(last_run())
        assert (now(), len(listed(music))) == (before, there), k
        for journal in all_journals():
            journal.path.unlink()
        k += 1
    assert k > 40


# ---- journals ----


def test_a_journal_that_is_cut_off_anywhere_gives_back_what_is_whole(music):
    paths = [put(music, "flac", f"{n}") for n in range(2)]
    before = [digest_of(path) for path in paths]
    _, journal = write(*paths)
    content, after = journal.path.read_bytes(), [digest_of(path) for path in paths]
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10]
    for at in sorted(
        {0, 1, *(n + d for n in ends for d in (-1, 0, 1)), *range(ends[1], ends[2], 97)}
    ):
        journal.path.write_bytes(content[:at])
        whole = sum(end - 1 <= at for end in ends) - 1  # one that lacks its end alone is
        cut = Journal(journal.path)
        assert cut.damaged == []
        assert len(cut.records()) == max(whole, 0)
        undo(cut)
        assert [digest_of(path) for path in paths] == [
            *before[: max(whole, 0)], *after[max(whole, 0) :]
        ]  # fmt: skip
        journal.path.unlink()
        write(*paths)
        for each in all_journals():
            each.path.unlink()


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 5_000), bit=st.integers(0, 7))
def test_a_damaged_line_costs_itself_alone(music, at, bit):
    paths = [put(music, "flac", f"{n}") for n in range(3)]
    before = {path: digest_of(path) for path in paths}
    _, journal = write(*paths)
    content = bytearray(journal.path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    journal.path.write_bytes(content)
    n_left = Journal(journal.path).n_left
    outcomes = undo(Journal(journal.path))
    assert len(outcomes) == n_left
    n_lost = sum(digest_of(path) != before[path] for path in paths)
    assert n_lost <= 2  # where the sign between two lines is hit, both are one
    assert bool(n_lost) <= any(one.failed for one in outcomes), "no loss in silence"
    assert [one.path for one in outcomes if one.failed] == [journal.path] * len(journal.damaged)
    journal.path.unlink()


def test_lines_that_make_no_sense_do_nothing(music):
    path = put(music, "flac")
    _, journal = write(path)
    line = journal.records()[0].line()
    for change in (
        {"path": "relative"}, {"path": "/a\0b"}, {"sizes": [1, 2]}, {"sizes": [-1, 2, 3, 4]},
        {"pieces": ["!"]}, {"before": "zz"}, {"old": {"title": ["x"]}}, {"mtime_ns": True},
        {"path": None}, {"new": 5},
    ):  # fmt: skip
        other = Journal.create("test")
        other._append({**line, **change})
        assert other.records() == []
        assert [(one.done, one.failed, one.path) for one in undo(other)] == [
            (False, True, other.path)
        ]
        other.path.unlink()
    other = Journal.create("test")
    other._append({**line, "sizes": [10**17, *line["sizes"][1:]]})
    assert all(one.failed for one in undo(other))
    other = Journal.create("test")
    other._append(line)
    for said in ([str(path)], {}, None, 5):
        other._append({"kind": "undone", "path": said, "after": said})
    assert [one.done for one in undo(other)] == [True]


def test_old_journals_are_forgotten_when_asked(music):
    _, journal = write(put(music, "flac"))
    assert prune(before=journal.when) == []
    assert [one.name for one in prune(before=journal.when + 1)] == [journal.name]
    assert all_journals() == []


TEXTS = st.text(max_size=9)
WHOLE = st.integers(-(1 << 63), (1 << 63) - 1)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text("a/é☂\udcff\n\0", max_size=9),
    mtime_ns=WHOLE | st.just(1 << 63),
    old=st.dictionaries(st.sampled_from([*FIELDS, "title"]), st.lists(TEXTS).map(tuple)),
    piece=st.binary(max_size=30),
)
def test_what_is_noted_can_be_read_again_and_nothing_else_is_noted(
    tmp_path, name, mtime_ns, old, piece
):
    digest = sha256(piece).hexdigest()
    delta = Delta(0, 0, 1, 5, (piece,))
    record = Record(f"/{name}", digest, digest, mtime_ns, delta, old, {}, "/")
    journal = Journal.create("test", tmp_path)
    try:
        journal.add(record)
    except DataError:
        assert not journal.path.exists()
        assert "\0" in name or mtime_ns >= 1 << 63 or "title" in old
    else:
        assert Journal(journal.path).records() == [record]
        journal.forget()


@pytest.mark.parametrize("at", [-(10**18), -1, 0, 1])
def test_a_file_of_any_time_comes_back_with_it(music, at):
    path = put(music, "flac")
    os.utime(path, ns=(at, at))
    at, before = path.stat().st_mtime_ns, digest_of(path)
    write(path, keep_times=True)
    assert [one.done for one in undo(last_run())] == [True]
    assert (digest_of(path), path.stat().st_mtime_ns) == (before, at)


def test_a_file_whose_undoing_no_journal_holds_is_not_written(music, monkeypatch):
    large, small = put(music, "mp3 2.4", "large"), put(music, "flac", "small")
    tag = ID3(large)
    tag.add(APIC(encoding=0, mime="image/png", type=4, desc="x", data=os.urandom(50_000)))
    tag.save(large, v1=2)
    before = digest_of(large)
    real = writing.write_copy

    def write_copy(path, copy, new, **options):
        stored = real(path, copy, new, **options)
        monkeypatch.setattr(journal_module, "_MOST_LINE", 200 if path == large else 1 << 28)
        return stored

    monkeypatch.setattr(writing, "write_copy", write_copy)
    outcomes, journal = write(large, small)
    assert [one.done for one in outcomes] == [False, True]
    assert "more than a journal holds" in outcomes[0].reason
    assert digest_of(large) == before
    assert [record.path for record in journal.records()] == [str(small)]
    assert len(listed(music)) == 2


def test_a_run_that_notes_nothing_leaves_no_journal(music, monkeypatch):
    monkeypatch.setattr(journal_module, "_MOST_LINE", 200)
    outcomes, journal = write(put(music, "flac"), put(music, "ogg"))
    assert [one.failed for one in outcomes] == [True, True]
    assert journal is None
    assert all_journals() == []


def test_what_is_no_journal_is_neither_undone_nor_forgotten(music):
    path = put(music, "flac")
    _, journal = write(path)
    folder = journal.path.parent
    others = [folder / "plan.jsonl", folder / "empty.jsonl", music / "plan.jsonl"]
    for other in others:
        other.write_text('{"schema": "matt.plan/1", "library": "/"}\n' * (other.stem == "plan"))
    for name in (
        "plan", "plan.jsonl", "empty", "nothing", "", ".", "../music/plan", str(others[2]),
        str(others[2].with_suffix("")), str(journal.path),
    ):  # fmt: skip
        with pytest.raises(DataError, match=r"there is no run .*'matt undo --list'"):
            Journal.open(name)
    renamed = journal.path.rename(folder / "before Christmas.jsonl")
    assert [one.path for one in all_journals()] == [renamed]
    assert Journal.open("before Christmas").records() == journal_records(renamed)
    prune(before=journal_when(renamed) + 1)
    assert not renamed.exists()
    assert all(other.exists() for other in others)


def journal_records(path):
    return Journal(path).records()


def journal_when(path):
    return Journal(path).when


@pytest.mark.parametrize("what", ["prune", "forget"])
def test_nothing_is_forgotten_while_another_process_writes(music, what):
    _, journal = write(put(music, "flac"))
    with (
        other_process("lock(journals_folder())"),
        pytest.raises(DataError, match="being written by another process"),
    ):
        prune(before=journal.when + 1) if what == "prune" else journal.forget()
    assert journal.path.exists()
    prune(before=journal.when + 1) if what == "prune" else journal.forget()
    assert not journal.path.exists()


# ---- which run is the last ----


def test_a_run_whose_files_are_gone_or_changed_does_not_stand_in_the_way(music):
    paths = [put(music, "flac", f"{n}") for n in range(4)]
    before = [digest_of(path) for path in paths]
    journals = [write(path)[1] for path in paths]
    for journal, hour in zip(journals, range(4), strict=True):
        again(journal, when=3600.0 * hour)
    paths[3].unlink()
    paths[2].write_bytes(b"something else")
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size
    last, passed = Journal.last()
    assert last.name == journals[0].name
    assert [one.name for one in passed] == [one.name for one in journals[:0:-1]]
    assert [one.done for one in undo(last)] == [True]
    assert digest_of(paths[0]) == before[0]
    with pytest.raises(DataError, match=r"nothing to undo: what is left of .*--prune"):
        Journal.last()
    paths[1].write_bytes(content)
    assert Journal.last()[0].name == journals[1].name


def again(journal, **changed):
    """Have a journal begun at another time."""
    lines = [line for _, line in journal._lines()]
    journal.path.unlink()
    other = Journal(journal.path, {**lines[0], **changed})
    for line in lines[1:]:
        other._append(line)


def test_what_keeps_a_file_from_being_read_does_not_make_it_lost(music, monkeypatch):
    path = put(music, "flac")
    _, journal = write(path)
    (record,) = journal.records()

    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(journal_module, "digest_of", denied)
    assert record.stands
    path.unlink()
    assert not record.stands
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert not record.stands


def test_a_damaged_journal_is_named_where_nothing_is_left_of_it(music):
    path = put(music, "flac")
    _, journal = write(path)
    content = journal.path.read_bytes()
    journal.path.write_bytes(content.replace(b'"written"', b'"wrItten"'))
    with pytest.raises(DataError, match=rf"nothing to undo: .*{journal.name}.*damaged"):
        Journal.last()
    journal.path.write_bytes(content.replace(b"\n", b"\r\n"))  # as some editors do
    assert [one.done for one in undo(last_run())] == [True]


@pytest.mark.parametrize("there", [True, False])
def test_a_library_that_is_away_is_told(music, tmp_path, there):
    path = put(music, "flac")
    apply([Wish(path, FOLK, library=music)])
    journal = last_run()
    path.unlink() if there else music.rename(tmp_path / "away")
    (outcome,) = undo(journal)
    assert outcome.failed
    assert outcome.reason.startswith("it is gone" if there else f"its library {music} is not there")
    if not there:
        (tmp_path / "away").rename(music)
        assert [one.done for one in undo(journal)] == [True]
