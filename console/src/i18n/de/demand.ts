import type { demand as english } from "../en/demand";

export const demand: Record<keyof typeof english, string> = {
  "room.demand": "Nachfrage",
};
