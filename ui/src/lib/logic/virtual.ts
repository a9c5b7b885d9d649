// Which rows of a long list are drawn. Rows have one height, so this is arithmetic. Pure.

export interface Window {
  /** The first row drawn. */
  readonly from: number;
  /** One past the last row drawn. */
  readonly to: number;
}

/** The rows that are visible, and `spare` more on both sides. */
export function visibleRows(
  total: number,
  rowHeight: number,
  scrolled: number,
  height: number,
  spare = 8,
): Window {
  const first = Math.floor(scrolled / rowHeight) - spare;
  const last = Math.ceil((scrolled + height) / rowHeight) + spare;
  const from = Math.min(Math.max(0, first), total);
  return { from, to: Math.max(from, Math.min(total, last)) };
}

/** Where to scroll so that a row is wholly visible, moving as little as possible. */
export function scrollTo(row: number, rowHeight: number, scrolled: number, height: number): number {
  const top = row * rowHeight;
  if (top < scrolled) return top;
  if (top + rowHeight > scrolled + height) return Math.max(0, top + rowHeight - height);
  return scrolled;
}
