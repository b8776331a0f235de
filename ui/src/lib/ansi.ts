// A log as lines and coloured pieces: understands colours and carriage returns, drops every other escape sequence.

/** How a piece of a line looks. `colour` is 0 to 15, or -1 for the usual one. */
export interface Style {
  colour: number;
  bold: boolean;
  dim: boolean;
}

export interface Piece extends Style {
  text: string;
}

export const PLAIN: Style = { colour: -1, bold: false, dim: false };

const ESC = '\u001b';
/** CSI with parameters and final byte; OSC up to its end; other two-character sequences. */
const SEQUENCE =
  /\u001b(?:\[([0-9;:?<=>]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[PX^_][^\u001b]*\u001b\\|[ -/]*[0-~])/g;
/** What may still become a sequence when more text arrives. */
const UNFINISHED = /\u001b(?:\[[0-9;:?<=>]{0,256}[ -/]{0,16}|\][^\u0007\u001b]{0,4096}\u001b?|[PX^_][^\u001b]{0,4096}\u001b?|[ -/]{0,16})$/;
/** ESPHome writes escapes as words where its output is no terminal; and the beginning of such a word. */
const WORD = /\\033(?=\[)/g;
const WORD_BEGUN = /\\(?:0(?:33?)?)?$/;
/** Characters after which a line without an end is ended: it is drawn anew as a whole whenever it grows. */
const LONGEST = 16_384;
/** Control characters without a picture; tabs stay. */
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/** Returns the style after the parameters of one "select graphic rendition". */
function restyle(style: Style, parameters: string): Style {
  const next = { ...style };
  const codes = parameters.split(/[;:]/).map((code) => Number(code) || 0);
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i] ?? 0;
    if (code === 0) Object.assign(next, PLAIN);
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code >= 30 && code <= 37) next.colour = code - 30;
    else if (code >= 90 && code <= 97) next.colour = code - 82;
    else if (code === 39) next.colour = -1;
    else if (code === 38 || code === 48) {
      // 5;N is a palette entry, 2;R;G;B a mixed colour. Only the sixteen of the palette have
      // a counterpart that is readable in every theme.
      const indexed = codes[i + 1] === 5;
      const entry = codes[i + 2] ?? -1;
      if (code === 38) next.colour = indexed && entry < 16 ? entry : -1;
      i += indexed ? 2 : 4;
    }
  }
  return next;
}

/** Returns the pieces of one line and the style that the next line begins with. */
export function pieces(line: string, start: Style = PLAIN): { pieces: Piece[]; end: Style } {
  const found: Piece[] = [];
  let style = start;
  let from = 0;
  const add = (raw: string) => {
    const text = raw.replace(CONTROL, '');
    if (text !== '') found.push({ text, ...style });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    add(line.slice(from, match.index));
    if (match[2] === 'm') style = restyle(style, match[1] ?? '');
    from = match.index + match[0].length;
  }
  add(line.slice(from));
  return { pieces: found, end: style };
}

/** Returns a line without colours and control characters. */
export function plain(line: string): string {
  const bare = line.includes(ESC) ? line.replace(SEQUENCE, '') : line;
  return bare.replace(CONTROL, '');
}

/** A log that grows. Lines are kept as they came and coloured only when they are shown. */
export class Log {
  #lines: string[] = [];
  /** Styles that lines begin with; only those that differ from the usual one are kept. */
  #styles = new Map<number, Style>();
  #style: Style = PLAIN;
  /** The line that is still being written. */
  #open = '';
  /** Whether the next character overwrites the open line. */
  #rewind = false;
  /** An escape sequence whose end has not come yet. */
  #rest = '';

  /** How many lines there are, the open one included. */
  get length(): number {
    return this.#lines.length + (this.#open === '' ? 0 : 1);
  }

  /** Takes more text; it may be cut anywhere. */
  append(text: string): void {
    let input = (this.#rest + text).replace(WORD, ESC);
    this.#rest = '';
    const unfinished = WORD_BEGUN.exec(input) ?? (input.includes(ESC) ? UNFINISHED.exec(input) : null);
    if (unfinished) {
      this.#rest = unfinished[0];
      input = input.slice(0, unfinished.index);
    }
    let from = 0;
    for (let at = 0; at < input.length; at += 1) {
      const c = input.charCodeAt(at);
      if (c !== 10 && c !== 13) continue;
      this.#write(input.slice(from, at));
      if (c === 10) this.#close();
      else this.#rewind = true;
      from = at + 1;
    }
    this.#write(input.slice(from));
  }

  #write(text: string): void {
    if (text === '') return;
    if (this.#rewind) this.#open = '';
    this.#rewind = false;
    this.#open += text;
    if (this.#open.length >= LONGEST) this.#close();
  }

  #close(): void {
    if (this.#style.colour !== -1 || this.#style.bold || this.#style.dim) {
      this.#styles.set(this.#lines.length, this.#style);
    }
    if (this.#open.includes(ESC)) this.#style = pieces(this.#open, this.#style).end;
    this.#lines.push(this.#open);
    this.#open = '';
    this.#rewind = false;
  }

  #raw(index: number): string {
    return this.#lines[index] ?? (index === this.#lines.length ? this.#open : '');
  }

  /** Returns a line to show. */
  line(index: number): Piece[] {
    const style = index === this.#lines.length ? this.#style : this.#styles.get(index);
    return pieces(this.#raw(index), style).pieces;
  }

  /** Returns a line to search or copy. */
  text(index: number): string {
    return plain(this.#raw(index));
  }

  /** Returns everything, as a file would hold it. */
  all(): string {
    const lines = this.#lines.map(plain);
    if (this.#open !== '') lines.push(plain(this.#open));
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
  }

  /** Returns the lines from this one on that contain `text`, capitals or not. */
  find(text: string, from = 0): number[] {
    const wanted = text.toLowerCase();
    const found: number[] = [];
    if (wanted === '') return found;
    for (let i = from; i < this.length; i += 1) {
      if (this.text(i).toLowerCase().includes(wanted)) found.push(i);
    }
    return found;
  }
}
