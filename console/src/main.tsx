import "@fontsource-variable/geist/wght.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/rooms.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { firstWords } from "./i18n/language";

const root = document.getElementById("root");
if (root === null) throw new Error("the page has no root");
await firstWords();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
