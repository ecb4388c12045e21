import { useText } from "../../i18n/text";

/** Who did something, for people: names of keys are for admins only. */
export function useWho(): (key_id: number) => string {
  const text = useText();
  return (key_id) => (key_id === 0 ? text("order.by_system") : text("order.by_key", { key: String(key_id) }));
}
