//! The store: writes pairs of rows, and says each number when it is promised.
use std::path::Path;

use kiln_platform::SqliteStore;
use kiln_ports::Store as _;
use kiln_ports::store::{Change, Row};

use crate::say;

pub(crate) fn run(dir: &Path) {
    let store = match SqliteStore::open(dir, &dir.join("logs")) {
        Ok(store) => store,
        Err(error) => return say(&format!("{error:?}")),
    };
    let from = store.rows("left").map_or(0, |rows| rows.len());
    for number in from.. {
        let put = |kind: &str| {
            Change::Put(Row {
                kind: kind.to_owned(),
                key: format!("{number:08}"),
                body: "b".repeat(number % 5000),
            })
        };
        match store.apply(&[put("left"), put("right")]) {
            Ok(()) => say(&number.to_string()),
            Err(error) => return say(&format!("{error:?}")),
        }
    }
}
