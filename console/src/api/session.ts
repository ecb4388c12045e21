/** The API key of this tab. It is forgotten when the tab closes, and never written into an address. */

const NAME = "onhand.key";
const ENDS = "onhand.key_ends";

const listeners = new Set<() => void>();
let key: string | null = kept(NAME);

function kept(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null; // storage is switched off: the key lives as long as the page
  }
}

function keep(name: string, value: string | null): void {
  try {
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, value);
  } catch {
    // as above
  }
}

function set(value: string | null): void {
  key = value;
  keep(NAME, value);
  for (const listener of listeners) listener();
}

export const session = {
  get key(): string | null {
    return key;
  },
  /** `ends`: a key that was made for this session, and ends with it. */
  signIn: (value: string, { ends = false } = {}): void => {
    set(value);
    keep(ENDS, ends ? "1" : null);
  },
  signOut: (): void => {
    if (key !== null && kept(ENDS) !== null) {
      void fetch("/v1/key", { method: "DELETE", headers: { authorization: `Bearer ${key}` }, keepalive: true }).catch(() => undefined);
    }
    keep(ENDS, null);
    set(null);
  },
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};
