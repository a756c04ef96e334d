//! Small ONNX files, built in Rust, for the tests of this crate.

use bytes::Bytes;
use lrp_core::{Model, Scalar, Tensor};
use prost::Message;

use crate::file::External;
use crate::graph::{Body, Graph};
use crate::passes::Passed;
use crate::proto::*;
use crate::{Error, Import, Options};

/// An attribute of a node.
#[derive(Clone, Copy)]
pub(crate) enum Attr<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'static str),
}

/// A file that is being built: one input `x` of f32, and a chain or graph of nodes whose last output is the model's.
pub(crate) struct Net {
    pub proto: ModelProto,
    random: u64,
}

pub(crate) fn input(name: &str, dims: &[i64]) -> ValueInfoProto {
    // A negative length stands for a symbol.
    let dim = |&d: &i64| match d {
        0.. => DimensionProto { dim_value: Some(d), dim_param: None },
        _ => DimensionProto { dim_value: None, dim_param: Some("N".into()) },
    };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: 1, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

impl Net {
    /// With an input of this sample shape and a symbolic batch.
    pub fn new(sample: &[i64]) -> Self {
        Self::with_batch(-1, sample)
    }

    pub fn with_batch(batch: i64, sample: &[i64]) -> Self {
        let dims = [&[batch], sample].concat();
        let graph = GraphProto { input: vec![input("x", &dims)], ..Default::default() };
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
        let proto = ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() };
        Self { proto, random: 1 }
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.proto.graph.as_mut().unwrap()
    }

    pub fn opset(mut self, version: i64) -> Self {
        self.proto.opset_import[0].version = version;
        self
    }

    pub fn floats(&mut self, dims: &[i64], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        self.tensor(1, dims, raw)
    }

    /// With other random numbers.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.random = seed;
        self
    }

    pub fn doubles(&mut self, dims: &[i64], values: &[f64]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        self.tensor(11, dims, raw)
    }

    /// An initializer of numbers in [0.1, 1.1), a third of them negative.
    pub fn weight(&mut self, dims: &[i64]) -> String {
        let n = dims.iter().product::<i64>();
        let values: Vec<f32> = (0..n).map(|i| self.next() * if i % 3 == 1 { -1.0 } else { 1.0 }).collect();
        self.floats(dims, &values)
    }

    /// An initializer of numbers in [0.1, 1.1).
    pub fn positive(&mut self, dims: &[i64]) -> String {
        let values: Vec<f32> = (0..dims.iter().product::<i64>()).map(|_| self.next()).collect();
        self.floats(dims, &values)
    }

    fn next(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 40) as f32 / (1u64 << 24) as f32 + 0.1
    }

    pub fn int8s(&mut self, dims: &[i64], values: &[i8]) -> String {
        self.tensor(3, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub fn uint8s(&mut self, dims: &[i64], values: &[u8]) -> String {
        self.tensor(2, dims, values.to_vec())
    }

    pub fn int32s(&mut self, dims: &[i64], values: &[i32]) -> String {
        self.tensor(6, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Puts the node that was added last into a domain, and gives it more outputs.
    pub fn last(&mut self, domain: &str, outputs: &[&str]) {
        if let Some(node) = self.graph().node.last_mut() {
            node.domain = domain.into();
            node.output.extend(outputs.iter().map(|o| (*o).to_owned()));
        }
    }

    pub fn ints(&mut self, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        self.tensor(7, &[values.len() as i64], raw)
    }

    fn tensor(&mut self, data_type: i32, dims: &[i64], raw: Vec<u8>) -> String {
        let name = format!("c{}", self.graph().initializer.len());
        let raw_data = Some(Bytes::from(raw));
        let tensor = TensorProto { name: name.clone(), dims: dims.to_vec(), data_type, raw_data, ..Default::default() };
        self.graph().initializer.push(tensor);
        name
    }

    /// Adds a node and returns the name of its output.
    pub fn op(&mut self, op_type: &str, inputs: &[&str], attributes: &[(&str, Attr<'_>)]) -> String {
        let attribute = |(name, value): &(&str, Attr<'_>)| {
            let mut a = AttributeProto { name: (*name).into(), ..Default::default() };
            match *value {
                Attr::Int(i) => a.i = Some(i),
                Attr::Ints(ints) => a.ints = ints.to_vec(),
                Attr::Float(f) => a.f = Some(f),
                Attr::Text(s) => a.s = Some(Bytes::from_static(s.as_bytes())),
            }
            a
        };
        let index = self.graph().node.len();
        let output = format!("t{index}");
        self.graph().node.push(NodeProto {
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![output.clone()],
            name: format!("{}{index}", op_type.to_lowercase()),
            op_type: op_type.into(),
            attribute: attributes.iter().map(attribute).collect(),
            ..Default::default()
        });
        self.graph().output = vec![ValueInfoProto { name: output.clone(), r#type: None }];
        output
    }

    pub fn batch_norm(&mut self, x: &str, channels: i64) -> String {
        let (g, b, m, v) =
            (self.weight(&[channels]), self.weight(&[channels]), self.weight(&[channels]), self.positive(&[channels]));
        self.op("BatchNormalization", &[x, &g, &b, &m, &v], &[("epsilon", Attr::Float(1e-3))])
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    pub fn import(&self) -> Result<Import<f64>, Error> {
        self.import_with(&Options::default())
    }

    pub fn import_with(&self, options: &Options) -> Result<Import<f64>, Error> {
        crate::from_bytes("test.onnx", self.bytes(), options)
    }

    /// The error of an import that must fail.
    pub fn error(&self) -> String {
        self.import().map(|_| ()).unwrap_err().to_string()
    }

    /// Why the batch cannot be axis 0 throughout.
    pub fn batch_first_error(&self) -> String {
        let read = crate::import::read_as::<f64>(
            &self.proto,
            0,
            &mut External::default(),
            &Options::default(),
            crate::import::Reading::default(),
        );
        let kind = read.map(|_| ()).unwrap_err();
        Error { file: "test.onnx".into(), kind }.to_string()
    }

    /// The graph before any pass.
    pub fn raw(&self) -> Graph<f64> {
        crate::import::read(&self.proto, 0, &mut External::default(), &Options::default()).unwrap().graph
    }

    /// The output of the imported model for `x`, `[N, …]`, without the cut of its end.
    pub fn run(&self, x: &Tensor<f64>) -> Tensor<f64> {
        let import = self.import().unwrap();
        let y = forward(&import.model, x);
        import.output_function.map_or(y.clone(), |function| function.of(&y))
    }
}

/// The model's output.
pub(crate) fn forward<T: Scalar>(model: &Model<T>, x: &Tensor<T>) -> Tensor<T> {
    let mut values: Vec<Tensor<T>> = Vec::new();
    for (_, node) in model.nodes() {
        let inputs: Vec<&Tensor<T>> = node.inputs.iter().map(|i| &values[i.index()]).collect();
        values.push(match &node.body {
            lrp_core::graph::Body::Input => x.clone(),
            lrp_core::graph::Body::Constant(c) => {
                c.broadcast([&[x.shape()[0]], c.shape()].concat()).unwrap().to_owned()
            }
            lrp_core::graph::Body::Operator(op) => op.forward(&inputs),
        });
    }
    values.swap_remove(model.output().index())
}

/// Damaged copies of a file: bits flipped, bytes replaced, cut short, parts copied over others.
pub(crate) fn mutants(bytes: &[u8], rounds: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut state = 7u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n.max(1)
    };
    (0..rounds).map(move |round| {
        let mut mutant = bytes.to_vec();
        for _ in 0..=random(3) {
            let at = random(mutant.len());
            match round % 4 {
                0 => mutant[at] ^= 1 << random(8),
                1 => mutant[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                2 => mutant.truncate(at.max(1)),
                _ => {
                    let from = random(bytes.len());
                    let part = bytes[from..(from + random(24)).min(bytes.len())].to_vec();
                    mutant.splice(at..(at + part.len()).min(mutant.len()), part);
                }
            }
        }
        mutant
    })
}

/// A tensor of varied values in (-1, 1).
pub(crate) fn varied(shape: &[usize]) -> Tensor<f64> {
    let mut i = 0u32;
    Tensor::from_shape_simple_fn(shape, || {
        i += 1;
        (f64::from(i) * 12.9898).sin()
    })
}

/// Checks that a pass makes this many changes and computes the same; returns the changed graph.
pub(crate) fn check_pass(
    pass: fn(Graph<f64>) -> Passed<f64>,
    net: &Net,
    sample: &[usize],
    changes: usize,
) -> Graph<f64> {
    check_pass_to(1e-12, pass, net, sample, changes)
}

/// The same, where constants of the file are rounded.
pub(crate) fn check_pass_to(
    tolerance: f64,
    pass: fn(Graph<f64>) -> Passed<f64>,
    net: &Net,
    sample: &[usize],
    changes: usize,
) -> Graph<f64> {
    let before = net.raw();
    let (after, what) = pass(before.clone());
    assert_eq!(what.len(), changes, "{what:?}");
    let x = varied(&[&[3], sample].concat());
    let (expected, got) = (evaluated(&before, &x), evaluated(&after, &x));
    assert_eq!(got.shape(), expected.shape());
    for (a, b) in got.iter().zip(&expected) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} and {b}");
    }
    after
}

/// The output of a graph.
pub(crate) fn evaluated(graph: &Graph<f64>, x: &Tensor<f64>) -> Tensor<f64> {
    forward(&graph.clone().into_model().unwrap(), x)
}

/// The kinds of a graph's operators, in order.
pub(crate) fn kinds(graph: &Graph<f64>) -> Vec<&'static str> {
    graph
        .nodes
        .iter()
        .filter_map(|n| match &n.body {
            Body::Operator(op, _) => Some(op.kind().name()),
            _ => None,
        })
        .collect()
}
