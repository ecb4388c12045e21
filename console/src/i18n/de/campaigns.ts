import type { campaigns as english } from "../en/campaigns";

export const campaigns: Record<keyof typeof english, string> = {
  "room.campaigns": "Kampagnen",
};
