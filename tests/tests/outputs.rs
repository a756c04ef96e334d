//! What relevance looks like, and the forms in which it is saved: colour maps and scales, time series, texts, archives, and what other
//! programs read (`tools/check_exports.py` does that with the programs themselves).

use std::collections::HashMap;
use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Rgb, RgbImage};
use lrp_tests::program::{Folder, repository};
use ndarray::{Array1, Array2, Array4, ArrayD, Axis, Slice};
use ndarray_npy::{NpzReader, read_npy, write_npy};
use safetensors::SafeTensors;
use serde_json::Value;

const EXPLAIN: &str = "explain -m cnn.onnx -r lrp-epsilon --range 0,1";

fn digit() -> Folder {
    Folder::with(&["cnn.onnx", "digits/3_a.png", "digits.npy"])
}

/// A folder with a network of `tests/models` as `model.onnx`, and its two samples as `x.npy`.
fn network(file: &str, name: &str) -> Folder {
    let folder = Folder::new();
    let models = repository().join("tests/models");
    std::fs::copy(models.join(file), folder.path("model.onnx")).unwrap();
    let mut archive = NpzReader::new(std::fs::File::open(models.join("models.npz")).unwrap()).unwrap();
    let x: ArrayD<f32> = archive.by_name(&format!("{name}.x")).unwrap();
    write_npy(folder.path("x.npy"), &x).unwrap();
    folder
}

fn picture(folder: &Folder, name: &str) -> RgbImage {
    image::load_from_memory(&folder.read(name)).unwrap().to_rgb8()
}

fn relevance(folder: &Folder, name: &str) -> Array4<f32> {
    read_npy(folder.path(name)).unwrap()
}

fn count(image: &RgbImage, wanted: impl Fn([u8; 3]) -> bool) -> usize {
    image.pixels().filter(|pixel| wanted(pixel.0)).count()
}

fn manifest(folder: &Folder, dir: &str) -> Value {
    serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap()
}

// ---- images ----

#[test]
fn a_heatmap_has_the_colours_of_its_relevance() {
    let folder = digit();
    for (map, zero, most) in [
        ("bwr", [255, 255, 255], [255, 0, 0]),
        ("coldnhot", [0, 0, 0], [255, 255, 255]),
        ("'f0f, 80:123456, 0f0'", [0x12, 0x34, 0x56], [0, 255, 0]),
    ] {
        folder.lrp(&format!("{EXPLAIN} -i 3_a.png -o out --size 1x --colormap {map}")).silent();
        let (image, r) = (picture(&folder, "out/3_a.heatmap.png"), relevance(&folder, "out/3_a.relevance.npy"));
        assert_eq!(image.dimensions(), (28, 28));
        let max = r.iter().fold(0.0, |max: f32, r| max.max(r.abs()));
        let (mut zeros, mut ends) = (0, 0);
        for ((_, _, y, x), r) in r.indexed_iter() {
            let pixel = image.get_pixel(x as u32, y as u32);
            if *r == 0.0 {
                zeros += 1;
                assert_eq!(*pixel, Rgb(zero), "{map}");
            } else if *r == max {
                ends += 1;
                assert_eq!(*pixel, Rgb(most), "{map}");
            }
        }
        assert!(zeros > 100 && ends == 1, "{map}");
    }
}

#[test]
fn recipes_say_how_heatmaps_look_and_flags_override_them() {
    let folder = digit();
    let output = "[output]\ncolormap = 'coldnhot'\nclip = 95\nsize = '3x'\n";
    folder.write("look.toml", format!("schema = 1\nextends = 'lrp-epsilon'\n{output}"));
    folder.lrp("explain -m cnn.onnx -r look.toml --range 0,1 -i 3_a.png -o recipe").silent();
    folder.lrp(&format!("{EXPLAIN} -i 3_a.png -o flags --colormap coldnhot --clip 95 --size 3x")).silent();
    let clipped = picture(&folder, "recipe/3_a.heatmap.png");
    assert_eq!(clipped, picture(&folder, "flags/3_a.heatmap.png"));
    assert_eq!(clipped.dimensions(), (84, 84));
    folder.lrp("explain -m cnn.onnx -r look.toml --range 0,1 -i 3_a.png -o max --clip 100").silent();
    let white = |image: &RgbImage| count(image, |pixel| pixel == [255, 255, 255]) / 9;
    // Without clipping, one value is at the end of the scale; with it, those above the percentile.
    assert_eq!(white(&picture(&folder, "max/3_a.heatmap.png")), 1);
    assert!((5..=39).contains(&white(&clipped)), "{}", white(&clipped));
}

#[test]
fn relevance_is_drawn_over_the_input() {
    let folder = digit();
    folder.lrp(&format!("{EXPLAIN} -i 3_a.png -o out --size 1x --overlay 1")).silent();
    let (image, input) = (picture(&folder, "out/3_a.heatmap.png"), picture(&folder, "3_a.png"));
    let r = relevance(&folder, "out/3_a.relevance.npy");
    let unchanged = r.indexed_iter().filter(|(_, r)| **r == 0.0);
    assert!(
        unchanged
            .map(|((_, _, y, x), _)| (x as u32, y as u32))
            .all(|(x, y)| image.get_pixel(x, y) == input.get_pixel(x, y))
    );
    assert_eq!(count(&image, |pixel| pixel == [255, 0, 0]), 1);
}

#[test]
fn relevance_of_one_sign_starts_at_the_first_colour() {
    let folder = digit();
    folder.lrp(&format!("{EXPLAIN} -i 3_a.png -o out --size 1x --colormap wred --scale positive")).silent();
    let (image, r) = (picture(&folder, "out/3_a.heatmap.png"), relevance(&folder, "out/3_a.relevance.npy"));
    assert!(r.iter().any(|r| *r < 0.0));
    assert!(
        r.indexed_iter()
            .filter(|(_, r)| **r <= 0.0)
            .all(|((_, _, y, x), _)| image.get_pixel(x as u32, y as u32).0 == [255; 3])
    );
    assert_eq!(count(&image, |pixel| pixel == [255, 0, 0]), 1);
}

#[test]
fn figures_have_the_same_colours() {
    let folder = digit();
    let compare = "compare -m cnn.onnx --range 0,1 -r lrp-0 -r epsilon-plus -i 3_a.png -o figure.png";
    folder.lrp(&format!("{compare} --colormap 0f0,80:fff,f0f --clip 99 --size 4x")).silent();
    let image = picture(&folder, "figure.png");
    // In the scale, if nowhere else: both ends, and no red or blue.
    for (color, is_there) in [([255, 0, 255], true), ([0, 255, 0], true), ([255, 0, 0], false), ([0, 0, 255], false)] {
        assert_eq!(count(&image, |pixel| pixel == color) > 0, is_there, "{color:?}");
    }
}

/// An SVG's size, and the pictures that are embedded in it.
fn svg(folder: &Folder, name: &str) -> ((u32, u32), Vec<RgbImage>) {
    let text = String::from_utf8(folder.read(name)).unwrap();
    let attribute = |name: &str| {
        let value = text.split_once(&format!(" {name}=\"")).unwrap().1.split_once('"').unwrap().0;
        value.parse().unwrap()
    };
    let embedded = text.split("data:image/png;base64,").skip(1).map(|rest| {
        let png = STANDARD.decode(rest.split_once('"').unwrap().0).unwrap();
        image::load_from_memory(&png).unwrap().into_rgb8()
    });
    assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"), "{text}");
    ((attribute("width"), attribute("height")), embedded.collect())
}

#[test]
fn a_picture_is_the_same_as_svg() {
    let folder = digit();
    // An image: its pixels.
    folder.lrp(&format!("{EXPLAIN} -i 3_a.png digits.npy -o out --save svg,png,json")).silent();
    let png = picture(&folder, "out/3_a.heatmap.png");
    assert_eq!(svg(&folder, "out/3_a.heatmap.svg"), (png.dimensions(), vec![png]));
    let manifest = manifest(&folder, "out");
    let input = &manifest["inputs"][0];
    assert_eq!(input["samples"][0]["targets"][0]["heatmap"], "3_a.heatmap.png");
    let files: Vec<&str> = input["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(files, ["3_a.heatmap.png", "3_a.heatmap.svg"]);
    // Alone, it is the picture that records name; --force removes it, and --resume misses it.
    let alone = format!("{EXPLAIN} -i 3_a.png -o alone --save svg,json");
    folder.lrp(&alone).silent();
    assert_eq!(folder.list("alone"), ["3_a.heatmap.svg", "manifest.json"]);
    let again = folder.lrp(&format!("{alone} --resume"));
    assert!(again.ok().contains("nothing to do"), "{again}");
    std::fs::remove_file(folder.path("alone/3_a.heatmap.svg")).unwrap();
    folder.lrp(&format!("{alone} --resume")).ok();
    folder.lrp(&format!("{EXPLAIN} -i 3_a.png -o alone --save json --force")).silent();
    assert_eq!(folder.list("alone"), ["manifest.json"]);

    // A figure: an input, a heatmap for each recipe, and the scale.
    let compare = "compare -m cnn.onnx --range 0,1 -r lrp-0 -r epsilon-plus -i 3_a.png --size 4x";
    let run = folder.lrp(&format!("{compare} --save svg -o both.png"));
    let png = picture(&folder, "both.png");
    let (width, height) = png.dimensions();
    let size = format!("({width}×{height} pixels)");
    assert_eq!(run.silent(), format!("both.png {size}\nboth.svg {size}\n"));
    let (size, embedded) = svg(&folder, "both.svg");
    assert_eq!((size, embedded.len()), (png.dimensions(), 4));
    let text = String::from_utf8(folder.read("both.svg")).unwrap();
    assert!(text.contains(">LRP-0</text>") && text.contains(">input</text>"), "{text}");
    // Every embedded picture is in the figure, pixel by pixel.
    for picture in &embedded {
        let place = |x, y| (0..picture.width()).all(|i| png.get_pixel(x + i, y) == picture.get_pixel(i, 0));
        let (columns, rows) = (png.width() - picture.width(), png.height() - picture.height());
        assert!((0..rows).any(|y| (0..columns).any(|x| place(x, y))));
    }
    folder.lrp(&format!("{compare} -o only.svg")).silent();
    assert_eq!(folder.read("only.svg"), folder.read("both.svg"));
    assert!(!folder.path("only.png").exists());
    let run = folder.lrp(&format!("{compare} --save npy -o figure.png"));
    assert!(run.complaint().contains("expected png or svg"), "{run}");
    // In an experiment, `save` says it.
    folder.write(
        "run.toml",
        "schema = 1\nextends = 'lrp-0'\n[model]\npath = 'cnn.onnx'\n[explain]\ninputs = '3_a.png'\n[output]\nfigure = 'run.png'\n",
    );
    folder.lrp("run run.toml").ok();
    assert!(!folder.path("run.svg").exists());
    folder.lrp("run run.toml --save svg").ok();
    assert_eq!(svg(&folder, "run.svg").0, picture(&folder, "run.png").dimensions());
    folder.lrp("palette bwr -o maps.svg").silent();
    assert_eq!(svg(&folder, "maps.svg").1[0].dimensions(), (513, 26));
}

#[test]
fn looks_that_cannot_be_are_refused() {
    let folder = digit();
    for (flags, message) in [
        ("--colormap sesmic", "did you mean 'seismic'?"),
        ("--colormap fff,ff", "colour 2, 'ff', is none a colour has 3 or 6 hexadecimal digits"),
        ("--clip 0", "expected a number greater than 0 and at most 100"),
        ("--overlay 2", "expected a number greater than 0 and at most 1"),
        ("--size huge", "'huge' is no size write the pixels"),
        ("--scale log", "expected symmetric or positive"),
        ("--kind tokens", "the model's samples have the shape [1, 28, 28], which is not a text"),
        ("--tokens nothing.txt", "cannot read the tokens 'nothing.txt'"),
    ] {
        let run = folder.lrp(&format!("{EXPLAIN} -i 3_a.png -o out {flags}"));
        let text = run.complaint().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(message), "{run}");
    }
}

#[test]
fn the_palette_is_listed_and_drawn() {
    let folder = Folder::new();
    let listed = folder.lrp("palette").silent().to_owned();
    assert!(lrp_config::COLORMAPS.iter().all(|name| listed.lines().any(|line| line.starts_with(name))), "{listed}");
    let json = folder.lrp("palette coldnhot 00f,fff,0f0 --json").json();
    assert_eq!((&json[0]["source"], &json[0]["zero"]), (&"0ff,00f,80:000,f00,ff0,fff".into(), &"000000".into()));
    assert_eq!((&json[1]["zero"], &json[1]["diverging"]), (&"ffffff".into(), &true.into()));
    folder.lrp("palette -o maps/all.png").silent();
    folder.lrp("palette bwr -o one.png").silent();
    assert!(picture(&folder, "maps/all.png").height() > 4 * picture(&folder, "one.png").height());
    assert!(folder.lrp("palette jet").complaint().contains("there is no colour map 'jet'"));
    assert!(folder.lrp("palette -o maps.jpg").complaint().contains("a figure is a PNG or SVG file"));
}

#[test]
fn images_of_every_format_are_explained() {
    let folder = digit();
    let image = image::load_from_memory(&folder.read("3_a.png")).unwrap().to_rgb8();
    // WebP is written without loss here; JPEG is not.
    for (name, format, tolerance) in [
        ("webp.webp", ImageFormat::WebP, 0.0),
        ("png.png", ImageFormat::Png, 0.0),
        ("jpeg.jpg", ImageFormat::Jpeg, 0.3),
    ] {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        folder.write(name, bytes.into_inner());
        let stem = name.split('.').next().unwrap();
        folder.lrp(&format!("{EXPLAIN} -i {name} 3_a.png -o {stem} --target 3")).silent();
        let [got, expected] = [(stem, stem), (stem, "3_a")]
            .map(|(dir, stem)| relevance(&folder, &format!("{dir}/{stem}.relevance.npy")).mapv(f64::from));
        let difference = lrp_tests::relative_l2(&got.into_dyn(), &expected.into_dyn());
        assert!(difference <= tolerance, "{name}: {difference}");
    }
}

// ---- time series and texts ----

#[test]
fn a_table_gives_what_its_array_gives_and_is_drawn_as_curves() {
    let folder = network("ecg.ts.onnx", "ecg");
    let x: ArrayD<f32> = read_npy(folder.path("x.npy")).unwrap();
    let first: Array2<f32> = x.index_axis(Axis(0), 0).to_owned().into_dimensionality().unwrap();
    let mut table = (0..12).map(|lead| format!("lead {lead}")).collect::<Vec<_>>().join(",") + "\n";
    for step in first.columns() {
        table += &(step.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n");
    }
    folder.write("ecg.csv", &table);
    folder.lrp("explain -m model.onnx -r lrp-0 -i ecg.csv x.npy -o out").ok();
    let [of_table, of_array] =
        ["ecg", "x"].map(|stem| read_npy::<_, ArrayD<f32>>(folder.path(format!("out/{stem}.relevance.npy"))).unwrap());
    assert_eq!(of_table.shape(), [1, 12, 128]);
    assert_eq!(of_table, of_array.slice_axis(Axis(0), Slice::from(0..1)));
    let image = picture(&folder, "out/ecg.heatmap.png");
    assert_eq!(image, picture(&folder, "out/x.0.heatmap.png"));
    // Twelve curves, each a dark line in colours of both signs.
    assert!(image.width() > 700 && image.height() > 12 * 88);
    let curves = image::imageops::crop_imm(&image, 110, 0, 700, 12 * 100).to_image();
    for (what, pixels) in [
        ("dark", count(&curves, |[r, g, b]| r.max(g).max(b) < 90)),
        ("red", count(&curves, |[r, g, b]| r > 200 && g < 120 && b < 120)),
        ("blue", count(&curves, |[r, g, b]| b > 200 && g < 120 && r < 120)),
    ] {
        assert!(pixels > 100, "{what}: {pixels}");
    }
    // As an image, if that is wanted.
    folder.lrp("explain -m model.onnx -r lrp-epsilon -i x.npy -o image --kind image --size 1x").ok();
    assert_eq!(picture(&folder, "image/x.0.heatmap.png").dimensions(), (128, 12));

    let lines: Vec<&str> = table.lines().collect();
    for (name, text, message) in [
        (
            "short.csv",
            lines[..100].join("\n"),
            "has 99 rows and 12 columns, the model expects 128 time steps of 12 channels",
        ),
        ("word.csv", table.replacen("\n", "\nx,", 1), "line 2, column 1: 'x' is no number"),
    ] {
        folder.write(name, text);
        let run = folder.lrp(&format!("explain -m model.onnx -r lrp-epsilon -i {name} -o bad"));
        let said = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(run.code == Some(2) && (said.contains(message) || said.contains("found record with")), "{run}");
    }
}

#[test]
fn tokens_are_drawn_on_their_relevance() {
    let folder = network("lstm.ts.onnx", "lstm");
    folder.write("tokens.txt", "the\nfilm\nwas\nnot\n<b>\nat\nall\nbad\n\nI\nliked\nit\n");
    folder.lrp("explain -m model.onnx -r lrp-epsilon -i x.npy -o out --tokens tokens.txt").ok();
    let r: ArrayD<f32> = read_npy(folder.path("out/x.relevance.npy")).unwrap();
    assert_eq!(r.shape(), [2, 8, 6]);
    let scores = r.index_axis(Axis(0), 0).sum_axis(Axis(1));
    let html = String::from_utf8(folder.read("out/x.0.heatmap.html")).unwrap();
    let spans: Vec<&str> = html.lines().filter(|line| line.starts_with("<span")).collect();
    assert_eq!(spans.len(), 8);
    assert!(spans[4].contains(">&#60;b&#62;</span>"));
    let largest = (0..8).max_by(|a, b| scores[[*a]].abs().total_cmp(&scores[[*b]].abs())).unwrap();
    let color = if scores[[largest]] > 0.0 { "background: #ff0000" } else { "background: #0000ff" };
    let opaque: Vec<bool> = spans.iter().map(|span| span.contains(color)).collect();
    assert_eq!(opaque, (0..8).map(|i| i == largest).collect::<Vec<_>>(), "{html}");
    assert!(count(&picture(&folder, "out/x.0.heatmap.png"), |pixel| pixel == [255, 255, 255]) > 10_000);
    folder.lrp("explain -m model.onnx -r lrp-epsilon -i x.npy -o svg --tokens tokens.txt --save svg").ok();
    assert_eq!(folder.list("svg"), ["x.0.heatmap.html", "x.0.heatmap.svg", "x.1.heatmap.html", "x.1.heatmap.svg"]);
    assert_eq!(folder.read("svg/x.0.heatmap.html"), folder.read("out/x.0.heatmap.html"));
    assert!(String::from_utf8(folder.read("svg/x.0.heatmap.svg")).unwrap().contains(">&#60;b&#62;</text>"));
    // The second sample has three tokens; the rest of it is padding.
    assert!(String::from_utf8(folder.read("out/x.1.heatmap.html")).unwrap().contains(", padding "));

    // The recipe can say it, relative to itself.
    let recipe = "schema = 1\nextends = 'lrp-epsilon'\n[input]\ntokens = 'tokens.txt'\n";
    folder.write("text/recipe.toml", recipe);
    folder.write("text/tokens.txt", "a\nb\n\nc\n");
    folder.lrp("explain -m model.onnx -r text/recipe.toml -i x.npy -o again").ok();
    assert!(String::from_utf8(folder.read("again/x.0.heatmap.html")).unwrap().contains(">a</span>"));

    folder.write("one.txt", "a\nb\n");
    let run = folder.lrp("explain -m model.onnx -r lrp-epsilon -i x.npy -o bad --tokens one.txt");
    assert!(run.complaint().contains("'one.txt' has the tokens of 1 samples, and none for sample 1"), "{run}");
    folder.write("long.json", "[[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"],[]]");
    let run = folder.lrp("explain -m model.onnx -r lrp-epsilon -i x.npy -o bad --tokens long.json");
    assert!(run.complaint().contains("sample 0 has 9 tokens, and the model expects 8"), "{run}");
}

// ---- archives and other programs ----

#[test]
fn archives_have_relevance_classes_and_scores() {
    for precision in ["f32", "f64"] {
        let folder = digit();
        let run = |out: &str, save: &str| {
            folder.lrp(&format!("{EXPLAIN} -i digits.npy -o {out} --save {save} --precision {precision}")).silent();
        };
        run("npy", "npy,json");
        run("out", "npz,safetensors,json");
        assert_eq!(folder.list("out"), ["digits.relevance.npz", "digits.relevance.safetensors", "manifest.json"]);
        let manifest = manifest(&folder, "out");
        let names = serde_json::json!(["digits.relevance.npz", "digits.relevance.safetensors"]);
        assert_eq!(manifest["inputs"][0]["exports"], names);
        let samples = manifest["inputs"][0]["samples"].as_array().unwrap();
        let classes: Vec<i64> = samples.iter().map(|s| s["targets"][0]["class"].as_i64().unwrap()).collect();
        let scores: Vec<f64> = samples.iter().map(|s| s["targets"][0]["score"].as_f64().unwrap()).collect();

        let mut npz = NpzReader::new(std::fs::File::open(folder.path("out/digits.relevance.npz")).unwrap()).unwrap();
        let file = folder.read("out/digits.relevance.safetensors");
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let tensor = tensors.tensor("relevance").unwrap();
        assert_eq!(tensor.shape(), [16, 1, 28, 28]);
        // The numbers of all three are the same bytes.
        let npy = folder.read("npy/digits.relevance.npy");
        assert_eq!(tensor.data(), &npy[npy.len() - tensor.data().len()..]);
        match precision {
            "f32" => assert_eq!(
                npz.by_name::<_, _>("relevance").ok(),
                read_npy::<_, Array4<f32>>(folder.path("npy/digits.relevance.npy")).ok()
            ),
            _ => assert_eq!(
                npz.by_name::<_, _>("relevance").ok(),
                read_npy::<_, Array4<f64>>(folder.path("npy/digits.relevance.npy")).ok()
            ),
        }
        assert_eq!(npz.by_name::<_, _>("classes").ok(), Some(Array1::from(classes.clone())));
        assert_eq!(npz.by_name::<_, _>("scores").ok(), Some(Array1::from(scores.clone())));
        let bytes = |of: &[i64]| of.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        assert_eq!(tensors.tensor("classes").unwrap().data(), bytes(&classes));
        let bytes = |of: &[f64]| of.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        assert_eq!(tensors.tensor("scores").unwrap().data(), bytes(&scores));
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let facts: HashMap<String, String> = header.metadata().clone().unwrap();
        assert_eq!(facts["model_sha256"], manifest["model"]["sha256"].as_str().unwrap());
        assert_eq!(facts["recipe_sha256"], manifest["recipe"]["sources"][0]["sha256"].as_str().unwrap());
        assert_eq!((facts["target"].as_str(), facts["start"].as_str()), ("\"argmax\"", "logit"));

        // Whenever it is made, it is the same.
        run("again", "npz,safetensors");
        for name in ["digits.relevance.npz", "digits.relevance.safetensors"] {
            assert!(folder.read(&format!("again/{name}")) == folder.read(&format!("out/{name}")), "{name}");
        }
    }
}

#[test]
fn targets_have_an_axis_in_archives_too() {
    let folder = digit();
    folder.lrp(&format!("{EXPLAIN} -i digits.npy -o out --save npz --target '{{ top = 2 }}'")).silent();
    let mut npz = NpzReader::new(std::fs::File::open(folder.path("out/digits.relevance.npz")).unwrap()).unwrap();
    assert_eq!(
        npz.by_name::<ndarray::OwnedRepr<f32>, ndarray::IxDyn>("relevance").unwrap().shape(),
        [2, 16, 1, 28, 28]
    );
    let classes: Array2<i64> = npz.by_name("classes").unwrap();
    assert_eq!(classes.row(0).to_vec(), (0..16).map(|i| i % 10).collect::<Vec<_>>());
    let scores: Array2<f64> = npz.by_name("scores").unwrap();
    assert!(scores.row(0).iter().zip(scores.row(1)).all(|(first, second)| first > second));
}

#[test]
fn quantus_and_virelay_get_all_inputs() {
    let folder = digit();
    folder.lrp(&format!("{EXPLAIN} -i digits.npy 3_a.png -o out --save npy,json,quantus,virelay")).silent();
    let [of_array, of_image] = ["digits", "3_a"].map(|stem| relevance(&folder, &format!("out/{stem}.relevance.npy")));
    let all = ndarray::concatenate(Axis(0), &[of_array.view(), of_image.view()]).unwrap();

    let mut npz = NpzReader::new(std::fs::File::open(folder.path("out/quantus.npz")).unwrap()).unwrap();
    let [x, a]: [Array4<f32>; 2] = ["x_batch", "a_batch"].map(|name| npz.by_name(name).unwrap());
    let y: Array1<i64> = npz.by_name("y_batch").unwrap();
    assert_eq!(a, all);
    assert_eq!(
        x.slice_axis(Axis(0), Slice::from(0..16)),
        read_npy::<_, Array4<f32>>(folder.path("digits.npy")).unwrap()
    );
    assert_eq!(y.to_vec(), (0..16).map(|i| i % 10).chain([3]).collect::<Vec<_>>());

    let file = hdf5_pure::File::open(folder.path("out/virelay/attribution.h5")).unwrap();
    let attribution = file.dataset("attribution").unwrap();
    assert_eq!(attribution.shape().unwrap(), [17, 1, 28, 28]);
    assert_eq!(attribution.read_f32().unwrap(), all.iter().copied().collect::<Vec<_>>());
    assert_eq!(file.dataset("prediction").unwrap().shape().unwrap(), [17, 10]);
    let project = String::from_utf8(folder.read("out/virelay/project.yaml")).unwrap();
    assert!(project.contains("path: dataset.h5") && project.contains("      - attribution.h5"), "{project}");
    let files = ["attribution.h5", "dataset.h5", "label-map.json", "project.yaml"];
    assert_eq!(folder.list("out/virelay"), files);
    let exports = &manifest(&folder, "out")["exports"];
    assert_eq!(exports.as_array().unwrap().len(), 5, "{exports}");

    for (save, message) in [
        ("quantus --target all", "quantus takes one target for each sample, and there are 10"),
        ("virelay --target '{ top = 2 }'", "virelay takes one target for each sample, and there are 2"),
    ] {
        assert!(folder.lrp(&format!("{EXPLAIN} -i 3_a.png -o bad --save {save}")).complaint().contains(message));
    }
}
