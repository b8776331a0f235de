// The seven emoji of a pin, as `crates/model/src/emoji.rs` computes them.

/** The 64 glyphs in their frozen order; names are the message `emoji.names`, in the same order. */
export const GLYPHS: readonly string[] = (
  '🐶 🐱 🦁 🐎 🦄 🐷 🐘 🐰 🐼 🐓 🐧 🐢 🐟 🐙 🦋 🌷 🌳 🌵 🍄 🌏 🌙 ☁️ 🔥 🍌 🍎 🍓 🌽 🍕 🎂 ❤️ 😀 🤖 ' +
  '🎩 👓 🔧 🎅 👍 ☂️ ⌛️ ⏰ 🎁 💡 📕 ✏️ 📎 ✂️ 🔒 🔑 🔨 ☎️ 🏁 🚂 🚲 ✈️ 🚀 🏆 ⚽️ 🎸 🎺 🔔 ⚓️ 🎧 📁 📌'
).split(' ');

/** Returns the indices of the top 42 bits of a pin (64 hex digits), six bits each, highest first. */
export function emojiIndices(pin: string): number[] {
  // Six bytes are 48 bits: exact in a number.
  const top = Number.parseInt(pin.slice(0, 12), 16);
  return [0, 1, 2, 3, 4, 5, 6].map((i) => Math.floor(top / 2 ** (42 - 6 * i)) % 64);
}

/** Returns a pin in pairs of digits, as every dashboard shows it. */
export function grouped(pin: string): string[] {
  return pin.match(/.{1,2}/g) ?? [];
}
