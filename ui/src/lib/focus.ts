// Where the keyboard stands: when the thing it stands on is gone, it goes on with what is there now.

const CONTROLS = 'a[href], button, input, select, textarea, summary, [tabindex]';
/** What belongs together on a page, the nearest first looked at. */
const PARTS = '[role=row], li, section, dialog, .notes, .page';

function controls(part: Element): HTMLElement[] {
  return [...part.querySelectorAll<HTMLElement>(CONTROLS)].filter((one) => one.tabIndex >= 0 && !one.matches(':disabled'));
}

function follows(one: Element, other: Element): boolean {
  return (one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
}

/** Gives the focus to an element that may be hidden. Returns whether it has it now. */
function focus(one: HTMLElement): boolean {
  // A list that is being scrolled is not scrolled back.
  one.focus({ preventScroll: one.closest('.virtual') !== null || one.matches('h1') });
  return document.activeElement === one;
}

/** Remembers where an element stands. The returned function gives it the focus or, when it is gone, what stands there
 * now: the next control in the nearest part of the page that is left, else the one before, else the title. */
export function place(of: Element | null): () => void {
  const parts: { part: Element; before: HTMLElement[] }[] = [];
  for (let part = of?.closest(PARTS); of && part; part = part.parentElement?.closest(PARTS)) {
    parts.push({ part, before: controls(part).filter((one) => follows(one, of)) });
  }
  return () => {
    if (of instanceof HTMLElement && of.isConnected) return of.focus();
    for (const { part, before } of parts) {
      if (!part.isConnected) continue;
      const left = before.filter((one) => one.isConnected).at(-1);
      const now = controls(part);
      const next = left === undefined ? now : now.filter((one) => follows(left, one));
      if ([...next, ...now.reverse()].some(focus)) return;
    }
    const title = document.querySelector<HTMLElement>('main h1');
    if (title) focus(title);
  };
}

/** Keeps the focus on the page until the returned function is called: what is pressed often goes away by that. */
export function keepFocus(): () => void {
  let stood: Element | null = null;
  let back: () => void = () => undefined;

  const came = ({ target }: FocusEvent) => {
    if (!(target instanceof Element)) return;
    stood = target;
    back = place(target);
  };
  // Whoever presses on nothing wants the focus nowhere.
  const left = () => queueMicrotask(() => {
    if (stood?.isConnected && isNowhere()) stood = null;
  });
  const observer = new MutationObserver(() => {
    // A menu closes when something else is pressed, and that takes the focus by itself.
    if (stood === null || stood.isConnected || !isNowhere() || stood.getAttribute('role') === 'menuitem') return;
    stood = null;
    back();
  });

  document.addEventListener('focusin', came);
  document.addEventListener('focusout', left);
  observer.observe(document.body, { childList: true, subtree: true });
  return () => {
    document.removeEventListener('focusin', came);
    document.removeEventListener('focusout', left);
    observer.disconnect();
  };
}

function isNowhere(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}
