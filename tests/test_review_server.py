"""The server of a review: what it answers, and whom; what it never gives; what is kept."""

import os
import re
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection

import pytest
from mutagen import File
from mutagen.id3 import APIC, ID3
from starlette.testclient import TestClient

from matt.errors import DataError
from matt.review import covers, server, writing
from matt.review.albums import PAGE, AskedAlbums
from matt.review.covers import cover_of, kind_of_picture
from matt.review.decisions import Decisions, ReviewDecision
from matt.review.guard import HEADERS, MOST_BODY
from matt.review.server import review_app
from matt.tagging.journal import all_journals
from matt.tagging.writing import undo
from tests.page import Page
from tests.review_library import (
    ALBUMS,
    HOSTILE,
    PNG,
    a_row,
    large_library,
    review_of,
    served,
    small_library,
    sound,
)

PORT = 4711
HOST = f"http://127.0.0.1:{PORT}"


@pytest.fixture(autouse=True)
def journals(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))


def client_of(review, *, let_in=True):
    app = review_app(review, PORT)
    client = TestClient(app, base_url=HOST, follow_redirects=False)
    client.app_of = app
    if let_in:
        assert client.get(f"/?token={app.token}").status_code == 303
    return client


@pytest.fixture
def review(tmp_path):
    return small_library(tmp_path)


@pytest.fixture
def client(review):
    return client_of(review)


def post(client, place, *, headers=None, **form):
    data = {"form": client.app_of.form_token, **form}
    return client.post(place, data=data, headers={"origin": HOST} if headers is None else headers)


def key_of(review, artist):
    return next(album.key for album in review.albums.all if album.artist == artist)


# ---- who is answered ----


def test_only_the_printed_address_lets_in(review):
    client = client_of(review, let_in=False)
    for place in (
        "/",
        "/write",
        f"/album/{key_of(review, 'Ann')}/track/0",
        "/static/review.css",
        "/nothing",
    ):
        answer = client.get(place)
        assert answer.status_code == 403
        assert "Ann" not in answer.text
    assert client.get("/?token=wrong").status_code == 403
    assert client.get("/?token=").status_code == 403
    answer = client.get(f"/?token={client.app_of.token}")
    assert answer.headers["location"] == "/"
    assert {"HttpOnly", "SameSite=Strict"} <= set(answer.headers["set-cookie"].split("; "))
    assert client.get("/").status_code == 200


def test_what_a_browser_is_started_with_opens_once(review):
    client, other = client_of(review, let_in=False), client_of(review, let_in=False)
    other.app = client.app
    once = client.app_of.url_once()
    assert client.app_of.token not in once
    assert client.get(once).status_code == 303
    assert client.get("/").status_code == 200
    assert other.get(once).status_code == 403


def test_a_browser_leaves_the_usual_port_out(review):
    app = review_app(review, 80)
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    assert client.get(app.url).status_code == 303
    data = {"form": app.form_token, "verdict": "accepted"}
    place = f"/album/{key_of(review, 'Ann')}/decide"
    answer = client.post(place, data=data, headers={"origin": "http://127.0.0.1"})
    assert answer.status_code == 303
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403


def test_the_token_of_another_review_opens_nothing(review):
    first, second = client_of(review), client_of(review, let_in=False)
    second.cookies = first.cookies
    assert second.get("/").status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "localhost", "", f"[::1]:{PORT}"],
)
def test_a_name_that_was_made_to_point_here_is_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}, {"origin": f"https://127.0.0.1:{PORT}"}],
)  # fmt: skip
def test_nothing_is_changed_for_a_page_of_somebody_else(review, client, headers):
    answer = post(
        client, f"/album/{key_of(review, 'Ann')}/decide", headers=headers, verdict="accepted"
    )
    assert answer.status_code == 403
    assert review.decisions.latest() == {}


def changing(app):
    return [route.path for route in app.app.routes if "POST" in route.methods]


def test_every_form_needs_its_token(review, client):
    key = key_of(review, "Ann")
    places = changing(client.app_of)
    assert len(places) == 5
    for place in places:
        place = place.replace("{key}", key).replace("{name}", "one")
        for form in ("", "wrong", client.app_of.token):
            assert post(client, place, form=form, verdict="accepted").status_code == 403
        assert client.post(place, data={}, headers={"origin": HOST}).status_code == 403
    assert review.decisions.latest() == {}


def test_nothing_changes_by_looking(review, client):
    for place in (f"/album/{key_of(review, 'Ann')}/decide?verdict=accepted", "/undo"):
        assert client.get(place).status_code == 405
    assert client.put("/").status_code == 405
    assert client.request("DELETE", "/").status_code == 405


def test_too_much_is_refused(review, client):
    answer = post(
        client, f"/album/{key_of(review, 'Ann')}/decide", verdict="changed", genre="x" * MOST_BODY
    )
    assert answer.status_code == 413
    many = client.post(
        "/undo",
        content=b"&".join(b"a=1" for _ in range(1000)),
        headers={"origin": HOST, "content-type": "application/x-www-form-urlencoded"},
    )
    assert many.status_code == 400

    def parts():  # without a length
        yield b"form=1"

    assert client.post("/undo", content=parts(), headers={"origin": HOST}).status_code == 413
    assert client.get(f"/?q={'x' * 10_000}").status_code == 414


def test_every_answer_forbids_all_but_ours(review, client):
    key = key_of(review, "Ann")
    for place in (
        "/",
        f"/album/{key}",
        "/write",
        f"/album/{key}/track/0",
        "/static/review.js",
        "/no",
        "/?token=x",
    ):
        headers = client.get(place).headers
        for name, value in HEADERS.items():
            assert headers[name] == value
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    picture = client.get(f"/album/{key}/cover").headers
    assert picture["content-security-policy"] == "default-src 'none'; sandbox"
    assert picture["x-content-type-options"] == "nosniff"


def test_pages_name_nothing_outside(review, client):
    for place in ("/", f"/album/{key_of(review, 'Ann')}", "/write"):
        text = client.get(place).text
        assert not re.findall(r"(?:src|href|action)=\"(?!/|#)", text)
        assert "style=" not in text
        assert not re.findall(r" on[a-z]+=", text)
        assert "<script>" not in text


# ---- what it shows ----


def test_albums_are_listed_by_what_there_is_to_do(client):
    shown = Page(client.get("/").text)
    assert next(text for where, text in shown.texts if where == "bdi") == "Blue"
    counts = re.findall(r'data-count="(\w+)">([\d,]+)', client.get("/").text)
    assert dict(counts) == {
        "todo": "4",
        "new": "1",
        "disagrees": "2",
        "unsure": "1",
        "agrees": "1",
        "decided": "0",
        "all": "5",
    }
    assert "Grey" not in client.get("/").text
    assert "Grey" in client.get("/?show=agrees").text


def test_search_takes_each_word_anywhere(client):
    assert client.get("/?show=all&q=BOB+jazz").text.count('class="row') == 1
    assert client.get("/?show=all&q=rock").text.count('class="row') == 3
    assert "No album has" in client.get("/?q=nobody").text


@pytest.mark.parametrize(
    "place",
    [
        "/?page=9999999999999",
        "/?page=-1",
        "/?page=x",
        "/?show=%00",
        "/?q=%ff%fe",
        "/?at=nothing",
        "/?done=1&undone=2",
    ],
)
def test_any_address_has_an_answer(client, place):
    assert client.get(place).status_code == 200


def test_a_hostile_title_is_text(review, client):
    key = key_of(review, "Cy")
    for place in ("/", f"/album/{key}", f"/?show=all&q={HOSTILE.encode().hex()}"):
        text = client.get(place).text
        assert "<script>alert" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;txt.exe" in client.get(f"/album/{key}").text
    answer = post(client, f"/album/{key}/decide", verdict="changed", genre=HOSTILE)
    assert "<script>alert" not in client.get(answer.headers["location"]).text


def test_a_search_comes_back_as_text(client):
    text = client.get('/?q="><script>alert(1)</script>').text
    assert "<script>alert" not in text


def test_pages_are_whole(review, client):
    for place in ("/", "/?show=all", f"/album/{key_of(review, 'Bob')}", "/write", "/album/none"):
        page = Page(client.get(place).text)
        assert "main" in page.elements


def test_every_field_and_picture_has_a_name(review, client):
    text = client.get(f"/album/{key_of(review, 'Bob')}").text
    assert 'alt="Cover of Red"' in text
    assert '<label for="genre">' in text
    assert text.count("<audio") == text.count('aria-label="Play ') == 3
    assert 'role="status" aria-live="polite"' in text
    assert '<html lang="en">' in text


# ---- covers and tracks ----


def test_covers_are_pictures_by_their_bytes(review, client):
    own = client.get(f"/album/{key_of(review, 'Ann')}/cover")
    assert own.content == PNG
    assert own.headers["content-type"] == "image/png"
    for artist in ("Bob", "Di"):  # what is no picture, and nothing: a letter stands in
        made = client.get(f"/album/{key_of(review, artist)}/cover")
        assert made.headers["content-type"] == "image/svg+xml"
        assert b"onload" not in made.content
        assert made.content.startswith(b"<svg")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"), (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WAVE", ""), (b"<html>", ""), (b"", ""), (b"\x00\x00\x01\x00", ""),
    ],
)  # fmt: skip
def test_what_a_picture_is(content, kind):
    assert kind_of_picture(content) == kind


def test_the_front_counts_and_what_is_too_large_does_not(tmp_path):
    path = sound(tmp_path / "a.wav" / "b.flac")
    tags = ID3()
    tags.add(APIC(mime="image/jpeg", type=4, desc="back", data=b"\xff\xd8\xff back"))
    tags.add(APIC(mime="image/jpeg", type=3, desc="front", data=b"\xff\xd8\xff front"))
    from shutil import copy

    mp3 = tmp_path / "c.mp3"
    import soundfile

    soundfile.write(mp3, [0.0] * 8000, 8000, format="MP3")
    tags.save(mp3)
    assert cover_of([str(mp3)]) == (b"\xff\xd8\xff front", "image/jpeg")
    assert cover_of([copy(path, tmp_path / "d.flac"), str(mp3)]) == (
        b"\xff\xd8\xff front",
        "image/jpeg",
    )
    large = ID3()
    large.add(APIC(mime="image/png", type=3, desc="", data=PNG + bytes(covers._MOST)))
    large.save(mp3)
    assert cover_of([str(mp3)]) is None
    (tmp_path / "e.flac").write_bytes(b"fLaC" + os.urandom(200))
    assert cover_of([str(tmp_path / "e.flac"), str(tmp_path / "gone.mp3")]) is None


def test_covers_that_are_kept_have_a_limit(monkeypatch):
    monkeypatch.setattr(covers, "_MOST_KEPT", 250)
    kept, made = covers.Covers(), []

    def cover(name):
        return kept.get(name, lambda: made.append(name) or covers.Cover(bytes(100), "image/png"))

    for name in "abacab":
        cover(name)
    assert made == ["a", "b", "c", "b"]


def test_a_track_is_sent_whole_or_in_parts(review, client):
    album = review.albums.get(key_of(review, "Ann"))
    with open(album.tracks[1].path, "rb") as file:
        content = file.read()
    place = f"/album/{album.key}/track/1"
    whole = client.get(place)
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["content-type"] == "audio/flac"
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(place, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    assert client.get(place, headers={"range": "bytes=-5"}).content == content[-5:]
    assert client.get(place, headers={"range": "bytes=100-"}).content == content[100:]
    assert client.get(place, headers={"range": f"bytes={len(content)}-"}).status_code == 416
    head = client.head(place)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(content)


@pytest.mark.parametrize(
    "place",
    ["track/99", "track/-1", "track/x", "track/0/../../../etc/passwd", "track/..%2f..%2fetc%2fpasswd", "track/%2e%2e/x", "cover/../x"],
)  # fmt: skip
def test_no_path_is_taken_from_an_address(review, client, place):
    answer = client.get(f"/album/{key_of(review, 'Ann')}/{place}")
    assert answer.status_code in (404, 405)
    for other in (
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/album/..%2f..%2fetc/cover",
        "//etc/passwd",
    ):
        assert client.get(other).status_code in (403, 404)


@pytest.mark.parametrize("number", ["7", "-1", "x", "9" * 5000, "\u0663", "1.0"])
def test_there_is_no_other_track(review, client, number):
    assert client.get(f"/album/{key_of(review, 'Ann')}/track/{number}").status_code == 404


def test_a_cover_that_no_browser_can_show_is_drawn(review, client):
    place = f"/album/{key_of(review, 'Ann')}/cover"
    assert client.get(place).headers["content-type"] == "image/png"
    assert client.get(f"{place}?drawn=1").headers["content-type"].startswith("image/svg")
    assert client.get(place).headers["content-type"] == "image/png"


def test_what_leads_out_of_the_library_is_not_sent(tmp_path):
    secret = sound(tmp_path / "secret.flac", cover=PNG)
    root = tmp_path / "Music"
    inside = sound(root / "Ann" / "One" / "0.flac")
    link = inside.with_name("1.flac")
    link.symlink_to(secret)
    folder = root / "Ann" / "Linked"
    folder.symlink_to(tmp_path, target_is_directory=True)
    fifo = inside.with_name("2.flac")
    os.mkfifo(fifo)
    paths = [
        inside,
        link,
        folder / "secret.flac",
        fifo,
        root / ".." / "secret.flac",
        secret,
        inside.with_name("gone.flac"),
        inside.parent,
    ]
    review = review_of([a_row(paths, "Ann", "One", None, "new", [("Folk", 0.9)])], root)
    client, key = client_of(review), key_of(review, "Ann")
    assert client.get(f"/album/{key}/track/0").status_code == 200
    for number in range(1, len(paths)):
        assert client.get(f"/album/{key}/track/{number}").status_code == 404
    assert client.get(f"/album/{key}").text.count("<audio") == 1
    only = review_of([a_row([link], "Ann", "One", None, "new", [("Folk", 0.9)])], root)
    assert (
        client_of(only).get(f"/album/{key_of(only, 'Ann')}/cover").headers["content-type"]
        == "image/svg+xml"
    )


# ---- deciding ----


def test_each_verdict_is_kept_and_the_next_album_comes(review, client):
    keys = {artist: key_of(review, artist) for artist, *_ in ALBUMS}
    said = [
        ("Ann", {"verdict": "accepted"}, ("Folk",), "Bob"),
        (
            "Bob",
            {"verdict": "changed", "genre": " hip-hop ;Rock; Rock "},
            ("hip-hop", "Rock"),
            "Cy",
        ),
        ("Cy", {"verdict": "kept"}, ("Jazz",), "Di"),
        ("Di", {"pick": "1"}, ("Jazz",), None),
    ]
    for artist, form, genres, after in said:
        answer = post(client, f"/album/{keys[artist]}/decide", **form)
        assert answer.status_code == 303
        where = answer.headers["location"]
        assert where.startswith(f"/album/{keys[after]}?" if after else "/?")
        assert 'role="status" aria-live="polite">' in client.get(where).text
        assert review.decisions.latest()[keys[artist]].genres == genres
    assert "Nothing is left here" in client.get("/").text
    post(client, f"/album/{keys['Ed']}/decide", verdict="rejected")
    assert review.decisions.latest()[keys["Ed"]].genres == ()
    verdicts = [one.verdict for one in review.decisions.latest().values()]
    assert verdicts == ["accepted", "changed", "kept", "changed", "rejected"]
    assert review.decisions.latest()[keys["Di"]].track_ids == (30, 31, 32)


@pytest.mark.parametrize(
    "form",
    [
        {}, {"verdict": "x"}, {"pick": "7"}, {"pick": "-1"}, {"pick": "x"}, {"verdict": "changed"}, {"verdict": "changed", "genre": " ; "}, {"verdict": "changed", "genre": "\u00ad\u200b"},
        {"verdict": "changed", "genre": "x" * 201}, {"verdict": "changed", "genre": ";".join(map(str, range(30)))},
    ],
)  # fmt: skip
def test_what_says_nothing_decides_nothing(review, client, form):
    answer = post(client, f"/album/{key_of(review, 'Ann')}/decide", **form)
    assert answer.status_code == 400
    assert "Not done" in answer.text
    assert review.decisions.latest() == {}


def test_taking_back_shows_the_album_again(review, client):
    key = key_of(review, "Ann")
    post(client, f"/album/{key}/decide", verdict="accepted")
    answer = post(client, "/undo")
    assert answer.headers["location"].startswith(f"/album/{key}?")
    assert "Taken back" in client.get(answer.headers["location"]).text
    assert review.decisions.latest() == {}
    answer = post(client, "/undo")
    assert "nothing to take back" in client.get(answer.headers["location"]).text


def test_the_same_decision_is_kept_once(review, client):
    for _ in range(3):
        post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    assert len(review.decisions.log()) == 1
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="rejected")
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    assert [one.verdict for one in review.decisions.log()] == ["accepted", "rejected", "accepted"]


def test_what_is_taken_back_is_named_wherever_it_is(review, client):
    script = {"origin": HOST, "x-row": "1"}
    text = post(client, "/undo", headers=script).text
    assert "There is nothing to take back." in text
    assert 'class="row' not in text
    review.decisions.add(ReviewDecision("elsewhere", (9,), "rejected", (), "Rock", 0.5, 0.0))
    assert "an album that is not listed here" in post(client, "/undo", headers=script).text
    review.decisions.add(ReviewDecision("elsewhere", (9,), "rejected", (), "Rock", 0.5, 0.0))
    place = post(client, "/undo", back="list").headers["location"]
    assert "an album that is not listed here" in client.get(place.partition("#")[0]).text
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    place = post(client, "/undo", back="list", show="todo").headers["location"]
    assert place.endswith(f"#album-{key_of(review, 'Ann')}")
    assert "Taken back: Blue by Ann" in client.get(place.partition("#")[0]).text


def test_a_row_alone_is_answered_to_a_script(review, client):
    key = key_of(review, "Bob")
    answer = post(
        client, f"/album/{key}/decide", verdict="rejected", headers={"origin": HOST, "x-row": "1"}
    )
    assert answer.status_code == 200
    assert answer.text.count('class="row done"') == 1
    assert "<html" not in answer.text
    assert 'data-count="decided">1<' in answer.text


def test_it_is_known_where_somebody_stopped(review, client):
    assert "where you stopped" not in client.get("/").text
    client.get(f"/album/{key_of(review, 'Bob')}?show=disagrees")
    again = client_of(small_again(review))
    assert "where you stopped" in again.get("/").text
    assert f"/album/{key_of(review, 'Bob')}?show=disagrees" in again.get("/").text
    review.place.write_text('{"album": [], "show": 1}')
    assert again.get("/").status_code == 200


def small_again(review):
    """The same library, opened by another process."""
    from dataclasses import replace

    return replace(review, decisions=Decisions(review.decisions.path))


def test_a_stale_page_of_another_session_cannot_decide(review, client):
    other = client_of(review)
    answer = post(
        client,
        f"/album/{key_of(review, 'Ann')}/decide",
        form=other.app_of.form_token,
        verdict="accepted",
    )
    assert answer.status_code == 403
    assert "load the page again" in answer.text


def test_a_decision_that_cannot_be_kept_is_told(review, client):
    review.decisions.path.parent.mkdir(parents=True)
    review.decisions.path.mkdir()
    answer = post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    assert answer.status_code == 500
    assert "nothing was decided" in answer.text


def test_a_kill_loses_nothing_that_was_said(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from matt.review.decisions import ReviewDecision, Decisions\n"
        "kept = Decisions.open(Path(sys.argv[1]))\n"
        "for n in range(50):\n"
        "    kept.add(ReviewDecision(str(n), (n,), 'accepted', ('Folk',), 'Folk', 0.5, 1.0))\n"
        "    print(n, flush=True)\n"
        "    if n == 29: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(Decisions.open(tmp_path).latest()) == len(done.stdout.split()) == 30


def test_many_at_once_lose_nothing(tmp_path):
    from matt.review.decisions import ReviewDecision

    def add(name):
        kept = Decisions.open(tmp_path)
        for n in range(20):
            kept.add(ReviewDecision(f"{name} {n}", (n,), "accepted", ("Folk",), "Folk", 0.5, 1.0))

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Decisions.open(tmp_path).latest()) == 80


# ---- why ----


def told(first):
    tracks = [
        {
            "track_id": first + n, "title": f"Song {n}", "genre": "Folk", "probability": 0.8, "effect": None if n == 2 else 0.1,
            "decides": n == 0, "fits": None if n == 2 else n != 1,
        }
        for n in range(3)
    ]  # fmt: skip
    return {"likely": "Folk", "in_training": False, "tracks": tracks}


def test_which_tracks_decided_is_asked_for_once(tmp_path):
    asked = []
    review = small_library(tmp_path, explain=lambda first: asked.append(first) or told(first))
    client, key = client_of(review), key_of(review, "Bob")
    assert 'href="/album/' in client.get(f"/album/{key}").text
    assert asked == []
    for place in (f"/album/{key}?why=1", f"/album/{key}/why"):
        text = client.get(place).text
        assert text.count("does not belong") == 1
        assert text.count(">decides<") == 1
        assert "Without this track" in text
    assert asked == [10]


def test_where_no_model_can_be_asked_nothing_is_offered(review, client):
    key = key_of(review, "Bob")
    assert "Which tracks decided" not in client.get(f"/album/{key}").text
    assert client.get(f"/album/{key}/why").status_code == 404


# ---- writing ----


def genres_in(review, artist):
    return [
        File(track.path).get("genre") for track in review.albums.get(key_of(review, artist)).tracks
    ]


def bytes_of(review):
    return {path: path.read_bytes() for path in sorted(review.root.rglob("*.flac"))}


def written(client, place, **form):
    """The page that tells what was written, when it is over."""
    asked = post(client, place, **form)
    assert asked.status_code == 303, asked.text
    while "refresh" in (page := client.get(asked.headers["location"])).text:
        pass
    return page


def plan_in(text):
    return re.search(r'name="plan" value="(\w+)"', text)[1]


def test_what_is_decided_is_planned_written_and_undone(review, client):
    before = bytes_of(review)
    assert "Nothing is accepted or changed yet" in client.get("/write").text
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    post(client, f"/album/{key_of(review, 'Bob')}/decide", verdict="changed", genre="Polka")
    post(client, f"/album/{key_of(review, 'Cy')}/decide", verdict="rejected")
    post(client, f"/album/{key_of(review, 'Di')}/decide", verdict="kept")
    text = client.get("/write").text
    assert "6 files to write" in text
    assert {"accepted", "changed"} <= set(re.findall(r"<td class=\"faint\"[^>]*>(\w+)<", text))
    assert bytes_of(review) == before
    done = written(client, "/write", mode="replace", plan=plan_in(text))
    assert "6 files were written" in done.text
    assert genres_in(review, "Ann") == [["Folk"]] * 3
    assert genres_in(review, "Bob") == [["Polka"]] * 3
    assert genres_in(review, "Cy") == [["Jazz"]] * 3
    assert genres_in(review, "Di") == [["Folk"]] * 3
    assert client.get(f"/album/{key_of(review, 'Ann')}/cover").content == PNG
    name = re.search(r'action="/undo/([^"]+)"', done.text)[1]
    undone = written(client, f"/undo/{name}")
    assert "6 files are as they were" in undone.text
    assert bytes_of(review) == before
    assert 'action="/undo/' not in re.sub(r'action="/undo" ', "", undone.text)


def test_only_what_was_shown_is_written(review, client):
    before = bytes_of(review)
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    shown = plan_in(client.get("/write").text)
    post(client, f"/album/{key_of(review, 'Bob')}/decide", verdict="accepted")
    answer = post(client, "/write", mode="replace", plan=shown)
    assert answer.status_code == 400
    assert "look at the plan again" in answer.text
    assert bytes_of(review) == before


def test_the_gentle_modes_leave_tags(review, client):
    post(client, f"/album/{key_of(review, 'Bob')}/decide", verdict="accepted")
    assert "0 files to write" in client.get("/write?mode=fill-empty").text
    text = client.get("/write?mode=append").text
    written(client, "/write", mode="append", plan=plan_in(text))
    assert genres_in(review, "Bob") == [["Rock", "Jazz"]] * 3


def test_runs_of_another_library_are_not_undone_here(tmp_path, review, client):
    other = small_library(tmp_path / "other")
    another = client_of(other)
    post(another, f"/album/{key_of(other, 'Ann')}/decide", verdict="accepted")
    text = written(another, "/write", mode="replace", plan=plan_in(another.get("/write").text)).text
    name = re.search(r'action="/undo/([^"]+)"', text)[1]
    assert post(client, f"/undo/{name}").status_code == 400
    assert post(client, "/undo/..%2f..%2fx").status_code in (400, 404)
    assert genres_in(other, "Ann") == [["Folk"]] * 3


class Slow:
    """Writing that waits after its first file until it is let go on."""

    def __init__(self, monkeypatch):
        self.first, self.go = threading.Event(), threading.Event()
        self.apply = writing.apply
        monkeypatch.setattr(writing, "apply", self)

    def __call__(self, wishes, command, *, told):
        def tells(outcome):
            self.first.set()
            assert self.go.wait(30)
            told(outcome)

        return self.apply(wishes, command, told=tells)


def test_a_plan_is_of_the_files_as_they_are_now(review, client):
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    written(client, "/write", mode="replace", plan=plan_in(client.get("/write").text))
    assert "0 files to write" in client.get("/write").text
    (journal,) = all_journals()
    undo(journal)  # by somebody else
    assert "3 files to write" in client.get("/write").text


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(server, "_SOON", 0)
    made = Slow(monkeypatch)
    yield made
    made.go.set()


def begun(review, client, slow):
    """Writing of three files, of which the first is done."""
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    shown = plan_in(client.get("/write").text)
    asked = post(client, "/write", mode="replace", plan=shown)
    assert asked.status_code == 303
    assert slow.first.wait(30)
    return asked.headers["location"], shown


def test_a_page_tells_how_far_the_writing_is(review, client, slow):
    place, shown = begun(review, client, slow)
    page = client.get("/write").text
    assert "of 3 files" in page
    assert f'url={place.replace("&", "&amp;")}"' in page
    for again in (post(client, "/write", mode="replace", plan=shown), post(client, "/undo/x")):
        assert again.status_code == 400  # nothing else is begun meanwhile
    assert "of 3 files" in client.get("/write?mode=append").text
    assert client.get("/").status_code == 200  # and all else is answered
    slow.go.set()
    while "refresh" in (page := client.get(place)).text:
        pass
    assert "3 files were written" in page.text


def test_writing_is_stopped_between_two_files(review, client, slow):
    place, _ = begun(review, client, slow)
    stopping = threading.Thread(target=post, args=(client, "/write/stop"))
    stopping.start()
    slow.go.set()
    stopping.join()
    text = client.get(place).text
    n = int(re.search(r"(\d) files were written", text)[1])
    assert genres_in(review, "Ann").count(["Folk"]) == n  # each is the old one or the new one
    assert ("Not all: stopped" in text) == (n < 3)


def test_the_end_of_the_server_ends_the_writing_between_two_files(review, slow, monkeypatch):
    with client_of(review) as client:
        begun(review, client, slow)
        runs = []
        stop = writing.WriteRun.stop

        def stopping(run):
            runs.append(run)
            slow.go.set()
            stop(run)

        monkeypatch.setattr(writing.WriteRun, "stop", stopping)
    (run,) = runs
    assert run.over
    assert genres_in(review, "Ann").count(["Folk"]) == len(run.outcomes)


@pytest.mark.parametrize(
    ("error", "told"), [(DataError("the disk is full"), "the disk is full"), (OSError(), "broke")]
)
def test_what_ends_the_writing_is_told(review, client, monkeypatch, error, told):
    def fails(wishes, command, *, told):
        raise error

    monkeypatch.setattr(writing, "apply", fails)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    post(client, f"/album/{key_of(review, 'Ann')}/decide", verdict="accepted")
    page = written(client, "/write", mode="replace", plan=plan_in(client.get("/write").text))
    assert "0 files were written" in page.text
    assert told in page.text
    assert "3 files to write" in page.text  # and can be tried again


# ---- many ----


def test_a_large_library_is_listed_in_pages(tmp_path):
    review = large_library(tmp_path / "Music", 1000)
    client = client_of(review)
    text = client.get("/").text
    assert text.count('class="row') == PAGE
    assert "Page 1 of 15" in text
    last = client.get("/?page=15").text
    assert last.count('class="row') == PAGE
    asked = AskedAlbums("todo", "")
    listed = review.albums.listed(asked, {})
    seen = [
        key
        for page in range(1, 16)
        for key in re.findall(r'id="album-(\w+)"', client.get(f"/?page={page}").text)
    ]
    assert seen == [album.key for album in listed]
    at = client.get(f"/?at={listed[333].key}").text
    assert f"Page {333 // PAGE + 1} of 15" in at
    assert f'id="album-{listed[333].key}"' in at


@pytest.mark.parametrize("n_decided", [0, 10, PAGE])
def test_the_next_page_skips_no_album_that_is_not_decided(tmp_path, n_decided):
    review = large_library(tmp_path / "Music", 200)
    client = client_of(review)
    seen, place = set(), "/?show=todo"
    while place:
        text = client.get(place.replace("&amp;", "&").partition("#")[0]).text
        listed = re.findall(r'<li class="row" id="album-(\w+)"', text)
        seen |= {*listed}
        for key in listed[:n_decided]:
            post(client, f"/album/{key}/decide", verdict="accepted")
        found = re.search(r'rel="next" href="([^"]+)"', text)
        place = found and found[1]
    assert seen == {one.key for one in review.albums.all if one.status != "agrees"}


def test_walking_through_a_list_meets_each_album_once(tmp_path):
    review = large_library(tmp_path / "Music", 60)
    asked, albums = AskedAlbums("unsure", ""), review.albums
    listed = albums.listed(asked, {})
    walked = [listed[0]]
    while (after := albums.after(walked[-1].key, asked, {})) is not None:
        walked.append(after)
    assert walked == listed
    back = [walked[-1]]
    while (before := albums.after(back[-1].key, asked, {}, step=-1)) is not None:
        back.append(before)
    assert back == listed[::-1]


def test_albums_of_one_name_and_folder_are_two(tmp_path):
    row = a_row([tmp_path / "a.flac"], "Ann", "One", None, "new", [("Folk", 0.9)])
    other = a_row([tmp_path / "b.flac"], "Ann", "One", None, "new", [("Folk", 0.8)], first=5)
    albums = review_of([row, other], tmp_path).albums
    assert len({album.key for album in albums.all}) == 2
    assert all(albums.get(album.key) is album for album in albums.all)


# ---- the server itself ----


def test_it_listens_on_loopback_alone(review):
    with served(review) as url:
        host, port = re.match(r"http://([\d.]+):(\d+)/\?token=[\w-]{40,}$", url).groups()
        assert host == "127.0.0.1"
        connection = HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/", headers={"Host": "evil.example"})
        assert connection.getresponse().status == 403
        connection.close()


def test_a_port_that_is_taken_is_told(review):
    from matt import ConfigError
    from matt.review.serving import bound

    with served(review) as url:
        port = int(re.search(r":(\d+)/", url)[1])
        with pytest.raises(ConfigError, match=f"--port {port} cannot be used"):
            bound(port).listen()


def test_what_serves_may_not_be_installed(monkeypatch):
    from matt import ConfigError
    from matt.review.serving import check_review

    check_review()
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match=r"needs uvicorn.*matt-mgc\[review\]"):
        check_review()
