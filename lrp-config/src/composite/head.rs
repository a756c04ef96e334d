//! The keys of a recipe before its entries.

/// The name of a composite, its purpose, and what is done at the input.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub name: Option<String>,
    pub description: Option<String>,
    pub times_input: Option<bool>,
}

impl Head {
    /// Whether the relevance at the input is multiplied with the input.
    pub fn times_input(&self) -> bool {
        self.times_input.unwrap_or(false)
    }

    /// Takes from the parent what is not given here. Its name and its description are its own.
    pub fn inherit(&mut self, parent: &Head) {
        inherit!(self, parent, times_input);
    }
}
