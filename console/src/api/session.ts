/** The API key of this tab. It is forgotten when the tab closes, and never written into an address. */

const NAME = "onhand.key";

const listeners = new Set<() => void>();
let key: string | null = read();

function read(): string | null {
  try {
    return sessionStorage.getItem(NAME);
  } catch {
    return null; // storage is switched off: the key lives as long as the page
  }
}

function set(value: string | null): void {
  key = value;
  try {
    if (value === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, value);
  } catch {
    // as above
  }
  for (const listener of listeners) listener();
}

export const session = {
  get key(): string | null {
    return key;
  },
  signIn: (value: string): void => set(value),
  signOut: (): void => set(null),
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};
