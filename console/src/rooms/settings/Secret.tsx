import { useState } from "react";
import { useText } from "../../i18n/text";
import { useSay } from "../../ui/toasts";

/** What the server shows once. */
export function Secret({ title, value, hint, onClose }: { title: string; value: string; hint: string; onClose: () => void }) {
  const text = useText();
  const say = useSay();
  const [field, setField] = useState<HTMLInputElement | null>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      say(text("settings.copied"));
    } catch {
      field?.select(); // no clipboard on an address that is not secure: marked, to be copied by hand
    }
  };
  return (
    <section className="panel secret" role="status">
      <header>
        <h2>{title}</h2>
      </header>
      <div className="inside stack tight">
        <p>{hint}</p>
        <div className="row">
          <input ref={setField} className="input" readOnly aria-label={title} value={value} onFocus={(event) => event.target.select()} />
          <button type="button" className="button main" onClick={() => void copy()}>
            {text("settings.copy")}
          </button>
          <button type="button" className="button" onClick={onClose}>
            {text("settings.kept")}
          </button>
        </div>
      </div>
    </section>
  );
}
