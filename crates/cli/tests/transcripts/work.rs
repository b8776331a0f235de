//! Builds, installs and their logs.
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{Script, job, kiln};
use crate::shows;

#[tokio::test]
async fn serial_ports_are_listed_with_what_keeps_them_from_being_used() {
    let answer = |ports: Value| {
        let advice = "Use a cable that carries data.";
        json!({"reply": "serial_ports", "ports": ports, "advice": advice})
    };
    let port = |path: &str, state: &str, problem: &str| {
        let usb = json!({"vendor": "10c4", "product": "ea60", "serial": "0001"});
        json!({
            "path": path, "product": "CP2102N \u{1b}[2J", "usb": usb, "state": state,
            "problem": problem,
        })
    };
    let two = json!([
        port("/dev/ttyUSB0", "usable", ""),
        port(
            "/dev/ttyUSB1",
            "busy",
            "/dev/ttyUSB1 is in use by minicom (process 77)."
        ),
    ]);
    let script = || Script::new().on("serial_ports", answer(two.clone()));
    shows(
        &kiln("ports", "", script()).await,
        expect![[r#"
        exit 0
        --- out
        PORT          DEVICE             USB        SERIAL NUMBER  STATE
        /dev/ttyUSB0  CP2102N \u{1b}[2J  10c4:ea60  0001           usable
        /dev/ttyUSB1  CP2102N \u{1b}[2J  10c4:ea60  0001           busy
        /dev/ttyUSB1 is in use by minicom (process 77).
        --- err
    "#]],
    );
    let told = kiln("--json ports", "", script()).await;
    assert_eq!(serde_json::from_str::<Value>(&told.out).unwrap(), two);
    let script = Script::new().on("serial_ports", answer(json!([])));
    shows(
        &kiln("ports", "", script).await,
        expect![[r#"
        exit 0
        --- out
        No serial port is connected.
        Use a cable that carries data.
        --- err
    "#]],
    );
}

#[tokio::test]
async fn an_install_that_is_waited_for_shows_its_log_and_its_end() {
    let (compile, flash) = ("0123456789ab", "ba9876543210");
    let event = |job: Value| json!({"event": "job", "job": job});
    let log = |text: &str| {
        vec![
            json!({"event": "log", "offset": 0, "text": text, "next": 9}),
            json!({"event": "end"}),
        ]
    };
    let script = |end: &str| {
        let made = [
            job(compile, "compile", "queued"),
            job(flash, "upload", "queued"),
        ];
        Script::new()
            .on("install", json!({"reply": "jobs", "jobs": made}))
            .on_all(
                "jobs",
                vec![
                    event(job(compile, "compile", "running")),
                    event(job(compile, "compile", "completed")),
                    event(job(flash, "upload", end)),
                ],
            )
            .on_all("log", log("INFO Compiling\u{1b}[2J\r\n"))
            .on_all("log", log("\u{1b}[32mINFO Flashed\u{1b}[0m\n"))
    };
    let told = kiln("install kitchen --local --wait", "", script("completed")).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            INFO Compiling
            ␛[32mINFO Flashed␛[0m
            0123456789ab  compile kitchen.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            ba9876543210  upload kitchen.yaml: completed after 2.5 s, from here (receiver Tower: idle)
            --- err
            0123456789ab  compile kitchen.yaml: running, on Tower (receiver Tower: idle)
        "#]],
    );
    let expected =
        json!({"request": "install", "device": "kitchen", "build": "local", "port": "ota"});
    assert_eq!(told.heard[0], expected);
    let told = kiln("install kitchen --wait", "", script("failed")).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            INFO Compiling
            ␛[32mINFO Flashed␛[0m
            0123456789ab  compile kitchen.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            ba9876543210  upload kitchen.yaml: failed after 2.5 s, from here: The compiler failed.
            --- err
            0123456789ab  compile kitchen.yaml: running, on Tower (receiver Tower: idle)
            kiln: upload kitchen.yaml failed: The compiler failed. (`kiln logs ba9876543210`)
        "#]],
    );
}

#[tokio::test]
async fn logs_of_several_devices_are_shown_whole_and_one_after_the_other() {
    let (kitchen, bath) = ("0123456789ab", "ba9876543210");
    let of_bath = |status: &str| {
        let mut made = job(bath, "compile", status);
        made["configuration"] = json!("bath.yaml");
        made
    };
    let made = |job: Value| json!({"reply": "jobs", "jobs": [job]});
    let event = |job: Value| json!({"event": "job", "job": job});
    let log = |text: &str| json!({"event": "log", "offset": 0, "text": text, "next": 9});
    let end = || json!({"event": "end"});
    let script = Script::new()
        .on("compile", made(job(kitchen, "compile", "queued")))
        .on("compile", made(of_bath("queued")))
        .on_all(
            "jobs",
            vec![
                event(of_bath("running")),
                event(job(kitchen, "compile", "running")),
            ],
        )
        .on_all(
            "log",
            vec![
                log("INFO bath begins\n"),
                event(job(kitchen, "compile", "completed")),
                log("INFO bath ends\n"),
                event(of_bath("completed")),
                end(),
            ],
        )
        .on_all("log", vec![log("INFO kitchen\n"), end()]);
    let told = kiln("compile kitchen bath --wait", "", script).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            --- compile bath.yaml
            INFO bath begins
            INFO bath ends
            --- compile kitchen.yaml
            INFO kitchen
            0123456789ab  compile kitchen.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            ba9876543210  compile bath.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            --- err
            ba9876543210  compile bath.yaml: running, on Tower (receiver Tower: idle)
            0123456789ab  compile kitchen.yaml: running, on Tower (receiver Tower: idle)
        "#]],
    );
}

#[tokio::test]
async fn a_flash_whose_device_leaves_meanwhile_is_told_as_put_off_and_waited_for() {
    let id = "ba9876543210";
    let mut away = job(id, "upload", "queued");
    away["deferred"] = json!(true);
    away["reason"] = json!("kitchen is offline: it is flashed when it comes back");
    let states = [
        job(id, "upload", "running"),
        away,
        job(id, "upload", "completed"),
    ];
    let log = |text: &str, offset: u64, next: u64| json!({"event": "log", "offset": offset, "text": text, "next": next});
    let events = states.map(|job| json!({"event": "job", "job": job}));
    let script = Script::new()
        .on(
            "install",
            json!({"reply": "jobs", "jobs": [job(id, "upload", "queued")]}),
        )
        .on_all("jobs", events[..1].to_vec())
        .on_all(
            "log",
            vec![
                log("INFO Connecting\n", 0, 16),
                events[1].clone(),
                events[2].clone(),
                log("INFO of a follow that is over\n", 16, 46),
            ],
        )
        .on_all(
            "log",
            vec![log("INFO Flashed\n", 16, 29), json!({"event": "end"})],
        );
    let told = kiln("install kitchen --wait", "", script).await;
    assert_eq!(told.heard[3]["offset"], 16, "it goes on where it was");
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        INFO Connecting
        INFO Flashed
        ba9876543210  upload kitchen.yaml: completed after 2.5 s, from here (receiver Tower: idle)
        --- err
        ba9876543210  upload kitchen.yaml: running, from here (receiver Tower: idle)
        ba9876543210  upload kitchen.yaml: queued, from here (kitchen is offline: it is flashed when it comes back)
    "#]],
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_with_a_limit_ends_and_says_that_the_work_goes_on() {
    let made = json!({"reply": "jobs", "jobs": [job("0123456789ab", "compile", "queued")]});
    let running = json!({"event": "job", "job": job("0123456789ab", "compile", "running")});
    let script = Script::new().on("compile", made).on("jobs", running);
    let told = kiln("--json compile kitchen --wait --timeout 60", "", script).await;
    shows(
        &told,
        expect![[r#"
            exit 4
            --- out
            {"jobs":[{"bootloader":"include","completed_at":null,"configuration":"kitchen.yaml","created_at":1.0,"deferred":false,"depends_on":null,"device_name":"kitchen","error":null,"exit_code":null,"failure_reason":null,"id":"0123456789ab","kind":"compile","origin":{"by":"owner"},"placement":{"esphome_version":null,"label":"Tower","on":"remote","pin_sha256":"bc841db8fea3efd84555a7f8eeb925033c90c9d5034b1a4c48a6c87de3c0ebde"},"port":null,"progress":null,"reason":"receiver Tower: idle","started_at":1.0,"status":"running","target_version":null}]}
            --- err
            {"error":{"code":"timed_out","hint":"Look with `kiln jobs` or `kiln receivers`.","message":"It was not done within 60 s; it goes on."}}
        "#]],
    );
}

#[tokio::test]
async fn a_build_with_another_esphome_says_with_which() {
    let mut other = job("0123456789ab", "compile", "queued");
    other["placement"]["esphome_version"] = json!("2026.9.1");
    let made = json!({"reply": "jobs", "jobs": [other]});
    shows(
        &kiln("compile kitchen", "", Script::new().on("compile", made)).await,
        expect![[r#"
            exit 0
            --- out
            0123456789ab  compile kitchen.yaml: queued, on Tower with ESPHome 2026.9.1 (receiver Tower: idle)
            --- err
        "#]],
    );
}

#[tokio::test]
async fn one_refused_device_does_not_stop_the_others() {
    let refused = json!({
        "reply": "refused", "code": "not_found", "message": "There is no device bath.",
        "hint": "See them with `kiln devices`.",
    });
    let made = json!({"reply": "jobs", "jobs": [job("0123456789ab", "compile", "queued")]});
    let script = Script::new().on("compile", refused).on("compile", made);
    shows(
        &kiln("compile bath kitchen", "", script).await,
        expect![[r#"
            exit 1
            --- out
            0123456789ab  compile kitchen.yaml: queued, on Tower (receiver Tower: idle)
            --- err
            kiln: There is no device bath.
                  See them with `kiln devices`.
        "#]],
    );
}

#[tokio::test]
async fn a_log_is_shown_as_text_that_cannot_drive_the_terminal() {
    let jobs = || json!({"reply": "jobs", "jobs": [job("0123456789ab", "compile", "running")]});
    let script = |name| {
        let text = "one\u{1b}[31m red\u{1b}[0m\u{1b}]0;title\u{7}\r\ntwo\u{8}\n";
        Script::new().on("jobs", jobs()).on_all(
            name,
            vec![
                json!({"event": "log", "offset": 0, "text": text, "next": 40}),
                json!({"event": "end"}),
            ],
        )
    };
    let told = kiln("logs 0123", "", script("log_now")).await;
    assert_eq!(told.out, "one\u{1b}[31m red\u{1b}[0m\ntwo\n");
    assert_eq!(told.heard[1]["job"], "0123456789ab");
    let told = kiln("logs -f 0123456789ab", "", script("log")).await;
    assert!(told.text.starts_with("exit 0"));
    let told = kiln("cancel ff", "", Script::new().on("jobs", jobs())).await;
    shows(
        &told,
        expect![[r#"
        exit 1
        --- out
        --- err
        kiln: There is no job "ff".
              See them with `kiln jobs`.
    "#]],
    );
}
