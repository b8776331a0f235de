//! [`Toplevels`]: the windows that a Wayland compositor tells taskbars of
//! (wlr-foreign-toplevel-management). It is asked anew at each reading: one that goes on telling would
//! wake Kiln whenever a window changes its title.
use std::path::Path;

use kiln_model::Foreground;
use tokio::time::timeout;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_registry::WlRegistry;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, event_created_child};
use wayland_protocols_wlr::foreign_toplevel::v1::client::{
    zwlr_foreign_toplevel_handle_v1::{Event, State, ZwlrForeignToplevelHandleV1},
    zwlr_foreign_toplevel_manager_v1::{self, ZwlrForeignToplevelManagerV1},
};

use super::wayland::{Line, sockets};
use crate::lazy::{Lazy, PATIENCE};

/// A compositor that may tell; one that does not is asked again now and then.
#[derive(Debug, Default)]
pub(super) struct Toplevels(Lazy<()>);

impl Toplevels {
    /// Returns how the program in front is shown.
    pub(super) async fn foreground(&self) -> Option<Foreground> {
        self.0.get(|| async { Some(()) }).await?;
        for path in sockets() {
            if let Some(foreground) = foreground(&path).await {
                return Some(foreground);
            }
        }
        self.0.drop_it();
        None
    }
}

async fn foreground(path: &Path) -> Option<Foreground> {
    let line = Line::open(path).await?;
    let connection = line.connection.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&connection));
    // When it takes too long the line is closed, which ends the asking.
    timeout(PATIENCE, asked).await.ok()?.ok()?
}

fn ask(connection: &Connection) -> Option<Foreground> {
    let (globals, mut queue) = registry_queue_init::<Front>(connection).ok()?;
    let handle = queue.handle();
    // Since its second version it tells of full screens; it tells of all windows at once.
    let _manager: ZwlrForeignToplevelManagerV1 = globals.bind(&handle, 2..=3, ()).ok()?;
    let mut front = Front(Foreground::Windowed);
    queue.roundtrip(&mut front).ok()?;
    Some(front.0)
}

/// How the program in front is shown, as far as was told.
struct Front(Foreground);

impl Dispatch<ZwlrForeignToplevelHandleV1, ()> for Front {
    fn event(
        front: &mut Self,
        _: &ZwlrForeignToplevelHandleV1,
        event: Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let Event::State { state } = event {
            let has = |wanted: State| {
                let wanted = u32::from(wanted).to_ne_bytes();
                state.chunks_exact(wanted.len()).any(|word| word == wanted)
            };
            if has(State::Activated) && has(State::Fullscreen) {
                front.0 = Foreground::FullScreen;
            }
        }
    }
}

impl Dispatch<ZwlrForeignToplevelManagerV1, ()> for Front {
    fn event(
        _: &mut Self,
        _: &ZwlrForeignToplevelManagerV1,
        _: zwlr_foreign_toplevel_manager_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }

    event_created_child!(Self, ZwlrForeignToplevelManagerV1, [
        zwlr_foreign_toplevel_manager_v1::EVT_TOPLEVEL_OPCODE => (ZwlrForeignToplevelHandleV1, ()),
    ]);
}

impl Dispatch<WlRegistry, GlobalListContents> for Front {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: <WlRegistry as Proxy>::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}
