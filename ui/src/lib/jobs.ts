// Questions about jobs: whose they are, which belong together, how long they took.
import type { Device, Job, Receiver } from './model.ts';
import { isOlder } from './version.ts';

export function isFinal(job: Job): boolean {
  return job.status === 'completed' || job.status === 'failed' || job.status === 'cancelled';
}

export function isMine(job: Job): boolean {
  return job.origin.by === 'owner';
}

/** Tells whether a device is being written now; stopped half-way, it may not start again. */
export function isFlashing(job: Job): boolean {
  return job.kind === 'upload' && job.status === 'running';
}

/** A build and the flash that waits for it, or a job alone. */
export interface Installation {
  /** First to last. */
  jobs: Job[];
  /** The one that tells how it stands: what runs or waits first, else what failed, else the last. */
  lead: Job;
}

/** Returns what belongs together, in the order of the newest job of each. */
export function installations(jobs: readonly Job[]): Installation[] {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const after = new Map<string, Job>();
  for (const job of jobs) if (job.depends_on !== null) after.set(job.depends_on, job);
  const seen = new Set<string>();
  const found: Installation[] = [];
  for (const job of jobs) {
    if (seen.has(job.id)) continue;
    let first = job;
    const before = new Set([job.id]);
    for (;;) {
      const earlier = byId.get(first.depends_on ?? '');
      if (earlier === undefined || before.has(earlier.id)) break;
      before.add(earlier.id);
      first = earlier;
    }
    const links: Job[] = [];
    for (let next: Job | undefined = first; next && !seen.has(next.id); next = after.get(next.id)) {
      seen.add(next.id);
      links.push(next);
    }
    const stopped = links.find((link) => link.status === 'failed' || link.status === 'cancelled');
    const lead = stopped ?? links.find((link) => !isFinal(link)) ?? links[links.length - 1] ?? job;
    found.push({ jobs: links, lead });
  }
  return found;
}

/** Returns seconds of work, so far or in all; null if it never began. */
export function worked(job: Job, now: number): number | null {
  if (job.started_at === null) return null;
  return Math.max(0, (job.completed_at ?? now) - job.started_at);
}

/** Returns the newest build of each configuration that ended well. */
export function lastBuilds(jobs: readonly Job[]): Map<string, Job> {
  const found = new Map<string, Job>();
  for (const job of jobs) {
    const counts = job.kind === 'compile' && job.status === 'completed' && isMine(job);
    if (counts && !found.has(job.configuration)) found.set(job.configuration, job);
  }
  return found;
}

/** Returns for each configuration of ours how the newest of what was asked for stands. */
export function latest(found: readonly Installation[]): Map<string, Job> {
  const newest = new Map<string, Job>();
  for (const { lead } of found) {
    if (isMine(lead) && !newest.has(lead.configuration)) newest.set(lead.configuration, lead);
  }
  return newest;
}

/** Tells whether a device runs something older than what would be built now. */
export function isOutdated(device: Device, available: string | null): boolean {
  return device.problem === null && isOlder(device.deployed_version, available ?? '');
}

/** Tells whether a device was never built here and never seen: it may be one that has no firmware of ours yet. */
export function isUntouched(device: Device): boolean {
  return device.last_build === null && device.presence === 'unknown';
}

/** Tells whether a receiver can be chosen for a build. */
export function isUsable(receiver: Receiver): boolean {
  return receiver.status === 'approved' && receiver.enabled && receiver.link !== 'orphaned';
}
