/** Short notes of what was done; they are also spoken. */

import { createContext, useCallback, useContext, useMemo, useState, type ReactNode } from "react";

const SHOWN_MS = 6_000;

const Say = createContext<(text: string) => void>(() => undefined);

export const useSay = (): ((text: string) => void) => useContext(Say);

export function Toasts({ children }: { children: ReactNode }) {
  const [notes, setNotes] = useState<{ id: number; text: string }[]>([]);
  const say = useCallback((text: string) => {
    const id = performance.now();
    setNotes((all) => [...all, { id, text }]);
    setTimeout(() => setNotes((all) => all.filter((note) => note.id !== id)), SHOWN_MS);
  }, []);
  return (
    <Say value={say}>
      {children}
      <div className="toasts" role="status" aria-live="polite">
        {useMemo(
          () =>
            notes.map((note) => (
              <div key={note.id} className="toast arrives">
                {note.text}
              </div>
            )),
          [notes],
        )}
      </div>
    </Say>
  );
}
