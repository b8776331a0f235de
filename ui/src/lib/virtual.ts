// Which rows of a long list are worth drawing.

export interface Window {
  /** First row to draw. */
  from: number;
  /** One behind the last. */
  to: number;
}

/** Returns the rows that are visible, and some more on both sides so that scrolling shows no gap. */
export function visible(
  count: number,
  rowHeight: number,
  scrollTop: number,
  height: number,
  more = 8,
): Window {
  if (rowHeight <= 0 || count <= 0) return { from: 0, to: 0 };
  const first = Math.floor(Math.max(0, scrollTop) / rowHeight);
  const last = Math.ceil((Math.max(0, scrollTop) + Math.max(0, height)) / rowHeight);
  const from = Math.min(Math.max(0, first - more), count);
  return { from, to: Math.max(from, Math.min(count, last + more)) };
}

/** Returns where to scroll so that `row` is seen, or the present place if it is. */
export function reveal(
  row: number,
  rowHeight: number,
  scrollTop: number,
  height: number,
): number {
  const top = row * rowHeight;
  if (top < scrollTop) return top;
  if (top + rowHeight > scrollTop + height) return top + rowHeight - height;
  return scrollTop;
}
