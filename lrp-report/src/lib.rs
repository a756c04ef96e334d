//! The report: explanations as one HTML file to share.
//!
//! Everything is in the file (styles, script, pictures, relevance as numbers): it needs no network and no program but a browser, and
//! colour map, gain and zoom are changed there. This crate takes plain data and knows no model: [`Report`] has what is common
//! to all inputs, [`Sample`] has one input, and [`Writer`] puts them into a file, one after the other.
//!
//! Strings of the user (names, labels, recipes) are never markup. Templates escape it, the data of the script are JSON in
//! which no `<` is left, and a content security policy lets nothing run but this crate's own script.
//!
//! ```
//! use lrp_report::{Kind, Limits, Palette, Report, Sample, Shape, Shown, Target, Writer};
//!
//! let shape = Shape { kind: Kind::Picture, channels: 1, height: 1, width: 2 };
//! let mut report = Report::new("LRP-0", "cnn.onnx", shape);
//! report.palettes = vec![Palette { name: "bwr".into(), colors: vec![[0, 0, 255], [255, 255, 255], [255, 0, 0]] }];
//! report.samples = 1;
//!
//! let mut html = Vec::new();
//! let mut writer = Writer::new(&mut html, &report, Limits::default())?;
//! writer.add(&Sample {
//!     name: "three <3>.png".into(),
//!     input: Shown::Nothing("the file is gone".into()),
//!     top: Vec::new(),
//!     targets: vec![Target { title: "3".into(), score: 1.5, relevance: vec![-0.5, 2.0], ..Target::default() }],
//! })?;
//! assert_eq!(writer.finish()?.samples, 1);
//! assert!(!String::from_utf8(html)?.contains("three <3>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod json;
mod numbers;
mod page;
mod picture;
mod report;
mod sample;
mod writer;

pub use report::{Failed, File, Kind, Layer, Node, Palette, Report, Shape, Stage, Text};
pub use sample::{ACCOUNTS, Accounts, Sample, Score, Shown, Target};
pub use writer::{Error, Limits, Writer, Written};
