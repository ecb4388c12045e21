import { expect, it, vi } from "vitest";

vi.stubGlobal("navigator", { languages: ["fr", "de-AT", "en"] });

it("takes the first language there is", async () => {
  const { best, regional } = await import("./language");
  expect([best(["fr", "de-AT", "en"]), best(["ja"]), best(["EN-us"])]).toEqual(["de", "en", "en"]);
  expect([regional("en", ["de-DE", "en-GB"]), regional("de", ["en-GB"])]).toEqual(["en-GB", "de"]);
});

it("counts and fills in", async () => {
  const [{ textOf }, { load }] = await Promise.all([import("./text"), import("./catalogues")]);
  await load("de");
  expect(textOf("en", "tower.open_incidents", { count: 1 })).toBe("1 open incident");
  expect(textOf("de", "tower.open_incidents", { count: 1200 })).toBe("1.200 offene Störungen");
  expect(textOf("en", "plan.lost_by", { money: "€0.42", term: "split" })).toBe("lost by €0.42 split");
});

it("has the same messages with the same places in all languages", async () => {
  const [{ en }, { de }] = await Promise.all([import("./en"), import("./de")]);
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort();
  expect(Object.keys(de).sort()).toEqual(Object.keys(en).sort());
  for (const [name, text] of Object.entries(en)) expect([name, places(de[name as keyof typeof de])]).toEqual([name, places(text)]);
});

it("writes money in minor units as each currency has them", async () => {
  const { formatOf } = await import("./format");
  const format = formatOf("en-GB");
  expect([format.money(1290, "EUR"), format.money(1290, "JPY"), format.money(-5, "EUR", { sign: true })]).toEqual(["€12.90", "JP¥1,290", "-€0.05"]);
  expect([format.roundMoney(12_345, "EUR"), format.roundMoney(999, "EUR")]).toEqual(["€123", "€9.99"]);
  expect([format.span(0.0037), format.span(2.2), format.span(840)]).toEqual(["3.7 ms", "2.2 secs", "14 mins"]);
  expect(format.ago("2026-03-02T11:57:00Z", Date.parse("2026-03-02T12:00:00Z"))).toBe("3 minutes ago");
});
