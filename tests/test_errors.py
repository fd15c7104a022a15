"""Arguments of a wrong type are told by name, and what holds arrays is shown in one line."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import matt
from matt import Bags, FeatureSpec, FeatureStore, MattError, Predictions, Tracks, splits
from matt.calibration.coverage import coverage
from matt.calibration.priors import reprior
from matt.datasets.audit import audit
from matt.datasets.describe import describe
from matt.datasets.export import export_by_genre
from matt.datasets.folder import scan
from matt.datasets.near_duplicates import find_near_duplicates
from matt.errors import ArgumentError, check_arguments
from matt.evaluation.intervals import bootstrap, paired_bootstrap
from matt.evaluation.items import items_of
from matt.evaluation.scores import score, score_with_intervals
from matt.features.extract import extract, extract_all
from matt.library.explain import explain
from matt.library.predict import predict_library
from matt.models.baselines import BaselineClassifier
from matt.models.flat import BagClassifier
from matt.models.neural import NeuralClassifier
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings

SOURCE = Path(matt.__file__).parent
N = 40
TRACKS = Tracks(
    range(N), np.arange(N) // 4 % 2, ("Rock", "Folk"), artist_id=np.arange(N) // 2,
    album_id=np.arange(N) // 2, split=["training", "test"] * (N // 2),
)  # fmt: skip
BAGS = Bags.from_tracks(TRACKS)
X = np.random.default_rng(0).standard_normal((N, 3)) + np.arange(N)[:, None] // 4 % 2
STORE = FeatureStore.from_arrays("toy", TRACKS.track_id, X)
SAID = Predictions(Bags.from_tracks(TRACKS, by="track"), TRACKS, X[:, :2].astype(np.float32))
NEURAL = NeuralClassifier(ModelSettings(hidden=(4,)), TrainingSettings(epochs=2))
LR = BaselineClassifier(BaselineSettings(classifier="lr"))
SPEC = FeatureSpec.logmel()

SWAPPED = {
    "fit": (lambda m: m.fit(BAGS, STORE), "features must be a FeatureStore, but got Bags; bags is the second argument"),
    "fit valid": (lambda m: m.fit(STORE, BAGS, valid=TRACKS), "valid must be Bags or None, but got Tracks; make one with Bags.from_tracks"),
    "fit path": (lambda m: m.fit("store", BAGS), "features must be a FeatureStore, but got str; make one with FeatureStore.open"),
    "predict": (lambda m: m.predict(STORE, BAGS, TRACKS), "tracks must be Tracks, but got Bags; bags is the third argument"),
    "predict without": (lambda m: m.predict(TRACKS, BAGS, None), "features must be a FeatureStore, but got Tracks; tracks is the second argument"),
}  # fmt: skip
CALLS = {
    "model": (lambda: NeuralClassifier(TrainingSettings()), "model must be ModelSettings or None, but got TrainingSettings; training is the second argument"),
    "settings": (lambda: BaselineClassifier(ModelSettings()), r"settings must be BaselineSettings or None, but got ModelSettings; make one with BaselineSettings\(...\)"),
    "flat": (lambda: BagClassifier(TrainingSettings()).fit(X, TRACKS.labels), "model must be ModelSettings or BaselineSettings or None, but got TrainingSettings; training is the second"),
    "embed": (lambda: NEURAL.embed(STORE, BAGS, TRACKS), "tracks must be Tracks, but got Bags; bags is the third argument"),
    "from_tracks": (lambda: Bags.from_tracks("album", TRACKS), "tracks must be Tracks, but got str; by is the second argument"),
    "from_tracks path": (lambda: Bags.from_tracks(Path("a.parquet")), "but got PosixPath; make one with Tracks.load"),
    "from_tracks class": (lambda: Bags.from_tracks(Tracks), "tracks must be Tracks, but got the class Tracks"),
    "predictions": (lambda: Predictions(TRACKS, BAGS, X), "bags must be Bags, but got Tracks; tracks is the second argument"),
    "from_csv": (lambda: Predictions.from_csv(TRACKS, "a.csv"), "path must be a Path or a str, but got Tracks; tracks is the second argument"),
    "average": (lambda: SAID.average_over(TRACKS), "bags must be Bags, but got Tracks; make one with Bags.from_tracks"),
    "score": (lambda: score(BAGS), "predictions must be Predictions, but got Bags; make one with Predictions.load or Predictions.from_csv"),
    "intervals": (lambda: score_with_intervals(TRACKS), "predictions must be Predictions, but got Tracks"),
    "paired": (lambda: paired_bootstrap(SAID, BAGS), "second must be Predictions, but got Bags"),
    "by_artist": (lambda: splits.by_artist(BAGS), "tracks must be Tracks, but got Bags; make one with Tracks.from_columns"),
    "folds": (lambda: next(splits.folds(STORE)), "tracks must be Tracks, but got FeatureStore"),
    "extract": (lambda: extract(TRACKS, "store", SPEC), "spec must be a FeatureSpec, but got str; store is the third argument"),
    "extract_all": (lambda: extract_all({SPEC: "store"}, TRACKS), "tracks must be Tracks, but got dict; stores is the second argument"),
    "library": (lambda: predict_library(NEURAL, TRACKS, "store"), "scan must be a Scan, but got NeuralClassifier; model is the second argument"),
    "audit": (lambda: audit(STORE), "tracks must be Tracks, but got FeatureStore; features is the second argument"),
    "describe": (lambda: describe(BAGS), "tracks must be Tracks, but got Bags"),
    "export": (lambda: export_by_genre("out", TRACKS), "tracks must be Tracks, but got str"),
    "explain": (lambda: explain(NEURAL), "predictions must be Predictions, but got NeuralClassifier"),
    "reprior": (lambda: reprior(TRACKS, "uniform", trained=None), "predictions must be Predictions"),
    "coverage": (lambda: coverage(BAGS), "predictions must be Predictions"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_a_wrong_argument_is_told_by_name(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize("model", [NEURAL, LR], ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(("call", "message"), SWAPPED.values(), ids=SWAPPED)
def test_every_classifier_tells_swapped_arguments(model, call, message):
    with pytest.raises(TypeError, match=message):
        call(model)
    with pytest.raises(MattError):
        call(model)


def test_none_and_subclasses_pass():
    class Mine(Tracks):
        pass

    mine = Mine(TRACKS.track_id, TRACKS.labels, TRACKS.genres)
    check_arguments(tracks=(mine, Tracks), bags=(None, Bags | None))


def fitted(model):
    return model.fit(STORE, BAGS)


def scanned(folder):
    soundfile.write(folder / "a.wav", np.zeros(800), 8000)
    return scan(folder)


SHOWN = {
    "store": (lambda tmp: STORE, r"FeatureStore\('toy': 40 tracks, 40 segments of \(3,\) float32\)"),
    "spec": (lambda tmp: SPEC, r"FeatureSpec\('logmel': \(96, 1360\) float16, digest \w{12}\)"),
    "neural": (lambda tmp: NeuralClassifier(ModelSettings(pooling="dot")), r"NeuralClassifier\(mlp encoder, dot pooling; not fitted\)"),
    "fitted neural": (lambda tmp: fitted(NEURAL), r"NeuralClassifier\(mlp encoder, mean pooling; from 'toy' to 2 genres \(Rock, Folk\), 20 training tracks\)"),
    "baseline": (lambda tmp: BaselineClassifier(), r"BaselineClassifier\(lr; not fitted\)"),
    "fitted baseline": (lambda tmp: fitted(LR), r"BaselineClassifier\(lr; from 'toy' to 2 genres \(Rock, Folk\), 20 training tracks\)"),
    "flat": (lambda tmp: BagClassifier(), r"BagClassifier\(mlp encoder, mean pooling; not fitted\)"),
    "flat baseline": (lambda tmp: BagClassifier(BaselineSettings(classifier="knn")), r"BagClassifier\(knn; not fitted\)"),
    "fitted flat": (lambda tmp: BagClassifier(BaselineSettings()).fit(X, TRACKS.labels), r"BagClassifier\(lr; fitted, 2 classes\)"),
    "embeddings": (lambda tmp: fitted(NEURAL).embed(STORE, TRACKS, BAGS), r"Embeddings\(embeddings: 40 x 4 float32, attention: 40 x 1 float32, .*"),
    "scores": (lambda tmp: score(SAID), r"Scores\(40 items by track; accuracy 0\.\d{3}, .*\)"),
    "items": (lambda tmp: items_of(SAID), r"Items\(.*truth: 40 x 2 bool.*"),
    "resampled": (lambda tmp: bootstrap(items_of(SAID), rounds=20), r"Resampled\(.*"),
    "scan": (lambda tmp: scanned(tmp), r"Scan\(tracks: 1 Tracks, .*"),
    "audit": (lambda tmp: audit(TRACKS), r"Audit\(.*"),
    "description": (lambda tmp: describe(TRACKS), r"Description\(.*"),
    "near": (lambda tmp: find_near_duplicates(TRACKS, STORE, threshold=0.1), r"NearDuplicates\(.*"),
    "coverage": (lambda tmp: coverage(SAID), r"Coverage\(.*"),
    "prior": (lambda tmp: fitted(LR).prior, r"TrainedPrior\(bags: 2 float64, .*"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "shown"), SHOWN.values(), ids=SHOWN)
def test_everything_is_shown_in_one_line_without_its_arrays(make, shown, tmp_path):
    text = repr(make(tmp_path))
    assert re.fullmatch(shown, text), text
    assert len(text) < 400
    assert "array(" not in text


# What people are told to do ---------------------------------------------------------------------


def texts_of(tree):
    """Texts in the code, without docstrings."""
    bodies = [node.body for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list)]
    told = {
        id(line.value)
        for body in bodies
        for line in body
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


ADVICE = re.compile(
    r"\b(delete|erase|wipe|unlink|rm|throw away|(or|and|;) remove)\b", re.IGNORECASE
)


def test_nobody_is_ever_told_to_delete_a_file():
    found = {
        f"{path.relative_to(SOURCE)}: {text}"
        for path in SOURCE.rglob("*.py")
        for text in texts_of(ast.parse(path.read_text(encoding="utf-8")))
        if ADVICE.search(text)
    }
    assert found == set()


@pytest.mark.parametrize("text", ["a is empty; delete it", "mend or remove it", "run rm -r runs"])
def test_advice_to_delete_would_be_found(text):
    (found,) = texts_of(ast.parse(f'def f():\n    "delete"\n    raise ValueError({text!r})'))
    assert ADVICE.search(found)
