"""Unpacking: archives are not trusted, and whatever interrupts leaves whole files."""

import errno
import io
import stat
import struct
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from matt import DataError
from matt.datasets.fma import fetching as module
from matt.datasets.fma.fetching import unpack

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
