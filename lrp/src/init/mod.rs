//! A commented recipe to start from, made for a model.
//!
//! The graph is examined (`survey`), rules are chosen for its parts (`composite`), properties of the input are gathered
//! (`expected`), and all of it is written down with its reasons (`document`, in the form that `text` gives it).

mod composite;
mod document;
mod expected;
mod inside;
mod request;
mod survey;
mod text;

use self::composite::Composite;
use self::document::Document;
use self::expected::Expected;
use self::inside::Inside;
use self::survey::Survey;
use crate::error::Error;
use crate::loaded::Loaded;

pub use self::expected::{Measured, Seen, picture};
pub use self::request::Request;

/// A recipe that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The recipe's text.
    pub text: String,
    /// The family of networks that the rules were chosen for, in words.
    pub family: String,
}

/// Makes a recipe for a model, given the properties of the inputs to explain.
///
/// # Errors
/// When the recipe cannot be written.
pub fn recipe(loaded: &Loaded<f32>, request: &Request, seen: Seen) -> Result<Draft, Error> {
    let mut expected = Expected::new(&loaded.import.metadata, &loaded.given.shape(), seen);
    expected.inside = Inside::new(&loaded.model);
    expected.preset = request.preset;
    let survey = Survey::new(&loaded.model);
    let composite = Composite::new(&loaded.model, &survey, &expected);
    let family = survey.name().to_owned();
    let text = Document { request, loaded, survey, expected, composite }.text();
    Ok(Draft { text, family })
}
