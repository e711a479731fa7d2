//! `swaptier completions` and `swaptier man`: both are made from the command line's own definition.

use clap::Command;

use super::output::say;
use crate::exit::{Exit, Result};

/// What `completions` takes.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints what the shell completes the command line by.
pub(super) fn completions(command: &mut Command, args: &CompletionArgs) -> Result {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, command, "swaptier", &mut text);
    say(&String::from_utf8(text)?)?;
    Ok(Exit::Done)
}

/// Prints the manual page, in roff: the program, then every command in a section of its own.
pub(super) fn man(command: Command) -> Result {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render(&mut page)?;
    for each in command.get_subcommands().filter(|each| !each.is_hide_set()) {
        let heading = format!(".SH \"SWAPTIER {}\"\n", each.get_name().to_uppercase());
        page.extend_from_slice(heading.as_bytes());
        let man = clap_mangen::Man::new(each.clone());
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    page.extend_from_slice(EXIT_STATUS.as_bytes());
    say(&String::from_utf8(page)?)?;
    Ok(Exit::Done)
}

/// The codes of `exit.rs`, for the page.
const EXIT_STATUS: &str = "\
.SH \"EXIT STATUS\"
.TP
0
Done.
.TP
1
Failed while running.
.TP
2
The command line is not understood.
.TP
3
A policy or the configuration is invalid.
.TP
4
This kernel or host cannot do it.
.TP
5
Not permitted.
.TP
6
There was nothing to do.
.TP
7
Another agent holds the state folder, or serves the socket.
";
