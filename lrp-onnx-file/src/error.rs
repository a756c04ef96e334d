//! Errors of the import. Every message names the file, the position in it, and a fix, on one screen.

use std::collections::BTreeMap;
use std::fmt;

use lrp_core::OperatorError;
use lrp_core::kernels::window::WindowError;
use thiserror::Error;

/// A model file that cannot be imported.
#[derive(Debug, Error)]
#[error("{file}: {}", brief(kind))]
pub struct Error {
    /// The file, as it was given.
    pub file: String,
    /// The error.
    pub kind: ErrorKind,
}

/// The message, unless a damaged file made it absurdly long: lists of a million numbers do not help.
fn brief(kind: &ErrorKind) -> String {
    const LIMIT: usize = 8000;
    let text = kind.to_string();
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The kinds of errors of a model file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(std::io::Error),
    /// The file holds something else.
    #[error("is not an ONNX model: {0}")]
    NotOnnx(String),
    /// The file ends too early.
    #[error("is truncated: {0}; copy or download it again")]
    Truncated(String),
    /// The graph as a whole cannot be used.
    #[error("{0}")]
    Graph(String),
    /// An input of the model cannot be used.
    #[error("input '{input}' {reason}")]
    Input {
        /// The input's name.
        input: String,
        /// The error, and a fix.
        reason: String,
    },
    /// An input of the model has axes without a length, or no shape at all, or another shape than the one that was given.
    #[error("input '{input}' {reason}")]
    Shape {
        /// The input's name.
        input: String,
        /// The error, and a fix.
        reason: String,
    },
    /// A stored tensor cannot be used.
    #[error("tensor '{tensor}' {reason}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// The error, and a fix.
        reason: String,
    },
    /// A node is wrong, or does what cannot be explained.
    #[error("node '{node}' ({op_type}): {reason}")]
    Node {
        /// The node's name.
        node: String,
        /// Its ONNX operator.
        op_type: String,
        /// The error, and a fix.
        reason: String,
        /// A tensor that it reads and that can be explained instead, if there is one.
        before: Option<Box<str>>,
    },
    /// Nodes that cannot be explained, all of them.
    #[error("{}", unsupported(nodes))]
    Unsupported {
        /// Every node that is not supported, or has something wrong with it, in topological order; not those that cannot be judged
        /// only because of one of these.
        nodes: Vec<UnsupportedNode>,
        /// The last tensor before the first of them that can be explained instead, if there is one.
        before: Option<Box<str>>,
    },
    /// The imported graph is not a model.
    #[error("{0}")]
    Model(lrp_core::Error),
}

/// A node that cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name.
    pub node: String,
    /// Its ONNX operator, with the domain if it is not ONNX's own.
    pub op_type: String,
    /// The unsupported part, and a fix if there is one; empty if the operator itself is not supported.
    pub reason: String,
}

/// The numbers of groups of nodes, and of names in each, that a message lists.
const LISTED: (usize, usize) = (8, 3);

/// The message for [`ErrorKind::Unsupported`]: nodes with the same operator and reason share a line.
fn unsupported(nodes: &[UnsupportedNode]) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for node in nodes {
        groups.entry((&node.op_type, &node.reason)).or_default().push(&node.node);
    }
    let mut text = format!("{} of its nodes cannot be explained (yet):\n", nodes.len());
    for ((op_type, reason), names) in groups.iter().take(LISTED.0) {
        let listed: Vec<String> = names.iter().take(LISTED.1).map(|n| format!("'{n}'")).collect();
        let more = names.len().saturating_sub(LISTED.1);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        text += &format!("  {op_type} ({}{more}){reason}\n", listed.join(", "));
    }
    if groups.len() > LISTED.0 {
        text += &format!("  … and {} more kinds of node\n", groups.len() - LISTED.0);
    }
    text.truncate(text.trim_end().len());
    text
}

/// The fix if the batch is another axis than 0.
pub fn batch_advice(has_recurrent_layers: bool) -> &'static str {
    if has_recurrent_layers {
        "for recurrent layers in PyTorch: batch_first=True"
    } else {
        "a model without recurrent layers that does this is mostly attention: torch.nn.MultiheadAttention moves the batch whatever \
         its batch_first is; let the model leave axis 0 where it is"
    }
}

/// An error of an operator's translator; the importer adds the node.
#[derive(Debug)]
pub enum Problem {
    /// The node is broken, or breaks an assumption such as the batch being axis 0.
    Invalid(String),
    /// The node is right but there is no operator for it.
    Unsupported(String),
}

impl Problem {
    /// A broken node.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Problem::Invalid(reason.into())
    }

    /// A node without an operator here.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Problem::Unsupported(reason.into())
    }
}

impl From<WindowError> for Problem {
    fn from(error: WindowError) -> Self {
        OperatorError::from(error).into()
    }
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        Problem::Invalid(error.0)
    }
}

/// A name from a file as a message shows it: at most 80 characters, nothing that a terminal would act on.
pub fn shown(name: &str) -> String {
    const LIMIT: usize = 80;
    lrp_core::text::shortened(name, LIMIT).into_owned()
}

/// A shape with the batch axis written as `N`.
pub struct Shape<'a>(pub &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[N")?;
        self.0.iter().try_for_each(|d| write!(f, ", {d}"))?;
        f.write_str("]")
    }
}

/// A list of names of which a message shows only the first few.
pub fn list(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let more = names.len().saturating_sub(5);
    if more > 0 { format!("{} and {more} more", first.join(", ")) } else { first.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_unsupported_nodes_fit_on_a_screen() {
        let nodes: Vec<UnsupportedNode> = (0..1000)
            .map(|i| UnsupportedNode { node: format!("n{i}"), op_type: format!("Op{}", i % 20), reason: String::new() })
            .collect();
        let text = unsupported(&nodes);
        assert!(text.lines().count() <= 12, "{text}");
        assert!(text.contains("1000 of its nodes") && text.contains("Op0 ('n0', 'n20', 'n40' and 47 more)"), "{text}");
    }

    #[test]
    fn a_message_has_an_end() {
        let kind = ErrorKind::Graph(format!("its strides are {:?}", vec![7; 100_000]));
        let text = Error { file: "m.onnx".into(), kind }.to_string();
        assert!(text.starts_with("m.onnx: its strides are [7, 7") && text.ends_with('…'));
        assert_eq!(text.chars().count(), 8009);
    }

    #[test]
    fn names_are_shortened_and_cleaned() {
        assert_eq!(shown("conv1"), "conv1");
        assert_eq!(shown("a\u{1b}[31m\u{202e}"), "a\\u{1b}[31m\\u{202e}");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), 81);
    }
}
