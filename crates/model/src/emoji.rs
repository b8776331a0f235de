//! [`PinEmoji`]: the seven emoji of a pin, for a quick comparison by people (peer-link.md §1.4).
use std::fmt;

use crate::Pin;

/// One symbol of the short-authentication-string vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emoji {
    /// The glyph, variation selector included.
    pub glyph: &'static str,
    /// Its English name.
    pub name: &'static str,
}

/// The seven emoji of a pin, in order: 42 of its 256 bits, so the full hex goes beside them.
///
/// `Display` joins the glyphs with one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinEmoji(pub [Emoji; 7]);

impl PinEmoji {
    /// Returns the names joined with `", "`.
    pub fn names(&self) -> String {
        self.0.map(|e| e.name).join(", ")
    }
}

impl fmt::Display for PinEmoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|e| e.glyph).join(" "))
    }
}

impl Pin {
    /// Returns the emoji of the top 42 bits, six bits each, highest first.
    pub fn emoji(&self) -> PinEmoji {
        let top = self
            .0
            .iter()
            .take(6)
            .fold(0u64, |acc, byte| acc << 8 | u64::from(*byte));
        let symbol = |i: u32| TABLE[(top >> (42 - 6 * i) & 63) as usize];
        PinEmoji([0, 1, 2, 3, 4, 5, 6].map(symbol))
    }
}

/// The 64 symbols; the order is frozen, it is the Matrix client-server specification's.
#[rustfmt::skip]
const TABLE: [Emoji; 64] = [
    Emoji { glyph: "🐶", name: "Dog" },
    Emoji { glyph: "🐱", name: "Cat" },
    Emoji { glyph: "🦁", name: "Lion" },
    Emoji { glyph: "🐎", name: "Horse" },
    Emoji { glyph: "🦄", name: "Unicorn" },
    Emoji { glyph: "🐷", name: "Pig" },
    Emoji { glyph: "🐘", name: "Elephant" },
    Emoji { glyph: "🐰", name: "Rabbit" },
    Emoji { glyph: "🐼", name: "Panda" },
    Emoji { glyph: "🐓", name: "Rooster" },
    Emoji { glyph: "🐧", name: "Penguin" },
    Emoji { glyph: "🐢", name: "Turtle" },
    Emoji { glyph: "🐟", name: "Fish" },
    Emoji { glyph: "🐙", name: "Octopus" },
    Emoji { glyph: "🦋", name: "Butterfly" },
    Emoji { glyph: "🌷", name: "Flower" },
    Emoji { glyph: "🌳", name: "Tree" },
    Emoji { glyph: "🌵", name: "Cactus" },
    Emoji { glyph: "🍄", name: "Mushroom" },
    Emoji { glyph: "🌏", name: "Globe" },
    Emoji { glyph: "🌙", name: "Moon" },
    Emoji { glyph: "☁\u{fe0f}", name: "Cloud" },
    Emoji { glyph: "🔥", name: "Fire" },
    Emoji { glyph: "🍌", name: "Banana" },
    Emoji { glyph: "🍎", name: "Apple" },
    Emoji { glyph: "🍓", name: "Strawberry" },
    Emoji { glyph: "🌽", name: "Corn" },
    Emoji { glyph: "🍕", name: "Pizza" },
    Emoji { glyph: "🎂", name: "Cake" },
    Emoji { glyph: "❤\u{fe0f}", name: "Heart" },
    Emoji { glyph: "😀", name: "Smiley" },
    Emoji { glyph: "🤖", name: "Robot" },
    Emoji { glyph: "🎩", name: "Hat" },
    Emoji { glyph: "👓", name: "Glasses" },
    Emoji { glyph: "🔧", name: "Wrench" },
    Emoji { glyph: "🎅", name: "Santa" },
    Emoji { glyph: "👍", name: "Thumbs up" },
    Emoji { glyph: "☂\u{fe0f}", name: "Umbrella" },
    Emoji { glyph: "⌛\u{fe0f}", name: "Hourglass" },
    Emoji { glyph: "⏰", name: "Clock" },
    Emoji { glyph: "🎁", name: "Gift" },
    Emoji { glyph: "💡", name: "Light bulb" },
    Emoji { glyph: "📕", name: "Book" },
    Emoji { glyph: "✏\u{fe0f}", name: "Pencil" },
    Emoji { glyph: "📎", name: "Paperclip" },
    Emoji { glyph: "✂\u{fe0f}", name: "Scissors" },
    Emoji { glyph: "🔒", name: "Lock" },
    Emoji { glyph: "🔑", name: "Key" },
    Emoji { glyph: "🔨", name: "Hammer" },
    Emoji { glyph: "☎\u{fe0f}", name: "Telephone" },
    Emoji { glyph: "🏁", name: "Flag" },
    Emoji { glyph: "🚂", name: "Train" },
    Emoji { glyph: "🚲", name: "Bicycle" },
    Emoji { glyph: "✈\u{fe0f}", name: "Aeroplane" },
    Emoji { glyph: "🚀", name: "Rocket" },
    Emoji { glyph: "🏆", name: "Trophy" },
    Emoji { glyph: "⚽\u{fe0f}", name: "Ball" },
    Emoji { glyph: "🎸", name: "Guitar" },
    Emoji { glyph: "🎺", name: "Trumpet" },
    Emoji { glyph: "🔔", name: "Bell" },
    Emoji { glyph: "⚓\u{fe0f}", name: "Anchor" },
    Emoji { glyph: "🎧", name: "Headphones" },
    Emoji { glyph: "📁", name: "Folder" },
    Emoji { glyph: "📌", name: "Pin" },
];

#[cfg(test)]
mod tests {
    use super::*;

    // Covers: B-04
    #[test]
    fn the_table_and_every_pin_match_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/identity.json")).unwrap();
        for (row, emoji) in vectors["sas_table"].as_array().unwrap().iter().zip(TABLE) {
            assert_eq!(
                (&row["emoji"], &row["name"]),
                (&emoji.glyph.into(), &emoji.name.into())
            );
        }
        for case in vectors["cases"].as_array().unwrap() {
            let pin: Pin = case["pin_sha256"].as_str().unwrap().parse().unwrap();
            assert_eq!(pin.emoji().to_string(), case["emoji"]);
            assert_eq!(pin.emoji().names(), case["emoji_names"]);
            if let Some(grouped) = case["pin_formatted"].as_str() {
                assert_eq!(pin.grouped(), grouped);
            }
        }
    }
}
