//! The page around the samples.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::report::{Palette, Report, Shape, Stage};
use crate::{Node, json};

const STYLE: &str = concat!(include_str!("../web/page.css"), include_str!("../web/explanation.css"));

const SCRIPT: &str = concat!(
    include_str!("../web/data.js"),
    include_str!("../web/state.js"),
    include_str!("../web/colour.js"),
    include_str!("../web/picture.js"),
    include_str!("../web/series.js"),
    include_str!("../web/flow.js"),
    include_str!("../web/stages.js"),
    include_str!("../web/viewer.js"),
    include_str!("../web/gallery.js"),
    include_str!("../web/main.js"),
);

/// Everything before the samples.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    report: &'a Report,
    /// Content security policy: pictures in the file, this style and this script.
    policy: String,
    style: &'static str,
    /// The report's data for the script.
    data: String,
    /// Omissions, in sentences.
    left_out: Vec<String>,
}

/// Everything after them.
#[derive(Template)]
#[template(path = "end.html")]
struct End {
    shown: usize,
    script: &'static str,
}

/// The report's data for the script.
#[derive(Serialize)]
struct Data<'a> {
    samples: usize,
    shape: Shape,
    channels: Vec<String>,
    palette: &'a str,
    palettes: Vec<PaletteData<'a>>,
    nodes: &'a [Node],
    stages: &'a [Stage],
    exact: bool,
}

#[derive(Serialize)]
struct PaletteData<'a> {
    name: &'a str,
    /// Red, green and blue of every colour, in base64.
    colors: String,
}

impl<'a> From<&'a Palette> for PaletteData<'a> {
    fn from(palette: &'a Palette) -> Self {
        Self { name: &palette.name, colors: STANDARD.encode(palette.colors.concat()) }
    }
}

/// The HTML before the samples. `channels` are the names of those that are shown one by one; `exact` says that no number is rounded, `left_out` what is not
/// in the report.
///
/// # Errors
/// When something cannot be written as JSON.
pub fn start(
    report: &Report,
    channels: Vec<String>,
    exact: bool,
    left_out: Vec<String>,
) -> Result<String, askama::Error> {
    let data = Data {
        samples: report.samples,
        shape: report.shape,
        channels,
        palette: &report.palette,
        palettes: report.palettes.iter().map(PaletteData::from).collect(),
        nodes: &report.nodes,
        stages: &report.stages,
        exact,
    };
    let policy = format!(
        "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        fingerprint(STYLE),
        fingerprint(SCRIPT)
    );
    let data = json::embedded(&data).map_err(|e| askama::Error::Custom(Box::new(e)))?;
    Page { report, policy, style: STYLE, data, left_out }.render()
}

/// The HTML after the samples.
///
/// # Errors
/// None that is known of.
pub fn end(shown: usize) -> Result<String, askama::Error> {
    End { shown, script: SCRIPT }.render()
}

/// As content security policies name what they allow.
fn fingerprint(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_cannot_end_their_elements() {
        assert!(!STYLE.contains("</style") && !SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
        assert!(![STYLE, SCRIPT].iter().any(|text| text.contains("@import") || text.contains("://")));
    }
}
