//! The recipes that come with the program, each a TOML file like anybody's own (`presets/*.toml`).

use crate::suggest;

/// A recipe that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name, as `-r` and `extends` take it.
    pub name: &'static str,
    /// Its purpose, in a line.
    pub description: &'static str,
    /// The recipe's text.
    pub source: &'static str,
}

macro_rules! presets {
    ($($name:literal: $description:literal,)*) => {
        &[$(Preset {
            name: $name,
            description: $description,
            source: include_str!(concat!("../presets/", $name, ".toml")),
        },)*]
    };
}

const PRESETS: &[Preset] = presets! {
    "epsilon-plus": "LRP-ε for dense layers, z⁺ for convolutions",
    "epsilon-plus-flat": "LRP-ε for dense layers, z⁺ for convolutions, flat for the first layer",
    "epsilon-alpha2-beta1": "LRP-ε for dense layers, α2β1 for convolutions",
    "epsilon-alpha2-beta1-flat": "LRP-ε for dense layers, α2β1 for convolutions, flat for the first layer",
    "epsilon-gamma-box": "LRP-ε for dense layers, LRP-γ for convolutions, z-box for the first layer; needs [input]",
    "excitation-backprop": "z⁺ for every layer (Zhang et al. 2016)",
    "guided-backprop": "gradient that passes a ReLU only where input and gradient are positive (Springenberg et al. 2015)",
    "deconvnet": "gradient that passes a ReLU only where the gradient is positive (Zeiler and Fergus 2014)",
    "gradient-input": "gradient × input",
    "lrp-0": "LRP-0 for everything affine: on ReLU networks the same as gradient × input",
    "lrp-epsilon": "LRP-ε for every layer",
    "lrp-gamma": "LRP-γ for every layer",
    "lrp-a1b0": "α1β0 for every layer: positive contributions only",
    "lrp-a2b1": "α2β1 for every layer",
    "attn-lrp": "AttnLRP: LRP-ε for every layer, softmax by its Taylor expansion (Achtibat et al. 2024); for texts",
    "cp-lrp": "CP-LRP: LRP-ε for every layer, softmax constant (Ali et al. 2022)",
    "attn-lrp-gamma": "LRP-γ for convolutions and dense layers, LRP-ε for attention, softmax constant; for vision transformers",
    "mamba-lrp": "MambaLRP: LRP-ε for every layer, the parameters of the state space constant (Jafari et al. 2024); for Mamba",
};

/// Every preset there is.
pub fn presets() -> &'static [Preset] {
    PRESETS
}

/// The preset of this name; underscores are as good as hyphens.
pub(crate) fn find(name: &str) -> Option<&'static Preset> {
    let name = name.replace('_', "-");
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The preset that was probably meant.
pub(crate) fn closest(name: &str) -> Option<&'static str> {
    suggest::closest(name, PRESETS.iter().map(|preset| preset.name))
}

/// Help for a name that no preset has.
pub(crate) fn choices(name: &str) -> String {
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    format!("{}; a recipe file's name ends in .toml", suggest::choices(name, &names))
}
