/** The frame around every room: where one can go, whether it is live, language, theme, and the way out. */

import { useEffect, useRef, type ReactNode } from "react";
import { useLiveState } from "../api/live";
import { session } from "../api/session";
import { LANGUAGES, setLanguage, useLanguage, type Language } from "../i18n/language";
import { useText, type Message } from "../i18n/text";
import { Icon, Mark, type IconName } from "../ui/icons";
import { Link, useAddress } from "./router";
import { setTheme, useTheme, type Theme } from "./theme";

interface Room {
  to: string;
  /** Paths that belong to it. */
  under: readonly string[];
  icon: IconName;
  name: Message;
}

const ROOMS: readonly Room[] = [
  { to: "/", under: [], icon: "tower", name: "room.tower" },
  { to: "/orders", under: ["/orders"], icon: "orders", name: "room.orders" },
  { to: "/incidents", under: ["/incidents", "/autopilot"], icon: "incidents", name: "room.incidents" },
  { to: "/stock", under: ["/stock"], icon: "stock", name: "room.stock" },
  { to: "/channels", under: ["/channels"], icon: "channels", name: "room.channels" },
  { to: "/demand", under: ["/demand"], icon: "demand", name: "room.demand" },
  { to: "/planning", under: ["/planning"], icon: "planning", name: "room.planning" },
  { to: "/campaigns", under: ["/campaigns"], icon: "campaigns", name: "room.campaigns" },
  { to: "/policies", under: ["/policies"], icon: "policies", name: "room.policies" },
  { to: "/settings", under: ["/settings"], icon: "settings", name: "room.settings" },
];

const isIn = (room: Room, path: string): boolean =>
  room.to === path || room.under.some((under) => path === under || path.startsWith(`${under}/`));

export function Shell({ children }: { children: ReactNode }) {
  const text = useText();
  const { pathname } = useAddress();
  const main = useRef<HTMLElement>(null);

  useEffect(() => {
    const room = ROOMS.find((each) => isIn(each, pathname));
    document.title = room === undefined ? "onhand" : `${text(room.name)} · onhand`;
    // On a phone the rooms stand in a row that is longer than the screen.
    // Not scrollIntoView: the keyboard would begin there.
    const here = document.querySelector<HTMLElement>(".rooms [aria-current]");
    if (here?.parentElement != null) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.clientWidth / 2 + here.offsetWidth / 2;
  }, [pathname, text]);

  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        main.current?.querySelector<HTMLElement>("h1")?.focus();
      }}>
        {text("shell.skip")}
      </a>
      <nav className="rail" aria-label={text("shell.rooms")}>
        <Link to="/" className="brand">
          <Mark />
          onhand
        </Link>
        <div className="rooms">
          {ROOMS.map((room) => (
            <Link key={room.to} to={room.to} aria-current={isIn(room, pathname) ? "page" : undefined}>
              <Icon name={room.icon} />
              {text(room.name)}
            </Link>
          ))}
        </div>
        <div className="rail-foot">
          <Foot />
        </div>
      </nav>
      <div>
        <main ref={main} id="main">
          {children}
        </main>
        <div className="phone-foot">
          <Foot />
        </div>
      </div>
    </div>
  );
}

function Foot() {
  const text = useText();
  const language = useLanguage();
  const theme = useTheme();
  const live = useLiveState();
  return (
    <>
      {live !== "still" && (
        <p className="live" data-state={live}>
          <i />
          {text(`live.${live}`)}
        </p>
      )}
      <div className="choices">
        <select className="select" aria-label={text("shell.theme")} value={theme.chosen} onChange={(event) => setTheme(event.target.value as Theme)}>
          <option value="system">{text("theme.system")}</option>
          <option value="light">{text("theme.light")}</option>
          <option value="dark">{text("theme.dark")}</option>
        </select>
        <select className="select" aria-label={text("shell.language")} value={language} onChange={(event) => void setLanguage(event.target.value as Language)}>
          {Object.entries(LANGUAGES).map(([code, name]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <div className="row apart">
        <a href="/docs">{text("shell.docs")}</a>
        <button type="button" className="button quiet" onClick={() => session.signOut()}>
          {text("shell.sign_out")}
        </button>
      </div>
    </>
  );
}
