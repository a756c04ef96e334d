#!/usr/bin/env python3
"""Models as people ship them, small and with random weights, to tests/shipped: NAME.EXPORTER.onnx.

    pip install -r tools/requirements.txt
    python tools/zoo.py --shipped                      # those of PyTorch, ONNX's own tools, the quantizers and scikit-learn
    python tools/zoo_shipped_keras.py                  # tf2onnx, in an environment of its own
    python tools/zoo_shipped_paddle.py                 # paddle2onnx, likewise
    python tools/zoo_reference.py                      # adds outputs and relevance to tests/shipped/reference.npz

Each shows something that tests/models lacks: a batch that is merged, moved or absent, several inputs, ids, masks, states, constants that
are computed, control flow, recurrent cells written out, quantization, rare operators. zoo_networks.py has the networks of PyTorch, which
come from both of its exporters (`ts`, opset 17, and `dynamo`, opset 18 or 20), zoo_nodes.py those that are written by hand.
"""

import argparse
import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

import zoo_nodes
from zoo_networks import networks
from zoo_shelf import OUT, Shelf


def torchscript(module, inputs, path):
    torch.onnx.export(module, inputs, str(path), dynamo=False, opset_version=17, input_names=module.input_names)


def dynamo(module, inputs, path):
    options = {"dynamo": True, "external_data": False, "verbose": False, "input_names": module.input_names}
    for opset in (20, 18):  # some functions exist in opset 18 only
        try:
            return torch.onnx.export(module, inputs, str(path), opset_version=opset, **options)
        except Exception:
            if opset == 18:
                raise


EXPORTERS = {"ts": torchscript, "dynamo": dynamo}


@contextlib.contextmanager
def quiet():
    """The exporters talk a lot."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def of_torch(shelf):
    for name, module, given, fixed in networks():
        if not shelf.wants(name):
            continue
        module.input_names = list(given)
        tensors = tuple(torch.from_numpy(np.asarray(v)) for v in given.values())
        with torch.no_grad():
            expected = module(*tensors)
        expected = (expected[0] if isinstance(expected, tuple) else expected).numpy()
        for kind, write in EXPORTERS.items():

            def make(kind=kind, write=write):
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "model.onnx"
                    with quiet():
                        write(module, tensors, path)
                    split = {k: v for k, v in given.items() if k not in fixed}, {k: given[k] for k in fixed}
                    shelf.add(name, kind, path, *split, expected)

            shelf.attempt(name, kind, make)


def export(out=OUT, only=None):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for logger in ("torch.onnx", "torch._guards", "onnxscript"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    shelf = Shelf(out, only)
    of_torch(shelf)
    zoo_nodes.add(shelf)
    shelf.save()


def main():
    parser = argparse.ArgumentParser(description="Export models as people ship them.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    args = parser.parse_args()
    export(args.out, args.only)


if __name__ == "__main__":
    main()
