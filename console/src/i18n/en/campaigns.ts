export const campaigns = {
  "room.campaigns": "Campaigns",
} as const;
