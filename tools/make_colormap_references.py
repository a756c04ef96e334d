"""What zennit's colour maps give, for tests/tests/colormaps.rs.

    python tools/make_colormap_references.py

writes tests/references/colormaps.npz: for each of zennit's maps by name, and for a few sources, float32 [256, 3], the
colours from 0 to 255 at the positions 0 to 255.
"""

from pathlib import Path

import numpy as np
from zennit.cmap import ColorMap
from zennit.image import CMAPS

# What the grammar allows: equal steps, positions of one digit and of two, both mixed, ends that are not given, a step.
SOURCES = [
    'f00,0f0,00f,fff',
    '4:f00,c:00f',
    '000,40:f00,0f0,00f,c0:fff,888',
    '20:123456,80:fff,80:000,e0:abcdef',
    ' 0ff , 00f, 80 : 000, f00 ,ff0,fff,',
]

if __name__ == '__main__':
    positions = np.arange(256) / 255
    maps = {name: CMAPS[name] for name in CMAPS} | {source: ColorMap(source) for source in SOURCES}
    arrays = {name: (cmap(positions) * 255).astype(np.float32) for name, cmap in maps.items()}
    path = Path(__file__).parent.parent / 'tests/references/colormaps.npz'
    np.savez_compressed(path, **arrays)
    print(f'{path.name}: {len(arrays)} maps, {path.stat().st_size} bytes')
