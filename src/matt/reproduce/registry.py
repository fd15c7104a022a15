"""Everything that can be made, by the name of its option, in the order of the finished page."""

from __future__ import annotations

from . import (
    case_study,
    claim_rows,
    degradation,
    fault_study,
    figure_1,
    figure_4,
    recipes,
    table_1,
    table_2,
)
from .data import MFCC, SMALL, Data
from .targets import Target


def _not_of_recipes(data: Data) -> str:
    if data.key in (SMALL, MFCC):
        return f"{data.key} has one set of features, and not FMA-medium's genres"
    return ""


TARGETS: dict[str, Target] = {
    "faults": Target("Faults, alone and one after the other", fault_study.needs, fault_study.make),
    "claims": Target("What the paper claims", claim_rows.needs, claim_rows.make),
    "table 1": Target("Table I", table_1.needs, table_1.make, _not_of_recipes),
    "table 2": Target("Table II", table_2.needs, table_2.make, _not_of_recipes),
    "case study": Target("Case study", case_study.needs, case_study.make),
    "figure 1": Target("Fig. 1: distribution of genres", figure_1.needs, figure_1.make),
    "figure 4": Target("Fig. 4: curves and accuracy", figure_4.needs, figure_4.make),
    "degradation": Target(
        "Bags that lack tracks, tags or truth", degradation.needs, degradation.make
    ),
    "recipes": Target("Recipes on real tracks", recipes.needs, recipes.make, recipes.impossible),
}
