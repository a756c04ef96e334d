#!/usr/bin/env python3
"""Recurrent layers as one operator and the same layers with their cells written out, in tests/cases/: cells-lstm.onnx beside
cells-lstm-written-out.onnx, and the same for a GRU. Their weights agree, so relevance has to agree as well.

    pip install -r tools/requirements.txt
    python tools/make_cell_cases.py

A cell is written as PyTorch's exporters write LSTMCell and GRUCell: two Gemms, their sum, Split, Sigmoid, Tanh, products and sums.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OUT = Path(__file__).resolve().parents[1] / "tests" / "cases"
STEPS, INPUTS, HIDDEN, CLASSES = 4, 3, 5, 2


class Net:
    def __init__(self):
        self.nodes, self.constants = [], []

    def const(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def op(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0][:-2], **attributes))
        return names[0] if outputs == 1 else names

    def save(self, name, output, hidden_weights):
        self.op("Gemm", output, self.const(hidden_weights), transB=1)
        self.nodes[-1].output[0] = "y"
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", STEPS, INPUTS])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", CLASSES])
        graph = helper.make_graph(self.nodes, name, [x], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        path = OUT / f"{name}.onnx"
        onnx.save(model, path)
        return path


def layer(op, w, r, b, classes):
    """ONNX's operator, whose gates are in its own order."""
    net = Net()
    steps = net.op("Transpose", "x", perm=[1, 0, 2])
    more = {"linear_before_reset": 1} if op == "GRU" else {}
    count = 3 if op == "LSTM" else 2
    outputs = net.op(op, steps, *map(net.const, (w[None], r[None], b[None])), outputs=count, hidden_size=HIDDEN, **more)
    last = net.op("Squeeze", outputs[1], net.const(np.array([0], np.int64)))
    return net.save(f"cells-{op.lower()}", last, classes)


def written_out(op, w, r, b, classes):
    net = Net()
    gates = 4 if op == "LSTM" else 3
    w, r = net.const(w), net.const(r)
    b = [net.const(part) for part in np.split(b, 2)]
    h = c = None
    for step in range(STEPS):
        x = net.op("Gather", "x", net.const(np.array(step, np.int64)), axis=1)
        from_x = net.op("Gemm", x, w, b[0], transB=1)
        if h is None:
            zeros = net.const(np.zeros((1, HIDDEN), np.float32))
            h = net.op("Mul", net.op("Gather", from_x, net.const(np.arange(HIDDEN)), axis=1), zeros)
            c = h
        from_h = net.op("Gemm", h, r, b[1], transB=1)
        if op == "LSTM":
            i, o, f, g = net.op("Split", net.op("Add", from_x, from_h), outputs=gates, axis=1)
            i, o, f = (net.op("Sigmoid", gate) for gate in (i, o, f))
            c = net.op("Add", net.op("Mul", f, c), net.op("Mul", i, net.op("Tanh", g)))
            h = net.op("Mul", o, net.op("Tanh", c))
        else:
            xz, xr, xn = net.op("Split", from_x, outputs=gates, axis=1)
            hz, hr, hn = net.op("Split", from_h, outputs=gates, axis=1)
            z = net.op("Sigmoid", net.op("Add", xz, hz))
            reset = net.op("Sigmoid", net.op("Add", xr, hr))
            n = net.op("Tanh", net.op("Add", xn, net.op("Mul", reset, hn)))
            keep = net.op("Sub", net.const(np.array(1, np.float32)), z)
            h = net.op("Add", net.op("Mul", keep, n), net.op("Mul", z, h))
    return net.save(f"cells-{op.lower()}-written-out", h, classes)


def main():
    for op, gates in ("LSTM", 4), ("GRU", 3):
        random = np.random.default_rng(7)
        draw = lambda *shape: random.normal(0, 0.5, shape).astype(np.float32)
        parameters = draw(gates * HIDDEN, INPUTS), draw(gates * HIDDEN, HIDDEN), draw(2 * gates * HIDDEN), draw(CLASSES, HIDDEN)
        x = draw(3, STEPS, INPUTS)
        y = [
            onnxruntime.InferenceSession(path).run(None, {"x": x})[0]
            for path in (layer(op, *parameters), written_out(op, *parameters))
        ]
        assert np.abs(y[0] - y[1]).max() < 1e-6, op


if __name__ == "__main__":
    main()
