/** English is always there; another language is loaded when it is chosen. */

import { en } from "./en";
import type { Language } from "./language";

type Catalogue = Record<string, string>;

const loaded: Partial<Record<Language, Catalogue>> = { en };
const LOADERS: Record<Exclude<Language, "en">, () => Promise<Catalogue>> = {
  de: async () => (await import("./de")).de,
};

/** The messages of `language`; English where it could not be loaded. */
export const catalogueOf = (language: Language): Catalogue => loaded[language] ?? en;

export async function load(language: Language): Promise<void> {
  if (language === "en" || loaded[language] !== undefined) return;
  try {
    loaded[language] = await LOADERS[language]();
  } catch {
    // The server is away: words in English are better than none, and the next choice tries again.
  }
}
