/** Compares in code-unit order. Unlike a locale's order, it is the same everywhere. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
