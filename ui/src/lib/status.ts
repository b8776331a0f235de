// What is said about a job, a computer or this node: the word, its kind, the sentence with reason and end.
import { isFinal, isMine, worked } from './jobs.ts';
import type { Alert, Availability, Device, Job, Offloader, Receiver, View } from './model.ts';
import { safe } from './safe.ts';
import { code, count, duration, hasCode, t, upcoming } from './words.svelte.ts';
import type { StateKind } from '../parts/State.svelte';

export interface Said {
  kind: StateKind;
  text: string;
}

export function jobName(job: Job): string {
  return safe(job.device_name || job.configuration) || t('job.unnamed');
}

/** Returns what a job is about: "Build", "Flash", ... */
export function jobKind(job: Job): string {
  return t(`job.kind.${job.kind}`);
}

export function jobState(job: Job): Said {
  if (job.status === 'queued' && job.deferred) return { kind: 'wait', text: t('job.deferred') };
  const kinds: Record<Job['status'], StateKind> = {
    queued: 'wait',
    running: 'busy',
    completed: 'ok',
    failed: 'bad',
    cancelled: 'off',
  };
  if (job.status !== 'running') return { kind: kinds[job.status], text: t(`job.status.${job.status}`) };
  return { kind: 'busy', text: t(`job.running.${job.kind}`) };
}

/** Returns where a job runs: "this computer", the name of another, or that it is not decided. */
export function jobPlace(job: Job, view: View | null): string {
  switch (job.placement.on) {
    case 'local':
      return t('here');
    case 'remote_pending':
      return t('job.place.open');
    case 'remote': {
      const { pin_sha256: pin, label } = job.placement;
      const now = view?.receivers.find((receiver) => receiver.pin_sha256 === pin)?.label;
      return safe(now || label) || pin.slice(0, 8);
    }
  }
}

/** Returns who asked for a job of somebody else. */
export function jobOwner(job: Job): string {
  if (job.origin.by === 'owner') return t('you');
  return safe(job.origin.label) || job.origin.dashboard_id.slice(0, 8);
}

/** Returns one line about a job: where it is built, for whom, how long. */
export function jobLine(job: Job, view: View | null, now: number): string {
  const parts: string[] = [];
  if (!isMine(job)) parts.push(t('job.for', { name: jobOwner(job) }));
  if (job.kind === 'compile') {
    const local = job.placement.on === 'local';
    parts.push(local ? t('job.here') : t('job.on', { place: jobPlace(job, view) }));
  }
  const seconds = worked(job, now);
  if (seconds !== null && job.status !== 'cancelled') parts.push(duration(seconds));
  else if (job.status === 'queued') parts.push(t('job.waits', { time: duration(now - job.created_at) }));
  return parts.join(' · ');
}

export function receiverState(receiver: Receiver): Said {
  if (receiver.status === 'pending' || receiver.link === 'awaiting_approval')
    return { kind: 'wait', text: t('receiver.awaiting') };
  if (!receiver.enabled) return { kind: 'off', text: t('receiver.disabled') };
  if (receiver.link === 'orphaned') return { kind: 'warn', text: t('receiver.orphaned') };
  if (receiver.link === 'connecting') return { kind: 'wait', text: t('receiver.connecting') };
  const away = receiver.queue?.absence?.reason;
  if (away !== undefined && hasCode('away', away)) return { kind: 'wait', text: code('away', away) };
  if (receiver.queue?.running) {
    const waiting = receiver.queue.queue_depth;
    const text = waiting > 0 ? count('receiver.busy_more', waiting) : t('receiver.busy');
    return { kind: 'busy', text };
  }
  return { kind: 'ok', text: t('receiver.ready') };
}

export function offloaderState(offloader: Offloader): Said {
  return offloader.connected
    ? { kind: 'ok', text: t('offloader.connected') }
    : { kind: 'off', text: t('offloader.away') };
}

export function presence(device: Device): Said {
  const kinds: Record<Device['presence'], StateKind> = { online: 'ok', offline: 'off', unknown: 'wait' };
  return { kind: kinds[device.presence], text: t(`presence.${device.presence}`) };
}

export function deviceName(device: Device): string {
  return safe(device.friendly_name || device.name || device.configuration);
}

/** Returns the sentence that says why this computer builds for others or not, and until when. */
export function why(availability: Availability, now: number): string {
  const { reason, until } = availability;
  const because = hasCode('why', reason) ? code('why', reason) : t('why.other', { reason });
  if (until != null && until > now) return `${because} ${t('ends.at', { time: upcoming(until, now) })}`;
  return hasCode('ends', reason) ? `${because} ${code('ends', reason)}` : because;
}

/** Returns the headline while the node does not answer. */
export function notKnown(): Said & { title: string } {
  return { kind: 'off', text: t('head.unknown'), title: t('head.unknown_title') };
}

/** Returns the running job that is told of, the same as in the tray: one of ours before one for others, of several
 * the one that began first. */
export function current(jobs: readonly Job[]): Job | undefined {
  const running = jobs.filter((job) => job.status === 'running');
  const mine = running.filter(isMine);
  const order = (a: Job, b: Job) =>
    (a.started_at ?? 0) - (b.started_at ?? 0) || a.created_at - b.created_at || (a.id < b.id ? -1 : 1);
  return (mine.length > 0 ? mine : running).sort(order)[0];
}

function work(job: Job, jobs: readonly Job[]): string {
  const device = jobName(job);
  if (job.kind === 'reset_build_env') return t('head.reset');
  if (job.kind === 'upload') return t('head.upload', { device });
  if (job.kind === 'clean') return t('head.clean', { device });
  if (!isMine(job)) return t('head.for_others', { device, name: jobOwner(job) });
  const builds = jobs.filter((one) => isMine(one) && one.kind === 'compile' && one.status === 'running').length;
  return builds === 1 ? t('head.for_me', { device }) : count('head.for_me_many', builds);
}

/** Returns the headline of the overview. */
export function headline(view: View): Said & { title: string } {
  const job = current(view.jobs);
  if (job !== undefined) {
    return { kind: 'busy', text: t(`job.running.${job.kind}`), title: work(job, view.jobs) };
  }
  if (!view.availability.open) {
    const off = view.availability.reason === 'user_off';
    return off
      ? { kind: 'off', text: t('head.off'), title: t('head.off_title') }
      : { kind: 'wait', text: t('head.paused'), title: t('head.paused_title') };
  }
  return { kind: 'ok', text: t('head.ready'), title: t('head.ready_title') };
}

/** Returns what an alert tells of: a request that was declined leaves nothing but its alert. */
export function alertKind(alert: Alert, view: View | null): Alert['kind'] | 'declined' {
  const paired = view?.receivers.some((receiver) => receiver.pin_sha256 === alert.pin_sha256) ?? true;
  return alert.kind === 'peer_revoked' && !paired ? 'declined' : alert.kind;
}

/** Returns how many things wait for the owner. */
export function attention(view: View | null): number {
  return view === null ? 0 : view.requests.length + view.alerts.length;
}

export function unfinished(jobs: readonly Job[]): Job[] {
  return jobs.filter((job) => !isFinal(job));
}
