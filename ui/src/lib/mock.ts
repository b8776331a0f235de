// Invented data behind the same bridge, for development, tests and pictures: every state, 500 devices, 100 000 lines.
import type { Bridge } from './bridge.ts';
import { isFinal, isMine } from './jobs.ts';
import type {
  Availability,
  DesktopSettings,
  Device,
  Environment,
  Event,
  FollowBody,
  Input,
  Job,
  Language,
  NodeState,
  Refusal,
  Reply,
  Request,
  Said,
  Settings,
  Start,
  Storage,
  StoredItem,
  View,
} from './model.ts';

export const PIN = {
  own: 'aaa8fff703b50b2297f4f6e13508f72420d96fd01ebb84cb074449caaef64041',
  tower: 'bc841db8fea3efd84555a7f8eeb925033c90c9d5034b1a4c48a6c87de3c0ebde',
  nas: '3f1c9a77d2e04b51a8c6f30e92d4b7751c0a6e8f4d3b2a190817f6e5d4c3b2a1',
  attic: '91d2a7c45e8f30b61d4c7a92e5f80b3c6d1a4e7f92b5c8d0e3f6a9b2c5d8e1f4',
  laptop: '5ad0c3b7e91f42860d7b3a5ce8f1940276bd0e83f5a1c4972e6b8d0f13a5c7e9',
  green: 'c0ffee5ad0c3b7e91f42860d7b3a5ce8f1940276bd0e83f5a1c4972e6b8d0f13',
  fresh: 'e7b1a2c3d4958677f0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607',
  asks: '1d9f4b7e2a6c8d0f3b5e7a9c1d4f6b8e0a2c5d7f9b1e3a6c8d0f2b4e7a9c1d3f',
};

/** What was built for others and by others. */
const BALANCE = {
  given: [{ pin_sha256: PIN.green, label: 'Home Assistant', completed: 41, failed: 2, cancelled: 1, handed_back: 3, seconds: 7480 }],
  gained: [{ pin_sha256: PIN.tower, label: 'Tower', completed: 86, seconds: 6020, compared: 70, saved_seconds: 15_130 }],
};

/** Noon of a day that never changes, so that pictures do not either. */
const NOON = Date.UTC(2026, 10, 20, 12, 0, 0) / 1000;

const ROOMS = 'Kitchen,Bedroom,Hall,Attic,Garage,Garden,Bathroom,Office,Cellar,Terrace'.split(',');
const THINGS = 'plug,thermostat,ceiling light,door sensor,blind,air quality,doorbell,water meter,proxy,display'.split(',');
const CHIPS = ['ESP32', 'ESP8266', 'ESP32-S3', 'ESP32-C3', 'RP2040', 'BK7231N'];
const VERSIONS = ['2026.10.0', '2026.10.0', '2026.10.0', '2026.9.1', '2026.7.3'];

function devices(n: number, now: number): Device[] {
  return Array.from({ length: n }, (_, i) => {
    const room = ROOMS[Math.floor(i / THINGS.length) % ROOMS.length] ?? '';
    const thing = THINGS[i % THINGS.length] ?? '';
    const turn = Math.floor(i / 100);
    const label = `${room} ${thing}${turn > 0 ? ` ${turn + 1}` : ''}`;
    const name = label.toLowerCase().replaceAll(' ', '-');
    const deployed = VERSIONS[(i * 7) % VERSIONS.length] ?? '';
    return {
      configuration: `${name}.yaml`,
      name,
      friendly_name: label,
      platform: CHIPS[i % CHIPS.length] ?? '',
      address: `${name}.local`,
      presence: i % 9 === 4 ? 'offline' : i % 31 === 7 ? 'unknown' : 'online',
      built_version: deployed,
      deployed_version: i % 37 === 11 ? '' : deployed,
      last_build: now - (i + 1) * 5400,
      problem: i === 13 ? 'The configuration cannot be read: line 12 has a tab.' : null,
    };
  });
}

const OWNER = { by: 'owner' } as const;
const here = { on: 'local' } as const;
const tower = { on: 'remote', pin_sha256: PIN.tower, label: 'Tower', esphome_version: null } as const;
const nas = { on: 'remote', pin_sha256: PIN.nas, label: 'NAS', esphome_version: '2026.9.1' } as const;

function job(id: string, over: Partial<Job>): Job {
  return {
    id,
    kind: 'compile',
    configuration: 'kitchen-plug.yaml',
    device_name: 'Kitchen plug',
    origin: OWNER,
    placement: here,
    status: 'completed',
    depends_on: null,
    port: null,
    bootloader: 'skip',
    target_version: '2026.10.0',
    created_at: NOON,
    started_at: null,
    completed_at: null,
    exit_code: null,
    error: null,
    failure_reason: null,
    progress: null,
    reason: '',
    deferred: false,
    ...over,
  };
}

/** Why a job is built on another computer, in English and in what other languages are made from. */
function idle(name: string): Pick<Job, 'reason' | 'reason_words'> {
  const standing = { text: 'idle', code: 'standing_idle' };
  return { reason: `receiver ${name}: idle`, reason_words: { code: 'standing_of', values: { name, standing } } };
}

function jobs(now: number, all: Device[], busy: boolean): Job[] {
  const found: Job[] = [];
  if (busy) {
    found.push(
      job('b1-flash', { kind: 'upload', status: 'queued', depends_on: 'b1', port: 'ota', created_at: now - 96 }),
      job('b1', { status: 'running', placement: tower, created_at: now - 96, started_at: now - 92, progress: 62, ...idle('Tower') }),
      job('b2', { status: 'running', configuration: 'hall-blind.yaml', device_name: 'Hall blind', placement: nas, created_at: now - 45, started_at: now - 40, progress: 18, ...idle('NAS') }),
      job('b3', { status: 'queued', configuration: 'garage-doorbell.yaml', device_name: 'Garage doorbell', placement: { on: 'remote_pending' }, created_at: now - 30, reason: 'waits for a receiver to finish our work', reason_words: { code: 'all_busy_with_ours' } }),
      job('o1', {
        status: 'running',
        configuration: 'living-room.yaml',
        device_name: 'Living room lamp',
        origin: { by: 'offloader', pin_sha256: PIN.green, dashboard_id: 'green', wire_job_id: 'w1', label: 'Home Assistant' },
        created_at: now - 64,
        started_at: now - 61,
        progress: 41,
      }),
      job('o2', {
        status: 'queued',
        configuration: 'porch.yaml',
        device_name: 'Porch sensor',
        origin: { by: 'offloader', pin_sha256: PIN.laptop, dashboard_id: 'laptop', wire_job_id: 'w2', label: "Lena's laptop" },
        created_at: now - 20,
      }),
    );
  }
  found.push(
    job('d1-flash', { kind: 'upload', status: 'queued', deferred: true, depends_on: 'd1', port: 'ota', configuration: 'attic-proxy.yaml', device_name: 'Attic proxy', created_at: now - 4000 }),
    job('d1', { configuration: 'attic-proxy.yaml', device_name: 'Attic proxy', placement: tower, created_at: now - 4000, started_at: now - 3996, completed_at: now - 3914, exit_code: 0, ...idle('Tower') }),
    job('f1-flash', { kind: 'upload', status: 'cancelled', depends_on: 'f1', port: 'ota', configuration: 'office-display.yaml', device_name: 'Office display', created_at: now - 7300, completed_at: now - 7212 }),
    job('f1', {
      status: 'failed',
      configuration: 'office-display.yaml',
      device_name: 'Office display',
      placement: nas,
      created_at: now - 7300,
      started_at: now - 7290,
      completed_at: now - 7212,
      exit_code: 2,
      error: 'The build ended with an error in office-display.yaml, line 48: the component "fonts" needs a file that is not there.',
      ...idle('NAS'),
    }),
  );
  all.slice(0, 120).forEach((device, i) => {
    if (device.problem !== null || found.some((one) => one.configuration === device.configuration)) return;
    const end = (device.last_build ?? now) - 40;
    const took = 48 + ((i * 37) % 140);
    const placement = i % 3 === 0 ? tower : i % 3 === 1 ? nas : here;
    const why = placement.on === 'local' ? { reason: 'no receiver can build now', reason_words: { code: 'no_receiver_now' } } : idle(placement.label);
    const shared = { configuration: device.configuration, device_name: device.friendly_name, created_at: end - took - 5 };
    found.push(
      job(`h${i}-flash`, { ...shared, kind: 'upload', depends_on: `h${i}`, port: 'ota', started_at: end, completed_at: end + 14, exit_code: 0 }),
      job(`h${i}`, { ...shared, placement, ...why, started_at: end - took, completed_at: end, exit_code: 0 }),
    );
  });
  return found;
}

/** Words of the values and limits below. */
const INPUT_WORDS: Record<string, Said> = {
  on: { code: 'on' },
  off: { code: 'off' },
  yes: { code: 'yes' },
  no: { code: 'no' },
  always: { code: 'hours_always' },
  mains: { code: 'mains' },
  battery: { code: 'battery' },
  normal: { code: 'heat_normal' },
  nobody: { code: 'nobody' },
  '3 min without input; SSH does not count': { code: 'remote_desktop_only', values: { count: '3' } },
  'none runs': { code: 'none_runs' },
  'none in full screen': { code: 'none_in_full_screen' },
  'not metered': { code: 'not_metered' },
  'input within the last minute': { code: 'input_just_now' },
  '12 min without input': { code: 'minutes_without_input', values: { count: '12' } },
  '3 min without input': { code: 'minutes_without_input', values: { count: '3' } },
  '182 GB free': { code: 'gigabytes_free', values: { count: '182' } },
  '9 GB free': { code: 'gigabytes_free', values: { count: '9' } },
  'about 10 %': { code: 'about_percent', values: { percent: '10' } },
};

function inputs(over: Partial<Record<string, Partial<Input>>>): Input[] {
  const rows: Input[] = [
    { input: 'receiver', value: 'on', limit: 'on', verdict: 'ok' },
    { input: 'pause', value: 'no', limit: '', verdict: 'ok' },
    { input: 'hours', value: 'always', limit: '', verdict: 'ok' },
    { input: 'power', value: 'mains', limit: 'mains', verdict: 'ok' },
    { input: 'thermal', value: 'normal', limit: 'normal', verdict: 'ok' },
    { input: 'activity', value: '12 min without input', limit: '3 min without input', verdict: 'ok' },
    { input: 'remote', value: 'nobody', limit: '3 min without input; SSH does not count', verdict: 'ok' },
    { input: 'apps', value: 'none runs', limit: 'none runs', verdict: 'ok' },
    { input: 'full_screen', value: 'none in full screen', limit: 'none in full screen', verdict: 'ok' },
    { input: 'network', value: '', limit: 'not metered', verdict: 'unknown' },
    { input: 'disk', value: '182 GB free', limit: '10.0 GB', verdict: 'ok' },
    { input: 'memory', value: '9 GB free', limit: '2.0 GB', verdict: 'ok' },
    { input: 'load', value: 'about 10 %', limit: '50 %', verdict: 'ok' },
  ];
  const told = rows.map((row) => ({ ...row, ...over[row.input] }));
  return told.map((row) => ({ ...row, value_words: INPUT_WORDS[row.value], limit_words: INPUT_WORDS[row.limit] }));
}

function availability(scene: string, now: number): Availability {
  if (scene === 'paused') return { open: false, reason: 'snoozed', since: now - 300, until: now + 1500, inputs: inputs({ pause: { value: 'yes', verdict: 'blocks' } }) };
  if (scene === 'active') return { open: false, reason: 'user_active', since: now - 40, until: null, inputs: inputs({ activity: { value: 'input within the last minute', verdict: 'blocks' } }) };
  if (scene === 'battery') return { open: false, reason: 'battery', since: now - 600, until: null, inputs: inputs({ power: { value: 'battery', verdict: 'blocks' } }) };
  if (scene === 'off' || scene === 'first') return { open: false, reason: 'user_off', since: null, until: null, inputs: inputs({ receiver: { value: 'off', verdict: 'blocks' } }) };
  return { open: true, reason: 'ready', since: now - 900, until: null, inputs: inputs({}) };
}

function storage(items: StoredItem[], now: number): Storage {
  const used_bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  return { measured_at: now - 600, used_bytes, budget_bytes: 20_480 * 2 ** 20, free_bytes: 61_400_000_000, floor_bytes: 10_240 * 2 ** 20, items };
}

function stored(now: number): StoredItem[] {
  const item = (kind: StoredItem['kind'], pin_sha256: string | null, device: string, bytes: number, hours: number, kept: string | null): StoredItem => ({
    kind,
    pin_sha256,
    device,
    version: kind === 'environment' ? device : null,
    bytes,
    last_used: now - hours * 3600,
    kept,
  });
  return [
    item('build', PIN.laptop, 'porch', 310_000_000, 52, null),
    item('bundle', PIN.laptop, 'porch', 14_000, 12, null),
    item('build', PIN.green, 'heat-pump', 460_000_000, 6, null),
    item('toolchains', PIN.laptop, '', 2_900_000_000, 52, null),
    { ...item('environment', null, '2026.7.3', 388_000_000, 300, null), device: '' },
    item('toolchains', PIN.green, '', 4_200_000_000, 0, 'in_use'),
    item('build', PIN.green, 'living-room', 520_000_000, 0, 'in_use'),
    { ...item('environment', null, '2026.10.0', 412_000_000, 0, 'own_builds'), device: '' },
    item('logs', null, '', 9_600_000, 0, 'listed'),
    item('transfers', null, '', 61_000, 0, 'in_use'),
  ];
}

function view(scene: string, now: number, all: Device[]): View {
  const bare = scene === 'empty' || scene === 'first';
  const capabilities = { auto_provision: true, reset_build_env: true, kiln: true };
  const idle = { idle: true, running: false, queue_depth: 0 };
  const receiver = {
    public_key: PIN.tower,
    label_auto: false,
    paired_at: NOON - 86_400 * 20,
    status: 'approved' as const,
    enabled: true,
    esphome_version: '2026.10.0',
    friendly_name: '',
    ha_addon: false,
    link_error: '',
  };
  return {
    identity: { pin_sha256: PIN.own, dashboard_id: 'own', friendly_name: 'Workbench', version: '0.1.0', esphome_version: bare ? null : '2026.10.0' },
    availability: availability(scene, now),
    sandbox:
      scene === 'trouble'
        ? { tier: 0, detail: 'Not tier 3: this computer does not have bwrap. Not tier 2: Linux is older than 6.12. Linux 6.12 or the package bubblewrap makes boxes possible.' }
        : { tier: 3, detail: 'Builds for others run in a bubblewrap box with files, processes and a network of their own.' },
    listening_port: scene === 'trouble' ? null : 6055,
    window: scene === 'request' ? { state: 'open', seconds_left: 274 } : { state: 'closed' },
    receivers: bare
      ? []
      : [
          { ...receiver, pin_sha256: PIN.tower, endpoint: 'tower.local:6055', label: 'Tower', capabilities, link: 'connected', queue: { idle: false, running: true, queue_depth: 0 } },
          { ...receiver, pin_sha256: PIN.nas, endpoint: '192.168.1.20:6055', label: 'NAS', esphome_version: '2026.9.1', capabilities: { ...capabilities, kiln: false }, link: scene === 'alert' ? 'orphaned' : 'connected', queue: { idle: false, running: true, queue_depth: 2 } },
          { ...receiver, pin_sha256: PIN.attic, endpoint: 'attic.local:6055', label: 'Attic mini PC', capabilities, link: 'connecting', link_error: 'no answer within 10 s', queue: idle },
          { ...receiver, pin_sha256: PIN.fresh, endpoint: 'studio.local:6055', label: 'Studio', esphome_version: null, status: 'pending', capabilities: { ...capabilities, kiln: false }, link: 'awaiting_approval', queue: null },
        ],
    offloaders: bare
      ? []
      : [
          { dashboard_id: 'green', pin_sha256: PIN.green, public_key: PIN.green, label: 'Home Assistant', label_auto: true, paired_at: NOON - 86_400 * 40, peer_ip: '192.168.1.5', connect_back_port: null, friendly_name: 'homeassistant', ha_addon: true, connected: true },
          { dashboard_id: 'laptop', pin_sha256: PIN.laptop, public_key: PIN.laptop, label: "Lena's laptop", label_auto: false, paired_at: NOON - 86_400 * 3, peer_ip: '192.168.1.77', connect_back_port: 6055, friendly_name: 'lena', ha_addon: false, connected: false },
        ],
    requests:
      scene === 'request'
        ? [{ dashboard_id: 'asks', pin_sha256: PIN.asks, public_key: PIN.asks, label: 'Holiday flat', label_auto: true, peer_ip: '192.168.1.91', friendly_name: 'pi4', ha_addon: false, requested_at: now - 26 }]
        : [],
    alerts:
      scene === 'alert'
        ? [{ pin_sha256: PIN.nas, label: 'NAS', endpoint: '192.168.1.20:6055', kind: 'pin_mismatch', observed_pin_sha256: PIN.fresh, since: now - 5000 }]
        : [],
    discovered:
      scene === 'empty'
        ? []
        : [
            { name: 'esphome-builder-ab', hostname: 'studio-mac.local.', port: 6052, addresses: ['192.168.1.60'], server_version: '1.26.1', esphome_version: '2026.10.0', friendly_name: 'Studio Mac', pin_sha256: PIN.asks, endpoint: 'studio-mac.local:6055', ha_addon: false },
            { name: 'home-assistant', hostname: 'homeassistant.local.', port: 6052, addresses: ['192.168.1.5'], server_version: '1.26.1', esphome_version: '2026.10.0', friendly_name: 'Home Assistant', pin_sha256: null, endpoint: null, ha_addon: true },
          ],
    jobs: bare ? [] : jobs(now, all, ['busy', 'request', 'alert', 'failing'].includes(scene)),
    queue: { idle: false, running: true, queue_depth: 1 },
    storage: storage(bare ? [] : stored(now), now),
    notices: scene === 'trouble' ? ['Some records cannot be written. Free some disk space; Kiln tries again.'] : [],
    notices_words: scene === 'trouble' ? [{ code: 'records_not_written' }] : [],
    at: now,
    own_label: 'workbench',
  };
}

const E = '\u001b[';

/** Returns the log of a build with colours, as compilers write it. */
export function log(lines: number): string {
  const parts = [`${E}32mINFO ESPHome 2026.10.0${E}0m\n`, 'INFO Reading configuration kitchen-plug.yaml...\n', `${E}33mWARNING GPIO15 is a strapping PIN and should only be used for I/O with care.${E}0m\n`, 'INFO Generating C++ source...\n', 'INFO Compiling app...\n', 'Processing kitchen-plug (board: esp32dev; framework: esp-idf; platform: espressif32)\n', '-'.repeat(80) + '\n'];
  for (let i = parts.length; i < lines - 3; i += 1) {
    if (i % 97 === 0) parts.push(`${E}35msrc/esphome/components/wifi/wifi_component.cpp:${i}${E}0m: ${E}1mnote${E}0m: <b>not markup</b>\n`);
    else if (i % 41 === 0) parts.push(`Downloading ${E}36m[####      ]${E}0m 40 %\rDownloading ${E}36m[##########]${E}0m 100 %\n`);
    else parts.push(`Compiling .pioenvs/kitchen-plug/src/esphome/core/component_${i}.cpp.o\n`);
  }
  parts.push('Linking .pioenvs/kitchen-plug/firmware.elf\n', 'RAM:   [=         ]  11.4% (used 37380 bytes from 327680 bytes)\n', `${E}32m========================= [SUCCESS] Took 61.43 seconds =========================${E}0m\n`);
  return parts.join('');
}

const FAILED_LOG = `${E}32mINFO ESPHome 2026.10.0${E}0m\nINFO Reading configuration office-display.yaml...\n${E}1;31mFailed config${E}0m\n\nfont: [source office-display.yaml:48]\n  ${E}31mCould not find file '/config/fonts/roboto.ttf'. Please make sure it exists.${E}0m\n  file: fonts/roboto.ttf\n`;

const SETTINGS: Settings = {
  receiver: true,
  remote_builds: true,
  version_policy: 'any',
  include_local: false,
  esphome_dir: '/home/pat/esphome',
  python: '',
  esphome_version: '',
  listen_host: '0.0.0.0',
  listen_port: 6055,
  cleanup_ttl_seconds: 86_400,
  friendly_name: 'Workbench',
  idle_minutes: 3,
  while_in_use: 'stop',
  remote_sessions: 'desktop',
  on_battery: false,
  on_metered: false,
  hours: 'mon-fri 18:00-08:00; sat,sun all',
  exclusive_apps: '',
  beside_full_screen: false,
  cpu_limit: 50,
  ram_floor_mb: 2048,
  disk_floor_mb: 10_240,
  storage_budget_mb: 20_480,
  in_use_disk_floor_mb: 0,
  idle_cores: 0,
  in_use_cores: 1,
  idle_ram_percent: 75,
  in_use_ram_percent: 75,
  yield_minutes: 10,
  daily_minutes: 480,
  sandbox: 'required',
  build_hosts: '',
  build_folders: '',
};

const ENVIRONMENTS: Environment[] = [
  { version: '2026.10.0', path: '/home/pat/.cache/kiln/environments/2026.10.0', state: 'ready', detail: '', size_bytes: 412_000_000, installed: true },
  { version: '2026.11.0b2', path: '', state: 'installing', detail: 'Installing packages (34 of 61)', size_bytes: null, installed: false },
  { version: '2026.7.3', path: '/home/pat/.cache/kiln/environments/2026.7.3', state: 'broken', detail: 'Its Python 3.11 is gone. Install this version again.', size_bytes: 388_000_000, installed: false },
];

const REPORT = `Kiln 0.1.0 on Linux 6.12 (x86_64)
node: in this program, running for 2 h 14 min
state: /home/pat/.local/share/kiln
cache: /home/pat/.cache/kiln (1.9 GB)
secrets: keyring, unlocked
listening: 0.0.0.0:6055
tray: shown
ESPHome: 2026.10.0
receivers: 4 (2 connected), offloaders: 2 (1 connected)
sandbox: full`;

function refuse(code: string, message: string, hint: string): never {
  const refused: Refusal = { code, message, hint };
  throw refused;
}

/** Returns a bridge to data that answers like a node. Query: `scene`, `lang`, `devices`, `lines`, `now`. */
export function mockBridge(query: URLSearchParams): Bridge {
  const scene = query.get('scene') ?? 'busy';
  const language = (query.get('lang') === 'de' ? 'de' : 'en') as Language;
  const lines = Number(query.get('lines') ?? 2000);
  const now = Date.now() / 1000;
  const bare = scene === 'empty' || scene === 'first';
  const all = devices(bare ? 0 : Number(query.get('devices') ?? 500), now);
  let state = view(scene, now, all);
  let settings = { ...SETTINGS };
  const desktop: DesktopSettings = { start_at_login: 'on', language: 'system', notifications: 'on' };
  const viewers = new Map<number, (event: Event) => void>();
  let next = 1;

  const say = (over: Partial<View>) => {
    state = { ...state, ...over, at: Date.now() / 1000 };
    for (const on of viewers.values()) on({ event: 'view', view: state });
  };
  const change = (id: string, over: Partial<Job>) =>
    say({ jobs: state.jobs.map((one) => (one.id === id ? { ...one, ...over } : one)) });

  function fail() {
    const failed = { status: 'failed', error: 'The disk is full.' } as const;
    say({ jobs: state.jobs.map((one) => (isMine(one) && !isFinal(one) ? { ...one, ...failed } : one)) });
  }

  function begin(device: string, kind: 'install' | 'compile' | 'flash', build: string, port: string): Reply {
    const at = Date.now() / 1000;
    const found = all.find((one) => one.configuration === device);
    if (found === undefined) refuse('not_found', `There is no device ${device}.`, 'Look at the page Devices.');
    const shared = { configuration: device, device_name: found.friendly_name, created_at: at };
    const id = `n${next}`;
    next += 1;
    const built = kind === 'flash' ? null : id;
    const made = built === null ? [] : [job(id, { ...shared, status: 'queued', placement: build === 'local' ? here : { on: 'remote_pending' } })];
    if (kind !== 'compile') made.unshift(job(`${id}-flash`, { ...shared, kind: 'upload', status: 'queued', depends_on: built, port }));
    say({ jobs: [...made, ...state.jobs] });
    return { reply: 'jobs', jobs: made.toReversed() };
  }

  function answer(body: Request): Reply {
    switch (body.request) {
      case 'status':
        return { reply: 'status', ...state };
      case 'devices':
        return { reply: 'devices', devices: all };
      case 'jobs':
      case 'job':
        return { reply: 'jobs', jobs: state.jobs };
      case 'environments':
        return { reply: 'environments', environments: bare ? [] : ENVIRONMENTS };
      case 'newest_environment':
        return { reply: 'newest_environment', version: '2026.11.0' };
      case 'settings':
        return { reply: 'settings', settings };
      case 'verify_audit':
        if (scene === 'trouble') return { reply: 'audit_verified', verdict: 'broken', number: 1204, fault: 'changed' };
        return { reply: 'audit_verified', verdict: 'intact', first: 1, last: 1830, head: PIN.own };
      case 'statistics':
        return { reply: 'statistics', since: NOON - 30 * 86_400, ...(bare ? { given: [], gained: [] } : BALANCE) };
      case 'serial_ports':
        return {
          reply: 'serial_ports',
          ports: [
            { path: '/dev/ttyUSB0', product: 'CP2102N USB to UART Bridge', state: 'usable', problem: '' },
            { path: '/dev/ttyACM0', product: 'USB JTAG/serial debug unit', state: 'denied', problem: 'Your account may not use /dev/ttyACM0: it is for members of the group dialout. Run `sudo usermod -aG dialout pat`, then log out and in again.', problem_words: { code: 'port_for_group', values: { path: '/dev/ttyACM0', group: 'dialout', user: 'pat' } } },
          ],
          advice: 'Use a cable that carries data, not a charging cable; `sudo dmesg` shows what the system says when it is plugged in.',
          advice_words: { code: 'port_advice_linux' },
        };
      case 'preview':
        if (body.endpoint.includes('nowhere')) refuse('unavailable', `Nothing answers at ${body.endpoint}.`, 'Is the computer on and in the same network?');
        return { reply: 'previewed', pin_sha256: body.endpoint.includes('192.168.1.20') ? PIN.fresh : PIN.asks, requires_pairing_key: body.endpoint.includes('headless'), friendly_name: 'Studio Mac' };
      case 'pair':
        return { reply: 'pairing_pending' };
      case 'unpair':
        say({ receivers: state.receivers.filter((r) => r.pin_sha256 !== body.pin_sha256), alerts: state.alerts.filter((a) => a.pin_sha256 !== body.pin_sha256) });
        return { reply: 'done' };
      case 'set_pairing_enabled':
        say({ receivers: state.receivers.map((r) => (r.pin_sha256 === body.pin_sha256 ? { ...r, enabled: body.enabled } : r)) });
        return { reply: 'done' };
      case 'edit_endpoint':
        refuse('precondition_failed', 'Another computer answers there.', 'Nothing was changed. Check the address.');
        break;
      case 'open_window':
        say({ window: { state: 'open', seconds_left: 300 } });
        return { reply: 'done' };
      case 'close_window':
        say({ window: { state: 'closed' } });
        return { reply: 'done' };
      case 'approve':
      case 'reject':
        say({ requests: state.requests.filter((r) => r.dashboard_id !== body.dashboard_id) });
        return { reply: 'done' };
      case 'remove_peer':
        say({ offloaders: state.offloaders.filter((o) => o.dashboard_id !== body.dashboard_id) });
        return { reply: 'done' };
      case 'install':
        return begin(body.device, 'install', body.build, body.port);
      case 'flash':
        return begin(body.device, 'flash', 'local', body.port);
      case 'compile':
        return begin(body.device, 'compile', body.build, 'ota');
      case 'cancel':
        change(body.job, { status: 'cancelled', completed_at: Date.now() / 1000 });
        return { reply: 'done' };
      case 'build_here':
        change(body.job, { status: 'cancelled', completed_at: Date.now() / 1000 });
        return begin(state.jobs.find((one) => one.id === body.job)?.configuration ?? '', 'install', 'local', 'ota');
      case 'set_settings':
        for (const [name, value] of body.settings) {
          if (name === 'listen_port' && Number(value) > 65_535) refuse('invalid_args', 'A port is a number from 0 to 65535.', 'Use 6055.');
          const before = settings[name];
          settings = { ...settings, [name]: typeof before === 'boolean' ? value === 'true' : typeof before === 'number' ? Number(value) : value };
          if (name === 'receiver') say({ availability: availability(value === 'true' ? 'busy' : 'off', Date.now() / 1000) });
        }
        return { reply: 'done' };
      case 'pause':
        say({ availability: availability('paused', Date.now() / 1000) });
        return { reply: 'done' };
      case 'resume':
        say({ availability: availability('busy', Date.now() / 1000) });
        return { reply: 'done' };
      case 'storage':
        return { reply: 'storage', storage: state.storage };
      case 'reclaim': {
        const freed = state.storage.items.filter((item) => item.kept === null);
        const items = state.storage.items.filter((item) => item.kept !== null);
        say({ storage: storage(items, Date.now() / 1000) });
        return { reply: 'reclaimed', freed_bytes: freed.reduce((sum, item) => sum + item.bytes, 0), freed, left: [] };
      }
      case 'clean':
      case 'install_environment':
      case 'reset_environment':
      case 'rotate_identity':
        return { reply: 'done' };
    }
    return { reply: 'done' };
  }

  const nodeStates: Record<string, NodeState> = {
    gone: { state: 'gone', message: '' },
    connecting: { state: 'connecting', message: '' },
    troubled: { state: 'troubled', message: 'The keyring is locked; unlock it and try again.' },
  };
  const nodeState = nodeStates[scene] ?? null;

  return {
    start: () =>
      Promise.resolve<Start>({
        page: 'overview',
        job: null,
        dashboard_id: null,
        about: null,
        language,
        first_run: scene === 'first',
        tray: scene === 'trouble' ? 'no_host' : 'shown',
        notifications: scene === 'trouble' ? 'missing' : 'shown',
        refused: null,
        version: '0.1.0',
      }),
    request: async (body) => answer(body),
    follow: async (body: FollowBody, on) => {
      if (nodeState !== null) refuse('unavailable', 'No Kiln is running here.', 'Start it.');
      const id = next;
      next += 1;
      if (body.follow === 'view') {
        viewers.set(id, on);
        on({ event: 'view', view: state });
        if (scene === 'failing') setTimeout(fail, 50);
      } else if (body.follow === 'devices') on({ event: 'devices', devices: all });
      else if (body.follow === 'environments') on({ event: 'environments', environments: bare ? [] : ENVIRONMENTS });
      else if (body.follow === 'log') {
        const of = state.jobs.find((one) => one.id === body.job);
        const text = of?.status === 'queued' ? '' : of?.status === 'failed' ? FAILED_LOG : log(lines);
        // As the node does: in pieces that end anywhere.
        for (let at = 0; at < text.length; at += 65_536) {
          const piece = text.slice(at, at + 65_536);
          on({ event: 'log', offset: at, text: piece, next: at + piece.length });
        }
        if (of?.status !== 'running' && of?.status !== 'queued') on({ event: 'end' });
      }
      return id;
    },
    unfollow: async (id) => void viewers.delete(id),
    onOpen: () => undefined,
    onTray: () => undefined,
    onNotifications: () => undefined,
    onRefused: () => undefined,
    onNode: (on) => {
      if (nodeState !== null) on(nodeState);
      if (scene === 'lost') setTimeout(() => on({ state: 'gone', message: '' }), 50);
    },
    desktopSettings: async () => ({ ...desktop }),
    setDesktopSetting: async (name, value) => void Object.assign(desktop, { [name]: value }),
    firstRunDone: async () => undefined,
    closeHintSeen: async () => undefined,
    tryAgain: async () => undefined,
    diagnostics: async () => REPORT,
    openFolder: async () => undefined,
    saveLog: async (id) => `/home/pat/${id}.log`,
  };
}
