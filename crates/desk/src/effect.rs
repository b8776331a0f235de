//! [`Effect`]: everything the desktop may want done.
use kiln_glance::Snooze;
use kiln_model::Request;
use kiln_ports::notify::Notification;
use kiln_ports::tray::Tray;

use crate::{DeskSettings, Goal, ToWindow};

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Show this icon and menu; only said when they changed.
    ShowTray(Tray),
    /// Show this notification.
    Notify(Notification),
    /// Take this notification away.
    Withdraw(String),
    /// Ask the node.
    Ask(Request),
    /// Ask the node to build for nobody else for a while.
    Pause(Snooze),
    /// Ask the node to build for others again.
    Resume,
    /// Start the window's process with this page.
    StartWindow(Goal),
    /// Tell the window; it is there.
    TellWindow(ToWindow),
    /// Try now to run a node.
    Host,
    /// Let our node end gracefully; [`Event::HostEnded`](crate::Event::HostEnded) follows.
    StopNode,
    /// Keep these settings.
    Keep(DeskSettings),
    /// End this process.
    End,
}
