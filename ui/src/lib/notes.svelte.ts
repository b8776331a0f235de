// Short messages at the edge of the window: what was done, what failed and what to do.
import type { Refusal } from './model.ts';
import { said } from './words.svelte.ts';

export interface Note {
  id: number;
  kind: 'done' | 'problem';
  text: string;
  hint: string;
  /** A job whose page tells more. */
  job: string | null;
}

/** Milliseconds that a message of success stays. */
const STAYS = 6000;
/** Messages shown at once. */
const MOST = 4;

class Notes {
  shown = $state<Note[]>([]);
  #next = 1;

  add(note: Omit<Note, 'id'>): void {
    const same = this.shown.find((n) => n.text === note.text && n.kind === note.kind);
    if (same) this.drop(same.id);
    const id = this.#next;
    this.#next += 1;
    this.shown = [...this.shown, { ...note, id }].slice(-MOST);
    if (note.kind === 'done') setTimeout(() => this.drop(id), STAYS);
  }

  drop(id: number): void {
    this.shown = this.shown.filter((note) => note.id !== id);
  }
}

export const notes = new Notes();

/** Says that something was done; goes away by itself. */
export function tell(text: string, job: string | null = null): void {
  notes.add({ kind: 'done', text, hint: '', job });
}

/** Says what failed; stays until it is closed. */
export function warn(refused: Refusal, job: string | null = null): void {
  const text = said(refused.message, refused.message_words);
  notes.add({ kind: 'problem', text, hint: said(refused.hint, refused.hint_words), job });
}
