//! `target` against the model: whether it has such classes.

use std::mem;

use lrp_core::Tensor;

use crate::class::Class;
use crate::diagnostic::RecipeError;
use crate::misfit::Misfit;
use crate::recipe::Recipe;
use crate::target::Target;

impl Recipe {
    /// Checks the recipe's own target for a model whose output has this sample shape and these labels (none where they are not known). `file`
    /// has the numbers of the file that the target names.
    ///
    /// # Errors
    /// When a class does not exist, more are asked for than there are, or elements do not go with the shape.
    pub fn check_target(
        &self,
        labels: &[String],
        shape: &[usize],
        file: Option<&Tensor<f64>>,
    ) -> Result<(), RecipeError> {
        let Some(target) = &self.explain().target else { return Ok(()) };
        let classes = shape.iter().product();
        let mut meant = target.clone();
        let problem = match &mut meant {
            Target::Argmax | Target::All => None,
            Target::Class(class) => check(class, labels, classes),
            Target::Contrast(class, other) => check(class, labels, classes).or_else(|| check(other, labels, classes)),
            Target::Elements(elements) => {
                let misfit = elements.of_output(labels, shape, file).err();
                misfit.map(|Misfit { message, help }| (message, help))
            }
            Target::Top(count) => (*count > classes).then(|| {
                let asked = mem::replace(count, classes);
                (format!("the top {asked} of {classes} outputs"), format!("ask for at most {classes}"))
            }),
        };
        match problem {
            None => Ok(()),
            Some((message, help)) => {
                let instead = (meant != *target).then(|| meant.to_string());
                Err(self.diagnose_key("explain.target", &message, &help, instead))
            }
        }
    }
}

/// The error of a class and a fix; replaces the class by the suggestion.
fn check(class: &mut Class, labels: &[String], classes: usize) -> Option<(String, String)> {
    match class.index(labels) {
        Ok(index) if index < classes => None,
        Ok(index) => {
            let last = classes.saturating_sub(1);
            *class = Class::Index(last);
            Some((
                format!("the class {index} does not exist: the model has {classes} outputs"),
                format!("classes are 0 to {last}"),
            ))
        }
        Err(message) => {
            if let Some(help) = class.respelt() {
                return Some((message, help));
            }
            if let Some(label) = class.closest(labels) {
                *class = Class::Label(label.to_owned());
            }
            let help = "a class is a number, or a label from the file that `labels` under [model] names";
            Some((message, help.to_owned()))
        }
    }
}
