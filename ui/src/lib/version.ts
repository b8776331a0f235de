// ESPHome versions: which of two is older, by the same rule as in the tray; the same vectors hold both.

/** Longest version that is one. */
const MOST = 64;
const WELL_FORMED =
  /^v?(\d+!)?\d+(\.\d+)*([-_.]?(alpha|beta|preview|pre|rc|a|b|c)[-_.]?\d*)?([-_.]?post[-_.]?\d*|-\d+)?([-_.]?dev[-_.]?\d*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?$/i;
/** A release, or one of the stages before it. */
const ORDERED = /^(\d+(?:\.\d+)*)(?:(a|b|rc)(\d+))?$/;
const STAGES = ['a', 'b', 'rc'];

/** Tells whether a text is a version. */
export function isVersion(text: string): boolean {
  return text.length <= MOST && WELL_FORMED.test(text);
}

/** What versions are ordered by: numbers without zeros at the end, whether it is final, the stage before that and its number. */
export type OrderKey = [release: bigint[], final: 0 | 1, stage: number, number: bigint];

/** Returns what a version is ordered by; null for one of development, which has no place in the order. */
export function orderKey(text: string): OrderKey | null {
  const match = isVersion(text) ? ORDERED.exec(text) : null;
  if (match === null) return null;
  const release = (match[1] ?? '').split('.').map(BigInt);
  while (release.length > 1 && release.at(-1) === 0n) release.pop();
  const stage = match[2];
  return stage === undefined ? [release, 1, 0, 0n] : [release, 0, STAGES.indexOf(stage), BigInt(match[3] ?? '0')];
}

/** Tells whether a device that runs `deployed` gets something newer with `ours`; one without an order is not it as soon as it is another. */
export function isOlder(deployed: string, ours: string): boolean {
  if (!isVersion(deployed) || !isVersion(ours)) return false;
  const [a, b] = [orderKey(deployed), orderKey(ours)];
  if (a === null || b === null) return deployed !== ours;
  const flat = ([release, ...rest]: OrderKey, length: number) => [...Array.from({ length }, (_, i) => release[i] ?? 0n), ...rest];
  const length = Math.max(a[0].length, b[0].length);
  const [x, y] = [flat(a, length), flat(b, length)];
  const at = x.findIndex((part, i) => part !== y[i]);
  return at >= 0 && (x[at] ?? 0n) < (y[at] ?? 0n);
}
