#!/usr/bin/env python3
"""How much of a model's weights stands in its file where it could be used without a copy: at a multiple of four bytes.

    python tools/weights_in_place.py target/zoo/*.onnx
"""

import sys
from pathlib import Path

import onnx

# Tables and shapes are not worth a map.
SMALL = 4096


def aligned(path):
    """Bytes of the model's constants that begin at a multiple of four, and of all."""
    file = Path(path).read_bytes()
    found = [0, 0]
    start = 0
    for tensor in onnx.load(path).graph.initializer:
        data = tensor.raw_data
        if len(data) < SMALL:
            continue
        at = file.find(data, start)
        # Files have them in their order; if one does not, it is looked for everywhere.
        at = at if at >= 0 else file.find(data)
        start = at + len(data)
        found[0] += len(data) * (at % 4 == 0)
        found[1] += len(data)
    return found


if __name__ == "__main__":
    for path in sys.argv[1:]:
        inside, whole = aligned(path)
        print(f"{Path(path).name:32} {inside / 1e6:6.0f} of {whole / 1e6:6.0f} MB")
