//! The program `kiln`: `serve` runs a node, every other verb asks the one that runs.
use std::process::ExitCode;

use kiln_cli::{Face, Shape};

mod import;
mod secrets;
mod serve;
mod transport;

fn main() -> ExitCode {
    if let Some(code) = kiln_host::launched() {
        return code;
    }
    let given: Vec<_> = std::env::args_os().collect();
    let arguments = match kiln_cli::understand(&given) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
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
