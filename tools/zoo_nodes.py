"""The files of tests/shipped that come from ONNX's own tools: helper, the quantizers of onnxruntime, and skl2onnx; zoo_scripts.py has more."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo_scripts import by_onnxscript, by_spox
from zoo_shelf import noise, random_of


class Net:
    """A graph that is written by hand."""

    def __init__(self, name, opset=17, **inputs):
        self.name, self.opset, self.count = name, opset, 0
        self.nodes, self.weights = [], []
        kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8}
        self.inputs = [helper.make_tensor_value_info(n, kinds[v.dtype.name], v.shape) for n, v in inputs.items()]
        self.values = inputs

    def const(self, value, dtype=np.float32):
        self.count += 1
        name = f"c{self.count}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, *shape, scale=None):
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        self.count += 1
        values = random_of(f"{self.name} {self.count}").standard_normal(shape)
        return self.const(values * (scale or (1.5 / fan_in) ** 0.5))

    def ints(self, *values):
        return self.const(values, np.int64)

    def op(self, op, *inputs, outputs=1, domain="", **attributes):
        self.count += 1
        names = [f"{op.lower()}{self.count}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0], domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def dense(self, x, a, b):
        return self.op("Gemm", x, self.weight(b, a), self.weight(b, scale=0.2), transB=1)

    def model(self, *outputs, functions=(), domains=()):
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(domain, 1) for domain in domains]
        model = helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)
        model = onnx.shape_inference.infer_shapes(model)
        del model.graph.value_info[:]
        for value in model.graph.output:
            if not value.type.tensor_type.HasField("shape"):
                value.type.tensor_type.shape.dim.extend([onnx.TensorShapeProto.Dimension() for _ in range(2)])
        onnx.checker.check_model(model)
        return model


def graph_of(nodes, name, inputs, outputs, weights=()):
    infos = lambda names: [helper.make_tensor_value_info(n, kind, shape) for n, kind, shape in names]
    return helper.make_graph(nodes, name, infos(inputs), infos(outputs), list(weights))


# --- helper ----------------------------------------------------------------------------------------------------------


def constant_ifs():
    """An If in an If, as torch.jit.script leaves them: squeezes what has the length one."""
    x = noise("ifs", 1, 6)
    net = Net("ifs", x=x)
    size = net.op("Gather", net.op("Shape", "x"), net.ints(0))
    one = net.op("Equal", size, net.ints(1))
    two = net.op("Greater", size, net.ints(5))
    node = helper.make_node
    deep = graph_of([node("Relu", ["x"], ["deep"])], "deep", [], [("deep", 1, None)])
    other = graph_of([node("Neg", ["x"], ["other"])], "other", [], [("other", 1, None)])
    inner = graph_of([node("If", [two], ["kept"], then_branch=other, else_branch=deep)], "inner", [], [("kept", 1, None)])
    outer = graph_of([node("Abs", ["x"], ["abs"])], "outer", [], [("abs", 1, None)])
    y = net.op("If", net.op("Squeeze", one, net.ints(0)), then_branch=inner, else_branch=outer)
    return net.model(net.dense(net.op("Add", y, net.dense("x", 6, 6)), 6, 3)), {"x": x}, {}


def known_loop():
    """A Loop that applies one layer four times, and collects what it gives."""
    x = noise("loop", 1, 5)
    net = Net("loop", x=x)
    w, b = net.weight(5, 5), net.weight(5, scale=0.2)
    node = helper.make_node
    body = graph_of(
        [
            node("Gemm", ["h", w, b], ["z"]),
            node("Relu", ["z"], ["a"]),
            node("Add", ["h", "a"], ["next"]),
            node("Identity", ["go"], ["again"]),
            node("ReduceSum", ["next", net.ints(1)], ["seen"]),
        ],
        "body",
        [("i", 7, []), ("go", 9, []), ("h", 1, [1, 5])],
        [("again", 9, []), ("next", 1, [1, 5]), ("seen", 1, [1, 1])],
    )
    last, seen = net.op("Loop", net.const(4, np.int64), "", "x", outputs=2, body=body)
    seen = net.op("Reshape", seen, net.ints(1, 4))
    return net.model(net.dense(net.op("Concat", last, seen, axis=1), 9, 3)), {"x": x}, {}


def scanned():
    """A plain recurrent cell in a Scan, time first."""
    x = noise("scan", 4, 1, 3)
    net = Net("scan", x=x)
    w, r = net.weight(5, 3), net.weight(5, 5)
    node = helper.make_node
    body = graph_of(
        [
            node("Gemm", ["x_t", w], ["a"], transB=1),
            node("Gemm", ["h", r], ["b"], transB=1),
            node("Add", ["a", "b"], ["z"]),
            node("Tanh", ["z"], ["h_out"]),
            node("Identity", ["h_out"], ["y_t"]),
        ],
        "body",
        [("h", 1, [1, 5]), ("x_t", 1, [1, 3])],
        [("h_out", 1, [1, 5]), ("y_t", 1, [1, 5])],
    )
    zero = net.const(np.zeros((1, 5)))
    last, every = net.op("Scan", zero, "x", outputs=2, body=body, num_scan_inputs=1)
    y = net.op("Add", last, net.op("ReduceMean", every, axes=[0], keepdims=0))
    return net.model(net.dense(y, 5, 3)), {"x": x}, {}


def local_functions():
    """A model-local function that calls another one, with attributes."""
    x = noise("functions", 1, 5)
    net = Net("functions", x=x)
    node = helper.make_node
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ours", 1)]
    leaky = node("LeakyRelu", ["x"], ["y"])
    attribute = onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    leaky.attribute.append(attribute)
    act = helper.make_function("ours", "Act", ["x"], ["y"], [leaky], opsets, attributes=["slope"])
    block = helper.make_function(
        "ours",
        "Block",
        ["x", "w", "b"],
        ["y"],
        [node("Gemm", ["x", "w", "b"], ["z"]), node("Act", ["z"], ["a"], domain="ours", slope=0.2), node("Add", ["x", "a"], ["y"])],
        opsets,
    )
    y = "x"
    for _ in range(2):
        y = net.op("Block", y, net.weight(5, 5), net.weight(5, scale=0.2), domain="ours")
    return net.model(net.dense(y, 5, 3), functions=[act, block], domains=["ours"]), {"x": x}, {}


def whole_lstm():
    """An LSTM and a GRU, layers that hand on their last states, with peculiar options."""
    x = noise("layouts", 5, 1, 3)
    net = Net("layouts", x=x)
    _, last = net.op("LSTM", "x", net.weight(1, 16, 3), net.weight(1, 16, 4), net.weight(1, 32, scale=0.2), outputs=2, hidden_size=4, direction="reverse")
    every = net.op("GRU", "x", net.weight(2, 12, 3), net.weight(2, 12, 4), net.weight(2, 24, scale=0.2), hidden_size=4, direction="bidirectional")
    y = net.op("Concat", net.op("Reshape", last, net.ints(1, 4)), net.op("Reshape", net.op("ReduceMax", every, axes=[0], keepdims=0), net.ints(1, 8)), axis=1)
    return net.model(net.dense(y, 12, 3)), {"x": x}, {}


def merged_axes():
    """The batch behind the channels, merged with the width, and back."""
    x = noise("merged", 1, 3, 4, 4)
    net = Net("merged", x=x)
    y = net.op("Conv", "x", net.weight(4, 3, 3, 3), net.weight(4, scale=0.2), pads=[1, 1, 1, 1])
    y = net.op("Relu", net.op("Reshape", net.op("Transpose", y, perm=[3, 0, 2, 1]), net.ints(4, 16)))
    y = net.op("Reshape", net.op("MatMul", y, net.weight(16, 5)), net.ints(1, -1))
    return net.model(net.dense(y, 20, 3)), {"x": x}, {}


def wavelets():
    """CumSum, Trilu, GatherND, ScatterND, Tile, Where on an index, ReduceSumSquare, Mean, Celu."""
    x = noise("wavelets", 1, 4, 4)
    net = Net("wavelets", opset=18, x=x)
    y = net.op("Trilu", net.op("Celu", net.op("MatMul", "x", net.weight(4, 4)), alpha=0.8), upper=0)
    y = net.op("CumSum", y, net.const(2, np.int64), reverse=1)
    y = net.op("Where", net.const(np.arange(16).reshape(1, 4, 4) % 3 == 0, bool), y, "x")
    y = net.op("Mean", y, "x", net.op("Tile", net.op("Slice", "x", net.ints(0), net.ints(1), net.ints(2)), net.ints(1, 1, 4)))
    picked = net.op("GatherND", y, net.const([[[0, 1, 2]], [[0, 3, 3]], [[0, 0, 0]]], np.int64))
    flat = net.op("ScatterND", net.const(np.full(8, 0.25)), net.const([[6], [1], [4]], np.int64), net.op("Reshape", picked, net.ints(3)))
    squares = net.op("ReduceSumSquare", y, net.ints(2), keepdims=0)
    return net.model(net.dense(net.op("Concat", net.op("Reshape", flat, net.ints(1, 8)), squares, axis=1), 12, 3)), {"x": x}, {}


def normalised():
    """LRN, LpNormalization, GroupNormalization, MeanVarianceNormalization, max pooling with equal elements and ceil_mode."""
    x = noise("normalised", 1, 2, 7, 7)
    net = Net("normalised", opset=21, x=x)
    y = net.op("LRN", net.op("Conv", "x", net.weight(4, 2, 3, 3)), size=3, alpha=0.5, beta=0.6, bias=1.5)
    y = net.op("MaxPool", net.op("Relu", y), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    y = net.op("GroupNormalization", y, net.const([1.2, 0.8, 1.0, 1.4]), net.const([0.1, -0.2, 0.3, 0.0]), num_groups=2)
    y = net.op("LpNormalization", net.op("Flatten", net.op("AveragePool", y, kernel_shape=[2, 2], pads=[1, 1, 0, 0])), axis=1)
    return net.model(net.dense(y, 36, 3)), {"x": x}, {}


def written_out():
    """A layer norm, a GELU, a hard swish and a sigmoid, node by node."""
    x = noise("written out", 1, 3, 6)
    net = Net("written_out", opset=13, x=x)
    y = net.op("MatMul", "x", net.weight(6, 6))
    centred = net.op("Sub", y, net.op("ReduceMean", y, axes=[-1]))
    variance = net.op("ReduceMean", net.op("Pow", centred, net.const(2.0)), axes=[-1])
    y = net.op("Div", centred, net.op("Sqrt", net.op("Add", variance, net.const(1e-5))))
    y = net.op("Add", net.op("Mul", y, net.const(1 + 0.3 * noise("gamma", 6))), net.const(0.2 * noise("beta", 6)))
    erf = net.op("Erf", net.op("Div", y, net.const(np.sqrt(2))))
    y = net.op("Mul", net.op("Mul", y, net.op("Add", erf, net.const(1.0))), net.const(0.5))
    y = net.op("MatMul", y, net.weight(6, 6))
    six = net.op("Clip", net.op("Add", y, net.const(3.0)), net.const(0.0), net.const(6.0))
    y = net.op("Mul", y, net.op("Div", six, net.const(6.0)))
    sigmoid = net.op("Div", net.const(1.0), net.op("Add", net.const(1.0), net.op("Exp", net.op("Neg", net.op("MatMul", "x", net.weight(6, 6))))))
    y = net.op("ReduceMean", net.op("Mul", y, sigmoid), axes=[1], keepdims=0)
    return net.model(net.op("Softmax", net.dense(y, 6, 3), axis=1)), {"x": x}, {}


def divided():
    """Quotients, powers, roots and absolute values of activations."""
    x = noise("divided", 1, 6)
    net = Net("divided", x=x)
    a, b = (net.dense("x", 6, 5) for _ in range(2))
    norm = net.op("Sqrt", net.op("Add", net.op("ReduceMean", net.op("Mul", b, b), axes=[1]), net.const(0.1)))
    quotient = net.op("Div", a, norm)
    power = net.op("Mul", net.op("Pow", net.op("Add", net.op("Abs", b), net.const(0.5)), net.const(-0.5)), a)
    root = net.op("Sqrt", net.op("Add", net.op("Abs", a), net.const(0.25)))
    return net.model(net.dense(net.op("Sum", quotient, power, root), 5, 3)), {"x": x}, {}


def masked_scores():
    """Attention over ids, with a mask by Where of −∞, clean-up of NaN, and a mask for padding that comes from the ids."""
    ids = np.array([[3, 7, 1, 0, 0]])
    net = Net("masked", ids=ids)
    x = net.op("Gather", net.weight(10, 4, scale=1.0), "ids")
    q, k, v = (net.op("MatMul", x, net.weight(4, 4)) for _ in range(3))
    scores = net.op("Mul", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), net.const(0.5))
    pad = net.op("Unsqueeze", net.op("Equal", "ids", net.ints(0)), net.ints(1))
    s = net.op("Softmax", net.op("Where", pad, net.const(-np.inf), scores), axis=-1)
    s = net.op("Where", net.op("IsNaN", s), net.const(0.0), s)
    y = net.op("ReduceMean", net.op("MatMul", s, v), axes=[1], keepdims=0)
    return net.model(net.dense(y, 4, 3)), {"ids": ids}, {}


def ranked():
    """Scores of pairs: Einsum of two inputs, Expand, ReduceMax and ReduceMin, a temperature that is fixed."""
    a, b = noise("query", 1, 6), noise("documents", 1, 4, 6)
    net = Net("ranked", a=a, b=b, temperature=np.array(0.7, np.float32))
    q, d = net.op("MatMul", "a", net.weight(6, 5)), net.op("MatMul", "b", net.weight(6, 5))
    y = net.op("Div", net.op("Einsum", q, d, equation="bk,bnk->bn"), "temperature")
    return net.model(y), {"a": a, "b": b}, {"temperature": np.array(0.7, np.float32)}


def by_helper():
    return {
        "constant_ifs": constant_ifs,
        "known_loop": known_loop,
        "scanned_rnn": scanned,
        "local_functions": local_functions,
        "recurrent_options": whole_lstm,
        "merged_axes": merged_axes,
        "moved_elements": wavelets,
        "normalisations": normalised,
        "written_out": written_out,
        "divided": divided,
        "masked_scores": masked_scores,
        "ranked": ranked,
    }


# --- quantizers ------------------------------------------------------------------------------------------------------


class Calibration:
    def __init__(self, name, value):
        self.rows = iter([{name: noise(f"calibration {i}", *value.shape)} for i in range(8)])

    def get_next(self):
        return next(self.rows, None)


def base_models():
    x = noise("quantized mlp", 1, 8)
    net = Net("mlp", opset=13, x=x)
    yield "mlp", net.model(net.dense(net.op("Relu", net.dense("x", 8, 16)), 16, 4)), x
    x = noise("quantized cnn", 1, 3, 8, 8)
    net = Net("cnn", opset=13, x=x)
    y = net.op("Relu", net.op("Conv", "x", net.weight(8, 3, 3, 3), net.weight(8, scale=0.2), pads=[1, 1, 1, 1]))
    y = net.op("Relu", net.op("Conv", net.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), net.weight(8, 8, 3, 3), net.weight(8, scale=0.2)))
    y = net.op("Flatten", net.op("GlobalAveragePool", y))
    yield "cnn", net.model(net.op("MatMul", y, net.weight(8, 4))), x


def quantized():
    from onnxruntime import quantization as q

    for name, model, x in base_models():
        for kind in ("dynamic", "qdq", "qoperator"):
            with tempfile.TemporaryDirectory() as folder:
                before, behind = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
                onnx.save(model, before)
                if kind == "dynamic":
                    q.quantize_dynamic(before, behind, weight_type=q.QuantType.QUInt8)
                else:
                    form = q.QuantFormat.QDQ if kind == "qdq" else q.QuantFormat.QOperator
                    types = {"activation_type": q.QuantType.QUInt8, "weight_type": q.QuantType.QInt8}
                    q.quantize_static(before, behind, Calibration("x", x), quant_format=form, per_channel=name == "cnn", **types)
                yield f"quantized_{name}_{kind}", onnx.load(behind), {"x": x}


# --- scikit-learn ----------------------------------------------------------------------------------------------------


def by_sklearn():
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

    x, classes = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    target = x[:, :2] @ np.float32([0.3, -0.2]) + 0.1 * x[:, 2]
    models = {
        "logistic_regression": (make_pipeline(StandardScaler(), LogisticRegression(random_state=0)), classes),
        "regressor": (make_pipeline(MinMaxScaler(), MLPRegressor(hidden_layer_sizes=(8,), random_state=0, max_iter=50)), target),
        "linear_regression": (LinearRegression(), target),
        "many_outputs": (MLPRegressor(hidden_layer_sizes=(6,), activation="tanh", random_state=0, max_iter=30), x[:, :3]),
        "normalised_rows": (make_pipeline(Normalizer("l2"), LinearRegression()), target),
    }
    for name, (model, wanted) in models.items():
        model.fit(x, wanted)
        options = {"zipmap": False} if name == "logistic_regression" else None
        yield name, to_onnx(model, x[:1], options=options, target_opset=17), {"X": x[60:61] + np.float32(0.03)}  # no value that a scaler makes 0


def add(shelf):
    for name, make in by_helper().items():
        shelf.attempt(name, "helper", lambda name=name, make=make: shelf.add(name, "helper", *make()))
    for exporter, family in (("onnxscript", by_onnxscript), ("spox", by_spox), ("ort", quantized), ("skl2onnx", by_sklearn)):
        if shelf.only and not any(exporter == name for name in shelf.only):
            continue
        try:
            made = list(family())
        except Exception as error:
            shelf.failures.append(f"{exporter}: {type(error).__name__}: {str(error)[:300]}")
            continue
        only, shelf.only = shelf.only, None
        for name, model, inputs in made:
            shelf.attempt(name, exporter, lambda: shelf.add(name, exporter, model, inputs))
        shelf.only = only

