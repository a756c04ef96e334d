//! Composites as recipes, and the composites of presets and of a recipe's text.

use std::str::FromStr;

use super::{Places, Recipe};
use crate::composite::{Composite, NAME};
use crate::diagnostic::RecipeError;
use crate::experiment::{Compare, Explain, ModelFiles, Output};
use crate::input::Input;

/// A recipe of these rules, without sections; [`Recipe::replace_input`] says what the model expects. Its text is the composite's, so that messages show
/// a mistake at its place there.
impl From<Composite> for Recipe {
    fn from(composite: Composite) -> Self {
        let (source, composite) = composite.printed();
        Self {
            source,
            ancestors: Vec::new(),
            composite,
            input: Input::default(),
            model: ModelFiles::default(),
            explain: Explain::default(),
            output: Output::default(),
            compare: Compare::default(),
            places: Places::default(),
        }
    }
}

impl Composite {
    /// The entries of a preset to begin with, as `extends` of a recipe has them: what is assigned afterwards overrides them.
    ///
    /// # Errors
    /// When there is no preset of this name.
    pub fn preset(name: &str) -> Result<Self, RecipeError> {
        let parent = Recipe::preset(name)?.composite().clone();
        let mut composite = Composite::new();
        composite.extend(parent);
        Ok(composite)
    }
}

/// Reads a recipe. Its other sections are checked, and are no part of the composite: see [`Recipe::parse`].
impl FromStr for Composite {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Self, RecipeError> {
        Recipe::parse(text, NAME, "").map(|recipe| recipe.composite().clone())
    }
}
