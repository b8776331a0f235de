//! The two programs as they were built: what the one that always runs loads, and that it needs
//! neither display nor session bus.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test cannot go on"
)]
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use kiln_client::{Client, ClientError};
use kiln_host::Door;
use kiln_model::{Reply, Request};
use kiln_platform::Paths;
use tokio::process::{Child, Command as Starting};

const DESKTOP: &str = env!("CARGO_BIN_EXE_kiln-desktop");
const WINDOW: &str = env!("CARGO_BIN_EXE_kiln-window");

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the libraries that the system loads for a program.
fn loaded(program: &str) -> String {
    let read = Command::new("readelf")
        .args(["--dynamic", program])
        .output()
        .expect("readelf comes with the C compiler");
    let text = String::from_utf8(read.stdout).unwrap();
    let needed = text.lines().filter(|line| line.contains("(NEEDED)"));
    needed.collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_of_a_webview_is_loaded_into_the_program_that_always_runs() {
    let toolkit = [
        "libgtk",
        "libgdk",
        "libwebkit",
        "libjavascriptcore",
        "libsoup",
    ];
    let desktop = loaded(DESKTOP);
    for library in toolkit {
        assert!(!desktop.contains(library), "{desktop}");
    }
    let window = loaded(WINDOW);
    assert!(window.contains("libwebkit2gtk"), "{window}");
}

/// A desktop in a home of its own, with nothing of a desktop around it.
struct Alone {
    home: tempfile::TempDir,
    door: Door,
}

impl Alone {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(home.path().into())).unwrap();
        Self {
            door: Door::new(&paths, "test"),
            home,
        }
    }

    fn command(&self, arguments: &[&str]) -> Starting {
        let mut command = Starting::new(DESKTOP);
        command
            .args(arguments)
            .env("KILN_HOME", self.home.path())
            .env("KILN_SECRETS", "file")
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .kill_on_drop(true);
        command
    }

    fn start(&self) -> Child {
        self.command(&["--hidden"]).spawn().unwrap()
    }

    async fn again(&self, arguments: &[&str]) -> Output {
        within(self.command(arguments).output()).await.unwrap()
    }

    /// Asks the node, from the moment on that it answers.
    async fn ask(&self, request: Request) -> Reply {
        let asked = async {
            loop {
                match Client::connect(&self.door).await {
                    Ok(mut client) => return client.ask(request).await.unwrap(),
                    Err(ClientError::NoNode) => tokio::task::yield_now().await,
                    Err(error) => unreachable!("{error}"),
                }
            }
        };
        within(asked).await
    }

    fn has(&self, file: &str) -> bool {
        Path::new(self.home.path()).join(file).exists()
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it happens in time")
}

#[tokio::test]
async fn without_display_or_session_bus_the_node_works_and_a_second_start_ends_well() {
    let alone = Alone::new();
    let mut desktop = alone.start();
    let Reply::Status(view) = alone.ask(Request::Status).await else {
        unreachable!("status is answered with the view");
    };
    assert_eq!(view.identity.version, env!("CARGO_PKG_VERSION"));
    for arguments in [&["--hidden"][..], &["--page", "devices"]] {
        let second = alone.again(arguments).await;
        assert!(second.status.success(), "{second:?}");
    }
    let wrong = alone.again(&["--page", "nowhere"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    alone.ask(Request::Shutdown).await;
    let ended = within(desktop.wait()).await.unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn the_systems_word_ends_it_gracefully() {
    let alone = Alone::new();
    let mut desktop = alone.start();
    alone.ask(Request::Status).await;
    assert!(alone.has("run/control.sock") && alone.has("run/desk.sock"));
    let pid = desktop.id().unwrap().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let ended = within(desktop.wait()).await.unwrap();
    assert!(ended.success(), "{ended}");
    assert!(!alone.has("run/control.sock") && !alone.has("run/desk.sock"));
}

#[tokio::test]
async fn beside_a_node_that_runs_it_is_a_client_and_leaves_it_running() {
    let alone = Alone::new();
    let paths = Paths::find(Some(alone.home.path().into())).unwrap();
    paths.prepare().unwrap();
    let mut wanted = kiln_host::Wanted::as_left();
    wanted.secrets = Some(kiln_host::SecretsPlace::File);
    let host = kiln_host::Host::start(&paths, wanted).await.unwrap();
    let story = async {
        let mut desktop = alone.start();
        let desk = async {
            while !alone.has("run/desk.sock") {
                tokio::task::yield_now().await;
            }
        };
        within(desk).await;
        let pid = desktop.id().unwrap().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        let ended = within(desktop.wait()).await.unwrap();
        assert!(ended.success(), "{ended}");
        alone.ask(Request::Shutdown).await;
    };
    tokio::join!(host.serve(std::future::pending(), |_| {}), story);
}
