//! What somebody between this computer and the makers may try, and that none of it is believed.

mod support;

use kiln_model::Timestamp;
use kiln_update::{Answer, MAX_MANIFEST, MAX_SIGNATURE, Refusal, Version, verify};
use proptest::prelude::*;
use support::{DAY, Maker, NOW, manifest, version};

#[test]
fn a_signed_newer_version_is_an_update_and_its_package_is_checked() {
    let maker = Maker::new();
    let text = manifest("0.2.0");
    let answer = verify(
        text.as_bytes(),
        &maker.sign(&text),
        &maker.asks("0.1.0", None),
    );
    let Ok(Answer::Update(update)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(update.version, version("0.2.0"));
    assert_eq!(update.url, "https://updates.example/kiln_amd64.deb");
    assert_eq!(update.check_package(1000, &[0xab; 32]), Ok(()));
    assert_eq!(
        update.check_package(999, &[0xab; 32]),
        Err(Refusal::Truncated)
    );
    assert_eq!(
        update.check_package(1001, &[0xab; 32]),
        Err(Refusal::TooLarge)
    );
    assert_eq!(
        update.check_package(1000, &[0xac; 32]),
        Err(Refusal::Altered)
    );
}

#[test]
fn the_same_version_is_no_update_and_an_older_one_is_refused() {
    let maker = Maker::new();
    let offered = |offered: &str, seen: Option<&str>| {
        let seen = seen.map(version);
        let text = manifest(offered);
        let asked = maker.asks("0.2.0", seen.as_ref());
        verify(text.as_bytes(), &maker.sign(&text), &asked)
    };
    let older = |offered: &str, known: &str| {
        Err(Refusal::Older {
            offered: version(offered),
            known: version(known),
        })
    };
    assert_eq!(offered("0.2.0", None), Ok(Answer::UpToDate));
    assert_eq!(offered("0.2.0+other", None), Ok(Answer::UpToDate));
    for old in ["0.1.9", "0.2.0-beta.1", "0.0.0"] {
        assert_eq!(offered(old, None), older(old, "0.2.0"), "{old}");
    }
    // A manifest from before the newest one that was seen holds this computer back.
    assert_eq!(offered("0.2.1", Some("0.3.0")), older("0.2.1", "0.3.0"));
    assert_eq!(offered("0.2.0", Some("0.3.0")), older("0.2.0", "0.3.0"));
    assert!(matches!(
        offered("0.3.0", Some("0.3.0")),
        Ok(Answer::Update(_))
    ));
    assert!(matches!(
        offered("0.10.0", Some("0.1.0")),
        Ok(Answer::Update(_))
    ));
}

#[test]
fn only_the_makers_key_is_believed() {
    let (maker, other) = (Maker::new(), Maker::new());
    let text = manifest("0.2.0");
    let signature = other.sign(&text);
    let asked = maker.asks("0.1.0", None);
    assert_eq!(
        verify(text.as_bytes(), &signature, &asked),
        Err(Refusal::WrongKey)
    );
    for key in ["", "RWQ", "untrusted comment: x"] {
        let asked = kiln_update::Asked { key, ..asked };
        assert_eq!(
            verify(text.as_bytes(), &signature, &asked),
            Err(Refusal::Key),
            "{key}"
        );
    }
    // A signature under the right key's name, made with another key.
    let forged = maker.borrow_name(&signature);
    assert_eq!(
        verify(text.as_bytes(), &forged, &asked),
        Err(Refusal::Altered)
    );
}

#[test]
fn a_signature_belongs_to_one_manifest() {
    let maker = Maker::new();
    let asked = maker.asks("0.1.0", None);
    let (one, two) = (manifest("0.2.0"), manifest("0.3.0"));
    assert_eq!(
        verify(one.as_bytes(), &maker.sign(&two), &asked),
        Err(Refusal::Altered)
    );
    let spaced = format!("{one} ");
    assert_eq!(
        verify(spaced.as_bytes(), &maker.sign(&one), &asked),
        Err(Refusal::Altered)
    );
}

#[test]
fn a_manifest_has_its_time() {
    let maker = Maker::new();
    let text = manifest("0.2.0");
    let signature = maker.sign(&text);
    let at = |now: i64| {
        let mut asked = maker.asks("0.1.0", None);
        asked.now = Timestamp(now);
        verify(text.as_bytes(), &signature, &asked)
    };
    assert!(at(NOW).is_ok());
    assert!(at(NOW + 29 * DAY).is_ok());
    assert_eq!(at(NOW + 30 * DAY), Err(Refusal::Expired));
    assert_eq!(at(i64::MAX), Err(Refusal::Expired));
    assert_eq!(at(NOW - 3 * DAY), Err(Refusal::FromTheFuture));
    assert_eq!(at(i64::MIN), Err(Refusal::FromTheFuture));
}

#[test]
fn a_computer_that_the_manifest_does_not_name_gets_nothing() {
    let maker = Maker::new();
    let text = manifest("0.2.0");
    let mut asked = maker.asks("0.1.0", None);
    asked.platform = "solaris-sparc";
    assert_eq!(
        verify(text.as_bytes(), &maker.sign(&text), &asked),
        Err(Refusal::MissingPlatform("solaris-sparc".to_owned()))
    );
}

#[test]
fn what_is_too_large_is_not_even_looked_at() {
    let maker = Maker::new();
    let text = manifest("0.2.0");
    let asked = maker.asks("0.1.0", None);
    let padded = format!("{text}{}", " ".repeat(MAX_MANIFEST));
    assert_eq!(
        verify(padded.as_bytes(), &maker.sign(&padded), &asked),
        Err(Refusal::TooLarge)
    );
    let mut signature = maker.sign(&text);
    signature.resize(MAX_SIGNATURE + 1, b'\n');
    assert_eq!(
        verify(text.as_bytes(), &signature, &asked),
        Err(Refusal::TooLarge)
    );
}

/// Every sentence of a manifest, said wrongly and signed all the same.
#[test]
fn a_signed_manifest_that_makes_no_sense_is_refused() {
    let maker = Maker::new();
    let asked = maker.asks("0.1.0", None);
    let sha = "ab".repeat(32);
    let upper = sha.to_uppercase();
    let cases: &[(&str, &str)] = &[
        (r#""format":1"#, r#""format":2"#),
        (r#""format":1"#, r#""form":1"#),
        (r#""format":1"#, r#""format":1.5"#),
        (r#""format":1"#, r#""format":1,"format":1"#),
        (r#""version":"0.2.0""#, r#""version":"0.2""#),
        (r#""version":"0.2.0""#, r#""version":"""#),
        (r#""version":"0.2.0""#, r#""version":2"#),
        (
            r#""version":"0.2.0""#,
            r#""version":"0.2.0","version":"0.3.0""#,
        ),
        (r#""released":1790000000"#, r#""released":-1"#),
        (
            r#""released":1790000000"#,
            r#""released":9223372036854775807"#,
        ),
        (r#""released":1790000000"#, r#""released":"now""#),
        (r#""expires":1792592000"#, r#""expires":1790000000"#),
        (r#""expires":1792592000"#, r#""expires":1e300"#),
        ("https://", "http://"),
        ("https://", "file:///"),
        ("https://", "https://a b/"),
        ("https://", "https://\\u0000/"),
        (r#""size":1000"#, r#""size":0"#),
        (r#""size":1000"#, r#""size":-1"#),
        (r#""size":1000"#, r#""size":1e18"#),
        (r#""size":1000"#, r#""size":1099511627776"#),
        (&sha, &upper),
        (&sha, "abab"),
        (&sha, "zz"),
        (r#""platforms":{"#, r#""platforms":["#),
        (r#""platforms":{"#, r#""platform":{"#),
    ];
    for (right, wrong) in cases {
        let text = manifest("0.2.0").replace(right, wrong);
        assert_ne!(text, manifest("0.2.0"), "{right} is not in the manifest");
        let answer = verify(text.as_bytes(), &maker.sign(&text), &asked);
        let refused = matches!(
            answer,
            Err(Refusal::Malformed(_) | Refusal::UnknownFormat | Refusal::TooLarge)
        );
        assert!(refused, "{wrong}: {answer:?}");
    }
    for text in ["", "null", "[]", "{}", "\"\"", "{\"format\":1}"] {
        let answer = verify(text.as_bytes(), &maker.sign(text), &asked);
        assert!(
            matches!(answer, Err(Refusal::Malformed(_))),
            "{text}: {answer:?}"
        );
    }
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let answer = verify(deep.as_bytes(), &maker.sign(&deep), &asked);
    assert!(matches!(answer, Err(Refusal::Malformed(_))), "{answer:?}");
}

#[test]
fn a_member_that_a_newer_maker_adds_does_no_harm() {
    let maker = Maker::new();
    let text = manifest("0.2.0").replacen('{', r#"{"notes":"faster","#, 1);
    let answer = verify(
        text.as_bytes(),
        &maker.sign(&text),
        &maker.asks("0.1.0", None),
    );
    assert!(matches!(answer, Ok(Answer::Update(_))), "{answer:?}");
}

#[test]
fn no_cut_and_no_flipped_bit_is_believed() {
    let maker = Maker::new();
    let text = manifest("0.2.0");
    let signature = maker.sign(&text);
    let asked = maker.asks("0.1.0", None);
    let believed = |manifest: &[u8], signature: &[u8]| verify(manifest, signature, &asked).is_ok();
    assert!(believed(text.as_bytes(), &signature));
    let mut flips = 0;
    for part in [text.as_bytes(), &signature] {
        let is_manifest = part == text.as_bytes();
        let mut try_out = |bytes: &[u8], what: String| {
            flips += 1;
            let hit = if is_manifest {
                believed(bytes, &signature)
            } else {
                believed(text.as_bytes(), bytes)
            };
            assert!(
                !hit,
                "{what} of {} was believed",
                if is_manifest {
                    "the manifest"
                } else {
                    "the signature"
                }
            );
        };
        for length in 0..part.len() {
            try_out(&part[..length], format!("the first {length} bytes"));
        }
        for at in 0..part.len() * 8 {
            let mut flipped = part.to_vec();
            flipped[at / 8] ^= 1 << (at % 8);
            try_out(&flipped, format!("bit {at}"));
        }
        for at in 0..=part.len() {
            let mut longer = part.to_vec();
            longer.insert(at, b'A');
            try_out(&longer, format!("a byte at {at}"));
        }
    }
    assert!(flips > 10_000, "{flips}");
}

proptest! {
    /// Whatever is offered in whichever order: the version never goes down, and nothing is offered
    /// that is not above the running one.
    #[test]
    fn the_version_only_rises(offers in proptest::collection::vec((0u64..4, 0u64..4, 0u64..4), 1..12)) {
        let maker = Maker::new();
        let (mut running, mut seen) = (version("1.1.1"), None::<Version>);
        for (major, minor, patch) in offers {
            let offered = Version::new(major, minor, patch);
            let text = manifest(&offered.to_string());
            let mut asked = maker.asks("0.0.0", seen.as_ref());
            asked.running = &running;
            match verify(text.as_bytes(), &maker.sign(&text), &asked) {
                Ok(Answer::Update(update)) => {
                    prop_assert!(update.version > running);
                    seen = Some(update.version.clone());
                    running = update.version;
                }
                Ok(Answer::UpToDate) => prop_assert_eq!(&offered, &running),
                Err(Refusal::Older { .. }) => prop_assert!(offered < running),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    /// Bytes that nobody signed are never believed, and never do harm.
    #[test]
    fn noise_is_refused(manifest in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let maker = Maker::new();
        prop_assert!(verify(&manifest, &signature, &maker.asks("0.1.0", None)).is_err());
    }
}
