//! Windows: toasts. A program without a package may show them once its id is in the registry; clicks
//! come back while this process lives, so whoever ends it takes its toasts away.
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_ports::notify::{Click, Notification, NotificationEvent, NotifyError, Sound, Urgency};
use tokio::sync::mpsc;
use windows::Data::Xml::Dom::XmlDocument;
use windows::Foundation::TypedEventHandler;
use windows::UI::Notifications::{
    NotificationSetting, ToastActivatedEventArgs, ToastDismissalReason, ToastNotification,
    ToastNotificationManager, ToastNotifier,
};
use windows::core::{HSTRING, Interface as _, Result};
use windows_registry::CURRENT_USER;

use super::Program;
use super::markup::markup;

/// Groups all toasts of Kiln in the action centre.
const GROUP: &str = "kiln";

/// What a click on the toast itself is called.
const BODY: &str = "";

/// The toasts of this user.
pub(super) struct Center {
    program: Program,
    /// Events stop coming when their toast is dropped.
    shown: Mutex<HashMap<String, ToastNotification>>,
    events: mpsc::UnboundedSender<NotificationEvent>,
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<NotificationEvent>>,
}

impl Center {
    pub(super) fn new(program: Program) -> Self {
        let (events, inbox) = mpsc::unbounded_channel();
        Self {
            program,
            shown: Mutex::default(),
            events,
            inbox: tokio::sync::Mutex::new(inbox),
        }
    }

    #[expect(clippy::unused_async, reason = "other systems wait here")]
    pub(super) async fn show(
        &self,
        notification: Notification,
    ) -> std::result::Result<(), NotifyError> {
        let failed = |error: windows::core::Error| NotifyError::Failed(error.message());
        let notifier = self.notifier().map_err(failed)?;
        // Only known once a toast was shown; not knowing is no refusal.
        let setting = notifier.Setting().unwrap_or(NotificationSetting::Enabled);
        if setting != NotificationSetting::Enabled {
            return Err(NotifyError::Denied);
        }
        let toast = self.toast(&notification).map_err(failed)?;
        notifier.Show(&toast).map_err(failed)?;
        self.shown().insert(notification.id, toast);
        Ok(())
    }

    #[expect(clippy::unused_async, reason = "other systems wait here")]
    pub(super) async fn withdraw(&self, id: &str) {
        if self.shown().remove(id).is_none() {
            return;
        }
        let app = HSTRING::from(&self.program.id);
        let history = ToastNotificationManager::History();
        // It is an error to remove one that is gone already, and no harm.
        let _ = history.and_then(|h| h.RemoveGroupedTagWithId(&tag(id), &GROUP.into(), &app));
    }

    pub(super) async fn next(&self) -> NotificationEvent {
        match self.inbox.lock().await.recv().await {
            Some(event) => {
                self.shown().remove(&event.id);
                event
            }
            None => std::future::pending().await,
        }
    }

    /// Makes the program known to the system, which shows its name above the toast.
    fn notifier(&self) -> Result<ToastNotifier> {
        let key = format!(r"Software\Classes\AppUserModelId\{}", self.program.id);
        CURRENT_USER
            .create(key)?
            .set_string("DisplayName", &self.program.name)?;
        ToastNotificationManager::CreateToastNotifierWithId(&HSTRING::from(&self.program.id))
    }

    fn toast(&self, notification: &Notification) -> Result<ToastNotification> {
        let document = XmlDocument::new()?;
        document.LoadXml(&HSTRING::from(xml(notification)))?;
        let toast = ToastNotification::CreateToastNotification(&document)?;
        toast.SetTag(&tag(&notification.id))?;
        toast.SetGroup(&GROUP.into())?;
        toast.SetSuppressPopup(notification.urgency == Urgency::Quiet)?;
        let (id, events) = (notification.id.clone(), self.events.clone());
        toast.Activated(&TypedEventHandler::new(
            move |_, arguments: windows::core::Ref<'_, windows::core::IInspectable>| {
                let arguments = arguments.ok()?.cast::<ToastActivatedEventArgs>()?;
                let button = arguments.Arguments()?.to_string();
                let click = match button.as_str() {
                    BODY => Click::Body,
                    _ => Click::Button(button),
                };
                let id = id.clone();
                let _ = events.send(NotificationEvent { id, click });
                Ok(())
            },
        ))?;
        let (id, events) = (notification.id.clone(), self.events.clone());
        toast.Dismissed(&TypedEventHandler::new(
            move |_,
                  arguments: windows::core::Ref<
                '_,
                windows::UI::Notifications::ToastDismissedEventArgs,
            >| {
                // One whose time is over waits in the action centre and can be clicked there.
                if arguments.ok()?.Reason()? == ToastDismissalReason::UserCanceled {
                    let (id, click) = (id.clone(), Click::Closed);
                    let _ = events.send(NotificationEvent { id, click });
                }
                Ok(())
            },
        ))?;
        Ok(toast)
    }

    fn shown(&self) -> MutexGuard<'_, HashMap<String, ToastNotification>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tags have at most 64 characters; ids may have more.
fn tag(id: &str) -> HSTRING {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    HSTRING::from(format!("{:016x}", hasher.finish()))
}

/// The toast as the schema wants it ("Toast content schema", Microsoft).
fn xml(notification: &Notification) -> String {
    let (title, body) = (markup(&notification.title), markup(&notification.body));
    // A reminder stays until it is answered; it needs a button to be one.
    let scenario = match notification.urgency {
        Urgency::Urgent if !notification.buttons.is_empty() => r#" scenario="reminder""#,
        Urgency::Quiet | Urgency::Normal | Urgency::Urgent => "",
    };
    let mut xml = format!(
        r#"<toast launch="{BODY}"{scenario}><visual><binding template="ToastGeneric"><text>{title}</text><text>{body}</text>"#
    );
    if let Some(percent) = notification.progress {
        let value = f32::from(percent.min(100)) / 100.0;
        xml.push_str(&format!(r#"<progress value="{value}" status=""/>"#));
    }
    xml.push_str("</binding></visual><actions>");
    for button in &notification.buttons {
        let (id, label) = (markup(&button.id), markup(&button.label));
        xml.push_str(&format!(r#"<action content="{label}" arguments="{id}"/>"#));
    }
    xml.push_str("</actions>");
    if notification.sound == Sound::Never {
        xml.push_str(r#"<audio silent="true"/>"#);
    }
    xml.push_str("</toast>");
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_ports::notify::NotificationButton;

    #[test]
    fn a_toast_carries_names_of_others_as_text_and_its_buttons() {
        let notification = Notification {
            id: "pair:a".to_owned(),
            title: "<Attic> asks".to_owned(),
            body: "a & b".to_owned(),
            urgency: Urgency::Normal,
            sound: Sound::Never,
            buttons: vec![NotificationButton {
                id: "reject".to_owned(),
                label: "Reject \"it\"".to_owned(),
            }],
            progress: Some(25),
        };
        assert_eq!(
            xml(&notification),
            "<toast launch=\"\"><visual><binding template=\"ToastGeneric\">\
             <text>&lt;Attic&gt; asks</text><text>a &amp; b</text>\
             <progress value=\"0.25\" status=\"\"/></binding></visual><actions>\
             <action content=\"Reject &quot;it&quot;\" arguments=\"reject\"/></actions>\
             <audio silent=\"true\"/></toast>"
        );
    }

    #[test]
    fn long_ids_fit_into_a_tag_and_stay_apart() {
        let long = "x".repeat(200);
        assert_eq!(tag(&long).len(), 16);
        assert_ne!(tag(&long), tag("x"));
    }
}
