import type { planning as english } from "../en/planning";

export const planning: Record<keyof typeof english, string> = {
  "room.planning": "Planung",
};
