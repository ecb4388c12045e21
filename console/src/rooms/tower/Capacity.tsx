import { useQuery } from "@tanstack/react-query";
import { useState, type CSSProperties } from "react";
import { capacity } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { byNode, type Loaded as Load } from "./figures";

const DAYS = 14;
const SHOWN = 12;

/** How full nodes are, today and in the next two weeks: a table that is read like a picture. */
export function CapacityPanel() {
  const text = useText();
  const format = useFormat();
  const days = useQuery(capacity(DAYS));
  const [isAll, setAll] = useState(false);
  const says = (load: Load) =>
    load.isClosed
      ? text("capacity.closed")
      : load.share === null || load.limit === null
        ? text("capacity.no_limit")
        : text("capacity.taken", { taken: load.taken, most: load.most, what: text(`capacity.${load.limit}`) });
  return (
    <Panel title={text("tower.capacity")} note={text("capacity.note")}>
      <Loaded
        query={days}
        lines={6}
        isEmpty={(data) => data.rows.length === 0}
        empty={<Empty icon="tower" title={text("capacity.none")}>{text("capacity.none_hint")}</Empty>}
      >
        {(data) => {
          const nodes = byNode(data.rows);
          const shown = isAll ? nodes : nodes.slice(0, SHOWN);
          const first = nodes[0]?.days ?? [];
          return (
            <>
              <div className="table-wrap">
                <table className="table heat">
                  <thead>
                    <tr>
                      <th scope="col">{text("capacity.node")}</th>
                      {first.map(({ day }) => (
                        <th key={day} scope="col">
                          {format.weekday(day)}
                          <br />
                          {format.day(day)}
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {shown.map((node) => (
                      <tr key={node.node}>
                        <th scope="row">{node.node}</th>
                        {node.days.map(({ day, load }) => (
                          <td
                            key={day}
                            title={says(load)}
                            className={load.isClosed ? "closed" : load.share === null ? "free" : load.share >= 1 ? "over" : load.share < 0.005 ? "idle" : ""}
                            style={load.share === null ? {} : ({ "--share": Math.min(1, load.share) } as CSSProperties)}
                          >
                            {load.isClosed ? "–" : load.share === null ? "∞" : format.percent(load.share)}
                          </td>
                        ))}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              {nodes.length > SHOWN && (
                <p className="note">
                  <button type="button" className="button quiet" onClick={() => setAll(!isAll)}>
                    {isAll ? text("action.fewer") : text("capacity.all", { count: nodes.length })}
                  </button>
                </p>
              )}
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}
