/** How the chance to serve all demand rises with what is kept, of one item at one node. */

import { useQuery } from "@tanstack/react-query";
import { useCallback, useState, type SyntheticEvent } from "react";
import { navigate, useAddress, withParameters } from "../../app/router";
import { nodes } from "../../api/queries";
import { Chart, type Colours } from "../../charts/Chart";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Panel, Select, Stat } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { curveOption } from "./effects";
import { serviceCurve, type Curve } from "./queries";

export function Service() {
  const text = useText();
  const address = useAddress();
  const sku = address.searchParams.get("sku") ?? "";
  const node = address.searchParams.get("node") ?? "";
  const [typed, setTyped] = useState(sku);
  const places = useQuery(nodes);
  const curve = useQuery({ ...serviceCurve(sku, node), enabled: sku !== "" && node !== "" });
  const open = (event: SyntheticEvent) => {
    event.preventDefault();
    navigate(withParameters(address, { sku: typed.trim() }));
  };
  return (
    <>
      <form className="filters" onSubmit={open}>
        <input className="input" aria-label={text("order.item")} placeholder={text("order.item")} value={typed} onChange={(event) => setTyped(event.target.value)} />
        <Select label={text("orders.node")} value={node} onChange={(value) => navigate(withParameters(address, { sku: typed.trim(), node: value }))} options={[["", text("planning.which_node")], ...(places.data?.rows ?? []).map((each) => [each.code, each.name] as const)]} />
        <button type="submit" className="button" disabled={typed.trim() === ""}>
          {text("planning.show")}
        </button>
      </form>
      {sku === "" || node === "" ? (
        <section className="panel">
          <Empty icon="search" title={text("planning.choose_item")}>{text("planning.choose_item_hint")}</Empty>
        </section>
      ) : (
        <Loaded query={curve} lines={9}>{(data) => <Shown curve={data} />}</Loaded>
      )}
    </>
  );
}

function Shown({ curve }: { curve: Curve }) {
  const text = useText();
  const format = useFormat();
  const { present, kept, best } = curve;
  const option = useCallback(
    (colours: Colours) =>
      curveOption(
        curve,
        { units: text("planning.units"), service: text("planning.all_served"), fill: text("planning.fill_rate"), present: text("planning.now"), kept: text("planning.kept"), best: text("planning.best") },
        colours, (share) => format.percent(share), (units) => format.number(units),
      ),
    [curve, text, format],
  );
  const under = (point: Curve["present"]) => text("planning.serves", { service: format.percent(point.service), fill: format.percent(point.fill_rate, 1) });
  const named = [[text("planning.now"), present], [text("planning.kept"), kept], ...(best == null ? [] : [[text("planning.best"), best] as const])] as const;
  return (
    <>
      <div className="stats">
        <Stat label={text("planning.now")} value={format.number(present.units)} under={under(present)} tone={best != null && present.service < best.service ? "warn" : "good"} />
        <Stat label={text("planning.kept")} value={format.number(kept.safety_stock)} under={under(kept)} />
        <Stat label={text("planning.best")} value={best == null ? "–" : format.number(best.safety_stock)} under={best == null ? text("planning.no_costs") : under(best)} />
        <Stat label={text("planning.mean")} value={format.number(curve.mean_units)} under={text("planning.over", { lead: format.number(curve.lead_days.p50), late: format.number(curve.lead_days.p95), review: curve.review_days })} />
      </div>
      <Panel title={text("planning.curve", { sku: curve.sku, node: curve.node })} beside={<span className="small soft">{curve.supplier}</span>} note={text("planning.curve_note", { forecast: curve.basis.forecast })}>
        <Chart
          summary={text("planning.curve_says", { units: present.units, service: format.percent(present.service), kept: kept.safety_stock, kept_service: format.percent(kept.service) })}
          height={320}
          option={option}
          table={
            <table className="table dense">
              <thead>
                <tr>
                  <th scope="col">{text("planning.units")}</th>
                  <th scope="col" className="end">{text("planning.safety_stock")}</th>
                  <th scope="col" className="end">{text("planning.all_served")}</th>
                  <th scope="col" className="end">{text("planning.fill_rate")}</th>
                  <th scope="col" className="end">{text("planning.missing")}</th>
                </tr>
              </thead>
              <tbody>
                {[...named, ...curve.points.map((point) => ["", point] as const)].map(([name, point], i) => (
                  <tr key={i}>
                    <th scope="row">{format.number(point.units)} <span className="soft">{name}</span></th>
                    <td className="end">{format.number(point.safety_stock)}</td>
                    <td className="end">{format.percent(point.service, 1)}</td>
                    <td className="end">{format.percent(point.fill_rate, 1)}</td>
                    <td className="end">{format.number(point.short_units, 1)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          }
        />
      </Panel>
    </>
  );
}
