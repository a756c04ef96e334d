//! How the program fails: what went wrong, where, and the way out, on one screen.

use std::fmt;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use lrp_core::text::clean;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::diagnosis::Diagnosis;
use crate::drawn::Drawn;
use crate::output::{json, report, report_styled};

/// So many mistakes are drawn: what is on one screen.
const MISTAKES: usize = 3;

/// Characters of a message that could not be drawn.
const PLAIN: usize = 4000;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// The user's input was wrong: exit code 2. Never empty.
    User(Vec<Complaint>),
    /// A recipe was wrong, with places in its text: exit code 2.
    Recipe(lrp_config::RecipeError),
    /// A check did not hold; the report has been printed: exit code 1.
    Check,
    /// A mistake of this program: exit code 3.
    Internal(String),
    /// The user has interrupted it; how to go on: exit code 130.
    Interrupted(String),
}

/// A sentence that names the place, and one that names the way out.
#[derive(Debug)]
pub struct Complaint {
    message: String,
    help: Option<String>,
}

impl Complaint {
    /// What is wrong, and the way out.
    pub fn new(message: impl fmt::Display, help: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: Some(help.to_string()) }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Complaint {}

impl Diagnostic for Complaint {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::User(complaints) => {
                let messages: Vec<&str> = complaints.iter().map(|complaint| complaint.message.as_str()).collect();
                f.write_str(&messages.join("; "))
            }
            Failure::Recipe(error) => error.fmt(f),
            Failure::Check => f.write_str("a check did not hold"),
            Failure::Internal(message) | Failure::Interrupted(message) => f.write_str(message),
        }
    }
}

impl Failure {
    /// Wrong input, with a way out.
    pub fn user(message: impl fmt::Display, help: impl fmt::Display) -> Self {
        Failure::User(vec![Complaint::new(message, help)])
    }

    /// Wrong input whose message says all there is to say.
    pub fn plain(message: impl fmt::Display) -> Self {
        Failure::User(vec![Complaint { message: message.to_string(), help: None }])
    }

    /// The same about a file: its name comes first where the message does not have it.
    pub fn of_file(self, path: &str) -> Self {
        let Failure::User(mut complaints) = self else { return self };
        for complaint in complaints.iter_mut().filter(|complaint| !complaint.message.contains(path)) {
            complaint.message = format!("'{path}': {}", complaint.message);
        }
        Failure::User(complaints)
    }

    /// Prints the failure to standard error, as JSON if the output is for machines, and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            self.report_json();
        } else {
            self.draw();
        }
        ExitCode::from(match self {
            Failure::Check => 1,
            Failure::User(_) | Failure::Recipe(_) => 2,
            Failure::Internal(_) => 3,
            Failure::Interrupted(_) => crate::interrupt::CODE,
        })
    }

    /// Prints the failure to standard error for people.
    pub fn draw(&self) {
        match self {
            Failure::User(complaints) => draw_some(complaints),
            // Each mistake by itself: the error as a whole would say all of them once more.
            Failure::Recipe(error) => draw_some(error.diagnostics()),
            Failure::Check => {}
            Failure::Interrupted(message) => report(format_args!("{message}\n")),
            Failure::Internal(message) => report(format_args!(
                "internal error: {}\nThis is a mistake in lrp itself. Please report it with the command that shows it.\n",
                clean(message, PLAIN)
            )),
        }
    }

    fn report_json(&self) {
        let errors: Vec<Diagnosis> = match self {
            Failure::User(complaints) => {
                complaints.iter().map(|c| Diagnosis::error(&c.message, c.help.clone())).collect()
            }
            Failure::Recipe(error) => error.diagnostics().iter().map(Diagnosis::from).collect(),
            Failure::Check => return,
            Failure::Interrupted(message) => vec![Diagnosis::error(message, None)],
            Failure::Internal(message) => vec![Diagnosis::error(format!("internal error: {message}"), None)],
        };
        let text = serde_json::to_string_pretty(&serde_json::json!({ "errors": errors }));
        report(format_args!("{}\n", json(&text.unwrap_or_else(|_| self.to_string()))));
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
    // This is where the program says what is wrong: a panic of the library that draws must not come in between.
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

impl From<lrp_config::RecipeError> for Failure {
    fn from(error: lrp_config::RecipeError) -> Self {
        Failure::Recipe(error)
    }
}
