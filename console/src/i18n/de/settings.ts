import type { settings as english } from "../en/settings";

export const settings: Record<keyof typeof english, string> = {
  "room.settings": "Einstellungen",
};
