"""What is shown while features are extracted, to people at a terminal and to those with a log."""

import io
import json
import re

from extraction import write
from rich.console import Console
from typer.testing import CliRunner

from matt import FeatureSpec
from matt.cli import sources
from matt.cli.app import app
from matt.cli.console import Bars, Output
from matt.cli.sources import watched
from matt.features.blocks import ROWS_SCHEMA, read_rows
from matt.files import write_parquet
from matt.processes import Progress

SPECS = [FeatureSpec.summary(), FeatureSpec.logmel()]
FAILURE = "music/\x1b[31mbad.mp3: holds no audio"


def step(done, **more):
    return Progress("extracting", done, 900, **more)


def test_without_a_terminal_there_is_a_line_a_minute(monkeypatch, capsys):
    now = 1_000.0
    monkeypatch.setattr(sources.time, "monotonic", lambda: now)
    with watched(Output(), SPECS) as tell:
        for second in range(130):
            now = 1_000.0 + second
            tell(step(3 * second, failed=2, rate=3.0, left=(900 - 3 * second) / 3))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "extracting summary, logmel: 180 of 900, 2 failed, 3 a second, about 0:04:00 left",
        "extracting summary, logmel: 360 of 900, 2 failed, 3 a second, about 0:03:00 left",
    ]


def test_what_will_be_written_is_told_once_if_it_is_much(capsys):
    for n_bytes, told in [(2_610_000_000, 1), (10_000, 0)]:
        with watched(Output(), SPECS) as tell:
            for done in range(3):
                tell(step(done, n_bytes=n_bytes))
        assert capsys.readouterr().err.count("about 2.61 GB will be written") == told


def test_quiet_is_silent(monkeypatch, capsys):
    monkeypatch.setattr(sources, "_LINE_EVERY", 0.0)
    with watched(Output(quiet=True), SPECS) as tell:
        tell(step(5, n_bytes=10**10, last_failure=FAILURE))
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_counts_the_time_that_is_left_and_what_failed_last():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    with Bars(console=console, disable=False) as bars:
        bars.footer = "failed last: " + "music/" * 40
        bars.show("extracting", 41, 900, "2 failed, 3 a second", left=3_723.4)
    shown = screen.getvalue().replace("\r", "\n").splitlines()
    (line,) = {text.strip() for text in shown if "41/900" in text}
    assert line.endswith("ETA 1:02:03")
    assert "2 failed, 3 a second" in line
    footers = [text for text in shown if text.startswith("failed last: music/")]
    assert footers
    assert all(len(text) <= 100 for text in footers)


# ---- what a store says of itself ----


def matt(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_store_of_before_says_what_it_lacks_and_how_to_go_on_with_it(tmp_path):
    """It keeps silence, has no checksums, and serves another folder, too."""
    store, folders = tmp_path / "store", [tmp_path / name for name in "ab"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for file in range(number + 1):
            write(folder / f"{number}{file}.wav", seed=10 * number + file)
    usual = ("--features", "mfcc", "--duration", "0.5", "--store", store, "--workers", "1")
    assert matt("extract", folders[0], *usual, "--silence", "keep").exit_code == 0
    for block in store.glob("0*.parquet"):
        write_parquet(block, read_rows(block)[0], schema=ROWS_SCHEMA)

    refused = matt("extract", folders[0], *usual)
    assert refused.exit_code == 2
    told = " ".join(refused.stderr.split())
    assert "differ in silence: keep / skip (found / wanted); to go on with it, ask for" in told
    assert "--silence keep (in settings features.silence = 'keep'); or name another folder" in told

    asked = re.search(r"--silence keep", told)[0].split()
    other = matt("extract", folders[1], *usual, *asked, "--verify")
    assert other.exit_code == 0
    assert "2 extracted, 0 failed, 1 of other folders or left out." in other.stdout
    assert "1 block has no checksum" in other.stderr
    assert "extract into another folder (--store)" in " ".join(other.stderr.split())

    (folders[0] / "00.wav").unlink()
    again = matt("extract", folders[1], *usual, *asked, "--verify", "--json")
    (told,) = json.loads(again.stdout)["stores"]
    assert (told["counts"]["deleted"], told["counts"]["others"]) == (1, 0)
    assert told["unchecked"] == ["0000-00000"]
