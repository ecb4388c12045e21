/** Transfers on the map: what is proposed, and what is under way. */

import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo } from "react";
import { Link } from "../../app/router";
import { useLive } from "../../api/live";
import { nodes } from "../../api/queries";
import { useFormat } from "../../i18n/format";
import { useText } from "../../i18n/text";
import { Badge, Panel } from "../../ui/parts";
import { Empty, Loaded, Skeleton } from "../../ui/states";
import { waysOf, type Way } from "./effects";
import { transfers } from "./queries";

const NetworkMap = lazy(() => import("../../map/NetworkMap"));
const WATCHED = ["proposal.*", "plan.made"] as const;
const KEYS = [["proposals"]] as const;

export function Transfers() {
  const text = useText();
  useLive(WATCHED, KEYS);
  const found = useQuery(transfers);
  const ways = useMemo(() => waysOf(found.data ?? []), [found.data]);
  return (
    <Loaded
      query={found}
      lines={10}
      isEmpty={() => ways.length === 0}
      empty={<section className="panel"><Empty icon="planning" title={text("planning.no_transfers")}>{text("planning.none_hint")}</Empty></section>}
    >
      {() => (
        <div className="columns two-one">
          <Panel title={text("planning.on_the_map")} note={text("planning.map_note")}>
            <Ways ways={ways} />
          </Panel>
          <Panel title={text("planning.ways", { count: ways.length })}>
            <List ways={ways} />
          </Panel>
        </div>
      )}
    </Loaded>
  );
}

function Ways({ ways }: { ways: readonly Way[] }) {
  const text = useText();
  const format = useFormat();
  const places = useQuery(nodes);
  const ends = useMemo(() => new Set(ways.flatMap((way) => [way.from, way.to])), [ways]);
  const drawn = useMemo(
    () =>
      (places.data?.rows ?? [])
        .filter((node) => ends.has(node.code))
        .map((node) => ({ code: node.code, name: node.name, longitude: node.longitude, latitude: node.latitude, load: null, to: `/planning?kind=transfer&node=${encodeURIComponent(node.code)}`, says: text("planning.map_node", { node: node.name }) })),
    [places.data, ends, text],
  );
  const flows = useMemo(() => {
    const at = new Map(drawn.map((node) => [node.code, node]));
    return ways.flatMap((way) => {
      const to = at.get(way.to);
      if (to === undefined || !at.has(way.from)) return [];
      return [{ id: `${way.from} ${way.to} ${way.isUnderWay}`, from: way.from, longitude: to.longitude, latitude: to.latitude, label: format.number(way.units), arrow: way.isUnderWay ? ("under-way" as const) : ("proposed" as const) }];
    });
  }, [ways, drawn, format]);
  if (places.data === undefined) return <Skeleton lines={8} />;
  return (
    <Suspense fallback={<Skeleton lines={8} />}>
      <NetworkMap nodes={drawn} flows={flows} says={text("planning.map_says", { count: ways.length })} />
    </Suspense>
  );
}

function List({ ways }: { ways: readonly Way[] }) {
  const text = useText();
  return (
    <ul className="list">
      {ways.map((way) => (
        <li key={JSON.stringify(way)} className="row apart goes">
          <Link className="leads" to={`/planning?kind=transfer&node=${encodeURIComponent(way.to)}${way.isUnderWay ? "&status=approved" : ""}`}>
            {way.from} → {way.to}
          </Link>
          <span className="row tight">
            <b>{text("planning.units_of", { count: way.units })}</b>
            <Badge tone={way.isUnderWay ? "accent" : "quiet"}>{text(way.isUnderWay ? "planning.under_way" : "planning.proposed")}</Badge>
          </span>
        </li>
      ))}
    </ul>
  );
}
