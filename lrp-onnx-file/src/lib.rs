//! ONNX files: the file in memory, its messages and tensors, and the values of nodes whose inputs are all constant.
//!
//! `lrp-onnx` makes models of them. It reads and writes every weight through this crate: loops over weights belong here, where they are
//! compiled with optimisation, and the translation of graphs there, where a build in a few seconds is worth more.
//!
//! Files are not trusted: every length is checked before it is used, and whatever is wrong ends in an [`error::ErrorKind`].

pub mod consteval;
pub mod error;
pub mod file;
#[allow(missing_docs)]
pub mod proto;
pub mod resizing;
pub mod tensor;
