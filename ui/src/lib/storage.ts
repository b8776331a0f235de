// What is kept on the disk, as the page about it shows it: for whom, of which kind, what may go.
import type { Pin, Storage, StoredItem, View } from './model.ts';

/** What is kept for one computer; `pin` is null for what is not one computer's. */
export interface Owner {
  pin: Pin | null;
  bytes: number;
  items: StoredItem[];
}

/** Returns the owners, those with most first, and the items of each by device. */
export function owners(storage: Storage): Owner[] {
  const found = new Map<Pin | null, Owner>();
  for (const item of storage.items) {
    const owner = found.get(item.pin_sha256) ?? { pin: item.pin_sha256, bytes: 0, items: [] };
    owner.bytes += item.bytes;
    owner.items.push(item);
    found.set(item.pin_sha256, owner);
  }
  for (const owner of found.values()) {
    owner.items.sort((a, b) => a.device.localeCompare(b.device) || a.kind.localeCompare(b.kind));
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes);
}

/** Returns what each kind takes, most first. */
export function kinds(storage: Storage): { kind: string; bytes: number }[] {
  const found = new Map<string, number>();
  for (const { kind, bytes } of storage.items) found.set(kind, (found.get(kind) ?? 0) + bytes);
  return [...found].map(([kind, bytes]) => ({ kind, bytes })).sort((a, b) => b.bytes - a.bytes);
}

/** Returns what may be deleted, in bytes. */
export function spare(storage: Storage): number {
  return storage.items.filter((item) => item.kept === null).reduce((sum, item) => sum + item.bytes, 0);
}

/** Returns the name of the computer with a pin; one that is not paired any more has only the pin. */
export function nameOf(view: View, pin: Pin): string {
  return view.offloaders.find((one) => one.pin_sha256 === pin)?.label ?? pin.slice(0, 8);
}
