//! Errors of the program: message, location and remedy, on one screen.

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use lrp::{Complaint, Diagnosis, Error};
use lrp_core::text::clean;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::drawn::Drawn;
use crate::output::{json, report, report_styled};

/// The number of mistakes that are drawn: one screen.
const MISTAKES: usize = 3;

/// Characters of a message that could not be drawn.
const PLAIN: usize = 4000;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// The user's input was wrong, exit code 2, or there is a mistake of this program, exit code 3.
    Error(Error),
    /// A check did not hold; the report has been printed: exit code 1.
    Check,
    /// The user has interrupted it; how to go on: exit code 130.
    Interrupted(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl From<lrp_config::RecipeError> for Failure {
    fn from(error: lrp_config::RecipeError) -> Self {
        Failure::Error(error.into())
    }
}

impl Failure {
    /// Prints the failure to standard error, as JSON if the output is for machines, and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            self.report_json();
        } else {
            self.draw();
        }
        ExitCode::from(match self {
            Failure::Check => 1,
            Failure::Error(Error::Internal(_)) => 3,
            Failure::Error(_) => 2,
            Failure::Interrupted(_) => crate::interrupt::CODE,
        })
    }

    fn draw(&self) {
        match self {
            Failure::Error(error) => draw_error(error),
            Failure::Check => {}
            Failure::Interrupted(message) => report(format_args!("{message}\n")),
        }
    }

    fn report_json(&self) {
        let errors: Vec<Diagnosis> = match self {
            Failure::Error(Error::Recipe(error)) => error.diagnostics().iter().map(Diagnosis::from).collect(),
            Failure::Error(Error::Internal(message)) => {
                vec![Diagnosis::error(format!("internal error: {message}"), None)]
            }
            Failure::Error(error) => {
                let complaint = |c: &Complaint| Diagnosis::error(c.message(), c.remedy().map(str::to_owned));
                error.complaints().iter().map(complaint).collect()
            }
            Failure::Check => return,
            Failure::Interrupted(message) => vec![Diagnosis::error(message, None)],
        };
        let text = serde_json::to_string_pretty(&serde_json::json!({ "errors": errors }));
        report(format_args!("{}\n", json(&text.unwrap_or_default())));
    }
}

/// Draws an error on standard error, for people.
pub fn draw_error(error: &Error) {
    match error {
        // Each mistake by itself: the error as a whole would say all of them once more.
        Error::Recipe(error) => draw_some(error.diagnostics()),
        Error::Internal(message) => report(format_args!(
            "internal error: {}\nThis is a mistake in lrp itself. Please report it with the command that shows it.\n",
            clean(message, PLAIN)
        )),
        error => draw_some(&error.complaints()),
    }
}

/// Draws the first mistakes, and says how many more there are.
fn draw_some<D: Diagnostic>(mistakes: &[D]) {
    let (shown, more) = mistakes.split_at(mistakes.len().min(MISTAKES));
    for (i, mistake) in shown.iter().enumerate() {
        if i > 0 {
            report(format_args!("\n"));
        }
        draw(mistake);
    }
    if !more.is_empty() {
        report(format_args!("\nand {} more\n", more.len()));
    }
}

/// Draws a diagnostic on standard error.
pub fn draw(diagnostic: &dyn Diagnostic) {
    // This prints the error: a panic of the library that draws must not come in between.
    let rendered = catch_unwind(AssertUnwindSafe(|| {
        let mut text = String::new();
        handler().render_report(&mut text, &Drawn::new(diagnostic)).ok().map(|()| text)
    }));
    match rendered {
        Ok(Some(text)) => report_styled(&text),
        _ => report(format_args!("error: {}\n", clean(&diagnostic.to_string(), PLAIN))),
    }
}

/// Colours and box-drawing on a terminal, plain ASCII elsewhere.
fn handler() -> GraphicalReportHandler {
    let terminal = std::io::stderr().is_terminal();
    let theme = match terminal {
        true if std::env::var_os("NO_COLOR").is_some() => GraphicalTheme::unicode_nocolor(),
        true => GraphicalTheme::unicode(),
        false => GraphicalTheme::none(),
    };
    GraphicalReportHandler::new_themed(theme)
        .with_width(if terminal { 100 } else { 120 })
        // Names with hyphens stay whole, so that they can be copied.
        .with_word_splitter(textwrap::WordSplitter::NoHyphenation)
}
