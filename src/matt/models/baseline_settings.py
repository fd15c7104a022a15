"""Settings of a scikit-learn baseline, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConfigError
from .setting_checks import check_choice, check_whole

BASELINE_NAMES = ("lr", "knn", "svm", "mlp_sklearn")
RELEASE: dict[str, dict[str, Any]] = {  # what the paper's release set
    "lr": {"max_iter": 100},
    "knn": {"n_neighbors": 5},
    "svm": {},
    "mlp_sklearn": {"hidden": (100,), "max_iter": 200},
}


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """What a scikit-learn baseline is; the defaults are FMA's.

    Attributes
    ----------
    classifier : {"lr", "knn", "svm", "mlp_sklearn"}
        Logistic regression, nearest neighbours, a support vector machine with a Gaussian kernel, or
        scikit-learn's MLP.
    n_neighbors : int >= 1
        Of ``"knn"``; all training tracks where there are fewer.
    hidden : tuple of int, each >= 1
        Units of each layer of ``"mlp_sklearn"``.
    max_iter : int >= 1
        Iterations of ``"lr"`` and epochs of ``"mlp_sklearn"``, at most.
    unscaled : bool
        A fault of the paper's release: features are not standardised, and its settings replace
        those above (5 neighbours; 100 iterations of ``"lr"``; one layer of 100 units and 200 epochs
        of ``"mlp_sklearn"``). What the paper prints of these baselines was measured so.
    seed : int >= 0
        Of the weights and batches of ``"mlp_sklearn"``; the others draw nothing.

    Raises
    ------
    ConfigError
        Naming the setting, its value and what would do.
    """

    classifier: str = "lr"
    n_neighbors: int = 200
    hidden: tuple[int, ...] = (100,)
    max_iter: int = 2000
    unscaled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("classifier", self.classifier, BASELINE_NAMES)
        for name in ("n_neighbors", "max_iter"):
            check_whole(name, getattr(self, name), at_least=1)
        check_whole("seed", self.seed, at_least=0)
        if not isinstance(self.hidden, (tuple, list)) or not self.hidden:
            raise ConfigError(
                f"hidden must be a list of layer sizes such as [100], got {self.hidden!r}; "
                "for no layer at all use classifier='lr'"
            )
        for size in self.hidden:
            check_whole("hidden", size, at_least=1)
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not isinstance(self.unscaled, bool):
            raise ConfigError(f"unscaled must be true or false, got {self.unscaled!r}; choose one")

    @property
    def effective(self) -> BaselineSettings:
        """Settings that count: under the fault ``unscaled`` those of the release.

        >>> BaselineSettings(classifier="knn", unscaled=True).effective.n_neighbors
        5
        """
        return replace(self, **RELEASE[self.classifier]) if self.unscaled else self
