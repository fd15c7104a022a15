"""What an encoder, a pooling and a loss have to keep, as functions to call in a test of your own.

Each builds what it is given several times and raises an `AssertionError` that says which promise is
broken. Ours are tested by the same functions.

Shapes: N segments in B bags, F features, D embedding dimensions, G genres; no two axes have the
same size, so that a swapped axis is found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .errors import ConfigError
from .models.network import BagNetwork, Encoded
from .models.pooling import Pooling, segment_sum

SIZES = (1, 5, 2, 3)  # N = 11 segments in B = 4 bags
D, G = 7, 3
_OFFSETS = torch.tensor([0, *SIZES]).cumsum(0)


def check_encoder(
    encoder: Callable[..., Any], *, feature_shape: Sequence[int] = (6,), settings: Any = None
) -> None:
    """Check what `matt.models.register` asks of an encoder.

    It announces its ``embedding_dim``; an embedding depends on its own segment alone, and not on
    chance outside of training; gradients reach every parameter and every segment; any number of
    segments can be encoded, and saved weights give the same embeddings.

    Parameters
    ----------
    encoder : callable
        As it would be registered.
    feature_shape : sequence of int
        Of one segment that it can read, (F,) or (F, T).
    settings : object, optional
        An instance of its own settings, if it has some.

    Raises
    ------
    AssertionError
        Naming the promise that is broken.

    Examples
    --------
    >>> from matt.models.encoders import MLP
    >>> check_encoder(lambda shape: MLP(shape, hidden=[5], dropout=0.1))
    """
    built = _build(encoder, (tuple(feature_shape),), settings)
    dim = getattr(built, "embedding_dim", None)
    _say(isinstance(dim, int) and dim > 0, f"embedding_dim is {dim!r}; set it to the D of (N, D)")
    floats = getattr(built, "segment_floats", 1)
    _say(floats > 0, f"segment_floats is {floats!r}; give a positive number, or leave it out")
    x = _segments(3, *feature_shape)
    before = x.clone()
    h = built.eval()(x)
    _say(h.shape == (3, dim), f"3 segments became {tuple(h.shape)}, not {(3, dim)}")
    _say(torch.equal(x, before), "it changes the segments that it is given; work on a copy")
    _same(built(x), h, "in evaluation the same segments give other embeddings; heed self.training")
    alone = torch.cat([built(x[i : i + 1]) for i in range(3)])
    _same(alone, h, "an embedding depends on the other segments of the batch, outside of training")
    empty = built(x[:0])
    _say(empty.shape == (0, dim), f"no segment became {tuple(empty.shape)}, not {(0, dim)}")
    x.requires_grad_()
    built(x).square().sum().backward()
    _check_gradients(built)
    reached = x.grad is not None and bool((x.grad.flatten(1).abs().sum(1) > 0).all())
    _say(reached, "no gradient reaches some segment; is it detached?")
    again = _reloaded(encoder, (tuple(feature_shape),), settings, built)
    _same(again(x), h, "with the saved weights it gives other embeddings; keep state in buffers")


def check_pooling(pooling: Callable[..., Any], *, settings: Any = None) -> None:
    """Check what `matt.models.register` asks of a pooling.

    Attention is at least 0 and sums to 1 over each bag; bags do not see each other, nor the order
    of their segments; a track that is cut into equal copies counts as before; huge scores stay
    finite; a bag can be read in parts; and saved weights give the same logits.

    Parameters
    ----------
    pooling : callable
        As it would be registered.
    settings : object, optional
        An instance of its own settings, if it has some.

    Raises
    ------
    AssertionError
        Naming the promise that is broken.

    Examples
    --------
    >>> from matt.models.pooling import Mean
    >>> check_pooling(lambda embedding_dim, n_genres: Mean())
    """
    built = _build(pooling, (D, G), settings)
    _say(isinstance(built, Pooling), "it is no matt.models.pooling.Pooling; derive it from that")
    network = _network(built)
    x, log_sizes = _segments(sum(SIZES), D), torch.zeros(sum(SIZES), dtype=torch.float64)
    said = network.pooling(network.classifier(x) if built.reads_logits else x)
    _say(
        said.shape in ((len(x), G), (len(x), 1)),
        f"scores of {len(x)} segments, {D} dimensions and {G} genres are {tuple(said.shape)}, "
        f"not {(len(x), G)} or {(len(x), 1)}",
    )
    logits, _, attention = network(x)
    _say(bool((attention >= 0).all()), "attention is below 0")
    sums = segment_sum(attention, _OFFSETS)
    _same(sums, torch.ones_like(sums), "attention does not sum to 1 over each bag")
    _same(network(x).logits, logits, "in evaluation the same bags give other logits")
    bags = [slice(start, end) for start, end in pairwise(_OFFSETS.tolist())]
    alone = [network.bags(x[b], torch.tensor([0, len(x[b])]), log_sizes[b]) for b in bags]
    _same(torch.cat([one.logits for one in alone]), logits, "bags see each other")
    flip = torch.cat([torch.arange(len(x))[b].flip(0) for b in bags])
    _same(network(x[flip]).logits, logits, "the order of the segments of a bag matters")
    copies = torch.arange(len(x)) % 3 + 1
    longer = torch.cat([torch.tensor([0]), copies.cumsum(0)])[_OFFSETS]
    cut = network.bags(
        x.repeat_interleave(copies, 0), longer, copies.double().log().repeat_interleave(copies)
    )
    _same(cut.logits, logits, "a track that is cut into equal copies counts for more")
    read = [network.segments(x[i : i + 4], log_sizes[i : i + 4]) for i in range(0, len(x), 4)]
    whole = Encoded(*(torch.cat(column) for column in zip(*read, strict=True)))
    _same(network.pool(whole, _OFFSETS)[0], logits, "bags that are read in parts have other logits")
    huge = network(1e4 * x)
    _say(bool(huge.logits.isfinite().all()), "embeddings of 1e4 give logits that are not finite")
    network(x).logits.square().sum().backward()
    _check_gradients(built, needed=False)
    again = _network(_reloaded(pooling, (D, G), settings, built))
    _same(again(x).logits, logits, "with the saved weights it gives other logits")


def check_loss(loss: Callable[..., Any], *, settings: Any = None) -> None:
    """Check what `matt.models.register` asks of a loss.

    It gives one finite number a bag, which depends on that bag alone; a logit that rises for the
    genre of a bag does not raise it; and the gradient is finite, however sure the logits are. For
    bags of several genres it does the same, or refuses them with a `ConfigError`.

    Parameters
    ----------
    loss : callable
        As it would be registered.
    settings : object, optional
        An instance of its own settings, if it has some.

    Raises
    ------
    AssertionError
        Naming the promise that is broken.

    Examples
    --------
    >>> from matt.models.losses import cross_entropy
    >>> check_loss(cross_entropy)
    """
    own = () if settings is None else (settings,)
    one = torch.tensor([0, 2, 1, 1])
    several = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 1]], dtype=torch.bool)
    for labels, told in ((one, "one genre a bag"), (several, "several genres a bag")):
        try:
            _check_each(lambda x, y: loss(x, y, *own), labels, told)
        except ConfigError:
            _say(labels is several, f"it refuses {told}, which it needs not be able to do without")


def _check_each(loss: Callable[[Tensor, Tensor], Tensor], labels: Tensor, told: str) -> None:
    logits = _segments(len(labels), G).requires_grad_()
    each = loss(logits, labels)
    shape = tuple(each.shape)
    _say(shape == (len(labels),), f"with {told}, {len(labels)} bags have a loss {shape}, not (B,)")
    for bag in range(len(labels)):
        alone = loss(logits[bag : bag + 1], labels[bag : bag + 1])
        _same(alone[0], each[bag], f"with {told}, the loss of a bag depends on other bags")
    (slope,) = torch.autograd.grad(each.sum(), logits)
    is_own = labels if labels.ndim == 2 else nn.functional.one_hot(labels, G).bool()
    _say(
        bool((slope[is_own] <= 0).all()),
        f"with {told}, the loss rises with the logit of a bag's own genre; is its sign turned?",
    )
    for size in (1e-3, 30.0, 1e3):
        sure = (size * torch.sign(_segments(len(labels), G))).requires_grad_()
        value = loss(sure, labels)
        (slope,) = torch.autograd.grad(value.sum(), sure)
        finite = bool(value.isfinite().all() and slope.isfinite().all())
        _say(finite, f"with {told} and logits of {size:g}, the loss or its gradient is not finite")


class _Bags(BagNetwork):
    """Bags of embeddings, one track a segment unless it is said otherwise."""

    def forward(self, x: Tensor) -> Any:  # type: ignore[override]
        return self.bags(x, _OFFSETS, torch.zeros(len(x), dtype=x.dtype))

    def bags(self, x: Tensor, offsets: Tensor, log_sizes: Tensor) -> Any:
        return super().forward(x, offsets, log_sizes)


def _network(pooling: Pooling) -> _Bags:
    torch.manual_seed(1)
    return _Bags(nn.Identity(), nn.Identity(), pooling, nn.Linear(D, G)).double().eval()


def _build(make: Callable[..., Any], arguments: tuple[Any, ...], settings: Any) -> Any:
    """Build it as the registry does, with no parameter left at a start that could hide a fault."""
    torch.manual_seed(0)
    built = make(*arguments, *(() if settings is None else (settings,)))
    _say(isinstance(built, nn.Module), f"it made {type(built).__name__}, no torch.nn.Module")
    with torch.no_grad():
        for value in built.double().parameters():
            if not value.abs().sum():
                nn.init.normal_(value, std=0.3)
    return built


def _reloaded(make: Callable[..., Any], arguments: tuple[Any, ...], settings: Any, of: Any) -> Any:
    torch.manual_seed(5)
    other = make(*arguments, *(() if settings is None else (settings,))).double().eval()
    other.load_state_dict(of.state_dict())
    return other


def _check_gradients(module: nn.Module, *, needed: bool = True) -> None:
    for name, value in module.named_parameters():
        finite = value.grad is None or bool(value.grad.isfinite().all())
        _say(finite, f"the gradient of {name} is not finite")
        reached = value.grad is not None and bool(value.grad.abs().sum() > 0)
        _say(reached or not needed, f"no gradient reaches {name}; is it used?")


def _segments(n: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(n, *shape, generator=generator, dtype=torch.float64)


def _same(found: Tensor, wanted: Tensor, told: str) -> None:
    far = float((found - wanted).detach().abs().max()) if found.numel() else 0.0
    _say(math.isfinite(far) and far < 1e-6, f"{told} (by {far:.2g})")


def _say(holds: bool, told: str) -> None:
    if not holds:
        raise AssertionError(told)
