//! Layer-wise relevance propagation for ONNX models: how much each input value contributes to an output.
//!
//! [`Explainer`] is a model under a recipe: it prepares images, and explains batches from any number of threads. `lrp-render` draws its
//! results. This crate neither prints nor reads inputs from files; the `lrp` program, and a Python module or a web page, are built on it.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recipe = lrp::Recipe::preset("epsilon-gamma-box")?.replace_input(lrp::InputPreset::ImageNet.input());
//! let explainer = lrp::Explainer::<f32>::load("model.onnx", recipe)?;
//! let input = explainer.read_image(&std::fs::read("nine.png")?)?;
//! let explanation = explainer.explain(&input, &lrp::Target::Argmax)?;
//! println!("class {} has the score {}", explanation.explained(0), explanation.score(0));
//! println!("the input receives {} of it", explanation.ledger(0).input);
//! # Ok(())
//! # }
//! ```
//!
//! Its parts can be used by themselves: [`Loaded`] (a model), [`Prepared`] (a model under a recipe), [`explain_samples`] (batches and several
//! targets), [`input`] (images), [`fit`] (does an input suit the model), [`check`] (the ledger and invariants), [`init`] (a first recipe),
//! [`text`] (texts, with the cargo feature `tokenizer`).

pub mod check;
mod diagnosis;
mod error;
mod explain;
mod explainer;
pub mod fit;
mod fixed;
mod given;
pub mod init;
pub mod input;
mod layout;
mod loaded;
pub mod numbers;
mod prepared;
mod quantized;
pub mod shares;
pub mod text;

pub use lrp_config::{
    AnyRule, Composite, CompositeError, Factor, Input, InputPreset, Layers, OwnRule, Recipe, SelectorError,
};
pub use lrp_core::ledger::Totals;
pub use lrp_core::operator::{Group, Kind};
pub use lrp_core::{Rule, Scalar, Target, Tensor};
pub use lrp_onnx::{Fixed, FixedValue, Import, InputInfo, OutputInfo, Role, supported};
pub use lrp_rules as rules;

pub use self::diagnosis::{Change, Diagnosis};
pub use self::error::{Complaint, Error, ImageError, InputsError, OutputError, TextError};
pub use self::explain::{
    Asked, Explained, Largest, Line, Options, Outcome, Through, Unbalanced, explain_samples, in_words,
};
pub use self::explainer::{Explainer, Explanation};
pub use self::fixed::fixed_value;
pub use self::given::{Given, GivenInput};
pub use self::layout::Layout;
pub use self::loaded::{Loaded, ModelOptions};
pub use self::prepared::{Prepared, title};
pub use self::quantized::QuantizationError;
