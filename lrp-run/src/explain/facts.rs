//! The fingerprint of a job: the facts that results depend on.

use std::collections::BTreeMap;

use lrp::{Error, Loaded};
use lrp_core::Scalar;
use serde_json::json;

use super::inside::Inside;
use crate::hash;
use crate::job::ExplainJob;
use crate::manifest::{FileRecord, Fingerprint, FixedRecord, ModelRecord, Program, RecipeRecord};
use crate::targets::Targets;

/// The fingerprint of a job.
///
/// # Errors
/// When it cannot be written down.
pub fn fingerprint<T: Scalar>(
    job: &ExplainJob,
    loaded: &Loaded<T>,
    model: &ModelRecord,
    (tokens, tokenizer): (Option<&FileRecord>, Option<&FileRecord>),
    fixed: &[FixedRecord],
    (targets, inside): (&Targets, &Inside),
) -> Result<Fingerprint, Error> {
    let (what, how, output) = (&job.what, &job.what.how, &job.output);
    let recipe: Vec<String> = RecipeRecord::new(&what.recipe).sources.into_iter().map(|s| s.file.sha256).collect();
    let mut save: Vec<String> = output.save.iter().map(|save| format!("{save:?}").to_lowercase()).collect();
    save.sort();
    save.dedup();
    let external: Vec<&str> = model.external.iter().map(|file| file.sha256.as_str()).collect();
    let value = |fixed: &FixedRecord| fixed.file.as_ref().map_or(fixed.value.clone(), |file| file.sha256.clone());
    let fixed: BTreeMap<&str, String> = fixed.iter().map(|fixed| (fixed.name.as_str(), value(fixed))).collect();
    let mut facts = json!({
        "the program's version": Program::THIS,
        "the model": model.file.sha256,
        "the model's weights in other files": external,
        "the input shape": what.model.options.sample_shape,
        "the model's output": what.model.options.output,
        "the labels": hash::of_bytes(loaded.labels.join("\n").as_bytes()),
        "the recipe": recipe,
        "the rule of unknown operators": how.on_unknown.map(|rule| rule.to_string()),
        "the precision": T::NAME,
        "the exact products": what.model.options.exact,
        "the target": how.target.to_string(),
        "the files of targets": targets.files().iter().map(|file| file.sha256.as_str()).collect::<Vec<_>>(),
        "the nodes inside the network": inside.records.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(),
        "the start": how.start_in_words(),
        "the resizing": how.input.resize.map(|resize| format!("{resize:?}").to_lowercase()),
        "the scale of pixels": [json!(how.input.range), json!(how.input.mean), json!(how.input.std)],
        "the channels": how.input.channels.map(|channels| channels.name()),
        "what is saved": save,
        "the colour map": output.look.colormap.name(),
        "the scale of colours": format!("{:?}", output.look.scale).to_lowercase(),
        "the clipping": output.look.clip,
        "the overlay": output.look.overlay,
        "the size of heatmaps": output.look.size.map(|size| size.to_string()),
        "the kind of samples": how.input.kind.map(|kind| format!("{kind:?}").to_lowercase()),
        "the tokens": tokens.map(|tokens| &tokens.sha256),
    });
    // Models with one input have the facts that they have always had: their runs go on.
    if let Some(facts) = facts.as_object_mut() {
        if let Some(tokenizer) = tokenizer {
            facts.insert("the tokenizer".into(), json!(tokenizer.sha256));
            facts.insert("whether words are drawn".into(), json!(how.input.words.unwrap_or_default()));
        }
        if !fixed.is_empty() {
            facts.insert("the fixed inputs".into(), json!(fixed));
        }
        if loaded.given.only().is_none() {
            let explained: Vec<&str> = loaded.given.explained().map(|input| input.name.as_str()).collect();
            facts.insert("the explained inputs".into(), json!(explained));
        }
    }
    serde_json::from_value(facts).map_err(|e| Error::Internal(e.to_string()))
}
