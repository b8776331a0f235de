// One question at a time before something is destroyed or costs long.

export interface Question {
  title: string;
  text: string;
  /** What the button says that does it. */
  yes: string;
  kind: 'plain' | 'danger';
}

class Asked {
  question = $state.raw<Question | null>(null);
  #answer: ((yes: boolean) => void) | null = null;

  ask(question: Question): Promise<boolean> {
    this.#answer?.(false);
    this.question = question;
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }

  answer(yes: boolean): void {
    this.question = null;
    this.#answer?.(yes);
    this.#answer = null;
  }
}

export const asked = new Asked();

/** Asks and waits for yes or no. */
export function confirm(question: Question): Promise<boolean> {
  return asked.ask(question);
}
