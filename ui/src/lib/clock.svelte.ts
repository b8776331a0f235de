// The time now, ticking once a second only while something on the page shows it.
import { createSubscriber } from 'svelte/reactivity';

const subscribe = createSubscriber((update) => {
  const tick = () => {
    if (!document.hidden) update();
  };
  const timer = setInterval(tick, 1000);
  document.addEventListener('visibilitychange', tick);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', tick);
  };
});

/** Returns seconds since 1970; what reads it is drawn again every second. */
export function now(): number {
  subscribe();
  return Date.now() / 1000;
}
