/** Asks before something is done: says what will happen, takes what it needs, and shows why it was refused. */

import { useEffect, useId, useRef, type ReactNode } from "react";
import { useText } from "../i18n/text";
import { Failure } from "./states";

interface AskProps {
  title: string;
  /** What will happen, and whether it can be undone. */
  what: ReactNode;
  confirm: string;
  danger?: boolean;
  isBusy: boolean;
  isReady?: boolean;
  error: unknown;
  onConfirm: () => void;
  onClose: () => void;
  children?: ReactNode;
}

export function Ask({ title, what, confirm, danger = false, isBusy, isReady = true, error, onConfirm, onClose, children }: AskProps) {
  const text = useText();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onConfirm();
        }}
      >
        <h2 id={id}>{title}</h2>
        <div>{what}</div>
        {children}
        {error !== null && error !== undefined && <Failure error={error} />}
        <footer>
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            {text("action.leave")}
          </button>
          <button type="submit" className={`button main ${danger ? "danger" : ""}`} disabled={isBusy || !isReady}>
            {isBusy ? text("action.busy") : confirm}
          </button>
        </footer>
      </form>
    </dialog>
  );
}
