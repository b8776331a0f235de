//! [`Label`] and [`FriendlyName`]: names that people or machines gave; display only, never looked up.
use std::fmt;

/// Longest label or friendly name kept, in Unicode code points (peer-link.md §6.1).
const MAX_CHARS: usize = 128;

/// A display name given by a human. At most 128 code points, white space stripped.
///
/// Control characters may be inside when it came over the wire; faces escape them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// A machine's own name as it announces it. At most 128 code points, white space stripped.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FriendlyName(String);

/// Strips like the reference peer (White_Space and U+001C–U+001F, peer-link.md §6.5) and cuts.
fn clip(text: &str) -> String {
    let white = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    text.trim_matches(white).chars().take(MAX_CHARS).collect()
}

macro_rules! display_name {
    ($name:ident) => {
        impl $name {
            /// Strips and cuts `text`; never fails.
            pub fn clipped(text: &str) -> Self {
                Self(clip(text))
            }

            /// Returns the name as text, possibly empty.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns whether there is no name.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

display_name!(Label);
display_name!(FriendlyName);
