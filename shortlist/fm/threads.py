"""Dense products over fixed blocks of rows, on as many threads as asked: the same bytes whatever their number.

A BLAS that splits one product among its threads may add in another order when their number changes. Here every block is
one single-threaded product, and sums over blocks are taken in the order of the rows.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array
from shortlist.fm.compiled import Part, load_kernels

BLOCK_ROWS: Final = 4096
CACHE_LINE: Final = 64

T = TypeVar("T")


class Threads:
    """Use through `threads(n)`."""

    def __init__(self, n: int, pool: ThreadPoolExecutor) -> None:
        self.n = n
        self._pool = pool

    def gram(self, rows: Float32Array) -> Float64Array:
        """rowsᵀ rows, float64 (width, width)."""

        def product(start: int) -> Float32Array:
            block = rows[start : start + BLOCK_ROWS]
            return block.T @ block

        total = np.zeros((rows.shape[1], rows.shape[1]))
        for part in self.over(product, range(0, len(rows), BLOCK_ROWS)):
            total += part
        return total

    def weighted_sum(self, weights: Float32Array, rows: Float32Array) -> Float64Array:
        """weights @ rows, float64 (width,)."""

        def product(start: int) -> Float32Array:
            return weights[start : start + BLOCK_ROWS] @ rows[start : start + BLOCK_ROWS]

        total = np.zeros(rows.shape[1])
        for part in self.over(product, range(0, len(rows), BLOCK_ROWS)):
            total += part
        return total

    def rotate(self, rows: Float32Array, matrix: Float32Array) -> None:
        """rows @ matrix, a square one, in place."""

        def rotate(start: int, stop: int) -> None:
            rows[start:stop] = rows[start:stop] @ matrix

        self.over_blocks(len(rows), rotate)

    def over(self, work: Callable[[int], T], starts: range) -> Iterator[T]:
        """`work(start)` for every start, in their order, run side by side."""
        return self._pool.map(work, starts)

    def over_blocks(self, n_rows: int, work: Callable[[int, int], object]) -> None:
        """Call `work(start, stop)` for every block of rows."""
        list(self._pool.map(lambda a: work(a, min(a + BLOCK_ROWS, n_rows)), range(0, n_rows, BLOCK_ROWS)))


def shares(work: NDArray[np.integer], n_threads: int) -> Int64Array:
    """Rows cut into runs of about the same work, int64 (n_threads + 1,); `work` of each row (n_rows,)."""
    done = np.cumsum(work, dtype=np.int64)
    ends = done[-1] * np.arange(1, n_threads) // n_threads if len(done) else np.zeros(n_threads - 1)
    return np.concatenate([[0], np.searchsorted(done, ends), [len(done)]]).astype(np.int64)


def aligned(rows: Float32Array) -> Float32Array:
    """A copy of its own, the first number on a cache line: kernels read it by up to a quarter faster."""
    memory = np.empty(rows.nbytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    copy = memory[start : start + rows.nbytes].view(np.float32).reshape(rows.shape)
    copy[:] = rows
    return copy


@contextmanager
def threads(n: int | None, part: Part = "ranking") -> Iterator[Threads]:
    """The kernels of a part and `Threads` on n threads (None: all cores); BLAS inside each of them on one."""
    load_kernels(part)
    most = numba.config.NUMBA_NUM_THREADS
    count = most if n is None else max(1, min(n, most))
    before = numba.get_num_threads()
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        pool = stack.enter_context(ThreadPoolExecutor(count))
        stack.callback(numba.set_num_threads, before)
        numba.set_num_threads(count)
        yield Threads(count, pool)
