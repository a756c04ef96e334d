"""The files of tests/shipped that are written as programs: onnxscript and spox."""

import numpy as np
import onnxscript
import spox.opset.ai.onnx.v18 as spox_ops
from onnx import numpy_helper
from onnxscript import FLOAT, script
from onnxscript import opset18 as op
from spox import Tensor, argument, build

from zoo_shelf import noise, random_of

OURS = onnxscript.values.Opset("ours.script", 1)


@script(OURS)
def Residual(x, w):
    return x + op.Relu(op.MatMul(x, w))


@script()
def functions(x: FLOAT[1, 5], w: FLOAT[5, 5], v: FLOAT[5, 5], head: FLOAT[5, 3]) -> FLOAT[1, 3]:
    y = Residual(Residual(x, w), v)
    return op.MatMul(y, head)


@script()
def loop(x: FLOAT[1, 5], w: FLOAT[5, 5], v: FLOAT[5, 5], head: FLOAT[5, 3]) -> FLOAT[1, 3]:
    y = op.Identity(x)
    for i in range(3):
        y = y + op.Relu(op.MatMul(y, w))
    return op.MatMul(op.MatMul(y, v), head)


@script()
def branches(x: FLOAT[1, 5], w: FLOAT[5, 5], v: FLOAT[5, 5], head: FLOAT[5, 3]) -> FLOAT[1, 3]:
    if op.Size(x) > 3:
        y = op.Relu(op.MatMul(x, w))
    else:
        y = op.MatMul(x, v)
    return op.MatMul(y, head)


def by_onnxscript():
    given = {"w": 0.5 * noise("script w", 5, 5), "v": 0.5 * noise("script v", 5, 5), "head": 0.5 * noise("script head", 5, 3)}
    for name, function in (("functions", functions), ("loop", loop), ("branches", branches)):
        model = function.to_model_proto()
        for value in list(model.graph.input):
            if value.name in given:
                model.graph.input.remove(value)
                model.graph.initializer.append(numpy_helper.from_array(given[value.name].astype(np.float32), value.name))
        yield name, model, {"x": noise(name, 1, 5)}


def const(name, *shape):
    return spox_ops.constant(value=0.5 * noise(name, *shape))


def by_spox():
    op = spox_ops
    x = argument(Tensor(np.float32, (1, 5)))
    y = op.relu(op.matmul(x, const("spox w", 5, 6)))
    (z,) = op.if_(
        op.equal(op.size(x), op.constant(value=np.array(5))),
        then_branch=lambda: [op.add(y, op.constant(value=np.float32([0.5])))],
        else_branch=lambda: [op.neg(y)],
    )
    yield "branches", build({"x": x}, {"y": op.matmul(z, const("spox head", 6, 3))}), {"x": noise("spox x", 1, 5)}

    ids = argument(Tensor(np.int64, (1, 6)))
    table = argument(Tensor(np.float32, (1, 3)))
    e = op.reduce_mean(op.gather(const("spox table", 12, 4), ids), op.constant(value=np.array([1])), keepdims=0)
    h = op.concat([e, op.tanh(op.matmul(table, const("spox t", 3, 4)))], axis=1)
    y = op.matmul(h, const("spox h", 8, 3))
    given = {"ids": random_of("spox ids").integers(0, 12, (1, 6)), "table": noise("spox table in", 1, 3)}
    yield "categories_and_table", build({"ids": ids, "table": table}, {"y": y}), given

    x = argument(Tensor(np.float32, (1, 4)))
    w = const("spox loop", 4, 4)

    def body(i, go, h):
        return [op.constant(value=np.array([True])), op.add(h, op.relu(op.matmul(h, w)))]

    (h,) = op.loop(op.constant(value=np.array([3])), op.constant(value=np.array([True])), v_initial=[x], body=body)
    yield "loop", build({"x": x}, {"y": op.matmul(h, const("spox out", 4, 3))}), {"x": noise("spox loop x", 1, 4)}
