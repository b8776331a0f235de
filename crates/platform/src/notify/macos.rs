//! macOS: the Notification Center, which knows programs by their bundle. A bare program has none.
#![expect(unsafe_code, reason = "a delegate is a class of Objective-C")]
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use block2::{DynBlock, RcBlock};
use kiln_ports::notify::{Click, Notification, NotificationEvent, NotifyError, Sound, Urgency};
use objc2::rc::Retained;
use objc2::runtime::{Bool, NSObject, NSObjectProtocol, ProtocolObject};
use objc2::{AnyThread as _, DefinedClass as _, define_class, msg_send};
use objc2_foundation::{NSArray, NSBundle, NSError, NSSet, NSString};
use objc2_user_notifications::{
    UNAuthorizationOptions, UNMutableNotificationContent, UNNotification, UNNotificationAction,
    UNNotificationActionOptions, UNNotificationCategory, UNNotificationCategoryOptions,
    UNNotificationDefaultActionIdentifier, UNNotificationDismissActionIdentifier,
    UNNotificationInterruptionLevel, UNNotificationPresentationOptions, UNNotificationRequest,
    UNNotificationResponse, UNNotificationSound, UNUserNotificationCenter,
    UNUserNotificationCenterDelegate,
};
use tokio::sync::{mpsc, oneshot};

use super::Program;

/// The Notification Center of this user.
pub(super) struct Center {
    /// Buttons belong to categories, which are told to the system all at once.
    categories: Mutex<BTreeMap<String, Vec<(String, String)>>>,
    events: mpsc::UnboundedSender<NotificationEvent>,
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<NotificationEvent>>,
    /// The center holds its delegate weakly.
    delegate: Mutex<Option<Retained<Delegate>>>,
}

define_class!(
    // SAFETY: NSObject has no requirements for its subclasses, and Delegate does not implement Drop.
    #[unsafe(super(NSObject))]
    #[ivars = mpsc::UnboundedSender<NotificationEvent>]
    struct Delegate;

    // SAFETY: NSObjectProtocol has no requirements.
    unsafe impl NSObjectProtocol for Delegate {}

    // SAFETY: the methods have the signatures of the protocol, and call their completion handlers.
    unsafe impl UNUserNotificationCenterDelegate for Delegate {
        #[unsafe(method(userNotificationCenter:didReceiveNotificationResponse:withCompletionHandler:))]
        fn did_receive(
            &self,
            _center: &UNUserNotificationCenter,
            response: &UNNotificationResponse,
            done: &DynBlock<dyn Fn()>,
        ) {
            let id = response.notification().request().identifier().to_string();
            let action = response.actionIdentifier();
            // SAFETY: the two constants are there in every version that has this class.
            let (body, dismissed) = unsafe {
                (
                    UNNotificationDefaultActionIdentifier,
                    UNNotificationDismissActionIdentifier,
                )
            };
            let click = if *action == *body {
                Click::Body
            } else if *action == *dismissed {
                Click::Closed
            } else {
                Click::Button(action.to_string())
            };
            // Nobody listens any more when the program ends.
            let _ = self.ivars().send(NotificationEvent { id, click });
            done.call(());
        }

        #[unsafe(method(userNotificationCenter:willPresentNotification:withCompletionHandler:))]
        fn will_present(
            &self,
            _center: &UNUserNotificationCenter,
            _notification: &UNNotification,
            done: &DynBlock<dyn Fn(UNNotificationPresentationOptions)>,
        ) {
            // A program in the menu bar counts as being in front, which would hide its notifications.
            let shown = UNNotificationPresentationOptions::Banner
                | UNNotificationPresentationOptions::List
                | UNNotificationPresentationOptions::Sound;
            done.call((shown,));
        }
    }
);

impl Delegate {
    fn new(events: mpsc::UnboundedSender<NotificationEvent>) -> Retained<Self> {
        let this = Self::alloc().set_ivars(events);
        // SAFETY: this is the initializer of NSObject.
        unsafe { msg_send![super(this), init] }
    }
}

impl Center {
    /// The name is that of the bundle.
    pub(super) fn new(_program: Program) -> Self {
        let (events, inbox) = mpsc::unbounded_channel();
        Self {
            categories: Mutex::default(),
            events,
            inbox: tokio::sync::Mutex::new(inbox),
            delegate: Mutex::default(),
        }
    }

    pub(super) async fn show(&self, notification: Notification) -> Result<(), NotifyError> {
        // Without a bundle, asking for the center ends the program.
        if NSBundle::mainBundle().bundleIdentifier().is_none() {
            return Err(NotifyError::NoDaemon);
        }
        match self.ask().await {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(NotifyError::Denied),
        }
        match self.add(&notification).await {
            Ok(None) => Ok(()),
            Ok(Some(problem)) => Err(NotifyError::Failed(problem)),
            Err(_) => Err(NotifyError::Failed("no answer".to_owned())),
        }
    }

    #[expect(clippy::unused_async, reason = "other systems wait here")]
    pub(super) async fn withdraw(&self, id: &str) {
        if NSBundle::mainBundle().bundleIdentifier().is_some() {
            let ids = NSArray::from_retained_slice(&[NSString::from_str(id)]);
            UNUserNotificationCenter::currentNotificationCenter()
                .removeDeliveredNotificationsWithIdentifiers(&ids);
        }
    }

    pub(super) async fn next(&self) -> NotificationEvent {
        match self.inbox.lock().await.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Asks for permission: the person is asked once, later the system answers at once.
    fn ask(&self) -> oneshot::Receiver<bool> {
        let center = UNUserNotificationCenter::currentNotificationCenter();
        let mut slot = lock(&self.delegate);
        let delegate = slot.get_or_insert_with(|| Delegate::new(self.events.clone()));
        center.setDelegate(Some(ProtocolObject::from_ref(&**delegate)));
        let (answer, answered) = oneshot::channel();
        let answer = Mutex::new(Some(answer));
        let block = RcBlock::new(move |granted: Bool, _error: *mut NSError| {
            if let Some(answer) = lock(&answer).take() {
                let _ = answer.send(granted.as_bool());
            }
        });
        let wanted = UNAuthorizationOptions::Alert | UNAuthorizationOptions::Sound;
        center.requestAuthorizationWithOptions_completionHandler(wanted, &block);
        answered
    }

    /// Hands the notification over; the answer is what went wrong.
    fn add(&self, notification: &Notification) -> oneshot::Receiver<Option<String>> {
        let center = UNUserNotificationCenter::currentNotificationCenter();
        let content = UNMutableNotificationContent::new();
        content.setTitle(&NSString::from_str(&notification.title));
        content.setBody(&NSString::from_str(&notification.body));
        content.setCategoryIdentifier(&NSString::from_str(&self.category(&center, notification)));
        content.setInterruptionLevel(match notification.urgency {
            Urgency::Quiet => UNNotificationInterruptionLevel::Passive,
            Urgency::Normal => UNNotificationInterruptionLevel::Active,
            Urgency::Urgent => UNNotificationInterruptionLevel::TimeSensitive,
        });
        if notification.sound == Sound::AsSet {
            content.setSound(Some(&UNNotificationSound::defaultSound()));
        }
        let id = NSString::from_str(&notification.id);
        let request =
            UNNotificationRequest::requestWithIdentifier_content_trigger(&id, &content, None);
        let (answer, answered) = oneshot::channel();
        let answer = Mutex::new(Some(answer));
        let block = RcBlock::new(move |error: *mut NSError| {
            // SAFETY: the system passes null or an error that lives during the call.
            let problem = unsafe { error.as_ref() };
            let problem = problem.map(|error| error.localizedDescription().to_string());
            if let Some(answer) = lock(&answer).take() {
                let _ = answer.send(problem);
            }
        });
        center.addNotificationRequest_withCompletionHandler(&request, Some(&block));
        answered
    }

    /// Makes sure that there is a category with these buttons, and returns its name.
    fn category(&self, center: &UNUserNotificationCenter, notification: &Notification) -> String {
        let buttons: Vec<(String, String)> = notification
            .buttons
            .iter()
            .map(|button| (button.id.clone(), button.label.clone()))
            .collect();
        let name = format!("{buttons:?}");
        let mut categories = lock(&self.categories);
        if categories.insert(name.clone(), buttons).is_none() {
            let all: Vec<_> = categories.iter().map(|(n, b)| category(n, b)).collect();
            center.setNotificationCategories(&NSSet::from_retained_slice(&all));
        }
        name
    }
}

fn category(name: &str, buttons: &[(String, String)]) -> Retained<UNNotificationCategory> {
    let action = |(id, label): &(String, String)| {
        UNNotificationAction::actionWithIdentifier_title_options(
            &NSString::from_str(id),
            &NSString::from_str(label),
            UNNotificationActionOptions::empty(),
        )
    };
    let actions: Vec<_> = buttons.iter().map(action).collect();
    UNNotificationCategory::categoryWithIdentifier_actions_intentIdentifiers_options(
        &NSString::from_str(name),
        &NSArray::from_retained_slice(&actions),
        &NSArray::from_retained_slice(&[]),
        UNNotificationCategoryOptions::CustomDismissAction,
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
