//! The `swaptier` program: reads the command line, calls the room that does the work, and gives the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    swaptier::cli::main()
}
