/** Which room an address leads to. Each room is loaded when it is first entered. */

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Component, lazy, Suspense, useSyncExternalStore, type ComponentType, type ReactNode } from "react";
import { LiveProvider } from "../api/live";
import { asProblem } from "../api/problem";
import { session } from "../api/session";
import { useText } from "../i18n/text";
import { Head } from "../ui/parts";
import { Empty, Failure, Skeleton } from "../ui/states";
import { Toasts } from "../ui/toasts";
import { Link, match, useAddress } from "./router";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";

type Parameters = Record<string, string>;

const ROUTES: readonly (readonly [string, ComponentType<{ parameters: Parameters }>])[] = [
  ["/", lazy(() => import("../rooms/tower/Tower"))],
  ["/orders", lazy(() => import("../rooms/orders/Orders"))],
  ["/orders/:order", lazy(() => import("../rooms/orders/Order"))],
  ["/incidents", lazy(() => import("../rooms/incidents/Incidents"))],
  ["/incidents/:incident", lazy(() => import("../rooms/incidents/Incident"))],
  ["/autopilot", lazy(() => import("../rooms/incidents/Autopilot"))],
  ["/stock", lazy(() => import("../rooms/stock/Stock"))],
  ["/stock/:sku", lazy(() => import("../rooms/stock/Item"))],
  ["/channels", lazy(() => import("../rooms/channels/Channels"))],
  ["/channels/new", lazy(() => import("../rooms/channels/ChannelForm"))],
  ["/channels/:channel/settings", lazy(() => import("../rooms/channels/ChannelForm"))],
  ["/channels/:channel", lazy(() => import("../rooms/channels/Channel"))],
  ["/planning", lazy(() => import("../rooms/planning/Planning"))],
  ["/demand", lazy(() => import("../rooms/demand/Demand"))],
  ["/demand/:sku", lazy(() => import("../rooms/demand/Item"))],
  ["/campaigns", lazy(() => import("../rooms/campaigns/Campaigns"))],
  ["/campaigns/new", lazy(() => import("../rooms/campaigns/Plan"))],
  ["/campaigns/:campaign", lazy(() => import("../rooms/campaigns/Campaign"))],
  ["/policies", lazy(() => import("../rooms/policies/Policies"))],
  ["/policies/:policy", lazy(() => import("../rooms/policies/Policy"))],
  ["/settings", lazy(() => import("../rooms/settings/Settings"))],
];

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // What the server refuses, it refuses again; what it could not do just now may be done in a moment.
      retry: (count, error) => asProblem(error).passes && count < 2,
      refetchOnWindowFocus: false,
    },
  },
});

export function App() {
  const key = useSyncExternalStore(session.subscribe, () => session.key);
  if (key === null) {
    client.clear();
    return <SignIn />;
  }
  return (
    <QueryClientProvider client={client}>
      <LiveProvider key={key}>
        <Toasts>
          <Shell>
            <Room />
          </Shell>
        </Toasts>
      </LiveProvider>
    </QueryClientProvider>
  );
}

function Room() {
  const { pathname } = useAddress();
  for (const [pattern, View] of ROUTES) {
    const parameters = match(pattern, pathname);
    if (parameters === null) continue;
    return (
      <Guard key={pathname}>
        <Suspense fallback={<Skeleton lines={8} />}>
          <View parameters={parameters} />
        </Suspense>
      </Guard>
    );
  }
  return <Nowhere />;
}

function Nowhere() {
  const text = useText();
  return (
    <>
      <Head title={text("nowhere.title")} />
      <section className="panel">
        <Empty icon="search" title={text("nowhere.text")}>
          <Link to="/">{text("nowhere.back")}</Link>
        </Empty>
      </section>
    </>
  );
}

/** A room that breaks takes no other with it. */
class Guard extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return <Failure error={this.state.error} onRetry={() => location.reload()} />;
  }
}
