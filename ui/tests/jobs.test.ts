// Jobs that belong together are told as one.
import { expect, test } from 'vitest';

import { installations, lastBuilds, latest } from '../src/lib/jobs.ts';
import type { Job } from '../src/lib/model.ts';

function job(id: string, over: Partial<Job> = {}): Job {
  return {
    id,
    kind: 'compile',
    configuration: 'a.yaml',
    device_name: 'a',
    origin: { by: 'owner' },
    placement: { on: 'local' },
    status: 'completed',
    depends_on: null,
    port: null,
    bootloader: 'skip',
    target_version: null,
    created_at: 0,
    started_at: 10,
    completed_at: 70,
    exit_code: 0,
    error: null,
    failure_reason: null,
    progress: null,
    reason: '',
    deferred: false,
    ...over,
  };
}
const flash = (id: string, of: string, over: Partial<Job> = {}) => job(id, { kind: 'upload', depends_on: of, ...over });

function leads(jobs: Job[]): string[] {
  return installations(jobs).map(({ lead }) => lead.id);
}

test('a build stands for its flash until it is done', () => {
  expect(leads([flash('f', 'b', { status: 'queued' }), job('b', { status: 'running' })])).toEqual(['b']);
  expect(leads([flash('f', 'b', { status: 'running' }), job('b')])).toEqual(['f']);
  expect(leads([flash('f', 'b'), job('b')])).toEqual(['f']);
});

test('what failed stands for what was cancelled with it', () => {
  expect(leads([flash('f', 'b', { status: 'cancelled' }), job('b', { status: 'failed' })])).toEqual(['b']);
});

test('jobs are in order, and each is told once', () => {
  const found = installations([flash('f2', 'b2'), job('b2'), job('c'), flash('f1', 'b1'), job('b1')]);
  expect(found.map(({ jobs }) => jobs.map(({ id }) => id))).toEqual([['b2', 'f2'], ['c'], ['b1', 'f1']]);
});

test('jobs that wait for each other or for nothing known do not hang the window', () => {
  expect(leads([job('a', { depends_on: 'b' }), job('b', { depends_on: 'a' })])).toHaveLength(1);
  expect(leads([flash('f', 'gone')])).toEqual(['f']);
});

test('the last build is the newest that ended well and is ours', () => {
  const others = { by: 'offloader', pin_sha256: '', dashboard_id: '', wire_job_id: '', label: '' } as const;
  const found = lastBuilds([job('bad', { status: 'failed' }), job('theirs', { origin: others }), job('good'), job('older')]);
  expect(found.get('a.yaml')?.id).toBe('good');
});

test('the newest of ours tells how a device stands, also when it failed or is a flash', () => {
  const others = { by: 'offloader', pin_sha256: '', dashboard_id: '', wire_job_id: '', label: '' } as const;
  const found = latest(installations([job('theirs', { origin: others }), job('bad', { status: 'failed' }), job('good')]));
  expect(found.get('a.yaml')?.id).toBe('bad');
  expect(latest(installations([flash('f', 'b', { status: 'failed' }), job('b')])).get('a.yaml')?.id).toBe('f');
});
