/** Nodes and the ways of orders on a map of countries that comes with the page: no tiles, no request elsewhere. */

import { geoMercator, geoPath } from "d3-geo";
import { useMemo } from "react";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import atlas from "world-atlas/countries-50m.json";
import { navigate } from "../app/router";
import { useText } from "../i18n/text";

export interface MapNode {
  code: string;
  name: string;
  longitude: number;
  latitude: number;
  /** Share of today's capacity that is taken; null: without limit. */
  load: number | null;
}

export interface Flow {
  id: string;
  from: string;
  longitude: number;
  latitude: number;
  /** Where it goes. */
  to: string;
  /** How many went there: the line is as thick. */
  orders: number;
}

interface Props {
  nodes: readonly MapNode[];
  flows: readonly Flow[];
}

const WIDTH = 900;
const HEIGHT = 520;
const MARGIN = 56;

const world = atlas as unknown as Topology<{ countries: GeometryCollection }>;
const countries = feature(world, world.objects.countries).features;

export default function NetworkMap({ nodes, flows }: Props) {
  const text = useText();
  const places = useMemo(() => [...nodes, ...flows].map((place): [number, number] => [place.longitude, place.latitude]), [nodes, flows]);
  const projection = useMemo(() => {
    const all = geoMercator();
    if (places.length === 0) return all.fitSize([WIDTH, HEIGHT], { type: "Sphere" });
    const around = framed(places);
    return all.fitExtent([[MARGIN, MARGIN], [WIDTH - MARGIN, HEIGHT - MARGIN]], { type: "MultiPoint", coordinates: around });
  }, [places]);
  const land = useMemo(() => {
    const draw = geoPath(projection.clipExtent([[-20, -20], [WIDTH + 20, HEIGHT + 20]]));
    return countries.map((country) => draw(country) ?? "").filter((path) => path !== "");
  }, [projection]);
  const at = (place: { longitude: number; latitude: number }) => projection([place.longitude, place.latitude]) ?? [0, 0];
  const byCode = new Map(nodes.map((node) => [node.code, node]));
  const most = Math.max(1, ...flows.map((flow) => flow.orders));

  return (
    <svg className="map" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="group" aria-label={text("tower.map_says", { count: nodes.length })}>
      <g className="land" aria-hidden="true">
        {land.map((path, i) => (
          <path key={i} d={path} />
        ))}
      </g>
      <g className="flows" aria-hidden="true">
        {flows.map((flow) => {
          const node = byCode.get(flow.from);
          if (node === undefined) return null;
          const [x0, y0] = at(node);
          const [x1, y1] = at(flow);
          const bend = Math.min(60, Math.hypot(x1 - x0, y1 - y0) / 4);
          return (
            <g key={flow.id}>
              <title>{`${flow.from} → ${flow.to}: ${flow.orders}`}</title>
              <path strokeWidth={1 + 5 * Math.sqrt(flow.orders / most)} d={`M${x0} ${y0}Q${(x0 + x1) / 2} ${(y0 + y1) / 2 - bend} ${x1} ${y1}`} />
              <circle cx={x1} cy={y1} r={2 + 3 * Math.sqrt(flow.orders / most)} />
            </g>
          );
        })}
      </g>
      {nodes.map((node) => {
        const [x, y] = at(node);
        const tone = node.load === null ? "" : node.load >= 1 ? "bad" : node.load >= 0.85 ? "warn" : "";
        const go = () => navigate(`/orders?node=${encodeURIComponent(node.code)}`);
        return (
          <g
            key={node.code}
            className={`node ${tone}`}
            role="link"
            tabIndex={0}
            aria-label={text("tower.map_node", { node: node.name, share: node.load === null ? "–" : `${Math.round(node.load * 100)} %` })}
            onClick={go}
            onKeyDown={(event) => {
              if (event.key === "Enter") go();
            }}
          >
            <circle className="halo" cx={x} cy={y} r="13" />
            <circle className="dot" cx={x} cy={y} r="5.5" />
            <text x={x} y={y - 11} textAnchor="middle">
              {node.code}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

/** The corners of a frame around places, at least some degrees wide: a single town is not shown as if it were a continent. */
function framed(places: readonly [number, number][]): [number, number][] {
  const longitudes = places.map(([longitude]) => longitude);
  const latitudes = places.map(([, latitude]) => latitude);
  const spread = (values: number[]): [number, number] => {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const more = Math.max(0, 6 - (high - low)) / 2;
    return [low - more, high + more];
  };
  const [west, east] = spread(longitudes);
  const [south, north] = spread(latitudes);
  return [[west, Math.max(south, -80)], [east, Math.min(north, 80)]];
}
