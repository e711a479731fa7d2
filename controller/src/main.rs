//! The `swaptier` program: reads the command line, calls the room that does the work, and gives the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = swaptier::fault::arm() {
        eprintln!("swaptier: {error}");
        return ExitCode::from(2);
    }
    swaptier::cli::main()
}
