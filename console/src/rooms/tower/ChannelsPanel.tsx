import { useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { channelHealth, channels } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { toneOf } from "../../ui/words";

const SHOWN = 20;

export function ChannelsPanel() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const all = useQuery(channels);
  const shown = all.data?.rows.filter((channel) => channel.active).slice(0, SHOWN) ?? [];
  const health = useQueries({ queries: shown.map((channel) => channelHealth(channel.code)) });
  return (
    <Panel title={text("tower.channels")} beside={<Link to="/channels">{text("tower.all_channels")}</Link>}>
      <Loaded
        query={all}
        isEmpty={(data) => data.rows.length === 0}
        empty={<Empty icon="channels" title={text("channels.none")}>{text("channels.none_hint")}</Empty>}
      >
        {() => (
          <div className="table-wrap">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{text("channels.channel")}</th>
                  <th scope="col">{text("channels.status")}</th>
                  <th scope="col" className="end">{text("channels.staleness")}</th>
                  <th scope="col" className="end">{text("channels.lag_p99")}</th>
                  <th scope="col" className="end">{text("channels.to_tell")}</th>
                </tr>
              </thead>
              <tbody>
                {shown.map((channel, i) => {
                  const state = health[i]?.data;
                  return (
                    <tr key={channel.code} className="goes">
                      <th scope="row">
                        <Link className="leads" to={`/channels/${encodeURIComponent(channel.code)}`}>
                          {channel.name}
                        </Link>
                      </th>
                      <td>{state !== undefined && <Badge tone={toneOf(state.status)}>{word("channel", state.status)}</Badge>}</td>
                      <td className="end">{state?.staleness.p50_s == null ? "–" : format.span(state.staleness.p50_s)}</td>
                      <td className="end">{state?.lag_ms == null ? "–" : format.span(state.lag_ms.p99 / 1000)}</td>
                      <td className="end">{state === undefined ? "" : format.number(state.queue_depth)}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Panel>
  );
}
