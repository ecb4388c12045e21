/** Numbers, money and times as a language writes them. */

import { useMemo } from "react";
import { regional, useLanguage } from "./language";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const digits = new Map<string, number>();

/** Decimal places of a currency: 2 of EUR, 0 of JPY. */
export function decimalsOf(currency: string): number {
  let known = digits.get(currency);
  if (known === undefined) {
    known = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
    digits.set(currency, known);
  }
  return known;
}

export interface Format {
  number: (value: number, places?: number) => string;
  compact: (value: number) => string;
  percent: (share: number, places?: number) => string;
  money: (minor: number, currency: string, options?: { sign?: boolean }) => string;
  /** Without cents from a hundred on, for what is read at a glance. */
  roundMoney: (minor: number, currency: string) => string;
  day: (iso: string) => string;
  weekday: (iso: string) => string;
  time: (iso: string) => string;
  moment: (iso: string) => string;
  /** "3 minutes ago", "in 2 days" */
  ago: (iso: string, now?: number) => string;
  /** "1.2 s", "14 min" */
  span: (seconds: number) => string;
}

export function formatOf(language: string): Format {
  const kept = new Map<string, unknown>();
  const keep = <T>(name: string, make: () => T): T => {
    if (!kept.has(name)) kept.set(name, make());
    return kept.get(name) as T;
  };
  const plain = (places: number) =>
    keep(`n${places}`, () => new Intl.NumberFormat(language, { maximumFractionDigits: places }));
  const date = (name: string, options: Intl.DateTimeFormatOptions) =>
    keep(name, () => new Intl.DateTimeFormat(language, options));
  const unit = (value: number, name: string, places: number) =>
    new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: places }).format(value);
  const relative = keep("r", () => new Intl.RelativeTimeFormat(language, { numeric: "auto" }));
  const major = (minor: number, currency: string) => minor / 10 ** decimalsOf(currency);
  // A day without a time is the same day everywhere.
  const dayOf = (iso: string) => new Date(iso.length === 10 ? `${iso}T12:00:00` : iso);

  return {
    number: (value, places = 0) => plain(places).format(value),
    compact: (value) =>
      keep("c", () => new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 })).format(value),
    percent: (share, places = 0) =>
      keep(`p${places}`, () => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: places })).format(share),
    money: (minor, currency, { sign = false } = {}) =>
      keep(
        `m${currency}${sign}`,
        () => new Intl.NumberFormat(language, { style: "currency", currency, signDisplay: sign ? "exceptZero" : "auto" }),
      ).format(major(minor, currency)),
    roundMoney: (minor, currency) => {
      const value = major(minor, currency);
      const places = Math.abs(value) >= 100 ? 0 : decimalsOf(currency);
      return keep(
        `r${currency}${places}`,
        () =>
          new Intl.NumberFormat(language, {
            style: "currency",
            currency,
            minimumFractionDigits: places,
            maximumFractionDigits: places,
          }),
      ).format(value);
    },
    day: (iso) => date("day", { day: "numeric", month: "short" }).format(dayOf(iso)),
    weekday: (iso) => date("weekday", { weekday: "short" }).format(dayOf(iso)),
    time: (iso) => date("time", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(iso)),
    moment: (iso) =>
      date("moment", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(iso)),
    ago: (iso, now = Date.now()) => {
      const passed = new Date(iso).getTime() - now;
      const size = Math.abs(passed);
      if (size < MINUTE) return relative.format(Math.round(passed / 1000), "second");
      if (size < HOUR) return relative.format(Math.round(passed / MINUTE), "minute");
      if (size < DAY) return relative.format(Math.round(passed / HOUR), "hour");
      return relative.format(Math.round(passed / DAY), "day");
    },
    span: (seconds) => {
      if (seconds < 1) return unit(seconds * 1000, "millisecond", seconds < 0.01 ? 1 : 0);
      if (seconds < 120) return unit(seconds, "second", seconds < 10 ? 1 : 0);
      if (seconds < 7200) return unit(seconds / 60, "minute", 0);
      if (seconds < 172_800) return unit(seconds / 3600, "hour", 0);
      return unit(seconds / 86_400, "day", 0);
    },
  };
}

export function useFormat(): Format {
  const language = useLanguage();
  return useMemo(() => formatOf(regional(language, navigator.languages)), [language]);
}
