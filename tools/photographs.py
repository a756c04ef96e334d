"""Photographs as networks for ImageNet want them: 224 × 224 pixels of the middle, by the mean and spread of ImageNet's pixels."""

import numpy as np
from PIL import Image

SIZE = 224
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def read(path):
    """The shorter side to 224 pixels, the middle of the longer one: the image, and its normalised pixels [3, 224, 224]."""
    image = Image.open(path).convert("RGB")
    scale = SIZE / min(image.size)
    image = image.resize([round(scale * side) for side in image.size], Image.Resampling.BILINEAR)
    left, top = ((side - SIZE) // 2 for side in image.size)
    image = image.crop((left, top, left + SIZE, top + SIZE))
    return image, ((np.asarray(image) / 255.0 - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)
