import numpy as np
import pytest
import torch

from matt.demo import run_demo
from matt.runs import Run


@pytest.mark.slow
def test_the_demonstration_from_nothing_and_again(tmp_path):
    torch.set_num_threads(1)
    told = []
    first = run_demo(
        tmp_path / "demo",
        n_splits=1,
        n_tracks=60,
        workers=2,
        progress=lambda *step: told.append(step),
    )
    assert {step for step, *_ in told} == {
        "real: training",
        "writing the synthetic library",
        "comparing with the store",
        "extracting features",
        "synthetic: training",
    }
    assert Run.open(tmp_path / "demo").manifest["status"] == "finished"
    page = first.run.report.read_text()
    for text in (
        "Real music",
        "synthetic",
        "control, trained as the default",
        "empty.flac",
        "truncated.mp3",
    ):
        assert text in page
    assert "<script" not in page
    second = run_demo(tmp_path / "demo", n_splits=1, n_tracks=60, workers=2)
    assert (
        len(list((tmp_path / "demo" / "features-0-60").glob("plan-*"))) == 1
    )  # nothing to do again
    for name in ("real", "synthetic", "genres"):
        assert second.tables[name].to_json() == first.tables[name].to_json()
    sums = [sum(track["attention"] for track in row["tracks"]) for row in second.albums.values()]
    np.testing.assert_allclose(sums, 1, atol=1e-3)
