"""Several processes that train one network together, each on a share of the bags of every step.

A process is called by its *rank*, 0 being the first. All of them draw the same sub-bags and the
same batches; a batch is then dealt to the ranks, their gradients are summed, and each changes its
own copy of the weights by the same step. As a loss is a mean over bags, the loss of a rank counts
as its share of the bags of all ranks, so that the sum is the gradient of the whole batch. The first
rank alone validates, writes, and tells the others what it found.

That is what DistributedDataParallel does, in one sum of one flat vector a step. It is not used
itself, since it takes the *mean* over ranks, wants a gradient of every weight on every rank, and
hangs where a rank has no bag: all of that takes more lines than the sum. Sending gradients while
others are still computed, as it does, gains little for networks of a million weights.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from ..bags import Bags
from ..errors import ConfigError, DataError, MattError
from .device import find_device

# Who waits for a process that ends knows it by the closed connection, not by the time. So the
# others can wait for as long as the first one extracts features.
_PATIENCE = timedelta(days=30)

T = TypeVar("T")
N = TypeVar("N", bound=nn.Module)


class ProcessEnded(MattError):
    """Another process of a training has ended, so this one cannot go on."""


@dataclass(frozen=True)
class Share:
    """What one rank has of a batch.

    Attributes
    ----------
    bags : Bags
        In the order of the batch; may be none.
    of_bags, of_segments : float
        Their share of all bags, and of all segments, of the batch.
    """

    bags: Bags
    of_bags: float = 1.0
    of_segments: float = 1.0


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, seen from one of them; one process alone needs no torchrun.

    Every method but `deal` is called by all ranks, or by none.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that validates, writes and speaks."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Device of this rank: the CPU, or the GPU of its number on its machine.

        Raises
        ------
        ConfigError
            If it is not there, or one device would have to serve several processes.
        """
        if self.size == 1 or name == "cpu":
            return find_device(name)
        if name not in ("auto", "cuda"):
            raise ConfigError(
                f"device {name!r} cannot serve {self.size} processes; use device='cuda', which "
                "gives each its own, or start one process"
            )
        found = find_device(name)
        if found.type == "cpu":
            return found
        local, there = int(os.environ.get("LOCAL_RANK", self.rank)), torch.cuda.device_count()
        if local >= there:
            told = f"process {local} of this machine has no GPU, there are {there}"
            raise ConfigError(f"{told}; start --nproc-per-node={there} processes")
        torch.cuda.set_device(local)  # what NCCL sends is sent from there
        return torch.device("cuda", local)

    def adapt(self, network: N, device: torch.device) -> N:
        """Let batch normalisation see the segments of all ranks.

        Raises
        ------
        ConfigError
            If there is some, on the CPU, for which torch cannot do it.
        """
        norms = nn.modules.batchnorm._BatchNorm
        if self.size == 1 or not any(isinstance(module, norms) for module in network.modules()):
            return network
        if device.type != "cuda":
            raise ConfigError(
                f"this encoder has batch normalisation, which {self.size} processes can share on "
                "GPUs only; use device='cuda', one process, or an encoder without it (mlp, lstm)"
            )
        shared: N = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return shared

    def deal(self, batch: Bags, counts: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Share:
        """Share of this rank in a batch: all ranks have nearly equal numbers of segments.

        Parameters
        ----------
        batch : Bags
        counts : callable
            `FeatureStore.counts`.

        Returns
        -------
        Share
            No rank has more segments than another by more than the largest bag.

        Examples
        --------
        >>> bags = Bags([5, 7, 9, 11], offsets=[0, 2, 3, 4], labels=[0, 1, 1])
        >>> [Ranks(rank, 2).deal(bags, np.ones_like).bags.track_ids.tolist() for rank in (0, 1)]
        [[5, 7], [9, 11]]
        """
        if self.size == 1:
            return Share(batch)
        segments = np.add.reduceat(counts(batch.track_ids), batch.offsets[:-1])  # (b,)
        loads = [(0, rank) for rank in range(self.size)]
        owner = np.empty(len(batch), np.int64)
        for bag in np.argsort(-segments, kind="stable"):  # the largest first, to whom has least
            load, rank = loads[0]
            owner[bag] = rank
            heapq.heapreplace(loads, (load + int(segments[bag]), rank))
        mine = np.flatnonzero(owner == self.rank)
        n_mine = int(segments[mine].sum())
        return Share(batch.take(mine), len(mine) / len(batch), n_mine / int(segments.sum()))

    def sum_gradients(self, network: nn.Module) -> None:
        """Give every rank the sum of all gradients; a weight that no rank used still has none."""
        if self.size == 1:
            return
        weights = [value for value in network.parameters() if value.requires_grad]
        # Whether there is one is summed, too: the optimiser skips a weight without a gradient.
        used = weights[0].new_tensor([float(value.grad is not None) for value in weights])
        parts = [torch.zeros_like(v) if v.grad is None else v.grad for v in weights]
        flat = torch.cat([*(part.reshape(-1) for part in parts), used])
        self._sum(flat)
        *summed, n_used = torch.split(flat, [*map(Tensor.numel, weights), len(used)])
        for value, part, n in zip(weights, summed, n_used.tolist(), strict=True):
            value.grad = part.view_as(value) if n else None

    def total(self, value: Tensor) -> float:
        """Sum over the ranks of one number."""
        if self.size > 1:
            self._sum(value)
        return float(value)

    def first(self, compute: Callable[[], T]) -> T:
        """Return to all ranks what the first one computes: anything that JSON can hold.

        Raises
        ------
        ProcessEnded
            On the others, if that fails on the first one.
        """
        if self.size == 1:
            return compute()
        with self.together():
            text = json.dumps(compute()).encode() if self.is_first else b""
        length = torch.tensor([len(text)])
        with _connected():
            dist.broadcast(length, 0)
            sent = torch.zeros(int(length), dtype=torch.uint8)
            if self.is_first:
                sent.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
            dist.broadcast(sent, 0)
        found: T = json.loads(sent.numpy().tobytes())
        return found

    @contextmanager
    def together(self) -> Iterator[None]:
        """Fail on all ranks if one of them fails in the body.

        Raises
        ------
        ProcessEnded
            Where it was not this one, or a rank below failed as well: one message is enough.
        """
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
        if self.size > 1:
            failing = [rank for rank, bad in enumerate(self._gather(failed is not None)) if bad]
            if failing and failing[0] != self.rank:
                raise ProcessEnded(f"process {failing[0]} failed; see what it said") from failed
        if failed is not None:
            raise failed

    def agree(self, what: str, value: Any) -> None:
        """Refuse to go on if the ranks do not hold the same.

        Parameters
        ----------
        what : str
            In the error.
        value : Any
            JSON-serialisable.

        Raises
        ------
        DataError
            On the first rank, and `ProcessEnded` on the others.
        """
        if self.size == 1:
            return
        digest = hashlib.sha256(json.dumps(value).encode()).digest()[:7]
        found = self._gather(int.from_bytes(digest, "big"))
        others = [rank for rank, one in enumerate(found) if one != found[0]]
        if others:
            told = f"process {others[0]} has another {what} than the first one; start all alike"
            raise DataError(told) if self.is_first else ProcessEnded(told)

    def _gather(self, value: int) -> list[int]:
        everyone = torch.zeros(self.size, dtype=torch.int64)
        everyone[self.rank] = int(value)
        self._sum(everyone)
        return [int(one) for one in everyone]

    def _sum(self, value: Tensor) -> None:
        with _connected():
            dist.all_reduce(value)


def current() -> Ranks:
    """Ranks of the process group of torch that this process is in, or this process alone."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Be one of the processes that ``torchrun`` started; without it, all there is."""
    if os.environ.get("WORLD_SIZE", "") in ("", "0", "1"):
        yield Ranks()
        return
    # By the device of what is sent: what ranks tell each other lies on the CPU.
    nccl = torch.cuda.is_available() and dist.is_nccl_available()
    with _connected():
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=_PATIENCE)
    whole = False
    try:
        yield current()
        whole = True
    finally:
        # After an error others may wait for what never comes, and NCCL would wait for them: there
        # the end of this process has to do. Gloo closes its connections, which tells them.
        if whole or not nccl:
            dist.destroy_process_group()


@contextmanager
def _connected() -> Iterator[None]:
    """Say what it means that the others cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessEnded(
            "another process of this training has ended, and its own message says why; start all "
            "again, with --resume to go on after the last whole epoch"
        ) from error
