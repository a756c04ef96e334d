"""Runs an ONNX file node by node, in double precision, and keeps what was done: the first half of zoo_reference.py.

Control flow, model-local functions, recurrent layers and quantization are written out while the file runs, so that the tape has nothing
but steps with one output each. A step is on the tape if its output depends on an explained input through floats (it *carries* relevance);
everything else is a number by then. `attention.md` calls these carriers and the prelude.
"""

import copy
from dataclasses import dataclass, field

import onnx
import torch
from onnx import helper, numpy_helper

from zoo_operators import FLOATS, OPS, Unsupported, cast, ints


class Node(dict):
    """The attributes of an ONNX node by name."""

    def __init__(self, proto, opset, refs=None):
        super().__init__()
        self.op_type, self.domain, self.inputs, self.outputs, self.opset = (
            proto.op_type, proto.domain, list(proto.input), list(proto.output), opset,
        )  # fmt: skip
        for attribute in proto.attribute:
            if attribute.ref_attr_name:
                if attribute.ref_attr_name in (refs or {}):
                    self[attribute.name] = refs[attribute.ref_attr_name]
            elif attribute.type == onnx.AttributeProto.TENSOR:
                self[attribute.name] = tensor(attribute.t)
            else:
                self[attribute.name] = helper.get_attribute_value(attribute)


def tensor(proto):
    array = numpy_helper.to_array(proto)
    if array.dtype.kind in "US" or array.dtype == object:
        return None
    if proto.data_type in FLOATS:
        array = array.astype("float64")
    elif array.dtype.name in ("uint16", "uint32", "uint64"):
        array = array.astype("int64")
    return torch.from_numpy(array.copy())


@dataclass(eq=False)
class Value:
    """A tensor; `carries` if it depends on an explained input. `ids` is the input whose integers it moves around."""

    data: torch.Tensor
    carries: bool = False
    ids: str | None = None
    step: "Step | None" = None
    hot: "Value | None" = None  # the ids whose one-hot vectors these truth values are


@dataclass(eq=False)
class Step:
    """One operator. `function` computes the output from those of the inputs that carry."""

    kind: str  # affine, route, pass, product, matmul, division, softmax, ids
    op: str
    inputs: list
    output: Value
    function: object
    extra: dict = field(default_factory=dict)  # what canonization and the rules need to know

    def __repr__(self):
        return f"{self.kind}:{self.op}{list(self.output.data.shape)}"


ROUTES = set(
    """Reshape Flatten Transpose Squeeze Unsqueeze Concat Split Slice Gather GatherElements GatherND ScatterElements ScatterND Expand Tile
    Pad Identity ReverseSequence Cast CastLike Dropout DepthToSpace SpaceToDepth Trilu MaxPool GlobalMaxPool ReduceMax ReduceMin TopK Where""".split()
)
PASSES = set(
    """Relu LeakyRelu PRelu Elu Celu Selu Gelu FastGelu QuickGelu Swish Mish Softplus Softsign Sigmoid HardSigmoid HardSwish Tanh Erf Clip Shrink
    ThresholdedRelu Pow Sqrt Abs Reciprocal Atan Sinh Asinh Tan LRN LpNormalization Normalizer RMSNormalization SimplifiedLayerNormalization""".split()
)
SUMS = {"Add", "Sub", "Sum", "Mean", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "CumSum", "Resize", "Upsample", "GridSample"}
MOVES_IDS = {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Identity", "Cast", "Concat", "Split", "Gather", "Expand"}
STEPS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign", "IsNaN", "IsInf", "And", "Or", "Not", "Xor", "ArgMax", "ArgMin",
         "Shape", "Size", "Floor", "Ceil", "Round"}  # fmt: skip
# The ends of a model that hide the logit.
HIDING = {"Softmax", "LogSoftmax", "Sigmoid", "Softplus", "Exp", "Normalizer"}


class Run:
    """One run of a file with the values of its inputs (numpy arrays by name)."""

    def __init__(self, model, inputs, fixed):
        self.tape = []
        self.explained, self.pixels = {}, set()
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.functions = {(f.domain, f.name, getattr(f, "overload", "")): f for f in model.functions}
        constants = {t.name: Value(tensor(t)) for t in model.graph.initializer}
        env = dict(constants)
        for value in model.graph.input:
            if value.name in constants:
                continue
            kind = value.type.tensor_type.elem_type
            data = torch.from_numpy((fixed | inputs)[value.name].copy())
            if kind in FLOATS:
                data = data.to(torch.float64)
            env[value.name] = entry = Value(data)
            if value.name in fixed:
                continue
            # Floats are explained; integers as ids of an embedding, and as pixels, which become floats; truth values never.
            if kind in FLOATS:
                entry.carries = True
                self.explained[value.name] = entry
            elif kind != onnx.TensorProto.BOOL:
                entry.ids = value.name
            if kind in (onnx.TensorProto.UINT8, onnx.TensorProto.UINT16):
                self.pixels.add(value.name)
        self.inputs = {name: env[name] for name in inputs}
        self.graph(model.graph, env, {})
        self.outputs = {value.name: env[value.name] for value in model.graph.output if value.name in env}

    # -- nodes

    def graph(self, graph, env, refs):
        for t in getattr(graph, "initializer", []):
            env[t.name] = Value(tensor(t))
        for proto in graph.node:
            node = Node(proto, self.opsets.get(proto.domain, self.opsets.get("", 0)), refs)
            key = (proto.domain, proto.op_type, getattr(proto, "overload", ""))
            if key in self.functions:
                results = self.call(self.functions[key], node, env)
            else:
                results = self.node(node, [env[name] if name else None for name in node.inputs], env)
            for name, result in zip(node.outputs, results):
                if name:
                    env[name] = result

    def call(self, function, node, env):
        inner = {name: env[given] for name, given in zip(function.input, node.inputs) if given}
        inner |= {name: None for name in function.input if name not in inner}
        defaults = {a.name: helper.get_attribute_value(a) for a in function.attribute_proto}
        opsets, self.opsets = self.opsets, {entry.domain: entry.version for entry in function.opset_import}
        self.graph(function, inner, defaults | dict(node))
        self.opsets = opsets
        return [inner[name] for name in function.output]

    def node(self, node, xs, env):
        special = getattr(self, f"do_{node.op_type.lower()}", None)
        if special:
            return special(node, xs, env)
        while xs and xs[-1] is None:
            xs.pop()
        if node.op_type not in OPS:
            raise Unsupported(f"{node.op_type} is not written yet")
        return self.apply(node, xs)

    def compute(self, node, data):
        result = OPS[node.op_type](node, *data)
        return result if isinstance(result, tuple | list) else (result,)

    def apply(self, node, xs):
        node = copy.copy(node)  # its name may change for a node that becomes several steps
        data = [x and x.data for x in xs]
        results = [Value(result) for result in self.compute(node, data)]
        carrying = [i for i, x in enumerate(xs) if x is not None and x.carries]
        if not carrying:
            # Integers that were only moved are ids still.
            origins = {x.ids for x in xs if x is not None and x.ids}
            if len(origins) == 1 and node.op_type in ("Add", "Sub", "Mul", "Where") and not results[0].data.is_floating_point():
                # Computed from an id, element by element (negative ones are counted from the end): an id.
                return self.same_ids([x for x in xs if x.ids and x.data.shape == results[0].data.shape], results[0])
            name = origins.pop() if len(origins) == 1 and node.op_type in MOVES_IDS else None
            if name is not None and not results[0].data.is_floating_point():
                self.move_ids(node, xs, results, name)
            elif name in self.pixels and node.op_type == "Cast":
                self.explained.setdefault(name, self.inputs[name])
                self.add(Step("route", "Cast", [xs[0]], results[0], lambda v: v * 1.0))
            return results
        if node.op_type in STEPS:
            return results
        for which, result in enumerate(results):
            if not result.data.is_floating_point() and not (node.op_type in ROUTES and which == 0):
                continue

            def function(*given, which=which):
                full = list(data)
                for i, value in zip(carrying, given):
                    full[i] = value
                return self.compute(node, full)[which]

            self.step(node, xs, carrying, result, function)
        return results

    def step(self, node, xs, carrying, result, function):
        kind, extra = self.kind(node, xs, carrying, result)
        self.add(Step(kind, node.op_type, [xs[i] for i in carrying], result, function, extra))

    def add(self, step):
        step.output.carries, step.output.step = True, step
        self.tape.append(step)
        return step.output

    def kind(self, node, xs, carrying, result):
        """What a step is to the rules, and what canonization has to know of it."""
        op, first = node.op_type, xs[0]
        constant = next((x.data for i, x in enumerate(xs) if x is not None and i not in carrying), None)
        if op in ("Conv", "ConvTranspose"):
            if carrying != [0]:
                raise Unsupported(f"{op} with weights that are no constants")
            padded = any(node.get("pads") or []) or node.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
            return "affine", {"weighted": 1, "before": 1, "padded": padded or op == "ConvTranspose"}
        if op in ("MatMul", "Gemm", "FusedMatMul", "LinearClassifier", "LinearRegressor"):
            if carrying == [0, 1]:
                return "matmul", {}
            if carrying == [0] and not node.get("transA", 0):
                return "affine", {"weighted": result.data.ndim - 1, "before": first.data.ndim - 1, "padded": False}
            if carrying in ([0], [1]):
                return "affine", {}
            raise Unsupported(f"{op} with carrying inputs {carrying}")
        if op == "Einsum":
            return ("matmul", {}) if len(carrying) == 2 else ("affine", {})
        if op == "BatchNormalization":
            zero, one = torch.zeros_like(first.data), torch.ones_like(first.data)
            shift = self.compute(node, [zero] + [x.data for x in xs[1:]])[0]
            return "affine", {"scale": (self.compute(node, [one] + [x.data for x in xs[1:]])[0] - shift, shift)}
        if op in ("Mul", "Div") and len(carrying) == 1:
            if op == "Mul" or carrying == [0]:
                weight = constant if op == "Mul" else 1 / constant
                return "pass" if result.data.shape == xs[carrying[0]].data.shape else "route", {"scale": (weight, None)}
            return "pass", {"power": -1}
        if op == "Neg":
            return "pass", {"scale": (torch.tensor(-1.0, dtype=torch.float64), None)}
        if op == "Scaler":
            offset, scale = (torch.tensor(node[key], dtype=torch.float64) for key in ("offset", "scale"))
            return "affine", {"scale": (scale, -offset * scale)}
        if op in ("Add", "Sub", "Sum") and len(carrying) == 1 and len(xs) == 2:
            sign = -1.0 if op == "Sub" and carrying == [1] else 1.0
            shift = -constant if op == "Sub" and carrying == [0] else constant
            weight = torch.tensor(sign, dtype=torch.float64)
            if bool((shift == 0).all()) and result.data.shape == xs[carrying[0]].data.shape:
                return "pass", {"scale": (weight, None)}
            return "affine", {"scale": (weight, shift)}
        if op == "Mul":
            return "product", {}
        if op == "Div":
            return "division", {}
        if op in ("Max", "Min"):
            return ("pass" if len(carrying) == 1 else "route"), {}
        if op in ("ScatterElements", "ScatterND") and node.get("reduction", b"none") == b"add":
            return "affine", {}
        if op == "Pow":
            if carrying != [0]:
                raise Unsupported("Pow with an exponent that is no constant")
            return "pass", {"power": float(xs[1].data.reshape(-1)[0])}
        if op == "Reciprocal":
            return "pass", {"power": -1}
        if op == "Softmax":
            return "softmax", {"axis": node.get("axis", 1 if node.opset < 13 else -1), "flat": node.opset < 13}
        if op == "Resize" and node.get("mode", b"nearest") == b"nearest" or op == "Upsample" and node.get("mode", b"nearest") == b"nearest":
            return "route", {}
        if op == "BiasGelu":
            raise Unsupported("BiasGelu as one node")
        for names, kind in ((ROUTES, "route"), (PASSES, "pass"), (SUMS, "affine")):
            if op in names:
                return kind, {"node": node} if op == "Clip" else {}
        return "undefined", {}

    def same_ids(self, origins, result):
        if origins:
            result.ids = origins[0].ids
            result.step = Step("route", "Identity", origins[:1], result, lambda v: v * 1.0)
            self.tape.append(result.step)
        return [result]

    def move_ids(self, node, xs, results, name):
        for which, result in enumerate(results):
            moving = [i for i, x in enumerate(xs) if x is not None and x.ids and not (node.op_type == "Gather" and i == 1)]
            if not moving:
                continue
            data = [x and x.data for x in xs]

            def function(*given, which=which):
                full = list(data)
                for i, value in zip(moving, given):
                    full[i] = value
                if node.op_type == "Cast":
                    return full[0] * 1.0
                full = [v.to(torch.float64) if i in moving or node.op_type == "Concat" else v for i, v in enumerate(full)]
                return self.compute(node, full)[which]

            result.ids = name
            # On the tape at once; a walk that never reaches it costs nothing.
            result.step = Step("route", node.op_type, [xs[i] for i in moving], result, function)
            self.tape.append(result.step)

    # -- operators that are several steps, or none

    def do_gemm(self, node, xs, env):
        if len(xs) < 3 or xs[2] is None or not xs[2].carries:
            return self.apply(node, [x for x in xs if x is not None])
        if node.get("alpha", 1.0) != 1.0 or node.get("beta", 1.0) != 1.0:
            raise Unsupported("Gemm with a factor and a sum with an activation")
        product = self.apply(node, xs[:2])[0]
        node = copy.copy(node)
        node.op_type = "Add"
        return self.apply(node, [product, xs[2]])

    def do_constant(self, node, xs, env):
        for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            if key in node:
                value = node[key]
                if not torch.is_tensor(value):
                    value = torch.tensor(value, dtype=torch.float64 if "float" in key else torch.int64)
                return [Value(value)]
        raise Unsupported("a Constant of another kind")

    def do_gather(self, node, xs, env):
        table, index = xs
        if index.ids is None or table.carries or not table.data.is_floating_point() or node.get("axis", 0) != 0:
            return self.apply(node, xs)
        result = Value(self.compute(node, [table.data, index.data])[0])
        name = index.ids
        self.explained.setdefault(name, self.inputs[name])
        self.add(Step("ids", "Gather", [index], result, None, {"width": index.data.ndim}))
        return [result]

    def do_equal(self, node, xs, env):
        result = Value(xs[0].data == xs[1].data)
        for ids, other in (xs, xs[::-1]):
            classes = other.data.reshape(-1)
            if ids.ids and other.data.shape[-1:] == classes.shape and ids.data.shape[-1:] == (1,) and len(classes) > 1:
                if (classes == torch.arange(len(classes))).all():
                    result.hot = ids
        return [result]

    def do_cast(self, node, xs, env):
        index = xs[0].hot
        if index is None:
            return self.apply(node, xs)
        if node["to"] not in FLOATS:
            return [Value(cast(xs[0].data, node["to"]), hot=index)]
        self.explained.setdefault(index.ids, self.inputs[index.ids])
        result = Value(xs[0].data.to(torch.float64))
        self.add(Step("ids", "OneHot", [index], result, None, {"axis": -1, "keep": True}))
        return [result]

    def do_onehot(self, node, xs, env):
        result = Value(self.compute(node, [x.data for x in xs])[0])
        index = xs[0]
        if index.ids is not None:
            axis = node.get("axis", -1) % result.data.ndim
            self.explained.setdefault(index.ids, self.inputs[index.ids])
            self.add(Step("ids", "OneHot", [index], result, None, {"axis": axis}))
        return [result]

    def do_where(self, node, xs, env):
        condition, a, b = xs
        shape = torch.broadcast_shapes(*(tuple(x.data.shape) for x in xs))
        result = Value(torch.where(condition.data, a.data, b.data))
        carrying = [x for x in (a, b) if x.carries]
        if not carrying:
            return self.apply(node, xs)
        data = [a.data, b.data]

        def function(*given):
            given = list(given)
            full = [given.pop(0) if x.carries else value for x, value in zip((a, b), data)]
            return torch.where(condition.data, *full).expand(shape)

        self.add(Step("route", "Where", carrying, result, function))
        return [result]

    def do_if(self, node, xs, env):
        if xs[0].carries:
            raise Unsupported("an If that depends on an explained input")
        branch = node["then_branch" if bool(xs[0].data) else "else_branch"]
        inner = dict(env)
        self.graph(branch, inner, {})
        return [inner[value.name] for value in branch.output]

    def do_loop(self, node, xs, env):
        body, count = node["body"], ints(xs[0].data)[0] if xs[0] is not None else None
        proceed = bool(xs[1].data) if len(xs) > 1 and xs[1] is not None else True
        states, scanned, step = list(xs[2:]), [], 0
        while proceed and (count is None or step < count):
            if step > 1000:
                raise Unsupported("a Loop of more than 1000 steps")
            inner = dict(env)
            names = [value.name for value in body.input]
            inner[names[0]], inner[names[1]] = Value(torch.tensor(step)), Value(torch.tensor(True))
            inner |= dict(zip(names[2:], states))
            self.graph(body, inner, {})
            results = [inner[value.name] for value in body.output]
            proceed = bool(results[0].data)
            states, rest = results[1 : 1 + len(states)], results[1 + len(states) :]
            scanned.append(rest)
            step += 1
        return states + [self.stack(list(column), 0) for column in zip(*scanned)]

    def do_scan(self, node, xs, env):
        body, count = node["body"], node["num_scan_inputs"]
        states, sequences = list(xs[: len(xs) - count]), xs[len(xs) - count :]
        directions = node.get("scan_input_directions") or [0] * count
        length, scanned = sequences[0].data.shape[0], []
        for step in range(length):
            inner = dict(env)
            at = [self.pick(x, 0, length - 1 - step if back else step) for x, back in zip(sequences, directions)]
            inner |= dict(zip((value.name for value in body.input), states + at))
            self.graph(body, inner, {})
            results = [inner[value.name] for value in body.output]
            states, rest = results[: len(states)], results[len(states) :]
            scanned.append(rest)
        return states + [self.stack(list(column), 0) for column in zip(*scanned)]

    def simple(self, kind, op, xs, function, **extra):
        """A step whose function takes all of these inputs."""
        result = Value(function(*(x.data for x in xs)))
        carrying = [i for i, x in enumerate(xs) if x.carries]
        if not carrying:
            return result
        data = [x.data for x in xs]

        def partial(*given):
            full = list(data)
            for i, value in zip(carrying, given):
                full[i] = value
            return function(*full)

        return self.add(Step(kind, op, [xs[i] for i in carrying], result, partial, extra))

    def stack(self, values, axis):
        return self.simple("route", "stack", values, lambda *xs: torch.stack(xs, axis))

    def pick(self, x, axis, at):
        return self.simple("route", "pick", [x], lambda v: v.select(axis, at))
