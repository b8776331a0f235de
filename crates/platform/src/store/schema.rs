//! Opening the database file: made whole, checked before it is touched, migrated.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_ports::store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ToSql};

use super::{from_io, from_sqlite};
use crate::files;

/// Marks the file as Kiln's in its header: "Kiln".
const APPLICATION_ID: i32 = 0x4b69_6c6e;

/// Statements that lead from schema N to N + 1; a file's `user_version` says where it stands.
const MIGRATIONS: &[&str] = &["CREATE TABLE row (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (kind, key)
    ) STRICT;
    CREATE INDEX row_of_kind ON row (kind);"];

/// A file up to this size is read and checked whole when it is opened (about 20 ms). A larger one
/// is checked by SQLite page by page as the engine loads its rows.
const CHECKED_BYTES: u64 = 32 * 1024 * 1024;

/// Opens the file, or makes it if there is none.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    match fs::metadata(path) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(e) => return Err(from_io(e)),
    }
    let mut connection = connect(path)?;
    check(&connection, path)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(from_sqlite)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Makes a new file under another name and moves it into place, so that a file of the right name
/// is always a whole one: an empty one is damage, never a fresh start.
fn create(path: &Path) -> Result<(), StoreError> {
    let journal = beside(path, "-wal");
    if journal.exists() {
        return Err(StoreError::Damaged(format!(
            "{} is missing beside its journal",
            path.display()
        )));
    }
    let new = beside(path, ".new");
    for leftover in [new.clone(), beside(&new, "-wal"), beside(&new, "-shm")] {
        match fs::remove_file(leftover) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(from_io(e)),
        }
    }
    // Made empty here first, so that it has its mode before SQLite writes to it.
    let file = files::create_private(&new).map_err(from_io)?;
    let mut connection = connect(&new)?;
    // Synced once, when it is whole.
    let pragmas: [(&str, &dyn ToSql); 3] = [
        ("synchronous", &"off"),
        ("application_id", &APPLICATION_ID),
        ("journal_mode", &"wal"),
    ];
    for (name, value) in pragmas {
        connection
            .pragma_update(None, name, value)
            .map_err(from_sqlite)?;
    }
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(from_sqlite)?;
    migrate(&mut connection)?;
    connection
        .close()
        .map_err(|(_, error)| from_sqlite(error))?;
    file.sync_all().map_err(from_io)?;
    fs::rename(&new, path).map_err(from_io)?;
    match path.parent() {
        Some(dir) => files::sync_dir(dir).map_err(from_io),
        None => Ok(()),
    }
}

/// Opens a file that exists. Nothing is written by this, also not when it is closed again.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(from_sqlite)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(from_sqlite)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(from_sqlite)?;
    // The engine's lock makes us the only one anyway. Without this, what connections share lies in
    // a file that cannot be made on a full disk, nor on some network shares.
    let pragmas = [
        ("locking_mode", "exclusive"),
        ("synchronous", "full"),
        ("foreign_keys", "on"),
    ];
    for (name, value) in pragmas {
        connection
            .pragma_update(None, name, value)
            .map_err(from_sqlite)?;
    }
    Ok(connection)
}

/// Refuses a file that is not Kiln's, newer than this program, or damaged.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(from_sqlite)
    };
    let version = number("user_version")?;
    if number("application_id")? != i64::from(APPLICATION_ID) || version == 0 {
        return Err(StoreError::Damaged(format!(
            "{} is not a database of Kiln",
            path.display()
        )));
    }
    if usize::try_from(version).is_ok_and(|v| v > MIGRATIONS.len()) {
        return Err(StoreError::Newer(version));
    }
    if fs::metadata(path).map_err(from_io)?.len() <= CHECKED_BYTES {
        let verdict: String = connection
            .pragma_query_value(None, "quick_check", |row| row.get(0))
            .map_err(from_sqlite)?;
        if verdict != "ok" {
            return Err(StoreError::Damaged(verdict));
        }
    }
    Ok(())
}

/// Brings the schema up to date, in one transaction.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction().map_err(from_sqlite)?;
    let version: i64 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(from_sqlite)?;
    let done = usize::try_from(version).unwrap_or(0);
    for statements in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(statements).map_err(from_sqlite)?;
    }
    if done < MIGRATIONS.len() {
        transaction
            .pragma_update(None, "user_version", MIGRATIONS.len() as i64)
            .map_err(from_sqlite)?;
    }
    transaction.commit().map_err(from_sqlite)
}

/// Returns the path with a suffix on its last name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
