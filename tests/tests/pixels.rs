//! From the pixels of an image file to the numbers that a model gets, end to end, and the warnings where that is not said or does not fit.
//!
//! The models are one sum over a constant of ones, or one number per class, so that LRP-0's relevance is what was fed, times a weight.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageEncoder, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use lrp_core::Tensor;
use lrp_tests::program::{Folder, Run, repository};
use ndarray::ArrayD;
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

/// A number as protobuf writes it.
fn number(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7F {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A protobuf field with a length.
fn field(key: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![key << 3 | 2], number(bytes.len()), bytes.to_vec()].concat()
}

fn varint(key: u8, value: usize) -> Vec<u8> {
    [vec![key << 3], number(value)].concat()
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = shape.iter().flat_map(|&axis| varint(1, axis)).collect();
    bytes.extend(varint(2, 1));
    bytes.extend(field(8, name.as_bytes()));
    bytes.extend(field(9, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()));
    bytes
}

fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
    bytes.extend(field(2, output.as_bytes()));
    bytes.extend(field(3, output.as_bytes()));
    bytes.extend(field(4, op.as_bytes()));
    bytes
}

fn value(name: &str, shape: &[usize]) -> Vec<u8> {
    let axes: Vec<u8> = shape.iter().flat_map(|&axis| field(1, &varint(1, axis))).collect();
    let kind = [varint(1, 1), field(2, &axes)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &kind))].concat()
}

/// A model of an input `[1, channels, side, side]`: a 1×1 convolution that keeps each channel, behind or before it perhaps a batch norm
/// with this mean and variance, and a flattening.
fn model(channels: usize, side: usize, batch_norm: Option<(f32, f32, bool)>) -> Vec<u8> {
    let n = channels;
    let identity: Vec<f32> = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let mut graph = Vec::new();
    let mut x = "x";
    let norm_of = |input: &str| {
        let list = [input, "one", "zero", "mean", "variance"];
        node("BatchNormalization", &list, "norm")
    };
    if let Some((_, _, true)) = batch_norm {
        graph.extend(field(1, &norm_of("x")));
        x = "norm";
    }
    graph.extend(field(1, &node("Conv", &[x, "w"], "conv")));
    let mut last = "conv";
    if let Some((_, _, false)) = batch_norm {
        graph.extend(field(1, &norm_of("conv")));
        last = "norm";
    }
    graph.extend(field(1, &node("Flatten", &[last], "y")));
    graph.extend(field(2, b"pixels"));
    graph.extend(field(5, &tensor("w", &[channels, channels, 1, 1], &identity)));
    if let Some((mean, variance, _)) = batch_norm {
        for (name, value) in [("one", 1.0), ("zero", 0.0), ("mean", mean), ("variance", variance)] {
            graph.extend(field(5, &tensor(name, &[channels], &vec![value; n])));
        }
    }
    graph.extend(field(11, &value("x", &[1, channels, side, side])));
    graph.extend(field(12, &value("y", &[1, channels * side * side])));
    let opset = [field(1, b""), varint(2, 17)].concat();
    [varint(1, 8), field(7, &graph), field(8, &opset)].concat()
}

/// A folder with a model that keeps `channels` channels of `side`×`side` pixels, and what is fed to it, read off from its outputs.
struct Probe {
    folder: Folder,
    channels: usize,
    side: usize,
}

impl Probe {
    fn new(channels: usize, side: usize) -> Self {
        let folder = Folder::new();
        folder.write("m.onnx", model(channels, side, None));
        Self { folder, channels, side }
    }

    fn lrp(&self, recipe: &str, file: &str, flags: &str) -> Run {
        self.folder.write("r.toml", format!("schema = 1\n{recipe}\n[[assign]]\nrule = \"zero\"\n"));
        let target = "--target all --start one --precision f64 --save npy,json";
        let run = self.folder.lrp(&format!("explain -m m.onnx -r r.toml -i {file} -o out {target} {flags} --force"));
        // Of a pixel that is 0, LRP-0 makes nothing, and a mean that is subtracted can be more than the pixel: such shares are warned about.
        let others = run.stderr.lines().filter(|line| !line.contains(" % of the relevance of "));
        let stderr: String = others.map(|line| format!("{line}\n")).collect();
        Run { stderr, ..run }
    }

    /// What the model gets in each channel at a pixel: the score of each output.
    fn fed(&self, pixel: usize) -> Vec<f64> {
        let manifest = self.manifest();
        let targets = manifest["inputs"][0]["samples"][0]["targets"].as_array().unwrap();
        let plane = self.side * self.side;
        (0..self.channels).map(|c| targets[c * plane + pixel]["score"].as_f64().unwrap()).collect()
    }

    fn manifest(&self) -> Value {
        serde_json::from_slice(&self.folder.read("out/manifest.json")).unwrap()
    }

    fn conversions(&self) -> Vec<String> {
        let manifest = self.manifest();
        let list = manifest["inputs"][0]["conversions"].as_array().cloned().unwrap_or_default();
        list.iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    }

    fn notes(&self) -> String {
        self.manifest()["notes"].to_string()
    }
}

fn png(folder: &Folder, name: &str, image: impl Into<DynamicImage>) {
    image.into().save(folder.path(name)).unwrap();
}

/// EXIF data that say nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut data = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    data.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    data
}

#[test]
fn mean_and_std_are_in_the_units_of_the_range() {
    let probe = Probe::new(3, 2);
    png(&probe.folder, "a.png", RgbImage::from_pixel(2, 2, Rgb([10, 128, 255])));
    let caffe = "[input]\nrange = [0, 255]\nmean = [123.68, 116.779, 103.939]";
    probe.lrp(caffe, "a.png", "").silent();
    assert_eq!(probe.fed(0), [10.0 - 123.68, 128.0 - 116.779, 255.0 - 103.939]);
    probe.lrp("[input]\nrange = [-1, 1]", "a.png", "").silent();
    assert_eq!(probe.fed(1), [-1.0 + 20.0 / 255.0, -1.0 + 256.0 / 255.0, 1.0]);
    probe.lrp("[input]\nrange = [0, 1]\nmean = 0.5\nstd = 0.25", "a.png", "").silent();
    assert_eq!(probe.fed(2), [10.0, 128.0, 255.0].map(|v| (v / 255.0 - 0.5) / 0.25));
    probe.lrp("[input]\nrange = [[0, 1], [0, 255], [-1, 1]]", "a.png", "").silent();
    assert_eq!(probe.fed(3), [10.0 / 255.0, 128.0, 1.0]);
}

#[test]
fn flags_and_presets_override_the_recipe() {
    let probe = Probe::new(3, 2);
    png(&probe.folder, "a.png", RgbImage::from_pixel(2, 2, Rgb([10, 128, 255])));
    let recipe = "[input]\nrange = [0, 1]\nmean = [0.1, 0.2, 0.3]\nstd = 9";
    probe.lrp(recipe, "a.png", "--input-preset keras-caffe").silent();
    assert_eq!(probe.fed(0), [255.0 - 103.939, 128.0 - 116.779, 10.0 - 123.68]);
    let expects = &probe.manifest()["expects"];
    assert_eq!((&expects["channels"], &expects["range"][0][1]), (&"bgr".into(), &255.0.into()));
    probe.lrp(recipe, "a.png", "--input-preset keras-tf").silent();
    assert_eq!(probe.fed(0), [-1.0 + 20.0 / 255.0, -1.0 + 256.0 / 255.0, 1.0]);
    probe.lrp("", "a.png", "--input-preset imagenet --mean 0 --channels bgr").silent();
    let fed = probe.fed(0);
    let expected = [1.0 / 0.229, 128.0 / 255.0 / 0.224, 10.0 / 255.0 / 0.225];
    assert!(fed.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{fed:?}");
    probe.lrp("", "a.png", "--range -1,1 --mean -0.5 --std 2").silent();
    assert_eq!(probe.fed(0)[2], 0.75);
    for (flags, why) in [
        ("--range 1,0", "LOW below HIGH"),
        ("--range 0,1,2", "LOW below HIGH"),
        ("--mean nan", "expected a number"),
        ("--std 0", "greater than 0"),
        ("--channels cmyk", "rgb, bgr or grey"),
        ("--input-preset caffe", "imagenet, keras-caffe, keras-tf or mnist"),
        ("--mean 1,2,3 --std 1,2", "`mean` is for 3 channels and `std` for 2"),
        ("--mean 1,2", "mean is for 2 channels, the model's input has 3"),
    ] {
        let run = probe.lrp("", "a.png", flags);
        assert!(run.code == Some(2) && run.stderr.contains(why), "{flags}: {run}");
    }
}

#[test]
fn what_was_assumed_of_pixels_is_said_once() {
    let probe = Probe::new(3, 2);
    png(&probe.folder, "a.png", RgbImage::from_pixel(2, 2, Rgb([51; 3])));
    png(&probe.folder, "b.png", RgbImage::new(2, 2));
    let run = probe.lrp("", "a.png b.png", "");
    assert_eq!(run.stderr.matches("the pixel scaling of the model is not given").count(), 1, "{run}");
    assert!(run.stderr.contains("--input-preset imagenet"), "{run}");
    assert!(probe.notes().contains("the pixel scaling of the model is not given"));
    assert_eq!(probe.fed(0), [0.2; 3]);
    let check = probe.folder.lrp("check -m m.onnx -r r.toml -i a.png");
    assert!(check.stdout.contains("the pixel scaling of the model is not given"), "{check}");
    // An array has no pixels, and a model that begins with a batch norm scales them itself.
    write_npy(probe.folder.path("a.npy"), &Tensor::<f32>::zeros(vec![1, 3, 2, 2])).unwrap();
    probe.lrp("", "a.npy", "").silent();
    probe.folder.write("m.onnx", model(3, 2, Some((0.2, 1.0, true))));
    probe.lrp("", "a.png", "").silent();
}

#[test]
fn images_are_turned_as_their_exif_data_say() {
    // The bright half is where it is seen: EXIF 6 turns the stored picture by 90° to the right, so what is stored left is seen above.
    let stored = GrayImage::from_fn(16, 16, |x, _| Luma([if x < 8 { 255 } else { 0 }]));
    for (orientation, name, bright) in [
        (1, None, [0, 16 * 15]),
        (3, Some("exif rotation 180"), [15, 16 * 16 - 1]),
        (6, Some("exif rotation 90"), [0, 15]),
        (8, Some("exif rotation 270"), [16 * 15, 16 * 16 - 1]),
    ] {
        let (mut jpeg, mut png) = (Vec::new(), Vec::new());
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.encode_image(&stored).unwrap();
        let mut encoder = PngEncoder::new(Cursor::new(&mut png));
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.write_image(&stored, 16, 16, image::ExtendedColorType::L8).unwrap();
        for (file, bytes) in [("a.jpg", jpeg), ("a.png", png)] {
            let probe = Probe::new(1, 16);
            probe.folder.write(file, bytes);
            probe.lrp("[input]\nrange = [0, 1]", file, "").silent();
            assert_eq!(probe.conversions().first().map(String::as_str), name, "{file}, {orientation}");
            for pixel in bright {
                assert!(probe.fed(pixel)[0] > 0.9, "{file}, {orientation}: {pixel}");
            }
        }
    }
}

#[test]
fn sixteen_bits_alpha_palettes_and_cmyk() {
    let probe = Probe::new(3, 16);
    let folder = &probe.folder;
    let range = "[input]\nrange = [0, 1]";
    png(folder, "deep.png", ImageBuffer::from_pixel(16, 16, Rgb([1_u16, 32768, 65535])));
    probe.lrp(range, "deep.png", "").silent();
    assert_eq!(probe.fed(0), [1.0, 32768.0, 65535.0].map(|v| v / 65535.0));
    png(folder, "solid.png", RgbaImage::from_pixel(16, 16, Rgba([255, 51, 0, 255])));
    probe.lrp(range, "solid.png", "").silent();
    assert_eq!((probe.fed(0), probe.conversions()), (vec![1.0, 0.2, 0.0], vec![]));
    png(folder, "clear.png", RgbaImage::from_pixel(16, 16, Rgba([255, 255, 0, 51])));
    let run = probe.lrp(range, "clear.png", "");
    assert!(run.stderr.contains("'clear.png' has transparent pixels: it is laid over black"), "{run}");
    assert_eq!((probe.fed(0), probe.conversions().len()), (vec![0.2, 0.2, 0.0], 1));
    png(folder, "grey.png", GrayImage::from_pixel(16, 16, Luma([51])));
    probe.lrp(range, "grey.png", "").silent();
    assert_eq!((probe.fed(0), probe.conversions()), (vec![0.2; 3], vec!["grey to three channels".to_owned()]));
    for file in ["palette.png", "cmyk.jpg"] {
        folder.write(file, std::fs::read(repository().join("tests/cases").join(file)).unwrap());
    }
    probe.lrp(range, "palette.png", "").silent();
    assert_eq!(
        (probe.fed(0), probe.fed(1)),
        (vec![10.0 / 255.0, 20.0 / 255.0, 30.0 / 255.0], vec![200.0 / 255.0, 100.0 / 255.0, 50.0 / 255.0])
    );
    probe.lrp(range, "cmyk.jpg", "").silent();
    // As Pillow reads it: (225, 49, 49), up to the rounding of JPEG.
    let fed = probe.fed(0);
    assert!(fed.iter().zip([225.0, 49.0, 49.0]).all(|(a, b)| (255.0 * a - b).abs() < 4.0), "{fed:?}");
    assert_eq!(probe.conversions(), ["CMYK to RGB"]);
}

#[test]
fn colours_become_grey_with_a_word() {
    let probe = Probe::new(1, 2);
    let range = "[input]\nrange = [0, 255]";
    png(&probe.folder, "a.png", RgbImage::from_pixel(2, 2, Rgb([10, 20, 30])));
    let run = probe.lrp(range, "a.png", "");
    assert!(run.stderr.contains("'a.png' has colours, and the model has one channel"), "{run}");
    assert!((probe.fed(0)[0] - 18.15).abs() < 0.01, "{:?}", probe.fed(0));
    assert_eq!(probe.conversions(), ["colours to grey"]);
    probe.lrp(range, "a.png", "--channels grey").silent();
    probe.lrp(&format!("{range}\nchannels = \"grey\""), "a.png", "").silent();
    png(&probe.folder, "same.png", RgbImage::from_pixel(2, 2, Rgb([40; 3])));
    probe.lrp(range, "same.png", "").silent();
    assert_eq!((probe.fed(0), probe.conversions()), (vec![40.0], vec![]));
    let run = probe.lrp(range, "a.png", "--channels bgr");
    assert!(run.code == Some(2) && run.stderr.contains("the model's input has one channel"), "{run}");
}

#[test]
fn values_that_leave_the_bounds_are_warned_about() {
    let probe = Probe::new(3, 4);
    let array = |value: f32| {
        let array = Tensor::from_shape_fn(vec![2, 3, 4, 4], |i| if i[1] == 2 { value } else { 0.5 });
        write_npy(probe.folder.path("a.npy"), &array).unwrap();
    };
    array(255.0);
    let run = probe.lrp("[input]\nrange = [0, 1]", "a.npy", "");
    assert!(
        run.stderr.contains("of the input's values leave the bounds that [input] gives them: channel 2 has 255"),
        "{run}"
    );
    assert_eq!(run.stderr.lines().count(), 1, "{run}");
    assert!(probe.notes().contains("leave the bounds"));
    let check = probe.folder.lrp("check -m m.onnx -r r.toml -i a.npy --target 0 --deny-warnings");
    assert!(check.code == Some(1) && check.stdout.contains("leave the bounds"), "{check}");
    probe.lrp("[input]\nrange = [0, 1]", "a.npy", "--range 0,255").silent();
    array(1.0);
    probe.lrp("[input]\nrange = [0, 1]", "a.npy", "").silent();
    // z-box with bounds of its own, of pixels that are normalised otherwise.
    probe.folder.write(
        "box.toml",
        "schema = 1\n[input]\nrange = [0, 255]\n[[assign]]\nrule = \"zero\"\n[[assign]]\nlayers = \"first\"\nrule = { type = \"z-box\", low = 0, high = 1 }\n",
    );
    png(&probe.folder, "a.png", RgbImage::from_pixel(4, 4, Rgb([200; 3])));
    let run = probe.folder.lrp("explain -m m.onnx -r box.toml -i a.png -o box --target 0 --save npy,json");
    assert!(run.stderr.contains("are not in the box of z-box at"), "{run}");
}

#[test]
fn the_first_batch_norm_tells_what_the_input_should_be() {
    for first in [true, false] {
        let probe = Probe::new(3, 4);
        probe.folder.write("m.onnx", model(3, 4, Some((0.5, 0.04, first))));
        png(&probe.folder, "a.png", RgbImage::from_pixel(4, 4, Rgb([200; 3])));
        probe.lrp("[input]\nrange = [0, 1]", "a.png", "").silent();
        let run = probe.lrp("[input]\nrange = [0, 255]", "a.png", "");
        assert!(run.stderr.contains("is more than 6 standard deviations from its mean in training"), "{first}: {run}");
        assert!(probe.notes().contains("standard deviations"), "{first}");
        let check = probe.folder.lrp("check -m m.onnx -r r.toml -i a.png --target 0");
        assert!(check.stdout.contains("standard deviations from its mean in training"), "{first}: {check}");
    }
}

#[test]
fn half_precision_is_read_and_other_types_are_named() {
    let probe = Probe::new(1, 2);
    let npy = |descr: &str, bytes: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 1, 2, 2), }}");
        let header = format!("{header:<117}\n");
        [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), bytes].concat()
    };
    probe.folder.write("half.npy", npy("<f2", &[0x00, 0x3C, 0x00, 0xC0, 0x55, 0x35, 0x00, 0x00]));
    probe.lrp("", "half.npy", "").silent();
    let fed: Vec<f64> = (0..4).map(|pixel| probe.fed(pixel)[0]).collect();
    assert_eq!(fed, [1.0, -2.0, 0.333_251_953_125, 0.0]);
    probe.folder.write("complex.npy", npy("<c8", &[0; 32]));
    let run = probe.lrp("", "complex.npy", "");
    assert!(run.code == Some(2) && run.stderr.contains("as float16, float32, float64 or integers"), "{run}");
}

#[test]
fn a_run_with_another_scale_is_another_run() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let run =
        |flags: &str| folder.lrp(&format!("explain -m cnn.onnx -r lrp-epsilon -i nine.png -o out --save npy {flags}"));
    run("--range 0,1").silent();
    let relevance: ArrayD<f32> = read_npy(folder.path("out/nine.relevance.npy")).unwrap();
    run("--range -1,1").silent();
    let other: ArrayD<f32> = read_npy(folder.path("out/nine.relevance.npy")).unwrap();
    assert_ne!(relevance, other);
    // z-box takes its bounds from flags, too.
    folder.lrp("explain -m cnn.onnx -r epsilon-gamma-box -i nine.png -o box --input-preset mnist").silent();
}
