#!/usr/bin/env python3
"""A small recognizer with outputs [T, C]: examples/steps/steps.onnx, and two samples for it, steps.npy.

A convolution along time, ReLU, and a dense layer at every step: [N, 4, 12] -> [N, 12, 5], with random weights. No exporter
is needed:

    pip install onnx==1.23.2 numpy
    python tools/make_steps_model.py
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUT = Path(__file__).resolve().parents[1] / "examples" / "steps"
CHANNELS, STEPS, HIDDEN, CLASSES = 4, 12, 8, 5


def main():
    rng = np.random.default_rng(7)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
    weights = {
        "conv.weight": normal(HIDDEN, CHANNELS, 3) * np.float32((2 / (3 * CHANNELS)) ** 0.5),
        "conv.bias": normal(HIDDEN) * np.float32(0.1),
        "head.weight": normal(HIDDEN, CLASSES) * np.float32((2 / HIDDEN) ** 0.5),
        "head.bias": normal(CLASSES) * np.float32(0.1),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["z"], "/conv/Conv", pads=[1, 1]),
        helper.make_node("Relu", ["z"], ["h"], "/relu/Relu"),
        helper.make_node("Transpose", ["h"], ["steps"], "/Transpose", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["steps", "head.weight"], ["scores"], "/head/MatMul"),
        helper.make_node("Add", ["scores", "head.bias"], ["y"], "/head/Add"),
    ]
    graph = helper.make_graph(
        nodes,
        "steps",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", CHANNELS, STEPS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", STEPS, CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="make_steps_model")
    onnx.checker.check_model(model)
    onnx.save(model, OUT / "steps.onnx")
    np.save(OUT / "steps.npy", normal(2, CHANNELS, STEPS))


if __name__ == "__main__":
    main()
