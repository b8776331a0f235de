//! [`menu_lines`]: whether a menu that is shown already has the lines of the next one.
use kiln_ports::tray::TrayEntry;

/// How a menu differs from the one that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MenuLines {
    /// It has the same lines; only what stands on them may differ.
    Same,
    /// It has others.
    Others,
}

/// Compares two menus. Where the lines are the same, a panel changes what stands on them, so that a
/// menu that is open stays open.
pub fn menu_lines(before: &[TrayEntry], after: &[TrayEntry]) -> MenuLines {
    let same = before.len() == after.len()
        && before.iter().zip(after).all(|pair| match pair {
            (TrayEntry::Item(before), TrayEntry::Item(after)) => before.id == after.id,
            (TrayEntry::Submenu { items: before, .. }, TrayEntry::Submenu { items: after, .. }) => {
                before.iter().map(|i| &i.id).eq(after.iter().map(|i| &i.id))
            }
            (TrayEntry::Separator, TrayEntry::Separator) => true,
            (TrayEntry::Item(_) | TrayEntry::Submenu { .. } | TrayEntry::Separator, _) => false,
        });
    if same {
        MenuLines::Same
    } else {
        MenuLines::Others
    }
}

#[cfg(test)]
mod tests {
    use kiln_ports::tray::{Clickable, TrayItem};

    use super::*;

    fn item(id: &str, label: &str) -> TrayItem {
        TrayItem {
            id: id.to_owned(),
            label: label.to_owned(),
            clickable: Clickable::Yes,
        }
    }

    fn menu(percent: u8, builders: &[&str]) -> Vec<TrayEntry> {
        let builders = builders.iter();
        vec![
            TrayEntry::Item(item("status", &format!("Building kitchen, {percent} %"))),
            TrayEntry::Separator,
            TrayEntry::Submenu {
                label: format!("Builders {percent}"),
                items: builders.map(|id| item(id, "Laptop")).collect(),
            },
        ]
    }

    #[test]
    fn another_percent_changes_what_stands_on_the_lines_and_not_the_lines() {
        let (before, after) = (menu(10, &["a", "b"]), menu(11, &["a", "b"]));
        assert_eq!(menu_lines(&before, &after), MenuLines::Same);
    }

    #[test]
    fn what_comes_goes_or_changes_its_place_makes_other_lines() {
        let shown = menu(10, &["a", "b"]);
        let mut longer = shown.clone();
        longer.push(TrayEntry::Separator);
        let mut turned = shown.clone();
        turned.reverse();
        for next in [menu(10, &["a"]), menu(10, &["b", "a"]), longer, turned] {
            assert_eq!(menu_lines(&shown, &next), MenuLines::Others, "{next:?}");
        }
    }
}
