//! What is kept on disk, and what is deleted of it.
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{OWN, Script, TOWER, kiln, on_terminal, status};
use crate::shows;

pub(crate) fn stored() -> Value {
    json!([
        {"kind": "build", "pin_sha256": TOWER, "device": "kit\u{202e}chen", "version": null,
         "bytes": 1_400_000_000_u64, "last_used": 1.0, "kept": null},
        {"kind": "toolchains", "pin_sha256": OWN, "device": "", "version": null,
         "bytes": 2_000_000_000_u64, "last_used": 2.0, "kept": "in_use"},
        {"kind": "environment", "pin_sha256": null, "device": "", "version": "2026.10.0",
         "bytes": 600_000_000, "last_used": 3.0, "kept": "own_builds"},
        {"kind": "logs", "pin_sha256": null, "device": "", "version": null,
         "bytes": 5_000, "last_used": 3.0, "kept": "listed"},
    ])
}

fn storage(items: Value) -> Value {
    json!({"reply": "storage", "storage": {
        "measured_at": 9.0, "used_bytes": 4_000_005_000_u64, "budget_bytes": 21_474_836_480_u64,
        "free_bytes": 50_000_000_000_u64, "floor_bytes": 2_147_483_648_u64, "items": items,
    }})
}

pub(crate) fn looked(items: Value) -> Script {
    Script::new()
        .on("storage", storage(items))
        .on("status", status(json!({})))
}

#[tokio::test]
async fn storage_says_what_is_kept_for_whom_and_why() {
    let told = kiln("storage", "", looked(stored())).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        Kiln uses 4.0 GB of 21.5 GB. 50.0 GB are free on this disk. Below 2.1 GB nothing is built for others.

        FOR        WHAT                    SIZE      LAST USED            STAYS BECAUSE
        aaa8fff7   all of it               2.0 GB
                   toolchains and caches   2.0 GB    DATE TIME  a job needs it
        bc841db8   all of it               1.4 GB
                   kit\u{202e}chen: build  1.4 GB    DATE TIME
        this Kiln  all of it               600.0 MB
                   ESPHome 2026.10.0       600.0 MB  DATE TIME  your own builds are made with it
                   logs of jobs            5.0 kB                         the jobs are still listed

        1.4 GB can be made again; `kiln storage reclaim` deletes it.
        --- err
        Looking at the disk.
    "#]],
    );
    let told = kiln("storage --json", "", looked(stored())).await;
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object, storage(stored())["storage"]);
}

#[tokio::test]
async fn nothing_is_deleted_on_a_terminal_without_a_yes() {
    let told = on_terminal("storage reclaim", "n\n", looked(stored())).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            --- err
            Looking at the disk.
            FOR       WHAT                    SIZE    LAST USED
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME
            Delete 1.4 GB? It is made or downloaded again when it is needed. [y/N] kiln: Nothing was deleted.
        "#]],
    );
    assert_eq!(told.heard.len(), 2);
}

#[tokio::test]
async fn what_was_deleted_is_said_and_what_could_not_be() {
    let freed = json!([stored()[0]]);
    let mut left = stored()[0].clone();
    left["kept"] = json!("stuck");
    let reclaimed = json!({
        "reply": "reclaimed", "freed_bytes": 1_400_000_000_u64, "freed": freed, "left": [left],
    });
    let script = looked(stored()).on("reclaim", reclaimed.clone());
    let told = on_terminal("storage reclaim", "y\n", script).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            Deleted 1.4 GB:
            FOR       WHAT                    SIZE    LAST USED
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME
            This could not be deleted; Kiln's own log says why:
            FOR       WHAT                    SIZE    LAST USED            STAYS BECAUSE
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME  it could not be deleted
            --- err
            Looking at the disk.
            FOR       WHAT                    SIZE    LAST USED
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME
            Delete 1.4 GB? It is made or downloaded again when it is needed. [y/N] Deleting.
        "#]],
    );
    let script = looked(stored()).on("reclaim", reclaimed.clone());
    let told = kiln("storage reclaim --yes --json", "", script).await;
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object, reclaimed);
}

#[tokio::test]
async fn where_all_of_it_is_needed_nothing_is_asked() {
    let told = on_terminal("storage reclaim", "", looked(json!([]))).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            Nothing was deleted: all of it is needed.
            --- err
            Looking at the disk.
        "#]],
    );
}
