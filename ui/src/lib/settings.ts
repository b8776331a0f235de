// Every setting of the node by name: where it is shown and how it is edited.
import type { Question } from './confirm.svelte.ts';
import type { Settings } from './model.ts';
import { t } from './words.svelte.ts';

export type Edit =
  | { by: 'switch' }
  | { by: 'text'; ltr?: boolean }
  | { by: 'number'; unit: 'minutes' | 'percent' | 'mb' | 'hours' | 'port' | 'cores'; /** What one unit is for the node. */ times?: number }
  | { by: 'choice'; values: readonly string[] }
  | { by: 'version' }
  | { by: 'folder' };

export type Group = 'lend' | 'own' | 'availability' | 'network' | 'other';

/** In the order in which they are shown. */
const KNOWN: Record<string, { group: Group; edit: Edit }> = {
  receiver: { group: 'lend', edit: { by: 'switch' } },
  friendly_name: { group: 'lend', edit: { by: 'text' } },
  cleanup_ttl_seconds: { group: 'lend', edit: { by: 'number', unit: 'hours', times: 3600 } },
  remote_builds: { group: 'own', edit: { by: 'switch' } },
  include_local: { group: 'own', edit: { by: 'switch' } },
  version_policy: {
    group: 'own',
    edit: { by: 'choice', values: ['any', 'release', 'exact', 'exact_required'] },
  },
  esphome_dir: { group: 'own', edit: { by: 'folder' } },
  esphome_version: { group: 'own', edit: { by: 'version' } },
  python: { group: 'own', edit: { by: 'text', ltr: true } },
  idle_minutes: { group: 'availability', edit: { by: 'number', unit: 'minutes' } },
  while_in_use: { group: 'availability', edit: { by: 'choice', values: ['stop', 'limit'] } },
  remote_sessions: { group: 'availability', edit: { by: 'choice', values: ['count', 'desktop', 'ignore'] } },
  on_battery: { group: 'availability', edit: { by: 'switch' } },
  on_metered: { group: 'availability', edit: { by: 'switch' } },
  hours: { group: 'availability', edit: { by: 'text', ltr: true } },
  exclusive_apps: { group: 'availability', edit: { by: 'text', ltr: true } },
  beside_full_screen: { group: 'availability', edit: { by: 'switch' } },
  cpu_limit: { group: 'availability', edit: { by: 'number', unit: 'percent' } },
  ram_floor_mb: { group: 'availability', edit: { by: 'number', unit: 'mb' } },
  disk_floor_mb: { group: 'availability', edit: { by: 'number', unit: 'mb' } },
  in_use_disk_floor_mb: { group: 'availability', edit: { by: 'number', unit: 'mb' } },
  storage_budget_mb: { group: 'lend', edit: { by: 'number', unit: 'mb' } },
  sandbox: { group: 'lend', edit: { by: 'choice', values: ['required', 'best_effort', 'off'] } },
  build_hosts: { group: 'lend', edit: { by: 'text', ltr: true } },
  build_folders: { group: 'lend', edit: { by: 'text', ltr: true } },
  in_use_cores: { group: 'availability', edit: { by: 'number', unit: 'cores' } },
  idle_cores: { group: 'availability', edit: { by: 'number', unit: 'cores' } },
  in_use_ram_percent: { group: 'availability', edit: { by: 'number', unit: 'percent' } },
  idle_ram_percent: { group: 'availability', edit: { by: 'number', unit: 'percent' } },
  yield_minutes: { group: 'availability', edit: { by: 'number', unit: 'minutes' } },
  daily_minutes: { group: 'availability', edit: { by: 'number', unit: 'minutes' } },
  listen_host: { group: 'network', edit: { by: 'text', ltr: true } },
  listen_port: { group: 'network', edit: { by: 'number', unit: 'port' } },
};

/** Not for a field: the pause has a menu of its own. */
const ELSEWHERE = ['paused_until'];

/** Returns how a setting is edited; one that this window does not know by what it holds. */
export function editOf(name: string, value: Settings[string]): Edit {
  const known = KNOWN[name];
  if (known !== undefined) {
    // A newer node may say "off", "ask" or a list where this window knows a switch.
    return known.edit.by === 'switch' && typeof value !== 'boolean' ? { by: 'text', ltr: true } : known.edit;
  }
  return typeof value === 'boolean' ? { by: 'switch' } : { by: 'text', ltr: true };
}

/** Returns the names of a group that the node has, in order. */
export function namesOf(group: Group, settings: Settings): string[] {
  if (group === 'other') {
    return Object.keys(settings).filter((name) => !(name in KNOWN) && !ELSEWHERE.includes(name));
  }
  return Object.keys(KNOWN).filter((name) => KNOWN[name]?.group === group && name in settings);
}

/** Returns what is asked before a value is set that lets others do more here; null for every other. */
export function questionOf(name: string, value: string, wanted: string): Question | null {
  const order = ['required', 'best_effort', 'off'];
  if (name !== 'sandbox' || order.indexOf(wanted) <= order.indexOf(value)) return null;
  const text = t(wanted === 'off' ? 'sandbox_ask.off' : 'sandbox_ask.best_effort');
  return { title: t('sandbox_ask.title'), text, yes: t('sandbox_ask.yes'), kind: 'danger' };
}
