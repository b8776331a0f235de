// What was built for others and by others in the last 30 days, for as long as a component is there.
import { isFinal } from './jobs.ts';
import { live } from './live.svelte.ts';
import type { Statistics } from './model.ts';

const SECONDS = 30 * 86_400;

/** Counts, and counts again when something ended. Called while a component begins. */
export function lastMonth(): { readonly statistics: Statistics | null } {
  let statistics = $state.raw<Statistics | null>(null);
  /** Changes when there may be something new to count. */
  const ended = $derived(live.view?.jobs.filter(isFinal)[0]?.id ?? '');

  async function load(since: number) {
    const reply = await live.ask({ request: 'statistics', since }).catch(() => null);
    if (reply?.reply === 'statistics') statistics = reply;
  }
  $effect(() => {
    void ended;
    if (live.node.state === 'connected') void load(Date.now() / 1000 - SECONDS);
  });
  return {
    get statistics() {
      return statistics;
    },
  };
}
