"""What commands print where: streams that are narrow, closed or full, errors, interrupts."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import typer

from matt.cli import app as app_module
from matt.cli import doctor
from matt.cli.console import Output, outcome
from matt.errors import DataError
from matt.evaluation.tables import Column, Table

HOSTILE = "[red]a[/red] :cat: \x1b[31mb\x9bc\nd \u202ee"
SHOWN = "[red]a[/red] :cat: \ufffd[31mb\ufffdc d e"
LONG = "/music/" + "/".join(f"folder {i}" for i in range(40))


def matt(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-m", "matt", *map(str, arguments)],
        stdout=stdout,
        stderr=stderr,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """One sound file, one damaged, and names that a terminal or ASCII cannot take."""
    root = tmp_path_factory.mktemp("music")
    noise = np.random.default_rng(0).normal(0, 0.1, 22_050)
    soundfile.write(root / "Björk · 東京.wav", noise, 22_050)
    (root / "esc\x1b[31m broken.mp3").write_bytes(b"no audio at all")
    (root / "[red]broken[bold] :cat:.mp3").write_bytes(b"no audio at all")
    return root


@pytest.mark.parametrize("tell", [Output.note, Output.warn, Output.say])
def test_a_line_is_one_line_without_codes_and_of_any_length(tell, capsys):
    tell(Output(), f"{HOSTILE} {LONG}")
    out, err = capsys.readouterr()
    assert (out + err).removeprefix("warning: ") == f"{SHOWN} {LONG}\n"
    assert bool(out) == (tell is Output.say)


def test_quiet_and_json_silence_what_they_should(capsys):
    Output(quiet=True).note("x")
    Output(quiet=True).warn("x")
    Output(json=True).say("x")
    Output(json=True).tables([Table("x", (Column("x"),), (("x",),))])
    Output().document({"x": 1})
    assert capsys.readouterr() == ("", "")


def test_a_table_that_nobody_watches_is_as_wide_as_its_names(capsys):
    columns = Column("genre"), Column("album")
    row = "Electroacoustic improvisation", "An album whose title alone would fill a terminal " * 3
    Output().tables([Table("T", columns, (row,), (LONG[:250],))])
    printed = capsys.readouterr().out
    assert f"{row[0]}  {row[1].strip()}" in printed
    assert LONG[:250] in printed


def test_json_holds_every_text_and_no_terminal_obeys_it(capsys):
    content = {"title": HOSTILE, HOSTILE: ["\u2028", "東京", float("nan")], "path": "a\udcffb"}
    Output(json=True).document(content)
    printed = capsys.readouterr().out
    assert not set(printed) & set("\x1b\x9b\u202e\u2028\udcff")
    assert "東京" in printed
    expected = {"title": HOSTILE, HOSTILE: ["\u2028", "東京", None], "path": "a\ufffdb"}
    assert json.loads(printed) == expected


def refusal(number, *paths):
    return OSError(number, os.strerror(number), *paths)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (refusal(errno.EACCES, "/a/b"), 2, "error: cannot read or write /a/b: Permission denied; check its permissions"),
        (refusal(errno.EISDIR, b"/a"), 2, "error: cannot read or write /a: Is a directory; that is a folder; name a file"),
        (refusal(errno.EROFS, "/a/.t", None, "/a/b"), 2, "error: cannot read or write /a/b: Read-only file system; nothing"),
        (refusal(errno.ELOOP, "x\n\x1b[31m"), 2, "error: cannot read or write x \ufffd[31m: Too many levels of symbolic links; check the path"),
        (refusal(errno.ENOSPC), 2, "error: cannot read or write a file: No space left on device; make room"),
        (refusal(errno.EINVAL), 1, "internal error: OSError: [Errno 22] Invalid argument; set MATT_DEBUG=1"),
        (BrokenPipeError(errno.EPIPE, "of a child"), 1, "internal error: BrokenPipeError: "),
        (ZeroDivisionError("a\nb"), 1, "internal error: ZeroDivisionError: a b; set MATT_DEBUG=1"),
        (DataError(HOSTILE), 2, f"error: {SHOWN}"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again"),
    ],
    ids=repr,
)  # fmt: skip
def test_errors_are_one_line_and_an_exit_code(error, code, text, capsys, monkeypatch):
    monkeypatch.delenv("MATT_DEBUG", raising=False)
    with pytest.raises(typer.Exit) as ended, outcome(Output(json=True, quiet=True)):
        raise error
    assert ended.value.exit_code == code
    out, err = capsys.readouterr()
    assert err.startswith(text)
    assert err.count("\n") == 1
    document = json.loads(out)
    assert document["exit_code"] == code
    assert type(error) is not DataError or document["error"] == HOSTILE


def test_debugging_shows_the_error_itself(monkeypatch):
    monkeypatch.setenv("MATT_DEBUG", "1")
    with pytest.raises(PermissionError), outcome(Output()):
        raise refusal(errno.EACCES, "/a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan", "--fulder", "--json"], "No such option: --fulder"),
        (["scan", "--json"], "Missing argument"),
        (["scam", "--json"], "No such command 'scam'"),
        (["train", "x", "--json", "--out", "y", "--seed", "\x1b[31mone"], "Invalid value for '--seed'"),
        (["scan", "--json", "--", "--json", "more"], "unexpected extra argument"),
    ],
)  # fmt: skip
def test_wrong_usage_is_json_too(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["matt", *arguments])
    with pytest.raises(SystemExit) as ended:
        app_module.main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert message in document["error"]
    assert document["error"].endswith("--help'")
    assert document["exit_code"] == 2
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["scan", "--fulder"], 2, "--fulder"),
        (["scan", "--", "--json"], 2, "--json does not exist"),
    ],
)
def test_wrong_usage_without_json_prints_no_json(arguments, code, told, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["matt", *arguments])
    with pytest.raises(SystemExit) as ended:
        app_module.main()
    assert ended.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err


@pytest.mark.parametrize("arguments", [["--version"], ["scan", "--help", "--json"]])
def test_help_and_version_end_well(arguments, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["matt", *arguments])
    with pytest.raises(SystemExit) as ended:
        app_module.main()
    assert not ended.value.code
    assert "matt" in capsys.readouterr().out


def test_matt_is_one_package_of_the_doctor(capsys, monkeypatch):
    monkeypatch.setattr("matt.provenance.versions", lambda: {"python": "3", "matt-mgc": "1"})
    monkeypatch.setattr("matt.cli.doctor.try_formats", list)
    doctor.doctor(json=True, quiet=True)
    assert json.loads(capsys.readouterr().out)["versions"] == {"matt": "1", "python": "3"}


@pytest.mark.parametrize("form", ["--quiet", "--json"])
def test_a_reader_that_goes_away_is_no_error(form, music):
    reader, writer = os.pipe()
    os.close(reader)  # before the first byte: what `| head -1` sometimes is
    done = matt("scan", music, form, "-q", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["scan", "{music}", "-q"], ["scan", "{music}", "-q", "--json"], ["--version"]])  # fmt: skip
def test_a_full_disk_is_one_line(arguments, music):
    with open("/dev/full", "wb") as full:
        done = matt(*(argument.format(music=music) for argument in arguments), stdout=full)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"No space left on device" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_warnings_that_cannot_be_written_stop_nothing(music):
    with open("/dev/full", "wb") as full:
        done = matt("scan", music, "--json", stderr=full)
    assert done.returncode == 3
    assert len(json.loads(done.stdout)["problems"]) == 2


def test_any_name_can_be_written_in_ascii(music):
    for form in ("--quiet", "--json"):
        done = matt("scan", music, form, PYTHONIOENCODING="ascii")
        assert done.returncode == 3, done.stderr
        done.stdout.decode("ascii")
    assert json.loads(done.stdout)["untagged"] == sorted(map(str, music.iterdir()))


def test_quiet_says_nothing_of_a_damaged_file(tmp_path):
    """Nor does a decoder, which writes past Python to the descriptor."""
    rng, damaged = np.random.default_rng(0), tmp_path / "music" / "damaged.mp3"
    damaged.parent.mkdir()
    soundfile.write(damaged, rng.normal(0, 0.1, 66_150), 22_050)
    whole = damaged.read_bytes()
    third, half = len(whole) // 3, len(whole) // 2
    damaged.write_bytes(whole[:third] + rng.bytes(half - third) + whole[half:])
    decode = "import soundfile, sys; soundfile.read(sys.argv[1])"
    bare = subprocess.run([sys.executable, "-c", decode, damaged], capture_output=True, check=False)
    assert b"Illegal Audio-MPEG-Header" in bare.stderr  # what there is to silence
    arguments = ["extract", damaged.parent, "--duration", "1", "--workers", "1"]
    done = matt(*arguments, "--store", tmp_path / "new", "--quiet")
    assert (done.returncode, done.stderr) == (3, b"")
    assert b"failed" in done.stdout
