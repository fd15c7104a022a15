"""Fetching from a real server and unpacking what nobody vouches for, with what goes wrong."""

import errno
import hashlib
import io
import json
import os
import stat
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fma_server import serving

from matt import DataError
from matt.datasets import fma
from matt.datasets.fma import fetching
from matt.datasets.fma import fetching as download_module
from matt.datasets.fma import fetching as module
from matt.datasets.fma.fetching import download, part_of, unpack

NOISE = np.random.default_rng(0).bytes(300_000)
NAMES = ["README.txt", "checksums", "000/000002.mp3", "001/001486.mp3"]


def archive(folder="fma_small", method=zipfile.ZIP_BZIP2):
    """An archive as FMA packs them."""
    out = io.BytesIO()
    bodies = {"000/000002.mp3": NOISE[:70_000], "001/001486.mp3": NOISE[70_000:71_752]}
    sums = "".join(f"{hashlib.sha1(b).hexdigest()}  {name}\n" for name, b in bodies.items())
    bodies = {"README.txt": b"part of the FMA", "checksums": sums.encode(), **bodies}
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, body in bodies.items():
            info = zipfile.ZipInfo(f"{folder}/{name}", (2017, 4, 1, 0, 0, 0))
            info.external_attr = 0o444 << 16 | 0o2 << 30
            packed.writestr(info, body, method)
    return out.getvalue()


ARCHIVE = archive()
SHA1 = hashlib.sha1(ARCHIVE).hexdigest()


@pytest.fixture
def server():
    with serving({"fma_small.zip": ARCHIVE, "noise.bin": NOISE}) as (state, address):
        yield SimpleNamespace(state=state, address=address)


@pytest.fixture
def fetch(server, tmp_path):
    def fetch(**options):
        given = {"url": server.address, "sha1": SHA1, "wait": 0.0, "tries": 2, **options}
        return fma.fetch("small", tmp_path / "fma", **given)

    return fetch


def test_an_archive_is_downloaded_checked_and_unpacked(fetch, tmp_path):
    steps = []
    done = fetch(progress=lambda step, done, total: steps.append((step, done, total)))
    assert done.downloaded
    assert done.archive.read_bytes() == ARCHIVE
    assert done.unpacked.written == len(NAMES)
    assert (done.folder / "000/000002.mp3").read_bytes() == NOISE[:70_000]
    assert list(dict.fromkeys(step for step, _, _ in steps)) == ["downloading", "checking", "unpacking"]  # fmt: skip
    for name in ("downloading", "checking", "unpacking"):
        *_, last = (entry for entry in steps if entry[0] == name)
        assert last[1] == last[2] > 0
    assert not list((tmp_path / "fma").glob("*.part*"))


def test_the_published_sums_are_those_of_the_archives():
    """Of FMA's README; in alphabetical order of the names."""
    assert {name: a.sha1[:8] for name, a in fma.ARCHIVES.items()} == {
        "metadata": "f0df49ff",
        "small": "ade154f7",
        "medium": "c67b69ea",
        "large": "497109f4",
        "full": "0f0ace23",
    }
    assert {len(a.sha1) for a in fma.ARCHIVES.values()} == {40}


def test_a_second_fetch_asks_the_server_nothing(fetch, server):
    fetch()
    asked = len(server.state.requests)
    done = fetch()
    assert not done.downloaded
    assert (done.unpacked.written, done.unpacked.skipped) == (0, len(NAMES))
    assert len(server.state.requests) == asked


def test_an_archive_that_was_deleted_after_unpacking_is_not_fetched_again(fetch, server):
    assert fetch(keep=False).archive is None
    asked = len(server.state.requests)
    assert not fetch(keep=False).downloaded
    assert len(server.state.requests) == asked


def test_without_unpacking_only_the_archive_is_there(fetch, tmp_path):
    done = fetch(unpacking=False)
    assert done.folder is None
    assert [path.name for path in (tmp_path / "fma").iterdir()] == ["fma_small.zip"]


def test_a_cut_connection_is_taken_up_where_it_was_cut(fetch, server):
    server.state.cuts = [20_000]
    assert fetch().archive.read_bytes() == ARCHIVE
    assert server.state.requests == [("/fma_small.zip", None), ("/fma_small.zip", "bytes=20000-")]
    assert server.state.sent == len(ARCHIVE)  # no byte twice


def test_a_server_that_cuts_again_and_again_is_given_up_and_the_next_call_goes_on(fetch, server):
    server.state.cuts = [20_000, 10_000]
    with pytest.raises(DataError, match=r"cut after 30,000 of .* 2 times in a row.*Run the same"):
        fetch()
    assert fetch().archive.read_bytes() == ARCHIVE
    assert server.state.requests[-1][1] == "bytes=30000-"


def test_a_server_without_ranges_sends_all_again(fetch, server):
    server.state.cuts, server.state.ranges = [20_000], False
    assert fetch().archive.read_bytes() == ARCHIVE
    assert server.state.sent == 20_000 + len(ARCHIVE)


@pytest.mark.parametrize("tags", [True, False], ids=["ETag", "size"])
def test_a_file_that_changed_on_the_server_is_not_stuck_together(server, tmp_path, tags):
    server.state.tags, server.state.cuts = tags, [100_000]
    with pytest.raises(DataError, match="cut after"):
        download(f"{server.address}/noise.bin", tmp_path / "n", tries=1)
    server.state.files["noise.bin"] = other = NOISE[::-1] + b"more"
    assert download(f"{server.address}/noise.bin", tmp_path / "n", wait=0).read_bytes() == other


def test_a_part_as_large_as_the_file_is_complete(server, tmp_path):
    """The last byte was written, and then the power failed."""
    path = tmp_path / "n"
    download(f"{server.address}/noise.bin", path)
    assert download(f"{server.address}/noise.bin", path).read_bytes() == NOISE
    assert server.state.requests[-1][1] == f"bytes={len(NOISE)}-"


def test_a_part_larger_than_the_file_is_thrown_away(server, tmp_path):
    path = tmp_path / "n"
    download(f"{server.address}/noise.bin", path)
    with part_of(path).open("ab") as file:
        file.write(b"x")
    assert download(f"{server.address}/noise.bin", path, wait=0).read_bytes() == NOISE


def test_a_part_of_nobody_knows_what_is_not_continued(server, tmp_path):
    part_of(tmp_path / "n").write_bytes(b"from elsewhere")
    assert download(f"{server.address}/noise.bin", tmp_path / "n").read_bytes() == NOISE
    assert server.state.requests == [("/noise.bin", None)]


def test_a_mirror_goes_on_with_the_part_of_another_server(server, tmp_path):
    server.state.cuts = [100_000]
    with pytest.raises(DataError, match="cut"):
        download(f"{server.address}/noise.bin", tmp_path / "n", tries=1)
    with serving({"noise.bin": NOISE}) as (mirror, address):
        mirror.tag = lambda content: '"another"'
        assert download(f"{address}/noise.bin", tmp_path / "n").read_bytes() == NOISE
        assert mirror.sent == len(NOISE) - 100_000


def test_without_a_length_the_end_of_the_connection_is_the_end(server, tmp_path):
    server.state.sizes = False
    assert download(f"{server.address}/noise.bin", tmp_path / "n").read_bytes() == NOISE


def test_a_busy_server_is_asked_again(fetch, server):
    server.state.status = [503]
    assert fetch().downloaded


def test_waits_grow(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(download_module.time, "sleep", waits.append)
    server.state.status = [503, 429, 500]
    download(f"{server.address}/noise.bin", tmp_path / "n", wait=2.0)
    assert waits == [2.0, 4.0, 8.0]


def test_a_file_that_is_not_there_is_not_asked_for_again(fetch, server):
    with pytest.raises(DataError, match=r"answers 404 .*name a mirror with --url"):
        fetch(url=f"{server.address}/elsewhere")
    assert len(server.state.requests) == 1


def test_nobody_listening_is_an_error_with_a_remedy(tmp_path):
    with serving({}) as (_, address):
        pass
    with pytest.raises(DataError, match=r"2 times in a row; 0 bytes are kept"):
        download(f"{address}/x", tmp_path / "x", wait=0, tries=2)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b.zip", "fma.zip"])
def test_only_the_web_is_asked(fetch, url):
    with pytest.raises(DataError, match="no web address"):
        fetch(url=url)


def test_a_wrong_sum_names_both_and_throws_the_download_away(fetch, tmp_path):
    wrong = "0" * 40
    with pytest.raises(DataError, match=f"SHA-1 sum {SHA1}, expected {wrong}.*thrown away"):
        fetch(sha1=wrong)
    assert not list((tmp_path / "fma").iterdir())


def test_a_wrong_archive_that_lies_there_is_left_to_its_owner(fetch, tmp_path):
    (tmp_path / "fma").mkdir()
    there = tmp_path / "fma" / "fma_small.zip"
    there.write_bytes(b"something else")
    with pytest.raises(DataError, match=rf"expected {SHA1}; move .*fma_small.zip"):
        fetch()
    assert there.read_bytes() == b"something else"


def test_too_small_a_disk_is_told_before_a_byte_is_written(fetch, server, tmp_path, monkeypatch):
    free = SimpleNamespace(free=len(ARCHIVE) + fetching.MARGIN + 1000)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: free)
    with pytest.raises(DataError, match=r"and what it unpacks to need about .* make room"):
        fetch()
    assert not list((tmp_path / "fma").iterdir())
    assert fetch(unpacking=False).downloaded  # the archive alone has room


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_stops_with_a_remedy(server, tmp_path):
    """/dev/full answers every write as a full disk does."""
    part = part_of(tmp_path / "n")
    part.symlink_to("/dev/full")
    real = part.with_name("n.part.json")

    def full(missing):
        part.unlink(missing_ok=True)
        part.symlink_to("/dev/full")

    with pytest.raises(DataError, match=r"disk is full \(0 bytes are kept\); free some space"):
        download(f"{server.address}/noise.bin", tmp_path / "n", room=full)
    assert json.loads(real.read_text())["total"] == len(NOISE)


LIMIT = """
import resource, signal, sys
from pathlib import Path
from matt import DataError
from matt.datasets.fma.fetching import download
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    download(sys.argv[1], Path(sys.argv[2]))
except DataError as error:
    print(error)
"""


def test_a_file_system_with_small_files_keeps_what_fits(server, tmp_path):
    """As FAT does with files above 4 GiB."""
    resource = pytest.importorskip("resource")
    assert resource.RLIMIT_FSIZE >= 0
    import subprocess
    import sys

    url = f"{server.address}/noise.bin"
    path = Path(fma.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", LIMIT, url, str(tmp_path / "n")],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(path)},
    )  # fmt: skip
    assert "files of that size are not possible there" in done.stdout
    assert part_of(tmp_path / "n").stat().st_size == 100_000
    assert download(url, tmp_path / "n").read_bytes() == NOISE
    assert server.state.requests[-1][1] == "bytes=100000-"


def test_a_folder_that_cannot_be_written_is_not_tried_again(fetch, server, tmp_path):
    (tmp_path / "fma").write_text("a file")
    with pytest.raises(DataError, match=r"fma: it cannot be written: .*check the disk"):
        fetch()
    (tmp_path / "fma").unlink()
    (tmp_path / "fma" / "fma_small.zip.part").mkdir(parents=True)
    with pytest.raises(DataError, match=r"fma_small.zip.part: it cannot be written"):
        fetch()
    assert len(server.state.requests) == 1


def test_an_unknown_archive_gets_a_guess(tmp_path):
    with pytest.raises(DataError, match="did you mean 'medium'"):
        fma.fetch("mediun", tmp_path)


def test_an_interrupted_download_goes_on(server, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.address}/noise.bin", tmp_path / "n", progress=interrupt)
    have = part_of(tmp_path / "n").stat().st_size
    assert 0 < have <= len(NOISE)
    assert download(f"{server.address}/noise.bin", tmp_path / "n").read_bytes() == NOISE
    assert server.state.requests[-1][1] == f"bytes={have}-"


# Verification


def test_verify_gives_every_file_a_verdict(fetch):
    done = fetch()
    (done.folder / "000/000002.mp3").write_bytes(b"rotten")
    (done.folder / "001/001486.mp3").unlink()
    calls = []
    verdicts = fma.verify(done.folder.parent, progress=lambda d, t: calls.append((d, t)))
    told = {v.path.relative_to(done.folder.parent).as_posix(): v.verdict for v in verdicts}
    assert told == {
        "fma_small.zip": "differs",  # it is not FMA's
        "fma_small/000/000002.mp3": "differs",
        "fma_small/001/001486.mp3": "missing",
    }
    assert calls[-1] == (3, 3)
    rotten = hashlib.sha1(b"rotten").hexdigest()
    assert (
        f"SHA-1 {rotten}, expected {hashlib.sha1(NOISE[:70_000]).hexdigest()}" in verdicts[1].reason
    )


def test_verify_takes_one_folder_too(fetch):
    assert {v.verdict for v in fma.verify(fetch().folder)} == {"ok"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not a sum", r"line 2: 'not a sum' is no SHA-1 sum"),
        (f"{'a' * 40}  ../../etc/passwd", r"line 2: .* leads out of the folder"),
        (f"{'a' * 40}  /etc/passwd", r"line 2: .* leads out of the folder"),
    ],
)
def test_a_list_of_sums_is_not_trusted(tmp_path, line, message):
    (tmp_path / "checksums").write_text(f"{'0' * 40}  a.mp3\n{line}\n")
    with pytest.raises(DataError, match=message):
        fma.verify(tmp_path)


def test_verify_without_anything_to_verify(tmp_path):
    with pytest.raises(DataError, match="holds neither FMA's archives nor"):
        fma.verify(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        fma.verify(tmp_path / "x")


def test_equal_files_are_found_in_the_sums(tmp_path):
    sums = {"000/000002.mp3": "a", "001/001486.mp3": "b", "000/000003.mp3": "a", "README.txt": "b"}
    lines = [f"{s * 40}  {name}\n" for name, s in sums.items()]
    (tmp_path / "checksums").write_text("".join(lines))
    assert fma.exact_duplicates(tmp_path) == ((2, 3),)
    for name in ("fma_small", "fma_medium"):  # each clip is in both
        (tmp_path / "fma" / name).mkdir(parents=True)
        (tmp_path / "fma" / name / "checksums").write_text("".join(lines))
    assert fma.exact_duplicates(tmp_path / "fma") == ((2, 3),)
    with pytest.raises(DataError, match="no list 'checksums'"):
        fma.exact_duplicates(tmp_path / "elsewhere")


BODIES = {
    "a/one.csv": b"x,y\n" * 999,
    "a/b/two.mp3": np.random.default_rng(1).bytes(5000),
    "a/empty.mp3": b"",
}


def pack(path, bodies=BODIES, method=zipfile.ZIP_BZIP2, attributes=0o444 << 16):
    with zipfile.ZipFile(path, "w") as packed:
        for name, body in bodies.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            info.external_attr = attributes
            packed.writestr(info, body, method)
    return path


def listing(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}  # fmt: skip


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_all_methods_of_python_are_unpacked(tmp_path, method):
    calls = []
    path = pack(tmp_path / "a.zip", method=method)
    done = unpack(path, tmp_path / "out", progress=lambda d, t: calls.append((d, t)))
    assert listing(tmp_path / "out") == BODIES
    total = sum(map(len, BODIES.values()))
    assert (done.written, done.skipped, done.n_bytes) == (3, 0, total)
    assert calls[-1] == (total, total)


def test_what_is_there_already_is_left_alone_and_what_is_wrong_is_written_again(tmp_path):
    path = pack(tmp_path / "a.zip")
    out = tmp_path / "out"
    unpack(path, out)
    (out / "a/one.csv").write_bytes(b"x,z\n" * 999)  # the right size
    (out / "a/b/two.mp3").write_bytes(b"short")
    kept = (out / "a/empty.mp3").stat().st_mtime_ns
    done = unpack(path, out)
    assert (done.written, done.skipped) == (2, 1)
    assert listing(out) == BODIES
    assert (out / "a/empty.mp3").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "C:/evil", "a\\..\\evil", "..", "a/b:stream"]
)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_written(tmp_path, name):
    path = pack(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack(path, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = pack(tmp_path / "a.zip", {"link": b"/etc/passwd"}, attributes=(kind | 0o777) << 16)
    with pytest.raises(DataError, match="link or a device"):
        unpack(path, tmp_path / "out")


def test_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("a", b"2")
    with pytest.raises(DataError, match="holds a more than once"):
        unpack(path, tmp_path / "out")


def patched(path, **fields):
    """The archive with other values in its directory: method or size."""
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    for name, value in fields.items():
        offset, kind = {"flags": (8, "<H"), "method": (10, "<H"), "size": (24, "<I")}[name]
        struct.pack_into(kind, content, at + offset, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("stated", [100, 9000], ids=["more than stated", "less than stated"])
def test_what_unpacks_to_another_size_than_stated_is_refused_and_not_left(tmp_path, stated):
    path = patched(pack(tmp_path / "a.zip", {"a": b"0" * 5000}), size=stated)
    with pytest.raises(DataError, match="damaged"):
        unpack(path, tmp_path / "out")
    assert listing(tmp_path / "out") == {}


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    path = patched(pack(tmp_path / "a.zip", {"a": b"0" * 5000}), size=2**31)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(DataError, match=r"unpacks to 2,147,483,648 more bytes, and .* has 1,073"):
        unpack(path, tmp_path / "out")
    assert listing(tmp_path / "out") == {}


@pytest.mark.parametrize(("method", "name"), [(9, "deflate64"), (98, "ppmd"), (77, r"\?")])
def test_a_method_that_python_lacks_is_named(tmp_path, method, name):
    path = patched(pack(tmp_path / "a.zip", {"a": b"0"}), method=method)
    with pytest.raises(DataError, match=rf"method {method} \({name}\).*7-Zip"):
        unpack(path, tmp_path / "out")


def test_encryption_is_named(tmp_path):
    with pytest.raises(DataError, match="is encrypted"):
        unpack(patched(pack(tmp_path / "a.zip", {"a": b"0"}), flags=1), tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])  # fmt: skip
def test_damage_is_found_and_the_damaged_file_is_not_left(tmp_path, method):
    body = np.random.default_rng(2).bytes(9000)
    path = pack(tmp_path / "a.zip", {"a": b"good", "b": body}, method)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = b"\0" * 50
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or cut off.*fetch it again"):
        unpack(path, tmp_path / "out")
    assert listing(tmp_path / "out") == {"a": b"good"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", None])
def test_what_is_no_archive(tmp_path, content):
    path = tmp_path / "a.zip"
    if content is None:
        content = pack(path).read_bytes()[:-100]
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or cut off"):
        unpack(path, tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        unpack(tmp_path / "nowhere.zip", tmp_path / "out")


class Disk(io.FileIO):
    """A file on a disk with room for so many more bytes."""

    room = 0

    def write(self, data):
        if not Disk.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = super().write(bytes(data)[: Disk.room])
        Disk.room -= n
        return n


def test_a_full_disk_stops_leaves_whole_files_and_the_next_call_goes_on(tmp_path, monkeypatch):
    path, out = pack(tmp_path / "a.zip"), tmp_path / "out"
    opened = type(path).open
    monkeypatch.setattr(
        type(path),
        "open",
        lambda self, mode="r", *a, **k: (
            Disk(self, "w") if mode == "wb" else opened(self, mode, *a, **k)
        ),
    )
    Disk.room = len(BODIES["a/one.csv"]) + 100  # the second file does not fit
    with pytest.raises(DataError, match=r"the disk is full .*free some space"):
        unpack(path, out)
    assert listing(out) == {"a/one.csv": BODIES["a/one.csv"]}
    Disk.room = 10**6
    assert unpack(path, out).skipped == 1
    assert listing(out) == BODIES


def test_an_interrupted_file_is_not_left(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_all", interrupt)
        with pytest.raises(KeyboardInterrupt):
            unpack(pack(tmp_path / "a.zip"), tmp_path / "out")
    assert listing(tmp_path / "out") == {}


def test_what_a_killed_process_left_is_written_over(tmp_path):
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / ".one.csv.part").write_bytes(b"half")
    unpack(pack(tmp_path / "a.zip"), out)
    assert listing(out) == BODIES


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        unpack(pack(tmp_path / "a.zip"), tmp_path / "out")
