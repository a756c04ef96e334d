//! The command line as a whole: `args` with the examples of every command, parsed, and in the words of shells and of `man`.

use std::io::Write;
use std::path::Path;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches};
use clap_complete::Shell;
use lrp::Error;

use crate::args::{Cli, Command};
use crate::examples;
use crate::output::{print, say};
use crate::targets;

/// The command line with its examples.
fn whole() -> clap::Command {
    examples::COMMANDS.iter().fold(Cli::command(), |whole, (name, list)| {
        whole.mut_subcommand(name, |command| {
            command.after_help(format!("{}{}", targets::text(name), examples::text(list)))
        })
    })
}

/// Reads the arguments of this process; ends it where they are wrong or ask for help.
pub fn parse() -> Command {
    let mut whole = whole();
    let matches = whole.get_matches_mut();
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli.command,
        Err(error) => error.format(&mut whole).exit(),
    }
}

/// `lrp completions`: the script that makes a shell complete.
pub fn completions(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole(), "lrp", &mut script);
    print(format_args!("{}", String::from_utf8_lossy(&script)))
}

/// `lrp man`: the manual page, or one for every command in a folder.
pub fn man(dir: Option<&Path>) -> Result<(), Error> {
    // `lrp help` has no page: it is this.
    let mut whole = whole().disable_help_subcommand(true);
    whole.build();
    let Some(dir) = dir else {
        return print(format_args!("{}", page(whole)?));
    };
    let failed =
        |path: &Path, error: std::io::Error| Error::plain(format!("cannot write '{}': {error}", path.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    // `build` has given subcommands the names of their pages, `lrp-run`.
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    let mut count = 0;
    for command in std::iter::once(&whole).chain(commands) {
        let path = dir.join(format!("{}.1", page_name(command)));
        std::fs::write(&path, page(command.clone())?).map_err(|e| failed(&path, e))?;
        count += 1;
    }
    say!("{count} manual pages written into {}", dir.display())
}

/// A page of the manual, its examples as lines of their own.
fn page(command: clap::Command) -> Result<String, Error> {
    let name = command.get_name().to_owned();
    let examples = examples::of(&name);
    let man = clap_mangen::Man::new(if examples.is_some() { command.after_help(Resettable::Reset) } else { command });
    let mut page = Vec::new();
    man.render(&mut page)
        .and_then(|()| match examples {
            Some(examples) => write!(page, "{}{}", targets::roff(&name), examples::roff(examples)),
            None => Ok(()),
        })
        .map_err(|e| Error::Internal(format!("manual page: {e}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn page_name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}
