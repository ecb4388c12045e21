/** What fails or is about to, the most money at risk first. */

import { Link, navigate, useAddress, withParameters } from "../../app/router";
import { useLive } from "../../api/live";
import { useIncidents, type IncidentFilter } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { PagedPanel } from "../../ui/paged";
import { Badge, Head, Select } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { toneOf } from "../../ui/words";
import { Tabs } from "./Tabs";

const KINDS = [
  "lane_slow", "shipment_late", "phantom_stock", "order_stuck", "order_duplicate", "demand_spike", "forecast_drift",
  "capacity_breach", "channel_silent", "inbound_late", "inbound_short", "margin_breach", "price_outlier", "oversell",
  "channel_drift", "channel_refusing", "gate_breach", "autopilot_oscillating", "autopilot_returned",
  "payments_unbalanced",
] as const;
const STATUSES = ["open", "dismissed", "closed", "all"] as const;
const WATCHED = ["incident.*"] as const;
const KEYS = [["incidents", "list"]] as const;

export default function Incidents() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  useLive(WATCHED, KEYS);
  const address = useAddress();
  const filter = Object.fromEntries(
    ["status", "kind", "about"].map((name) => [name, address.searchParams.get(name) ?? undefined]),
  ) as IncidentFilter;
  const set = (name: string) => (value: string) => navigate(withParameters(address, { [name]: value }));
  const incidents = useIncidents(filter);
  const isFiltered = filter.kind != null || filter.about != null || filter.status != null;

  return (
    <>
      <Head title={text("room.incidents")} />
      <Tabs />
      <div className="filters">
        <Select
          label={text("incidents.status")}
          value={filter.status ?? "open"}
          onChange={(value) => set("status")(value === "open" ? "" : value)}
          options={STATUSES.map((each) => [each, word("incident_status", each)] as const)}
        />
        <Select
          label={text("incidents.kind")}
          value={filter.kind ?? ""}
          onChange={set("kind")}
          options={[["", text("incidents.any_kind")], ...KINDS.map((each) => [each, word("incident", each)] as const)]}
        />
        {filter.about != null && <Badge tone="accent">{filter.about}</Badge>}
        {isFiltered && (
          <button type="button" className="button quiet" onClick={() => navigate("/incidents")}>
            {text("action.clear")}
          </button>
        )}
      </div>
      <PagedPanel
        query={incidents}
        title={text("incidents.by_risk")}
        note={text("incidents.note")}
        empty={
          <Empty icon="calm" title={text(isFiltered ? "incidents.none_found" : "incidents.none")}>
            {text("incidents.none_hint")}
          </Empty>
        }
        columns={[
          [text("incidents.incident")],
          [text("incidents.cause")],
          [text("incidents.status")],
          [text("incidents.findings"), "end"],
          [text("incidents.confidence"), "end"],
          [text("incidents.opened")],
          [text("incidents.at_risk"), "end"],
        ]}
      >
        {(incident) => (
          <tr key={incident.incident_id} className="goes">
            <th scope="row">
              <Link className="leads" to={`/incidents/${incident.incident_id}`}>
                {word("incident", incident.kind)}
              </Link>
            </th>
            <td className="soft breaks wide">
              {word("what", incident.cause.what)} {incident.cause.key.join(" · ")}
            </td>
            <td>
              <Badge tone={toneOf(incident.status)}>{word("incident_status", incident.status)}</Badge>
            </td>
            <td className="end not-on-phone">{format.number(incident.findings)}</td>
            <td className="end not-on-phone">{format.percent(incident.confidence)}</td>
            <td className="soft nowrap not-on-phone">{format.ago(incident.opened_at)}</td>
            <td className="end strong">{format.money(incident.risk_minor, incident.currency)}</td>
          </tr>
        )}
      </PagedPanel>
    </>
  );
}
