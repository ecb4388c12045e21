export const settings = {
  "room.settings": "Settings",
} as const;
