//! What is seen at a glance: icon, tooltip sentence, menu and notices, as values made from the view.
//!
//! Pure: nothing here draws on a screen, talks to a system or reads a clock. The shell hands in the
//! [`View`](kiln_model::View) and the time, and performs what comes back. Everything that others
//! named (peers, devices, errors) is cleaned and clipped before it is part of a text.

mod action;
mod chain;
mod clean;
mod composer;
mod compositor;
mod glyph;
mod icon;
mod isolate;
mod menu;
mod notice;
mod notices;
mod page;
mod quit;
mod remaining;
mod serving;
#[cfg(test)]
mod stage;
mod standing;
mod tooltip;
mod words;

pub use action::Action;
pub use compositor::{Look, Pixels};
pub use icon::Icon;
pub use menu::{Entry, Item, Menu};
pub use notice::{Button, Notice, NoticeId, Urgency};
pub use notices::{NoticeEffect, Notices, WindowFocus};
pub use page::{Page, Which, Who};
pub use quit::{quit_question, quit_waits};
pub use standing::Node;
pub use tooltip::tooltip;
pub use words::{Language, Words};

pub use kiln_model::Snooze;
