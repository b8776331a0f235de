//! A node in memory that answers from a script, and the transcript of one command against it.
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::Parser;
use kiln_cli::{Answerer, Arguments, Face, Reader, Shape};
use kiln_client::{Stream, Transport};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// A question by its name, and the lines that answer it.
type Step = (&'static str, Vec<Value>);

/// What a node answers, in order: the name of a request or follow, and the lines that come back
/// (without their id).
#[derive(Clone, Default)]
pub(crate) struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    heard: Arc<Mutex<Vec<Value>>>,
    protocol: Option<u32>,
    absent: bool,
    stays: bool,
}

impl Script {
    /// A node that was not asked anything yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// No node at all.
    pub(crate) fn absent() -> Self {
        Self {
            absent: true,
            ..Self::default()
        }
    }

    /// A node of another contract.
    pub(crate) fn of_protocol(protocol: u32) -> Self {
        Self {
            protocol: Some(protocol),
            ..Self::default()
        }
    }

    /// Does not end when it is told to.
    pub(crate) fn that_stays(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Expects `name` next and answers with one line.
    pub(crate) fn on(self, name: &'static str, line: Value) -> Self {
        self.on_all(name, vec![line])
    }

    /// Expects `name` next and answers with these lines; with none it hangs up.
    pub(crate) fn on_all(self, name: &'static str, lines: Vec<Value>) -> Self {
        self.steps.lock().unwrap().push_back((name, lines));
        self
    }

    async fn serve(self, stream: DuplexStream) {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let asked: Value = serde_json::from_str(&line).unwrap();
            let answers = self.answer(&asked);
            for answer in &answers {
                let line = format!("{answer}\n");
                writer.write_all(line.as_bytes()).await.unwrap();
            }
            let ends = asked["request"] == "shutdown" && !self.stays;
            if ends || answers.is_empty() && asked.get("unfollow").is_none() {
                return;
            }
        }
    }

    fn answer(&self, asked: &Value) -> Vec<Value> {
        if asked.get("kiln").is_some() {
            let protocol = self.protocol.unwrap_or(1);
            return vec![json!({"kiln": protocol, "version": "9.9.9"})];
        }
        if asked.get("unfollow").is_some() {
            return Vec::new();
        }
        let mut heard = asked.clone();
        heard.as_object_mut().unwrap().remove("id");
        self.heard.lock().unwrap().push(heard);
        let name = asked.get("request").or(asked.get("follow")).unwrap();
        let next = self.steps.lock().unwrap().pop_front();
        let (expected, mut lines) = next.expect("a question that nobody expected");
        assert_eq!(name, expected);
        for line in &mut lines {
            line["id"] = asked["id"].clone();
        }
        lines
    }
}

impl Transport for Script {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        if self.absent {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(self.clone().serve(theirs));
        Ok(Box::new(ours))
    }
}

/// What one command did.
pub(crate) struct Transcript {
    /// Exit code and both streams, for goldens. Local times are left out, escapes are visible.
    pub(crate) text: String,
    /// Standard output alone.
    pub(crate) out: String,
    /// What the node was asked.
    pub(crate) heard: Vec<Value>,
}

/// Runs `kiln` with these arguments, in a pipe, with `typed` on standard input.
pub(crate) async fn kiln(arguments: &str, typed: &'static str, script: Script) -> Transcript {
    run(arguments, typed, script, (Reader::Pipe, Answerer::Script)).await
}

/// Like [`kiln`], with standard input and output on a terminal.
pub(crate) async fn on_terminal(
    arguments: &str,
    typed: &'static str,
    script: Script,
) -> Transcript {
    let terminal = (Reader::Terminal, Answerer::Person);
    run(arguments, typed, script, terminal).await
}

/// Like [`kiln`], with each end as it is said.
pub(crate) async fn run(
    arguments: &str,
    typed: &'static str,
    script: Script,
    ends: (Reader, Answerer),
) -> Transcript {
    play(arguments, typed, script, ends, Sink::default()).await
}

/// Like [`kiln`], into a pipe that nobody reads any more.
pub(crate) async fn to_nobody(arguments: &str, script: Script) -> Transcript {
    let out = Sink {
        broken: true,
        ..Sink::default()
    };
    play(arguments, "", script, (Reader::Pipe, Answerer::Script), out).await
}

async fn play(
    arguments: &str,
    typed: &'static str,
    script: Script,
    (reader, answerer): (Reader, Answerer),
    out: Sink,
) -> Transcript {
    let words = std::iter::once("kiln").chain(arguments.split_whitespace());
    let arguments = Arguments::try_parse_from(words).unwrap();
    let err = Sink::default();
    let mut face = Face {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        input: Box::new(typed.as_bytes()),
        reader,
        answerer,
        shape: if arguments.json {
            Shape::Json
        } else {
            Shape::Text
        },
        quiet: arguments.quiet,
    };
    let code = kiln_cli::run(arguments.verb, &script, &mut face).await;
    // The type shows its number only this way.
    let code: String = format!("{code:?}")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let left = script.steps.lock().unwrap().len();
    assert_eq!(left, 0, "the node expected more questions");
    let heard = script.heard.lock().unwrap().clone();
    let out = out.text();
    let text = format!(
        "exit {code}\n--- out\n{}--- err\n{}",
        without_times(&out),
        without_times(&err.text())
    )
    .replace('\u{1b}', "␛");
    Transcript { text, out, heard }
}

#[derive(Clone, Default)]
struct Sink {
    written: Arc<Mutex<Vec<u8>>>,
    /// Its reader is gone.
    broken: bool,
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Write::write(&mut *self.written.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replaces `2026-11-23 12:00:00` by `DATE TIME`: the time zone is the machine's.
fn without_times(text: &str) -> String {
    const SHAPE: &str = "dddd-dd-dd dd:dd:dd";
    let fits = |piece: &str| {
        piece.chars().zip(SHAPE.chars()).all(|(c, s)| match s {
            'd' => c.is_ascii_digit(),
            s => c == s,
        })
    };
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match rest.get(..SHAPE.len()).filter(|piece| fits(piece)) {
            Some(_) => {
                shown.push_str("DATE TIME");
                rest = &rest[SHAPE.len()..];
            }
            None => {
                shown.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    shown
}

/// The pin of this Kiln in every script.
pub(crate) const OWN: &str = "aaa8fff703b50b2297f4f6e13508f72420d96fd01ebb84cb074449caaef64041";
/// The pin of the receiver `Tower`.
pub(crate) const TOWER: &str = "bc841db8fea3efd84555a7f8eeb925033c90c9d5034b1a4c48a6c87de3c0ebde";

/// A receiver as `status` shows it.
pub(crate) fn receiver(label: &str, pin: &str, endpoint: &str) -> Value {
    json!({
        "pin_sha256": pin, "public_key": pin, "endpoint": endpoint, "label": label,
        "label_auto": false, "paired_at": 1.0, "status": "approved", "enabled": true,
        "esphome_version": "2026.10.0", "capabilities": {}, "friendly_name": "tower",
        "ha_addon": false, "link": "connected", "link_error": "",
        "queue": {"idle": false, "running": true, "queue_depth": 2},
    })
}

/// An offloader that asks, as `status` shows it.
pub(crate) fn asking(label: &str) -> Value {
    json!({
        "dashboard_id": "abc", "pin_sha256": TOWER, "public_key": TOWER, "label": label,
        "label_auto": false, "peer_ip": "192.0.2.7", "friendly_name": "", "ha_addon": false,
        "requested_at": 1.0,
    })
}

/// An offloader as `status` shows it.
pub(crate) fn offloader(label: &str, pin: &str) -> Value {
    json!({
        "dashboard_id": "abc", "pin_sha256": pin, "public_key": pin, "label": label,
        "label_auto": false, "paired_at": 1.0, "peer_ip": "192.0.2.7", "connect_back_port": null,
        "friendly_name": "", "ha_addon": false, "connected": true,
    })
}

/// A job as every list shows it.
pub(crate) fn job(id: &str, kind: &str, status: &str) -> Value {
    json!({
        "id": id, "kind": kind, "configuration": "kitchen.yaml", "device_name": "kitchen",
        "origin": {"by": "owner"},
        "placement": {"on": "remote", "pin_sha256": TOWER, "label": "Tower", "esphome_version": null},
        "status": status, "depends_on": null, "port": null, "bootloader": "include",
        "target_version": null, "created_at": 1.0, "started_at": 1.0,
        "completed_at": if status == "running" || status == "queued" { Value::Null } else { json!(3.5) },
        "exit_code": null,
        "error": if status == "failed" { json!("The compiler failed.") } else { Value::Null },
        "failure_reason": null, "progress": null, "reason": "receiver Tower: idle",
        "deferred": false,
    })
}

/// The read model with some members replaced.
pub(crate) fn view(changes: Value) -> Value {
    let mut view = json!({
        "identity": {
            "pin_sha256": OWN, "dashboard_id": "own-id", "friendly_name": "desk",
            "version": "0.1.0", "esphome_version": "2026.10.0",
        },
        "availability": {"open": true, "reason": "ready"}, "listening_port": 6055,
        "window": {"state": "closed"}, "receivers": [], "offloaders": [], "requests": [],
        "alerts": [], "discovered": [], "jobs": [],
        "queue": {"idle": true, "running": false, "queue_depth": 0}, "notices": [], "at": 1.0,
        "own_label": "desk",
    });
    for (name, value) in changes.as_object().unwrap() {
        view[name] = value.clone();
    }
    view
}

/// The answer to `status`.
pub(crate) fn status(changes: Value) -> Value {
    let mut line = view(changes);
    line["reply"] = json!("status");
    line
}

/// An answer that says no more than its name.
pub(crate) fn reply(name: &str) -> Value {
    json!({ "reply": name })
}
