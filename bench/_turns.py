"""Contenders in, each in a process of its own that trains one epoch when it is its turn; their times and figures out.

A busy machine is then busy for all of them alike: epoch e of everyone runs before epoch e + 1 of anyone. Memory is
that of each contender's own process, measured before its lists are made.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import Protocol

from scipy.sparse import csr_array

from bench._figures import recall_and_ndcg
from shortlist.contracts.arrays import Float32Array
from shortlist.stages.resume import peak_rss_mib

Setting = float | int | str | bool | None


class Train(Protocol):
    """Trains on 0/1 purchases and calls `epoch_done` after every epoch; rows of users and items whose products rank."""

    def __call__(
        self, train: csr_array, epochs: int, settings: Mapping[str, Setting], epoch_done: Callable[[], None]
    ) -> tuple[Float32Array, Float32Array]: ...


@dataclass(frozen=True, slots=True)
class Task:
    """One contender's part: what it is called, how it trains, with which settings."""

    name: str
    train: Train
    n_factors: int
    epochs: int
    settings: Mapping[str, Setting]


@dataclass(slots=True)
class Result:
    """A line of the table. Seconds of waiting for others are in none of them."""

    name: str
    n_factors: int
    epochs: int
    recall_at_20: float
    ndcg_at_20: float
    seconds_per_epoch: float
    cpu_seconds_per_epoch: float
    seconds_total: float
    peak_rss_mib: float
    settings: dict[str, Setting] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class _Clock:
    """Wall and CPU seconds between the turns of this process."""

    def __init__(self, conversation: Connection) -> None:
        self._conversation = conversation
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.waited = 0.0
        self.started = time.perf_counter()
        self._resume()

    def epoch_done(self) -> None:
        self.seconds.append(time.perf_counter() - self._wall)
        self.cpu_seconds.append(time.process_time() - self._cpu)
        stopped = time.perf_counter()
        self._conversation.send(None)
        self._conversation.recv()
        self.waited += time.perf_counter() - stopped
        self._resume()

    def total(self) -> float:
        return time.perf_counter() - self.started - self.waited

    def _resume(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()


def _contend(conversation: Connection, task: Task, train: csr_array, held_out: csr_array) -> None:
    conversation.recv()
    clock = _Clock(conversation)
    users, items = task.train(train, task.epochs, {"n_factors": task.n_factors, **task.settings}, clock.epoch_done)
    total, memory = clock.total(), peak_rss_mib()
    recall, ndcg = recall_and_ndcg(users, items, train, held_out)
    conversation.send(
        Result(
            task.name,
            task.n_factors,
            len(clock.seconds),
            round(recall, 5),
            round(ndcg, 5),
            round(median(clock.seconds), 4),
            round(median(clock.cpu_seconds), 4),
            round(total, 3),
            round(memory, 1),
            dict(task.settings),
        )
    )


def take_turns(
    tasks: Sequence[Task], train: csr_array, held_out: csr_array, epoch_done: Callable[[Task], None]
) -> list[Result]:
    """Train and measure all tasks, an epoch of each at a time, in the order of `tasks`.

    Raises:
        EOFError: a contender's process ended before its result; its own traceback says why.
    """
    context = get_context("spawn")
    conversations, processes = [], []
    for task in tasks:
        ours, theirs = context.Pipe()
        process = context.Process(target=_contend, args=(theirs, task, train, held_out), daemon=True)
        process.start()
        theirs.close()
        conversations.append(ours)
        processes.append(process)
    results: dict[int, Result] = {}
    while len(results) < len(tasks):
        for place, conversation in enumerate(conversations):
            if place in results:
                continue
            conversation.send(None)
            said = conversation.recv()
            if said is None:
                epoch_done(tasks[place])
            else:
                results[place] = said
    for process in processes:
        process.join()
    return [results[place] for place in range(len(tasks))]
