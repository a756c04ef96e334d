//! `lrp init`: a commented recipe to start from, made for a model.
//!
//! The graph is looked at (`survey`), rules are chosen for its parts (`composite`), what is known of the input is gathered
//! (`expected`), and all of it is written down with its reasons (`document`, in the form that `text` gives it).

mod composite;
mod document;
mod expected;
mod inside;
mod relative;
mod survey;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};

use self::composite::Composite;
use self::document::Document;
use self::expected::Expected;
use self::inside::Inside;
use self::relative::Base;
use self::survey::Survey;
use crate::args::InitArgs;
use crate::failure::Failure;
use crate::guard::Guard;
use crate::input;
use crate::job::ModelJob;
use crate::output::{print, say};
use crate::session::Loaded;

/// Writes a recipe for a model.
pub fn init(args: &InitArgs) -> Result<(), Failure> {
    // A complaint about the place comes before the work.
    let base = Base::of(args.out.as_deref())?;
    if let Some(path) = args.out.as_deref().filter(|path| path.exists() && !args.force) {
        return Err(exists(path));
    }
    for path in std::iter::once(&args.model).chain(&args.labels).chain(&args.input) {
        base.check(path)?;
    }
    let files = if args.input.is_empty() { Vec::new() } else { input::expand(&args.input)? };
    let job = ModelJob {
        path: args.model.clone(),
        sample_shape: Some(args.input_shape.clone()).filter(|shape| !shape.is_empty()),
        example: files.iter().find(|path| input::is_array(path)).cloned(),
        labels: args.labels.clone(),
        exact: false,
        low_memory: false,
        no_mmap: false,
    };
    let loaded = Loaded::<f32>::new(&job)?;
    if let Some(path) = &args.out {
        Guard::new()
            .with_model(&loaded)
            .with("the labels", args.labels.as_ref())
            .with("an input", &files)
            .check(path)?;
    }
    let shape = loaded.input_shape()?;
    let mut expected = Expected::new(&loaded.import.metadata, shape, &files)?;
    expected.inside = Inside::new(&loaded.model);
    expected.preset = args.input_preset;
    let survey = Survey::new(&loaded.model);
    let composite = Composite::new(&loaded.model, &survey, &expected);
    let document = Document { args, loaded: &loaded, base: &base, survey, expected, composite };
    let text = document.text();
    let Some(path) = &args.out else { return print(format_args!("{text}")) };
    if args.schema {
        let copy = path.with_file_name(SCHEMA_FILE);
        let schema = serde_json::to_string_pretty(&lrp_config::schema());
        let schema = schema.map_err(|e| Failure::Internal(format!("schema: {e}")))?;
        // One that is there may be older, and is nobody's own work.
        write(&copy, &(schema + "\n"), true)?;
    }
    let text = schema_line(path).unwrap_or_default() + &text;
    write(path, &text, args.force)?;
    let count = loaded.model.layers().len();
    let layers = if count == 1 { "1 weighted layer".to_owned() } else { format!("{count} weighted layers") };
    let (path, model) = (input::named(path), input::named(&args.model));
    say!("{path}: a recipe for {model} ({layers}), {}", document.survey.name())?;
    say!("see what it does with lrp plan -r {path}")?;
    loaded.print_notes();
    Ok(())
}

/// What the schema of recipes is called where it is a file.
const SCHEMA_FILE: &str = "recipe.schema.json";

/// The line that tells editors of the schema, where there is one: beside the recipe, or in `configs` of a folder above, as in this repository.
fn schema_line(recipe: &Path) -> Option<String> {
    let folder = recipe.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.join(SCHEMA_FILE).is_file() {
        return Some(format!("#:schema ./{SCHEMA_FILE}\n"));
    }
    let folder = folder.canonicalize().ok()?;
    let (up, _) =
        folder.ancestors().enumerate().find(|(_, above)| above.join("configs").join(SCHEMA_FILE).is_file())?;
    Some(format!("#:schema {}configs/{SCHEMA_FILE}\n", if up == 0 { "./".to_owned() } else { "../".repeat(up) }))
}

fn exists(path: &Path) -> Failure {
    Failure::user(
        format!("'{}' is there already", path.display()),
        "choose another file, or pass --force to write over it",
    )
}

/// Writes a file; one that is there already only where that is meant.
fn write(path: &PathBuf, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(force).create_new(!force);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::plain(format!("cannot write '{}': {error}", path.display())),
    })
}
