//! A model under a recipe: every layer has its rule.

use std::sync::Arc;

use lrp_config::{OnUnknown, Recipe, Resolved};
use lrp_core::{Error as CoreError, Plan, Scalar};

use crate::error::Error;
use crate::loaded::Loaded;

/// A recipe resolved for a model, with every rule prepared.
pub struct Prepared<T: Scalar> {
    /// The recipe.
    pub recipe: Recipe,
    /// The rules, and the entries that chose them.
    pub resolved: Resolved<T>,
    /// The model, ready to explain.
    pub plan: Plan<T>,
}

impl<T: Scalar> Prepared<T> {
    /// Resolves a recipe and prepares its rules; nodes that need one and have none get the rule of `on_unknown`.
    ///
    /// # Errors
    /// When the recipe does not fit the model: it names the entry, or the nodes without a rule.
    pub fn new(recipe: Recipe, loaded: &Loaded<T>, on_unknown: Option<OnUnknown>) -> Result<Self, Error> {
        let resolved = recipe.resolve_with(&loaded.model, on_unknown)?;
        Self::prepare(recipe, resolved, loaded)
    }

    /// Prepares the rules of a resolved recipe.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn prepare(recipe: Recipe, resolved: Resolved<T>, loaded: &Loaded<T>) -> Result<Self, Error> {
        recipe.check_missing(&loaded.model, &resolved)?;
        let plan = Plan::new(Arc::clone(&loaded.model), &resolved.assignment()).map_err(|error| match &error {
            // A rule that does not go with its operator, or with its own parameters: show the entry that brought them together.
            CoreError::Rule { node, .. } | CoreError::Parameter { node, .. } => {
                let id = loaded.model.nodes().find(|(_, n)| n.name == *node).map(|(id, _)| id);
                match id {
                    Some(id) => Error::Recipe(resolved.diagnose(id, error.to_string())),
                    None => Error::Core(error),
                }
            }
            _ => Error::Core(error),
        })?;
        let plan = plan.times_input(resolved.times_input);
        Ok(Self { recipe, resolved, plan })
    }
}

/// The title of a recipe: its name, or that of its file or preset.
pub fn title(recipe: &Recipe) -> String {
    recipe.name().unwrap_or_else(|| recipe.source().name()).to_owned()
}
