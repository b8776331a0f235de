// What the window knows: the read model as it is now, kept up to date over the bridge.
import type { Bridge } from './bridge.ts';
import { refusal } from './bridge.ts';
import { now } from './clock.svelte.ts';
import { type Installation, installations, isFinal, isFlashing, isMine, lastBuilds, latest } from './jobs.ts';
import type {
  DesktopSettings,
  Device,
  Environment,
  Event,
  FollowBody,
  Job,
  NodeState,
  Refusal,
  Reply,
  Request,
  Settings,
  Start,
  View,
} from './model.ts';
import { complain, tell, warn } from './notes.svelte.ts';
import { deviceName } from './status.ts';
import { count, isolated, said, speak, t } from './words.svelte.ts';
import { safe } from './safe.ts';

/** Codes of a refusal that says nothing of what was asked for: no node has heard it. */
const GONE = ['no_node', 'connection_lost'];
/** Devices that are named when several were refused. */
const NAMED = 3;

/** Milliseconds between two looks at the owner's folder. */
const LOOK = 5000;

/** A follow that is begun again after every break. */
interface Kept {
  body: () => FollowBody;
  on: (event: Event) => void;
  /** Number of the bridge; null while it is being begun. */
  id: number | null;
  /** Grows with each beginning, so that events of an older one are dropped. */
  turn: number;
}

class Live {
  bridge!: Bridge;
  start = $state.raw<Start | null>(null);
  node = $state.raw<NodeState>({ state: 'connecting', message: '' });
  view = $state.raw<View | null>(null);
  devices = $state.raw<Device[] | null>(null);
  environments = $state.raw<Environment[] | null>(null);
  settings = $state.raw<Settings | null>(null);
  desktop = $state.raw<DesktopSettings | null>(null);

  /** What is shown is from before: the node does not answer, and what it does now is not known. */
  readonly stale = $derived(this.node.state !== 'connected' && this.view !== null);
  readonly installations: Installation[] = $derived(installations(this.view?.jobs ?? []));
  readonly builds = $derived(lastBuilds(this.view?.jobs ?? []));
  /** How the newest of what was asked for stands, for each configuration of ours. */
  readonly latest = $derived(latest(this.installations));
  /** Configurations whose devices are being written now. */
  readonly flashing = $derived(
    new Set((this.view?.jobs ?? []).filter((job) => isMine(job) && isFlashing(job)).map((job) => job.configuration)),
  );
  /** What is not done yet for each configuration of ours. */
  readonly active: Map<string, Job> = $derived(
    new Map(
      this.installations
        .filter(({ lead }) => isMine(lead) && !isFinal(lead))
        .map(({ lead }) => [lead.configuration, lead]),
    ),
  );
  /** ESPHome version that would be installed now. */
  readonly available: string | null = $derived(this.view?.identity.esphome_version ?? null);

  /** Own builds have no ESPHome: nothing of the owner's can be built or flashed. */
  readonly lacksEsphome: boolean = $derived(this.view !== null && this.environments !== null && this.available === null);

  #kept = new Set<Kept>();
  #looked = -Infinity;
  #look: ReturnType<typeof setTimeout> | undefined;

  /** Returns why the node does not answer. What the desktop says of it is in the owner's language already, and what runs
   * from right to left in it is kept apart. */
  nodeWhy(): string {
    const { state, message, message_words } = this.node;
    return state === 'troubled' ? message : said(message, message_words);
  }

  /** Returns seconds since 1970, as far as anything is known: without a node nothing goes on. */
  now(): number {
    return this.stale && this.view !== null ? this.view.at : now();
  }

  /** Begins: learns the language and where to go, follows the node, and goes on after every break. */
  async open(bridge: Bridge): Promise<void> {
    this.bridge = bridge;
    this.#kept.clear();
    clearTimeout(this.#look);
    this.#look = undefined;
    this.#looked = -Infinity;
    bridge.onNode((state) => {
      this.node = state;
      if (state.state === 'connected') this.#again();
    });
    bridge.onTray((tray) => {
      if (this.start !== null) this.start = { ...this.start, tray };
    });
    bridge.onNotifications((notifications) => {
      if (this.start !== null) this.start = { ...this.start, notifications };
    });
    const refused = (message: string) => complain(message);
    bridge.onRefused(refused);
    try {
      this.start = await bridge.start();
      if (this.start.refused !== null) refused(this.start.refused);
    } catch (thrown) {
      const { message, message_words } = refusal(thrown);
      this.node = { state: 'gone', message, message_words };
    }
    if (this.start !== null) await speak(this.start.language);
    this.keep(() => ({ follow: 'view' }), (event) => this.see(event));
    this.keep(() => ({ follow: 'devices' }), (event) => {
      if (event.event === 'devices') this.devices = event.devices;
    });
    this.keep(() => ({ follow: 'environments' }), (event) => {
      if (event.event === 'environments') this.environments = event.environments;
    });
    await this.readDesktop();
  }

  /** Takes the read model and says what ended since the last one. */
  see(event: Event): void {
    if (event.event !== 'view') return;
    const before = this.view;
    const { view } = event;
    this.view = view;
    if (this.node.state !== 'connected') this.node = { state: 'connected', message: '' };
    if (before === null) return;
    // The switch of the tray and of the command line is the same setting.
    if (isOff(before) !== isOff(view)) void this.readSettings();
    announce(before, view);
  }

  #again(): void {
    for (const kept of this.#kept) void this.#begin(kept);
    void this.readSettings();
  }

  async #begin(kept: Kept): Promise<void> {
    if (kept.id !== null) void this.bridge.unfollow(kept.id).catch(() => undefined);
    kept.id = null;
    const turn = (kept.turn += 1);
    try {
      const id = await this.bridge.follow(kept.body(), (event) => {
        if (kept.turn === turn && this.#kept.has(kept)) kept.on(event);
      });
      if (kept.turn === turn && this.#kept.has(kept)) kept.id = id;
      else void this.bridge.unfollow(id).catch(() => undefined);
    } catch {
      // Without a node there is nothing to follow; `connected` begins it again.
    }
  }

  /** Follows something until the returned function is called. */
  keep(body: () => FollowBody, on: (event: Event) => void): () => void {
    const kept: Kept = { body, on, id: null, turn: 0 };
    this.#kept.add(kept);
    void this.#begin(kept);
    return () => {
      this.#kept.delete(kept);
      if (kept.id !== null) void this.bridge.unfollow(kept.id).catch(() => undefined);
    };
  }

  /** Has the node look at the owner's configurations again, which are edited elsewhere; what it finds comes with the
   * devices that are followed. Soon after a look the next one waits, and there is one however often it is wanted. */
  lookAgain(): void {
    if (this.devices === null) return;
    const wait = Math.max(0, this.#looked + LOOK - performance.now());
    this.#look ??= setTimeout(() => {
      this.#look = undefined;
      this.#looked = performance.now();
      // The banner says that the node is not there.
      void this.ask({ request: 'devices' }).catch(() => undefined);
    }, wait);
  }

  /** Asks the node; rejects with a `Refusal`. */
  ask(body: Request): Promise<Reply> {
    return this.bridge.request(body);
  }

  /** Asks the node and shows what it refuses. Returns whether it was done. */
  async act(body: Request, done?: string): Promise<boolean> {
    try {
      await this.ask(body);
      if (done !== undefined) tell(done);
      return true;
    } catch (thrown) {
      warn(refusal(thrown));
      return false;
    }
  }

  /** Asks for jobs and shows what is refused. Returns them, first what runs first. */
  async begin(body: Request, done: string): Promise<Job[]> {
    try {
      const reply = await this.ask(body);
      tell(done);
      if (reply.reply !== 'jobs') return [];
      // They are known before the next view tells of them.
      const known = new Set(this.view?.jobs.map((job) => job.id));
      const fresh = reply.jobs.filter((job) => !known.has(job.id));
      if (this.view !== null) this.view = { ...this.view, jobs: [...fresh, ...this.view.jobs] };
      return reply.jobs;
    } catch (thrown) {
      warn(refusal(thrown));
      return [];
    }
  }

  async readSettings(): Promise<void> {
    try {
      const reply = await this.ask({ request: 'settings' });
      if (reply.reply === 'settings') this.settings = reply.settings;
    } catch {
      // The banner says that the node is not there.
    }
  }

  /** Reads the desktop's settings anew: the login items of the system, for one, change without us. */
  async readDesktop(): Promise<void> {
    this.desktop = await this.bridge.desktopSettings().catch(() => this.desktop);
  }

  /** Does something with the desktop and shows what fails. */
  async desk<T>(work: (bridge: Bridge) => Promise<T>): Promise<T | undefined> {
    try {
      return await work(this.bridge);
    } catch (thrown) {
      warn(refusal(thrown));
      return undefined;
    }
  }

  /** Asks for the same of many devices, and goes on after one that is refused; says how it went. */
  async each(devices: readonly Device[], body: (device: Device) => Request): Promise<void> {
    const refused: { device: Device; why: Refusal }[] = [];
    let done = 0;
    for (const [before, device] of devices.entries()) {
      try {
        await this.ask(body(device));
        done += 1;
      } catch (thrown) {
        const why = refusal(thrown);
        if (GONE.includes(why.code)) {
          const left = count('devices.not_asked', devices.length - before);
          complain(said(why.message, why.message_words), `${left} ${said(why.hint, why.hint_words)}`);
          break;
        }
        refused.push({ device, why });
      }
    }
    if (done > 0) tell(count('devices.queued', done));
    const [first] = refused;
    if (first === undefined) return;
    if (devices.length === 1) return warn(first.why);
    const names = refused.slice(0, NAMED).map(({ device }) => isolated(deviceName(device)));
    const { message, message_words, hint, hint_words } = first.why;
    complain(
      count('devices.refused', refused.length, { names: names.join(', ') + (refused.length > NAMED ? ', …' : '') }),
      `${said(message, message_words)} ${said(hint, hint_words)}`,
    );
  }
}

/** Tells whether the owner does not lend this computer. */
function isOff(view: View): boolean {
  return view.availability.reason === 'user_off';
}

/** Says aloud which of the owner's jobs ended. */
function announce(before: View, after: View): void {
  const old = new Map(before.jobs.map((job) => [job.id, job.status]));
  for (const job of after.jobs) {
    const was = old.get(job.id);
    if (!isMine(job) || !isFinal(job) || was === job.status) continue;
    if (was === undefined || (was !== 'queued' && was !== 'running')) continue;
    const name = safe(job.device_name || job.configuration);
    if (job.status === 'failed') {
      const text = t(job.kind === 'upload' ? 'note.flash_failed' : 'note.build_failed', { name });
      complain(text, said(job.error ?? '', job.error_words), job.id);
    } else if (job.status === 'completed' && job.kind !== 'clean') {
      tell(t(job.kind === 'upload' ? 'note.flashed' : 'note.built', { name }), job.id);
    }
  }
}

export const live = new Live();
