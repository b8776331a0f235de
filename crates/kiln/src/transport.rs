//! Hands a verb to whoever does it: the node of this state directory, or this process itself.
use std::process::ExitCode;

use kiln_cli::{Arguments, Face, Failure, Verb};
use kiln_host::Door;
use kiln_platform::Paths;

use crate::{import, serve};

/// Does what was asked.
pub(crate) async fn run(arguments: Arguments, face: &mut Face) -> ExitCode {
    let home = arguments.home.clone().map(Into::into);
    let paths = match Paths::find(home) {
        Ok(paths) => paths,
        Err(error) => return fail(face, &Failure::NotServing(error.to_string())),
    };
    let done = match arguments.verb {
        Verb::Serve(wanted) => serve::serve(&paths, wanted, arguments.verbose, face).await,
        Verb::Import(wanted) => import::import(&paths, wanted, face)
            .await
            .map_err(Failure::NotImported),
        verb => return kiln_cli::run(verb, &Door::new(&paths, "kiln"), face).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(face, &failure),
    }
}

fn fail(face: &mut Face, failure: &Failure) -> ExitCode {
    face.failed(failure);
    failure.code()
}
