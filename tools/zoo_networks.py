"""Small networks in the forms in which people ship them: what the files of tests/shipped consist of that come from PyTorch.

`networks()` gives for each name the module, its inputs by name, and the names of those that are fixed. Each shows a capability: where the
batch is, which inputs there are, what is constant, how a recurrent cell is written, which operators occur.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from zoo_shelf import noise, random_of


class Lambda(nn.Module):
    """A function with layers: `Lambda(lambda m, x: m.head(x), head=…)`."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, torch.Tensor) and not isinstance(layer, nn.Parameter):
                self.register_buffer(name, layer)
            else:
                setattr(self, name, layer)

    def forward(self, *xs):
        return self.function(self, *xs)


def mlp(*sizes, act=nn.ReLU):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


def conv(a, b, k=3, stride=1, act=nn.ReLU, **options):
    return nn.Sequential(nn.Conv2d(a, b, k, stride, k // 2, **options), act())


# --- where the batch is ----------------------------------------------------------------------------------------------


def batches():
    yield "time_major_lstm", Lambda(lambda m, x: m.head(m.rnn(x)[0][-1]), rnn=nn.LSTM(5, 6), head=nn.Linear(6, 4)), {"x": noise("a", 7, 1, 5)}
    yield (
        "time_major_gru",
        Lambda(lambda m, x: m.head(m.rnn(x)[0].mean(0)), rnn=nn.GRU(4, 5, bidirectional=True), head=nn.Linear(10, 3)),
        {"x": noise("b", 6, 1, 4)},
    )
    yield "time_major_rnn", Lambda(lambda m, x: m.head(m.rnn(x)[0]), rnn=nn.RNN(4, 6), head=nn.Linear(6, 3)), {"x": noise("c", 5, 1, 4)}
    yield (
        "stacked_lstm",
        Lambda(lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=nn.LSTM(4, 5, 2, batch_first=True), head=nn.Linear(5, 3)),
        {"x": noise("d", 1, 6, 4)},
    )
    yield (
        "ctc",
        Lambda(
            lambda m, x: F.log_softmax(m.head(m.rnn(F.max_pool2d(m.conv(x), (4, 2)).squeeze(2).permute(2, 0, 1))[0]), 2),
            conv=conv(1, 6),
            rnn=nn.LSTM(6, 5, bidirectional=True),
            head=nn.Linear(10, 7),
        ),
        {"image": noise("e", 1, 1, 4, 16)},
    )
    yield "drops_the_batch", Lambda(lambda m, x: m.net(x.squeeze(0)), net=mlp(6, 8, 4)), {"x": noise("f", 1, 5, 6)}
    yield (
        "frames",
        Lambda(
            lambda m, x: m.head(m.conv(x.reshape(-1, 1, 8, 8)).mean((2, 3)).reshape(1, 3, -1).mean(1)),
            conv=conv(1, 4),
            head=nn.Linear(4, 3),
        ),
        {"video": noise("g", 1, 3, 1, 8, 8)},
    )

    def heads(m, x):
        b, t, d = x.shape
        q, k, v = (p(x).reshape(b, t, 2, d // 2).transpose(1, 2).reshape(b * 2, t, d // 2) for p in (m.q, m.k, m.v))
        s = torch.softmax(torch.bmm(q, k.transpose(1, 2)) / math.sqrt(d // 2), -1)
        y = torch.bmm(s, v).reshape(b, 2, t, d // 2).transpose(1, 2).reshape(b, t, d)
        return m.head((x + m.o(y)).mean(1))

    layers = {name: nn.Linear(8, 8) for name in "qkvo"}
    yield "heads_in_the_batch", Lambda(heads, **layers, head=nn.Linear(8, 3)), {"x": noise("h", 1, 5, 8)}
    yield (
        "fixed_batch",
        Lambda(lambda m, x: m.head(F.max_pool2d(m.conv(x), 2).view(1, 64)), conv=conv(3, 4), head=nn.Linear(64, 5)),
        {"x": noise("i", 1, 3, 8, 8)},
    )
    yield "no_batch", Lambda(lambda m, x: m.net(x), net=mlp(12, 8, 4)), {"x": noise("j", 12)}
    yield "image_without_batch", Lambda(lambda m, x: m.head(m.conv(x.unsqueeze(0)).flatten())[None], conv=conv(2, 4), head=nn.Linear(144, 3)), {
        "x": noise("k", 2, 6, 6)
    }

    def swin(m, x):  # windows of 2 x 2, shifted by one
        b, h, w, c = x.shape
        y = torch.roll(m.norm(x), (-1, -1), (1, 2))
        y = y.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        q, k, v = m.qkv(y).reshape(-1, 4, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        s = torch.softmax(q @ k.transpose(-1, -2) * (c // 2) ** -0.5 + m.bias, -1)
        y = m.o((s @ v).transpose(1, 2).reshape(-1, 4, c))
        y = y.view(b, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        x = x + torch.roll(y, (1, 1), (1, 2))
        x = x + m.mlp(m.second(x))
        return m.head(x.mean((1, 2)))

    yield (
        "swin",
        Lambda(
            swin,
            norm=nn.LayerNorm(6),
            second=nn.LayerNorm(6),
            qkv=nn.Linear(6, 18),
            o=nn.Linear(6, 6),
            mlp=mlp(6, 12, 6, act=nn.GELU),
            head=nn.Linear(6, 3),
            bias=torch.from_numpy(noise("swin bias", 2, 4, 4, scale=0.3)),
        ),
        {"x": noise("l", 1, 4, 4, 6)},
    )


# --- inputs ----------------------------------------------------------------------------------------------------------


def inputs():
    def voice(m, x, state, sr):  # as voice activity detectors are shipped: a state in and out, and the sample rate
        h = m.conv(x.unsqueeze(1) * (16000.0 / sr)).relu().permute(2, 0, 1)
        y, (hn, cn) = m.rnn(h, (state[:1], state[1:]))
        return torch.sigmoid(m.head(y[-1])), torch.cat([hn, cn])

    yield (
        "voice",
        Lambda(voice, conv=nn.Conv1d(1, 4, 8, 4), rnn=nn.LSTM(4, 6), head=nn.Linear(6, 1)),
        {"x": noise("m", 1, 64), "state": noise("state", 2, 1, 6, scale=0.3), "sr": np.array(16000, np.int64)},
        ["state", "sr"],
    )
    yield (
        "gru_state",
        Lambda(lambda m, x, h: m.rnn(x, h), rnn=nn.GRU(4, 5)),
        {"x": noise("n", 3, 1, 4), "h": noise("gru state", 1, 1, 5, scale=0.3)},
        ["h"],
    )
    yield (
        "two_towers",
        Lambda(lambda m, a, b: m.head(m.user(a) * m.item(b)), user=mlp(6, 8, 5), item=mlp(4, 8, 5), head=nn.Linear(5, 2)),
        {"user": noise("o", 1, 6), "item": noise("p", 1, 4)},
    )
    yield (
        "siamese",
        Lambda(lambda m, a, b: m.head((m.net(a) - m.net(b)).abs().flatten(1)), net=conv(1, 3, stride=2), head=nn.Linear(48, 2)),
        {"left": noise("q", 1, 1, 8, 8), "right": noise("r", 1, 1, 8, 8)},
    )
    yield (
        "image_and_table",
        Lambda(
            lambda m, i, t: m.head(torch.cat([m.conv(i).mean((2, 3)), m.table(t)], 1)),
            conv=conv(3, 5, stride=2),
            table=mlp(4, 6, 5),
            head=nn.Linear(10, 3),
        ),
        {"image": noise("s", 1, 3, 8, 8), "table": noise("t", 1, 4)},
    )
    ids = random_of("ids").integers(0, 20, (1, 7))
    mask = np.array([[1, 1, 1, 1, 1, 0, 0]])

    def pooled(m, ids, mask):
        e = m.net(m.embedding(ids)) * mask.unsqueeze(-1).float()
        return m.head(e.sum(1) / mask.sum(1, keepdim=True).float())

    yield (
        "ids_and_mask",
        Lambda(pooled, embedding=nn.Embedding(20, 6), net=mlp(6, 8, 8), head=nn.Linear(8, 3)),
        {"ids": ids, "mask": mask},
    )
    yield (
        "text_cnn",
        Lambda(
            lambda m, ids: m.head(m.conv(m.embedding(ids).transpose(1, 2)).relu().amax(2)),
            embedding=nn.Embedding(20, 5),
            conv=nn.Conv1d(5, 6, 3),
            head=nn.Linear(6, 3),
        ),
        {"ids": ids},
    )
    yield (
        "one_hot",
        Lambda(lambda m, ids: m.head(m.net(F.one_hot(ids, 20).float()).sum(1)), net=mlp(20, 6, 6), head=nn.Linear(6, 3)),
        {"ids": ids},
    )

    def malware(m, x):
        e = m.embedding(x.long()).transpose(1, 2)
        return m.head((m.conv(e) * torch.sigmoid(m.gate(e))).amax(2))

    yield (
        "bytes",
        Lambda(malware, embedding=nn.Embedding(257, 4), conv=nn.Conv1d(4, 5, 4, 4), gate=nn.Conv1d(4, 5, 4, 4), head=nn.Linear(5, 2)),
        {"bytes": random_of("bytes").integers(0, 256, (1, 32)).astype(np.uint8)},
    )

    def attended(m, x, mask):
        s = m.score(x).squeeze(-1).masked_fill(~mask, -torch.inf)
        return m.head((torch.softmax(s, -1).unsqueeze(1) @ x).squeeze(1))

    yield (
        "bool_mask",
        Lambda(attended, score=nn.Linear(4, 1), head=nn.Linear(4, 3)),
        {"x": noise("u", 1, 6, 4), "mask": np.array([[True, True, False, True, True, False]])},
    )
    image = random_of("image").integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)
    yield (
        "u8_image",
        Lambda(
            lambda m, x: m.head(m.conv((x.float() / 255 - m.mean) / m.std).mean((2, 3))),
            conv=conv(3, 6, stride=2),
            head=nn.Linear(6, 4),
            mean=torch.tensor([0.485, 0.456, 0.406])[:, None, None],
            std=torch.tensor([0.229, 0.224, 0.225])[:, None, None],
        ),
        {"image": image},
    )
    yield (
        "u8_channels_last",
        Lambda(
            lambda m, x: m.head(m.conv(x.permute(0, 3, 1, 2).float() / 127.5 - 1).flatten(1)), conv=conv(3, 4, stride=2), head=nn.Linear(64, 4)
        ),
        {"image": np.ascontiguousarray(image.transpose(0, 2, 3, 1))},
    )

    def bert(m, ids, mask, kinds):
        x = m.norm(m.embedding(ids) + m.kind(kinds) + m.position.weight)
        q, k, v = (p(x).reshape(1, 7, 2, 4).transpose(1, 2) for p in (m.q, m.k, m.v))
        s = q @ k.transpose(-1, -2) / 2 + (1 - mask[:, None, None].float()) * -1e4
        x = m.first(x + m.o((torch.softmax(s, -1) @ v).transpose(1, 2).reshape(1, 7, 8)))
        x = m.second(x + m.mlp(x))
        return m.head(torch.tanh(m.pool(x[:, 0])))

    yield (
        "bert",
        Lambda(
            bert,
            embedding=nn.Embedding(20, 8),
            kind=nn.Embedding(2, 8),
            position=nn.Embedding(7, 8),
            norm=nn.LayerNorm(8),
            first=nn.LayerNorm(8),
            second=nn.LayerNorm(8),
            q=nn.Linear(8, 8),
            k=nn.Linear(8, 8),
            v=nn.Linear(8, 8),
            o=nn.Linear(8, 8),
            mlp=mlp(8, 12, 8, act=nn.GELU),
            pool=nn.Linear(8, 8),
            head=nn.Linear(8, 3),
        ),
        {"ids": ids, "mask": mask, "kinds": np.array([[0, 0, 0, 1, 1, 0, 0]])},
        ["kinds"],
    )


# --- constants that are computed -------------------------------------------------------------------------------------


class Standardised(nn.Conv2d):
    def forward(self, x):
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True, correction=0) + 1e-5)
        return F.conv2d(x, w, self.bias, self.stride, self.padding)


def constants():
    wave = Lambda(
        lambda m, x: m.head((torch.tanh(m.filter(x)) * torch.sigmoid(m.gate(x))).mean(2)),
        filter=parametrizations.weight_norm(nn.Conv1d(2, 5, 3)),
        gate=parametrizations.weight_norm(nn.Conv1d(2, 5, 3)),
        head=nn.Linear(5, 3),
    )
    yield "weight_norm", wave, {"x": noise("v", 1, 2, 12)}
    yield (
        "spectral_norm",
        nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 8)), nn.LeakyReLU(0.1), parametrizations.spectral_norm(nn.Linear(8, 3))),
        {"x": noise("w", 1, 6)},
    )
    yield (
        "weight_standardisation",
        Lambda(
            lambda m, x: m.head(m.norm(m.conv(x)).relu().mean((2, 3))), conv=Standardised(2, 6, 3, padding=1), norm=nn.GroupNorm(2, 6), head=nn.Linear(6, 3)
        ),
        {"x": noise("x", 1, 2, 6, 6)},
    )
    yield (
        "zero_state",
        Lambda(lambda m, x: m.head(m.cell(x, torch.zeros(1, 5))), cell=nn.GRUCell(4, 5), head=nn.Linear(5, 3)),
        {"x": noise("y", 1, 4)},
    )


# --- recurrent cells written out -------------------------------------------------------------------------------------


def cells():
    def lstm(m, x):
        h, c = torch.zeros(1, 5), torch.zeros(1, 5)
        for t in range(x.shape[1]):
            h, c = m.cell(x[:, t], (h, c))
        return m.head(h)

    yield "lstm_cells", Lambda(lstm, cell=nn.LSTMCell(4, 5), head=nn.Linear(5, 3)), {"x": noise("z", 1, 4, 4)}

    def plain(m, x):
        h = torch.zeros(1, 5)
        for t in range(x.shape[1]):
            h = m.cell(x[:, t], h)
        return m.head(h)

    yield "gru_cells", Lambda(plain, cell=nn.GRUCell(4, 5), head=nn.Linear(5, 3)), {"x": noise("A", 1, 4, 4)}
    yield "rnn_cells", Lambda(plain, cell=nn.RNNCell(4, 5), head=nn.Linear(5, 3)), {"x": noise("B", 1, 4, 4)}

    def convolutional(m, x):  # a ConvLSTM
        h, c = torch.zeros(1, 3, 5, 5), torch.zeros(1, 3, 5, 5)
        for t in range(x.shape[1]):
            i, f, o, g = m.conv(torch.cat([x[:, t], h], 1)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return m.head(h.mean((2, 3)))

    yield "conv_lstm", Lambda(convolutional, conv=nn.Conv2d(4, 12, 3, padding=1), head=nn.Linear(3, 2)), {"x": noise("C", 1, 3, 1, 5, 5)}

    def minimal(m, x):  # a minimal gated unit, time first
        h = torch.zeros(1, 5)
        for step in x:
            z = torch.sigmoid(m.gate(torch.cat([step, h], 1)))
            h = (1 - z) * h + z * torch.tanh(m.new(torch.cat([step, z * h], 1)))
        return m.head(h)

    yield "gated_units", Lambda(minimal, gate=nn.Linear(9, 5), new=nn.Linear(9, 5), head=nn.Linear(5, 3)), {"x": noise("D", 4, 1, 4)}


# --- operators, heads ------------------------------------------------------------------------------------------------


def operators():
    def reductions(m, x):
        y = m.conv(x).relu()
        parts = [y.amax((2, 3)), y.mean((2, 3)), y.sum((2, 3)) / 9, torch.linalg.vector_norm(y, dim=(2, 3)), y.amin((2, 3))]
        return m.head(torch.cat(parts, 1))

    yield "reductions", Lambda(reductions, conv=nn.Conv2d(1, 3, 3), head=nn.Linear(15, 3)), {"x": noise("E", 1, 1, 6, 6)}
    yield "top_k", Lambda(lambda m, x: m.head(m.net(x).topk(3).values), net=mlp(8, 10), head=nn.Linear(3, 3)), {"x": noise("F", 1, 8)}
    yield (
        "where",
        Lambda(lambda m, x: m.head(torch.where(x > 0, m.a(x), m.b(x))), a=nn.Linear(6, 6), b=nn.Linear(6, 6), head=nn.Linear(6, 3)),
        {"x": noise("G", 1, 6)},
    )
    yield (
        "einsum",
        Lambda(
            lambda m, x: m.head(torch.einsum("bid,bjd->bij", torch.einsum("bid,dhe->bieh", x, m.w).flatten(2), x.repeat(1, 1, 2)).flatten(1)),
            w=nn.Parameter(torch.zeros(3, 2, 3)),
            head=nn.Linear(16, 3),
        ),
        {"x": noise("H", 1, 4, 3)},
    )
    yield (
        "cumulative_sum",
        Lambda(lambda m, x: m.head(torch.cumsum(m.net(x).relu(), 1).flatten(1)), net=nn.Linear(3, 4), head=nn.Linear(20, 3)),
        {"x": noise("I", 1, 5, 3)},
    )

    def picked(m, x):
        y = m.net(x).relu()
        y = torch.cat([y[:, [3, 0, 2]], y.gather(1, m.order)], 1)
        return m.head(torch.zeros(1, 9).scatter(1, m.places, y))

    yield (
        "gather_and_scatter",
        Lambda(picked, net=nn.Linear(5, 4), head=nn.Linear(9, 3), order=torch.tensor([[2, 2, 1]]), places=torch.tensor([[8, 1, 0, 4, 3, 6]])),
        {"x": noise("J", 1, 5)},
    )
    grid = F.affine_grid(torch.tensor([[[0.8, 0.3, 0.1], [-0.2, 0.9, 0.05]]]), (1, 1, 6, 6), align_corners=False)
    yield (
        "grid_sample",
        Lambda(lambda m, x: m.head(F.grid_sample(m.conv(x), m.grid, align_corners=False).relu().mean((2, 3))), conv=nn.Conv2d(1, 3, 3, padding=1), head=nn.Linear(3, 2), grid=grid),
        {"x": noise("K", 1, 1, 6, 6)},
    )

    def detector(m, x):  # scores and boxes of all cells of two scales
        low = m.first(x)
        high = m.second(low)
        scores = [head(y).flatten(2).transpose(1, 2) for head, y in ((m.score, low), (m.coarse, high))]
        boxes = [head(y).flatten(2).transpose(1, 2) for head, y in ((m.box, low), (m.coarse_box, high))]
        return torch.sigmoid(torch.cat(scores, 1)), torch.sigmoid(torch.cat(boxes, 1))

    heads = {"score": nn.Conv2d(6, 3, 1), "coarse": nn.Conv2d(8, 3, 1), "box": nn.Conv2d(6, 4, 1), "coarse_box": nn.Conv2d(8, 4, 1)}
    yield "detector", Lambda(detector, first=conv(3, 6, stride=2), second=conv(6, 8, stride=2), **heads), {"x": noise("L", 1, 3, 8, 8)}

    def segmented(m, x):
        a = m.first(x)
        b = m.second(F.max_pool2d(a, 2))
        return m.head(m.third(torch.cat([a, F.interpolate(b, scale_factor=2.0, mode="bilinear", align_corners=False)], 1)))

    yield (
        "segmentation",
        Lambda(segmented, first=conv(1, 4), second=conv(4, 6), third=conv(10, 4), head=nn.Conv2d(4, 3, 1)),
        {"x": noise("M", 1, 1, 8, 8)},
    )
    yield (
        "super_resolution",
        Lambda(lambda m, x: F.pixel_shuffle(m.b(m.a(x)), 2), a=conv(1, 6), b=nn.Conv2d(6, 4, 3, padding=1)),
        {"x": noise("N", 1, 1, 5, 5)},
    )

    def rms(m, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * m.weight
        return m.head((F.silu(m.gate(x)) * m.up(x)).mean(1))

    yield (
        "rms_norm_swiglu",
        Lambda(rms, weight=nn.Parameter(torch.ones(6)), gate=nn.Linear(6, 8), up=nn.Linear(6, 8), head=nn.Linear(8, 3)),
        {"x": noise("O", 1, 4, 6)},
    )
    yield (
        "cosine_classifier",
        Lambda(lambda m, x: F.normalize(m.net(x)) @ F.normalize(m.weight).t() * 8, net=mlp(6, 8, 5), weight=nn.Parameter(torch.zeros(4, 5))),
        {"x": noise("P", 1, 6)},
    )
    yield (
        "instance_norm",
        Lambda(lambda m, x: m.head(m.norm(m.conv(x)).relu().flatten(1)), conv=nn.Conv1d(2, 4, 3), norm=nn.InstanceNorm1d(4, affine=True), head=nn.Linear(24, 3)),
        {"x": noise("Q", 1, 2, 8)},
    )
    yield (
        "residual_mlp",
        Lambda(lambda m, x: m.head(x + m.b((x + m.a(x)).relu())), a=mlp(6, 8, 6), b=mlp(6, 8, 6), head=nn.Linear(6, 3)),
        {"x": noise("R", 1, 6)},
    )
    yield (
        "maxout",
        Lambda(lambda m, x: m.head(torch.maximum(m.a(x), m.b(x)) - torch.minimum(m.a(x), m.c(x))), a=nn.Linear(6, 5), b=nn.Linear(6, 5), c=nn.Linear(6, 5), head=nn.Linear(5, 3)),
        {"x": noise("S", 1, 6)},
    )
    yield (
        "squeeze_and_excitation",
        Lambda(
            lambda m, x: m.head((m.conv(x) * torch.sigmoid(m.gate(m.conv(x).mean((2, 3), keepdim=True)))).mean((2, 3))),
            conv=conv(2, 6),
            gate=nn.Sequential(nn.Conv2d(6, 3, 1), nn.ReLU(), nn.Conv2d(3, 6, 1)),
            head=nn.Linear(6, 3),
        ),
        {"x": noise("T", 1, 2, 6, 6)},
    )

    def causal(m, x):
        q, k, v = m.qkv(m.norm(x)).chunk(3, -1)
        x = x + m.o(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return m.head(x)[:, -1]

    yield (
        "causal_attention",
        Lambda(causal, norm=nn.LayerNorm(6), qkv=nn.Linear(6, 18), o=nn.Linear(6, 6), head=nn.Linear(6, 4)),
        {"x": noise("U", 1, 5, 6)},
    )
    yield (
        "unet_1d",
        Lambda(
            lambda m, x: m.head(torch.cat([x, m.up(m.act(m.down(x)))], 1)),
            down=nn.Conv1d(2, 6, 4, 2, 1),
            act=nn.PReLU(6),
            up=nn.ConvTranspose1d(6, 4, 4, 2, 1),
            head=nn.Conv1d(6, 2, 1),
        ),
        {"x": noise("V", 1, 2, 12)},
    )


def networks():
    """Name, module with random weights, inputs by name, names of fixed inputs."""
    for family in (batches, inputs, constants, cells, operators):
        for name, module, given, *fixed in family():
            random = torch.Generator().manual_seed(int(random_of(name).integers(2**31)))
            with torch.no_grad():
                for key, p in module.named_parameters():
                    if p.ndim > 1:
                        scale = (1.5 / max(p[0].numel(), 1)) ** 0.5 if p.ndim != 2 or "embedding" not in key else 1.0
                    else:
                        scale = 0.2
                    p.copy_(scale * torch.randn(p.shape, generator=random))
                for layer in module.modules():
                    if isinstance(layer, nn.LayerNorm | nn.GroupNorm | nn.InstanceNorm1d):
                        layer.weight.add_(1.0)
                    if isinstance(layer, nn.PReLU):
                        layer.weight.abs_()
            yield name, module.eval(), given, (fixed or [[]])[0]
