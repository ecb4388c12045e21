import { Link, useAddress } from "../../app/router";
import { useText } from "../../i18n/text";

export function Tabs() {
  const text = useText();
  const { pathname } = useAddress();
  return (
    <nav className="tabs" aria-label={text("incidents.tabs")}>
      {(["/incidents", "/autopilot"] as const).map((to) => (
        <Link key={to} to={to} aria-current={pathname === to ? "page" : undefined}>
          {text(to === "/incidents" ? "room.incidents" : "autopilot.title")}
        </Link>
      ))}
    </nav>
  );
}
