"""A review in a real browser: seen, heard, decided, by mouse and keys, by two tabs, after a kill."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mutagen.flac import FLAC, Picture

from matt.evaluation.tables import plain
from matt.review.albums import TEACHES, AskedAlbums
from matt.review.decisions import Decisions
from tests import browser as chromium
from tests.review_library import (
    HOSTILE,
    PNG,
    a_row,
    large_library,
    review_of,
    served,
    small_library,
    sound,
)
from tests.test_review_server import told

pytestmark = pytest.mark.skipif(
    chromium.CHROMIUM is None or os.name != "posix", reason=chromium.WITHOUT
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = chromium.Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def journals(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))


@pytest.fixture
def review(tmp_path):
    return small_library(tmp_path, explain=told)


@pytest.fixture
def url(review):
    with served(review) as opened:
        yield opened


def base(url):
    return url.partition("?")[0]


@pytest.fixture
def tab(browser, url):
    opened = browser.tab()
    opened.goto(url)
    yield opened
    assert opened.complaints() == []
    assert all(asked.startswith((base(url), "data:", "about:")) for asked in opened.requests())


def verdicts(review):
    return {
        review.albums.get(key).artist: one.verdict for key, one in review.decisions.latest().items()
    }


def names(tab):
    return tab.run("[...document.querySelectorAll('.row .name')].map(one => one.textContent)")


def place_of(review, artist):
    return f"album/{next(album.key for album in review.albums.all if album.artist == artist)}"


def test_the_address_lets_in_and_is_in_no_history(tab, url):
    assert tab.run("location.href") == base(url)
    assert names(tab)[:2] == ["Blue", "Red"]
    assert tab.run("document.cookie") == ""  # no script reads it


def test_a_track_plays(tab, review, url):
    tab.goto(base(url) + place_of(review, "Ann"))
    tab.press(" ")
    assert tab.until("[...document.querySelectorAll('audio')].some(one => one.currentTime > 0.05)")
    assert tab.run("document.querySelector('audio').duration") == pytest.approx(2, abs=0.1)
    tab.press(" ")
    assert tab.until("document.querySelector('audio').paused")
    tab.run(
        "(one => { one.currentTime = 1.5; one.play(); })(document.querySelectorAll('audio')[1])"
    )
    assert tab.until("document.querySelectorAll('audio')[1].currentTime >= 1.5")
    parts = [
        event["params"]["response"]["status"] for event in tab.browser.events
        if event.get("sessionId") == tab.session and event["method"] == "Network.responseReceived"
        and "/track/" in event["params"]["response"]["url"]
    ]  # fmt: skip
    assert parts
    assert set(parts) == {206}


def test_space_plays_in_a_list_too(tab):
    tab.press("j")
    tab.press(" ")
    assert tab.until("document.querySelector('#said').textContent") == "Playing Blue"


def test_a_list_is_decided_by_mouse(tab, review):
    tab.click(".row [value=accepted]")
    assert tab.until(
        "document.querySelector('.row.done .verdict').textContent.includes('Accepted Folk')"
    )
    tab.click(".row:nth-child(2) [value=rejected]")
    tab.until("document.querySelectorAll('.row.done').length == 2")
    tab.click(".row:nth-child(3) [value=kept]")
    tab.until("document.querySelectorAll('.row.done').length == 3")
    assert verdicts(review) == {"Ann": "accepted", "Bob": "rejected", "Cy": "kept"}
    assert tab.text("[data-count=todo]") == "1"
    assert tab.text("[data-count=decided]") == "3"


def test_everything_by_keys_alone(tab, review, url):
    tab.press("j")
    assert tab.run("document.activeElement.textContent") == "Blue"
    tab.press("a")
    tab.until(
        "document.querySelectorAll('.row.done').length == 1 && document.activeElement.textContent == 'Red'"
    )
    with tab.loads():
        tab.press("Enter")
    assert tab.text("h1") == "Red"
    tab.press("c")
    assert tab.run("document.activeElement.id") == "genre"
    tab.type("Polka")
    with tab.loads():
        tab.press("Enter")
    assert "<script>" in tab.text("h1")
    tab.until("document.querySelector('#said').textContent == 'Changed to Polka: Red by Bob'")
    with tab.loads():
        tab.press("m")
    assert tab.text("h1") == "Green"
    with tab.loads():
        tab.press("r")
    assert verdicts(review) == {"Ann": "accepted", "Bob": "changed", "Cy": "kept", "Di": "rejected"}
    assert tab.until("document.querySelector('.nothing')?.textContent.includes('Nothing is left')")
    with tab.loads():
        tab.press("u")
    assert "Di" not in verdicts(review)
    assert tab.text("h1, .name") == "Albums"
    assert names(tab) == ["Green"]


def test_keys_are_told_and_typing_is_no_command(tab, review):
    tab.press("?")
    assert tab.run("document.querySelector('#help').open")
    tab.press("a")
    tab.press("Escape")
    tab.until("!document.querySelector('#help').open")
    tab.press("/")
    assert tab.run("document.activeElement.id") == "q"
    tab.press("a")
    tab.press("r")
    assert tab.run("document.querySelector('#q').value") == "ar"
    assert verdicts(review) == {}


def test_one_press_is_one_decision_and_quick_ones_are_of_several_albums(tab, review):
    for _ in range(5):
        tab.press("a", repeat=True)
    assert review.decisions.latest() == {}
    for key in "aRa":  # each before the answer to the one before
        tab.press(key)
    tab.until("document.querySelectorAll('.row.done').length === 3")
    assert verdicts(review) == {"Ann": "accepted", "Bob": "rejected", "Cy": "accepted"}
    tab.press("u")
    tab.until("document.querySelectorAll('.row.done').length === 2")
    assert "Blue" not in tab.text(".row.at .name")
    tab.press("r")  # the album that was taken back has the focus
    tab.until("document.querySelectorAll('.row.done').length === 3")
    assert verdicts(review) == {"Ann": "accepted", "Bob": "rejected", "Cy": "rejected"}


def test_nothing_to_take_back_is_told(tab):
    tab.press("u")
    tab.until("document.querySelector('#said').textContent === 'There is nothing to take back.'")


def test_what_was_done_is_told_once(tab, review, url):
    tab.goto(base(url) + place_of(review, "Ann"))
    with tab.loads():
        tab.press("a")
    tab.until("document.querySelector('#said').textContent.startsWith('Accepted Folk')")
    with tab.loads():
        tab.call("Page.reload")
    assert tab.text("#said") == ""


def test_a_damaged_cover_is_drawn(tab, review, url):
    picture = "document.querySelector('.front')"
    for artist in ("Ann", "Bob"):
        tab.goto(base(url) + place_of(review, artist))
        tab.until(f"{picture}.complete && {picture}.naturalWidth")
    track = review.albums.all[-1].tracks[0]
    file = FLAC(track.path)
    damaged = Picture()
    damaged.data, damaged.type, damaged.mime = PNG[:30], 3, "image/png"
    file.add_picture(damaged)
    file.save()
    tab.goto(base(url) + place_of(review, review.albums.all[-1].artist))
    tab.until(f"{picture}.src.endsWith('drawn=1') && {picture}.naturalWidth")


def test_walking_between_albums(tab, review, url):
    tab.goto(base(url) + place_of(review, "Ann"))
    with tab.loads():
        tab.press("j")
    assert tab.text("h1") == "Red"
    with tab.loads():
        tab.press("k")
    assert tab.text("h1") == "Blue"
    tab.press("k")
    tab.until("document.querySelector('#said').textContent == 'This is the first album.'")


def test_which_tracks_decided_is_filled_in(tab, review, url):
    tab.goto(base(url) + place_of(review, "Bob"))
    tab.until("document.querySelector('.mark.odd')")
    assert tab.run("document.querySelectorAll('.mark.decides').length") == 1
    assert "Without this track" in tab.text("#why")


def test_what_teaches_most_is_decided_in_its_order(tab, review, url):
    tab.goto(base(url) + "?show=teaches")
    shown = [plain(one.name) for one in review.albums.listed(AskedAlbums(TEACHES), {})]
    assert names(tab) == shown
    assert "unsure between Rock and Folk" in tab.text(".row .reason")
    assert not tab.run("Boolean(document.querySelector('details'))")  # nothing is decided yet
    with tab.loads():
        tab.click(".row .name")
    with tab.loads():
        tab.press("r")
    assert verdicts(review) == {"Di": "rejected"}
    assert tab.text("#up") == "Teaches most"
    with tab.loads():
        tab.click("#up")
    assert "matt had said 0 as you decided" in tab.text(".growth")
    assert not tab.run("Boolean(document.querySelector('details'))")  # one point is no curve
    with tab.loads():
        tab.click(".row .name")
    with tab.loads():
        tab.press("a")
    with tab.loads():
        tab.click("#up")
    tab.click("summary")
    tab.until("document.querySelector('.growth img').naturalWidth > 100")


def test_a_reload_and_a_second_tab_see_what_was_decided(browser, tab, review, url):
    other = browser.tab()
    other.goto(base(url))
    tab.press("j")
    tab.press("a")
    tab.until("document.querySelector('.row.done')")
    with tab.loads():
        tab.call("Page.reload")
    assert "Blue" not in names(tab)
    other.press("j")
    other.press("r")  # of a page that is older: what was said last counts
    other.until("document.querySelector('.row.done .verdict.rejected')")
    assert verdicts(review) == {"Ann": "rejected"}
    tab.click("#undo button")
    tab.loaded()
    assert verdicts(review) == {"Ann": "accepted"}
    assert other.complaints() == []


def test_a_hostile_title_is_shown_and_does_nothing(tab, review, url):
    tab.goto(base(url) + place_of(review, "Cy"))
    assert tab.text("h1") == "<script>alert(1)</script>txt.exe\ufffd[31m"
    assert "\u202e" not in tab.run("document.documentElement.outerHTML")
    assert tab.run("document.querySelectorAll('h1 script').length") == 0
    assert HOSTILE.startswith("<script>")


def test_a_file_of_any_name_plays(browser, tmp_path):
    root = tmp_path / "Music"
    path = sound(root / "A?#%" / os.fsdecode(b"a\xff\"'<b>&%2e\n.flac"))
    row = a_row([path], "\ud800\u200f", "\u0645\u0646", None, "new", [("Folk", 0.9)])
    row["tracks"][0]["title"] = ""
    review = review_of([row], root)
    with served(review) as url:
        tab = browser.tab()
        tab.goto(url)
        tab.goto(base(url) + f"album/{review.albums.all[0].key}")
        tab.press(" ")
        assert tab.until("document.querySelector('audio').currentTime > 0")
        assert tab.complaints() == []


def test_a_page_of_somebody_else_reaches_nothing(browser, tab, review, url, tmp_path):
    """Another server on this computer, with our cookie in the same browser."""
    with served(small_library(tmp_path / "other")) as foreign:
        evil = browser.tab()
        evil.goto(foreign)
        target = f"{base(url)}{place_of(review, 'Ann')}"
        asked = (
            f"fetch({target + '/decide'!r}, {{method: 'POST', mode: 'no-cors', credentials: 'include',"
            "body: new URLSearchParams({verdict: 'accepted'})}).then(() => 'sent', () => 'refused')"
        )
        assert evil.run(asked) == "refused"  # by its own policy already
        evil.goto("data:text/html,<h1>elsewhere</h1>")
        evil.run(asked)
        assert (
            evil.run(
                f"fetch({target!r}, {{credentials: 'include'}}).then(() => 'read', () => 'refused')"
            )
            == "refused"
        )
        evil.run(
            f"(() => {{ const one = document.createElement('form'); one.method = 'post'; one.action = {target + '/decide'!r};"
            "one.innerHTML = '<input name=verdict value=accepted>'; document.body.append(one); one.submit(); })()"
        )
        evil.loaded()
        evil.until("document.body.textContent.length > 0")
        assert (
            "Open the address that matt review printed" in evil.text()
            or "another page" in evil.text()
        )
        shown = (
            "document.body.append(Object.assign(document.createElement('iframe'), {src: "
            + repr(base(url))
            + "}))"
        )
        evil.goto("data:text/html,<h1>frame</h1>")
        evil.run(shown)
    assert verdicts(review) == {}


def test_without_scripts_everything_basic_works(browser, review, url):
    tab = browser.tab(scripts=False)
    tab.goto(url)

    def click(selector):
        node = tab.call("DOM.getDocument")["root"]["nodeId"]
        found = tab.call("DOM.querySelector", nodeId=node, selector=selector)["nodeId"]
        box = tab.call("DOM.getBoxModel", nodeId=found)["model"]["content"]
        at = {
            "x": (box[0] + box[4]) / 2,
            "y": (box[1] + box[5]) / 2,
            "button": "left",
            "clickCount": 1,
        }
        with tab.loads():
            for kind in ("mousePressed", "mouseReleased"):
                tab.call("Input.dispatchMouseEvent", type=kind, **at)

    click(".row [value=accepted]")
    assert verdicts(review) == {"Ann": "accepted"}
    click(".row .name")
    click("[name=verdict][value=rejected]")
    assert verdicts(review) == {"Ann": "accepted", "Bob": "rejected"}
    click("#ask")
    node = tab.call("DOM.getDocument")["root"]["nodeId"]
    assert tab.call("DOM.querySelector", nodeId=node, selector=".mark.decides")["nodeId"]
    assert tab.complaints() == []


SERVER = """
import sys
from pathlib import Path
from matt.review.serving import bound, serve
from tests.review_library import small_library
serve(small_library(Path(sys.argv[1])), bound(int(sys.argv[2])), lambda url, _: print(url, flush=True))
"""


def test_a_kill_loses_no_decision(browser, tmp_path):
    def started(port):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        return process, process.stdout.readline().strip()

    process, url = started(0)
    tab = browser.tab()
    try:
        tab.goto(url)
        tab.press("j")
        tab.press("a")
        tab.until("document.querySelector('.row.done')")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert len(Decisions.open(tmp_path / "Music").latest()) == 1
    tab.press("a")
    tab.until("document.querySelector('#said').textContent.includes('does not answer')")
    process, url = started(int(re.search(r":(\d+)/", url)[1]))
    try:
        tab.press("r")
        tab.until("document.querySelector('#said').textContent.includes('Open the address')")
        tab.goto(url)
        assert names(tab) == ["Red", "<script>alert(1)</script>txt.exe\ufffd[31m", "Green"]
        assert tab.text("[data-count=decided]") == "1"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_twenty_thousand_albums(browser, tmp_path):
    review = large_library(tmp_path / "Music")
    with served(review) as url:
        tab = browser.tab()
        tab.goto(url)
        assert len(names(tab)) == 50
        assert tab.text("[data-count=all]") == "20,000"
        for _ in range(50):
            tab.press("j")
        assert tab.run("document.querySelectorAll('.row')[49].classList.contains('at')")
        with tab.loads():
            tab.press("j")
        assert "Page 2 of 300" in tab.text(".pages")
        tab.press("/")
        tab.type("album 19999")
        with tab.loads():
            tab.press("Enter")
        tab.goto(base(url) + "?show=all&q=album+19999")
        assert names(tab) == ["Album 19999"]
        assert tab.complaints() == []


@pytest.mark.parametrize("width", [1280, 500, 390, 320])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_and_can_be_read(browser, review, url, width, dark):
    tab = browser.tab(width=width, height=844, dark=dark)
    tab.goto(url)
    for place in ("", "?show=teaches", place_of(review, "Cy"), "write"):
        tab.goto(base(url) + place)
        # A phone makes its window as wide as what does not fit, so that is no measure of it.
        assert tab.run("document.documentElement.scrollWidth") <= width, place
        assert tab.run(CONTRAST) == [], place
    assert tab.complaints() == []


# Texts whose contrast with what is behind them is below 4.5 to 1.
CONTRAST = """(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
  const behind = (one) => { for (; one; one = one.parentElement) { const c = channels(getComputedStyle(one).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const low = [];
  for (const one of document.querySelectorAll('body *')) {
    const text = [...one.childNodes].filter((node) => node.nodeType == 3).map((node) => node.data.trim()).join('');
    if (!text || !one.checkVisibility() || one.closest('.skip, dialog, option, audio')) continue;
    const pair = [light(channels(getComputedStyle(one).color)), light(behind(one))].sort((a, b) => b - a);
    if ((pair[0] + .05) / (pair[1] + .05) < 4.5) low.push([text, getComputedStyle(one).color]);
  }
  return low;
})()"""
