//! The store against real files.
use std::fs;
use std::io::Write as _;
use std::path::Path;

use kiln_model::BlobId;
use kiln_ports::Store as _;
use kiln_ports::store::{Change, Row, StoreError};

use super::SqliteStore;

fn open(dir: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(dir, &dir.join("logs"))
}

fn put(kind: &str, key: &str, body: &str) -> Change {
    Change::Put(Row {
        kind: kind.into(),
        key: key.into(),
        body: body.into(),
    })
}

fn keys(store: &SqliteStore, kind: &str) -> Vec<String> {
    store
        .rows(kind)
        .unwrap()
        .into_iter()
        .map(|r| r.key)
        .collect()
}

#[test]
fn rows_come_in_order_of_first_insertion_also_after_a_replacement_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store
        .apply(&[
            put("job", "c", "1"),
            put("job", "a", "2"),
            put("peer", "x", "{}"),
        ])
        .unwrap();
    store
        .apply(&[put("job", "b", "3"), put("job", "c", "4")])
        .unwrap();
    assert_eq!(keys(&store, "job"), ["c", "a", "b"]);
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(keys(&store, "job"), ["c", "a", "b"]);
    assert_eq!(store.rows("job").unwrap()[0].body, "4");
    assert_eq!(keys(&store, "peer"), ["x"]);
}

#[test]
fn deleting_what_is_not_there_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let delete = Change::Delete {
        kind: "job".into(),
        key: "a".into(),
    };
    store.apply(&[put("job", "a", "1")]).unwrap();
    store.apply(&[delete.clone(), delete]).unwrap();
    assert_eq!(keys(&store, "job"), [""; 0]);
    store.drop_blob(&BlobId::new("bundle", 1)).unwrap();
}

#[test]
fn blobs_on_disk_are_listed_and_other_files_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let id = BlobId::new("bundle", 7);
    store.create_blob(&id).unwrap().write_all(b"old").unwrap();
    store.create_blob(&id).unwrap().write_all(b"x").unwrap();
    assert_eq!(fs::read(store.blob_path(&id)).unwrap(), b"x");
    fs::write(dir.path().join("blobs/not a blob"), "x").unwrap();
    assert_eq!(store.blobs().unwrap(), std::slice::from_ref(&id));
    store.drop_blob(&id).unwrap();
    assert_eq!(store.blobs().unwrap(), []);
}

/// Damages a closed store, opens it, and checks that the file was left as it was.
fn refused(damage: impl Fn(&Path)) -> StoreError {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for n in 0..200 {
        store
            .apply(&[put("job", &n.to_string(), &"body ".repeat(50))])
            .unwrap();
    }
    drop(store);
    let file = dir.path().join("kiln.db");
    damage(&file);
    let before = fs::read(&file).ok();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(fs::read(&file).ok(), before, "the file was changed");
    error
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let write = |bytes: &'static [u8]| move |file: &Path| fs::write(file, bytes).unwrap();
    let garbled = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0x5a);
        fs::write(file, bytes).unwrap();
    };
    let cut = |file: &Path| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    };
    let sql = |statement: &'static str| {
        move |file: &Path| {
            let connection = rusqlite::Connection::open(file).unwrap();
            connection.execute_batch(statement).unwrap();
        }
    };
    let cases = [
        ("empty", refused(write(b""))),
        ("text", refused(write(b"this is not a database, but long enough to be one: ..............................................."))),
        ("garbled", refused(garbled)),
        ("cut", refused(cut)),
        ("somebody else's", refused(sql("PRAGMA application_id = 1"))),
        ("without schema", refused(sql("PRAGMA user_version = 0"))),
    ];
    for (name, error) in cases {
        assert!(matches!(error, StoreError::Damaged(_)), "{name}: {error:?}");
    }
}

#[test]
fn a_journal_without_its_file_is_damage_and_not_a_fresh_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("kiln.db-wal"), "x").unwrap();
    assert!(matches!(
        open(dir.path()).unwrap_err(),
        StoreError::Damaged(_)
    ));
    assert!(!dir.path().join("kiln.db").exists());
}

#[test]
fn a_file_of_a_newer_kiln_is_refused_by_its_number_and_left_as_it_is() {
    let newer = |file: &Path| {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
    };
    assert_eq!(refused(newer), StoreError::Newer(99));
}

#[test]
fn a_start_that_was_cut_short_is_started_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("kiln.db.new"), "half").unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(keys(&store, "job"), [""; 0]);
    assert!(!dir.path().join("kiln.db.new").exists());
}

#[test]
fn a_full_disk_is_told_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.apply(&[put("job", "a", "1")]).unwrap();
    let pages = |limit: i64| {
        let connection = store.connection();
        connection
            .pragma_update_and_check(None, "max_page_count", limit, |_| Ok(()))
            .unwrap();
    };
    // SQLite refuses like this when the disk does.
    pages(1);
    let big = put("job", "b", &"x".repeat(1_000_000));
    let error = store
        .apply(&[put("job", "a", "2"), big.clone()])
        .unwrap_err();
    assert_eq!(error, StoreError::Full);
    assert_eq!(store.rows("job").unwrap()[0].body, "1");
    assert_eq!(keys(&store, "job"), ["a"]);
    pages(1_000_000);
    store.apply(&[big]).unwrap();
    assert_eq!(keys(&store, "job"), ["a", "b"]);
}

#[test]
fn records_that_another_program_has_open_are_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let Err(StoreError::Failed(why)) = open(dir.path()) else {
        panic!("only one opens them");
    };
    assert!(why.contains("another program"), "{why}");
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn a_store_opens_where_no_file_can_be_made_that_connections_share() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.apply(&[put("job", "a", "1")]).unwrap();
    drop(store);
    // As on a full disk: nothing of this name can be written.
    fs::create_dir(dir.path().join("kiln.db-shm")).unwrap();
    let store = open(dir.path()).unwrap();
    store.apply(&[put("job", "b", "1")]).unwrap();
    assert_eq!(keys(&store, "job"), ["a", "b"]);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_the_database_its_journal_or_a_blob() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.apply(&[put("job", "a", "1")]).unwrap();
    store.create_blob(&BlobId::new("bundle", 1)).unwrap();
    for name in ["kiln.db", "kiln.db-wal", "blobs/bundle-0000000000000001"] {
        let mode = fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
