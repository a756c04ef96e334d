#!/usr/bin/env python3
"""Looks at the HTML report in a headless Chromium: uses it as people do, and takes the pictures of docs/report.md.

    cargo build --release -p lrp-cli
    python tools/report_screenshots.py                    # both
    python tools/report_screenshots.py --check            # only uses it; exit code 1 where something does not hold

Needs `chromium` (Debian: apt install chromium) and nothing else but Python; no part of CI. Reports are made in a temporary folder: of one
image, of 100 digits (the 16 bundled ones, moved by a pixel or two), of a time series, of a ResNet, and of names that attack the page. The
page is opened in a frame, because windows of headless Chromium are at least 500 pixels wide, and because a script can then press its
buttons and read what it shows. Any message on the console is a failure.
"""

import argparse
import math
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FIGURES = REPOSITORY / "docs" / "figures" / "report"
HOSTILE = '<img src=x onerror=alert(1)> & "quoted"'

# Name, report, width and height, views side by side.
PICTURES = [
    ("one", "one", 1280, 1480, ["gain=2"]),
    ("hundred", "hundred", 1280, 900, ["open=36&map=france"]),
    ("hundred-dark", "hundred", 1280, 900, ["open=27&map=coldnhot&overlay=30&theme=dark"]),
    ("narrow", "hundred", 360, 1330, ["open=27", "open=27&theme=dark&at=stage", "open=27&at=flow"]),
    ("layers", "resnet", 1280, 900, ["at=flow"]),
    ("series-dark", "series", 1280, 900, ["theme=dark&map=coldnhot"]),
]

# What a reader does, and what must then hold. `page` is the report's document, `press` presses a key on an element.
CHECKS = {
    "hundred": """
        const options = () => [...page.querySelectorAll('[role=option]')];
        const position = () => page.getElementById('position').textContent;
        expect('100 inputs are listed', options().length === 100);
        expect('one of them is selected', options().filter((o) => o.ariaSelected === 'true').length === 1);
        expect('one of them can be reached with the tab key', options().filter((o) => o.tabIndex === 0).length === 1);
        press(options()[0], 'ArrowRight');
        expect('an arrow key opens the next', position() === '2 of 100' && page.activeElement === options()[1]);
        press(options()[1], 'End');
        expect('End opens the last', position() === '100 of 100' && page.getElementById('next').disabled);
        page.getElementById('previous').click();
        expect('Previous goes back', position() === '99 of 100');
        press(page.body, 'p');
        expect('so does p', position() === '98 of 100');
        set('find', 'hundred [7]');
        expect('Find lists what matches', options().length === 1 && page.getElementById('count').textContent === '1 of 100 inputs');
        options()[0].click();
        expect('a click opens', position() === '8 of 100');
        set('find', '');
        set('order', 'class');
        expect('by class, zeros are first', options()[0].textContent.includes('0 ('));
        const heat = () => page.querySelector('.sheet canvas');
        const pixel = (x, y) => {
          const copy = Object.assign(document.createElement('canvas'), { width: 28, height: 28 }).getContext('2d', { willReadFrequently: true });
          copy.drawImage(heat(), 0, 0);
          return [...copy.getImageData(x, y, 1, 1).data].slice(0, 3).join();
        };
        expect('zero is white', pixel(0, 0) === '255,255,255');
        set('map', 'coldnhot');
        expect('and black in a map with a black centre', pixel(0, 0) === '0,0,0');
        expect('the address has the view', view.location.hash.includes('open=8') && view.location.hash.includes('map=coldnhot'));
        const high = () => Number(page.getElementById('high').textContent);
        const before = high();
        set('gain', '1');
        expect('twice the gain, half the scale', Math.abs(high() / before - 0.5) < 0.02);
        expect('the ends are symmetric', page.getElementById('low').textContent === page.getElementById('high').textContent.replace('+', '\\u2212'));
        press(heat(), 'ArrowLeft');
        expect('arrow keys read pixels', page.getElementById('readout').textContent.startsWith('column 13, row 14: relevance'));
        expect('the heatmap says what it shows', heat().ariaLabel.startsWith('Relevance for '));
        const rows = page.querySelectorAll('#ledger tbody tr');
        expect('the ledger is a table, too', rows.length === 1 + report.nodes.length);
        expect('every picture and control has a name', unnamed().length === 0 || unnamed().join());
    """,
    "one": "expect('one input needs no gallery', page.getElementById('gallery').hidden);",
    "resnet": """
        expect('channels are there', page.querySelectorAll('#channels button').length === 4);
        page.querySelectorAll('#channels button')[2].click();
        expect('a channel can be chosen', page.getElementById('channel').selectedOptions[0].textContent === 'green');
        expect('a row for each operator', page.querySelectorAll('#chart .row').length === 1 + report.nodes.length);
    """,
    "series": """
        expect('12 channels and their sum', page.querySelectorAll('#channels button').length === 13);
        press(page.querySelector('canvas.series'), 'ArrowRight');
        expect('arrow keys read values', page.getElementById('readout').textContent.startsWith('position 0: relevance'));
    """,
    "hostile": """
        expect('a name is text', page.getElementById('name').textContent.startsWith('<img src=x onerror=alert(1)>'));
        expect('a label is text', page.getElementById('what').textContent.includes('<b>'));
        expect('and makes no picture', !page.querySelector('img[src=x]'));
    """,
}

HARNESS = """<!doctype html><meta charset="utf-8"><iframe src="%s" width="1280" height="900"></iframe><script>
addEventListener('load', () => setTimeout(() => {
  const view = frames[0], page = view.document, report = { nodes: [...page.querySelectorAll('#chart .row:not(.total)')] };
  const say = (text) => console.log('HARNESS ' + text);
  const expect = (what, held) => say((held === true ? 'ok   ' : 'FAIL ') + what + (held === true || held === false ? '' : ': ' + held));
  const press = (element, key) => { element.focus(); element.dispatchEvent(new view.KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })); };
  const set = (id, value) => { const control = page.getElementById(id); control.value = value; control.dispatchEvent(new view.Event('input', { bubbles: true })); };
  const unnamed = () => [...page.querySelectorAll('button, select, input, img, canvas, svg[role], [role=region]')].filter((e) =>
    !e.ariaHidden && !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.alt !== undefined && e.hasAttribute('alt') || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML.slice(0, 80));
  expect('nothing is wider than the window', page.documentElement.scrollWidth <= view.innerWidth);
  try { %s } catch (error) { say('FAIL ' + error); }
  say('done');
}, 500));
</script>"""


def npy(path, shape, values):
    """Writes float32 numbers as numpy does."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    data = struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{len(values)}f", *values)
    path.write_bytes(b"\x93NUMPY\x01\x00" + data)


def digits(count):
    """So many digits: the bundled ones, each moved by up to two pixels."""
    data = (REPOSITORY / "examples/mnist/digits.npy").read_bytes()[128:]
    pixels = struct.unpack(f"<{len(data) // 4}f", data)
    moved = []
    for i in range(count):
        digit = pixels[i % 16 * 784 : (i % 16 + 1) * 784]
        right, down = random.randint(-2, 2), random.randint(-2, 2)
        inside = lambda y, x: 0 <= y < 28 and 0 <= x < 28
        moved += [
            digit[(y - down) * 28 + x - right] if inside(y - down, x - right) else 0.0
            for y in range(28)
            for x in range(28)
        ]
    return moved


def make_reports(lrp, folder):
    """Makes the reports; gives where they are."""
    mnist, models = REPOSITORY / "examples/mnist", REPOSITORY / "tests/models"
    recipe = REPOSITORY / "configs/montavon-composite.toml"
    files = [mnist / "cnn.onnx", mnist / "clever-hans.onnx", mnist / "nine_with_patch.png", recipe]
    for file in files + [models / "ecg.ts.onnx", models / "resnet50.ts.onnx"]:
        shutil.copy(file, folder)
    npy(folder / "hundred.npy", (100, 1, 28, 28), digits(100))
    wave = [math.sin(0.2 * i) + random.gauss(0, 0.1) + 3 * (i % 40 == 0) for i in range(3 * 12 * 128)]
    npy(folder / "ecg.npy", (3, 12, 128), wave)
    npy(folder / "pattern.npy", (1, 3, 32, 32), [math.sin(c + x / 3) * math.cos(y / 4 - c) for c in range(3) for y in range(32) for x in range(32)])
    shutil.copy(mnist / "nine.png", folder / f"{HOSTILE}.png")
    (folder / "labels.txt").write_text("".join(f"<b>{i}</b>\n" for i in range(10)))
    for name, arguments in {
        "one": ["-m", "clever-hans.onnx", "-r", recipe.name, "-i", "nine_with_patch.png"],
        "hundred": ["-m", "cnn.onnx", "-r", recipe.name, "-i", "hundred.npy"],
        "series": ["-m", "ecg.ts.onnx", "-r", "epsilon-plus", "-i", "ecg.npy"],
        "resnet": ["-m", "resnet50.ts.onnx", "-r", "epsilon-plus", "-i", "pattern.npy"],
        "hostile": ["-m", "cnn.onnx", "-r", "lrp-0", "-i", f"{HOSTILE}.png", "--labels", "labels.txt"],
    }.items():
        command = [lrp, "explain", *arguments, "-o", name, "--save", "html"]
        print(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return {name: folder / name / "report.html" for name in CHECKS}


def chromium(page, *options):
    """Opens a page; gives the messages on its console."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    command += ["--force-color-profile=srgb", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=4000", *options, page.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120)
    return [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def check(reports, folder):
    """Uses every report; says whether all holds."""
    held = True
    for name, script in CHECKS.items():
        page = folder / "harness.html"
        page.write_text(HARNESS % (reports[name].as_uri(), script))
        messages = chromium(page, "--dump-dom")
        said = [line.split("HARNESS ")[1].split('", source')[0] for line in messages if "HARNESS " in line]
        others = [line for line in messages if "HARNESS " not in line]
        for line in said:
            print(f"  {name}: {line}")
        for line in others:
            print(f"  {name}: console: {line}")
        held &= "done" in said and not others and not any(line.startswith("FAIL") for line in said)
    return held


def take_pictures(reports, folder):
    """Takes the pictures; says whether the console stayed empty."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    quiet = True
    for name, report, width, height, views in PICTURES:
        frames = "".join(
            f'<iframe src="{reports[report].as_uri()}#{view}" width="{width}" height="{height}" style="border:0"></iframe>'
            for view in views
        )
        page = folder / "frames.html"
        page.write_text(f'<!doctype html><body style="margin:0;display:flex;gap:12px;background:#888">{frames}')
        file = FIGURES / f"{name}.png"
        whole = width * len(views) + 12 * (len(views) - 1)
        for line in chromium(page, f"--window-size={whole},{height}", f"--screenshot={file}"):
            print(f"  {name}: console: {line}")
            quiet = False
        print(f"  {file.relative_to(REPOSITORY)}: {file.stat().st_size / 1000:.0f} kB")
    return quiet


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lrp", default=REPOSITORY / "target/release/lrp", type=Path, help="the program")
    parser.add_argument("--check", action="store_true", help="take no pictures")
    arguments = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        reports = make_reports(arguments.lrp.resolve(), folder)
        held = check(reports, folder)
        if not arguments.check:
            held &= take_pictures(reports, folder)
    print("all of it holds" if held else "something does not hold")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
