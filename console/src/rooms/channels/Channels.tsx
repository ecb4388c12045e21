/** Channels: how each is doing. */

import { useQuery } from "@tanstack/react-query";
import { useLive } from "../../api/live";
import { channels } from "../../api/queries";
import { Link } from "../../app/router";
import { useText } from "../../i18n/text";
import { Head, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { ChannelTable } from "./ChannelTable";

const WATCHED = ["network.changed"] as const;
const KEYS = [["channels", "list"]] as const;

export default function Channels() {
  const text = useText();
  useLive(WATCHED, KEYS);
  const all = useQuery(channels);
  return (
    <>
      <Head title={text("room.channels")} beside={<Link className="button main" to="/channels/new">{text("connecting.add")}</Link>} />
      <Panel title={text("channels.count", { count: all.data?.rows.length ?? 0 })} note={text("channels.note")}>
        <Loaded
          query={all}
          lines={8}
          isEmpty={(data) => data.rows.length === 0}
          empty={<Empty icon="channels" title={text("channels.none")}>{text("channels.none_hint")}</Empty>}
        >
          {(data) => <ChannelTable rows={data.rows} />}
        </Loaded>
      </Panel>
    </>
  );
}
