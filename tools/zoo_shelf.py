"""Where the scripts that make tests/shipped put a file: beside the others, with its inputs in reference.npz.

The files of one exporter are made in one environment, since their packages do not agree on versions; so this module needs onnx and
onnxruntime only. zoo_reference.py adds what the files compute, and relevance.
"""

import contextlib
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

OUT = Path(__file__).resolve().parents[1] / "tests" / "shipped"
LIMIT = 100_000  # bytes of a file


def random_of(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def noise(name, *shape, scale=1.0):
    """Noise, clipped to [-3, 3] and rounded to multiples of 1/32 (so that it compresses), without zeros."""
    x = np.clip(random_of(name).standard_normal(shape), -3, 3)
    x = np.round(32 * x) / 32
    return (np.where(x == 0, 1 / 32, x) * scale).astype(np.float32)


def strip(model):
    """Removes stack traces and other texts of exporters: they are long, and name the folders of whoever exported."""
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        for value in [*graph.value_info, *getattr(graph, "input", []), *getattr(graph, "output", [])]:
            with contextlib.suppress(AttributeError, TypeError):
                value.doc_string = ""
                del value.metadata_props[:]
        for item in [graph, *graph.node, *getattr(graph, "initializer", [])]:
            with contextlib.suppress(AttributeError):
                del item.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            for attribute in node.attribute:
                attribute.doc_string = ""
                if attribute.type == onnx.AttributeProto.GRAPH:
                    graphs.append(attribute.g)
                graphs.extend(attribute.graphs)
    return model


class Shelf:
    """Writes NAME.EXPORTER.onnx files; `save` writes the inputs."""

    def __init__(self, out=OUT, only=None):
        self.out, self.only = out, only
        self.path = out / "reference.npz"
        self.arrays = dict(np.load(self.path)) if self.path.exists() else {}
        self.failures = []
        out.mkdir(parents=True, exist_ok=True)

    def wants(self, name):
        return not self.only or name in self.only

    def add(self, name, exporter, model, inputs, fixed=None, expected=None, tolerance=1e-4):
        """A model (or the path of one), the values of its inputs, and what the framework computes."""
        key = f"{name}.{exporter}"
        model = strip(onnx.load(model) if isinstance(model, str | Path) else model)
        used = {value.name for value in model.graph.input}
        inputs = {k: v for k, v in inputs.items() if k in used}
        fixed = {k: v for k, v in (fixed or {}).items() if k in used}
        data = model.SerializeToString()
        session = onnxruntime.InferenceSession(data, self.options(), providers=["CPUExecutionProvider"])
        result = session.run(None, inputs | fixed)
        if expected is not None:
            extent = max(expected.max() - expected.min(), np.abs(expected).max(), 1e-30)
            error = np.abs(result[0].reshape(expected.shape) - expected).max() / extent
            if error > tolerance:
                raise ValueError(f"onnxruntime differs by {error:.1e} of the range")
        if len(data) > LIMIT:
            raise ValueError(f"{len(data)} bytes are too many")
        (self.out / f"{key}.onnx").write_bytes(data)
        self.arrays = {k: a for k, a in self.arrays.items() if not k.startswith(f"{key}/")}
        self.arrays |= {f"{key}/x/{k}": v for k, v in inputs.items()} | {f"{key}/fix/{k}": v for k, v in fixed.items()}
        ops = sorted({node.op_type for node in model.graph.node})
        print(f"{key}: {len(data)} bytes, {', '.join(ops)}")

    def attempt(self, name, exporter, make):
        """Calls `make`, which adds a file; a failure is remembered and does not stop the others."""
        if not self.wants(name):
            return
        try:
            make()
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            self.failures.append(f"{name}.{exporter}: {type(error).__name__}: {' | '.join(lines)[:300]}")

    @staticmethod
    def options():
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        return options

    def save(self):
        np.savez_compressed(self.path, **dict(sorted(self.arrays.items())))
        for failure in self.failures:
            print(f"not exported: {failure}")
