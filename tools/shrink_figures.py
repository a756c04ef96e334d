#!/usr/bin/env python3
"""Makes figures of photographs small enough for the repository: 256 colours, chosen so that heatmaps keep theirs.

    python tools/shrink_figures.py docs/figures/imagenet-*.png

The colours of heatmaps (white to red, white to blue) keep 32 levels on each side, and white stays white; the rest of
the palette goes to the photographs.
"""

import sys

import numpy as np
from PIL import Image

LEVELS = 32  # of red, and of blue

for path in sys.argv[1:]:
    image = Image.open(path).convert("RGB")
    pixels = np.asarray(image).astype(int)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    warm, cold = (red == 255) & (green == blue), (blue == 255) & (red == green)
    strength = np.rint((255 - green) / 255 * LEVELS).astype(int)

    ramp = [[255, round(255 - 255 * i / LEVELS)] for i in range(LEVELS + 1)]
    palette = [[top, low, low] for top, low in ramp] + [[low, low, top] for top, low in ramp[1:]]
    rest = ~(warm | cold)
    others = Image.fromarray(pixels[rest].astype(np.uint8)[None])
    others = others.quantize(256 - len(palette), kmeans=3, dither=Image.Dither.NONE)

    indices = np.where(warm | (strength == 0), strength, LEVELS + strength)
    indices[rest] = len(palette) + np.asarray(others)[0]
    small = Image.fromarray(indices.astype(np.uint8), mode="P")
    small.putpalette(np.concatenate([np.array(palette).ravel(), others.getpalette()]).astype(np.uint8).tobytes())
    small.save(path, optimize=True)
