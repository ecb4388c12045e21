/** How channels are doing, a row each. */

import { useQueries } from "@tanstack/react-query";
import type { Schema } from "../../api/client";
import { channelHealth } from "../../api/queries";
import { Link } from "../../app/router";
import { useFormat } from "../../i18n/format";
import { useText, useWord, type Message } from "../../i18n/text";
import { Badge } from "../../ui/parts";
import { toneOf } from "../../ui/words";

const FIGURES: readonly Message[] = ["channels.lag_p99", "channels.staleness", "channels.listings", "channels.to_tell", "channels.failing"];

export function ChannelTable({ rows }: { rows: readonly Schema["ChannelOut"][] }) {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const health = useQueries({ queries: rows.map((channel) => channelHealth(channel.code)) });
  const figure = (name: Message, state: Schema["ChannelHealthOut"]): string => {
    if (name === "channels.lag_p99") return state.lag_ms === null ? "–" : format.span(state.lag_ms.p99 / 1000);
    if (name === "channels.staleness") return state.staleness.p50_s === null ? "–" : format.span(state.staleness.p50_s);
    const counts = { "channels.listings": state.staleness.listings, "channels.to_tell": state.queue_depth, "channels.failing": state.failing_listings };
    return format.number(counts[name as keyof typeof counts]);
  };
  return (
    <div className="table-wrap">
      <table className="table cards-on-phone">
        <thead>
          <tr>
            <th scope="col">{text("channels.channel")}</th>
            <th scope="col">{text("channels.status")}</th>
            <th scope="col">{text("channels.connector")}</th>
            {FIGURES.map((name) => (
              <th key={name} scope="col" className="end">{text(name)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((channel, i) => {
            const state = health[i]?.data;
            return (
              <tr key={channel.code} className="goes">
                <th scope="row">
                  <Link className="leads" to={`/channels/${encodeURIComponent(channel.code)}`}>{channel.name}</Link>
                </th>
                <td>{state !== undefined && <Badge tone={toneOf(state.status)}>{word("channel", state.status)}</Badge>}</td>
                <td className="soft">{channel.connector}</td>
                {FIGURES.map((name) => (
                  <td
                    key={name}
                    className={`end ${name === "channels.to_tell" ? "" : "not-on-phone"} ${name === "channels.failing" && (state?.failing_listings ?? 0) > 0 ? "bad" : ""}`}
                  >
                    {state !== undefined && figure(name, state)}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
