//! Finds the device that a person means, or says which one they may have meant.
use kiln_model::{Device, ErrorCode, RequestError, Sentence, say};

/// Finds the one device whose file, file stem or name is `text`.
///
/// # Errors
/// `not_found` when there is none or more than one, with what to type instead.
pub(super) fn find<'a>(devices: &'a [Device], text: &str) -> Result<&'a Device, RequestError> {
    if let Some(exact) = devices.iter().find(|d| d.configuration.as_str() == text) {
        return Ok(exact);
    }
    let named = |d: &&Device| d.configuration.stem() == text || d.name == text;
    let found: Vec<&Device> = devices.iter().filter(named).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(unknown(devices, text)),
        [_, _, ..] => Err(RequestError {
            code: ErrorCode::NotFound,
            message: say::ambiguous_device(text),
            hint: say::hint_name_file(list(&found)),
        }),
    }
}

fn unknown(devices: &[Device], text: &str) -> RequestError {
    let wanted = text.to_lowercase();
    let distance = |d: &Device| {
        let names = [d.configuration.as_str(), d.configuration.stem(), &d.name];
        let each = names.map(|n| edits(&n.to_lowercase(), &wanted));
        each.into_iter().min().unwrap_or(usize::MAX)
    };
    let near = devices.iter().map(|d| (distance(d), d));
    let near = near.min_by_key(|(distance, _)| *distance);
    let hint = match near {
        Some((edits, d)) if edits <= 2.max(wanted.chars().count() / 3) => {
            say::hint_did_you_mean(&d.configuration)
        }
        Some(_) => say::hint_list_devices(),
        None => say::hint_no_configuration(),
    };
    RequestError {
        code: ErrorCode::NotFound,
        message: say::no_device(text),
        hint,
    }
}

fn list(devices: &[&Device]) -> Sentence {
    let names = devices.iter().map(|d| Sentence::from(&d.configuration));
    names.reduce(say::either).unwrap_or_default()
}

/// Levenshtein distance in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (y, above) in b.iter().zip(row.windows(2)) {
            let left = next.last().copied().unwrap_or(0);
            let [diagonal, up] = [above.first(), above.last()].map(|v| v.copied().unwrap_or(0));
            next.push((diagonal + usize::from(x != *y)).min(left + 1).min(up + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use kiln_model::Presence;

    use super::*;

    fn device(file: &str, name: &str) -> Device {
        Device {
            configuration: file.parse().unwrap(),
            name: name.to_owned(),
            friendly_name: String::new(),
            platform: String::new(),
            address: String::new(),
            presence: Presence::Unknown,
            built_version: String::new(),
            deployed_version: String::new(),
            last_build: None,
            problem: None,
        }
    }

    #[test]
    fn a_device_is_found_by_file_stem_and_name() {
        let devices = [device("kitchen.yaml", "kueche"), device("b.yaml", "bath")];
        for text in ["kitchen.yaml", "kitchen", "kueche"] {
            assert_eq!(find(&devices, text), Ok(&devices[0]), "{text}");
        }
    }

    #[test]
    fn an_ambiguous_name_lists_the_files() {
        let devices = [device("a.yaml", "lamp"), device("lamp.yaml", "other")];
        let error = find(&devices, "lamp").unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert_eq!(error.hint, "Name the file: a.yaml or lamp.yaml.");
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion() {
        let devices = [device("kitchen.yaml", "kitchen"), device("b.yaml", "bath")];
        let hint = |text| find(&devices, text).unwrap_err().hint;
        assert_eq!(hint("kitchne"), "Did you mean \"kitchen.yaml\"?");
        assert_eq!(hint("garage-door"), "`kiln devices` lists them.");
    }
}
