//! [`Speech`]: the few sentences that are about the desktop itself, in every language.
use kiln_glance::Language;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    QuitTitle,
    Quit,
    Stay,
    GoesOnTitle,
    GoesOnInTray,
    GoesOnWithoutTray,
    NoTrayTitle,
    NoTray,
    BrokeTitle,
    Broke,
    OpenAgain,
    NoWindowTitle,
    NoWindow,
    TroubleTitle,
    TryAgain,
    RefusedTitle,
}

impl Speech {
    /// Says it.
    pub(crate) fn in_language(self, language: Language) -> &'static str {
        let (english, german) = self.both();
        match language {
            Language::English => english,
            Language::German => german,
        }
    }

    fn both(self) -> (&'static str, &'static str) {
        match self {
            Speech::QuitTitle => ("Quit Kiln?", "Kiln beenden?"),
            Speech::Quit => ("Quit", "Beenden"),
            Speech::Stay => ("Keep running", "Weiterlaufen"),
            Speech::GoesOnTitle => ("Kiln goes on", "Kiln läuft weiter"),
            Speech::GoesOnInTray => (
                "The window is closed; Kiln stays in the tray. Quit it there.",
                "Das Fenster ist zu; Kiln bleibt im Infobereich. Dort lässt es sich beenden.",
            ),
            Speech::GoesOnWithoutTray => (
                "The window is closed; Kiln works on in the background. Start Kiln again to see it.",
                "Das Fenster ist zu; Kiln arbeitet im Hintergrund weiter. Ein neuer Start von Kiln \
                 zeigt es.",
            ),
            Speech::NoTrayTitle => ("Kiln is running", "Kiln läuft"),
            Speech::NoTray => (
                "This desktop shows no tray icons. Open Kiln from your applications; everything is \
                 in its window.",
                "Dieser Desktop zeigt keine Symbole im Infobereich. Kiln lässt sich über die \
                 Anwendungen öffnen; im Fenster ist alles da.",
            ),
            Speech::BrokeTitle => (
                "Kiln's window closed unexpectedly",
                "Kilns Fenster ist abgestürzt",
            ),
            Speech::Broke => (
                "Builds go on. Open the window again, or look into the log.",
                "Builds laufen weiter. Das Fenster lässt sich wieder öffnen; mehr steht im Protokoll.",
            ),
            Speech::OpenAgain => ("Open again", "Wieder öffnen"),
            Speech::NoWindowTitle => (
                "Kiln's window cannot be shown",
                "Kilns Fenster kann nicht gezeigt werden",
            ),
            Speech::NoWindow => (
                "Builds go on. Everything can be done with `kiln` in a terminal as well.",
                "Builds laufen weiter. Mit `kiln` in einem Terminal geht auch alles.",
            ),
            Speech::TroubleTitle => ("Kiln cannot work yet", "Kiln kann noch nicht arbeiten"),
            Speech::TryAgain => ("Try again", "Noch einmal versuchen"),
            Speech::RefusedTitle => ("That did not work", "Das ging nicht"),
        }
    }
}
