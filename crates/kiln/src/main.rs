//! The program `kiln`: `serve` runs a node, every other verb asks the one that runs.
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use kiln_cli::{Arguments, Face, Shape};

mod import;
mod secrets;
mod serve;
mod transport;

/// Exit code of a launcher that could not start its program (as shells have it).
const NOT_STARTED: u8 = 126;

fn main() -> ExitCode {
    if let Some(why) = kiln_platform::sandbox::launch_if_asked() {
        // Whoever reads no errors gets the exit code.
        let _ = writeln!(
            std::io::stderr(),
            "kiln: this build could not be boxed: {why}."
        );
        return ExitCode::from(NOT_STARTED);
    }
    let arguments = Arguments::parse();
    let shape = if arguments.json {
        Shape::Json
    } else {
        Shape::Text
    };
    let mut face = Face::of_process(shape, arguments.quiet, arguments.color);
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(transport::run(arguments, &mut face)),
        Err(error) => {
            face.failed(&kiln_cli::Failure::Broken(format!(
                "Kiln cannot start: {error}."
            )));
            ExitCode::FAILURE
        }
    }
}
