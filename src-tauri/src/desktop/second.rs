//! A second start: asks the desktop that runs to show its window.
use kiln_desk::ToDesk;
use kiln_platform::{ControlError, DoorOf, Paths, control};

use crate::arguments::{Arguments, Shown};
use crate::{ANSWER, lines};

/// How often a desktop that is just starting is asked again.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Lets the desktop that holds the lock show its window. A hidden start has nothing to ask.
pub(super) async fn knock(paths: &Paths, arguments: Arguments) -> Result<(), String> {
    if arguments.window == Shown::OnDemand {
        return Ok(());
    }
    let word = ToDesk::Show {
        goal: arguments.goal,
    };
    let line = word.to_line().map_err(|e| e.to_string())?;
    let asked = async {
        loop {
            match control::connect(paths, DoorOf::Desk).await {
                Ok(stream) => {
                    let (mut hearing, mut saying) = lines::halves(stream);
                    lines::say(&mut saying, &line)
                        .await
                        .map_err(|e| e.to_string())?;
                    let answer = lines::hear(&mut hearing).await;
                    return answer
                        .map(|_| ())
                        .ok_or("the running Kiln did not answer".to_owned());
                }
                // It has its lock and is about to open its door.
                Err(ControlError::NobodyHome) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    tokio::time::timeout(ANSWER, asked)
        .await
        .unwrap_or_else(|_| {
            Err("Kiln runs here but does not answer; end it and start it again".to_owned())
        })
}
