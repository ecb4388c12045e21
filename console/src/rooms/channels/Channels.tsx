/** Channels: how each is doing. */

import { useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { useLive } from "../../api/live";
import { channelHealth, channels } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Head, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { toneOf } from "../../ui/words";

const WATCHED = ["network.changed"] as const;
const KEYS = [["channels", "list"]] as const;

export default function Channels() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  useLive(WATCHED, KEYS);
  const all = useQuery(channels);
  const rows = all.data?.rows ?? [];
  const health = useQueries({ queries: rows.map((channel) => channelHealth(channel.code)) });
  return (
    <>
      <Head title={text("room.channels")} />
      <Panel title={text("channels.count", { count: rows.length })} note={text("channels.note")}>
        <Loaded
          query={all}
          lines={8}
          isEmpty={(data) => data.rows.length === 0}
          empty={<Empty icon="channels" title={text("channels.none")}>{text("channels.none_hint")}</Empty>}
        >
          {() => (
            <div className="table-wrap">
              <table className="table cards-on-phone">
                <thead>
                  <tr>
                    <th scope="col">{text("channels.channel")}</th>
                    <th scope="col">{text("channels.status")}</th>
                    <th scope="col">{text("channels.connector")}</th>
                    <th scope="col" className="end">{text("channels.lag_p99")}</th>
                    <th scope="col" className="end">{text("channels.staleness")}</th>
                    <th scope="col" className="end">{text("channels.listings")}</th>
                    <th scope="col" className="end">{text("channels.to_tell")}</th>
                    <th scope="col" className="end">{text("channels.failing")}</th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((channel, i) => {
                    const state = health[i]?.data;
                    return (
                      <tr key={channel.code} className="goes">
                        <th scope="row">
                          <Link className="leads" to={`/channels/${encodeURIComponent(channel.code)}`}>
                            {channel.name}
                          </Link>
                        </th>
                        <td>
                          {state !== undefined && <Badge tone={toneOf(state.status)}>{word("channel", state.status)}</Badge>}
                        </td>
                        <td className="soft">{channel.connector}</td>
                        <td className="end not-on-phone">{state?.lag_ms == null ? "–" : format.span(state.lag_ms.p99 / 1000)}</td>
                        <td className="end not-on-phone">{state?.staleness.p50_s == null ? "–" : format.span(state.staleness.p50_s)}</td>
                        <td className="end not-on-phone">{state === undefined ? "" : format.number(state.staleness.listings)}</td>
                        <td className="end">{state === undefined ? "" : format.number(state.queue_depth)}</td>
                        <td className={`end not-on-phone ${(state?.failing_listings ?? 0) > 0 ? "bad" : ""}`}>
                          {state === undefined ? "" : format.number(state.failing_listings)}
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
          )}
        </Loaded>
      </Panel>
    </>
  );
}
