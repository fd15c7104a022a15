"""The grid file: products, names, controls, and every problem of every cell at once."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError
from matt.comparison import track_model
from matt.grid.setups import product, read_axes, read_grid


def written(tmp_path, text):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def rows(tmp_path, text, overrides=()):
    return {row.name: row for row in read_grid(written(tmp_path, text), overrides).rows}


def own_controls(tmp_path, text):
    """Name of each row's control, by its name."""
    return read_grid(written(tmp_path, text)).controls


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_product_has_every_combination_once(sizes):
    problems = []
    axes = read_axes({f"training.k{i}": list(range(n)) for i, n in enumerate(sizes)}, problems)
    found = list(product(axes))
    assert not problems
    distinct = {tuple(values.items()) for _, values in found}
    total = 1
    for n in sizes:
        total *= n
    assert len(found) == len(distinct) == total
    assert len({", ".join(labels.values()) for labels, _ in found}) == total


def test_cells_are_named_by_what_differs_and_have_their_settings(tmp_path):
    found = rows(
        tmp_path,
        """
        bags = "artist_id"
        training.epochs = 7
        [grid]
        "model.hidden" = [[5], [11, 3]]
        "training.sub_bags" = [true, false]
        """,
        ["training.lr=0.5"],
    )
    names = [name for name in found if not name.startswith("control")]
    assert names == [
        f"hidden={hidden}, sub_bags={bags}"
        for hidden in ("[5]", "[11, 3]")
        for bags in ("true", "false")
    ]
    one = found["hidden=[11, 3], sub_bags=false"]
    assert one.model.hidden == (11, 3)
    assert (one.training.sub_bags, one.training.epochs, one.training.lr) == (
        False,
        7,
        0.5,
    )
    assert one.bags == "artist_id"


def test_keys_without_quotes_and_axes_with_names(tmp_path):
    found = rows(
        tmp_path,
        """
        [grid]
        model.pooling = ["mean", "dot"]
        [grid.loss]
        plain = { training.logit_adjustment = 0.0, training.segment_loss = 0.0 }
        "as it is" = {}
        """,
    )
    assert {"pooling=dot, plain", "pooling=mean, as it is"} < set(found)
    plain = found["pooling=dot, plain"].training
    assert (plain.logit_adjustment, plain.segment_loss) == (0, 0)
    assert found["pooling=dot, as it is"].training.logit_adjustment == 1


def test_keys_that_end_alike_are_told_apart(tmp_path):
    found = rows(
        tmp_path,
        '[grid]\n"model.hidden" = [[5]]\n"baseline.hidden" = [[3]]\n"training.lr" = [1.0, 0.5]',
    )
    assert "model.hidden=[5], baseline.hidden=[3]" in found  # the baseline has no lr


def test_each_cell_has_its_control_with_the_same_inputs_encoder_and_loss(tmp_path):
    text = '[grid]\n"model.pooling" = ["mean", "dot"]\n"training.logit_adjustment" = [0.0, 1.0]'
    found, controls = rows(tmp_path, text), own_controls(tmp_path, text)
    own = {name for name, control in controls.items() if name == control}
    assert own == {"control: logit_adjustment=0", "control: logit_adjustment=1"}
    name = "pooling=dot, logit_adjustment=0"
    assert controls[name] == "control: logit_adjustment=0"
    row, control = found[name], found[controls[name]]
    beside = track_model(control.name, row.model, row.training, average=True)
    assert control == replace(beside, features=row.features)
    assert (control.lone, control.average, control.model.pooling) == (True, True, "mean")


def test_one_control_is_called_control(tmp_path):
    controls = own_controls(tmp_path, '[grid]\n"model.pooling" = ["mean", "dot", "max"]')
    assert len(controls) == 4
    assert set(controls.values()) == {"control"}


def test_a_control_that_the_file_names_is_not_fitted_twice(tmp_path):
    text = '[grid]\nrow = ["bags", "averaged", "alone"]\n"model.pooling" = ["mean", "dot"]'
    found, controls = rows(tmp_path, text), own_controls(tmp_path, text)
    assert list(found) == [
        "row=bags, pooling=mean",
        "row=bags, pooling=dot",
        "row=averaged",
        "row=alone",
    ]
    assert set(controls) == set(found)
    assert set(controls.values()) == {"row=averaged"}
    assert (found["row=alone"].lone, found["row=alone"].average) == (True, False)


def test_baselines_stand_beside_networks(tmp_path):
    text = '[grid.kind]\nLR = { "baseline.classifier" = "lr" }\nMATT = { "model.pooling" = "dot" }'
    found = rows(tmp_path, text)
    assert list(found) == ["LR", "MATT", "control"]
    assert found["LR"].average
    assert own_controls(tmp_path, text)["LR"] == "control"
    with pytest.raises(ConfigError, match="a baseline knows no bags; use row = 'averaged'"):
        rows(tmp_path, '[grid]\nrow = ["bags"]\n"baseline.classifier" = ["lr", "knn"]')


def test_faults_are_an_axis_and_the_control_has_none(tmp_path):
    text = (
        'model.pooling = "dot"\n[grid]\nfaults = [[], ["true_query"], "released"]\nrow = ["bags"]'
    )
    grid = read_grid(written(tmp_path, text))
    found = {row.name: row for row in grid.rows}
    assert found["faults=[true_query], row=bags"].model.query == "true"
    assert found["faults=released, row=bags"].test_selection
    assert found["faults=released, row=bags"].facts()["genre_in_training_key"]
    controls = [found[name] for name, control in grid.controls.items() if name == control]
    assert controls
    assert not any(row.test_selection or row.model.query == "true" for row in controls)
    told = " ".join(grid.notes)
    assert "Fault true_query: in training only" in told
    assert "fault unscaled has no effect here" in told


def test_facts_do_not_depend_on_names_or_seeds(tmp_path):
    one = rows(tmp_path, '[grid.a]\nx = { "model.pooling" = "dot" }')
    two = rows(tmp_path, 'seed = 3\n[grid]\n"model.pooling" = ["dot"]')
    assert one["x"].facts() == two["pooling=dot"].facts()
    three = rows(tmp_path, '[grid]\n"model.pooling" = ["max"]')
    assert three["pooling=max"].facts() != one["x"].facts()


def test_all_problems_of_all_cells_are_told_at_once(tmp_path):
    path = written(
        tmp_path,
        """
        training.epocs = 3
        [grid]
        "model.pooling" = ["dott", "mean"]
        "training.lr" = [-1.0, 0.5]
        """,
    )
    with pytest.raises(ConfigError) as caught:
        read_grid(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "all cells: unknown key 'training.epocs'; did you mean 'epochs'?" in told
    assert (
        "2 of 4 cells ('pooling=dott, lr=-1', 'pooling=dott, lr=0.5'): unknown model.pooling "
        in told
    )
    assert "did you mean 'dot'?" in told
    assert "2 of 4 cells ('pooling=dott, lr=-1', 'pooling=mean, lr=-1'): training.lr " in told


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ("", r"\[grid\] names no axis; add one"),
        ("[grid]\n", r"\[grid\] names no axis; add one"),
        ("grid = 3", r"\[grid\] names no axis; add one"),
        ('[grid]\n"model.pooling" = "dot"', r"'model.pooling' is 'dot'; give a list of values"),
        ('[grid]\n"model.pooling" = []', r"'model.pooling' lists no value, or leave it out"),
        ('[grid]\n"training.lr" = [1.0, 1.0]', r"lists lr=1 twice; leave one out"),
        ('[grid]\n"modle.pooling" = ["dot"]', r"'modle.pooling' is no setting; did you mean 'model'"),
        ('[grid]\nrow = ["average"]', r"row is 'average'; did you mean 'averaged'\?"),
        ('[grid]\nseed = [0, 1]', r"'seed' would have cells learn from other tracks.* --repeats"),
        ('[grid]\n"splits.test" = [0.1, 0.2]', r"'splits.test' would have cells learn from other"),
        ('[grid.loss]\nplain = 3', r"\[grid.loss\] 'plain' is 3, not a set of settings; write plain"),
        ('[grid.loss]', r"\[grid.loss\] has no option; name some"),
        ('[grid]\n"training.lr" = [1.0]\n[grid.a]\nx = { training.lr = 2.0 }', r"set by the axes 'training.lr' and 'a'; keep one"),
        ('model = "dot"\n[grid]\n"model.pooling" = ["dot"]', r"model.pooling: 'model' is a value and has no keys"),
        ('splits.validation = 0.0\n[grid]\n"training.lr" = [1.0]', r"ranked on validation"),
        ('[grid]\n"training.lr" = [1.0]\n"training.epochs" = [1.5]', r"all cells: training.epochs"),
        ('[grid]\n"model.query" = ["true"]\n"model.pooling" = ["mean", "dot"]', r"1 of 2 cells \('query=true, pooling=mean'\): model: query='true' needs"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_grid_is_told(tmp_path, grid, told):
    with pytest.raises(ConfigError, match=told):
        read_grid(written(tmp_path, grid))


def test_a_slip_of_the_pen_does_not_make_a_million_cells(tmp_path):
    values = list(range(1, 102))
    text = f'[grid]\n"training.epochs" = {values}\n"training.patience" = {values}'
    with pytest.raises(ConfigError, match=r"101 x 101 = 10,201 cells are more than 10,000"):
        read_grid(written(tmp_path, text))


def test_a_file_that_is_not_there_or_no_toml(tmp_path):
    with pytest.raises(ConfigError, match="does not exist; check the path"):
        read_grid(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match=r"is not TOML: .*; correct that line"):
        read_grid(written(tmp_path, "[grid"))


def test_the_grid_of_the_documentation_can_be_read(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "compare.md").read_text(encoding="utf-8")
    found = rows(tmp_path, re.search(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1])
    assert "pooling=dot, large, plain" in found
    assert len(found) == 27 + 9  # adjusted and default share their control


GRID = "[grid.pooling]\nmean = {}\ndot = { model.pooling = 'dot' }\n"


def test_a_grid_of_blends_says_so_and_its_networks_can_be_compared_alone(tmp_path):
    grid = read_grid(written(tmp_path, GRID))
    assert [bool(row.blend) for row in grid.rows] == [True, True, False]
    assert any("2 rows are blends" in note for note in grid.notes)
    for top in ('recipe = "single"\n', "blend = []\n"):
        grid = read_grid(written(tmp_path, top + GRID))
        assert not any(row.blend for row in grid.rows)
        assert not grid.notes
    faulty = read_grid(written(tmp_path, 'faults = ["true_query"]\n' + GRID))
    assert not any(row.blend for row in faulty.rows)
