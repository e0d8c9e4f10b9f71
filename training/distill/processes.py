"""Data parallel training: several processes of this machine train one network, each on its share of every batch.

Fabric spawns the processes and averages their gradients (PyTorch's DistributedDataParallel). Fresh processes are
spawned rather than forked: a fork of a process whose libraries run threads may hang. So a script that trains on several
devices must do so under `if __name__ == "__main__":`, as the command line does.

The learner goes to the processes in a file whose tensors they map: the clips are in memory once, however many processes
there are. The file is as large as the clips and lies in the system's temporary folder (`TMPDIR`) while they train. The
trained weights come back in another file. Each process draws the augmentation of a whole epoch of poses and uses its
share of the clips, so that what is drawn does not depend on the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning_fabric import Fabric

from inkling.training.distill.epoch import Epoch, EpochSeen
from inkling.training.distill.learner import Learner
from inkling.training.files import load_weights, save_weights

Optimise = Callable[[Fabric, Learner, Path | None, Path | None, EpochSeen | None], float]

POLL_S = 0.1
HANDED, TRAINED = "learner.pt", "network.pt"


def train_in_processes(
    fabric: Fabric,
    optimise: Optimise,
    learner: Learner,
    checkpoints: Path | None,
    curves: Path | None,
    seen: EpochSeen | None,
) -> float:
    """Run `optimise` in every process of `fabric`; returns its AUC and leaves the weights in `learner.network`.

    seen: is called in this process, from another thread.
    """
    with TemporaryDirectory(prefix="inkling-") as folder, _port_left_alone():
        torch.save(learner, Path(folder, HANDED))
        with _forwarded(seen) as sender:
            one_process = partial(_one_process, optimise, Path(folder), checkpoints, curves, sender)
            auc = float(fabric.launch(one_process))
        load_weights(learner.network, Path(folder, TRAINED))
    learner.network.eval()
    return auc


def _one_process(
    optimise: Optimise,
    folder: Path,
    checkpoints: Path | None,
    curves: Path | None,
    sender: Connection | None,
    fabric: Fabric,
) -> float:
    """What each process does."""
    # The parent has just written this file, for its own processes, into a folder of its own.
    learner: Learner = torch.load(folder / HANDED, mmap=True, weights_only=False)
    auc = optimise(fabric, learner, checkpoints, curves, sender.send if sender is not None else None)
    if fabric.is_global_zero:
        save_weights(learner.network, folder / TRAINED)
    # The processes part together: one that ends while another still talks to it is aborted by gloo's threads.
    fabric.barrier()
    torch.distributed.destroy_process_group()
    return auc


@contextmanager
def _forwarded(seen: EpochSeen | None) -> Iterator[Connection | None]:
    """A connection that processes send epochs into; each is passed on to `seen`, in a thread of this process."""
    if seen is None:
        yield None
        return
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    over, failures = threading.Event(), list[Exception]()

    def listen() -> None:
        while receiver.poll(POLL_S) or not over.is_set():
            if not receiver.poll():
                continue
            epoch: Epoch = receiver.recv()
            try:
                seen(epoch)
            except Exception as error:  # noqa: BLE001  # raised below, in the thread that the caller waits in
                failures.append(error)

    thread = threading.Thread(target=listen, name="inkling-epochs")
    thread.start()
    try:
        yield sender
    finally:
        over.set()
        thread.join()
        receiver.close()
        sender.close()
    if failures:
        raise failures[0]


@contextmanager
def _port_left_alone() -> Iterator[None]:
    """Fabric leaves the port it has found in the environment, where the next training would take it for an order."""
    before = os.environ.get("MASTER_PORT")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("MASTER_PORT", None)
        else:
            os.environ["MASTER_PORT"] = before
