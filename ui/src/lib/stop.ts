// Stops a job; a flash only after a yes, because its device may not start after that.
import { confirm } from './confirm.svelte.ts';
import { isFlashing } from './jobs.ts';
import { live } from './live.svelte.ts';
import type { Job } from './model.ts';
import { jobName } from './status.ts';
import { t } from './words.svelte.ts';

export async function stop(job: Job): Promise<void> {
  const flash = isFlashing(job);
  const title = t('stop.title', { name: jobName(job) });
  if (flash && !(await confirm({ title, text: t('stop.text'), yes: t('job.stop'), kind: 'danger' }))) return;
  await live.act({ request: 'cancel', job: job.id }, t('job.stopped'));
}
