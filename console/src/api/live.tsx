/** One stream of events for the whole page: rooms say what they watch, and what is to be read again when it happens. */

import { useQueryClient, type QueryKey } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { session } from "./session";
import { follow, type StreamEvent } from "./sse";
import { Gatherer } from "./gatherer";

interface Watch {
  kinds: readonly string[];
  keys: readonly QueryKey[];
  about: string;
}

/** `still`: nothing is watched here. */
type State = "connecting" | "live" | "broken" | "still";

const LiveState = createContext<State>("connecting");
const Register = createContext<(watch: Watch) => () => void>(() => () => undefined);

export const useLiveState = (): State => useContext(LiveState);

/** Reads `keys` again, soon, after an event of one of `kinds` (`order.*`); with `about` only if it is about that id.
 *  Kinds and keys are constants of the caller.
 */
export function useLive(kinds: readonly string[], keys: readonly QueryKey[], about = ""): void {
  const register = useContext(Register);
  useEffect(() => register({ kinds, keys, about }), [register, kinds, keys, about]);
}

export const isOf = (type: string, kinds: readonly string[]): boolean =>
  kinds.some((kind) => (kind.endsWith("*") ? type.startsWith(kind.slice(0, -1)) : kind === type));

/** What happened in a second, by kind. Subjects are ids, or skus where stock has changed; `is_all`: there were no others. */
export type Digest = Record<string, { count: number; subjects: readonly string[]; is_all: boolean }>;

/** Whether anything of `kinds` happened to `about`, or may have: a fulfilment's id begins with that of its order. */
export const concerns = (digest: Digest, kinds: readonly string[], about: string): boolean =>
  Object.entries(digest).some(
    ([type, { subjects, is_all }]) =>
      isOf(type, kinds) && (about === "" || !is_all || subjects.some((subject) => subject === about || subject.startsWith(`${about}-`))),
  );

export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [state, setState] = useState<State>("connecting");
  const [kinds, setKinds] = useState("");
  const watches = useRef(new Set<Watch>());
  const isVisible = useVisible();

  const register = useMemo(
    () => (watch: Watch) => {
      const all = watches.current;
      all.add(watch);
      const collect = () => setKinds([...new Set([...all].flatMap((each) => each.kinds))].sort().join(","));
      collect();
      return () => {
        all.delete(watch);
        collect();
      };
    },
    [],
  );

  useEffect(() => {
    if (kinds === "" || session.key === null || !isVisible) return;
    const stop = new AbortController();
    const gatherer = new Gatherer<QueryKey>((key) => void client.invalidateQueries({ queryKey: key }));
    const happened = (event: StreamEvent) => {
      if (event.type !== "gathered") return;
      const digest = JSON.parse(event.data) as Digest;
      for (const { kinds: wanted, keys, about } of watches.current) {
        if (concerns(digest, wanted, about)) for (const key of keys) gatherer.add(key);
      }
    };
    // Leaving a room and entering the next changes the kinds twice: one stream, not three.
    const timer = setTimeout(() => {
      void follow({
        kinds: kinds.split(","),
        key: session.key ?? "",
        signal: stop.signal,
        onEvent: happened,
        onOpen: (gap) => {
          setState("live");
          if (gap) void client.invalidateQueries();
          else for (const { keys } of watches.current) for (const key of keys) gatherer.add(key);
        },
        onClosed: () => setState("broken"),
      });
    }, 150);
    return () => {
      clearTimeout(timer);
      gatherer.stop();
      stop.abort();
    };
  }, [kinds, isVisible, client]);

  return (
    <Register value={register}>
      <LiveState value={kinds === "" ? "still" : state}>{children}</LiveState>
    </Register>
  );
}

/** Whether somebody can see the page. A hidden one holds no stream; when it is shown again, all is read again. */
function useVisible(): boolean {
  const client = useQueryClient();
  const [isVisible, setVisible] = useState(() => !document.hidden);
  useEffect(() => {
    const look = () => {
      setVisible(!document.hidden);
      if (!document.hidden) void client.invalidateQueries();
    };
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [client]);
  return isVisible;
}
