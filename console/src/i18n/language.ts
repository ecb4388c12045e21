/** Which language is shown: the one that was chosen, else the browser's, else English. */

import { useSyncExternalStore } from "react";
import { load } from "./catalogues";

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

const NAME = "onhand.language";
const listeners = new Set<() => void>();
let current: Language = chosen() ?? best(navigator.languages);

/** The words of the language that is shown first. */
export const firstWords = (): Promise<void> => load(current);

/** The first of the wanted languages that there is. */
export function best(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0];
    if (language === "en" || language === "de") return language;
  }
  return "en";
}

function chosen(): Language | null {
  try {
    const name = localStorage.getItem(NAME);
    return name === "en" || name === "de" ? name : null;
  } catch {
    return null;
  }
}

/** How numbers and dates are written: as the browser's own region does, where it speaks the language that is shown. */
export const regional = (language: Language, wanted: readonly string[]): string =>
  wanted.find((tag) => tag.toLowerCase().split("-")[0] === language) ?? language;

export async function setLanguage(language: Language): Promise<void> {
  await load(language);
  current = language;
  try {
    localStorage.setItem(NAME, language);
  } catch {
    // Storage is switched off: it holds until the page is left.
  }
  for (const listener of listeners) listener();
}

export function useLanguage(): Language {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}
