/** An API key is all that is needed. It is tried before it is kept. */

import { useState, type SyntheticEvent } from "react";
import { problemOf } from "../api/problem";
import { session } from "../api/session";
import { useText } from "../i18n/text";
import { Mark } from "../ui/icons";
import { Failure } from "../ui/states";

export function SignIn() {
  const text = useText();
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);

  const signIn = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      // Not by the client of the rooms: a key that is refused here ends no session.
      const response = await fetch("/v1/channels?limit=1", { headers: { authorization: `Bearer ${key.trim()}` } });
      if (!response.ok) throw problemOf(response.status, await response.json().catch(() => null));
      session.signIn(key.trim());
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };

  return (
    <main className="sign-in">
      <form onSubmit={(event) => void signIn(event)}>
        <span className="brand">
          <Mark />
          onhand
        </span>
        <h1>{text("sign_in.title")}</h1>
        <label className="field">
          <span>{text("sign_in.key")}</span>
          <input
            className="input"
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="onh_…"
            value={key}
            onChange={(event) => setKey(event.target.value)}
            autoFocus
          />
        </label>
        <p className="small soft">{text("sign_in.hint")}</p>
        {error !== null && <Failure error={error} />}
        <button type="submit" className="button main" disabled={isBusy || key.trim() === ""}>
          {text(isBusy ? "action.busy" : "sign_in.enter")}
        </button>
      </form>
    </main>
  );
}
