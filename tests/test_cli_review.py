"""`matt review`, the command: what it prints, how it ends, and what it refuses before any work."""

import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest
from typer.testing import CliRunner

from matt.cli.app import app
from matt.review.decisions import Decisions
from tests.page import Page
from tests.review_library import sound

PATIENCE = 120  # seconds for anything at all


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Two albums of two songs, with one cache of what was heard in them."""
    root = tmp_path_factory.mktemp("own") / "my music"
    for artist, genre in (("Ann", "Rock"), ("Bob", None)):
        for n in range(2):
            sound(root / artist / f"{n}.flac", seconds=3.2, artist=artist, album="One", title=f"Song {n}", genre=genre)  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MATT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield root


@pytest.fixture(autouse=True)
def journals(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))


def matt(*arguments):
    return CliRunner().invoke(app, ["review", *map(str, arguments)])


@contextmanager
def started(*arguments):
    """The command in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "matt", "review", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def printed(process, until):
    """What it says up to a line, while it goes on."""
    text = ""
    while not re.search(until, text, re.MULTILINE):
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready, f"nothing but {text!r}"
        more = process.stdout.read(4096).decode()
        assert more, f"it ended after {text!r}: {process.stderr.read().decode()}"
        text += more
    return text


def ended(process, how=signal.SIGINT):
    """Exit code, and what it said after it was told to end."""
    process.send_signal(how)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out.decode(), err.decode()


def asked(url, *, method="GET", place=None, form=None, cookie=None):
    """Status, headers and text of an answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    headers = {"Origin": f"http://{parts.netloc}"} if form is not None else {}
    headers |= {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    headers |= {} if cookie is None else {"Cookie": cookie}
    body = None if form is None else urlencode(form)
    try:
        connection.request(
            method, place or f"{parts.path}?{parts.query}", body=body, headers=headers
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


# ---- while it serves ----


def test_json_names_an_address_that_lets_in_and_no_other_does(music):
    with started(music, "--json", "--quiet", "--no-browser") as process:
        told = json.loads(printed(process, r"^\}\n"))
        assert (told["schema"], told["albums"]) == ("matt.review/1", 2)
        assert told["failures"] == told["partial"] == told["silent"] == []
        url = told["url"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", url)
        status, headers, _ = asked(url)
        assert status == 303
        cookie = headers["set-cookie"].split(";")[0]
        assert asked(url, place="/", cookie=cookie)[0] == 200
        for place in ("/", "/?token=", "/?token=wrong", "/write", "/static/review.js"):
            assert asked(url, place=place)[0] == 403
        assert ended(process) == (0, "", "")


def test_what_is_decided_is_kept_when_it_ends_and_told_when_it_begins_again(music):
    with started(music, "--no-browser") as process:
        said = printed(process, r"^Review .*\n")
        url = re.search(r"Review 2 albums at (\S+)", said)[1]
        cookie = asked(url)[1]["set-cookie"].split(";")[0]
        page = asked(url, place="/", cookie=cookie)[2]
        Page(page)
        key = re.search(r'id="album-(\w+)"', page)[1]
        secret = re.search(r'name="form" value="(\w+)"', page)[1]
        form = {"form": secret, "verdict": "changed", "genre": "Polka"}
        status, _, _ = asked(url, method="POST", place=f"/album/{key}/decide", form=form, cookie=cookie)  # fmt: skip
        assert status in (200, 303)
        code, _, err = ended(process)
        assert code == 0
        assert "Traceback" not in err
        assert "Ctrl-C ends, what was decided is kept" in err
    (decision,) = Decisions.open(music).latest().values()
    assert (decision.album, decision.genres) == (key, ("Polka",))
    with Decisions.open(music).path.open("ab") as file:
        file.write(b"nonsense\n")
    with started(music, "--no-browser") as process:
        printed(process, r"^Review .*\n")
        code, _, err = ended(process)
    assert code == 0
    assert "1 album is decided already" in err
    assert "1 line of" in err
    assert "is damaged and left out" in err


def test_who_ends_it_by_another_signal_sees_no_traceback(music):
    with started(music, "--json", "--no-browser", "--quiet") as process:
        printed(process, r"^\}\n")
        code, _, err = ended(process, signal.SIGTERM)
    assert code in (0, -signal.SIGTERM)
    assert err == ""


def test_a_browser_is_opened_by_an_address_good_once_unless_that_is_not_wanted(music, monkeypatch):
    opened, told = queue.Queue(), []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.put(url) or True)

    def serve(review, listening, ready):
        told.append(len(review.albums))
        ready("http://127.0.0.1:1/?token=printed", f"http://127.0.0.1:1/?token=once{len(told)}")

    monkeypatch.setattr("matt.review.serving.serve", serve)
    assert matt(music, "--no-browser").exit_code == 0
    result = matt(music)
    assert result.exit_code == 0
    assert "Review 2 albums at http://127.0.0.1:1/?token=printed" in result.stdout
    assert "once" not in result.output
    assert opened.get(timeout=PATIENCE) == "http://127.0.0.1:1/?token=once2"
    assert told == [2, 2]


# ---- before it serves ----


def refused(*arguments):
    result = matt(*arguments, "--json", "--no-browser")
    assert result.exit_code == 2, result.output
    told = json.loads(result.stdout)
    assert told["exit_code"] == 2
    return told["error"]


@pytest.fixture
def no_work(monkeypatch):
    """Whatever asks for the music fails."""

    def work(*_, **__):
        raise AssertionError("work was done")

    monkeypatch.setattr("matt.cli.review.predict_named", work)


@pytest.mark.parametrize("listens", [True, False], ids=["serving", "about to serve"])
def test_a_port_that_is_taken_is_told_before_any_work(music, no_work, listens):
    from matt.review.serving import bound

    if listens:
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
    else:  # by another review that still hears the music
        taken = bound(0)
    port = taken.getsockname()[1]
    try:
        told = refused(music, "--port", port)
        assert f"--port {port} cannot be used" in told
        assert "leave it out for a free one" in told
    finally:
        taken.close()


def test_a_port_that_was_just_used_can_be_used_again(music):
    with started(music, "--json", "--quiet", "--no-browser") as process:
        url = json.loads(printed(process, r"^\}\n"))["url"]
        assert asked(url)[0] == 303
        assert ended(process)[0] == 0
    port = urlsplit(url).port
    with started(music, "--json", "--quiet", "--no-browser", "--port", port) as process:
        again = json.loads(printed(process, r"^\}\n"))["url"]
        assert urlsplit(again).port == port
        assert again != url  # the address of the last time lets nobody in
        assert asked(url)[0] == 403
        assert asked(again)[0] == 303


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_wrong_usage(music, no_work, port):
    result = matt(music, "--port", port)
    assert result.exit_code == 2
    assert "--port" in result.output


def test_a_folder_without_music_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no audio" in refused(tmp_path / "empty")
    assert "does not exist" in refused(tmp_path / "nowhere")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    music, no_work, monkeypatch, missing
):
    monkeypatch.setitem(sys.modules, missing, None)
    told = refused(music)
    assert f"needs {missing}" in told
    assert 'pip install "matt-mgc[review]"' in told
