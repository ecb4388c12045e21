/** Addresses without a hash: the path names the room, the query its filters; the back button undoes both. */

import { useCallback, useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from "react";

const listeners = new Set<() => void>();
let isEntering = false;
addEventListener("popstate", () => (isEntering = true));

/** Whether a room is being entered from another, once: its title is then where keyboard and screen reader begin. */
export function takeEntrance(): boolean {
  const entering = isEntering;
  isEntering = false;
  return entering;
}

const here = () => location.pathname + location.search;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("popstate", listener);
  };
}

/** Go to an address of the console. With `replace` the present one is not come back to: of typing, not of choices. */
export function navigate(to: string, { replace = false } = {}): void {
  if (to === here()) return;
  const moved = to.split("?")[0] !== location.pathname;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  if (moved) {
    isEntering = true;
    scrollTo(0, 0);
  }
  for (const listener of listeners) listener();
}

export function useAddress(): URL {
  const address = useSyncExternalStore(subscribe, here);
  return new URL(address, location.origin);
}

/** The address with some parameters changed; null, empty or false removes one. */
export function withParameters(address: URL, changes: Record<string, string | null | false>): string {
  const search = new URLSearchParams(address.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === false || value === "") search.delete(name);
    else search.set(name, value);
  }
  const query = search.toString();
  return address.pathname + (query === "" ? "" : `?${query}`);
}

/** A filter that lives in the address. */
export function useParameter(name: string): [string, (value: string | null, options?: { replace?: boolean }) => void] {
  const address = useAddress();
  const set = useCallback(
    (value: string | null, options: { replace?: boolean } = {}) =>
      navigate(withParameters(new URL(location.href), { [name]: value }), options),
    [name],
  );
  return [address.searchParams.get(name) ?? "", set];
}

type LinkProps = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href"> & { to: string };

/** A link within the console; with a modifier key or another button the browser does as it always does. */
export function Link({ to, onClick, ...rest }: LinkProps) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !isPlain) return;
    event.preventDefault();
    navigate(to);
  };
  return <a href={to} onClick={follow} {...rest} />;
}

/** The parts of `path` that stand for the `:names` of `pattern`; null if it is another path. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split("/").filter(Boolean);
  const parts = path.split("/").filter(Boolean);
  if (wanted.length !== parts.length) return null;
  const found: Record<string, string> = {};
  for (const [i, name] of wanted.entries()) {
    const part = parts[i] ?? "";
    if (name.startsWith(":")) found[name.slice(1)] = decoded(part);
    else if (name !== part) return null;
  }
  return found;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
