// Which page is shown; the address of the page remembers it, so that going back works.
import { type Goal, PAGES, type Page } from './model.ts';

class Route {
  page = $state<Page>('overview');
  /** The job of the page `job`. */
  job = $state<string | null>(null);
  /** What `devices` or `activity` is narrowed to, or the pin of the receiver that `builders` is opened for. */
  filter = $state('');

  /** The computer whose request to be paired is reviewed in a dialogue. */
  request = $state<string | null>(null);

  /** Which devices somebody came for; the page takes it. */
  only = $state<'outdated' | null>(null);

  /** Reads the address. */
  read(): void {
    const [page = '', rest = ''] = location.hash.replace(/^#\/?/, '').split('/');
    const value = decode(rest);
    this.page = page === 'job' && value !== '' ? 'job' : (PAGES.find((p) => p === page) ?? 'overview');
    this.job = this.page === 'job' ? value : null;
    this.filter = this.page === 'job' ? '' : value;
  }

  go(page: Page, value = ''): void {
    const hash = value === '' ? `#/${page}` : `#/${page}/${encodeURIComponent(value)}`;
    if (location.hash === hash) this.read();
    else location.hash = hash;
  }

  /** Goes where the tray or a notification points. */
  open(goal: Goal): void {
    this.request = goal.dashboard_id;
    this.only = goal.page === 'devices' && goal.about === 'outdated' ? 'outdated' : null;
    if (goal.job !== null) this.go('job', goal.job);
    else if (goal.dashboard_id !== null) this.go('builders');
    else if (goal.page === 'builders') this.go('builders', goal.about ?? '');
    else this.go(PAGES.find((p) => p === goal.page) ?? 'overview');
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

export const route = new Route();
