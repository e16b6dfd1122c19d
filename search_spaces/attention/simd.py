"""Vectors of 16 lanes inside Numba functions, each operation one LLVM vector instruction.

LLVM splits a vector into whatever registers the processor has (one of AVX-512, two of AVX2, four of SSE or NEON), so
the same source is compiled well everywhere. Addresses are pointers to float or double; offsets count elements.
"""

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

LANES = 16

# Untyped: what an intrinsic's Python function takes and returns are Numba types, not the numbers it is called with.
intrinsic: Callable[[Callable[..., Any]], Any] = numba_intrinsic

_INDEX = ir.IntType(32)


class Vector(types.Type):
    """16 numbers of one type, held in registers."""

    def __init__(self, element: types.Type) -> None:
        super().__init__(name=f"Vector{LANES}({element})")
        self.element = element


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        element = manager.lookup(vector.element).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, LANES))  # type: ignore[no-untyped-call]


@intrinsic
def pointer(typingctx: Any, address: Any, precision: Any) -> Any:
    """The address as a pointer to numbers of the type of `precision`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    to: Any = types.CPointer
    return to(precision)(address, precision), codegen


@intrinsic
def offset(typingctx: Any, base: Any, index: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return builder.gep(args[0], [args[1]])

    return base(base, index), codegen


@intrinsic
def load(typingctx: Any, base: Any, index: Any) -> Any:
    """The vector of the 16 numbers from `base[index]`, which need no alignment."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        vector_type = context.get_value_type(signature.return_type)
        place = builder.bitcast(builder.gep(args[0], [args[1]]), ir.PointerType(vector_type))
        return builder.load(place, align=base.dtype.bitwidth // 8)

    return Vector(base.dtype)(base, index), codegen


@intrinsic
def store(typingctx: Any, base: Any, index: Any, vector: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        place = builder.bitcast(builder.gep(args[0], [args[1]]), ir.PointerType(args[2].type))
        builder.store(args[2], place, align=base.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(base, index, vector), codegen


@intrinsic
def gather(typingctx: Any, base: Any, starts: Any, index: Any) -> Any:
    """The vector whose lane i is `base[starts[i] + index]`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        vector = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        shifted = builder.gep(args[0], [args[2]])
        for lane in range(LANES):
            start = builder.load(builder.gep(args[1], [_INDEX(lane)]))
            vector = builder.insert_element(vector, builder.load(builder.gep(shifted, [start])), _INDEX(lane))
        return vector

    return Vector(base.dtype)(base, starts, index), codegen


@intrinsic
def scatter(typingctx: Any, base: Any, starts: Any, index: Any, vector: Any) -> Any:
    """Sets `base[starts[i] + index]` to lane i. Lanes that share a place must hold the same number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        shifted = builder.gep(args[0], [args[2]])
        for lane in range(LANES):
            start = builder.load(builder.gep(args[1], [_INDEX(lane)]))
            builder.store(builder.extract_element(args[3], _INDEX(lane)), builder.gep(shifted, [start]))
        return context.get_dummy_value()

    return types.void(base, starts, index, vector), codegen


@intrinsic
def broadcast(typingctx: Any, base: Any, number: Any) -> Any:
    """The number in every lane, in the type that `base` points to."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        vector_type = context.get_value_type(signature.return_type)
        undefined = ir.Constant(vector_type, ir.Undefined)
        scalar = context.cast(builder, args[1], signature.args[1], base.dtype)
        first = builder.insert_element(undefined, scalar, _INDEX(0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))

    return Vector(base.dtype)(base, number), codegen


def _lanewise(instruction: str) -> Any:
    @intrinsic
    def operation(typingctx: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
            return getattr(builder, instruction)(*args)

        return left(left, right), codegen

    return operation


add = _lanewise("fadd")
subtract = _lanewise("fsub")
multiply = _lanewise("fmul")
divide = _lanewise("fdiv")


@intrinsic
def maximum(typingctx: Any, left: Any, right: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[1], args[0])

    return left(left, right), codegen


@intrinsic
def multiply_add(typingctx: Any, left: Any, right: Any, addend: Any) -> Any:
    """left · right + addend, fused where the processor can."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return _multiply_add(builder, *args)

    return left(left, right, addend), codegen


@intrinsic
def exponential(typingctx: Any, exponent: Any) -> Any:
    """e to the power of numbers that are not positive, to 2 units in the last place, and e^-87 (e^-708) for any less.

    With n = round(x / ln 2) it is 2^n · e^(x − n ln 2): a Taylor polynomial on ±ln 2 / 2, and n in the exponent's bits.
    Adding 1.5 · 2^mantissa rounds, and leaves n in the low bits of the sum.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        vector_type = args[0].type
        if isinstance(vector_type.element, ir.DoubleType):
            bits, mantissa, bias, degree, lowest = 64, 52, 1023, 13, -708.0
            ln2_high, ln2_low = 0.6931471803691238, 1.9082149292705877e-10
        else:
            bits, mantissa, bias, degree, lowest = 32, 23, 127, 7, -87.0
            ln2_high, ln2_low = 0.693145751953125, math.log(2) - 0.693145751953125

        def constant(number: float) -> ir.Constant:
            return ir.Constant(vector_type, [number] * LANES)

        def whole(number: int) -> ir.Constant:
            return ir.Constant(ir.VectorType(ir.IntType(bits), LANES), [number] * LANES)

        too_low = builder.fcmp_ordered("<", args[0], constant(lowest))
        power = builder.select(too_low, constant(lowest), args[0])
        shift = constant(1.5 * 2.0**mantissa)
        shifted = _multiply_add(builder, power, constant(1 / math.log(2)), shift)
        rounded = builder.fsub(shifted, shift)
        rest = _multiply_add(builder, rounded, constant(-ln2_high), power)
        rest = _multiply_add(builder, rounded, constant(-ln2_low), rest)
        result = constant(1 / math.factorial(degree))
        for order in reversed(range(degree)):
            result = _multiply_add(builder, result, rest, constant(1 / math.factorial(order)))
        biased = builder.add(builder.bitcast(shifted, whole(0).type), whole(bias))
        return builder.fmul(result, builder.bitcast(builder.shl(biased, whole(mantissa)), vector_type))

    return exponent(exponent), codegen


def _multiply_add(builder: ir.IRBuilder, left: ir.Value, right: ir.Value, addend: ir.Value) -> ir.Value:
    bits = 64 if isinstance(left.type.element, ir.DoubleType) else 32
    function_type = ir.FunctionType(left.type, [left.type] * 3)
    insert: Any = cgutils.get_or_insert_function
    name = f"llvm.fmuladd.v{LANES}f{bits}"
    return builder.call(insert(builder.module, function_type, name), [left, right, addend])
