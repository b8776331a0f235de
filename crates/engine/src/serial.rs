//! Looks at serial ports on a thread that may wait, and tells the domain.
use std::sync::Arc;

use kiln_domain::{Event, RequestId, work};
use kiln_ports::SerialPorts;

use crate::context::Context;

/// Says which ports are connected.
pub(crate) async fn list(context: Arc<Context>, id: RequestId) {
    let ports = asked(&context, |serial| serial.list()).await;
    let advice = context.serial.advice();
    let event = work::Event::PortsListed(id, ports.unwrap_or_default(), advice);
    context.tell(Event::Work(event)).await;
}

/// Says how one port is.
pub(crate) async fn look(context: Arc<Context>, id: RequestId, path: String) {
    let port = asked(&context, move |serial| serial.look(&path)).await;
    let event = work::Event::PortLooked(id, port.flatten());
    context.tell(Event::Work(event)).await;
}

async fn asked<T: Send + 'static>(
    context: &Context,
    question: impl FnOnce(&dyn SerialPorts) -> T + Send + 'static,
) -> Option<T> {
    let serial = Arc::clone(&context.serial);
    let answer = tokio::task::spawn_blocking(move || question(serial.as_ref())).await;
    answer
        .inspect_err(|error| tracing::error!(%error, "serial ports could not be looked at"))
        .ok()
}
