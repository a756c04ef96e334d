#!/usr/bin/env python3
"""Small ONNX models, one operator with one tricky attribute each, with inputs and the outputs expected of them.

    pip install -r tools/requirements.txt
    python tools/make_op_cases.py

Writes tests/references/ops/NAME.onnx and tests/references/ops/ops.npz with the float32 arrays NAME.x and NAME.y. The
expected outputs are onnxruntime's; where onnx's own reference evaluator can run a model, it must agree (exceptions are
listed in DISPUTED). Every case draws its numbers from its own generator, seeded by its name, so that
adding a case changes no other.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "tests" / "references" / "ops"

CASES = {}

# Cases in which onnx's reference evaluator differs from onnxruntime. PyTorch agrees with onnxruntime on the three that
# it can express (all but the pooling with auto_pad).
DISPUTED = {
    "batchnorm-opset-9": "the evaluator mixes the batch's statistics in, as if training",
    "convtranspose2d-depthwise": "the evaluator does not keep groups apart",
    "gridsample-cubic-border-0": "the evaluator moves positions to the border before it interpolates, PyTorch pixels only",
    "gridsample-cubic-border-1": "the same",
    "lrn-1": "the evaluator leaves the last neighbour out",
    "lrn-3": "the same",
    "lrn-5": "the same",
    "lpnorm-1": "the evaluator forgets absolute values",
    "globalmaxpool1d": "the evaluator loses the channel axis",
    "softmax-middle-opset-11": "before operator set 13 all axes from the given one on are taken as one; the evaluator takes one",
    "maxpool2d-same-lower": "SAME means ceil(7 / 2) = 4 rows; the evaluator makes 3",
}

# Not among the cases, because there is no output to be sure of: auto_pad SAME with dilations (onnxruntime refuses it),
# and ceil_mode where the last window would start beyond the input (onnx's shape inference counts it, onnxruntime and
# PyTorch do not).


class Model:
    """Collects the nodes and constants of one case."""

    def __init__(self, name, shape, batch="N", opset=17):
        assert name not in CASES, name
        self.name, self.shape, self.batch, self.opset = name, list(shape), batch, opset
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.constants, self.extra_inputs = [], [], []
        CASES[name] = self

    def const(self, value, dtype=np.float32):
        """A given array as an initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def weight(self, *shape):
        """A normally distributed array as an initializer."""
        return self.const(self.random.standard_normal(shape))

    def positive(self, *shape):
        return self.const(self.random.uniform(0.5, 1.5, shape))

    def op(self, kind, *inputs, **attributes):
        """Adds a node and returns the name of its (first) output."""
        index = len(self.nodes)
        output = f"t{index}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"/{kind.lower()}{index}", **attributes))
        return output

    def batchnorm(self, x, channels, **attributes):
        c = channels
        return self.op(
            "BatchNormalization", x, self.positive(c), self.weight(c), self.weight(c), self.positive(c), **attributes
        )

    def build(self, result_shape=None):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in self.nodes]
        last = nodes[-1].output[0]
        for node in nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = "y" if name == last else name
        shape = None if result_shape is None else [self.batch, *result_shape[1:]]
        graph = helper.make_graph(
            nodes,
            self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [self.batch, *self.shape]), *self.extra_inputs],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
            self.constants,
        )
        domains = sorted({node.domain for node in nodes} - {""})
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if self.opset < 23 else 11)
        model.producer_name = "make_op_cases"
        if result_shape is not None:
            onnx.checker.check_model(model, full_check=True)
        return model


# --- dense -----------------------------------------------------------------------------------------------------------


def dense():
    m = Model("gemm-trans-b", [5])
    m.op("Gemm", "x", m.weight(3, 5), m.weight(3), transB=1)
    m = Model("gemm-plain", [5])
    m.op("Gemm", "x", m.weight(5, 3), m.weight(3))
    m = Model("gemm-alpha-beta", [5])
    m.op("Gemm", "x", m.weight(3, 5), m.weight(3), transB=1, alpha=0.5, beta=-2.0)
    m = Model("gemm-no-bias", [5])
    m.op("Gemm", "x", m.weight(3, 5), transB=1)
    m = Model("gemm-no-bias-alpha", [5], batch=1)
    m.op("Gemm", "x", m.weight(5, 3), alpha=1.5)
    m = Model("gemm-scalar-bias", [5])
    m.op("Gemm", "x", m.weight(5, 3), m.weight(1), beta=0.5)
    m = Model("gemm-row-bias", [5])
    m.op("Gemm", "x", m.weight(5, 3), m.weight(1, 3))
    m = Model("gemm-opset-7", [5], opset=7)
    m.op("Gemm", "x", m.weight(3, 5), m.weight(3), transB=1)
    m = Model("matmul-2d", [5])
    m.op("MatMul", "x", m.weight(5, 3))
    m = Model("matmul-3d", [4, 5])
    m.op("MatMul", "x", m.weight(5, 3))
    m = Model("matmul-4d", [2, 4, 5])
    m.op("MatMul", "x", m.weight(5, 3))
    m = Model("matmul-constant-left", [5, 4])
    m.op("MatMul", m.weight(3, 5), "x")
    m = Model("matmul-add", [5])
    m.op("Add", m.op("MatMul", "x", m.weight(5, 3)), m.weight(3))
    m = Model("matmul-add-3d", [4, 5])
    m.op("Add", m.op("MatMul", "x", m.weight(5, 3)), m.weight(3))
    m = Model("matmul-add-bias-left", [5])
    m.op("Add", m.weight(3), m.op("MatMul", "x", m.weight(5, 3)))
    m = Model("mlp", [6])
    h = m.op("Relu", m.op("Gemm", "x", m.weight(8, 6), m.weight(8), transB=1))
    m.op("Gemm", h, m.weight(4, 8), m.weight(4), transB=1)


# --- convolutions ----------------------------------------------------------------------------------------------------


def convolutions():
    def conv(name, shape, weight, bias=True, batch="N", opset=17, **attributes):
        m = Model(name, shape, batch, opset)
        inputs = ["x", m.weight(*weight)] + ([m.weight(weight[0])] if bias else [])
        m.op("Conv", *inputs, **attributes)

    conv("conv1d", [2, 9], (3, 2, 3), kernel_shape=[3])
    conv("conv1d-stride-pads-dilation", [2, 11], (3, 2, 3), strides=[2], pads=[3, 1], dilations=[2])
    conv("conv1d-groups", [4, 9], (6, 2, 3), group=2, pads=[1, 1])
    conv("conv2d", [2, 6, 7], (3, 2, 3, 3), kernel_shape=[3, 3])
    conv("conv2d-no-bias", [2, 6, 7], (3, 2, 3, 3), bias=False, pads=[1, 1, 1, 1])
    conv("conv2d-no-kernel-shape", [2, 6, 7], (3, 2, 3, 2), pads=[1, 0, 1, 1])
    conv("conv2d-1x1", [4, 5, 5], (3, 4, 1, 1), kernel_shape=[1, 1])
    conv("conv2d-1x1-stride", [4, 5, 6], (3, 4, 1, 1), kernel_shape=[1, 1], strides=[2, 2])
    conv("conv2d-stride", [2, 8, 7], (3, 2, 3, 3), strides=[2, 3])
    conv("conv2d-stride-leftover", [2, 10, 10], (3, 2, 3, 3), strides=[4, 4])
    conv("conv2d-stride-over-kernel", [2, 9, 9], (3, 2, 2, 2), strides=[3, 3])
    conv("conv2d-asymmetric-pads", [2, 6, 7], (3, 2, 3, 3), pads=[0, 1, 2, 3])
    conv("conv2d-wide-pads", [2, 4, 4], (3, 2, 3, 3), pads=[3, 3, 3, 3])
    conv("conv2d-dilation", [2, 9, 9], (3, 2, 3, 3), dilations=[2, 3], pads=[1, 2, 1, 2])
    conv("conv2d-dilation-stride", [2, 9, 9], (3, 2, 3, 3), dilations=[2, 2], strides=[2, 2], pads=[2, 2, 2, 2])
    conv("conv2d-rectangular", [2, 8, 9], (3, 2, 5, 2), strides=[1, 2], pads=[2, 0, 2, 1])
    conv("conv2d-groups", [4, 6, 6], (6, 2, 3, 3), group=2, pads=[1, 1, 1, 1])
    conv("conv2d-groups-stride", [6, 7, 7], (3, 2, 3, 3), group=3, strides=[2, 2], pads=[1, 1, 1, 1])
    conv("conv2d-depthwise", [4, 6, 6], (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1])
    conv("conv2d-depthwise-multiplier", [3, 6, 6], (6, 1, 3, 3), group=3, pads=[1, 1, 1, 1], strides=[2, 2])
    conv("conv2d-same-upper", [2, 6, 7], (3, 2, 4, 4), auto_pad="SAME_UPPER")
    conv("conv2d-same-lower", [2, 6, 7], (3, 2, 4, 4), auto_pad="SAME_LOWER")
    conv("conv2d-same-upper-stride", [2, 7, 8], (3, 2, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
    conv("conv2d-same-lower-stride", [2, 7, 8], (3, 2, 3, 3), auto_pad="SAME_LOWER", strides=[2, 2])
    conv("conv2d-valid", [2, 6, 7], (3, 2, 3, 3), auto_pad="VALID", strides=[2, 2])
    conv("conv2d-notset", [2, 6, 7], (3, 2, 3, 3), auto_pad="NOTSET", pads=[1, 1, 1, 1])
    conv("conv2d-fixed-batch-1", [2, 6, 7], (3, 2, 3, 3), batch=1)
    conv("conv2d-fixed-batch-2", [2, 6, 7], (3, 2, 3, 3), batch=2, pads=[1, 1, 1, 1])
    conv("conv2d-opset-9", [2, 6, 7], (3, 2, 3, 3), opset=9, pads=[1, 1, 1, 1])
    conv("conv3d", [2, 4, 5, 6], (3, 2, 3, 3, 3), kernel_shape=[3, 3, 3])
    conv(
        "conv3d-everything",
        [4, 5, 6, 7],
        (4, 2, 3, 2, 3),
        group=2,
        strides=[2, 1, 2],
        pads=[1, 0, 2, 0, 1, 1],
        dilations=[1, 2, 1],
    )
    m = Model("conv2d-channels-17-to-33", [17, 6, 6])  # no multiple of any vector length
    m.op("Conv", "x", m.weight(33, 17, 1, 1), m.weight(33))
    m = Model("conv2d-add-bias", [2, 5, 5])
    m.op("Add", m.op("Conv", "x", m.weight(3, 2, 3, 3)), m.weight(3, 1, 1))
    m = Model("conv2d-relu-conv2d", [2, 7, 7])
    h = m.op("Relu", m.op("Conv", "x", m.weight(4, 2, 3, 3), m.weight(4), pads=[1, 1, 1, 1]))
    m.op("Conv", h, m.weight(3, 4, 3, 3), m.weight(3), strides=[2, 2])


def transposed_convolutions():
    def conv(name, shape, weight, bias=True, group=1, batch="N", **attributes):
        m = Model(name, shape, batch)
        inputs = ["x", m.weight(*weight)] + ([m.weight(weight[1] * group)] if bias else [])
        m.op("ConvTranspose", *inputs, **({"group": group} if group > 1 else {}), **attributes)

    conv("convtranspose1d", [2, 5], (2, 3, 3))
    conv("convtranspose1d-stride-pads", [2, 5], (2, 3, 4), strides=[2], pads=[1, 2], output_padding=[1])
    conv("convtranspose1d-dilation", [2, 5], (2, 3, 3), strides=[2], dilations=[2], pads=[1, 1])
    conv("convtranspose2d", [2, 4, 5], (2, 3, 3, 3))
    conv("convtranspose2d-no-bias", [2, 4, 5], (2, 3, 3, 3), bias=False, batch=2)
    conv("convtranspose2d-stride", [2, 4, 5], (2, 3, 2, 2), strides=[2, 2])
    conv("convtranspose2d-stride-over-kernel", [2, 3, 4], (2, 3, 2, 2), strides=[3, 3])
    conv("convtranspose2d-pads", [2, 4, 5], (2, 3, 3, 4), strides=[2, 2], pads=[1, 0, 0, 2])
    conv(
        "convtranspose2d-output-padding",
        [2, 4, 4],
        (2, 3, 3, 3),
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        output_padding=[1, 0],
    )
    conv("convtranspose2d-groups", [4, 4, 4], (4, 3, 3, 3), group=2, strides=[2, 2], pads=[1, 1, 1, 1])
    conv("convtranspose2d-depthwise", [3, 4, 4], (3, 1, 3, 3), group=3, strides=[2, 2])
    conv("convtranspose2d-dilation", [2, 4, 4], (2, 3, 3, 3), dilations=[2, 2], pads=[1, 1, 1, 1])
    conv("convtranspose2d-output-shape", [2, 4, 4], (2, 3, 3, 3), strides=[2, 2], output_shape=[8, 8])
    conv(
        "convtranspose2d-output-shape-same-upper",
        [2, 4, 4],
        (2, 3, 3, 3),
        strides=[2, 2],
        output_shape=[8, 8],
        auto_pad="SAME_UPPER",
    )
    conv("convtranspose2d-same-upper", [2, 4, 4], (2, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER")
    conv("convtranspose2d-same-lower", [2, 4, 4], (2, 3, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER")
    conv("convtranspose2d-valid", [2, 4, 4], (2, 3, 3, 3), strides=[2, 2], auto_pad="VALID")
    conv("convtranspose3d", [2, 3, 3, 3], (2, 3, 2, 2, 2), strides=[2, 2, 2])


# --- batch normalisation ---------------------------------------------------------------------------------------------


def batch_norms():
    Model("batchnorm", [3, 4, 4]).batchnorm("x", 3)
    Model("batchnorm-epsilon", [3, 4, 4]).batchnorm("x", 3, epsilon=0.1, momentum=0.5)
    Model("batchnorm-2d-input", [5]).batchnorm("x", 5)
    Model("batchnorm-1d", [3, 6]).batchnorm("x", 3)
    Model("batchnorm-3d", [2, 3, 3, 3]).batchnorm("x", 2)
    Model("batchnorm-opset-9", [3, 4, 4], opset=9).batchnorm("x", 3)
    m = Model("conv-batchnorm", [2, 6, 6])
    m.batchnorm(m.op("Conv", "x", m.weight(3, 2, 3, 3), m.weight(3), pads=[1, 1, 1, 1]), 3, epsilon=0.05)
    m = Model("conv-batchnorm-no-bias", [2, 6, 6])
    m.batchnorm(m.op("Conv", "x", m.weight(3, 2, 3, 3)), 3)
    m = Model("conv-groups-batchnorm-relu", [4, 6, 6])
    h = m.op("Conv", "x", m.weight(4, 2, 3, 3), m.weight(4), group=2)
    m.op("Relu", m.batchnorm(h, 4))
    m = Model("convtranspose-batchnorm", [2, 4, 4])
    m.batchnorm(m.op("ConvTranspose", "x", m.weight(2, 3, 3, 3), m.weight(3), strides=[2, 2]), 3)
    m = Model("convtranspose-groups-batchnorm", [4, 4, 4])
    m.batchnorm(m.op("ConvTranspose", "x", m.weight(4, 3, 3, 3), m.weight(6), group=2), 6)
    m = Model("gemm-batchnorm", [5])
    m.batchnorm(m.op("Gemm", "x", m.weight(3, 5), m.weight(3), transB=1), 3)
    m = Model("batchnorm-gemm", [5])
    m.op("Gemm", m.batchnorm("x", 5), m.weight(3, 5), m.weight(3), transB=1)
    m = Model("batchnorm-conv", [2, 6, 6])
    m.op("Conv", m.batchnorm("x", 2), m.weight(3, 2, 3, 3), m.weight(3))
    m = Model("batchnorm-conv-padded", [2, 6, 6])  # a shift does not fold into a padded convolution
    m.op("Conv", m.batchnorm("x", 2), m.weight(3, 2, 3, 3), m.weight(3), pads=[1, 1, 1, 1])
    m = Model("batchnorm-conv-groups", [4, 6, 6])
    m.op("Conv", m.batchnorm("x", 4), m.weight(4, 2, 3, 3), group=2)
    m = Model("batchnorm-convtranspose", [2, 4, 4])
    m.op("ConvTranspose", m.batchnorm("x", 2), m.weight(2, 3, 3, 3), m.weight(3))
    m = Model("batchnorm-relu-conv", [2, 6, 6])  # DenseNet's order
    m.op("Conv", m.op("Relu", m.batchnorm("x", 2)), m.weight(3, 2, 3, 3), pads=[1, 1, 1, 1])
    m = Model("conv-batchnorm-conv", [2, 7, 7])  # foldable into either
    h = m.batchnorm(m.op("Conv", "x", m.weight(3, 2, 3, 3), m.weight(3)), 3)
    m.op("Conv", h, m.weight(2, 3, 3, 3), m.weight(2))
    m = Model("conv-used-twice-batchnorm", [2, 5, 5])  # the convolution's output has another reader: folding is wrong
    h = m.op("Conv", "x", m.weight(3, 2, 3, 3), m.weight(3))
    m.op("Add", m.batchnorm(h, 3), h)
    m = Model("concat-batchnorm-conv", [2, 6, 6])
    a = m.op("Conv", "x", m.weight(3, 2, 3, 3), m.weight(3), pads=[1, 1, 1, 1])
    m.op("Conv", m.batchnorm(m.op("Concat", "x", a, axis=1), 5), m.weight(2, 5, 1, 1), m.weight(2))
    m = Model("batchnorm-batchnorm", [2, 4, 4])
    m.batchnorm(m.batchnorm("x", 2), 2)


# --- activations -----------------------------------------------------------------------------------------------------


def activations():
    for kind in ("Relu", "Sigmoid", "Tanh"):
        Model(kind.lower(), [3, 4]).op(kind, "x")
    Model("leakyrelu", [3, 4]).op("LeakyRelu", "x", alpha=0.2)
    Model("leakyrelu-default", [3, 4]).op("LeakyRelu", "x")
    m = Model("clip", [3, 4])
    m.op("Clip", "x", m.const(-0.5), m.const(0.75))
    m = Model("clip-relu6", [3, 4])
    m.op("Clip", "x", m.const(0.0), m.const(6.0))
    m = Model("clip-no-max", [3, 4])
    m.op("Clip", "x", m.const(-0.25))
    m = Model("clip-no-min", [3, 4])
    m.op("Clip", "x", "", m.const(0.5))
    Model("clip-no-bounds", [3, 4]).op("Clip", "x")
    m = Model("clip-constant-nodes", [3, 4])
    low = m.op("Constant", value=numpy_helper.from_array(np.float32(-0.5)))
    m.op("Clip", "x", low, m.op("Constant", value_float=0.5))
    Model("clip-attributes-opset-6", [3, 4], opset=6).op("Clip", "x", min=-0.5, max=0.5)
    m = Model("conv-leakyrelu-conv", [2, 6, 6])
    h = m.op("LeakyRelu", m.op("Conv", "x", m.weight(3, 2, 3, 3), m.weight(3)), alpha=0.1)
    m.op("Conv", h, m.weight(2, 3, 3, 3), m.weight(2))


# --- pooling ---------------------------------------------------------------------------------------------------------


def pooling():
    def pool(name, shape, kind, batch="N", opset=17, **attributes):
        Model(name, shape, batch, opset).op(kind, "x", **attributes)

    pool("maxpool1d", [2, 9], "MaxPool", kernel_shape=[3], strides=[2])
    pool("maxpool2d", [2, 6, 6], "MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    pool("maxpool2d-default-stride", [2, 5, 5], "MaxPool", kernel_shape=[2, 3])
    pool("maxpool2d-overlap", [2, 7, 7], "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    pool("maxpool2d-asymmetric-pads", [2, 6, 6], "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 2, 0])
    pool("maxpool2d-ceil", [2, 7, 8], "MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    pool(
        "maxpool2d-ceil-pads", [2, 7, 6], "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1
    )
    pool("maxpool2d-dilation", [2, 8, 8], "MaxPool", kernel_shape=[2, 3], dilations=[3, 2])
    pool(
        "maxpool2d-dilation-stride-pads",
        [2, 8, 8],
        "MaxPool",
        kernel_shape=[3, 3],
        dilations=[2, 2],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
    )
    pool("maxpool2d-same-upper", [2, 7, 6], "MaxPool", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    pool("maxpool2d-same-lower", [2, 7, 6], "MaxPool", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER")
    pool("maxpool2d-valid", [2, 7, 6], "MaxPool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID")
    pool("maxpool2d-fixed-batch-1", [2, 6, 6], "MaxPool", batch=1, kernel_shape=[2, 2], strides=[2, 2])
    pool("maxpool2d-opset-8", [2, 6, 6], "MaxPool", opset=8, kernel_shape=[2, 2], strides=[2, 2])
    pool("maxpool3d", [2, 5, 5, 6], "MaxPool", kernel_shape=[2, 3, 2], strides=[2, 1, 2], pads=[0, 1, 0, 1, 1, 0])

    pool("averagepool1d", [2, 9], "AveragePool", kernel_shape=[3], strides=[2])
    pool("averagepool2d", [2, 6, 6], "AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    pool("averagepool2d-default-stride", [2, 5, 5], "AveragePool", kernel_shape=[2, 3])
    for suffix, include in (("", 0), ("-include-pad", 1)):
        extra = {"count_include_pad": include} if include else {}
        pool("averagepool1d-pads" + suffix, [2, 8], "AveragePool", kernel_shape=[3], strides=[2], pads=[2, 1], **extra)
        pool(
            "averagepool2d-pads" + suffix,
            [2, 6, 6],
            "AveragePool",
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            **extra,
        )
        pool(
            "averagepool2d-asymmetric-pads" + suffix,
            [2, 6, 6],
            "AveragePool",
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[0, 1, 2, 0],
            **extra,
        )
        pool(
            "averagepool2d-ceil" + suffix,
            [2, 7, 8],
            "AveragePool",
            kernel_shape=[3, 3],
            strides=[2, 2],
            ceil_mode=1,
            **extra,
        )
        pool(
            "averagepool2d-ceil-pads" + suffix,
            [2, 6, 8],
            "AveragePool",
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            ceil_mode=1,
            **extra,
        )
        pool(
            "averagepool3d-pads" + suffix,
            [2, 4, 5, 5],
            "AveragePool",
            kernel_shape=[2, 3, 2],
            strides=[2, 2, 1],
            pads=[1, 1, 0, 0, 1, 1],
            **extra,
        )
        pool(
            "averagepool2d-same-upper" + suffix,
            [2, 7, 6],
            "AveragePool",
            kernel_shape=[2, 3],
            strides=[2, 2],
            auto_pad="SAME_UPPER",
            **extra,
        )
        pool(
            "averagepool2d-same-lower" + suffix,
            [2, 7, 6],
            "AveragePool",
            kernel_shape=[2, 3],
            strides=[2, 2],
            auto_pad="SAME_LOWER",
            **extra,
        )
    pool("averagepool2d-valid", [2, 7, 6], "AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID")
    pool("averagepool2d-opset-19-dilation", [2, 7, 7], "AveragePool", opset=19, kernel_shape=[2, 2], dilations=[2, 2])

    pool("globalaveragepool1d", [3, 5], "GlobalAveragePool")
    pool("globalaveragepool2d", [3, 4, 5], "GlobalAveragePool")
    pool("globalaveragepool3d", [3, 2, 3, 4], "GlobalAveragePool")
    pool("globalmaxpool1d", [3, 5], "GlobalMaxPool")
    pool("globalmaxpool2d", [3, 4, 5], "GlobalMaxPool")

    pool("reducemean", [3, 4, 5], "ReduceMean", opset=13, axes=[2, 3])
    pool("reducemean-negative-axes", [3, 4, 5], "ReduceMean", opset=13, axes=[-2, -1], keepdims=1)
    pool("reducemean-no-keepdims", [3, 4, 5], "ReduceMean", opset=13, axes=[2, 3], keepdims=0)
    pool("reducemean-one-axis", [3, 4, 5], "ReduceMean", opset=13, axes=[2], keepdims=0)
    for keepdims in (0, 1):
        m = Model(f"reducemean-opset-18-keepdims-{keepdims}", [3, 4, 5], opset=18)
        m.op("ReduceMean", "x", m.ints(-1, -2), keepdims=keepdims)
    m = Model("reducemean-tokens", [4, 5], opset=18)
    m.op("ReduceMean", "x", m.ints(1), keepdims=0)


# --- arithmetic and joining ------------------------------------------------------------------------------------------


def arithmetic():
    shapes = {
        "scalar": (),
        "one": (1,),
        "row": (4,),
        "channel": (3, 1, 1),
        "batch-channel": (1, 3, 1, 1),
        "full": (3, 4, 4),
    }
    for kind in ("Add", "Sub", "Mul", "Div"):
        for label, shape in shapes.items():
            if kind in ("Sub", "Div") and label in ("one", "row", "batch-channel"):
                continue
            m = Model(f"{kind.lower()}-{label}", [3, 4, 4])
            m.op(kind, "x", m.positive(*shape))
        if kind != "Div":
            m = Model(f"{kind.lower()}-constant-left", [3, 4, 4])
            m.op(kind, m.weight(3, 1, 1), "x")
    m = Model("normalise-image", [3, 4, 4])  # (x - mean) / std, as some exports begin
    m.op("Div", m.op("Sub", "x", m.weight(3, 1, 1)), m.positive(3, 1, 1))
    m = Model("add-constant-grows", [3, 1, 4])  # the constant is larger than x along an axis
    m.op("Add", "x", m.weight(3, 5, 1))

    m = Model("residual", [3, 5, 5])
    h = m.op("Relu", m.op("Conv", "x", m.weight(3, 3, 3, 3), m.weight(3), pads=[1, 1, 1, 1]))
    m.op("Relu", m.op("Add", h, "x"))
    m = Model("residual-projection", [2, 6, 6])
    a = m.op("Conv", "x", m.weight(4, 2, 3, 3), m.weight(4), strides=[2, 2], pads=[1, 1, 1, 1])
    b = m.op("Conv", "x", m.weight(4, 2, 1, 1), m.weight(4), strides=[2, 2])
    m.op("Add", a, b)
    m = Model("residual-broadcast", [3, 4, 4])  # one branch is [N,3,1,1]
    m.op("Add", "x", m.op("GlobalAveragePool", "x"))
    Model("add-to-itself", [3, 4]).op("Add", "x", "x")
    m = Model("sub-of-branches", [4])
    a = m.op("Gemm", "x", m.weight(3, 4), m.weight(3), transB=1)
    b = m.op("Gemm", "x", m.weight(3, 4), m.weight(3), transB=1)
    m.op("Sub", a, b)

    m = Model("concat-channels", [2, 5, 5])
    a = m.op("Conv", "x", m.weight(3, 2, 3, 3), m.weight(3), pads=[1, 1, 1, 1])
    m.op("Concat", a, "x", m.op("Relu", a), axis=1)
    m = Model("concat-last-axis", [2, 5])
    m.op("Concat", "x", m.op("Relu", "x"), axis=-1)
    m = Model("concat-constant", [2, 5], batch=2)
    m.op("Concat", "x", m.weight(2, 1, 5), axis=1)
    Model("concat-same-twice", [2, 5]).op("Concat", "x", "x", axis=1)

    m = Model("constant-node-add", [3, 4])
    value = m.random.standard_normal((3, 1)).astype(np.float32)
    m.op("Add", m.op("Constant", value=numpy_helper.from_array(value)), "x")
    m = Model("constant-node-floats", [3])
    m.op("Mul", "x", m.op("Constant", value_floats=[0.5, -1.0, 2.0]))


# --- shapes ----------------------------------------------------------------------------------------------------------


def shapes():
    def constant(m, value):
        return m.op("Constant", value=numpy_helper.from_array(np.asarray(value, np.int64)))

    Model("flatten", [3, 4, 5]).op("Flatten", "x")
    Model("flatten-axis-1", [3, 4]).op("Flatten", "x", axis=1)
    Model("flatten-axis-negative", [3, 4, 5]).op("Flatten", "x", axis=-3)
    Model("flatten-2d", [6]).op("Flatten", "x", axis=1)
    for name, target in (
        ("reshape-zero-minus-one", (0, -1)),
        ("reshape-zeros", (0, 0, -1)),
        ("reshape-split", (0, 2, -1, 5)),
        ("reshape-minus-one-first", (-1, 60)),
        ("reshape-merge", (-1, 12, 5)),
    ):
        m = Model(name, [3, 4, 5])
        m.op("Reshape", "x", m.ints(*target))
    m = Model("reshape-fixed-batch", [3, 4], batch=2)
    m.op("Reshape", "x", m.ints(2, 12))
    m = Model("reshape-constant-node", [3, 4])
    m.op("Reshape", "x", constant(m, [0, -1]))

    m = Model("reshape-shape-gather-concat", [3, 4, 5])  # x.view(x.size(0), -1), from TorchScript
    n = m.op("Gather", m.op("Shape", "x"), constant(m, 0), axis=0)
    n = m.op("Unsqueeze", n, constant(m, [0]))
    m.op("Reshape", "x", m.op("Concat", n, constant(m, [-1]), axis=0))
    m = Model("reshape-shape-gather-concat-opset-11", [3, 4, 5], opset=11)
    n = m.op("Gather", m.op("Shape", "x"), constant(m, 0), axis=0)
    n = m.op("Unsqueeze", n, axes=[0])
    m.op("Reshape", "x", m.op("Concat", n, constant(m, [-1]), axis=0))
    m = Model("reshape-shape-slice", [3, 4, 5])
    n = m.op("Slice", m.op("Shape", "x"), constant(m, [0]), constant(m, [1]), constant(m, [0]))
    m.op("Reshape", "x", m.op("Concat", n, constant(m, [12]), constant(m, [5]), axis=0))
    m = Model("reshape-shape-product", [3, 4, 5])  # x.view(x.size(0), x.size(1) * x.size(2), x.size(3))
    s = m.op("Shape", "x")
    sizes = [m.op("Gather", s, constant(m, i), axis=0) for i in range(4)]
    parts = [sizes[0], m.op("Mul", sizes[1], sizes[2]), sizes[3]]
    parts = [m.op("Unsqueeze", p, constant(m, [0])) for p in parts]
    m.op("Reshape", "x", m.op("Concat", *parts, axis=0))
    m = Model("channel-shuffle", [6, 3, 3])  # Reshape, Transpose, Reshape
    h = m.op("Reshape", "x", m.ints(0, 2, 3, 3, 3))
    h = m.op("Transpose", h, perm=[0, 2, 1, 3, 4])
    m.op("Reshape", h, m.ints(0, 6, 3, 3))

    Model("transpose", [3, 4, 5]).op("Transpose", "x", perm=[0, 2, 3, 1])
    Model("transpose-3d", [4, 5]).op("Transpose", "x", perm=[0, 2, 1])
    m = Model("transpose-matmul", [3, 4, 5])  # channels last, then dense over channels
    m.op("MatMul", m.op("Transpose", "x", perm=[0, 2, 3, 1]), m.weight(3, 2))

    m = Model("squeeze", [3, 1, 1])
    m.op("Squeeze", "x", m.ints(2, 3))
    m = Model("squeeze-negative", [3, 1, 4])
    m.op("Squeeze", "x", m.ints(-2))
    Model("squeeze-opset-11", [3, 1, 1], opset=11).op("Squeeze", "x", axes=[2, 3])
    m = Model("unsqueeze", [3, 4])
    m.op("Unsqueeze", "x", m.ints(1))
    m = Model("unsqueeze-negative", [3, 4])
    m.op("Unsqueeze", "x", m.ints(-1, 2))
    Model("unsqueeze-opset-11", [3, 4], opset=11).op("Unsqueeze", "x", axes=[2, 4])

    m = Model("pad-zero", [2, 4, 4])
    m.op("Pad", "x", m.ints(0, 0, 1, 2, 0, 0, 0, 1))
    m = Model("pad-zero-opset-11", [2, 4, 4], opset=11)
    m.op("Pad", "x", m.ints(0, 0, 1, 1, 0, 0, 1, 1), m.const(0.0), mode="constant")
    Model("pad-zero-opset-2", [2, 4, 4], opset=2).op("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1])
    m = Model("pad-value", [2, 4, 4])
    m.op("Pad", "x", m.ints(0, 0, 1, 1, 0, 0, 2, 0), m.const(0.75))
    m = Model("pad-channels", [2, 4, 4])
    m.op("Pad", "x", m.ints(0, 1, 0, 0, 0, 2, 0, 0))
    m = Model("pad-crop", [2, 5, 5])
    m.op("Pad", "x", m.ints(0, 0, -1, 1, 0, 0, 0, -2))
    for mode in ("reflect", "edge"):
        m = Model(f"pad-{mode}", [2, 4, 4])
        m.op("Pad", "x", m.ints(0, 0, 2, 1, 0, 0, 1, 3), mode=mode)
    m = Model("pad-opset-18-axes", [2, 4, 4], opset=18)
    m.op("Pad", "x", m.ints(1, 2, 0, 1), "", m.ints(2, 3))
    m = Model("pad-opset-18-negative-axes-value", [2, 4, 4], opset=18)
    m.op("Pad", "x", m.ints(1, 2, 0, 1), m.const(-1.5), m.ints(-1, -2))
    m = Model("pad-opset-18-reflect", [2, 4, 4], opset=18)
    m.op("Pad", "x", m.ints(2, 1, 1, 2), "", m.ints(2, 3), mode="reflect")
    m = Model("pad-conv", [2, 5, 5])
    m.op("Conv", m.op("Pad", "x", m.ints(0, 0, 1, 1, 0, 0, 1, 1)), m.weight(3, 2, 3, 3), m.weight(3))


# --- what passes through, and what ends a model -----------------------------------------------------------------------


def rest():
    Model("dropout", [3, 4]).op("Dropout", "x")
    m = Model("dropout-inputs", [3, 4])
    m.op("Dropout", "x", m.const(0.4), m.const(False, bool))
    Model("dropout-opset-7", [3, 4], opset=7).op("Dropout", "x", ratio=0.4)
    Model("identity", [3, 4]).op("Identity", "x")
    m = Model("identity-of-weights", [5])  # exporters share equal initializers this way
    shared = m.weight(5, 5)
    h = m.op("Relu", m.op("Gemm", "x", shared))
    m.op("Gemm", h, m.op("Identity", shared))

    for kind in ("Softmax", "LogSoftmax"):
        m = Model(f"{kind.lower()}-end", [5])
        m.op(kind, m.op("Gemm", "x", m.weight(4, 5), m.weight(4), transB=1), axis=-1)
    m = Model("softmax-end-axis-1", [5])
    m.op("Softmax", m.op("Gemm", "x", m.weight(4, 5), m.weight(4), transB=1), axis=1)
    m = Model("softmax-end-opset-11", [5], opset=11)
    m.op("Softmax", m.op("Gemm", "x", m.weight(4, 5), m.weight(4), transB=1))
    m = Model("softmax-end-conv", [2, 4, 4])
    h = m.op("GlobalAveragePool", m.op("Conv", "x", m.weight(3, 2, 3, 3), m.weight(3)))
    m.op("Softmax", m.op("Flatten", h), axis=1)
    m = Model("softmax-end-identity", [5])
    m.op("Identity", m.op("Softmax", m.op("Gemm", "x", m.weight(4, 5), m.weight(4), transB=1), axis=-1))

    m = Model("initializer-also-input", [5])  # as files of before 2019 have it
    w, b = m.weight(3, 5), m.weight(3)
    m.op("Gemm", "x", w, b, transB=1)
    m.extra_inputs = [
        helper.make_tensor_value_info(w, TensorProto.FLOAT, [3, 5]),
        helper.make_tensor_value_info(b, TensorProto.FLOAT, [3]),
    ]
    m = Model("initializer-float-data", [5])  # not raw bytes but the repeated field
    values = m.random.standard_normal(15)
    m.constants.append(helper.make_tensor("w", TensorProto.FLOAT, [3, 5], values.tolist()))
    m.op("Gemm", "x", "w", transB=1)


# --- running ---------------------------------------------------------------------------------------------------------


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


# --- operators without a relevance behaviour, and extrema ----------------------------------------------------------------


def functions():
    for kind in ("Exp", "Abs", "Sin", "Cos"):
        Model(kind.lower(), [3, 4]).op(kind, "x")
    for kind in ("Log", "Sqrt", "Reciprocal"):
        m = Model(kind.lower(), [3, 4])
        m.op(kind, m.op("Add", m.op("Abs", "x"), m.const(0.5)))
    for label, power in (("square", 2.0), ("cube", 3.0), ("inverse", -1.0)):
        m = Model(f"pow-{label}", [3, 4])
        m.op("Pow", "x", m.const(power))
    m = Model("pow-fraction", [3, 4])
    m.op("Pow", m.op("Abs", "x"), m.const(0.7))
    m = Model("div-of-branches", [3, 4])
    m.op("Div", m.op("Tanh", "x"), m.op("Exp", "x"))
    m = Model("div-constant-left", [3, 4])
    m.op("Div", m.weight(3, 1), m.op("Exp", "x"))
    m = Model("div-by-norm", [3, 4])  # divides each row by its length, as face and retrieval networks do
    length = m.op("Sqrt", m.op("ReduceSum", m.op("Mul", "x", "x"), m.ints(2), keepdims=1))
    m.op("Div", "x", length)
    m = Model("embedding-head", [5])  # a dense layer on an embedding of length one
    h = m.op("Relu", m.op("Gemm", "x", m.weight(4, 5), m.positive(4), transB=1))
    length = m.op("Sqrt", m.op("ReduceSum", m.op("Mul", h, h), m.ints(1), keepdims=1))
    m.op("Gemm", m.op("Div", h, length), m.weight(3, 4), transB=1)
    m = Model("selu", [3, 4])
    m.op("Selu", "x")
    m = Model("selu-parameters", [3, 4])
    m.op("Selu", "x", alpha=1.1, gamma=0.9)
    for kind in ("Max", "Min"):
        name = kind.lower()
        m = Model(f"{name}-number", [3, 4])
        m.op(kind, "x", m.const(0.25))
        m = Model(f"{name}-constant", [3, 4])
        m.op(kind, "x", m.weight(3, 1))
        m = Model(f"{name}-of-three", [3, 4])
        m.op(kind, "x", m.op("Neg", "x"), m.op("Tanh", "x"))
        m = Model(f"{name}-broadcast", [3, 4])
        m.op(kind, "x", m.op("ReduceMean", "x", axes=[2], keepdims=1))
    for axis in (1, -1):
        m = Model(f"logsoftmax-middle-axis{axis}", [3, 4])
        m.op("Neg", m.op("LogSoftmax", "x", axis=axis))
    m = Model("softmax-middle-opset-11", [3, 4], opset=11)
    m.op("Neg", m.op("Softmax", "x"))
    for rank in (1, 2, 3):
        m = Model(f"instancenorm{rank}d", [3] + [4] * rank)
        m.op("InstanceNormalization", "x", m.positive(3), m.weight(3))
    m = Model("groupnorm", [4, 3, 3])  # as PyTorch writes group normalisation for opset 17
    y = m.op("Reshape", "x", m.ints(0, 2, -1))
    y = m.op("InstanceNormalization", y, m.const([1.0, 1.0]), m.const([0.0, 0.0]), epsilon=1e-3)
    y = m.op("Reshape", y, m.ints(0, 4, 3, 3))
    m.op("Add", m.op("Mul", y, m.weight(4, 1, 1)), m.weight(4, 1, 1))


# --- choices, reductions, places, products --------------------------------------------------------------------------------


def choices():
    m = Model("where-leaky-relu", [3, 4])
    m.op("Where", m.op("Greater", "x", m.const(0.0)), "x", m.op("Mul", "x", m.const(0.1)))
    for kind in ("GreaterOrEqual", "Less", "LessOrEqual"):
        m = Model(f"where-{kind.lower()}", [3, 4])
        m.op("Where", m.op(kind, "x", m.weight(3, 1)), m.op("Neg", "x"), m.weight(4))
    m = Model("where-constant-condition", [3, 4])
    m.op("Where", m.const(m.random.random((3, 4)) < 0.5, bool), "x", m.const(-2.0))
    m = Model("where-logic", [3, 4])
    low, high = m.op("Less", "x", m.const(-0.5)), m.op("Greater", "x", m.const(0.5))
    outside = m.op("Or", low, high)
    m.op("Where", m.op("And", outside, m.op("Not", low)), "x", m.op("Exp", "x"))
    m = Model("where-nan", [3, 4])
    m.op("Neg", m.op("Where", m.op("IsNaN", "x"), m.const(0.0), "x"))
    m = Model("mask-product", [3, 4])
    m.op("Mul", "x", m.op("Cast", m.op("Greater", "x", m.const(0.0)), to=TensorProto.FLOAT))
    m = Model("sign-root", [3, 4])
    m.op("Mul", m.op("Sign", "x"), m.op("Sqrt", m.op("Abs", "x")))
    for upper in (0, 1):
        m = Model(f"trilu-{upper}", [3, 4])
        m.op("Trilu", "x", m.const(1 - 2 * upper, np.int64), upper=upper)


def reductions():
    for kind in ("L1", "L2", "LogSumExp", "Max", "Min", "Prod", "SumSquare"):
        name = f"reduce{kind.lower()}"
        Model(f"{name}-last", [3, 4]).op(f"Reduce{kind}", "x", axes=[-1], keepdims=0)
        Model(f"{name}-apart", [3, 4, 2]).op(f"Reduce{kind}", "x", axes=[1, 3], keepdims=1)
        m = Model(f"{name}-input", [3, 4, 2], opset=18)
        m.op(f"Reduce{kind}", "x", m.ints(2, 1), keepdims=0)
    m = Model("reducelogsum", [3, 4])
    m.op("ReduceLogSum", m.op("Exp", "x"), axes=[1], keepdims=0)
    for largest in (0, 1):
        m = Model(f"topk-{largest}", [3, 5])
        m.op("TopK", "x", m.ints(3), axis=-1, largest=largest)
        m.nodes[-1].output.append("places")
    m = Model("topk-middle", [5, 2])
    m.op("TopK", "x", m.ints(2), axis=1)
    m.nodes[-1].output.append("places")
    for exclusive in (0, 1):
        for reverse in (0, 1):
            m = Model(f"cumsum-{exclusive}{reverse}", [3, 4])
            m.op("CumSum", "x", m.const(2, np.int64), exclusive=exclusive, reverse=reverse)
    m = Model("mean-of-three", [3, 4])
    m.op("Mean", "x", m.weight(3, 1), m.op("Exp", "x"))


def places():
    m = Model("tile", [2, 3])
    m.op("Tile", "x", m.ints(1, 3, 2))
    m = Model("gather-elements", [3, 4], batch=2)
    m.op("GatherElements", "x", m.const([[[2, 0, -1], [1, 1, 0]]] * 2, np.int64), axis=1)
    m = Model("gather-nd", [3, 4, 2], batch=2)
    m.op("GatherND", "x", m.const([[[2, 0], [-1, 1]]] * 2, np.int64), batch_dims=1)
    m = Model("gather-nd-deeper", [3, 4, 2], batch=2)
    m.op("GatherND", "x", m.const([[[[2], [0]], [[-1], [1]], [[0], [0]]]] * 2, np.int64), batch_dims=2)
    # Added up where there are two for one place.
    tables = {"none": [[2, 0, -2, 0], [1, 1, 0, 2]], "add": [[2, 0, -1, 0], [2, 1, 0, 0]]}
    for reduction in ("none", "add"):
        m = Model(f"scatter-elements-{reduction}", [3, 4], batch=2, opset=18)
        update = m.op("Slice", "x", m.ints(0), m.ints(2), m.ints(1))
        m.op("ScatterElements", "x", m.const([tables[reduction]] * 2, np.int64), update, axis=1, reduction=reduction)
    m = Model("scatter-nd", [3, 4], batch=2)
    m.op("ScatterND", "x", m.const([[[0, 2], [0, 0]], [[1, 2], [1, 0]]], np.int64), m.const([[[5.0] * 4] * 2] * 2))
    grid = np.random.default_rng(1).uniform(-1.6, 1.6, (1, 3, 5, 2))
    for mode in ("linear", "nearest", "cubic"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (0, 1):
                m = Model(f"gridsample-{mode}-{padding}-{corners}", [2, 4, 6], opset=20, batch=2)
                grids = m.const(np.repeat(grid, 2, axis=0))
                m.op("GridSample", "x", grids, mode=mode, padding_mode=padding, align_corners=corners)


def normalisations():
    for size in (1, 3, 5):  # onnxruntime knows odd ones only
        Model(f"lrn-{size}", [5, 3, 3]).op("LRN", "x", size=size, alpha=0.5, beta=0.6, bias=1.5)
    for p in (1, 2):
        Model(f"lpnorm-{p}", [3, 4]).op("LpNormalization", "x", axis=1, p=p)
        Model(f"globallppool-{p}", [3, 4, 4]).op("GlobalLpPool", "x", p=p)
        Model(f"lppool-{p}", [3, 5, 5]).op("LpPool", "x", kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1], p=p)
    Model("mvn", [3, 4, 4]).op("MeanVarianceNormalization", "x", axes=[2, 3])
    Model("mvn-channels", [3, 4, 4]).op("MeanVarianceNormalization", "x", axes=[1, 3])
    m = Model("groupnorm-21", [4, 3, 3], opset=21)
    m.op("GroupNormalization", "x", m.positive(4), m.weight(4), num_groups=2, epsilon=1e-3)
    m = Model("rmsnorm", [3, 4], opset=23)
    m.op("RMSNormalization", "x", m.weight(4), axis=-1, epsilon=1e-3)
    m = Model("rmsnorm-two-axes", [2, 3, 4], opset=23)
    m.op("RMSNormalization", "x", m.weight(3, 4), axis=2, epsilon=1e-3)


def products():
    m = Model("matmul-of-activations", [3, 4])
    m.op("MatMul", m.op("Tanh", "x"), m.op("Transpose", "x", perm=[0, 2, 1]))
    m = Model("matmul-broadcast", [2, 3, 4])
    keys = m.op("ReduceMean", m.op("Transpose", "x", perm=[0, 1, 3, 2]), axes=[1], keepdims=1)
    m.op("MatMul", "x", keys)
    m = Model("matmul-stack", [2, 3, 4])
    m.op("MatMul", "x", m.weight(2, 4, 5))
    m = Model("matmul-stack-left", [2, 3, 4])
    m.op("MatMul", m.weight(2, 5, 3), "x")
    m = Model("attention", [3, 4])
    q, k, v = (m.op("MatMul", "x", m.weight(4, 4)) for _ in range(3))
    scores = m.op("Mul", m.op("MatMul", q, m.op("Transpose", k, perm=[0, 2, 1])), m.const(0.5))
    m.op("MatMul", m.op("Softmax", scores, axis=-1), v)
    for label, equation in {"scores": "bqhd,bkhd->bhqk", "outer": "bija,bkla->bijkl", "sum": "bija,bkja->bik"}.items():
        Model(f"einsum-{label}", [3, 2, 4]).op("Einsum", "x", "x", equation=equation)
    m = Model("einsum-constant", [3, 2, 4])
    m.op("Einsum", "x", m.weight(2, 4, 5), equation="bthd,hde->bte")
    m = Model("einsum-constant-stack", [3, 2, 4])
    m.op("Einsum", "x", m.weight(2, 4, 5), equation="bthd,hde->bhte")
    m = Model("einsum-ellipsis", [3, 2, 4])
    m.op("Einsum", m.weight(5, 4), "x", equation="ed,...d->...e")
    Model("einsum-one", [3, 2, 4]).op("Einsum", "x", equation="bijk->bkj")


def recurrent_layers():
    for direction, d in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        for activation in ("Tanh", "Relu"):
            m = Model(f"rnn-{direction}-{activation.lower()}", [4, 3])
            weights = [m.weight(d, 2, 3), m.weight(d, 2, 2), m.weight(d, 4)]
            x = m.op("Transpose", "x", perm=[1, 0, 2])
            y = m.op("RNN", x, *weights, direction=direction, hidden_size=2, activations=[activation] * d)
            m.op("Transpose", y, perm=[2, 0, 1, 3])


def more_functions():
    for kind in ("Sinh", "Cosh", "Tan", "Atan", "Asinh", "Softsign"):
        Model(kind.lower(), [3, 4]).op(kind, "x")
    for kind in ("Asin", "Acos", "Atanh"):
        m = Model(kind.lower(), [3, 4])
        m.op(kind, m.op("Mul", m.op("Tanh", "x"), m.const(0.9)))
    m = Model("acosh", [3, 4])
    m.op("Acosh", m.op("Add", m.op("Abs", "x"), m.const(1.5)))
    Model("celu", [3, 4]).op("Celu", "x", alpha=0.7)
    Model("thresholded-relu", [3, 4]).op("ThresholdedRelu", "x", alpha=0.3)
    Model("shrink", [3, 4]).op("Shrink", "x", lambd=0.6, bias=0.4)


def fused_operators():
    """Attention and its relatives as one node, ONNX's own and ONNX Runtime's."""
    tokens, width, heads = 5, 8, 2

    def projections(m, sizes=(width, width, width)):
        return [m.op("MatMul", "x", m.weight(width, size)) for size in sizes]

    for name, options in {
        "": {},
        "-causal": {"is_causal": 1},
        "-scale": {"scale": 0.3},
        "-softcap": {"softcap": 0.7},
    }.items():
        m = Model(f"attention-onnx{name}", [tokens, width], opset=23)
        m.op("Attention", *projections(m), q_num_heads=heads, kv_num_heads=heads, **options)
    m = Model("attention-onnx-grouped", [tokens, width], opset=23)
    m.op("Attention", *projections(m, (width, 4, 4)), q_num_heads=4, kv_num_heads=2)
    m = Model("attention-onnx-4d", [heads, tokens, 4], opset=23)
    q, k, v = (m.op("MatMul", "x", m.weight(4, 4)) for _ in range(3))
    m.op("Attention", q, k, v)
    mask = np.random.default_rng(0).random((tokens, tokens)) < 0.7
    np.fill_diagonal(mask, True)
    m = Model("attention-onnx-mask", [tokens, width], opset=23)
    m.op("Attention", *projections(m), m.const(mask, bool), q_num_heads=heads, kv_num_heads=heads)
    m = Model("attention-onnx-bias", [tokens, width], opset=23)
    m.op("Attention", *projections(m), m.weight(tokens, tokens), q_num_heads=heads, kv_num_heads=heads)

    for interleaved in (0, 1):
        m = Model(f"rotary-onnx-{interleaved}", [heads, tokens, 4], batch=1, opset=23)
        cos, sin = m.weight(1, tokens, 2), m.weight(1, tokens, 2)
        m.op("RotaryEmbedding", "x", cos, sin, interleaved=interleaved)
    m = Model("rotary-onnx-heads", [tokens, width], batch=1, opset=23)
    ids = m.const(np.arange(tokens)[None], np.int64)
    m.op("RotaryEmbedding", "x", m.weight(9, 1), m.weight(9, 1), ids, num_heads=heads, rotary_embedding_dim=2)

    microsoft = {"domain": "com.microsoft"}
    for name, options in {"": {}, "-unidirectional": {"unidirectional": 1}, "-scale": {"scale": 0.4}}.items():
        m = Model(f"attention-packed{name}", [tokens, width])
        m.op("Attention", "x", m.weight(width, 3 * width), m.weight(3 * width), num_heads=heads, **options, **microsoft)
    m = Model("attention-multi-head", [tokens, width])
    m.op("MultiHeadAttention", *projections(m), m.weight(3 * width), num_heads=heads, **microsoft)
    m = Model("skip-layer-norm", [tokens, width])
    y = m.op("Relu", "x")
    m.op(
        "SkipLayerNormalization", "x", y, m.weight(width), m.weight(width), m.weight(width), epsilon=1e-3, **microsoft
    )
    m = Model("skip-simplified-layer-norm", [tokens, width])
    y = m.op("Relu", "x")
    m.op("SkipSimplifiedLayerNormalization", "x", y, m.weight(width), epsilon=1e-3, **microsoft)


def main():
    parser = argparse.ArgumentParser(description="Make the single-operator models and their expected outputs.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for old in args.out.glob("*.onnx"):
        old.unlink()

    for group in (
        dense,
        convolutions,
        transposed_convolutions,
        batch_norms,
        activations,
        pooling,
        arithmetic,
        shapes,
        rest,
        functions,
        choices,
        reductions,
        places,
        normalisations,
        products,
        recurrent_layers,
        more_functions,
        fused_operators,
    ):
        group()

    arrays, unchecked, wrong = {}, [], []
    for name, case in CASES.items():
        batch = case.batch if isinstance(case.batch, int) else 2
        x = case.random.standard_normal((batch, *case.shape)).astype(np.float32)
        try:
            y = run(case.build(), x)
            model = case.build(y.shape)
        except Exception as error:
            raise SystemExit(f"{name}: {error}")
        assert y.dtype == np.float32 and y.shape[0] == batch and np.isfinite(y).all(), name
        try:
            expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
        except Exception as error:  # the reference evaluator does not cover everything
            unchecked.append(f"{name} ({type(error).__name__}: {str(error).splitlines()[0][:90]})")
        else:
            same = expected.shape == y.shape and np.allclose(expected, y, rtol=1e-4, atol=1e-5)
            if same == (name in DISPUTED):
                wrong.append(f"{name}: {'agrees, but is listed as disputed' if same else (expected.shape, y.shape)}")
        onnx.save(model, args.out / f"{name}.onnx")
        arrays[f"{name}.x"], arrays[f"{name}.y"] = x, np.ascontiguousarray(y)
    np.savez_compressed(args.out / "ops.npz", **arrays)

    sizes = [path.stat().st_size for path in args.out.glob("*.onnx")]
    print(f"{len(CASES)} models, {sum(sizes)} bytes, the largest {max(sizes)}")
    print(f"ops.npz: {(args.out / 'ops.npz').stat().st_size} bytes")
    for line in unchecked:
        print(f"not checked by the reference evaluator: {line}")
    if wrong:
        raise SystemExit("onnxruntime and the reference evaluator differ:\n  " + "\n  ".join(wrong))


if __name__ == "__main__":
    main()
