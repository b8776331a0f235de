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
/** Messages shown at once; problems beyond that are counted. */
export const MOST = 4;

class Notes {
  /** Oldest first: all problems that were not closed, and what was done just now. */
  shown = $state<Note[]>([]);
  #next = 1;

  add(note: Omit<Note, 'id'>): void {
    const same = this.shown.find((n) => n.text === note.text && n.kind === note.kind);
    if (same) this.drop(same.id);
    const id = this.#next;
    this.#next += 1;
    const all = [...this.shown, { ...note, id }];
    // What was done makes room for what failed, and only the newest of it cannot wait.
    const room = Math.max(1, MOST - all.filter(({ kind }) => kind === 'problem').length);
    const done = all.filter(({ kind }) => kind === 'done').slice(-room);
    this.shown = all.filter((one) => one.kind === 'problem' || done.includes(one));
    if (note.kind === 'done') setTimeout(() => this.drop(id), STAYS);
  }

  drop(id: number): void {
    this.shown = this.shown.filter((note) => note.id !== id);
  }

  /** Closes all that tells of failures. */
  dropProblems(): void {
    this.shown = this.shown.filter((note) => note.kind !== 'problem');
  }
}

export const notes = new Notes();

/** Says that something was done; goes away by itself. */
export function tell(text: string, job: string | null = null): void {
  notes.add({ kind: 'done', text, hint: '', job });
}

/** Says what the node refused; stays until it is closed. */
export function warn(refused: Refusal): void {
  complain(said(refused.message, refused.message_words), said(refused.hint, refused.hint_words));
}

/** Says in words of this window what failed, and what to do; stays until it is closed. */
export function complain(text: string, hint = '', job: string | null = null): void {
  notes.add({ kind: 'problem', text, hint, job });
}
