// What elements do by themselves: live elsewhere in the page, walk with arrow keys.
import type { Action } from 'svelte/action';

/** Moves an element to the end of the main part of the page, where nothing clips it. */
export const portal: Action<HTMLElement> = (node) => {
  (node.ownerDocument.querySelector('main') ?? node.ownerDocument.body).append(node);
  return { destroy: () => node.remove() };
};

/** Closes when something outside of the element is pressed or gets the focus. */
export const outside: Action<HTMLElement, () => void> = (node, close) => {
  const on = (event: Event) => {
    if (event.target instanceof Node && !node.contains(event.target)) close();
  };
  document.addEventListener('pointerdown', on, true);
  document.addEventListener('focusin', on, true);
  return {
    destroy: () => {
      document.removeEventListener('pointerdown', on, true);
      document.removeEventListener('focusin', on, true);
    },
  };
};

/** Closes when what the element belongs to is scrolled away from it. */
export const anchored: Action<HTMLElement, { to: HTMLElement; lost: () => void }> = (_, { to, lost }) => {
  const { top } = to.getBoundingClientRect();
  const on = () => {
    // The last word of a scroll may come when it is over.
    if (Math.abs(to.getBoundingClientRect().top - top) > 2) lost();
  };
  document.addEventListener('scroll', on, true);
  return { destroy: () => document.removeEventListener('scroll', on, true) };
};

/** Returns the item that an arrow key, Home or End leads to; null for other keys. */
export function step(key: string, at: number, length: number): number | null {
  if (length === 0) return null;
  switch (key) {
    case 'ArrowDown':
      return (at + 1) % length;
    case 'ArrowUp':
      return (at - 1 + length) % length;
    case 'Home':
      return 0;
    case 'End':
      return length - 1;
    default:
      return null;
  }
}
