import { useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { serviceLevels } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Badge, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { toneOf } from "../../ui/words";

const SHOWN = 20;

export function ChannelsPanel() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const levels = useQuery(serviceLevels);
  return (
    <Panel title={text("tower.channels")} beside={<Link to="/channels">{text("tower.all_channels")}</Link>}>
      <Loaded
        query={levels}
        isEmpty={(data) => data.channels.length === 0}
        empty={<Empty icon="channels" title={text("channels.none")}>{text("channels.none_hint")}</Empty>}
      >
        {(data) => (
          <Table
            columns={[
              [text("channels.channel")],
              [text("channels.status")],
              [text("channels.staleness"), "end"],
              [text("channels.lag_p99"), "end"],
              [text("channels.to_tell"), "end"],
            ]}
          >
            {data.channels
              .filter((channel) => channel.status !== "inactive")
              .slice(0, SHOWN)
              .map((channel) => (
                <tr key={channel.channel} className="goes">
                  <th scope="row">
                    <Link className="leads" to={`/channels/${encodeURIComponent(channel.channel)}`}>
                      {channel.name}
                    </Link>
                  </th>
                  <td>
                    <Badge tone={toneOf(channel.status)}>{word("channel", channel.status)}</Badge>
                  </td>
                  <td className="end">{channel.staleness_p50_s === null ? "–" : format.span(channel.staleness_p50_s)}</td>
                  <td className="end">{channel.lag_p99_ms === null ? "–" : format.span(channel.lag_p99_ms / 1000)}</td>
                  <td className="end">{format.number(channel.queue_depth)}</td>
                </tr>
              ))}
          </Table>
        )}
      </Loaded>
    </Panel>
  );
}
