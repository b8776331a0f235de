//! Windows: the Run key of this user. What the person switches off in Settings or the Task Manager
//! stands in `StartupApproved` beside it.
use kiln_ports::autostart::{AutostartError, StartAtLogin};
use windows::core::Error;
use windows_registry::CURRENT_USER;

use super::LoginItem;

const RUN: &str = r"Software\Microsoft\Windows\CurrentVersion\Run";
const APPROVED: &str = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run";

/// `HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)`: no such key or value.
const NOT_FOUND: i32 = 0x8007_0002_u32.cast_signed();

/// The Run key.
pub(super) struct List {
    item: LoginItem,
}

impl List {
    pub(super) fn new(item: LoginItem) -> Self {
        Self { item }
    }

    pub(super) fn state(&self) -> Result<StartAtLogin, AutostartError> {
        let id = &self.item.id;
        let run = CURRENT_USER.open(RUN).and_then(|key| key.get_string(id));
        if found(run)?.is_none() {
            return Ok(StartAtLogin::Off);
        }
        let approved = CURRENT_USER.open(APPROVED);
        let approved = found(approved.and_then(|key| key.get_value(id)))?;
        // The first of twelve bytes is even while the entry is allowed, odd when it was switched off.
        let blocked = approved.is_some_and(|value| value.first().is_some_and(|byte| byte % 2 == 1));
        Ok(if blocked {
            StartAtLogin::Blocked
        } else {
            StartAtLogin::On
        })
    }

    pub(super) fn enable(&self) -> Result<(), AutostartError> {
        let key = CURRENT_USER.create(RUN).map_err(|e| failed(&e))?;
        key.set_string(&self.item.id, command(&self.item))
            .map_err(|e| failed(&e))
    }

    pub(super) fn disable(&self) -> Result<(), AutostartError> {
        let key = CURRENT_USER.create(RUN).map_err(|e| failed(&e))?;
        found(key.remove_value(&self.item.id)).map(drop)
    }
}

/// The command line: a program's path cannot contain quotes, and Kiln's arguments do not.
fn command(item: &LoginItem) -> String {
    let mut command = format!("\"{}\"", item.program.display());
    for argument in &item.arguments {
        command.push(' ');
        command.push_str(argument);
    }
    command
}

/// What is not there is no error.
fn found<T>(result: Result<T, Error>) -> Result<Option<T>, AutostartError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code().0 == NOT_FOUND => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &Error) -> AutostartError {
    AutostartError::Failed(error.message())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autostart::LoginItems;
    use windows_registry::Type;

    #[test]
    fn the_task_managers_word_is_obeyed() {
        let item = LoginItem {
            name: "Kiln".to_owned(),
            id: format!("kiln-test-{}", std::process::id()),
            icon: "kiln".to_owned(),
            program: r"C:\Program Files\Kiln\kiln-desktop.exe".into(),
            arguments: vec!["--hidden".to_owned()],
        };
        let id = item.id.clone();
        let list = LoginItems::new(item);
        assert_eq!(list.state(), Ok(StartAtLogin::Off));
        list.enable().unwrap();
        assert_eq!(list.state(), Ok(StartAtLogin::On));
        let approved = CURRENT_USER.create(APPROVED).unwrap();
        for (first, state) in [(3, StartAtLogin::Blocked), (2, StartAtLogin::On)] {
            let mut value = [0; 12];
            value[0] = first;
            approved.set_bytes(&id, Type::Bytes, &value).unwrap();
            assert_eq!(list.state(), Ok(state));
        }
        list.disable().unwrap();
        assert_eq!(list.state(), Ok(StartAtLogin::Off));
        approved.remove_value(&id).unwrap();
    }
}
