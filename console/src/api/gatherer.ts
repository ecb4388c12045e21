/** Turns a hail of events into few readings: each key at once, then at most once a period while more of it comes. */

const PERIOD_MS = 2_000;

export class Gatherer<Key> {
  private readonly due = new Map<string, Key>();
  private readonly resting = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(
    private readonly act: (key: Key) => void,
    private readonly periodMs = PERIOD_MS,
  ) {}

  add(key: Key): void {
    const name = JSON.stringify(key);
    if (this.resting.has(name)) {
      this.due.set(name, key);
      return;
    }
    this.rest(name);
    this.act(key);
  }

  stop(): void {
    for (const timer of this.resting.values()) clearTimeout(timer);
    this.resting.clear();
    this.due.clear();
  }

  private rest(name: string): void {
    this.resting.set(
      name,
      setTimeout(() => {
        this.resting.delete(name);
        const key = this.due.get(name);
        if (key === undefined) return;
        this.due.delete(name);
        this.rest(name);
        this.act(key);
      }, this.periodMs),
    );
  }
}
