"""A row of a matrix in; nothing out, but its cache lines are on their way when a kernel comes to it."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

AHEAD = 16  # rows: long enough for memory to answer, short enough to stay in the nearest cache
LINE = 16  # numbers in a cache line


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing: Any, matrix: Any, row: Any, column: Any) -> Any:
    """LLVM's `llvm.prefetch` (Language Reference), to be read, with the highest locality. Row and column are int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.get_item_pointer(context, builder, signature.args[0], array, arguments[1:])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0i8"
        )
        read, locality, data = (ir.Constant(number, value) for value in (0, 3, 1))
        builder.call(function, [builder.bitcast(address, byte), read, locality, data])
        return context.get_dummy_value()

    return types.void(matrix, row, column), generate


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def announce(matrix: NDArray[np.float32], row: int) -> None:
    """A row of `matrix`, from which a kernel will read AHEAD rows later."""
    for column in range(0, matrix.shape[1], LINE):
        prefetch(matrix, np.int64(row), column)
