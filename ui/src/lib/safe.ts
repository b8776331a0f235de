// Names that came from other computers, made harmless to read.

const STEERS =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Writes out control, bidirectional and invisible characters, as the command line does. */
export function safe(text: string): string {
  return text.replace(STEERS, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`);
}
