// Puts text into the clipboard, also where the modern way is not allowed, and says whether it is there.
import { complain, tell } from './notes.svelte.ts';
import { t } from './words.svelte.ts';

/** Copies and says `done`, or that it failed and what to do instead. */
export async function copy(text: string, done: string): Promise<void> {
  if (await put(text)) tell(done);
  else complain(t('copy.failed'), t('copy.failed_next'));
}

async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'hidden';
    // An open dialogue makes everything outside of it unselectable.
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    const before = document.activeElement;
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}
