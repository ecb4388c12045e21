import { useQuery } from "@tanstack/react-query";
import { Link } from "../../app/router";
import { openIncidents } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText, useWord } from "../../i18n/text";
import { Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";

const SHOWN = 8;

export function IncidentsPanel() {
  const text = useText();
  const word = useWord();
  const format = useFormat();
  const incidents = useQuery(openIncidents);
  return (
    <Panel title={text("tower.incidents")} beside={<Link to="/incidents">{text("tower.all_incidents")}</Link>}>
      <Loaded
        query={incidents}
        lines={8}
        isEmpty={(data) => data.rows.length === 0}
        empty={<Empty icon="calm" title={text("incidents.none")}>{text("incidents.none_hint")}</Empty>}
      >
        {(data) => (
          <ul className="list">
            {data.rows.slice(0, SHOWN).map((incident) => (
              <li key={incident.incident_id} className="goes row apart">
                <span className="stack tight" style={{ gap: 1 }}>
                  <Link className="leads strong" to={`/incidents/${incident.incident_id}`}>
                    {word("incident", incident.kind)}
                  </Link>
                  <span className="small soft breaks">{incident.cause.key.join(" · ")}</span>
                </span>
                <span className="end">
                  <span className="strong">{format.roundMoney(incident.risk_minor, incident.currency)}</span>
                  <br />
                  <span className="small soft">{format.ago(incident.opened_at)}</span>
                </span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}
