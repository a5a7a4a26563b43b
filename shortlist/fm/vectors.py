"""Rows of numbers in; sums of their products out, in vectors whose length is known when a kernel is compiled.

A loop over a last axis that numba compiles asks at run time how long it is and whether its arrays overlap, for 16 or
32 numbers each time. Here LLVM is told, and what is summed stays in registers (docs/adr/0017-ratings-by-draws.md).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH: Final = 16  # numbers of a Gram matrix's row that are summed at once; its rows are multiples of so many
EIGHT: Final = 8  # examples that a Gram matrix takes up at once
LANES: Final = 32  # systems that are solved side by side, the last axis of their arrays

_INDEX: Final = ir.IntType(64)
_ALIGNMENT: Final = 4  # bytes
_FAST: Final = ("fast",)  # a product and a sum may become one instruction


@intrinsic  # type: ignore[untyped-decorator]
def add_gram(typing: Any, x: Any, weighted: Any, gram: Any) -> Any:
    """Add weightedᵀ x of EIGHT examples, x (8, width) and weighted (8, at least n), to gram (n, width).

    Right of the diagonal only what shares a vector with it is summed.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        examples, weights, sums = _arrays(context, builder, signature.args, arguments)
        (n, width), (_, stride) = (cgutils.unpack_tuple(builder, of.shape, 2) for of in (sums, weights))
        with _steps(builder, _INDEX(0), width, WIDTH) as first:
            rows = [_load(builder, examples, _at(builder, _INDEX(j), width, first), WIDTH) for j in range(EIGHT)]
            with _steps(builder, first, n, 1) as c:
                products = []
                for j, row in enumerate(rows):
                    weight = builder.load(builder.gep(weights.data, [_at(builder, _INDEX(j), stride, c)]))
                    products.append(builder.fmul(_spread(builder, weight, WIDTH), row, flags=_FAST))
                place = _at(builder, c, width, first)
                halves = [_sum(builder, products[: EIGHT // 2]), _sum(builder, products[EIGHT // 2 :])]
                _store(builder, _sum(builder, [_load(builder, sums, place, WIDTH), *halves]), sums, place)
        return context.get_dummy_value()

    return types.void(x, weighted, gram), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_products(
    typing: Any,
    out: Any,
    place: Any,
    factor: Any,
    left: Any,
    left_place: Any,
    left_step: Any,
    right: Any,
    right_place: Any,
    right_step: Any,
    n: Any,
) -> Any:
    """out[place] += factor · Σ_{d < n} left[left_place + d · left_step] · right[right_place + d · right_step].

    In every lane: arrays are float32 and contiguous, the last axis of each has LANES numbers, and places and steps
    (int64) count these vectors.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [(signature.args[i], arguments[i]) for i in (0, 3, 6)]
        sums, lefts, rights = _arrays(context, builder, *zip(*arrays, strict=True))
        target, scale, l_place, l_step, r_place, r_step, count = (arguments[i] for i in (1, 2, 4, 5, 7, 8, 9))

        def add(total: Any, d: Any) -> None:
            """One more product; there are two totals, so that a sum need not wait for the one before it."""
            a = _load(builder, lefts, _at(builder, _at(builder, d, l_step, l_place), _INDEX(LANES)), LANES)
            b = _load(builder, rights, _at(builder, _at(builder, d, r_step, r_place), _INDEX(LANES)), LANES)
            builder.store(_sum(builder, [builder.load(total), builder.fmul(a, b, flags=_FAST)]), total)

        nothing = ir.Constant(ir.VectorType(ir.FloatType(), LANES), [0.0] * LANES)
        even, odd = (cgutils.alloca_once_value(builder, nothing) for _ in range(2))
        in_pairs = builder.and_(count, _INDEX(-2))
        with _steps(builder, _INDEX(0), in_pairs, 2) as d:
            add(even, d)
            add(odd, builder.add(d, _INDEX(1)))
        with _steps(builder, in_pairs, count, 1) as d:
            add(even, d)
        change = builder.fmul(
            _spread(builder, scale, LANES), _sum(builder, [builder.load(even), builder.load(odd)]), flags=_FAST
        )
        number = _at(builder, target, _INDEX(LANES))
        _store(builder, _sum(builder, [_load(builder, sums, number, LANES), change]), sums, number)
        return context.get_dummy_value()

    places = (types.int64, types.int64)
    return types.void(out, types.int64, types.float32, left, *places, right, *places, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_scaled(typing: Any, out: Any, place: Any, factor: Any, x: Any, x_place: Any) -> Any:
    """out[place:] += factor · x[x_place:], WIDTH numbers; arrays are float32 and contiguous, places count numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, at, scale, _, x_at = arguments
        sums, addends = _arrays(context, builder, (out, x), (arguments[0], arguments[3]))
        more = builder.fmul(_spread(builder, scale, WIDTH), _load(builder, addends, x_at, WIDTH), flags=_FAST)
        _store(builder, _sum(builder, [_load(builder, sums, at, WIDTH), more]), sums, at)
        return context.get_dummy_value()

    return types.void(out, types.int64, types.float32, x, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def product(typing: Any, x: Any, x_place: Any, y: Any, y_place: Any) -> Any:
    """x[x_place:] · y[y_place:], WIDTH numbers; arrays are float32 and contiguous, places count numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, x_at, _, y_at = arguments
        left, right = _arrays(context, builder, (x, y), (arguments[0], arguments[2]))
        both = builder.fmul(_load(builder, left, x_at, WIDTH), _load(builder, right, y_at, WIDTH), flags=_FAST)
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), both.type])
        add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{WIDTH}f32")
        return builder.call(add, [ir.Constant(ir.FloatType(), 0.0), both], fastmath=_FAST)

    return types.float32(x, types.int64, y, types.int64), generate


def _arrays(context: Any, builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    return [context.make_array(kind)(context, builder, value) for kind, value in zip(kinds, values, strict=True)]


@contextmanager
def _steps(builder: Any, start: Any, stop: Any, step: int) -> Iterator[Any]:
    """A loop of the kernel; gives its index."""
    with cgutils.for_range_slice(builder, start, stop, _INDEX(step), _INDEX) as (index, _):
        yield index


def _at(builder: Any, row: Any, stride: Any, column: Any = None) -> Any:
    """row · stride + column."""
    start = builder.mul(row, stride)
    return start if column is None else builder.add(start, column)


def _load(builder: Any, array: Any, place: Any, n: int) -> Any:
    """The n numbers of an array from a place on."""
    address = builder.bitcast(builder.gep(array.data, [place]), ir.VectorType(ir.FloatType(), n).as_pointer())
    return builder.load(address, align=_ALIGNMENT)


def _store(builder: Any, vector: Any, array: Any, place: Any) -> None:
    builder.store(vector, builder.bitcast(builder.gep(array.data, [place]), vector.type.as_pointer()), align=_ALIGNMENT)


def _spread(builder: Any, number: Any, n: int) -> Any:
    """A vector of n times this number."""
    nothing = ir.Constant(ir.VectorType(ir.FloatType(), n), ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))


def _sum(builder: Any, parts: Sequence[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = builder.fadd(total, part, flags=_FAST)
    return total
