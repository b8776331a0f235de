// Types of the read model: the JSON names of docs/CLI.md.

/** Seconds since 1970 with a fraction. */
export type Time = number;
/** 64 lower-case hex digits. */
export type Pin = string;

export interface Identity {
  pin_sha256: Pin;
  dashboard_id: string;
  friendly_name: string;
  version: string;
  esphome_version: string | null;
}

/** What other languages make a sentence from, beside its English: see docs/CLI.md. */
export interface Said {
  code: string;
  values?: Record<string, SaidValue>;
}
/** Quoted text, or a sentence with words of its own. */
export type SaidValue = string | (Said & { text: string });

/** One thing that was looked at to decide whether this computer builds for others. */
export interface Input {
  input: string;
  value: string;
  value_words?: Said;
  limit: string;
  limit_words?: Said;
  verdict: 'ok' | 'blocks' | 'unknown';
}

export interface Availability {
  open: boolean;
  reason: string;
  since?: Time | null;
  until?: Time | null;
  inputs?: Input[];
}

/** What holds builds of others here, as it was proved at the start; `detail` says in English how, or why not better. */
export interface Sandbox {
  tier: number;
  detail: string;
}

export type PairingWindow = { state: 'closed' } | { state: 'open'; seconds_left: number };

export interface Queue {
  idle: boolean;
  running: boolean;
  queue_depth: number;
  /** While a Kiln does not build for others: why, as in `Availability`. Left out where it does. */
  absence?: { reason: string; until: Time | null } | null;
}

export type Link = 'connected' | 'connecting' | 'orphaned' | 'awaiting_approval';

/** A computer that builds for us. */
export interface Receiver {
  pin_sha256: Pin;
  public_key: string;
  endpoint: string;
  label: string;
  label_auto: boolean;
  paired_at: Time;
  status: 'pending' | 'approved';
  enabled: boolean;
  esphome_version: string | null;
  capabilities: { auto_provision: boolean; reset_build_env: boolean; kiln: boolean };
  friendly_name: string;
  ha_addon: boolean;
  link: Link;
  link_error: string;
  link_error_words?: Said;
  queue: Queue | null;
}

/** A computer that we build for. */
export interface Offloader {
  dashboard_id: string;
  pin_sha256: Pin;
  public_key: string;
  label: string;
  label_auto: boolean;
  paired_at: Time;
  peer_ip: string | null;
  connect_back_port: number | null;
  friendly_name: string;
  ha_addon: boolean;
  connected: boolean;
}

/** A computer that asks to be built for. */
export interface PairRequest {
  dashboard_id: string;
  pin_sha256: Pin;
  public_key: string;
  label: string;
  label_auto: boolean;
  peer_ip: string | null;
  friendly_name: string;
  ha_addon: boolean;
  requested_at: Time;
}

export interface Alert {
  pin_sha256: Pin;
  label: string;
  endpoint: string;
  kind: 'pin_mismatch' | 'peer_revoked' | 'superseded';
  observed_pin_sha256: Pin | null;
  since: Time;
}

export interface Discovered {
  name: string;
  hostname: string;
  port: number;
  addresses: string[];
  server_version: string;
  esphome_version: string;
  friendly_name: string;
  pin_sha256: Pin | null;
  endpoint: string | null;
  ha_addon: boolean;
}

export type JobKind = 'compile' | 'upload' | 'clean' | 'reset_build_env';
export type JobStatus = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';

export type Origin =
  | { by: 'owner' }
  | { by: 'offloader'; pin_sha256: Pin; dashboard_id: string; wire_job_id: string; label: string };

export type Placement =
  | { on: 'local' }
  | { on: 'remote_pending' }
  | { on: 'remote'; pin_sha256: Pin; label: string; esphome_version: string | null };

export interface Job {
  id: string;
  kind: JobKind;
  configuration: string;
  device_name: string;
  origin: Origin;
  placement: Placement;
  status: JobStatus;
  depends_on: string | null;
  port: string | null;
  bootloader: 'include' | 'skip';
  target_version: string | null;
  created_at: Time;
  started_at: Time | null;
  completed_at: Time | null;
  exit_code: number | null;
  error: string | null;
  error_words?: Said;
  failure_reason: 'provision' | null;
  progress: number | null;
  reason: string;
  reason_words?: Said;
  deferred: boolean;
}

/** Something that is kept on the disk. */
export interface StoredItem {
  kind: 'bundle' | 'build' | 'toolchains' | 'environment' | 'transfers' | 'logs';
  pin_sha256: Pin | null;
  device: string;
  version: string | null;
  bytes: number;
  last_used: Time;
  /** Why it stays; null if it may go. */
  kept: string | null;
}

export interface Storage {
  measured_at: Time | null;
  used_bytes: number;
  budget_bytes: number | null;
  free_bytes: number | null;
  floor_bytes: number | null;
  items: StoredItem[];
}

export interface View {
  identity: Identity;
  availability: Availability;
  /** Left out by a node that is older than boxes. */
  sandbox?: Sandbox;
  listening_port: number | null;
  window: PairingWindow;
  receivers: Receiver[];
  offloaders: Offloader[];
  requests: PairRequest[];
  alerts: Alert[];
  discovered: Discovered[];
  /** Newest first. */
  jobs: Job[];
  queue: Queue;
  storage: Storage;
  notices: string[];
  notices_words?: (Said | null)[];
  at: Time;
  own_label: string;
}

export interface Device {
  configuration: string;
  name: string;
  friendly_name: string;
  platform: string;
  address: string;
  presence: 'online' | 'offline' | 'unknown';
  built_version: string;
  deployed_version: string;
  last_build: Time | null;
  problem: string | null;
  problem_words?: Said;
}

export interface Environment {
  version: string;
  path: string;
  state: 'ready' | 'installing' | 'broken';
  detail: string;
  detail_words?: Said;
  size_bytes: number | null;
  installed: boolean;
}

export interface SerialPort {
  path: string;
  product: string;
  state: 'usable' | 'denied' | 'busy' | 'unknown';
  problem: string;
  problem_words?: Said;
}

/** What was built for one offloader. */
export interface Given {
  pin_sha256: Pin;
  label: string;
  completed: number;
  failed: number;
  cancelled: number;
  handed_back: number;
  seconds: number;
}

/** What one receiver built for us. */
export interface Gained {
  pin_sha256: Pin;
  label: string;
  completed: number;
  seconds: number;
  /** How many of them were compiled here, too, so that they can be compared. */
  compared: number;
  saved_seconds: number;
}

export interface Statistics {
  since: Time | null;
  given: Given[];
  gained: Gained[];
}

/** Whether the audit is as it was written. */
export type Verification =
  | { verdict: 'intact'; first: number; last: number; head: string }
  | { verdict: 'broken'; number: number; fault: Fault };

export type Fault =
  | 'changed'
  | 'missing'
  | 'reordered'
  | 'beginning_cut'
  | 'end_cut'
  | 'no_anchor'
  | 'noted_missing';

export type SettingValue = string | number | boolean;
export type Settings = Record<string, SettingValue>;

/** Why the node does not do what was asked; sentences for people. */
export interface Refusal {
  code: string;
  message: string;
  message_words?: Said | null;
  hint: string;
  hint_words?: Said | null;
}

/** A request of docs/CLI.md, without `id`. */
export type Request =
  | { request: 'status' | 'devices' | 'jobs' | 'environments' | 'newest_environment' | 'settings' | 'serial_ports' | 'storage' | 'reclaim' }
  | { request: 'verify_audit' }
  | { request: 'statistics'; since?: Time }
  | { request: 'open_window' | 'close_window' | 'rotate_identity' | 'resume' }
  | { request: 'preview'; endpoint: string }
  | { request: 'pair'; endpoint: string; pin_sha256: Pin; pairing_key?: string; label: string }
  | { request: 'unpair'; pin_sha256: Pin }
  | { request: 'set_pairing_enabled'; pin_sha256: Pin; enabled: boolean }
  | { request: 'edit_endpoint'; pin_sha256: Pin; endpoint: string }
  | { request: 'approve'; dashboard_id: string; pin_sha256?: string }
  | { request: 'reject' | 'remove_peer'; dashboard_id: string }
  | { request: 'install'; device: string; build: string; port: string }
  | { request: 'flash'; device: string; port: string }
  | { request: 'compile'; device: string; build: string }
  | { request: 'clean'; device: string }
  | { request: 'cancel' | 'build_here' | 'job'; job: string }
  | { request: 'install_environment'; version: string }
  | { request: 'reset_environment'; pin_sha256?: Pin }
  | { request: 'set_settings'; settings: [string, string][] }
  | { request: 'pause'; for: Snooze };

export type Snooze = '30m' | '2h' | 'tomorrow' | 'forever';

export type Reply =
  | { reply: 'done' | 'paired' | 'pairing_pending' }
  | ({ reply: 'status' } & View)
  | { reply: 'previewed'; pin_sha256: Pin; requires_pairing_key: boolean; friendly_name: string }
  | { reply: 'devices'; devices: Device[] }
  | { reply: 'jobs'; jobs: Job[] }
  | { reply: 'environments'; environments: Environment[] }
  | { reply: 'newest_environment'; version: string }
  | { reply: 'settings'; settings: Settings }
  | ({ reply: 'audit_verified' } & Verification)
  | ({ reply: 'statistics' } & Statistics)
  | { reply: 'storage'; storage: Storage }
  | { reply: 'reclaimed'; freed_bytes: number; freed: StoredItem[]; left: StoredItem[] }
  /** `advice` is for a device that is plugged in and not among them. */
  | { reply: 'serial_ports'; ports: SerialPort[]; advice?: string; advice_words?: Said };

/** What may be followed, without `id`. */
export type FollowBody =
  | { follow: 'view' | 'devices' | 'environments' }
  | { follow: 'log'; job: string; offset: number };

export type Event =
  | { event: 'view'; view: View }
  | { event: 'devices'; devices: Device[] }
  | { event: 'environments'; environments: Environment[] }
  | { event: 'log'; offset: number; text: string; next: number }
  | { event: 'end' };

export const PAGES = [
  'overview',
  'devices',
  'builders',
  'activity',
  'availability',
  'storage',
  'settings',
  'diagnostics',
] as const;
/** A page of the side bar, or the page of one job. */
export type Page = (typeof PAGES)[number] | 'job';

/** Where somebody wants to go. */
export interface Goal {
  page: string;
  job: string | null;
  dashboard_id: string | null;
  /** Part of the page: `outdated` of the devices, or the pin of a receiver. */
  about: string | null;
}

export type Language = 'en' | 'de';

export interface Start extends Goal {
  language: Language;
  first_run: boolean;
  tray: 'shown' | 'no_host' | 'unknown';
  notifications: 'shown' | 'missing' | 'denied' | 'unknown';
  /** What a click in the tray asked for and was not done, if that is why the window opened. */
  refused: string | null;
  version: string;
}

export interface DesktopSettings {
  start_at_login: 'on' | 'off' | 'blocked' | 'unsupported';
  language: 'system' | Language;
  notifications: 'on' | 'off';
}

export interface NodeState {
  /** `troubled`: it cannot begin, and `message` says why and what to do. */
  state: 'connected' | 'connecting' | 'gone' | 'troubled';
  message: string;
  message_words?: Said | null;
}
