#!/usr/bin/env python3
"""Makes small models that the importer refuses, for tests/tests/gates.rs. Needs nothing but Python: ONNX is written by hand.

    python3 tools/make_refusal_cases.py tests/cases
"""

import struct
import sys
from pathlib import Path


def varint(n):
    out = b""
    n &= (1 << 64) - 1
    while True:
        n, low = n >> 7, n & 127
        if not n:
            return out + bytes([low])
        out += bytes([low | 128])


def field(number, value):
    """A field of a protobuf message: an integer, a text, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    body = field(1, name)
    if isinstance(value, int):
        return body + field(3, value) + field(20, 2)
    return body + b"".join(field(8, v) for v in value) + field(20, 7)


def node(op_type, inputs, outputs, name, **attributes):
    body = b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs)
    body += field(3, name) + field(4, op_type)
    return field(1, body + b"".join(field(5, attribute(k, v)) for k, v in attributes.items()))


def tensor(name, dims, values):
    """Floats or integers, by what the values are."""
    is_float = isinstance(values[0], float)
    raw = struct.pack(f"<{len(values)}{'f' if is_float else 'q'}", *values)
    body = b"".join(field(1, d) for d in dims) + field(2, 1 if is_float else 7) + field(8, name) + field(9, raw)
    return field(5, body)


def value(name, dims, elem_type):
    shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, elem_type) + field(2, shape)))


def model(nodes, tensors, x, output):
    graph = b"".join(nodes) + field(2, "graph") + b"".join(tensors) + field(11, x)
    graph += field(12, value(output, ["N", 2], 1))
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


def attention(blocks):
    """As torchvision's ViT is exported: the batch is moved behind the tokens for torch.nn.MultiheadAttention; then a TopK."""
    weights = [((i * 7) % 11 - 5) / 8 for i in range(16)]
    nodes, x = [], "x"
    for i in range(blocks):
        n = f"/encoder/layers.{i}"
        nodes += [
            node("Transpose", [x], [f"m{i}"], f"{n}/Transpose", perm=[1, 0, 2]),
            node("MatMul", [f"m{i}", "w"], [f"z{i}"], f"{n}/in_proj/MatMul"),
            node("Transpose", [f"z{i}"], [f"q{i}"], f"{n}/Transpose_1", perm=[1, 0, 2]),
            node("Transpose", [f"z{i}"], [f"k{i}"], f"{n}/Transpose_2", perm=[1, 2, 0]),
            node("MatMul", [f"q{i}", f"k{i}"], [f"s{i}"], f"{n}/scores/MatMul"),
            node("Softmax", [f"s{i}"], [f"p{i}"], f"{n}/Softmax", axis=-1),
            node("MatMul", [f"p{i}", f"q{i}"], [f"y{i}"], f"{n}/mix/MatMul"),
            node("Add", [x, f"y{i}"], [f"x{i}"], f"{n}/Add"),
        ]
        x = f"x{i}"
    nodes.append(node("TopK", [x, "two"], ["best", "places"], "/TopK"))
    return model(nodes, [tensor("w", [4, 4], weights), tensor("two", [1], [2])], value("x", ["N", 3, 4], 1), "best")


def tokens():
    """A model that begins with an embedding."""
    rows = [i / 8 for i in range(12)]
    nodes = [node("Gather", ["table", "tokens"], ["y"], "/embedding/Gather")]
    return model(nodes, [tensor("table", [6, 2], rows)], value("tokens", ["N", 5], 7), "y")


folder = Path(sys.argv[1])
(folder / "refused-attention.onnx").write_bytes(attention(2))
(folder / "refused-tokens.onnx").write_bytes(tokens())
