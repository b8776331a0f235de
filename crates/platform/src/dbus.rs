//! [`Bus`]: the message bus of the system or of the owner's session. It is opened when it is first
//! needed, and anew when the connection broke.
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use zbus::Connection;
use zbus::zvariant::{DynamicType, Type};

use crate::lazy::{Lazy, PATIENCE};

/// Where something is on a bus.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) service: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
}

/// The login manager.
pub(crate) const LOGIN: Place<'static> = Place {
    service: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

/// One bus.
#[derive(Debug)]
pub(crate) struct Bus {
    kind: Kind,
    connection: Lazy<Connection>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Session,
    System,
}

impl Bus {
    /// The bus of the owner's session.
    pub(crate) fn of_session() -> Self {
        let (kind, connection) = (Kind::Session, Lazy::default());
        Self { kind, connection }
    }

    /// The bus of the system.
    pub(crate) fn of_system() -> Self {
        let (kind, connection) = (Kind::System, Lazy::default());
        Self { kind, connection }
    }

    /// Returns the connection, if there is a bus.
    pub(crate) async fn connection(&self) -> Option<Connection> {
        let open = || async {
            let opened = match self.kind {
                Kind::Session => Connection::session().await,
                Kind::System => Connection::system().await,
            };
            opened.ok()
        };
        self.connection.get(open).await
    }

    /// Asks, and waits for the answer for as long as [`PATIENCE`].
    pub(crate) async fn call<A, R>(&self, place: &Place<'_>, method: &str, body: &A) -> Option<R>
    where
        A: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let bus = self.connection().await?;
        let Place {
            service,
            path,
            interface,
        } = *place;
        let asked = bus.call_method(Some(service), path, Some(interface), method, body);
        match timeout(PATIENCE, asked).await.ok()? {
            Ok(answer) => answer.body().deserialize().ok(),
            // Who refuses answers as well.
            Err(zbus::Error::MethodError(..)) => None,
            Err(_) => {
                self.broke();
                None
            }
        }
    }

    /// The connection broke: it is opened anew when it is next needed.
    pub(crate) fn broke(&self) {
        self.connection.close();
    }

    /// Returns whether the bus was there when it was last needed.
    pub(crate) fn is_there(&self) -> bool {
        self.connection.is_open()
    }
}
