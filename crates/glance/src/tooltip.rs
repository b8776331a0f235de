//! [`tooltip`]: the sentence that appears when the pointer rests on the icon.
use kiln_model::Timestamp;

use crate::standing::{Node, Standing};
use crate::words::Words;

/// Returns one sentence with the reason and its end ("Paused: on battery. Resumes on mains."); the
/// same stands first in the menu, for systems that show no tooltips.
pub fn tooltip(node: Node<'_>, words: &Words, now: Timestamp) -> String {
    Standing::of(node).sentence(words, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Icon;
    use crate::stage::*;
    use expect_test::{Expect, expect};
    use kiln_model::{AlertKind, Job, JobStatus, LinkState, View};

    /// What can be at the same time, the most urgent first. Each case has all that follow as well.
    fn cases() -> Vec<View> {
        let mut view = quiet();
        let mut cases = vec![View {
            availability: switched_off(),
            ..view.clone()
        }];
        cases.push(view.clone());
        view.peers.push(offloader("Garage"));
        cases.push(view.clone());
        view.peers.push(offloader("Attic"));
        cases.push(view.clone());
        view.jobs = vec![for_garage(compile(1, "porch", JobStatus::Running))];
        cases.push(view.clone());
        view.jobs.push(Job {
            progress: Some(42),
            ..on_laptop(compile(2, "kitchen", JobStatus::Running))
        });
        view.jobs.push(Job {
            started_at: Some(at(-1000)),
            completed_at: Some(at(-800)),
            ..on_laptop(compile(3, "kitchen", JobStatus::Completed))
        });
        cases.push(view.clone());
        view.notices = vec!["The keyring is locked. Unlock it and all goes on.".into()];
        cases.push(view.clone());
        view.alerts = vec![alert(AlertKind::PeerRevoked)];
        cases.push(view.clone());
        // Of a declined request nothing is left; this one was paired once.
        view.pairings = vec![receiver(9, "Laptop", LinkState::Orphaned)];
        for kind in [
            AlertKind::Superseded,
            AlertKind::PeerRevoked,
            AlertKind::PinMismatch,
        ] {
            view.alerts = vec![alert(kind)];
            cases.push(view.clone());
        }
        view.pending = vec![asker("a", "Attic")];
        cases.push(view.clone());
        view.pending.push(asker("b", "Barn"));
        cases.push(view);
        cases.reverse();
        cases
    }

    fn told(words: &Words, expected: &Expect) {
        let mut told = String::new();
        let cases = cases();
        let up = cases.iter().map(Node::Up);
        for node in up.chain([Node::Gone, Node::Connecting]) {
            let sentence = tooltip(node, words, at(30));
            told.push_str(&format!("{:15} {sentence}\n", Icon::of(node).word()));
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn the_most_urgent_is_told_in_one_sentence() {
        told(
            &english(),
            &expect![[r#"
                attention       2 computers ask to use this computer.
                attention       Attic asks to use this computer.
                attention       Laptop answers with another identity. Builds there have stopped.
                attention       Laptop no longer knows this computer. Pair again.
                attention       Another program uses this computer's identity at Laptop.
                attention       Laptop did not let this computer in. Ask there, then pair again.
                error           The keyring is locked. Unlock it and all goes on.
                building_mine   Building kitchen on Laptop, 42 %, about 3 min left.
                building_others Building porch for Garage.
                ready           Ready to build for 2 computers.
                ready           Ready to build for Garage.
                ready           Ready.
                off             Building for others is switched off.
                error           Kiln does not answer.
                off             Kiln is starting.
            "#]],
        );
    }

    #[test]
    fn the_same_in_german() {
        told(
            &german(),
            &expect![[r#"
                attention       2 Computer möchten diesen Computer benutzen.
                attention       Attic möchte diesen Computer benutzen.
                attention       Laptop antwortet mit einer anderen Identität. Dort wird nicht mehr gebaut.
                attention       Laptop kennt diesen Computer nicht mehr. Bitte neu koppeln.
                attention       Ein anderes Programm benutzt bei Laptop die Identität dieses Computers.
                attention       Laptop hat diesen Computer nicht zugelassen. Bitte dort fragen und neu koppeln.
                error           The keyring is locked. Unlock it and all goes on.
                building_mine   Laptop baut kitchen, 42 %, noch etwa 3 Min.
                building_others Baut porch für Garage.
                ready           Bereit, für 2 Computer zu bauen.
                ready           Bereit, für Garage zu bauen.
                ready           Bereit.
                off             Das Bauen für andere ist ausgeschaltet.
                error           Kiln antwortet nicht.
                off             Kiln startet.
            "#]],
        );
    }

    #[test]
    fn a_sentence_of_the_node_that_is_too_long_is_clipped() {
        let view = View {
            notices: vec!["x".repeat(1000).into()],
            ..quiet()
        };
        let sentence = tooltip(Node::Up(&view), &english(), NOW);
        assert_eq!(sentence.chars().count(), 160);
    }
}
