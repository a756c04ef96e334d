"""What ONNX operators compute, in double precision: the forward half of zoo_reference.py.

Each function takes a `Node` (attributes by name) and the values of its inputs as torch tensors, float64 where the file has floats of any
width, and gives the value of the output, or a tuple of values. They are written from the operators' specification. torch only has the
arithmetic: nothing here knows of relevance.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

FLOATS = {1, 10, 11, 16}  # onnx.TensorProto: FLOAT, FLOAT16, DOUBLE, BFLOAT16
INTEGERS = {2: torch.uint8, 3: torch.int8, 4: torch.int32, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool}


class Unsupported(Exception):
    """An operator, or a use of one, that the reference cannot do."""


OPS = {}


def op(*names):
    def register(function):
        OPS.update(dict.fromkeys(names, function))
        return function

    return register


def ints(value):
    return [int(v) for v in value.reshape(-1)]


def cast(x, to):
    if to in FLOATS:
        return x.to(torch.float64)
    if to not in INTEGERS:
        raise Unsupported(f"Cast to type {to}")
    if x.dtype == torch.float64 and INTEGERS[to] != torch.bool:
        x = torch.trunc(x)
    return x.to(INTEGERS[to])


# --- elementwise -----------------------------------------------------------------------------------------------------


def elementwise(function):
    return lambda node, *xs: function(*xs)


def divide(a, b):
    if a.dtype == torch.float64:
        return a / b
    return torch.div(a, b, rounding_mode="trunc").to(a.dtype)


def power(a, b):
    if b.numel() == 1 and float(b) == 2.0:
        return a * a
    return torch.pow(a, b.to(a.dtype))


def pick(better):
    """The largest (or smallest) of several, the first of equals."""

    def choose(node, *xs):
        best = xs[0]
        for x in xs[1:]:
            best = torch.where(better(x, best), x, best)
        return best

    return choose


OPS |= {name: elementwise(function) for name, function in {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": divide, "Pow": power, "Neg": torch.neg, "Abs": torch.abs,
    "Sqrt": torch.sqrt, "Exp": torch.exp, "Log": torch.log, "Reciprocal": torch.reciprocal, "Erf": torch.erf, "Sign": torch.sign,
    "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round, "Sin": torch.sin, "Cos": torch.cos, "Tan": torch.tan,
    "Atan": torch.atan, "Sinh": torch.sinh, "Asinh": torch.asinh, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid,
    "Softplus": lambda x: torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0), "Softsign": lambda x: x / (1 + x.abs()),
    "Relu": lambda x: torch.where(x > 0, x, torch.zeros_like(x)), "Mish": lambda x: x * torch.tanh(F.softplus(x)),
    "HardSwish": lambda x: x * (x / 6 + 0.5).clamp(0, 1), "PRelu": lambda x, s: torch.where(x < 0, s * x, x),
    "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt, "LessOrEqual": torch.le,
    "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor, "Not": torch.logical_not,
    "IsNaN": torch.isnan, "IsInf": torch.isinf, "Where": torch.where, "Identity": lambda x: x, "BitShift": torch.bitwise_left_shift,
}.items()}  # fmt: skip
OPS["Max"], OPS["Min"] = pick(torch.gt), pick(torch.lt)


@op("Sum")
def total(node, *xs):
    return sum(xs[1:], xs[0])


@op("Mean")
def mean(node, *xs):
    return sum(xs[1:], xs[0]) / len(xs)


@op("LeakyRelu")
def leaky_relu(node, x):
    return torch.where(x < 0, node.get("alpha", 0.01) * x, x)


@op("ThresholdedRelu")
def thresholded_relu(node, x):
    return torch.where(x > node.get("alpha", 1.0), x, torch.zeros_like(x))


@op("Elu")
def elu(node, x):
    return torch.where(x < 0, node.get("alpha", 1.0) * torch.expm1(x.clamp(max=0)), x)


@op("Celu")
def celu(node, x):
    alpha = node.get("alpha", 1.0)
    return torch.where(x < 0, alpha * torch.expm1(x.clamp(max=0) / alpha), x)


@op("Selu")
def selu(node, x):
    alpha, gamma = node.get("alpha", 1.67326319217681884765625), node.get("gamma", 1.05070102214813232421875)
    return gamma * torch.where(x <= 0, alpha * torch.expm1(x.clamp(max=0)), x)


@op("Gelu", "BiasGelu", "FastGelu", "QuickGelu")
def gelu(node, x, bias=None):
    x = x if bias is None else x + bias
    if node.op_type == "QuickGelu":
        return x * torch.sigmoid(node.get("alpha", 1.702) * x)
    if node.op_type == "FastGelu" or node.get("approximate", b"none") == b"tanh":
        return x * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


@op("Swish")
def swish(node, x):
    return x * torch.sigmoid(node.get("alpha", 1.0) * x)


@op("HardSigmoid")
def hard_sigmoid(node, x):
    alpha = node.get("alpha", 0.2)
    alpha = 1 / 6 if abs(alpha - 1 / 6) < 1e-6 else alpha  # as it is meant: files have it rounded
    return (alpha * x + node.get("beta", 0.5)).clamp(0, 1)


@op("Clip")
def clip(node, x, low=None, high=None):
    low = node.get("min") if low is None else float(low)
    high = node.get("max") if high is None else float(high)
    return x.clamp(low, high) if low is not None or high is not None else x


@op("Shrink")
def shrink(node, x):
    bias, lambd = node.get("bias", 0.0), node.get("lambd", 0.5)
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x)))


@op("Cast")
def cast_to(node, x):
    return cast(x, node["to"])


@op("CastLike")
def cast_like(node, x, like):
    return x.to(like.dtype)


@op("Dropout")
def dropout(node, x, *_):
    return x, torch.ones_like(x, dtype=torch.bool)


# --- products and convolutions ---------------------------------------------------------------------------------------


@op("MatMul", "FusedMatMul")
def matmul(node, a, b):
    if node.get("transA", 0):
        a = a.transpose(-1, -2)
    if node.get("transB", 0):
        b = b.transpose(-1, -2)
    return torch.matmul(a, b) * node.get("alpha", 1.0)


@op("Gemm")
def gemm(node, a, b, c=None):
    a = a.transpose(0, 1) if node.get("transA", 0) else a
    b = b.transpose(0, 1) if node.get("transB", 0) else b
    y = node.get("alpha", 1.0) * (a @ b)
    return y if c is None else y + node.get("beta", 1.0) * c


@op("Einsum")
def einsum(node, *xs):
    return torch.einsum(node["equation"].decode().replace(" ", ""), *xs)


def pads_of(node, x, kernel, strides, dilations):
    """The paddings before and behind each spatial axis."""
    rank = len(kernel)
    auto = node.get("auto_pad", b"NOTSET").decode()
    if auto in ("NOTSET", "VALID"):
        pads = node.get("pads") if auto == "NOTSET" else None
        pads = pads or [0] * (2 * rank)
        return pads[:rank], pads[rank:]
    extra = []
    for size, k, s, d in zip(x.shape[2:], kernel, strides, dilations):
        out = -(-size // s)
        extra.append(max((out - 1) * s + d * (k - 1) + 1 - size, 0))
    small, large = [e // 2 for e in extra], [e - e // 2 for e in extra]
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def pad_sides(x, before, behind, value=0.0):
    if not any(before) and not any(behind):
        return x
    flat = [p for pair in zip(reversed(before), reversed(behind)) for p in pair]
    return F.pad(x, flat, value=value)


@op("Conv")
def conv(node, x, w, b=None):
    rank = x.ndim - 2
    strides, dilations = node.get("strides") or [1] * rank, node.get("dilations") or [1] * rank
    x = pad_sides(x, *pads_of(node, x, w.shape[2:], strides, dilations))
    function = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    return function(x, w, b, strides, 0, dilations, node.get("group", 1))


@op("ConvTranspose")
def conv_transpose(node, x, w, b=None):
    rank = x.ndim - 2
    if node.get("auto_pad", b"NOTSET") != b"NOTSET" or node.get("output_shape"):
        raise Unsupported("ConvTranspose with automatic padding")
    strides, dilations = node.get("strides") or [1] * rank, node.get("dilations") or [1] * rank
    pads, extra = node.get("pads") or [0] * (2 * rank), node.get("output_padding") or [0] * rank
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    if pads[:rank] != pads[rank:]:
        raise Unsupported("ConvTranspose with different paddings on both sides")
    return function(x, w, b, strides, pads[:rank], extra, node.get("group", 1), dilations)


# --- normalisations --------------------------------------------------------------------------------------------------


def along(values, rank, axis=1):
    """Values of an axis, to be broadcast."""
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


@op("BatchNormalization")
def batch_norm(node, x, gamma, beta, mean, variance):
    if node.get("training_mode", 0):
        raise Unsupported("BatchNormalization in training mode")
    gamma, beta, mean, variance = (along(v, x.ndim) for v in (gamma, beta, mean, variance))
    return (x - mean) / torch.sqrt(variance + node.get("epsilon", 1e-5)) * gamma + beta


@op("LRN")
def lrn(node, x):
    size = node["size"]
    squares = pad_sides((x * x).transpose(1, -1), [(size - 1) // 2], [size - 1 - (size - 1) // 2]).transpose(1, -1)
    sums = sum(squares.narrow(1, i, x.shape[1]) for i in range(size))
    return x / (node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * sums) ** node.get("beta", 0.75)


@op("LpNormalization")
def lp_normalization(node, x):
    axis, p = node.get("axis", -1), node.get("p", 2)
    return x / x.norm(p, axis, keepdim=True)


@op("RMSNormalization", "SimplifiedLayerNormalization")
def rms_normalization(node, x, scale):
    axes = tuple(range(node.get("axis", -1) % x.ndim, x.ndim))
    return x / torch.sqrt((x * x).mean(axes, keepdim=True) + node.get("epsilon", 1e-5)) * scale


@op("Softmax")
def softmax(node, x):
    if node.opset < 13:
        axis = node.get("axis", 1) % x.ndim
        return torch.softmax(x.flatten(axis), -1).reshape(x.shape)
    return torch.softmax(x, node.get("axis", -1))


@op("LogSoftmax")
def log_softmax(node, x):
    return torch.log_softmax(x, node.get("axis", -1))


# --- pooling and reductions ------------------------------------------------------------------------------------------


def windows(node, x, value):
    """Every window of a pooling, as a last axis, and whether its elements are inside the input."""
    kernel, rank = node["kernel_shape"], x.ndim - 2
    strides, dilations = node.get("strides") or [1] * rank, node.get("dilations") or [1] * rank
    before, behind = pads_of(node, x, kernel, strides, dilations)
    if node.get("ceil_mode", 0):
        behind = list(behind)
        for a, size in enumerate(x.shape[2:]):
            span = size + before[a] + behind[a] - dilations[a] * (kernel[a] - 1) - 1
            out = -(-span // strides[a]) + 1
            if (out - 1) * strides[a] >= size + before[a]:
                out -= 1
            behind[a] += max((out - 1) * strides[a] - span, 0)
    inside = pad_sides(torch.ones_like(x[:1, :1]), before, behind)
    x = pad_sides(x, before, behind, value)
    for a in range(rank):
        span = dilations[a] * (kernel[a] - 1) + 1
        x, inside = (v.unfold(2 + a, span, strides[a])[..., :: dilations[a]] for v in (x, inside))
    return x.flatten(2 + rank), inside.flatten(2 + rank)


@op("MaxPool")
def max_pool(node, x):
    taps, _ = windows(node, x, -math.inf)
    # torch.max of equals may choose any: the first is asked for.
    index = (taps == taps.amax(-1, keepdim=True)).to(torch.uint8).argmax(-1, keepdim=True)
    return taps.gather(-1, index)[..., 0]


@op("AveragePool")
def average_pool(node, x):
    taps, inside = windows(node, x, 0.0)
    if node.get("count_include_pad", 0):
        if node.get("ceil_mode", 0):
            raise Unsupported("AveragePool with ceil_mode and padding that counts")
        return taps.mean(-1)
    return taps.sum(-1) / inside.sum(-1)


@op("GlobalAveragePool")
def global_average_pool(node, x):
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


@op("GlobalMaxPool")
def global_max_pool(node, x):
    return extremum(torch.argmax)(x.flatten(2), 2).reshape(x.shape[:2] + (1,) * (x.ndim - 2))


def extremum(arg):
    """The largest (or smallest) elements over the last axes from this one on; the first of equals."""

    def best(x, axis):
        flat = x.flatten(axis)
        value = flat.amax(-1, keepdim=True) if arg is torch.argmax else flat.amin(-1, keepdim=True)
        index = (flat == value).to(torch.uint8).argmax(-1, keepdim=True)
        return flat.gather(-1, index)[..., 0]

    return best


REDUCTIONS = {
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: (x * x).sum(axes, keepdim=keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keepdim=keep),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keepdim=keep).log(),
}


def reduced_axes(node, x, axes):
    axes = node.get("axes") if axes is None else ints(axes)
    if axes is None or len(axes) == 0:
        return [] if node.get("noop_with_empty_axes", 0) else list(range(x.ndim))
    return sorted(axis % x.ndim for axis in axes)


@op(*REDUCTIONS)
def reduction(node, x, axes=None):
    axes = reduced_axes(node, x, axes)
    return REDUCTIONS[node.op_type](x, axes, bool(node.get("keepdims", 1))) if axes else x


@op("ReduceProd")
def reduce_prod(node, x, axes=None):
    for axis in reversed(reduced_axes(node, x, axes)):
        x = x.prod(axis, keepdim=bool(node.get("keepdims", 1)))
    return x


@op("ReduceMax", "ReduceMin")
def reduce_extremum(node, x, axes=None):
    axes = reduced_axes(node, x, axes)
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    best = extremum(torch.argmax if node.op_type == "ReduceMax" else torch.argmin)
    y = best(x.permute(rest + axes), len(rest))
    for axis in axes if node.get("keepdims", 1) else []:
        y = y.unsqueeze(axis)
    return y


@op("ArgMax", "ArgMin")
def arg_extremum(node, x):
    axis = node.get("axis", 0)
    value = x.amax(axis, keepdim=True) if node.op_type == "ArgMax" else x.amin(axis, keepdim=True)
    return (x == value).to(torch.uint8).argmax(axis, keepdim=bool(node.get("keepdims", 1)))


@op("TopK")
def top_k(node, x, k):
    axis = node.get("axis", -1)
    order = torch.sort(x, dim=axis, descending=bool(node.get("largest", 1)), stable=True)
    k = ints(k)[0]
    return order.values.narrow(axis, 0, k), order.indices.narrow(axis, 0, k)


@op("CumSum")
def cum_sum(node, x, axis):
    axis = ints(axis)[0]
    x = x.flip(axis) if node.get("reverse", 0) else x
    y = x.cumsum(axis)
    y = y - x if node.get("exclusive", 0) else y
    return y.flip(axis) if node.get("reverse", 0) else y


# --- moving elements around ------------------------------------------------------------------------------------------


@op("Reshape")
def reshape(node, x, shape):
    shape = ints(shape)
    if not node.get("allowzero", 0):
        shape = [x.shape[i] if d == 0 else d for i, d in enumerate(shape)]
    return x.reshape(shape)


@op("Flatten")
def flatten(node, x):
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), -1)


@op("Transpose")
def transpose(node, x):
    return x.permute(node.get("perm") or list(reversed(range(x.ndim))))


@op("Squeeze")
def squeeze(node, x, axes=None):
    axes = node.get("axes") if axes is None else ints(axes)
    axes = [i for i, d in enumerate(x.shape) if d == 1] if axes is None else [axis % x.ndim for axis in axes]
    return x.reshape([d for i, d in enumerate(x.shape) if i not in axes])


@op("Unsqueeze")
def unsqueeze(node, x, axes=None):
    axes = node["axes"] if axes is None else ints(axes)
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


@op("Concat")
def concat(node, *xs):
    return torch.cat(xs, node["axis"])


@op("Split")
def split(node, x, lengths=None):
    axis = node.get("axis", 0)
    lengths = node.get("split") if lengths is None else ints(lengths)
    if lengths is None:
        count = len(node.outputs)
        size = -(-x.shape[axis] // count)
        lengths = [min(size, x.shape[axis] - i * size) for i in range(count)]
    return torch.split(x, lengths, axis)


@op("Slice")
def slice_(node, x, starts=None, ends=None, axes=None, steps=None):
    starts = node["starts"] if starts is None else ints(starts)
    ends = node["ends"] if ends is None else ints(ends)
    axes = (node.get("axes") or list(range(len(starts)))) if axes is None else ints(axes)
    steps = [1] * len(starts) if steps is None else ints(steps)
    for start, end, axis, step in zip(starts, ends, axes, steps):
        index = np.arange(x.shape[axis])[slice(start, end if end > -(2**62) else None, step)].copy()
        x = x.index_select(axis, torch.from_numpy(index))
    return x


@op("Gather")
def gather(node, x, index):
    axis = node.get("axis", 0) % x.ndim
    index = torch.where(index < 0, index + x.shape[axis], index)
    y = x.index_select(axis, index.reshape(-1).to(torch.int64))
    return y.reshape(x.shape[:axis] + index.shape + x.shape[axis + 1 :])


@op("GatherElements")
def gather_elements(node, x, index):
    axis = node.get("axis", 0)
    return x.gather(axis, torch.where(index < 0, index + x.shape[axis], index))


@op("GatherND")
def gather_nd(node, x, index):
    batch = node.get("batch_dims", 0)
    if batch:
        rows = [gather_nd({}, a, b) for a, b in zip(x.flatten(0, batch - 1), index.flatten(0, batch - 1))]
        return torch.stack(rows).reshape(x.shape[:batch] + rows[0].shape)
    return x[tuple(index.unbind(-1))]


@op("ScatterElements")
def scatter_elements(node, x, index, updates):
    axis = node.get("axis", 0)
    index = torch.where(index < 0, index + x.shape[axis], index)
    kind = node.get("reduction", b"none")
    if kind == b"none":
        return x.scatter(axis, index, updates)
    if kind == b"add":
        return x.scatter_add(axis, index, updates)
    raise Unsupported("ScatterElements with another reduction than a sum")


@op("ScatterND")
def scatter_nd(node, x, index, updates):
    kind = node.get("reduction", b"none")
    if kind not in (b"none", b"add"):
        raise Unsupported("ScatterND with another reduction than a sum")
    return x.index_put(tuple(index.unbind(-1)), updates, accumulate=kind == b"add")


@op("Expand")
def expand(node, x, shape):
    return x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(ints(shape)))).clone()


@op("Tile")
def tile(node, x, repeats):
    return x.repeat(ints(repeats))


@op("Pad")
def pad(node, x, pads=None, value=None, axes=None):
    pads = node["pads"] if pads is None else ints(pads)
    axes = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in ints(axes)]
    value = node.get("value", 0.0) if value is None else value.item()
    mode = node.get("mode", b"constant").decode()
    for i, axis in enumerate(axes):
        before, behind, size = pads[i], pads[len(axes) + i], x.shape[axis]
        at = np.arange(-before, size + behind)
        if mode == "constant":
            outside = torch.from_numpy((at < 0) | (at >= size))
            x = x.index_select(axis, torch.from_numpy(np.clip(at, 0, size - 1)))
            x = torch.where(along(outside, x.ndim, axis), torch.as_tensor(value, dtype=x.dtype), x)
            continue
        index = np.pad(np.arange(size), (max(before, 0), max(behind, 0)), mode={"reflect": "reflect", "edge": "edge"}[mode])
        x = x.index_select(axis, torch.from_numpy(index))
    return x


@op("ReverseSequence")
def reverse_sequence(node, x, lengths):
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    if (lengths != x.shape[time]).any():
        raise Unsupported(f"ReverseSequence of parts, along {batch}")
    return x.flip(time)


@op("DepthToSpace")
def depth_to_space(node, x):
    n, c, h, w = x.shape
    b = node["blocksize"]
    if node.get("mode", b"DCR") == b"DCR":
        x = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, c // b**2, h * b, w * b)


@op("SpaceToDepth")
def space_to_depth(node, x):
    n, c, h, w = x.shape
    b = node["blocksize"]
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


@op("Trilu")
def trilu(node, x, k=None):
    k = 0 if k is None else ints(k)[0]
    return torch.triu(x, k) if node.get("upper", 1) else torch.tril(x, k)


@op("OneHot")
def one_hot(node, index, depth, values):
    depth = ints(depth)[0]
    index = torch.where(index < 0, index + depth, index).to(torch.int64)
    hot = F.one_hot(index, depth).to(torch.bool)
    axis = node.get("axis", -1)
    return torch.where(hot.movedim(-1, axis), values[1], values[0])


# --- shapes ----------------------------------------------------------------------------------------------------------


@op("Shape")
def shape_of(node, x):
    return torch.tensor(x.shape[node.get("start", 0) : node.get("end", x.ndim)], dtype=torch.int64)


@op("Size")
def size_of(node, x):
    return torch.tensor(x.numel(), dtype=torch.int64)


@op("ConstantOfShape")
def constant_of_shape(node, shape):
    value = node.get("value")
    value = torch.zeros(1, dtype=torch.float64) if value is None else value
    return value.reshape(()).expand(ints(shape)).clone()


@op("Range")
def range_of(node, start, limit, delta):
    return torch.arange(start.item(), limit.item(), delta.item()).to(start.dtype)


@op("NonZero")
def non_zero(node, x):
    return torch.nonzero(x).transpose(0, 1)


@op("EyeLike")
def eye_like(node, x):
    return torch.eye(*x.shape, dtype=torch.float64)


# --- interpolation ---------------------------------------------------------------------------------------------------


def positions(node, size, out, scale):
    """Where the elements of a resized axis are in the input."""
    mode = node.get("coordinate_transformation_mode", b"half_pixel" if node.op_type == "Resize" else b"asymmetric").decode()
    i = np.arange(out, dtype=np.float64)
    if mode == "asymmetric":
        return i / scale
    if mode == "align_corners":
        return i * (size - 1) / (out - 1) if out > 1 else np.zeros(1)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and out > 1):
        return (i + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return np.zeros(1)
    raise Unsupported(f"Resize by {mode}")


def nearest(node, at, size):
    rounding = node.get("nearest_mode", b"round_prefer_floor" if node.op_type == "Resize" else b"floor").decode()
    index = {"floor": np.floor, "ceil": np.ceil, "round_prefer_floor": lambda v: np.ceil(v - 0.5),
             "round_prefer_ceil": lambda v: np.floor(v + 0.5)}[rounding](at)  # fmt: skip
    return np.clip(index, 0, size - 1).astype(np.int64)


@op("Resize", "Upsample")
def resize(node, x, roi=None, scales=None, sizes=None):
    if node.op_type == "Upsample":
        scales = roi if roi is not None else torch.tensor(node["scales"])
    elif node.opset < 11:
        scales = roi
    if node.get("antialias", 0) or node.get("axes"):
        raise Unsupported("Resize with antialias or axes")
    if sizes is not None and sizes.numel():
        out = ints(sizes)
        factors = [o / s for o, s in zip(out, x.shape)]
    else:
        factors = [float(s) for s in scales.reshape(-1)]
        out = [math.floor(s * f) for s, f in zip(x.shape, factors)]
    mode = node.get("mode", b"nearest").decode()
    for axis, (o, factor) in enumerate(zip(out, factors)):
        size = x.shape[axis]
        if o == size and factor == 1.0:
            continue
        at = positions(node, size, o, factor)
        if mode == "nearest":
            x = x.index_select(axis, torch.from_numpy(nearest(node, at, size)))
        elif mode == "linear":
            low = np.floor(at)
            weight = along(torch.from_numpy(at - low), x.ndim, axis)
            index = [torch.from_numpy(np.clip(low + d, 0, size - 1).astype(np.int64)) for d in (0, 1)]
            x = x.index_select(axis, index[0]) * (1 - weight) + x.index_select(axis, index[1]) * weight
        else:
            raise Unsupported(f"Resize of the mode {mode}")
    return x


@op("GridSample")
def grid_sample(node, x, grid):
    mode = {b"linear": "bilinear", b"bilinear": "bilinear", b"nearest": "nearest"}[node.get("mode", b"linear")]
    border = node.get("padding_mode", b"zeros").decode()
    return F.grid_sample(x, grid, mode, border, bool(node.get("align_corners", 0)))


# --- scikit-learn ----------------------------------------------------------------------------------------------------


@op("Scaler")
def scaler(node, x):
    offset, scale = (torch.tensor(node[key], dtype=torch.float64) for key in ("offset", "scale"))
    return (x - offset) * scale


@op("LinearClassifier")
def linear_classifier(node, x):
    """The scores before the function at the end, which is cut off."""
    bias = torch.tensor(node["intercepts"], dtype=torch.float64)
    w = torch.tensor(node["coefficients"], dtype=torch.float64).reshape(len(bias), -1)
    scores = x @ w.T + bias
    return scores.argmax(1), scores


@op("LinearRegressor")
def linear_regressor(node, x):
    targets = node.get("targets", 1)
    w = torch.tensor(node["coefficients"], dtype=torch.float64).reshape(targets, -1)
    return x @ w.T + torch.tensor(node.get("intercepts", [0.0] * targets), dtype=torch.float64)


@op("Normalizer")
def normalizer(node, x):
    norms = {b"MAX": x.abs().amax(-1, keepdim=True), b"L1": x.abs().sum(-1, keepdim=True), b"L2": x.norm(2, -1, keepdim=True)}
    return x / norms[node.get("norm", b"MAX")]
