import { useQuery } from "@tanstack/react-query";
import { channels } from "../../api/queries";
import { Link } from "../../app/router";
import { useText } from "../../i18n/text";
import { Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { ChannelTable } from "../channels/ChannelTable";

const SHOWN = 20;

export function ChannelsPanel() {
  const text = useText();
  const all = useQuery(channels);
  return (
    <Panel title={text("tower.channels")} beside={<Link to="/channels">{text("tower.all_channels")}</Link>}>
      <Loaded
        query={all}
        isEmpty={(data) => data.rows.length === 0}
        empty={<Empty icon="channels" title={text("channels.none")}>{text("channels.none_hint")}</Empty>}
      >
        {(data) => <ChannelTable isBrief rows={data.rows.filter((channel) => channel.active).slice(0, SHOWN)} />}
      </Loaded>
    </Panel>
  );
}
