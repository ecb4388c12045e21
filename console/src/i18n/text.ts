/** Messages of the console. What the server writes itself (sentences, reasons) is shown as it is, in English. */

import { useCallback, useMemo } from "react";
import { catalogueOf } from "./catalogues";
import type { en } from "./en";
import { useLanguage, type Language } from "./language";

/** A message; one that counts has two forms and is named without `_one` and `_other`. */
export type Message = keyof typeof en extends infer Name
  ? Name extends `${infer Base}_one` | `${infer Base}_other`
    ? Base
    : Name
  : never;
export type Values = Record<string, string | number>;
export type Text = (message: Message, values?: Values) => string;

/** The words of `message`; `{count}` also chooses between its forms. Numbers are written as the language has them. */
export function textOf(language: Language, message: Message, values: Values = {}): string {
  const catalogue = catalogueOf(language);
  const { count } = values;
  let name: string = message;
  if (!(name in catalogue)) {
    const form = typeof count === "number" ? new Intl.PluralRules(language).select(count) : "other";
    name = `${message}_${form}`;
  }
  const number = new Intl.NumberFormat(language);
  return (catalogue[name] ?? message).replace(/\{(\w+)\}/g, (_, key: string) => {
    const value = values[key] ?? "";
    return typeof value === "number" ? number.format(value) : value;
  });
}

export function useText(): Text {
  const language = useLanguage();
  return useCallback((message: Message, values?: Values) => textOf(language, message, values), [language]);
}

/** A word of the interface (`order_stuck`), for people: translated where there is a message for it. */
export function useWord(): (prefix: string, word: string) => string {
  const language = useLanguage();
  return useMemo(
    () => (prefix: string, word: string) => catalogueOf(language)[`${prefix}.${word}`] ?? word.replaceAll("_", " "),
    [language],
  );
}
