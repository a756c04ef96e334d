#!/usr/bin/env python3
"""Real architectures as ONNX files, with random weights: what PyTorch's exporters write of them.

    pip install -r tools/requirements.txt
    python tools/zoo.py                                # full-size networks to target/zoo/ (several GB)
    python tools/zoo.py --only vgg16 resnet50          # only these
    python tools/zoo.py --small                        # the small variants to tests/models/
    python tools/zoo.py --small --survey               # which operators and attributes they consist of
    python tools/zoo.py --shipped                      # models as people ship them to tests/shipped/; see zoo_shipped.py

For every network two files: NAME.ts.onnx by the TorchScript exporter (opset 17) and NAME.dynamo.onnx by the dynamo
exporter (opset 20), both with a symbolic batch axis where the exporter manages it, the input called `x` and the output
`y`. For some of the small ones also NAME.ts11.onnx (TorchScript, opset 11: LayerNorm, GELU, hard-swish and Split as
older files have them) and NAME.unfused.onnx (TorchScript with the batch norms left in the file).

Inputs and the outputs expected of them, by onnxruntime, as float32 arrays: NAME.npz with `x` and `y` beside each
full-size network, one models.npz with `NAME.x` and `NAME.y` for the small ones. All files of one network compute the
same function, and the script checks that they do.

A few networks come from other frameworks: NAME.tf2onnx.onnx from Keras, NAME.skl2onnx.onnx from scikit-learn; and see
zoo_paddle.py. Their files keep the names of inputs and outputs that their exporters gave them. scikit-learn's have two
outputs, the label and the probabilities, which are what `y` is.

Relevances to compare with, by zennit in float64, for those networks whose canonizers it has right: five presets, the
class with the largest logit, starting with that logit. zennit.npz with keys NAME.PRESET for the small networks (both
samples), NAME.zennit.npz beside a full-size network (the first sample), which has PRESET.f32 as well: what zennit
computes in float32, to tell what rounding does to it.

Weights are drawn from a generator that is seeded by the network's name, such that every layer matters: kernels by He's
rule, biases that are not 0, layer scales of order 1. The running statistics of a batch norm are the true ones of its
input (of one batch of noise), disturbed by N(0, 0.2) standard deviations and a factor from U(0.5, 2) of the variance;
its weight is from U(0.5, 1.5), its bias from N(0, 0.2); at the end of a ResNet's residual branch the weight is 0.3
times that. With statistics unrelated to the true ones, activations would grow or fade by orders of magnitude in the deep
networks, and gates would saturate; with large residuals, ResNet-152 would multiply rounding errors by a thousand.
"""

import argparse
import collections
import contextlib
import functools
import io
import logging
import os
import warnings
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F
from torchvision.models import inception, regnet, resnet, squeezenet, vgg
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.densenet import DenseNet
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.googlenet import GoogLeNet, Inception
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.shufflenetv2 import ShuffleNetV2
from zennit import composites
from zennit.attribution import Gradient
from zennit.canonizers import CompositeCanonizer, SequentialMergeBatchNorm
from zennit.torchvision import ResNetBasicBlockCanonizer, ResNetBottleneckCanonizer

ROOT = Path(__file__).resolve().parents[1]
FULL_OUT = ROOT / "target" / "zoo"
SMALL_OUT = ROOT / "tests" / "models"

CLASSES = 10  # of the small variants
IMAGE, SMALL_IMAGE = (3, 224, 224), (3, 32, 32)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


# --- hand-written networks -------------------------------------------------------------------------------------------


def conv_bn(inputs, outputs, kernel=3, stride=1, activation=nn.ReLU, dims=2, **options):
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    options.setdefault("padding", kernel // 2)
    layers = [conv(inputs, outputs, kernel, stride, bias=False, **options), BATCH_NORMS[dims - 1](outputs)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class UNet(nn.Module):
    """Three levels up again, each another way: transposed convolution, nearest and bilinear interpolation."""

    def __init__(self, width, classes):
        super().__init__()
        w = width
        self.down = nn.ModuleList([self.double(3, w), self.double(w, 2 * w), self.double(2 * w, 4 * w)])
        self.pool = nn.MaxPool2d(2)
        self.bottom = self.double(4 * w, 8 * w)
        self.up = nn.ModuleList(
            [
                nn.ConvTranspose2d(8 * w, 4 * w, 2, stride=2),
                nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(4 * w, 2 * w, 1)),
                nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2 * w, w, 1)),
            ]
        )
        self.join = nn.ModuleList([self.double(8 * w, 4 * w), self.double(4 * w, 2 * w), self.double(2 * w, w)])
        self.head = nn.Conv2d(w, classes, 1)

    @staticmethod
    def double(inputs, outputs):
        return nn.Sequential(conv_bn(inputs, outputs), conv_bn(outputs, outputs))

    def forward(self, x):
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for up, join, skip in zip(self.up, self.join, reversed(skips)):
            x = join(torch.cat([skip, up(x)], dim=1))
        return self.head(x)


class FcnHead(nn.Module):
    """As torchvision's segmentation networks end: interpolation to the size of the input, read off at run time."""

    def __init__(self, width, classes):
        super().__init__()
        self.features = nn.Sequential(conv_bn(3, width, stride=2), conv_bn(width, 2 * width, stride=2, dilation=1))
        self.head = nn.Conv2d(2 * width, classes, 1)

    def forward(self, x):
        y = self.head(self.features(x))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


class Ecg(nn.Module):
    """12 leads. Batch norm on the input before a padded convolution, dilation, residual blocks, leaky ReLU, softmax."""

    def __init__(self, width, classes):
        super().__init__()
        w = width
        self.norm = nn.BatchNorm1d(12)
        self.stem = conv_bn(12, w, 7, 2, dims=1)
        self.pool = nn.MaxPool1d(3, 2, 1)
        self.first = nn.Sequential(
            conv_bn(w, w, 5, activation=nn.LeakyReLU, dims=1), conv_bn(w, w, 5, activation=None, dims=1)
        )
        self.second = nn.Sequential(
            conv_bn(w, 2 * w, 5, 2, activation=nn.ELU, dims=1),
            conv_bn(2 * w, 2 * w, 3, activation=None, dims=1, dilation=2, padding=2),
        )
        self.shortcut = nn.Sequential(nn.AvgPool1d(2), nn.Conv1d(w, 2 * w, 1))
        self.active = nn.PReLU(2 * w)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(2 * w, classes), nn.Softmax(dim=1)
        )

    def forward(self, x):
        x = self.pool(self.stem(self.norm(x)))
        x = F.leaky_relu(x + self.first(x), 0.1)
        x = self.active(self.shortcut(x) + self.second(x))
        return self.head(x)


class Video(nn.Module):
    """3-d convolutions, among them the pair of space and time that R(2+1)D is made of."""

    def __init__(self, width, classes):
        super().__init__()
        w = width
        self.features = nn.Sequential(
            nn.Conv3d(3, w, (3, 5, 5), (1, 2, 2), (1, 2, 2), bias=False),
            nn.BatchNorm3d(w),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 2, 2)),
            nn.Conv3d(w, 2 * w, (1, 3, 3), padding=(0, 1, 1), bias=False),
            nn.BatchNorm3d(2 * w),
            nn.ReLU(inplace=True),
            nn.Conv3d(2 * w, 2 * w, (3, 1, 1), padding=(1, 0, 0)),
            nn.ReLU(inplace=True),
            nn.AvgPool3d(2),
            nn.Conv3d(2 * w, 4 * w, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool3d(1),
        )
        self.head = nn.Linear(4 * w, classes)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Lstm(nn.Module):
    """The last step of one LSTM."""

    def __init__(self, inputs, hidden, classes):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x):
        y, _ = self.lstm(x)
        return self.head(y[:, -1])


class Gru(nn.Module):
    """The mean over time of two bidirectional GRU layers."""

    def __init__(self, inputs, hidden, classes):
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, x):
        y, _ = self.gru(x)
        return self.head(y.mean(dim=1))


class C2f(nn.Module):
    """YOLOv8's block: a split, bottlenecks with shortcuts, a concatenation of everything."""

    def __init__(self, inputs, outputs, blocks=1, shortcut=True):
        super().__init__()
        w = outputs // 2
        self.enter = conv_bn(inputs, 2 * w, 1, activation=nn.SiLU)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv_bn(w, w, activation=nn.SiLU), conv_bn(w, w, activation=nn.SiLU)) for _ in range(blocks)
        )
        self.leave = conv_bn((2 + blocks) * w, outputs, 1, activation=nn.SiLU)
        self.shortcut = shortcut

    def forward(self, x):
        parts = list(self.enter(x).chunk(2, dim=1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]) if self.shortcut else block(parts[-1]))
        return self.leave(torch.cat(parts, dim=1))


class Yolo(nn.Module):
    """YOLOv5's focus (slices with steps), v8's blocks and spatial pyramid, upsampling, two scales, boxes decoded."""

    BINS = 4

    def __init__(self, width, classes, size):
        super().__init__()
        w = width
        silu = nn.SiLU
        self.focus = conv_bn(12, w, 3, activation=silu)
        self.fine = nn.Sequential(conv_bn(w, 2 * w, 3, 2, activation=silu), C2f(2 * w, 2 * w))
        self.coarse = nn.Sequential(conv_bn(2 * w, 4 * w, 3, 2, activation=silu), C2f(4 * w, 4 * w))
        self.narrow = conv_bn(4 * w, 2 * w, 1, activation=silu)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.widen = conv_bn(8 * w, 4 * w, 1, activation=silu)
        self.up = nn.Upsample(scale_factor=2)
        self.join = C2f(6 * w, 2 * w, shortcut=False)
        self.boxes = nn.ModuleList([nn.Conv2d(2 * w, 4 * self.BINS, 1), nn.Conv2d(4 * w, 4 * self.BINS, 1)])
        self.scores = nn.ModuleList([nn.Conv2d(2 * w, classes, 1), nn.Conv2d(4 * w, classes, 1)])
        self.classes = classes
        points, strides = [], []
        for stride in (4, 8):
            steps = torch.arange(size // stride) + 0.5
            rows, columns = torch.meshgrid(steps, steps, indexing="ij")
            points.append(torch.stack([columns, rows]).flatten(1))
            strides.append(torch.full((1, points[-1].shape[1]), float(stride)))
        self.register_buffer("points", torch.cat(points, 1)[None])
        self.register_buffer("strides", torch.cat(strides, 1))
        self.register_buffer("bins", torch.arange(self.BINS).float().reshape(1, self.BINS, 1, 1))

    def forward(self, x):
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], dim=1)
        fine = self.fine(self.focus(x))
        pyramid = [self.narrow(self.coarse(fine))]
        for _ in range(3):
            pyramid.append(self.pool(pyramid[-1]))
        coarse = self.widen(torch.cat(pyramid, dim=1))
        fine = self.join(torch.cat([self.up(coarse), fine], dim=1))
        levels = []
        for level, box, score in zip((fine, coarse), self.boxes, self.scores):
            levels.append(torch.cat([box(level), score(level)], dim=1).flatten(2))
        boxes, scores = torch.cat(levels, dim=2).split([4 * self.BINS, self.classes], dim=1)
        n, _, anchors = boxes.shape
        boxes = boxes.view(n, 4, self.BINS, anchors).transpose(1, 2).softmax(1)
        boxes = (boxes * self.bins).sum(1)
        near, far = boxes.chunk(2, dim=1)
        near, far = self.points - near, self.points + far
        boxes = torch.cat([(near + far) / 2, far - near], dim=1) * self.strides
        return torch.cat([boxes, scores.sigmoid()], dim=1)


class Pad(nn.Module):
    """TensorFlow's SAME: more padding at the end than at the beginning, in a node of its own."""

    def __init__(self, conv):
        super().__init__()
        total = [k - s for k, s in zip(conv.kernel_size, conv.stride)]
        self.pad = nn.ZeroPad2d((total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
        self.conv = conv
        conv.padding = (0, 0)

    def forward(self, x):
        return self.conv(self.pad(x))


def lite(model):
    """EfficientNet-Lite: no gates, ReLU6, and TensorFlow's padding."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torchvision.ops.SqueezeExcitation):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.SiLU):
                setattr(parent, name, nn.ReLU6(inplace=True))
            elif isinstance(child, nn.Conv2d) and child.stride == (2, 2):
                setattr(parent, name, Pad(child))
    return model


# --- small variants of torchvision's networks ------------------------------------------------------------------------


def shrink(model, factor):
    """Divides the channels of every layer by a factor: all but the image's and the classes'."""

    def divide(n, but=None):
        if n == but:
            return n
        assert n % factor == 0, (n, factor)
        return n // factor

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.in_channels = divide(module.in_channels, but=3)
            module.out_channels = divide(module.out_channels, but=CLASSES)
            module.groups = divide(module.groups, but=1)
            shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
            module.weight = nn.Parameter(torch.empty(shape))
            if module.bias is not None:
                module.bias = nn.Parameter(torch.empty(module.out_channels))
        elif isinstance(module, nn.BatchNorm2d):
            module.num_features = n = divide(module.num_features)
            module.weight, module.bias = nn.Parameter(torch.empty(n)), nn.Parameter(torch.empty(n))
            module.running_mean, module.running_var = torch.zeros(n), torch.ones(n)
        elif isinstance(module, nn.Linear):
            module.in_features = divide(module.in_features)
            module.out_features = divide(module.out_features, but=CLASSES)
            module.weight = nn.Parameter(torch.empty(module.out_features, module.in_features))
            if module.bias is not None:
                module.bias = nn.Parameter(torch.empty(module.out_features))
    return model


def small_alexnet():
    model = torchvision.models.AlexNet(num_classes=CLASSES)
    model.avgpool = nn.AdaptiveAvgPool2d(1)
    model.classifier[1] = nn.Linear(256, 1024)
    model.classifier[4] = nn.Linear(1024, 1024)
    model.classifier[6] = nn.Linear(1024, CLASSES)
    return shrink(model, 16)


def small_vgg(batch_norm):
    layers = [8, 8, "M", 16, 16, "M", 24, 24, 24, "M"]
    with torch.device("meta"):  # its dense layers are too large to be made only to be thrown away
        model = vgg.VGG(nn.Identity(), num_classes=CLASSES, init_weights=False)
    model.features = vgg.make_layers(layers, batch_norm)
    model.avgpool = nn.AdaptiveAvgPool2d(2)
    dropout, relu = functools.partial(nn.Dropout, 0.5), functools.partial(nn.ReLU, True)
    dense = [nn.Linear(96, 48), relu(), dropout(), nn.Linear(48, 32), relu(), dropout(), nn.Linear(32, CLASSES)]
    model.classifier = nn.Sequential(*dense)
    return model


def small_resnet(block, layers, factor, **options):
    model = resnet.ResNet(block, [*layers, 1][:4], num_classes=CLASSES, **options)
    if len(layers) < 4:
        model.layer4 = nn.Identity()
        model.fc = nn.Linear(256 * block.expansion, CLASSES)
    return shrink(model, factor)


def small_googlenet():
    """Stem, three modules and head; with the change of the image's scale that the pretrained one begins with."""
    model = GoogLeNet(CLASSES, aux_logits=False, init_weights=False, transform_input=True)
    model.inception3b = model.inception4a = model.inception4b = model.inception4c = model.inception4d = nn.Identity()
    model.inception4e = Inception(256, 256, 160, 320, 32, 128, 128)
    model.inception5a = nn.Identity()
    return shrink(model, 8)


class SmallInception(nn.Module):
    """One of each of Inception-v3's five modules (of the first, two), on small images."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            inception.BasicConv2d(3, 64, kernel_size=3, stride=2),
            inception.BasicConv2d(64, 192, kernel_size=3, padding=1),
        )
        self.modules_ = nn.Sequential(
            inception.InceptionA(192, pool_features=32),
            inception.InceptionA(256, pool_features=64),
            inception.InceptionB(288),
            inception.InceptionC(768, channels_7x7=128),
            inception.InceptionD(768),
            inception.InceptionE(1280),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, x):
        x = inception.Inception3._transform_input(self, x)
        x = self.modules_(self.stem(x))
        return self.fc(torch.flatten(self.dropout(self.avgpool(x)), 1))

    transform_input = True


def small_mobilenet_v2():
    blocks = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2], [6, 64, 1, 2]]
    return shrink(MobileNetV2(num_classes=CLASSES, inverted_residual_setting=blocks), 8)


def small_mobilenet_v3(blocks, last):
    # input, kernel, expanded, output, squeeze-and-excitation, activation, stride, dilation
    blocks = [InvertedResidualConfig(*block, 1, 1.0) for block in blocks]
    return MobileNetV3(blocks, last, num_classes=CLASSES)


def small_mobilenet_v3_small():
    return small_mobilenet_v3(
        [
            (8, 3, 8, 8, True, "RE", 2),
            (8, 3, 24, 16, False, "RE", 2),
            (16, 5, 32, 16, True, "HS", 1),
            (16, 5, 32, 24, True, "HS", 2),
        ],
        48,
    )


def small_mobilenet_v3_large():
    return small_mobilenet_v3(
        [
            (8, 3, 8, 8, False, "RE", 1),
            (8, 3, 24, 8, False, "RE", 2),
            (8, 5, 24, 16, True, "RE", 2),
            (16, 3, 40, 16, False, "HS", 1),
            (16, 5, 48, 24, True, "HS", 2),
        ],
        64,
    )


def small_mnasnet():
    model = torchvision.models.MNASNet(1.0, num_classes=CLASSES)
    for i, layer in enumerate(model.layers):
        if isinstance(layer, nn.Sequential):
            model.layers[i] = layer[:2] if i == 8 else layer[:1]
    return shrink(model, 8)


def small_shufflenet():
    return ShuffleNetV2([2, 2, 2], [8, 16, 32, 64, 64], num_classes=CLASSES)


def small_regnet(se_ratio):
    blocks = regnet.BlockParams.from_init_params(
        depth=6, w_0=8, w_a=8.0, w_m=2.0, group_width=4, bottleneck_multiplier=1.0, se_ratio=se_ratio
    )
    activation = functools.partial(nn.ReLU, inplace=True)
    norm = functools.partial(nn.BatchNorm2d, eps=1e-5)
    return regnet.RegNet(blocks, CLASSES, stem_width=8, norm_layer=norm, activation=activation)


def small_efficientnet():
    # expansion, kernel, stride, input, output, layers
    blocks = [(1, 3, 1, 8, 8, 1), (6, 3, 2, 8, 8, 2), (6, 5, 2, 8, 16, 2), (6, 3, 2, 16, 24, 1)]
    return EfficientNet([MBConvConfig(*block) for block in blocks], 0.2, num_classes=CLASSES, last_channel=64)


def small_convnext():
    blocks = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, 32, 2), CNBlockConfig(32, None, 1)]
    return ConvNeXt(blocks, num_classes=CLASSES)


def small_densenet():
    return DenseNet(8, (2, 3, 2), num_init_features=8, bn_size=2, num_classes=CLASSES)


def small_squeezenet():
    return shrink(squeezenet.SqueezeNet("1_1", num_classes=CLASSES), 8)


# --- the lists -------------------------------------------------------------------------------------------------------

Entry = collections.namedtuple("Entry", "make shape files", defaults=(("ts", "dynamo"),))


def full_size():
    models = torchvision.models
    names = ["alexnet"]
    names += [f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")]
    names += ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2"]
    names += ["densenet121", "googlenet", "inception_v3", "squeezenet1_0", "squeezenet1_1"]
    names += ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet1_0", "shufflenet_v2_x1_0"]
    names += ["regnet_x_400mf", "regnet_y_400mf", "efficientnet_b0", "convnext_tiny"]
    options = {name: {} for name in names}
    options["googlenet"] = {"aux_logits": False, "init_weights": False, "transform_input": True}
    options["inception_v3"] = options["googlenet"]
    entries = {
        name: Entry(
            functools.partial(getattr(models, name), weights=None, **options[name]),
            (3, 299, 299) if name == "inception_v3" else IMAGE,
        )
        for name in names
    }
    entries["efficientnet_lite0"] = Entry(lambda: lite(models.efficientnet_b0()), IMAGE)
    entries["unet"] = Entry(lambda: UNet(64, 21), (3, 256, 256))
    entries["fcn"] = Entry(lambda: FcnHead(64, 21), (3, 256, 256))
    entries["ecg"] = Entry(lambda: Ecg(64, 71), (12, 1000))
    entries["video"] = Entry(lambda: Video(32, 101), (3, 16, 112, 112))
    entries["lstm"] = Entry(lambda: Lstm(64, 256, 10), (100, 64))
    entries["gru"] = Entry(lambda: Gru(64, 256, 10), (100, 64))
    entries["yolo"] = Entry(lambda: Yolo(32, 80, 320), (3, 320, 320))
    return entries


def small():
    """To keep the repository small, dynamo's file only where it has something that no other has."""
    basic = functools.partial(small_resnet, resnet.BasicBlock)
    bottleneck = functools.partial(small_resnet, resnet.Bottleneck)
    image = SMALL_IMAGE
    ts, both = ("ts",), ("ts", "dynamo")
    return {
        "alexnet": Entry(small_alexnet, (3, 64, 64), ts),
        "vgg": Entry(lambda: small_vgg(False), image, ts),
        "vgg_bn": Entry(lambda: small_vgg(True), image, ("ts", "unfused")),
        "resnet18": Entry(lambda: basic([2, 1, 1, 1], 16), image, ("ts", "dynamo", "unfused")),
        "resnet50": Entry(lambda: bottleneck([2, 1, 1, 1], 16), image, ("ts", "unfused")),
        "resnext50": Entry(lambda: bottleneck([1, 1, 1], 16, groups=32, width_per_group=4), image, ts),
        "wide_resnet50": Entry(lambda: bottleneck([1, 1, 1], 32, width_per_group=128), image, ts),
        "densenet": Entry(small_densenet, image, both),
        "googlenet": Entry(small_googlenet, image, ts),
        "inception_v3": Entry(lambda: shrink(SmallInception(), 16), image, ts),
        "squeezenet": Entry(small_squeezenet, image, ts),
        "mobilenet_v2": Entry(small_mobilenet_v2, image, both),
        "mobilenet_v3_small": Entry(small_mobilenet_v3_small, image, ("ts", "dynamo", "ts11")),
        "mobilenet_v3_large": Entry(small_mobilenet_v3_large, image, ts),
        "mnasnet": Entry(small_mnasnet, image, ts),
        "shufflenet": Entry(small_shufflenet, image, both),
        "regnet_x": Entry(lambda: small_regnet(None), image, ts),
        "regnet_y": Entry(lambda: small_regnet(0.25), image, ts),
        "efficientnet": Entry(small_efficientnet, image, both),
        "efficientnet_lite": Entry(lambda: lite(small_efficientnet()), image, both),
        "convnext": Entry(small_convnext, image, ("ts", "dynamo", "ts11")),
        "unet": Entry(lambda: UNet(4, 4), image, both),
        "fcn": Entry(lambda: FcnHead(4, 4), image, ("ts", "dynamo", "ts11")),
        "ecg": Entry(lambda: Ecg(8, CLASSES), (12, 128), both),
        "video": Entry(lambda: Video(4, CLASSES), (3, 4, 32, 32), both),
        "lstm": Entry(lambda: Lstm(6, 46, CLASSES), (8, 6), both),  # from 46 on, dynamo leaves weights unfolded
        "gru": Entry(lambda: Gru(6, 8, CLASSES), (8, 6), both),
        "yolo": Entry(lambda: Yolo(8, CLASSES, 32), image, ("ts", "dynamo", "ts11")),
    }


# --- weights and input -----------------------------------------------------------------------------------------------


@torch.no_grad()
def build(name, entry):
    """The module with its weights, in evaluation mode."""
    seed = zlib.crc32(name.encode())
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)

    def normal(parameter, deviation, mean=0.0):
        parameter.copy_(mean + deviation * torch.randn(parameter.shape, generator=random))

    def uniform(parameter, low, high):
        parameter.copy_(low + (high - low) * torch.rand(parameter.shape, generator=random))

    model = entry.make().eval()
    done = set()
    for module in model.modules():
        parameters = dict(module.named_parameters(recurse=False))
        done.update(parameters.values())
        if isinstance(module, CONVOLUTIONS + (nn.Linear,)):
            fan_in = module.weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):  # kernel = stride: each output sees every input channel once
                fan_in = module.weight.shape[0]
            normal(module.weight, (2 / fan_in) ** 0.5)
            if module.bias is not None:
                normal(module.bias, 0.1)
        elif isinstance(module, BATCH_NORMS + (nn.LayerNorm,)):
            uniform(module.weight, 0.5, 1.5)
            normal(module.bias, 0.2)
        elif isinstance(module, (nn.LSTM, nn.GRU)):
            for parameter in parameters.values():
                normal(parameter, 1.5 * module.hidden_size**-0.5 if parameter.ndim == 2 else 0.2)
        elif isinstance(module, nn.PReLU):
            uniform(module.weight, 0.05, 0.4)
        elif "layer_scale" in parameters:
            uniform(module.layer_scale, 0.2, 0.8)
        else:
            done.difference_update(parameters.values())
    for module in model.modules():  # trained networks have small residuals; large ones make deep networks chaotic
        if isinstance(module, resnet.Bottleneck):
            module.bn3.weight.mul_(0.3)
        elif isinstance(module, resnet.BasicBlock):
            module.bn2.weight.mul_(0.3)
    forgotten = [key for key, parameter in model.named_parameters() if parameter not in done]
    assert not forgotten, forgotten

    def calibrate(module, args):
        x = args[0]
        axes = [axis for axis in range(x.ndim) if axis != 1]
        variance, mean = torch.var_mean(x, axes, correction=0)
        variance = variance.clamp(min=1e-3)
        normal(module.running_mean, 0.2)
        uniform(module.running_var, 0.5, 2.0)
        module.running_mean.mul_(variance.sqrt()).add_(mean)
        module.running_var.mul_(variance)

    hooks = [m.register_forward_pre_hook(calibrate) for m in model.modules() if isinstance(m, BATCH_NORMS)]
    batch = 2 if np.prod(entry.shape) > 50_000 else 8
    model(torch.randn((batch, *entry.shape), generator=random))
    for hook in hooks:
        hook.remove()
    return model


def make_input(name, shape):
    """Two samples of noise, clipped to [-3, 3] and rounded to multiples of 1/32 (so that they compress)."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    x = np.clip(random.standard_normal((2, *shape)), -3, 3)
    return (np.round(32 * x) / 32).astype(np.float32)


# --- exporting -------------------------------------------------------------------------------------------------------


def excerpt(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' | '.join(lines)[:400]}"


def torchscript(model, x, path, opset, fused=True):
    mode = torch.onnx.TrainingMode.EVAL if fused else torch.onnx.TrainingMode.PRESERVE
    axes = {"x": {0: "batch"}, "y": {0: "batch"}}
    torch.onnx.export(
        model,
        (x,),
        str(path),
        dynamo=False,
        opset_version=opset,
        training=mode,
        do_constant_folding=fused,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes=axes,
    )


def dynamo(model, x, path, opset):
    """With a symbolic batch axis if that works, else with the batch of x."""
    options = {"dynamo": True, "opset_version": opset, "external_data": False, "optimize": True, "verbose": False}
    options |= {"input_names": ["x"], "output_names": ["y"]}
    try:
        torch.onnx.export(model, (x,), str(path), dynamic_shapes=({0: "batch"},), **options)
    except Exception as error:
        torch.onnx.export(model, (x,), str(path), **options)
        return f"; batch not symbolic: {excerpt(error)}"


EXPORTERS = {
    "ts": functools.partial(torchscript, opset=17),
    "dynamo": functools.partial(dynamo, opset=20),
    "ts11": functools.partial(torchscript, opset=11),
    "unfused": functools.partial(torchscript, opset=17, fused=False),
}


def strip(path):
    """Removes stack traces: they name the folders of whoever exported."""
    model = onnx.load(path)
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        for value in [*graph.value_info, *getattr(graph, "input", []), *getattr(graph, "output", [])]:
            with contextlib.suppress(AttributeError):
                value.doc_string = ""
        for item in [graph, *graph.node, *graph.value_info, *getattr(graph, "initializer", [])]:
            props = {p.key: p.value for p in getattr(item, "metadata_props", [])}
            if props:
                del item.metadata_props[:]
                for key in ("namespace", "pkg.torch.onnx.class_hierarchy", "pkg.torch.onnx.name_scopes"):
                    if key in props:
                        item.metadata_props.add(key=key, value=props[key])
        for node in graph.node:
            node.doc_string = ""
            for attribute in node.attribute:
                attribute.doc_string = ""
                if attribute.type == onnx.AttributeProto.GRAPH:
                    graphs.append(attribute.g)
    onnx.save(model, path)
    return model


def run(path, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    results = session.run(None, {session.get_inputs()[0].name: x})
    if isinstance(results[-1], list):  # a ZipMap's dictionaries
        return np.array([list(row.values()) for row in results[-1]], np.float32)
    return results[-1]


def export(name, entry, out, kinds):
    """Writes the files of one network and returns input and output."""
    model = build(name, entry)
    x = make_input(name, entry.shape)
    tensor = torch.from_numpy(x)
    with torch.no_grad():
        expected = model(tensor).numpy()
    extent = expected.max() - expected.min()
    parameters = sum(p.numel() for p in model.parameters())
    low, high = expected.min(), expected.max()
    print(f"{name}: {parameters} parameters, output {list(expected.shape)}, {low:.3g} to {high:.3g}")
    assert np.isfinite(expected).all() and extent > 0
    change = np.abs(expected[0] - expected[1]).max() / extent
    if change < 0.01:
        print(f"    the two samples' outputs differ by only {change:.1e} of the range")
    y = None
    for kind in kinds:
        path = out / f"{name}.{kind}.onnx"
        try:
            with quiet():
                note = EXPORTERS[kind](model, tensor, path) or ""
        except Exception as error:
            print(f"    {kind}: export failed: {excerpt(error)}")
            path.unlink(missing_ok=True)
            continue
        exported = strip(path)
        result = run(path, x)
        batch = exported.graph.input[0].type.tensor_type.shape.dim[0]
        symbolic = batch.dim_param or batch.dim_value
        single = "" if isinstance(symbolic, int) else run(path, x[:1])
        error = np.abs(result - expected).max() / extent
        if not isinstance(symbolic, int) and np.abs(single - result[:1]).max() > 1e-4 * extent:
            raise SystemExit(f"{path.name}: another result for a batch of one")
        print(f"    {kind}: {path.stat().st_size} bytes, batch {symbolic}, {error:.1e} from torch{note}")
        print(f"        {histogram(exported)}")
        if result.shape != expected.shape or error > 1e-4:
            raise SystemExit(f"{path.name}: onnxruntime does not agree with torch")
        y = result if y is None else y
    return x, y


@contextlib.contextmanager
def quiet():
    """The exporters talk a lot."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- other exporters -------------------------------------------------------------------------------------------------


def keras_cnn():
    """Channels last, with what Keras users have: rescaling, padding layers, separable convolutions, a gate, GELU.

    The approximate GELU: of the exact one tf2onnx 1.17.0 makes a node Erfc, which ONNX does not have.
    """
    from keras import Input, Model, activations, layers

    def gelu(x):
        return activations.gelu(x, approximate=True)

    x = Input((32, 32, 3), name="x")
    h = layers.Rescaling(1 / 2, offset=0.1)(x)
    h = layers.ZeroPadding2D(((0, 1), (0, 1)))(h)
    h = layers.Conv2D(8, 3, strides=2, use_bias=False)(h)
    h = layers.ReLU(6.0)(layers.BatchNormalization()(h))
    h = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(h)
    h = layers.ReLU()(layers.BatchNormalization()(h))
    shortcut = layers.Conv2D(16, 1)(h)
    h = layers.SeparableConv2D(16, 3, padding="same", activation="swish")(h)
    h = layers.Add()([h, layers.BatchNormalization()(shortcut)])
    h = layers.BatchNormalization()(h)  # before a pooling and a padded convolution
    h = layers.MaxPooling2D(3, 2, padding="same")(h)
    h = layers.Conv2D(16, 3, strides=2, padding="same", activation=gelu)(h)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(h)
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    gate = layers.Conv2D(16, 1, activation="hard_sigmoid")(gate)
    h = layers.AveragePooling2D(2)(layers.Multiply()([h, gate]))
    h = layers.Dropout(0.5)(layers.Flatten()(h))
    return Model(x, layers.Dense(CLASSES, activation="softmax")(h))


def tf2onnx_file(make, name, path):
    """A Keras model with weights as those of the torch models, by tf2onnx. Returns input and output."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    model = make()
    random = np.random.default_rng(zlib.crc32(name.encode()))
    for variable in model.weights:
        kind, shape = variable.path.split("/")[-1], tuple(variable.shape)
        if "kernel" in kind:
            fan_in = np.prod(shape[:2] if "depthwise" in variable.path else shape[:-1])
            variable.assign(random.standard_normal(shape) * (2 / fan_in) ** 0.5)
        elif kind == "gamma":
            variable.assign(random.uniform(0.5, 1.5, shape))
        elif kind in ("beta", "bias"):
            variable.assign(random.standard_normal(shape) * (0.2 if kind == "beta" else 0.1))
    # One training step with momentum 0 leaves the statistics of its batch behind.
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    shape = model.input_shape[1:]
    model(random.standard_normal((8, *shape)).astype(np.float32), training=True)
    for norm in norms:
        mean, variance = norm.moving_mean.numpy(), np.maximum(norm.moving_variance.numpy(), 1e-3)
        norm.moving_mean.assign(mean + 0.2 * np.sqrt(variance) * random.standard_normal(mean.shape))
        norm.moving_variance.assign(variance * random.uniform(0.5, 2.0, mean.shape))
    x = make_input(name, shape)
    function = tensorflow.function(lambda x: model(x, training=False), autograph=False)
    signature = [tensorflow.TensorSpec((None, *shape), tensorflow.float32, name="x")]
    tf2onnx.convert.from_function(function, input_signature=signature, opset=17, output_path=str(path))
    return x, model(x, training=False).numpy()


def skl2onnx_file(scaled, name, path):
    """Digits of 8 x 8 pixels, learnt by scikit-learn's perceptron, alone or behind a StandardScaler."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, labels = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    if scaled:
        model = make_pipeline(StandardScaler(), MLPClassifier((24, 16), "tanh", random_state=0, max_iter=60))
        options = None  # the probabilities leave in a ZipMap
    else:
        model = MLPClassifier((32,), random_state=0, max_iter=60)
        options = {"zipmap": False}
    model.fit(x, labels)
    path.write_bytes(to_onnx(model, x[:1], options=options, target_opset=17).SerializeToString())
    return x[:2], model.predict_proba(x[:2]).astype(np.float32)


def others(small):
    if small:
        return {
            "keras_cnn": ("tf2onnx", functools.partial(tf2onnx_file, keras_cnn)),
            "digits_mlp": ("skl2onnx", functools.partial(skl2onnx_file, False)),
            "digits_pipeline": ("skl2onnx", functools.partial(skl2onnx_file, True)),
        }

    def application(name):
        def make():
            from keras import applications

            return getattr(applications, name)(weights=None)

        return "tf2onnx", functools.partial(tf2onnx_file, make)

    return {
        "keras_mobilenet_v2": application("MobileNetV2"),
        "keras_resnet50": application("ResNet50"),
    }


def export_other(name, kind, write, out):
    path = out / f"{name}.{kind}.onnx"
    with quiet():
        x, expected = write(name, path)
    exported = strip(path)
    result = run(path, x)
    extent = expected.max() - expected.min()
    error = np.abs(result - expected).max() / extent
    print(f"{name}: output {list(expected.shape)}, {expected.min():.3g} to {expected.max():.3g}")
    print(f"    {kind}: {path.stat().st_size} bytes, {error:.1e} from the original")
    print(f"        {histogram(exported)}")
    if result.shape != expected.shape or error > 1e-4:
        raise SystemExit(f"{path.name}: onnxruntime does not agree with the original")
    return x, result


# --- what the files consist of ---------------------------------------------------------------------------------------


def all_nodes(model):
    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    graphs.append(attribute.g)


def histogram(model):
    counts = collections.Counter(node.op_type for node in all_nodes(model))
    return ", ".join(f"{kind} {n}" if n > 1 else kind for kind, n in sorted(counts.items()))


def describe(name, constants, small):
    """An input of a node: `*` computed, `-` left out, otherwise a constant, with its value if it is short."""
    if not name:
        return "-"
    if name not in constants:
        return "*"
    tensor = constants[name]
    if not small or np.prod(tensor.dims) > 8:
        return f"w{len(tensor.dims)}d"
    value = numpy_helper.to_array(tensor)
    kind = value.dtype.name
    return f"{kind}{list(value.shape)}" if kind == "float32" and value.size > 1 else f"{kind} {value.tolist()}"


def show(attribute):
    if attribute.type == onnx.AttributeProto.TENSOR:
        value = numpy_helper.to_array(attribute.t)
        return f"{attribute.name}={value.dtype}{list(value.shape)}"
    if attribute.type == onnx.AttributeProto.GRAPH:
        return f"{attribute.name}=(graph)"
    value = helper.get_attribute_value(attribute)
    if isinstance(value, list) and len(value) > 10:
        value = f"({len(value)} numbers)"
    return f"{attribute.name}={value.decode() if isinstance(value, bytes) else value}"


def survey(out):
    """Per exporter: operator types, the files they occur in, their attributes, their inputs, each with its count."""
    weighted = ("BatchNormalization", "Conv", "ConvTranspose", "Gemm", "GRU", "LSTM", "MatMul")
    files = collections.defaultdict(list)
    for path in sorted(out.glob("*.onnx")):
        files[path.name.split(".")[1]].append(path)
    for kind, paths in files.items():
        found = collections.defaultdict(lambda: (set(), collections.Counter(), collections.Counter()))
        for path in paths:
            model = onnx.load(path)
            constants = {tensor.name: tensor for tensor in model.graph.initializer}
            for node in all_nodes(model):
                if node.op_type == "Constant" and node.attribute[0].name == "value":
                    constants[node.output[0]] = node.attribute[0].t
            for node in all_nodes(model):
                where, attributes, inputs = found[node.op_type]
                where.add(path.name.split(".")[0])
                attributes.update(show(attribute) for attribute in node.attribute)
                small = node.op_type not in weighted
                inputs[", ".join(describe(name, constants, small) for name in node.input)] += 1
        print(f"\n## {kind}: {len(paths)} files")
        for op, (where, attributes, inputs) in sorted(found.items()):
            print(f"{op}: {', '.join(sorted(where))}")
            if attributes:
                print("    " + "; ".join(f"{text} \u00d7{n}" for text, n in sorted(attributes.items())))
            print("    inputs " + "; ".join(f"({text}) \u00d7{n}" for text, n in inputs.most_common(12)))


# --- relevances, by zennit -------------------------------------------------------------------------------------------


class Merge(SequentialMergeBatchNorm):
    """zennit's, but leaving no batch norm behind.

    zennit sets the mean to 0 and the variance to 1 and leaves eps as it is, so that every merged batch norm goes on
    dividing by sqrt(1 + eps): the network that it explains is another one (by 5e-6 per layer). Without eps it is the
    same.
    """

    def register(self, linears, batch_norm):
        super().register(linears, batch_norm)
        self.eps, batch_norm.eps = batch_norm.eps, 0.0

    def remove(self):
        super().remove()
        self.batch_norm.eps = self.eps


RESIDUAL = CompositeCanonizer((Merge(), ResNetBottleneckCanonizer(), ResNetBasicBlockCanonizer()))

# The networks that zennit's canonizers are right about, with what they need.
EXPLAINED = {
    "alexnet": [],
    "vgg": [],
    "vgg16": [],
    "vgg_bn": [Merge()],
    "vgg16_bn": [Merge()],
    "resnet18": [RESIDUAL],
    "resnet50": [RESIDUAL],
}


PRESETS = {
    "epsilon-plus": composites.EpsilonPlus,
    "epsilon-plus-flat": composites.EpsilonPlusFlat,
    "epsilon-alpha2-beta1": composites.EpsilonAlpha2Beta1,
    "epsilon-alpha2-beta1-flat": composites.EpsilonAlpha2Beta1Flat,
    "epsilon-gamma-box": functools.partial(composites.EpsilonGammaBox, low=-3.0, high=3.0),
}


def shorten(a):
    """As in make_references.py: a relative precision of 2**-37, for the sake of the compressed size."""
    mantissa, exponent = np.frexp(a)
    return np.ldexp(np.round(np.ldexp(mantissa, 37)), exponent - 37)


def relevances(name, entry, x, dtype=torch.float64):
    """Of the class with the largest logit, starting with that logit."""
    double = dtype == torch.float64
    model = build(name, entry).to(dtype)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
        elif isinstance(module, BATCH_NORMS):
            module.eps = float(np.float32(module.eps))  # as the files have it
    x = torch.from_numpy(x).to(dtype)
    with torch.no_grad():
        logits = model(x)
    target = logits.argmax(1)
    one_hot = F.one_hot(target, logits.shape[1]).to(logits)
    arrays = {"logits": logits.numpy(), "target": target.numpy().astype(np.int64)}
    print(f"{name}, {dtype}: logit of the target {logits.max(1).values.numpy().round(4)}; sums of relevance")
    for key, preset in PRESETS.items():
        composite = preset(canonizers=EXPLAINED[name])
        with Gradient(model=model, composite=composite, attr_output=lambda output: output * one_hot) as attributor:
            output, relevance = attributor(x.clone())
        relevance = relevance.detach().numpy()
        error = (output.detach() - logits).abs().max() / logits.abs().max()
        if error > (1e-13 if double else 1e-4) or not np.isfinite(relevance).all():
            raise SystemExit(f"{name}: {key}: the canonized network is another one ({error:.1e})")
        print(f"    {key:26} {relevance.sum((1, 2, 3)).round(4)}")
        arrays[key] = np.ascontiguousarray(shorten(relevance) if double else relevance)
    return arrays


class Arrays:
    """An npz file whose keys begin with a network's name; with `keep`, the other networks' arrays stay."""

    def __init__(self, path, keep):
        self.path = path
        self.arrays = dict(np.load(path)) if keep and path.exists() else {}

    def add(self, name, **arrays):
        self.arrays |= {f"{name}.{key}": value for key, value in arrays.items()}

    def save(self):
        np.savez_compressed(self.path, **dict(sorted(self.arrays.items())))
        print(f"{self.path.name}: {self.path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description="Export real architectures with random weights to ONNX.")
    parser.add_argument("--out", type=Path, help="folder to write to (default: target/zoo, with --small tests/models)")
    parser.add_argument("--small", action="store_true", help="the small variants, which the repository carries")
    parser.add_argument("--shipped", action="store_true", help="models as people ship them, to tests/shipped")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these networks")
    parser.add_argument("--exporters", nargs="+", choices=EXPORTERS, help="only these files of each network")
    parser.add_argument("--survey", action="store_true", help="only list the operators in the folder's files")
    args = parser.parse_args()
    if args.shipped:
        import zoo_shipped

        zoo_shipped.export(args.out or zoo_shipped.OUT, args.only)
        return
    out = args.out or (SMALL_OUT if args.small else FULL_OUT)
    if args.survey:
        survey(out)
        return
    entries = (small() if args.small else full_size()) | others(args.small)
    unknown = set(args.only or []) - set(entries)
    if unknown:
        raise SystemExit(f"not in the list: {', '.join(sorted(unknown))}; there are: {', '.join(entries)}")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for logger in ("torch.onnx", "torch._guards"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    store = {name: Arrays(out / f"{name}.npz", keep=args.only) for name in ("models", "zennit")} if args.small else {}
    for name in args.only or entries:
        entry = entries[name]
        if isinstance(entry, Entry):
            x, y = export(name, entry, out, args.exporters or entry.files)
        else:
            x, y = export_other(name, *entry, out)
        if args.small:
            store["models"].add(name, x=x, y=y)
        else:
            np.savez_compressed(out / f"{name}.npz", x=x, y=y)
        if name in EXPLAINED and args.small:
            store["zennit"].add(name, **relevances(name, entry, x))
        elif name in EXPLAINED:
            single = relevances(name, entry, x[:1], torch.float32)
            arrays = {f"{key}.f32": single[key] for key in PRESETS}
            np.savez_compressed(out / f"{name}.zennit.npz", **relevances(name, entry, x[:1]), **arrays)
    for arrays in store.values():
        arrays.save()
    print(f"all: {sum(f.stat().st_size for f in out.iterdir())} bytes")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
