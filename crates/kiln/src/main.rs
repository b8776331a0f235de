//! The program `kiln`: `serve` runs a node, every other verb asks the one that runs.
use std::process::ExitCode;
use std::time::Duration;

use kiln_cli::{Face, Shape};

mod import;
mod secrets;
mod serve;
mod transport;

/// What tasks have to end by themselves when the verb is done.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
        Ok(runtime) => {
            let code = runtime.block_on(transport::run(arguments, &mut face));
            // What still blocks, at a keyring or a share that does not answer, is not waited for.
            runtime.shutdown_timeout(LAST_WORDS);
            code
        }
        Err(error) => {
            face.failed(&kiln_cli::Failure::Broken(format!(
                "Kiln cannot start: {error}."
            )));
            ExitCode::FAILURE
        }
    }
}
