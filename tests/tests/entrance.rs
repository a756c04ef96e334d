//! Normalisation inside the model: a picture gets the map that it gets when it is normalised before, whoever exported the model and
//! however the scaling is written.

use std::path::PathBuf;
use std::sync::Arc;

use lrp_config::{Recipe, presets};
use lrp_core::{Model, Plan, Scalar, Start, Target};
use lrp_tests::program::{Folder, repository};
use lrp_tests::{Random, relative_l2};
use ndarray::{ArrayD, Axis};
use ndarray_npy::{read_npy, write_npy};

use self::file::Net;

/// ONNX files in the making, by the protobuf encoding of what is needed here.
mod file {
    use ndarray::ArrayD;

    /// A graph with the input `x`.
    pub struct Net {
        shape: Vec<usize>,
        nodes: Vec<u8>,
        count: usize,
        constants: Vec<u8>,
        constant_count: usize,
        last: String,
    }

    pub enum Attr<'a> {
        Int(i64),
        Ints(&'a [i64]),
        Float(f32),
    }

    fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn number(field: u64, value: i64, out: &mut Vec<u8>) {
        varint(field << 3, out);
        varint(value as u64, out);
    }

    fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
        varint(field << 3 | 2, out);
        varint(value.len() as u64, out);
        out.extend(value);
    }

    fn message(field: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = Vec::new();
        write(&mut inner);
        bytes(field, &inner, out);
    }

    impl Net {
        pub fn new(shape: &[usize]) -> Self {
            let (shape, last) = (shape.to_vec(), "x".to_owned());
            Self { shape, nodes: Vec::new(), count: 0, constants: Vec::new(), constant_count: 0, last }
        }

        fn constant(&mut self, dims: &[usize], data_type: i64, raw: &[u8]) -> String {
            let name = format!("c{}", self.constant_count);
            self.constant_count += 1;
            message(5, &mut self.constants, |tensor| {
                dims.iter().for_each(|&d| number(1, d as i64, tensor));
                number(2, data_type, tensor);
                bytes(8, name.as_bytes(), tensor);
                bytes(9, raw, tensor);
            });
            name
        }

        /// A constant in double precision, so that the test's own arithmetic sees the same numbers.
        pub fn floats(&mut self, values: &ArrayD<f64>) -> String {
            let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.constant(values.shape(), 11, &raw)
        }

        pub fn ints(&mut self, values: &[i64]) -> String {
            let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.constant(&[values.len()], 7, &raw)
        }

        /// Adds a node of several outputs and returns their names.
        pub fn split(
            &mut self,
            op: &str,
            inputs: &[&str],
            attributes: &[(&str, Attr<'_>)],
            outputs: usize,
        ) -> Vec<String> {
            let name = format!("{}{}", op.to_lowercase(), self.count);
            self.count += 1;
            let outputs: Vec<String> = (0..outputs).map(|i| format!("{name}:{i}")).collect();
            message(1, &mut self.nodes, |node| {
                inputs.iter().for_each(|input| bytes(1, input.as_bytes(), node));
                outputs.iter().for_each(|output| bytes(2, output.as_bytes(), node));
                bytes(3, name.as_bytes(), node);
                bytes(4, op.as_bytes(), node);
                for (name, value) in attributes {
                    message(5, node, |attribute| {
                        bytes(1, name.as_bytes(), attribute);
                        let kind = match value {
                            Attr::Float(v) => {
                                varint(2 << 3 | 5, attribute);
                                attribute.extend(v.to_le_bytes());
                                1
                            }
                            Attr::Int(v) => {
                                number(3, *v, attribute);
                                2
                            }
                            Attr::Ints(list) => {
                                list.iter().for_each(|v| number(8, *v, attribute));
                                7
                            }
                        };
                        number(20, kind, attribute);
                    });
                }
            });
            self.last.clone_from(&outputs[0]);
            outputs
        }

        /// Adds a node and returns the name of its output.
        pub fn op(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attr<'_>)]) -> String {
            self.split(op, inputs, attributes, 1).remove(0)
        }

        /// The file, which explains what the last node gives.
        pub fn bytes(&self) -> Vec<u8> {
            let value = |name: &str, shape: Option<&[usize]>, out: &mut Vec<u8>| {
                bytes(1, name.as_bytes(), out);
                let Some(shape) = shape else { return };
                message(2, out, |kind| {
                    message(1, kind, |tensor| {
                        number(1, 1, tensor);
                        message(2, tensor, |dims| {
                            message(1, dims, |batch| bytes(2, b"N", batch));
                            shape.iter().for_each(|&d| message(1, dims, |dim| number(1, d as i64, dim)));
                        });
                    });
                });
            };
            let mut model = Vec::new();
            number(1, 8, &mut model);
            message(7, &mut model, |graph| {
                graph.extend(&self.nodes);
                bytes(2, b"net", graph);
                graph.extend(&self.constants);
                message(11, graph, |input| value("x", Some(&self.shape), input));
                message(12, graph, |output| value(&self.last, None, output));
            });
            message(8, &mut model, |opset| {
                bytes(1, b"", opset);
                number(2, 17, opset);
            });
            model
        }
    }
}

use file::Attr;

const SIDE: usize = 8;

/// A way to write a normalisation, in front of a network for `[3, SIDE, SIDE]`.
struct Entrance {
    name: &'static str,
    /// The sample shape of the input, and which of its axes has the channels.
    shape: [usize; 3],
    channels: usize,
    /// What pixels range up to.
    top: f64,
    /// Factor and summand for each element of the input, from random numbers of `[3]` and those of `[SIDE]`.
    map: fn(&[ArrayD<f64>; 3]) -> [ArrayD<f64>; 2],
    /// Writes it down; or, where `scaled` is not set, only what moves elements.
    write: fn(&mut Net, scaled: bool, &[ArrayD<f64>; 3]) -> String,
}

const FIRST: [usize; 3] = [3, SIDE, SIDE];
const LAST: [usize; 3] = [SIDE, SIDE, 3];

/// One number for each channel, as a tensor of the shape `[3, 1, 1]`.
fn column(values: &ArrayD<f64>) -> ArrayD<f64> {
    values.to_shape(vec![3, 1, 1]).unwrap().to_owned()
}

fn number(value: f64) -> ArrayD<f64> {
    ArrayD::from_elem(vec![], value)
}

/// `(x − μ) / σ`
fn standard([mean, std, _]: &[ArrayD<f64>; 3]) -> [ArrayD<f64>; 2] {
    [column(&std.mapv(f64::recip)), column(&(-(mean / std)))]
}

fn reversed(values: &ArrayD<f64>) -> ArrayD<f64> {
    let mut reversed = values.clone();
    reversed.invert_axis(Axis(0));
    reversed.as_standard_layout().into_owned()
}

/// `x ∘ c`, where scales are written.
fn apply(net: &mut Net, scaled: bool, op: &str, x: &str, constant: &ArrayD<f64>) -> String {
    if !scaled {
        return x.to_owned();
    }
    let constant = net.floats(constant);
    net.op(op, &[x, &constant], &[])
}

fn transposed(net: &mut Net, x: &str) -> String {
    net.op("Transpose", &[x], &[("perm", Attr::Ints(&[0, 3, 1, 2]))])
}

const ENTRANCES: [Entrance; 14] = [
    Entrance {
        name: "Sub, Div",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: standard,
        write: |net, scaled, [mean, std, _]| {
            let x = apply(net, scaled, "Sub", "x", &column(mean));
            apply(net, scaled, "Div", &x, &column(std).insert_axis(Axis(0)))
        },
    },
    Entrance {
        name: "Mul, Add",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: |[mean, std, _]| [column(std), column(mean)],
        write: |net, scaled, [mean, std, _]| {
            let x = apply(net, scaled, "Mul", "x", &column(std));
            apply(net, scaled, "Add", &x, &column(mean))
        },
    },
    Entrance {
        name: "BatchNormalization",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: |[mean, std, _]| {
            // γ = 1.5, β = 0.25
            let weight = std.mapv(|std| 1.5 / (std * std + 0.5_f64.powi(10)).sqrt());
            [column(&weight), column(&(0.25 - mean * &weight))]
        },
        write: |net, scaled, [mean, std, _]| {
            if !scaled {
                return "x".to_owned();
            }
            let all = |value| ArrayD::from_elem(vec![3], value);
            let [gamma, beta, mean, var] = [all(1.5), all(0.25), mean.clone(), std * std].map(|v| net.floats(&v));
            let epsilon = [("epsilon", Attr::Float(0.5_f32.powi(10)))];
            net.op("BatchNormalization", &["x", &gamma, &beta, &mean, &var], &epsilon)
        },
    },
    Entrance {
        name: "÷ 255",
        shape: FIRST,
        channels: 0,
        top: 255.0,
        map: |_| [number(1.0 / 255.0), number(0.0)],
        write: |net, scaled, _| apply(net, scaled, "Div", "x", &number(255.0)),
    },
    Entrance {
        name: "÷ 127.5 − 1",
        shape: FIRST,
        channels: 0,
        top: 255.0,
        map: |_| [number(1.0 / 127.5), number(-1.0)],
        write: |net, scaled, _| {
            let x = apply(net, scaled, "Div", "x", &number(127.5));
            apply(net, scaled, "Sub", &x, &number(1.0))
        },
    },
    Entrance {
        name: "÷ 255, then Sub, Div",
        shape: FIRST,
        channels: 0,
        top: 255.0,
        map: |given| {
            let [weight, bias] = standard(given);
            [weight / 255.0, bias]
        },
        write: |net, scaled, [mean, std, _]| {
            let x = apply(net, scaled, "Div", "x", &number(255.0));
            let x = apply(net, scaled, "Sub", &x, &column(mean));
            apply(net, scaled, "Div", &x, &column(std))
        },
    },
    Entrance {
        name: "a change of sign: c − x",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: |[mean, ..]| [number(-1.0), column(mean)],
        write: |net, scaled, [mean, ..]| {
            if !scaled {
                return "x".to_owned();
            }
            let constant = net.floats(&column(mean));
            net.op("Sub", &[&constant, "x"], &[])
        },
    },
    Entrance {
        name: "Neg, Sum",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: |[mean, ..]| [number(-1.0), column(mean)],
        write: |net, scaled, [mean, ..]| {
            if !scaled {
                return "x".to_owned();
            }
            let x = net.op("Neg", &["x"], &[]);
            apply(net, scaled, "Sum", &x, &column(mean))
        },
    },
    Entrance {
        name: "NHWC: Sub, Transpose, Mul",
        shape: LAST,
        channels: 2,
        top: 1.0,
        map: |[mean, std, _]| [std.clone(), -(mean * std)],
        write: |net, scaled, [mean, std, _]| {
            let x = apply(net, scaled, "Sub", "x", mean);
            let x = transposed(net, &x);
            apply(net, scaled, "Mul", &x, &column(std))
        },
    },
    Entrance {
        name: "NHWC: Cast, Transpose, ÷ 127.5, − 1",
        shape: LAST,
        channels: 2,
        top: 255.0,
        map: |_| [number(1.0 / 127.5), number(-1.0)],
        write: |net, scaled, _| {
            let x = net.op("Cast", &["x"], &[("to", Attr::Int(1))]);
            let x = transposed(net, &x);
            let x = apply(net, scaled, "Div", &x, &number(127.5));
            apply(net, scaled, "Sub", &x, &number(1.0))
        },
    },
    Entrance {
        name: "RGB to BGR, then Sub (Caffe)",
        shape: FIRST,
        channels: 0,
        top: 255.0,
        map: |[mean, ..]| [number(1.0), column(&(reversed(mean) * -255.0))],
        write: |net, scaled, [mean, ..]| {
            let flip = net.ints(&[2, 1, 0]);
            let x = net.op("Gather", &["x", &flip], &[("axis", Attr::Int(1))]);
            apply(net, scaled, "Sub", &x, &column(&(mean * 255.0)))
        },
    },
    Entrance {
        name: "channel by channel: Split, Sub, Div, Concat",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: standard,
        write: |net, scaled, [mean, std, _]| {
            let ones = net.ints(&[1, 1, 1]);
            let parts = net.split("Split", &["x", &ones], &[("axis", Attr::Int(1))], 3);
            let parts = parts.iter().zip(mean.iter().zip(std)).map(|(part, (mean, std))| {
                let part = apply(net, scaled, "Sub", part, &number(*mean));
                apply(net, scaled, "Div", &part, &number(*std))
            });
            let parts: Vec<String> = parts.collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            net.op("Concat", &parts, &[("axis", Attr::Int(1))])
        },
    },
    Entrance {
        name: "between Unsqueeze and Squeeze, then Pad",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: standard,
        write: |net, scaled, [mean, std, _]| {
            let (axes, pads) = (net.ints(&[1]), net.ints(&[0, 0, 1, 0, 0, 0, 0, 1]));
            let crop = net.ints(&[0, 0, -1, 0, 0, 0, 0, -1]);
            let x = net.op("Unsqueeze", &["x", &axes], &[]);
            let x = apply(net, scaled, "Sub", &x, &column(mean));
            let x = net.op("Squeeze", &[&x, &axes], &[]);
            let x = apply(net, scaled, "Div", &x, &column(std));
            let x = net.op("Pad", &[&x, &pads], &[]);
            net.op("Pad", &[&x, &crop], &[])
        },
    },
    Entrance {
        name: "for each element",
        shape: FIRST,
        channels: 0,
        top: 1.0,
        map: |[mean, _, element]| [element.clone(), column(mean)],
        write: |net, scaled, [mean, _, element]| {
            let x = apply(net, scaled, "Mul", "x", element);
            apply(net, scaled, "Add", &x, &column(mean))
        },
    },
];

/// What networks behind the entrance there are.
#[derive(Debug, Clone, Copy)]
enum Body {
    Padded,
    Unpadded,
    Dense,
}

/// A network behind an entrance.
fn network(entrance: &Entrance, body: Body, scaled: bool, seed: u64) -> (Net, [ArrayD<f64>; 3]) {
    let mut random = Random(seed);
    let mean: ArrayD<f64> = random.tensor(&[3], 0.3, 0.6);
    let std: ArrayD<f64> = random.tensor(&[3], 0.2, 0.4);
    let signs: ArrayD<f64> = random.tensor(&FIRST, -1.0, 1.0);
    // None near zero.
    let given = [mean, std, signs.mapv(|v| v + v.signum())];
    // As a file in single precision holds them.
    let given = given.map(|values| values.mapv(|v| f64::from(v as f32)));
    let mut net = Net::new(&entrance.shape);
    let x = (entrance.write)(&mut net, scaled, &given);
    let weights = |net: &mut Net, random: &mut Random, shape: &[usize]| {
        let size = (shape[1..].iter().product::<usize>() as f64).sqrt().recip();
        let values: ArrayD<f64> = random.tensor(shape, -size, 1.5 * size);
        net.floats(&values)
    };
    let conv = |net: &mut Net, random: &mut Random, x: &str, from: usize, to: usize, pad: i64| {
        let (w, b) = (weights(net, random, &[to, from, 3, 3]), weights(net, random, &[to]));
        let z = net.op("Conv", &[x, &w, &b], &[("pads", Attr::Ints(&[pad; 4]))]);
        net.op("Relu", &[&z], &[])
    };
    let features = match body {
        Body::Dense => 3 * SIDE * SIDE,
        Body::Padded => 4 * (SIDE / 2) * (SIDE / 2),
        Body::Unpadded => 4 * (SIDE / 2 - 2) * (SIDE / 2 - 2),
    };
    let x = match body {
        Body::Dense => x,
        Body::Padded | Body::Unpadded => {
            let pad = i64::from(matches!(body, Body::Padded));
            let x = conv(&mut net, &mut random, &x, 3, 4, pad);
            let x = conv(&mut net, &mut random, &x, 4, 4, pad);
            let window = [("kernel_shape", Attr::Ints(&[2, 2])), ("strides", Attr::Ints(&[2, 2]))];
            net.op("MaxPool", &[&x], &window)
        }
    };
    let x = net.op("Flatten", &[&x], &[]);
    let (w, b) = (weights(&mut net, &mut random, &[6, features]), weights(&mut net, &mut random, &[6]));
    let x = net.op("Gemm", &[&x, &w, &b], &[("transB", Attr::Int(1))]);
    let x = net.op("Relu", &[&x], &[]);
    let (w, b) = (weights(&mut net, &mut random, &[3, 6]), weights(&mut net, &mut random, &[3]));
    net.op("Gemm", &[&x, &w, &b], &[("transB", Attr::Int(1))]);
    (net, given)
}

fn import<T: Scalar>(net: &Net) -> Arc<Model<T>> {
    let import = lrp_onnx::from_bytes::<T>("net.onnx", net.bytes(), &lrp_onnx::Options::default());
    let model = import.unwrap_or_else(|e| panic!("{e}")).model;
    // As the program computes.
    Arc::new(if T::NAME == "f32" { model.fastest() } else { model })
}

fn explain<T: Scalar>(model: &Arc<Model<T>>, recipe: &str, x: &ArrayD<f64>) -> lrp_core::Explanation<T> {
    let recipe = Recipe::parse(recipe, "entrance.toml", "").unwrap_or_else(|e| panic!("{e}"));
    let resolved = recipe.resolve(model).unwrap_or_else(|e| panic!("{e}"));
    let lints: Vec<&str> = recipe.lint(model, &resolved).iter().filter_map(|w| w.warning_name()).collect();
    assert!(!lints.contains(&"z-box-inside") && !lints.contains(&"normalised-twice"), "{lints:?}");
    let plan = Plan::new(Arc::clone(model), &resolved.assignment()).unwrap().times_input(resolved.times_input);
    let explanation = plan.explain(&x.mapv(T::of), &Target::Class(1), Start::Logit).unwrap();
    let balance = if T::NAME == "f32" { 1e-4 } else { 1e-10 };
    assert!(explanation.ledger.worst_imbalance() < balance, "{}", explanation.ledger.worst_imbalance());
    explanation
}

fn with_range(preset: &str, range: &str) -> String {
    format!("schema = 1\nextends = \"{preset}\"\n[input]\nrange = {range}\n")
}

/// The presets that pass the entrance.
fn passing() -> impl Iterator<Item = &'static str> {
    presets().iter().map(|preset| preset.name).filter(|name| !["lrp-0", "gradient-input"].contains(name))
}

/// What the map of the input's elements makes of `x`, `[N, …]`.
fn normalised(entrance: &Entrance, given: &[ArrayD<f64>; 3], x: &ArrayD<f64>) -> ArrayD<f64> {
    let [weight, bias] = (entrance.map)(given);
    x * &weight + &bias
}

fn same_inside_and_outside<T: Scalar>(tolerance: f64) {
    let mut wrong = Vec::new();
    let mut worst = 0.0_f64;
    for (number, entrance) in ENTRANCES.iter().enumerate() {
        for body in [Body::Padded, Body::Unpadded, Body::Dense] {
            let seed = 17 * number as u64 + 1;
            let (inside, given) = network(entrance, body, true, seed);
            let (outside, _) = network(entrance, body, false, seed);
            let (inside, outside) = (import::<T>(&inside), import::<T>(&outside));
            assert!(inside.has_preprocessing() && !outside.has_preprocessing(), "{}", entrance.name);
            assert_eq!(inside.layers().len(), outside.layers().len(), "{}", entrance.name);
            let shape = [&[4], &entrance.shape[..]].concat();
            let x: ArrayD<f64> = Random(seed + 5).tensor(&shape, 0.0, entrance.top);
            // Single precision gets its own input, which is what is normalised.
            let x = x.mapv(|v| T::of(v).wide());
            let y = normalised(entrance, &given, &x);
            for preset in passing() {
                if preset == "epsilon-gamma-box" && entrance.name == "for each element" {
                    // Outside, there is no range that can be written down.
                    continue;
                }
                let a = explain(&inside, &with_range(preset, &format!("[0, {:?}]", entrance.top)), &x);
                let b = explain(&outside, &with_range(preset, &range_outside(entrance, &given)), &y);
                let error = relative_l2(a.input_relevance(), b.input_relevance());
                worst = worst.max(error);
                // With γ on every layer, the head too, relevance of both signs is larger than its sum, and so is its rounding.
                let allowed = if preset == "attn-lrp-gamma" { 3.0 * tolerance } else { tolerance };
                if error > allowed {
                    wrong.push(format!("{}, {body:?}, {preset}: {error:.1e}", entrance.name));
                }
            }
        }
    }
    println!("{}: worst {worst:.1e}", T::NAME);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The range of each channel of the normalised input.
fn range_outside(entrance: &Entrance, given: &[ArrayD<f64>; 3]) -> String {
    let shape = [&[1], &entrance.shape[..]].concat();
    let ends = [0.0, entrance.top].map(|v| normalised(entrance, given, &ArrayD::from_elem(shape.clone(), v)));
    let channel = |c: usize| {
        let [a, b] = [0, 1].map(|end: usize| {
            let channel = ends[end].index_axis(Axis(entrance.channels + 1), c).to_owned();
            channel.first().copied().unwrap()
        });
        format!("[{:?}, {:?}]", a.min(b), a.max(b))
    };
    format!("[{}]", (0..3).map(channel).collect::<Vec<_>>().join(", "))
}

#[test]
fn inside_and_outside_are_the_same_in_double_precision() {
    same_inside_and_outside::<f64>(1e-12);
}

#[test]
fn inside_and_outside_are_the_same_in_single_precision() {
    same_inside_and_outside::<f32>(1e-6);
}

/// LRP-0 and gradient × input are what their names say of the model as it is: by finite differences.
#[test]
fn gradient_times_input_is_that_of_the_whole_model() {
    for entrance in &ENTRANCES {
        let (net, _) = network(entrance, Body::Padded, true, 3);
        let model = import::<f64>(&net);
        let shape = [&[1], &entrance.shape[..]].concat();
        let x: ArrayD<f64> = Random(4).tensor(&shape, 0.0, entrance.top);
        let zero = explain(&model, "schema = 1\nextends = 'lrp-0'\n", &x);
        let gradient = explain(&model, "schema = 1\nextends = 'gradient-input'\n", &x);
        // Both start at the logit here, with which gradient × input is multiplied.
        let r = gradient.input_relevance() / zero.output[[0, 1]];
        let error = relative_l2(zero.input_relevance(), &r);
        assert!(error < 1e-9, "{}: {error:.1e}", entrance.name);
        let out = |x: &ArrayD<f64>| explain(&model, "schema = 1\nextends = 'gradient-input'\n", x).output[[0, 1]];
        let h = 1e-6 * entrance.top;
        for i in [0, 41, 100] {
            let moved = |h: f64| {
                let mut x = x.clone();
                x.as_slice_mut().unwrap()[i] += h;
                out(&x)
            };
            let (slope, at) = ((moved(h) - moved(-h)) / (2.0 * h), x.as_slice().unwrap()[i]);
            let got = r.as_slice().unwrap()[i];
            assert!((slope * at - got).abs() < 1e-5 * (1.0 + got.abs()), "{} {i}: {} {got}", entrance.name, slope * at);
        }
    }
}

fn case(name: &str) -> PathBuf {
    repository().join("tests/cases").join(name)
}

const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

fn the_cases_agree<T: Scalar>(tolerance: f64) {
    let x: ArrayD<f32> = read_npy(case("normalised-x.npy")).unwrap();
    let x = x.mapv(f64::from);
    let of = |values: [f64; 3]| ArrayD::from_shape_vec(vec![3, 1, 1], values.to_vec()).unwrap();
    let y = (&x - &of(MEAN)) / of(STD);
    let load = |name: &str| -> Arc<Model<T>> {
        Arc::new(lrp_onnx::load::<T>(&case(name), &lrp_onnx::Options::default()).unwrap().model)
    };
    let outside = load("normalised-outside-padded.onnx");
    let range: Vec<String> =
        MEAN.iter().zip(STD).map(|(mean, std)| format!("[{:?}, {:?}]", -mean / std, (1.0 - mean) / std)).collect();
    for name in ["normalised-inside-padded.onnx", "batch-norm-first-padded.onnx"] {
        let inside = load(name);
        for preset in passing() {
            let a = explain(&inside, &with_range(preset, "[0, 1]"), &x);
            let b = explain(&outside, &with_range(preset, &format!("[{}]", range.join(", "))), &y);
            let error = relative_l2(a.input_relevance(), b.input_relevance());
            println!("{name} {preset} {}: {error:.1e}", T::NAME);
            assert!(error <= tolerance, "{name} {preset}: {error:.1e}");
        }
    }
}

#[test]
fn the_cases_agree_in_single_precision() {
    the_cases_agree::<f32>(1e-6);
}

/// Their constants are single precision; double precision sees them as exact, and the test normalises by 0.485, not by its nearest.
#[test]
fn the_cases_agree_in_double_precision() {
    the_cases_agree::<f64>(1e-6);
}

// ---- the program ----

/// A folder with the case that normalises inside as `model.onnx` and its pictures as `x.npy`.
fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::copy(case("normalised-inside-padded.onnx"), folder.path("model.onnx")).unwrap();
    std::fs::copy(case("normalised-x.npy"), folder.path("x.npy")).unwrap();
    folder
}

const BOX: &str = "schema = 1\nextends = 'epsilon-gamma-box'\n";

#[test]
fn the_model_is_listed_with_its_preprocessing() {
    let folder = folder();
    let listing = folder.lrp("layers -m model.onnx --passes").ok().to_owned();
    assert!(listing.contains("mark-preprocessing:\n  '"), "{listing}");
    let nodes = folder.lrp("layers -m model.onnx --json").json();
    let node = nodes["nodes"].as_array().unwrap().iter().find(|node| node["op"] == "preprocessing").unwrap();
    assert!(node["index"].is_null() && node["shape"] == serde_json::json!([3, 16, 16]), "{node}");
    assert_eq!(nodes["nodes"].as_array().unwrap().iter().find(|n| n["index"] == 0).unwrap()["op"], "conv");
}

#[test]
fn a_plan_shows_preprocessing_and_the_bounds_that_it_makes() {
    let folder = folder();
    folder.write("box.toml", format!("{BOX}[input]\nrange = [0, 1]\n"));
    let plan = folder.lrp("plan -m model.onnx -r box.toml");
    assert!(plan.ok().lines().any(|line| line.contains("preprocessing") && line.contains("fixed behaviour")), "{plan}");
    let layers = folder.lrp("plan -m model.onnx -r box.toml --json").json();
    let of = |key: &str, value: &str| {
        let rows = layers["layers"].as_array().unwrap();
        rows.iter().find(|row| row[key] == value).unwrap()["rule"].as_str().unwrap().to_owned()
    };
    assert_eq!(of("op", "preprocessing"), "pass");
    let rule = rows_rule(&layers, 0);
    assert!(rule.starts_with("z-box { low = [-2.117904, -2.035714"), "{rule}");
    assert!(rule.contains("high = [2.248908"), "{rule}");
    // It can be addressed, and is an affine layer then.
    folder.write(
        "zero.toml",
        format!("{BOX}[input]\nrange = [0, 1]\n[[assign]]\nops = 'preprocessing'\nrule = 'zero'\n"),
    );
    let layers = folder.lrp("plan -m model.onnx -r zero.toml --json").json();
    assert!(layers.to_string().contains("\"rule\":\"zero\""), "{layers}");
    for recipe in ["box.toml", "zero.toml", "lrp-0", "gradient-input", "guided-backprop", "epsilon-plus"] {
        let check = folder.lrp(&format!("check -m model.onnx -r {recipe} -i x.npy"));
        assert!(check.ok().contains("ok    LRP-0 would be gradient × input"), "{check}");
    }
}

fn rows_rule(plan: &serde_json::Value, index: usize) -> String {
    let rows = plan["layers"].as_array().unwrap();
    rows.iter().find(|row| row["index"] == index).unwrap()["rule"].as_str().unwrap().to_owned()
}

#[test]
fn normalising_twice_is_warned_about() {
    let folder = folder();
    folder.write(
        "twice.toml",
        format!("{BOX}[input]\nrange = [0, 1]\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n"),
    );
    for command in ["plan -m model.onnx -r twice.toml", "check -m model.onnx -r twice.toml -i x.npy"] {
        let run = folder.lrp(command);
        assert!(format!("{}{}", run.stdout, run.stderr).contains("images are normalised twice"), "{run}");
        assert_eq!(folder.lrp(&format!("{command} --deny-warnings")).code, Some(1));
    }
}

#[test]
fn init_recognises_what_the_model_does_itself() {
    let folder = folder();
    folder.lrp("init -m model.onnx -o own.toml").ok();
    let recipe = String::from_utf8(folder.read("own.toml")).unwrap();
    assert!(recipe.contains("the model scales pixels itself"), "{recipe}");
    assert!(recipe.contains("range    = [0.0, 1.0]") && recipe.contains("\"z-box\""), "{recipe}");
    assert!(!recipe.contains("mean ") || !recipe.contains("mean   "), "{recipe}");
    assert!(!recipe.lines().any(|line| line.trim_start_matches("# ").starts_with("mean")), "{recipe}");
    folder.lrp("plan -r own.toml --deny-warnings").ok();
    folder.lrp("check -r own.toml -i x.npy").ok();
    // From 0 to 255, with the same map as the same network in front of which pixels are divided.
    let entrance = ENTRANCES.iter().find(|entrance| entrance.name == "÷ 127.5 − 1").unwrap();
    let (net, _) = network(entrance, Body::Padded, true, 1);
    folder.write("bytes.onnx", net.bytes());
    write_npy(folder.path("bytes.npy"), &Random(2).tensor::<f32>(&[2, 3, SIDE, SIDE], 0.0, 255.0)).unwrap();
    for with in ["", " -i bytes.npy"] {
        folder.lrp(&format!("init -m bytes.onnx{with} -o bytes.toml --force")).ok();
        let recipe = String::from_utf8(folder.read("bytes.toml")).unwrap();
        assert!(recipe.contains("= [0.0, 255.0]"), "{recipe}");
        let plan = folder.lrp("plan -r bytes.toml --deny-warnings --json").json();
        let rule = rows_rule(&plan, 0);
        assert!(rule.starts_with("z-box { low = -1.0, high = 1.0"), "{rule}");
    }
    folder.lrp("check -r bytes.toml -i bytes.npy").ok();
}
