//! Small ONNX files, written by hand: names in them can be anything.

/// A model that is being written. Nodes are called like their outputs.
#[derive(Debug, Default)]
pub struct Onnx {
    nodes: Vec<u8>,
    weights: Vec<u8>,
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn value_info(name: &str, dtype: u64, shape: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|dim| bytes(1, &number(1, *dim))).collect();
    let tensor = [number(1, dtype), bytes(2, &dims)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

impl Onnx {
    /// A tensor of floats.
    #[must_use]
    pub fn weights(self, name: &str, dims: &[u64], values: &[f32]) -> Self {
        self.tensor(name, 1, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    }

    /// A tensor of 8-bit integers with a sign.
    #[must_use]
    pub fn integers(self, name: &str, dims: &[u64], values: &[i8]) -> Self {
        self.tensor(name, 3, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    }

    fn tensor(mut self, name: &str, dtype: u64, dims: &[u64], raw: &[u8]) -> Self {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
        self.weights.extend(bytes(5, &[dims, number(2, dtype), bytes(8, name.as_bytes()), bytes(9, raw)].concat()));
        self
    }

    /// A node that is called like its output.
    #[must_use]
    pub fn node(self, op: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(op, inputs, output, &[])
    }

    /// As [`node`](Self::node), with attributes that are lists of integers.
    #[must_use]
    pub fn node_with(mut self, op: &str, inputs: &[&str], output: &str, ints: &[(&str, &[u64])]) -> Self {
        let inputs: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name.as_bytes())).collect();
        let attribute = |(name, list): &(&str, &[u64])| {
            let list: Vec<u8> = list.iter().flat_map(|v| number(8, *v)).collect();
            bytes(5, &[bytes(1, name.as_bytes()), list, number(20, 7)].concat())
        };
        let ints: Vec<u8> = ints.iter().flat_map(attribute).collect();
        let rest = [bytes(2, output.as_bytes()), bytes(3, output.as_bytes()), bytes(4, op.as_bytes()), ints];
        self.nodes.extend(bytes(1, &[inputs, rest.concat()].concat()));
        self
    }

    /// The file, with one input and one output: their names and shapes.
    pub fn model(self, input: (&str, &[u64]), output: (&str, &[u64])) -> Vec<u8> {
        self.model_of(&[input], output)
    }

    /// The file, with these inputs and one output.
    pub fn model_of(self, inputs: &[(&str, &[u64])], output: (&str, &[u64])) -> Vec<u8> {
        self.file(inputs, &[], &[output])
    }

    /// The file, with these inputs of floats, these of 64-bit integers, and these outputs.
    pub fn file(self, floats: &[(&str, &[u64])], integers: &[(&str, &[u64])], outputs: &[(&str, &[u64])]) -> Vec<u8> {
        let of = |field: u64, dtype: u64, values: &[(&str, &[u64])]| -> Vec<u8> {
            values.iter().flat_map(|(name, shape)| bytes(field, &value_info(name, dtype, shape))).collect()
        };
        let ends = [of(11, 1, floats), of(11, 7, integers), of(12, 1, outputs)].concat();
        let graph = [self.nodes, bytes(2, b"g"), self.weights, ends].concat();
        [number(1, 8), bytes(8, &number(2, 17)), bytes(7, &graph)].concat()
    }
}
