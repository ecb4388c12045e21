/** An API key is all that is needed. It is tried before it is kept. Where the server knows an identity provider, people
 *  sign in there, and come back to fetch a key that ends by itself.
 */

import { useEffect, useState, type SyntheticEvent } from "react";
import { problemOf } from "../api/problem";
import { session } from "../api/session";
import { useText, type Message } from "../i18n/text";
import { Mark } from "../ui/icons";
import { Failure } from "../ui/states";
import { navigate, withParameters } from "./router";

const REFUSED: Record<string, Message> = {
  expired: "sign_in.expired",
  refused: "sign_in.refused",
  not_granted: "sign_in.not_granted",
  unreachable: "sign_in.unreachable",
  invalid: "sign_in.invalid",
};

/** Fetches the key of whoever has just come back from the provider, and takes the mark of that out of the address. */
async function fetchKey(): Promise<void> {
  const response = await fetch("/sign-in/key", { method: "POST" });
  if (!response.ok) throw problemOf(response.status, await response.json().catch(() => null));
  const { key } = (await response.json()) as { key: string };
  navigate(withParameters(new URL(location.href), { signed_in: null }), { replace: true });
  session.signIn(key, { ends: true });
}

export function SignIn() {
  const text = useText();
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const [issuer, setIssuer] = useState<string | null>(null);
  const asked = new URLSearchParams(location.search);
  const refused = REFUSED[asked.get("refused") ?? ""];
  const hasCome = asked.has("signed_in");

  useEffect(() => {
    const ways = async () => {
      const response = await fetch("/sign-in");
      if (response.ok) setIssuer(((await response.json()) as { issuer: string | null }).issuer);
    };
    // Without an answer a key is still a way in.
    void ways().catch(() => undefined);
    if (hasCome) void fetchKey().catch(setError);
  }, [hasCome]);

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
        {refused !== undefined && (
          <p className="failure" role="alert">
            {text(refused)}
          </p>
        )}
        {issuer !== null && (
          <>
            <a className="button main" href={`/sign-in/begin?to=${encodeURIComponent(wanted())}`}>
              {text("sign_in.at", { provider: new URL(issuer).host })}
            </a>
            <p className="small soft">{text("sign_in.or")}</p>
          </>
        )}
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

/** Where somebody wanted to go. */
const wanted = (): string => withParameters(new URL(location.href), { refused: null, signed_in: null });
