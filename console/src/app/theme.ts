/** Light, dark, or as the system has it. */

import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const NAME = "onhand.theme";
const listeners = new Set<() => void>();
const dark = matchMedia("(prefers-color-scheme: dark)");

const chosen = (): Theme => (document.documentElement.dataset["theme"] as Theme | undefined) ?? "system";
const shown = (): "light" | "dark" => {
  const theme = chosen();
  return theme === "system" ? (dark.matches ? "dark" : "light") : theme;
};

export function setTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  try {
    if (theme === "system") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, theme);
  } catch {
    // Storage is switched off: it holds until the page is left.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  dark.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    dark.removeEventListener("change", listener);
  };
}

/** What the person chose, and what is shown for it. */
export function useTheme(): { chosen: Theme; shown: "light" | "dark" } {
  return { chosen: useSyncExternalStore(subscribe, chosen), shown: useSyncExternalStore(subscribe, shown) };
}
