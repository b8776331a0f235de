//! Settings by name and value.
use expect_test::expect;
use serde_json::json;

use crate::harness::{Script, kiln};
use crate::shows;

#[tokio::test]
async fn settings_are_changed_by_name_and_value_or_by_pairs() {
    let answer = || {
        json!({"reply": "settings", "settings": {
            "receiver": true, "remote_builds": true, "version_policy": "any",
            "include_local": false, "esphome_dir": "", "python": "", "esphome_version": "",
            "listen_host": "0.0.0.0", "listen_port": 6055, "cleanup_ttl_seconds": 86400,
            "friendly_name": "", "idle_minutes": 3, "on_battery": false, "on_metered": false,
            "hours": "", "exclusive_apps": "", "cpu_limit": 50, "ram_floor_mb": 512,
            "disk_floor_mb": 2048, "in_use_cores": 1, "yield_minutes": 10, "daily_minutes": 480,
            "paused_until": "",
        }})
    };
    for line in ["settings set receiver on", "settings set receiver=on"] {
        let told = kiln(line, "", Script::new().on("set_settings", answer())).await;
        assert_eq!(told.heard[0]["settings"], json!([["receiver", "on"]]));
    }
    let told = kiln("settings", "", Script::new().on("settings", answer())).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            beside_full_screen = true
            build_folders = ""
            build_hosts = ""
            cleanup_ttl_seconds = 86400
            cpu_limit = 50
            daily_minutes = 480
            disk_floor_mb = 2048
            esphome_dir = ""
            esphome_version = ""
            exclusive_apps = ""
            friendly_name = ""
            hours = ""
            idle_cores = 0
            idle_minutes = 3
            idle_ram_percent = 75
            in_use_cores = 1
            in_use_disk_floor_mb = 0
            in_use_ram_percent = 75
            include_local = false
            listen_host = "0.0.0.0"
            listen_port = 6055
            on_battery = false
            on_metered = false
            paused_until = ""
            python = ""
            ram_floor_mb = 512
            receiver = true
            remote_builds = true
            remote_sessions = "ignore"
            sandbox = "required"
            storage_budget_mb = 0
            version_policy = "any"
            while_in_use = "stop"
            yield_minutes = 10
            --- err
        "#]],
    );
    let told = kiln("settings set receiver", "", Script::new()).await;
    assert!(told.text.starts_with("exit 2"));
}
