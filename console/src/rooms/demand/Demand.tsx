/** Demand: look for an item; which forecasts there are, what they were worth, and when the next one is made. */

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState, type SyntheticEvent } from "react";
import { Link, navigate, useParameter } from "../../app/router";
import { useText } from "../../i18n/text";
import { Head, Panel } from "../../ui/parts";
import { Empty, Loaded } from "../../ui/states";
import { itemsFound } from "./queries";
import { Runs } from "./Runs";
import "../../styles/demand.css";

const TYPING_MS = 250;

export const itemPath = (sku: string) => `/demand/${encodeURIComponent(sku)}`;

export default function Demand() {
  const text = useText();
  const [query, setQuery] = useParameter("q");
  const [typed, setTyped] = useState(query);
  useEffect(() => {
    const timer = setTimeout(() => setQuery(typed.trim(), { replace: true }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, setQuery]);
  const items = useQuery(itemsFound(query));
  const open = (event: SyntheticEvent) => {
    event.preventDefault();
    const wanted = typed.trim();
    if (wanted !== "") navigate(itemPath(items.data?.data.length === 1 ? (items.data.data[0]?.sku ?? wanted) : wanted));
  };
  return (
    <>
      <Head title={text("room.demand")} />
      <form className="filters" role="search" onSubmit={open}>
        <input type="search" className="input" aria-label={text("demand.search")} placeholder={text("demand.search")} value={typed} onChange={(event) => setTyped(event.target.value)} />
        <button type="submit" className="button" disabled={typed.trim() === ""}>
          {text("stock.open")}
        </button>
      </form>
      <div className="columns two-one">
        <Runs />
        <Panel title={text("demand.items")} note={items.data?.next_cursor != null ? text("demand.more_items") : undefined}>
          <Loaded query={items} isEmpty={(data) => data.data.length === 0} empty={<Empty icon="search" title={text("demand.no_items")} />}>
            {(data) => (
              <ul className="list">
                {data.data.map((item) => (
                  <li key={item.sku} className="row apart goes">
                    <Link className="leads" to={itemPath(item.sku)}>
                      {item.name}
                    </Link>
                    {item.name !== item.sku && <span className="small soft">{item.sku}</span>}
                  </li>
                ))}
              </ul>
            )}
          </Loaded>
        </Panel>
      </div>
    </>
  );
}
